//! A pod as the API server shows it: what it asks for, what it has of that, and how far a resize has come.

use super::container::Container;
use super::qos::Qos;
use anyhow::{Context as _, Result};
use prescale_contracts::parse_rfc3339;
use prescale_domain::time::EventTime;
use prescale_kubernetes::quantity::Quantity;
use prescale_kubernetes::resources::{Amounts, Resources};
use serde_json::Value;
use std::collections::BTreeMap;

/// Names the containers that are sized, separated by commas.
const SIZED_CONTAINERS: &str = "prescale.io/containers";
/// Names the container that a pod is about, as kubectl and those who inject sidecars have it.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";
/// Limits of CPU are read back rounded by less than this.
const CPU_MILLIS_ROUNDED: u64 = 10;
/// Limits of memory are read back rounded by less than this, the largest page.
const MEMORY_BYTES_ROUNDED: u64 = 64 << 10;
static NULL: Value = Value::Null;

/// A pod that is on a node and has not come to its end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pod {
    /// Its name.
    pub(super) name: String,
    /// The version that it was read at.
    pub(super) resource_version: String,
    /// Whether it serves.
    pub(super) is_ready: bool,
    /// Its containers, without init containers.
    pub(super) containers: Vec<Held>,
    /// What keeps it from being resized at all.
    pub(super) hindrance: Option<&'static str>,
    /// How far a resize has come, by its conditions.
    pub(super) resize: Resize,
    /// Whether the kubelet says that those are of what is asked for now.
    is_seen: bool,
    /// The containers that are sized, by their names; empty for all of them.
    sized: Vec<String>,
    /// What its init containers ask for.
    init: Vec<Resources>,
    qos: Qos,
}

/// A container with what it has.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held {
    /// What is asked for.
    pub(super) container: Container,
    /// The requests that the kubelet has granted.
    allocated: Option<Amounts>,
    /// What it runs with.
    actual: Option<Resources>,
    /// Bytes of memory in use that cannot be reclaimed, where known.
    pub(super) working_set_bytes: Option<u64>,
}

/// How far a resize has come.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Resize {
    /// Nothing is told of one.
    None,
    /// The kubelet has not seen what is asked for.
    Unseen,
    /// The node has no room now.
    Deferred {
        /// Since when, where that is told.
        since: Option<EventTime>,
        /// In the kubelet's words.
        why: String,
    },
    /// The node never has.
    Infeasible {
        /// In the kubelet's words.
        why: String,
    },
    /// It was granted and is being made.
    InProgress {
        /// Since when, where that is told.
        since: Option<EventTime>,
        /// In the kubelet's words, where something is in its way.
        why: String,
    },
}

impl Pod {
    /// As it stands in a list of pods; `None` where it is on no node, at its end, or being removed. Memory in use is by
    /// pod and container.
    ///
    /// # Errors
    /// When it is no pod.
    pub(crate) fn read(pod: &Value, working_sets: &BTreeMap<(String, String), u64>) -> Result<Option<Self>> {
        let (metadata, spec, status) = (&pod["metadata"], &pod["spec"], &pod["status"]);
        let name = metadata["name"].as_str().context("a pod without a name")?;
        let generation = metadata["generation"].as_i64();
        let is_over = status["phase"] == "Succeeded" || status["phase"] == "Failed";
        if is_over || !metadata["deletionTimestamp"].is_null() || !spec["nodeName"].is_string() {
            return Ok(None);
        }
        let read = || -> Result<Self> {
            let containers = Container::read_all(&spec["containers"])?;
            let init: Vec<Resources> =
                Container::read_all(&spec["initContainers"])?.into_iter().map(|c| c.resources).collect();
            let qos = Qos::of(containers.iter().map(|c| c.resources).chain(init.iter().copied()));
            let held = |container: Container| Held::read(container, name, &status["containerStatuses"], working_sets);
            Ok(Self {
                name: name.to_owned(),
                resource_version: metadata["resourceVersion"].as_str().context("no resourceVersion")?.to_owned(),
                is_ready: condition(status, "Ready").is_some(),
                containers: containers.into_iter().map(held).collect::<Result<_>>()?,
                hindrance: hindrance(pod),
                resize: Resize::read(generation, status),
                is_seen: generation.is_some() && status["observedGeneration"].as_i64() >= generation,
                sized: sized(&metadata["annotations"]),
                init,
                qos,
            })
        };
        read().map(Some).with_context(|| format!("pod {name}"))
    }

    /// Whether a container is one of those that are sized.
    pub(super) fn is_sized(&self, container: &str) -> bool {
        self.sized.is_empty() || self.sized.iter().any(|name| name == container)
    }

