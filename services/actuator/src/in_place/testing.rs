//! A cluster as it matters to resizing: objects that take patches as an API server does, a kubelet that grants or does
//! not, and controllers that see what was changed.

use super::config::ResizeConfig;
use super::{Facts, Goal, Shown, Wanted, next};
use crate::drive::step::{Request, Step};
use prescale_domain::time::EventTime;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const NOW_S: i64 = 1_800_000_000;
const PODS: &str = "/api/v1/namespaces/shop/pods";
const OBJECTS: &str = "/apis/apps/v1/namespaces/shop";

/// It has one workload, `web`.
pub(super) struct Cluster {
    pub(super) kind: &'static str,
    /// By their paths.
    pub(super) objects: BTreeMap<String, Value>,
    /// Pods that the kubelet does nothing about.
    pub(super) held: BTreeSet<String>,
    pub(super) metrics: Value,
    /// What actions rest on says so of a replica.
    pub(super) memory_bytes_expected: Option<u64>,
    pub(super) now: EventTime,
    version: u64,
}

/// A container with so many millicores and MiB as requests and limits.
pub(super) fn container(name: &str, millis: u64, mib: u64) -> Value {
    let list = json!({"cpu": format!("{millis}m"), "memory": format!("{mib}Mi")});
    json!({"name": name, "image": "web:1", "resources": {"requests": list, "limits": list}})
}

pub(super) fn wanted(cpu_millis: u64, mib: u64) -> Wanted {
    Wanted { cpu_millis, memory_bytes: mib << 20 }
}

