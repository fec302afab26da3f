//! An object as the server shows it, and what of it matters here. Pure.

use super::annotations::{DRY_RUN, ENABLED, REPLICAS_MAX, REPLICAS_MIN};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An object with replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) uid: String,
    pub(super) resource_version: String,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) is_being_deleted: bool,
    /// Whether its controller has seen the newest version of what it should be.
    pub(super) is_observed: bool,
    /// Replicas that it should have.
    pub(super) replicas: u32,
    /// Replicas that there are.
    pub(super) existing: u32,
    /// Those of them that are ready; all of them where its kind does not say.
    pub(super) ready: u32,
    /// Whether replicas of an older template are being replaced.
    pub(super) is_rolling_out: bool,
    /// What its controller says is wrong.
    pub(super) trouble: Option<String>,
    /// Who has set the number of replicas, each with when, in order.
    pub(super) owners: Vec<(String, String)>,
}

impl Object {
    /// From an object, and its `scale` where that does not say how many replicas there should be.
    ///
    /// # Errors
    /// With what it lacks.
    pub(super) fn of(object: &Value, scale: Option<&Value>) -> Result<Self, String> {
        let (metadata, spec, status) = (&object["metadata"], &object["spec"], &object["status"]);
        let text = |value: &Value, what: &str| {
            value.as_str().map(str::to_owned).ok_or_else(|| format!("the server shows an object without {what}"))
        };
        let replicas = count(&spec["replicas"]).or_else(|| count(&scale?["spec"]["replicas"]));
        let existing = count(&status["replicas"]).or_else(|| count(&scale?["status"]["replicas"])).unwrap_or(0);
        let says_ready = scale.is_none() || !status["readyReplicas"].is_null();
        let ready = if says_ready { count(&status["readyReplicas"]).unwrap_or(0) } else { existing };
        let updated = count(&status["updatedReplicas"]);
        let number = |value: &Value| value.as_i64();
        let observed = number(&status["observedGeneration"]).zip(number(&metadata["generation"]));
        Ok(Self {
            uid: text(&metadata["uid"], "a uid")?,
            resource_version: text(&metadata["resourceVersion"], "a resourceVersion")?,
            annotations: texts(&metadata["annotations"]),
            is_being_deleted: !metadata["deletionTimestamp"].is_null(),
            is_observed: observed.is_none_or(|(observed, generation)| observed >= generation),
            replicas: replicas.ok_or("the server shows an object without a number of replicas")?,
            existing,
            ready,
            is_rolling_out: updated.is_some_and(|updated| updated < existing),
            trouble: trouble(&status["conditions"]),
            owners: owners(&metadata["managedFields"]),
        })
    }

    /// Tells whether anybody has changed the number of replicas, or made the object anew.
    pub(super) fn mark(&self) -> Arc<str> {
        let owners: Vec<String> = self.owners.iter().map(|(manager, time)| format!("{manager} {time}")).collect();
        format!("{} {} by {}", self.uid, self.replicas, owners.join(", ")).into()
    }

    /// Whether the number of replicas was set last under this name.
    pub(super) fn was_set_by(&self, manager: &str) -> bool {
        self.owners.iter().any(|(owner, _)| owner == manager)
    }

    /// Whether it asks for dry runs alone.
    pub(super) fn asks_for_dry_runs(&self) -> bool {
        self.annotation(DRY_RUN) == Some("true")
    }

    /// Why its capacity may not be changed to so many replicas, where it may not.
    pub(super) fn forbids(&self, desired: u32, requires_annotation: bool) -> Option<String> {
        self.forbids_all(requires_annotation).or_else(|| self.is_out_of_bounds(desired))
    }

    /// Why its capacity may not be changed at all, where it may not.
    pub(super) fn forbids_all(&self, requires_annotation: bool) -> Option<String> {
        match self.annotation(ENABLED) {
            Some("true") => {}
            Some(other) => return Some(format!("its annotation {ENABLED} is {other:?}, and not \"true\"")),
            None if requires_annotation => {
                return Some(format!(
                    "it has no annotation {ENABLED}: \"true\", which [actuator.kubernetes] require_annotation asks for"
                ));
            }
            None => {}
        }
        if self.is_being_deleted {
            return Some("it is being deleted".to_owned());
        }
        (self.replicas == 0).then(|| "somebody has turned it off: it has 0 replicas".to_owned())
    }

    fn is_out_of_bounds(&self, desired: u32) -> Option<String> {
        let bound = |name: &str| self.annotation(name).map(|text| (text.parse::<u32>(), text));
        match bound(REPLICAS_MIN) {
            Some((Ok(min), _)) if desired >= min => {}
            Some((_, text)) => return Some(format!("{desired} replicas: its annotation {REPLICAS_MIN} is {text:?}")),
            None => {}
        }
        match bound(REPLICAS_MAX) {
            Some((Ok(max), _)) if desired <= max => None,
            Some((_, text)) => Some(format!("{desired} replicas: its annotation {REPLICAS_MAX} is {text:?}")),
            None => None,
        }
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(String::as_str)
    }
}

pub(super) fn count(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok()
}

pub(super) fn texts(map: &Value) -> BTreeMap<String, String> {
    let entries = map.as_object().into_iter().flatten();
    entries.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// What conditions say is wrong, in the controller's words.
fn trouble(conditions: &Value) -> Option<String> {
    let is_bad = |condition: &&Value| {
        let said = (condition["type"].as_str(), condition["status"].as_str());
        matches!(said, (Some("ReplicaFailure"), Some("True")) | (Some("Progressing"), Some("False")))
    };
    let bad = conditions.as_array()?.iter().find(is_bad)?;
    let words = bad["message"].as_str().or_else(|| bad["reason"].as_str());
    words.map(str::to_owned)
}

fn owners(managed: &Value) -> Vec<(String, String)> {
    let entries = managed.as_array().into_iter().flatten();
    let has_set =
        |entry: &&Value| entry["subresource"] == "scale" || !entry["fieldsV1"]["f:spec"]["f:replicas"].is_null();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut owners: Vec<(String, String)> =
        entries.filter(has_set).map(|entry| (text(&entry["manager"]), text(&entry["time"]))).collect();
    owners.sort_unstable();
    owners
}
