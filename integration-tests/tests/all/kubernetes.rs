//! Against a real API server of Kubernetes. What has come of something is counted by its audit log.

mod autoscalers;
mod bed;
mod chart;
mod controlled;
mod crashes;
mod discovery;
mod driving;
mod first_dry_run;
mod rights;
mod world;

use integration_tests::kubernetes::Cluster;
use serde_json::{Value, json};

/// A Deployment, meant to be scaled, whose pods are one container each.
fn deployment(namespace: &str, name: &str, replicas: u32) -> Value {
    scaled("Deployment", namespace, name, replicas)
}

/// The same of another kind of group `apps`.
fn scaled(kind: &str, namespace: &str, name: &str, replicas: u32) -> Value {
    let resources = json!({
        "requests": { "cpu": "500m", "memory": "256Mi" },
        "limits": { "cpu": "1", "memory": "512Mi" },
    });
    json!({
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": { "namespace": namespace, "name": name, "annotations": { "prescale.io/enabled": "true" } },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "main", "image": "registry.example/main:1", "resources": resources }] },
            },
        },
    })
}

/// Makes a service account of this name that may do this in the namespace; its token. The same rules again change nothing,
/// others take their place.
fn account(cluster: &Cluster, namespace: &str, name: &str, rules: &Value) -> String {
    let metadata = json!({ "namespace": namespace, "name": name });
    cluster.apply(&json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }));
    let version = "rbac.authorization.k8s.io/v1";
    cluster.apply(&json!({ "apiVersion": version, "kind": "Role", "metadata": metadata, "rules": rules }));
    cluster.apply(&json!({
        "apiVersion": version,
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name },
        "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": namespace }],
    }));
    cluster.token_of(namespace, name)
}

fn user(namespace: &str, account: &str) -> String {
    format!("system:serviceaccount:{namespace}:{account}")
}
