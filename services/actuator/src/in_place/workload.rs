//! The object that makes a workload's pods, and what its template can do without replacing them.

use super::container::Container;
use anyhow::{Context as _, Result};
use prescale_kubernetes::resources::Resources;
use serde_json::Value;
use std::collections::BTreeMap;

/// On a Deployment: it was paused so that its template can follow, by the action of this id.
pub(crate) const PAUSED_FOR: &str = "prescale.io/paused-for";
/// On a workload: its resize was given up, by the action of this id, and why.
pub(super) const GIVEN_UP: &str = "prescale.io/resize-given-up";
/// On a template: its pods are replaced by the action of this id.
pub(super) const ROLLED_FOR: &str = "prescale.io/rolled-for";
const HASH_LABEL: &str = "pod-template-hash";

/// An object with a template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Workload {
    /// Path of the object on the API's server.
    pub(super) path: String,
    /// Path of its namespace's pods.
    pub(super) pods_path: String,
    /// The version that it was read at.
    pub(super) resource_version: String,
    /// What a change of its template does.
    pub(super) rollout: Rollout,
    /// Whether its controller has seen it as it is.
    pub(super) is_observed: bool,
    /// Whether all of its pods are of its template, by its controller.
    pub(super) is_rolled_out: bool,
    /// Why its controller has given a rollout up.
    pub(super) rollout_failure: Option<String>,
    /// Its template.
    pub(super) template: Template,
    annotations: BTreeMap<String, String>,
}

/// What a change of a template does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rollout {
    /// A Deployment: it replaces its pods, unless a ReplicaSet of its own has the template.
    Deployment {
        /// Whether it is paused.
        is_paused: bool,
    },
    /// It replaces its pods.
    Replaces,
    /// Nothing, until pods are replaced for another reason.
    Waits,
    /// It is of a kind of which that is not known, and is left as it is.
    Unknown,
}

/// A ReplicaSet of a Deployment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ReplicaSet {
    /// Its uid.
    pub(super) uid: String,
    /// Path of the object on the API's server.
    pub(super) path: String,
    /// The version that it was read at.
    pub(super) resource_version: String,
    /// Whether it is to have pods.
    pub(super) is_active: bool,
    /// Whether the controllers have seen it as it is.
    pub(super) is_observed: bool,
    /// Its template.
    pub(super) template: Template,
}

/// A template of pods.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Template {
    /// Its containers, without init containers.
    pub(super) containers: Vec<Container>,
    /// By which action its pods were last replaced.
    pub(super) rolled_for: Option<String>,
    /// All of it but what its containers ask for, and the label that tells ReplicaSets apart.
    rest: Value,
}

impl Workload {
    /// The object of that kind at a path, with the path of its namespace's pods.
    ///
    /// # Errors
    /// When it has no template.
    pub(crate) fn read(object: &Value, kind: &str, path: &str, pods_path: &str) -> Result<Self> {
        let (metadata, spec, status) = (&object["metadata"], &object["spec"], &object["status"]);
        let strategy = spec["updateStrategy"]["type"].as_str();
        let rollout = match kind {
            "Deployment" => Rollout::Deployment { is_paused: spec["paused"] == true },
            "StatefulSet" if strategy == Some("OnDelete") => Rollout::Waits,
            "ReplicaSet" => Rollout::Waits,
            "StatefulSet" => Rollout::Replaces,
            _ => Rollout::Unknown,
        };
        let annotations = metadata["annotations"].as_object().into_iter().flatten();
        let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        let wanted = spec["replicas"].as_i64().unwrap_or(1);
        let are = |key: &str| status[key].as_i64().unwrap_or(0) == wanted;
        let conditions = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let failed = conditions.iter().find(|c| c["type"] == "Progressing" && c["status"] == "False");
        let words = |condition: &Value| condition["message"].as_str().unwrap_or_default().to_owned();
        Ok(Self {
            path: path.to_owned(),
            pods_path: pods_path.to_owned(),
            resource_version: version(metadata)?,
            rollout,
            is_observed: is_observed(object),
            is_rolled_out: are("replicas") && are("updatedReplicas"),
            rollout_failure: failed.map(words),
            template: Template::read(&spec["template"])?,
            annotations: annotations.filter_map(text).collect(),
        })
    }

    /// Whether its pods are controlled by it, or by its ReplicaSets.
    pub(super) fn makes_its_pods(&self) -> bool {
        self.rollout != Rollout::Unknown
    }

    /// The action that it was paused by.
    pub(super) fn paused_for(&self) -> Option<&str> {
        self.annotations.get(PAUSED_FOR).map(String::as_str)
    }