impl Cluster {
    /// With so many pods of these containers.
    pub(super) fn new(kind: &'static str, pods: usize, containers: &Value) -> Self {
        let mut cluster = Self {
            kind,
            objects: BTreeMap::new(),
            held: BTreeSet::new(),
            metrics: Value::Null,
            memory_bytes_expected: Some(0),
            now: EventTime::from_s(NOW_S),
            version: 1,
        };
        let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}});
        let workload = json!({
            "metadata": {"uid": "u1"},
            "spec": {"replicas": pods, "template": template},
            "status": {"replicas": pods, "updatedReplicas": pods},
        });
        cluster.put(&cluster.workload_path(), workload);
        if kind == "Deployment" {
            cluster.add_set("web-1", "2026-01-01T00:00:00Z", pods, &template);
        }
        for number in 0..pods {
            let maker = if kind == "Deployment" { "web-1" } else { "u1" };
            let owners = json!([{"controller": true, "uid": maker}]);
            let metadata = json!({"name": format!("web-{number}"), "ownerReferences": owners});
            let status = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
            let pod =
                json!({"metadata": metadata, "spec": {"nodeName": "n", "containers": containers}, "status": status});
            cluster.put(&format!("{PODS}/web-{number}"), pod);
        }
        cluster.settle();
        cluster
    }

    pub(super) fn workload_path(&self) -> String {
        format!("{OBJECTS}/{}s/web", self.kind.to_lowercase())
    }

    pub(super) fn workload(&self) -> &Value {
        &self.objects[&self.workload_path()]
    }

    pub(super) fn set(&self, name: &str) -> &Value {
        &self.objects[&format!("{OBJECTS}/replicasets/{name}")]
    }

    pub(super) fn pod(&self, number: usize) -> &Value {
        &self.objects[&format!("{PODS}/web-{number}")]
    }

    /// Changes an object as somebody else does.
    pub(super) fn change(&mut self, path: &str, patch: &Value) {
        let mut object = self.objects[path].clone();
        merge(&mut object, patch);
        self.put(path, object);
    }

    pub(super) fn change_pod(&mut self, number: usize, patch: &Value) {
        self.change(&format!("{PODS}/web-{number}"), patch);
    }

    pub(super) fn add_set(&mut self, name: &str, created: &str, replicas: usize, template: &Value) {
        let mut template = template.clone();
        template["metadata"]["labels"]["pod-template-hash"] = json!(name);
        let owners = json!([{"controller": true, "uid": "u1"}]);
        let metadata = json!({"name": name, "uid": name, "creationTimestamp": created, "ownerReferences": owners});
        let set = json!({"metadata": metadata, "spec": {"replicas": replicas, "template": template}});
        self.put(&format!("{OBJECTS}/replicasets/{name}"), set);
    }

    fn put(&mut self, path: &str, mut object: Value) {
        self.version += 1;
        let is_changed = self.objects.get(path).is_none_or(|old| old["spec"] != object["spec"]);
        let generation = object["metadata"]["generation"].as_i64().unwrap_or(0) + i64::from(is_changed);
        let metadata = json!({"resourceVersion": self.version.to_string(), "generation": generation});
        merge(&mut object, &json!({"metadata": metadata}));
        self.objects.insert(path.to_owned(), object);
    }

    pub(super) fn look(&self) -> Facts {
        let workload = self.workload();
        let items = |of: &str| -> Vec<&Value> {
            self.objects.iter().filter(|(path, _)| path.contains(of)).map(|(_, object)| object).collect()
        };
        let (sets, pods) = (json!({"items": items("/replicasets/")}), json!({"items": items("/pods/")}));
        let (path, sets_path) = (self.workload_path(), format!("{OBJECTS}/replicasets"));
        let shown = Shown {
            object: workload,
            kind: self.kind,
            path: &path,
            pods: (&pods, PODS),
            replica_sets: (self.kind == "Deployment").then_some((&sets, sets_path.as_str())),
            metrics: Some(&self.metrics),
        };
        Facts::read(&shown).unwrap()
    }

    /// Takes a request as the API server does.
    pub(super) fn take(&mut self, request: &Request) {
        let path = request.path.strip_suffix("/resize").unwrap_or(&request.path);
        let mut body = request.body.clone();
        let version = body["metadata"].as_object_mut().unwrap().remove("resourceVersion");
        assert_eq!(version.as_ref(), Some(&self.objects[path]["metadata"]["resourceVersion"]), "{request:?}");
        self.change(path, &body);
    }

    /// Controllers and kubelets see and do what they have to.
    pub(super) fn settle(&mut self) {
        for (path, object) in &mut self.objects {
            object["status"]["observedGeneration"] = object["metadata"]["generation"].clone();
            let Some(name) = path.strip_prefix(&format!("{PODS}/")) else { continue };
            if self.held.contains(name) {
                continue;
            }
            let has = |container: &Value| {
                let resources = &container["resources"];
                json!({"name": container["name"], "allocatedResources": resources["requests"], "resources": resources})
            };
            let statuses: Value = object["spec"]["containers"].as_array().unwrap().iter().map(has).collect();
            object["status"]["containerStatuses"] = statuses;
        }
    }

    /// What comes next, of the action of this id.
    pub(super) fn next(&self, wanted: Wanted, rules: &ResizeConfig, action_id: &str) -> Step {
        let (decided_at, valid_until) = (self.now.plus_s(-7200), self.now.plus_s(7200));
        let memory_bytes_expected = self.memory_bytes_expected;
        let goal = Goal { wanted, memory_bytes_expected, action_id, decided_at, valid_until };
        next(&self.look(), goal, rules, self.now)
    }

    /// Goes on until there is nothing to be sent: how that ends, and the paths of what was sent. Whatever is sent is done
    /// before it looks again.
    pub(super) fn drive(&mut self, wanted: Wanted, rules: &ResizeConfig, action_id: &str) -> (Step, Vec<String>) {
        let mut sent = Vec::new();
        loop {
            let step = self.next(wanted, rules, action_id);
            let Step::Send(request) = step else { return (step, sent) };
            assert!(sent.len() < 50, "{request:?} and no end");
            self.take(&request);
            self.settle();
            sent.push(request.path.rsplit_once("/shop/").unwrap().1.to_owned());
        }
    }
}

/// As a strategic merge: lists of what has names are merged by them, and null takes away.
fn merge(object: &mut Value, patch: &Value) {
    match (object, patch) {
        (Value::Object(object), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    object.remove(key);
                } else {
                    merge(object.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (Value::Array(list), Value::Array(patch))
            if !patch.is_empty() && patch.iter().all(|one| one["name"].is_string()) =>
        {
            for one in patch {
                match list.iter_mut().find(|held| held["name"] == one["name"]) {
                    Some(held) => merge(held, one),
                    None => list.push(one.clone()),
                }
            }
        }
        (object, Value::Object(patch)) => {
            *object = json!({});
            merge(object, &Value::Object(patch.clone()));
        }
        (object, patch) => *object = patch.clone(),
    }
}
