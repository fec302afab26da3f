//! Our chart, rendered by Helm's own engine.

use super::{Cluster, program};
use crate::processes::until;
use bus_tests::repository;
use serde_json::{Value, from_slice, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const CHART: &str = "infra/chart/prescale";

/// The objects of a release in a namespace, after which it is called, with these values.
///
/// # Panics
/// When Helm does not take the chart or the values.
pub fn objects(namespace: &str, values: &Value) -> Vec<Value> {
    let mut child = Command::new(program("chart"))
        .arg(repository().join(CHART))
        .args([namespace; 2])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    // JSON is YAML.
    stdin.write_all(values.to_string().as_bytes()).expect("it reads the values");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "the chart is not rendered with {values}");
    from_slice(&output.stdout).expect("a list of objects")
}

/// The objects that `helm` would make in a folder with these words behind it, `install` first.
///
/// # Panics
/// When Helm does not take the words.
pub fn installed(folder: &Path, words: &[&str]) -> Vec<Value> {
    let output = Command::new(program("chart")).args(words).current_dir(folder).output().expect("the program starts");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    from_slice(&output.stdout).expect("a list of objects")
}

impl Cluster {
    /// Makes an object as it is said here, or changes it to that. A field that the server does not know is an error.
    ///
    /// # Panics
    /// When the server does not take it.
    pub fn apply(&self, object: &Value) -> Value {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let version = text(&object["apiVersion"]);
        let root = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
        let namespace = match object["metadata"]["namespace"].as_str() {
            Some(namespace) => format!("/namespaces/{namespace}"),
            None => String::new(),
        };
        let (kind, name) = (text(&object["kind"]).to_lowercase(), text(&object["metadata"]["name"]));
        let plural = if kind.ends_with('s') { kind + "es" } else { kind + "s" };
        let query = "fieldManager=test&force=true&fieldValidation=Strict";
        self.done("PATCH", &format!("{root}{namespace}/{plural}/{name}?{query}"), object)
    }

    /// Makes a kind of namespaced objects with this schema, without what serves it, and waits until the server knows it.
    ///
    /// # Panics
    /// When the server does not take it.
    pub fn define(&self, (group, version): (&str, &str), (kind, plural): (&str, &str), schema: &Value) {
        let served = json!({
            "name": version,
            "served": true,
            "storage": true,
            "schema": { "openAPIV3Schema": schema },
        });
        self.apply(&json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{plural}.{group}") },
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": { "kind": kind, "plural": plural },
                "versions": [served],
            },
        }));
        let list = format!("/apis/{group}/{version}/{plural}");
        until(&format!("kind {kind}"), || self.ask("GET", &list, &Value::Null).0 == 200);
    }
}