    /// Whether the class of service stays where its containers come to ask for this.
    pub(super) fn keeps_its_class(&self, resources: &[Resources]) -> bool {
        Qos::of(resources.iter().chain(&self.init).copied()) == self.qos
    }

    /// Whether it asks for nothing at all.
    pub(super) fn is_best_effort(&self) -> bool {
        self.qos == Qos::BestEffort
    }

    /// Whether its containers run with what they ask for.
    pub(super) fn is_in_effect(&self) -> bool {
        self.resize == Resize::None && self.containers.iter().all(|held| held.is_in_effect(self.is_seen))
    }

    /// Whether a container of it would be restarted by some change.
    pub(super) fn may_restart(&self) -> bool {
        let restarts = |held: &Held| held.container.restarts_for_cpu || held.container.restarts_for_memory;
        self.containers.iter().any(|held| self.is_sized(&held.container.name) && restarts(held))
    }
}

impl Held {
    fn read(
        container: Container,
        pod: &str,
        statuses: &Value,
        working_sets: &BTreeMap<(String, String), u64>,
    ) -> Result<Self> {
        let mut statuses = statuses.as_array().map(Vec::as_slice).unwrap_or_default().iter();
        let status = statuses.find(|status| status["name"] == container.name.as_str()).unwrap_or(&NULL);
        let told = |value: &Value| !value.is_null();
        let allocated = Some(&status["allocatedResources"]).filter(|list| told(list));
        let actual = Some(&status["resources"]).filter(|resources| told(resources));
        Ok(Self {
            allocated: allocated.map(Amounts::read).transpose()?,
            actual: actual.map(Resources::read).transpose()?,
            working_set_bytes: working_sets.get(&(pod.to_owned(), container.name.clone())).copied(),
            container,
        })
    }

    /// What it is to ask for so that nothing is left to be granted, where that is known.
    pub(super) fn as_granted(&self) -> Option<Resources> {
        let (requests, limits) = (self.granted()?, self.actual?.limits);
        let mut back = self.container.in_place_of(Resources { requests, limits });
        // Limits are read back rounded, and one that is its request must stay so.
        let asked = self.container.resources;
        if asked.limits.cpu_millis == asked.requests.cpu_millis {
            back.limits.cpu_millis = back.requests.cpu_millis;
        }
        if asked.limits.memory_bytes == asked.requests.memory_bytes {
            back.limits.memory_bytes = back.requests.memory_bytes;
        }
        Some(back)
    }

    /// The requests that it was granted.
    fn granted(&self) -> Option<Amounts> {
        self.allocated.or(self.actual.map(|actual| actual.requests))
    }

    /// Whether it has what it asks for. What was granted is told as it was asked for; what it runs with is read back,
    /// rounded. Where the first is not told, a kubelet that has seen what is asked for and says nothing of it has made it.
    fn is_in_effect(&self, is_seen: bool) -> bool {
        let Resources { requests, limits } = self.container.resources;
        let near = |asked: Option<u64>, has: Option<u64>, rounded: u64| {
            asked.zip(has).is_none_or(|(asked, has)| asked.abs_diff(has) < rounded)
        };
        let is = |granted: Amounts| {
            near(requests.cpu_millis, granted.cpu_millis, 1) && near(requests.memory_bytes, granted.memory_bytes, 1)
        };
        let is_granted = match (self.allocated, self.actual) {
            (Some(allocated), _) => is(allocated),
            (None, _) if is_seen => true,
            (None, Some(actual)) => is(actual.requests),
            (None, None) => false,
        };
        let runs_with_it = self.actual.is_none_or(|actual| {
            near(limits.cpu_millis, actual.limits.cpu_millis, CPU_MILLIS_ROUNDED)
                && near(limits.memory_bytes, actual.limits.memory_bytes, MEMORY_BYTES_ROUNDED)
        });
        is_granted && runs_with_it
    }
}

