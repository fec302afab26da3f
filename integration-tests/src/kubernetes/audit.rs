//! The API server's audit log: who has asked for what, and what came of it.

use serde_json::{Value, json};
use std::fs;
use std::path::Path;

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

/// What the server is to write down: all that comes from outside, with the bodies of what changes something.
pub(super) fn policy() -> Value {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            { "level": "None", "users": ["system:apiserver"] },
            { "level": "Metadata", "verbs": ["get", "list", "watch"] },
            { "level": "Request" },
        ],
    })
}

/// All events of a log, in its order. A watch counts when it begins, everything else when it ends.
pub(super) fn events(log: &Path) -> Vec<Event> {
    let text = fs::read_to_string(log).unwrap_or_default();
    // The last line may not be there as a whole yet.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().filter_map(|line| event(&serde_json::from_str(line).expect("a line of the log is JSON"))).collect()
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
