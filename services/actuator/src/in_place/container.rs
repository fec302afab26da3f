//! A container of a pod or of a template: what it asks for, and what a change of that does to it.

use anyhow::{Context as _, Result};
use prescale_kubernetes::quantity::{of_bytes, of_millis};
use prescale_kubernetes::resources::{Amounts, Resources};
use serde_json::{Map, Value, json};

/// A container as its specification says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Container {
    /// Its name.
    pub(super) name: String,
    /// What it asks for.
    pub(super) resources: Resources,
    /// Whether it is restarted when its CPU changes.
    pub(super) restarts_for_cpu: bool,
    /// Whether it is restarted when its memory changes.
    pub(super) restarts_for_memory: bool,
}

impl Container {
    /// As it stands in a list of containers.
    ///
    /// # Errors
    /// When it has no name, or a quantity is none.
    pub(super) fn read(container: &Value) -> Result<Self> {
        let name = container["name"].as_str().context("a container without a name")?;
        let resources = Resources::read(&container["resources"]).with_context(|| format!("container {name}"))?;
        let policies = container["resizePolicy"].as_array().map(Vec::as_slice).unwrap_or_default();
        let restarts_for = |resource: &str| {
            policies.iter().any(|p| p["resourceName"] == resource && p["restartPolicy"] == "RestartContainer")
        };
        Ok(Self {
            name: name.to_owned(),
            resources,
            restarts_for_cpu: restarts_for("cpu"),
            restarts_for_memory: restarts_for("memory"),
        })
    }

    /// All of a list, in its order; none of null.
    ///
    /// # Errors
    /// As [`Container::read`].
    pub(super) fn read_all(list: &Value) -> Result<Vec<Self>> {
        list.as_array().map(Vec::as_slice).unwrap_or_default().iter().map(Self::read).collect()
    }

    /// What it asks for, with the amounts of `wanted` in place of those that are there; what is absent stays absent.
    pub(super) fn in_place_of(&self, wanted: Resources) -> Resources {
        let of = |now: Amounts, wanted: Amounts| Amounts {
            cpu_millis: now.cpu_millis.and(wanted.cpu_millis).or(now.cpu_millis),
            memory_bytes: now.memory_bytes.and(wanted.memory_bytes).or(now.memory_bytes),
        };
        let now = self.resources;
        Resources { requests: of(now.requests, wanted.requests), limits: of(now.limits, wanted.limits) }
    }

    /// Whether it is restarted where it comes to ask for this.
    pub(super) fn restarts_for(&self, resources: &Resources) -> bool {
        let changes = |of: fn(&Amounts) -> Option<u64>| {
            let now = &self.resources;
            (of(&now.requests), of(&now.limits)) != (of(&resources.requests), of(&resources.limits))
        };
        (self.restarts_for_cpu && changes(|amounts| amounts.cpu_millis))
            || (self.restarts_for_memory && changes(|amounts| amounts.memory_bytes))
    }
}

/// The containers with what each is to ask for, as a list for a strategic merge patch.
pub(super) fn patch_of<'a>(changes: impl IntoIterator<Item = (&'a str, Resources)>) -> Value {
    let one = |(name, resources): (&str, Resources)| {
        let both = [("requests", list(&resources.requests)), ("limits", list(&resources.limits))];
        let there = both.into_iter().filter(|(_, list)| !list.is_empty());
        let resources: Map<String, Value> = there.map(|(key, list)| (key.to_owned(), Value::Object(list))).collect();
        json!({"name": name, "resources": resources})
    };
    changes.into_iter().map(one).collect()
}

fn list(amounts: &Amounts) -> Map<String, Value> {
    let cpu = amounts.cpu_millis.map(|millis| ("cpu".to_owned(), Value::from(of_millis(millis))));
    let memory = amounts.memory_bytes.map(|bytes| ("memory".to_owned(), Value::from(of_bytes(bytes))));
    cpu.into_iter().chain(memory).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_restarts_a_container_is_a_change_of_what_its_policy_names() {
        let container = Container::read(&json!({
            "name": "app",
            "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
            "resizePolicy": [
                {"resourceName": "cpu", "restartPolicy": "NotRequired"},
                {"resourceName": "memory", "restartPolicy": "RestartContainer"},
            ],
        }));
        let container = container.unwrap();
        let (mut more_cpu, mut more_memory) = (container.resources, container.resources);
        more_cpu.requests.cpu_millis = Some(2000);
        more_memory.limits.memory_bytes = Some(2 << 30);
        assert!(!container.restarts_for(&container.resources) && !container.restarts_for(&more_cpu));
        assert!(container.restarts_for(&more_memory));
        assert!(Container::read(&json!({"resources": {}})).is_err());
        let unreadable = json!([{"name": "app", "resources": {"limits": {"cpu": "x"}}}]);
        assert!(format!("{:#}", Container::read_all(&unreadable).unwrap_err()).contains("container app"));
    }

    #[test]
    fn a_patch_names_what_is_there_alone() {
        let requests = Amounts { cpu_millis: Some(1500), memory_bytes: Some(3 << 29) };
        let patch = patch_of([("app", Resources { requests, limits: Amounts::default() })]);
        assert_eq!(patch, json!([{"name": "app", "resources": {"requests": {"cpu": "1500m", "memory": "1536Mi"}}}]));
    }
}