impl Resize {
    fn read(generation: Option<i64>, status: &Value) -> Self {
        let observed = status["observedGeneration"].as_i64();
        if generation.zip(observed).is_some_and(|(generation, observed)| observed < generation) {
            return Self::Unseen;
        }
        let words = |condition: &Value| condition["message"].as_str().unwrap_or_default().to_owned();
        let since = |condition: &Value| condition["lastTransitionTime"].as_str().and_then(parse_rfc3339);
        if let Some(pending) = condition(status, "PodResizePending") {
            return match pending["reason"].as_str() {
                Some("Infeasible") => Self::Infeasible { why: words(pending) },
                _ => Self::Deferred { since: since(pending), why: words(pending) },
            };
        }
        match (condition(status, "PodResizeInProgress"), status["resize"].as_str()) {
            (Some(making), _) => Self::InProgress { since: since(making), why: words(making) },
            // As it was told before there were conditions.
            (None, Some("Infeasible")) => Self::Infeasible { why: String::new() },
            (None, Some("Deferred" | "Proposed")) => Self::Deferred { since: None, why: String::new() },
            (None, Some("InProgress" | "Error")) => Self::InProgress { since: None, why: String::new() },
            (None, _) => Self::None,
        }
    }
}

/// A condition that is true.
fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = status["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == kind && condition["status"] == "True")
}

/// What keeps a pod from being resized by its containers.
fn hindrance(pod: &Value) -> Option<&'static str> {
    let of_pod = &pod["spec"]["resources"];
    let is_told = |list: &Value| list.as_object().is_some_and(|list| !list.is_empty());
    if is_told(&of_pod["requests"]) || is_told(&of_pod["limits"]) {
        return Some("it has resources of its own beside those of its containers");
    }
    if pod["spec"]["os"]["name"] == "windows" {
        return Some("pods on Windows cannot be resized in place");
    }
    let is_static = !pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_null();
    is_static.then_some("static pods cannot be resized in place")
}

fn sized(annotations: &Value) -> Vec<String> {
    let named = annotations[SIZED_CONTAINERS].as_str().or_else(|| annotations[DEFAULT_CONTAINER].as_str());
    let names = named.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

/// Memory in use by pod and container, of a list of `metrics.k8s.io`.
///
/// # Errors
/// When a quantity is none.
pub(crate) fn working_sets(metrics: &Value) -> Result<BTreeMap<(String, String), u64>> {
    let mut found = BTreeMap::new();
    for pod in metrics["items"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        for container in pod["containers"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let (Some(of), Some(used)) = (container["name"].as_str(), container["usage"]["memory"].as_str()) else {
                continue;
            };
            found.insert((name.to_owned(), of.to_owned()), Quantity::parse(used)?.units());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(status: Value) -> Pod {
        let container = json!({"name": "app", "resources": {"requests": {"cpu": "7m"}, "limits": {"cpu": "15m", "memory": "100M"}}});
        let metadata = json!({"name": "web-0", "resourceVersion": "5"});
        let pod = json!({"metadata": metadata, "spec": {"nodeName": "n", "containers": [container]}, "status": status});
        Pod::read(&pod, &BTreeMap::new()).unwrap().unwrap()
    }

    #[test]
    fn limits_that_are_read_back_rounded_are_in_effect_and_requests_are_told_exactly() {
        let has = |allocated: &str, cpu: &str, memory: &str| {
            let resources = json!({"limits": {"cpu": cpu, "memory": memory}});
            let status = json!({"name": "app", "allocatedResources": {"cpu": allocated}, "resources": resources});
            pod(json!({"containerStatuses": [{"name": "other"}, status]})).is_in_effect()
        };
        assert!(has("7m", "20m", "99999744") && has("7m", "15m", "100M"));
        assert!(!has("8m", "20m", "100M") && !has("7m", "25m", "100M") && !has("7m", "20m", "99M"));
        assert!(!pod(json!({})).is_in_effect(), "nothing is told");
        let requests = |cpu: &str| json!({"requests": {"cpu": cpu}, "limits": {"cpu": "15m", "memory": "100M"}});
        let status = |cpu: &str| json!({"containerStatuses": [{"name": "app", "resources": requests(cpu)}]});
        assert!(pod(status("7m")).is_in_effect() && !pod(status("9m")).is_in_effect());
        let seen = Pod { is_seen: true, ..pod(status("9m")) };
        assert!(seen.is_in_effect(), "requests are read back rounded, too");
    }

    #[test]
    fn what_kubelets_told_before_there_were_conditions_is_understood() {
        let of = |resize: &str| pod(json!({"resize": resize})).resize;
        assert!(matches!(of("Infeasible"), Resize::Infeasible { .. }));
        assert!(matches!(of("Proposed"), Resize::Deferred { since: None, .. }));
        assert!(matches!(of("InProgress"), Resize::InProgress { since: None, .. }));
        assert_eq!(of(""), Resize::None);
        let seen =
            |generation: i64| Resize::read(Some(generation), &json!({"observedGeneration": 3, "resize": "Deferred"}));
        assert_eq!(seen(4), Resize::Unseen);
        assert!(matches!(seen(3), Resize::Deferred { .. }));
    }
}
