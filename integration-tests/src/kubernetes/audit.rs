//! The API server's audit log: who has asked for what, and what came of it.

use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

/// A request that the server has answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Who.
    pub user: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` and so on.
    pub verb: String,
    /// API group; empty for the core's.
    pub group: String,
    /// With the subresource, as in `deployments/scale`.
    pub resource: String,
    /// Empty where it is in none.
    pub namespace: String,
    /// Empty where it has none.
    pub name: String,
    /// Whether it was asked what would be.
    pub is_dry_run: bool,
    /// Status of the answer.
    pub status: u16,
    /// What was sent; null for what changes nothing.
    pub body: Value,
}

impl Event {
    /// Whether it has changed something.
    pub fn is_effect(&self) -> bool {
        let changes = !matches!(self.verb.as_str(), "get" | "list" | "watch");
        changes && !self.is_dry_run && (200..300).contains(&self.status)
    }
}

/// What the server is to write down: all that is asked for, with the bodies of what changes something, but by the test
/// itself only where it looks for a namespace.
pub(super) fn policy(admin: &str) -> Value {
    let namespaces = json!([{ "group": "", "resources": ["namespaces"] }]);
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            { "level": "Metadata", "users": [admin], "verbs": ["get"], "resources": namespaces },
            { "level": "None", "users": [admin, "system:apiserver"] },
            { "level": "Metadata", "verbs": ["get", "list", "watch"] },
            { "level": "Request" },
        ],
    })
}

/// A log as far as it was read.
pub(super) struct Log {
    path: PathBuf,
    read_bytes: u64,
    events: Vec<Event>,
}

impl Log {
    /// Of this file, which need not be there yet.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, read_bytes: 0, events: Vec::new() }
    }

    /// All events so far, in the log's order. A watch counts when it begins, everything else when it ends.
    pub(super) fn events(&mut self) -> &[Event] {
        let mut text = String::new();
        if let Ok(mut file) = File::open(&self.path) {
            file.seek(SeekFrom::Start(self.read_bytes)).expect("the log can be read on");
            file.read_to_string(&mut text).expect("the log is text");
        }
        // The last line may not be there as a whole yet.
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        self.read_bytes += whole.len() as u64;
        let parsed = whole.lines().map(|line| serde_json::from_str(line).expect("a line of the log is JSON"));
        self.events.extend(parsed.filter_map(|line: Value| event(&line)));
        &self.events
    }
}

fn event(said: &Value) -> Option<Event> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let verb = text(&said["verb"]);
    let counts_at = if verb == "watch" { "ResponseStarted" } else { "ResponseComplete" };
    if said["stage"] != counts_at {
        return None;
    }
    let object = &said["objectRef"];
    let resource = match object["subresource"].as_str() {
        Some(subresource) => format!("{}/{subresource}", text(&object["resource"])),
        None => text(&object["resource"]),
    };
    Some(Event {
        user: text(&said["user"]["username"]),
        verb,
        group: text(&object["apiGroup"]),
        resource,
        namespace: text(&object["namespace"]),
        name: text(&object["name"]),
        is_dry_run: said["requestURI"].as_str().is_some_and(|uri| uri.contains("dryRun=All")),
        status: said["responseStatus"]["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(0),
        body: said["requestObject"].clone(),
    })
}