    /// Why its resize was given up by that action, where it was.
    pub(super) fn given_up(&self, action_id: &str) -> Option<&str> {
        self.annotations.get(GIVEN_UP)?.strip_prefix(action_id)?.strip_prefix(": ")
    }
}

impl ReplicaSet {
    /// Those of a list that a Deployment controls, the oldest first: the order in which its controller looks for the one of
    /// its template. Their paths begin with that of the namespace's ReplicaSets.
    ///
    /// # Errors
    /// When one has no template.
    pub(crate) fn read_all(list: &Value, deployment: &Value, path: &str) -> Result<Vec<Self>> {
        let uid: Vec<&str> = deployment["metadata"]["uid"].as_str().into_iter().collect();
        let is_its = |set: &&Value| is_made_by(set, &uid);
        let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut its: Vec<&Value> = items.iter().filter(is_its).collect();
        let age = |set: &Value| {
            let of = |key: &str| set["metadata"][key].as_str().unwrap_or_default().to_owned();
            (of("creationTimestamp"), of("name"))
        };
        its.sort_by_cached_key(|set| age(set));
        its.into_iter().map(|set| Self::read(set, path)).collect()
    }

    fn read(set: &Value, path: &str) -> Result<Self> {
        let name = set["metadata"]["name"].as_str().context("a ReplicaSet without a name")?;
        let read = || -> Result<Self> {
            Ok(Self {
                uid: set["metadata"]["uid"].as_str().context("no uid")?.to_owned(),
                path: format!("{path}/{name}"),
                resource_version: version(&set["metadata"])?,
                is_active: set["spec"]["replicas"].as_i64().unwrap_or(1) > 0,
                is_observed: is_observed(set),
                template: Template::read(&set["spec"]["template"])?,
            })
        };
        read().with_context(|| format!("ReplicaSet {name}"))
    }
}

impl Template {
    fn read(template: &Value) -> Result<Self> {
        let containers = Container::read_all(&template["spec"]["containers"])?;
        anyhow::ensure!(!containers.is_empty(), "it has no template with containers");
        let mut rest = template.clone();
        if let Some(labels) = rest.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
            labels.remove(HASH_LABEL);
        }
        for container in rest.pointer_mut("/spec/containers").and_then(Value::as_array_mut).into_iter().flatten() {
            for list in ["/resources/requests", "/resources/limits"] {
                if let Some(list) = container.pointer_mut(list).and_then(Value::as_object_mut) {
                    list.remove("cpu");
                    list.remove("memory");
                }
            }
        }
        let rolled_for = template["metadata"]["annotations"][ROLLED_FOR].as_str().map(str::to_owned);
        Ok(Self { containers, rolled_for, rest })
    }

    /// Whether it differs from another one in nothing but what its containers ask for.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.rest == other.rest
    }

    /// Whether its containers ask for these.
    pub(super) fn asks_for(&self, sizes: &Sizes) -> bool {
        self.changes(sizes).is_empty()
    }

    /// What its containers ask for.
    pub(super) fn sizes(&self) -> Sizes {
        self.containers.iter().map(|container| (container.name.clone(), container.resources)).collect()
    }

    /// What its containers ask for in place of what they do, so that they come to these sizes: of what stands in it alone,
    /// since what does not was put in for its pods, and will be again.
    pub(super) fn changes(&self, sizes: &Sizes) -> Vec<(&str, Resources)> {
        let changed = |container: &Container| {
            let resources = container.in_place_of(*sizes.get(&container.name)?);
            (resources != container.resources).then_some(resources)
        };
        self.containers.iter().filter_map(|c| Some((c.name.as_str(), changed(c)?))).collect()
    }
}

/// What containers are to ask for, by their names.
pub(super) type Sizes = BTreeMap<String, Resources>;

fn version(metadata: &Value) -> Result<String> {
    Ok(metadata["resourceVersion"].as_str().context("no resourceVersion")?.to_owned())
}

fn is_observed(object: &Value) -> bool {
    let generation = object["metadata"]["generation"].as_i64();
    object["status"]["observedGeneration"].as_i64() >= generation && generation.is_some()
}

/// Whether an object is controlled by one of these.
pub(super) fn is_made_by(object: &Value, uids: &[&str]) -> bool {
    let owners = object["metadata"]["ownerReferences"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_one = |owner: &Value| owner["uid"].as_str().is_some_and(|uid| uids.contains(&uid));
    owners.iter().any(|owner| owner["controller"] == true && is_one(owner))
}
