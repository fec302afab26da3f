//! An autoscaler that owns the number of replicas: its least number is raised in its place, and given back. Pure.
//!
//! What it was before stands in an annotation of the autoscaler while it is raised, with the action that has raised it,
//! all in one request under the version that was seen.

use super::annotations::{ACTION, DECIDED_AT, MIN_BEFORE};
use super::object::{count, owners, text_of, texts};
use super::target::Target;
use crate::drive::order::Order;
use crate::drive::step::{Method, Request, Step};
use prescale_domain::action::ActionOutcome;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which kind of autoscaler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    HorizontalPodAutoscaler,
    ScaledObject,
}

/// An autoscaler of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Autoscaler {
    kind: Kind,
    namespace: String,
    name: String,
    resource_version: String,
    annotations: BTreeMap<String, String>,
    min: u32,
    max: u32,
    /// Who has set its least number, each with when.
    owners: Vec<(String, String)>,
    /// Whether it goes by the share that is used of what pods request.
    pub(super) goes_by_requests: bool,
}

impl Kind {
    /// Path of those of a namespace.
    pub(super) fn path(self, namespace: &str) -> String {
        match self {
            Self::HorizontalPodAutoscaler => {
                format!("/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers")
            }
            Self::ScaledObject => format!("/apis/keda.sh/v1alpha1/namespaces/{namespace}/scaledobjects"),
        }
    }

    fn min_field(self) -> &'static str {
        match self {
            Self::HorizontalPodAutoscaler => "minReplicas",
            Self::ScaledObject => "minReplicaCount",
        }
    }

    fn max_field(self) -> &'static str {
        match self {
            Self::HorizontalPodAutoscaler => "maxReplicas",
            Self::ScaledObject => "maxReplicaCount",
        }
    }

    /// What holds where an autoscaler does not say: least, most.
    fn defaults(self) -> (u32, u32) {
        match self {
            Self::HorizontalPodAutoscaler => (1, u32::MAX),
            Self::ScaledObject => (0, 100),
        }
    }
}

impl Autoscaler {
    /// The one among a list's items that scales the target.
    pub(super) fn of(kind: Kind, list: &Value, target: &Target) -> Option<Self> {
        let scales = |item: &&Value| {
            let reference = &item["spec"]["scaleTargetRef"];
            let or = |field: &str, default| reference[field].as_str().unwrap_or(default);
            target.is_meant_by(or("apiVersion", "apps/v1"), or("kind", "Deployment"), or("name", ""))
        };
        let item = list["items"].as_array()?.iter().find(scales)?;
        let (metadata, spec, (min, max)) = (&item["metadata"], &item["spec"], kind.defaults());
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some(Self {
            kind,
            namespace: target.namespace.clone(),
            name: text(&metadata["name"])?,
            resource_version: text(&metadata["resourceVersion"])?,
            annotations: texts(&metadata["annotations"]),
            min: count(&spec[kind.min_field()]).unwrap_or(min),
            max: count(&spec[kind.max_field()]).unwrap_or(max),
            owners: owners(&metadata["managedFields"], &format!("f:{}", kind.min_field())),
            goes_by_requests: goes_by_requests(kind, spec),
        })
    }

    /// Its kind and name.
    pub(super) fn name(&self) -> String {
        format!("{:?} {}", self.kind, self.name)
    }

    /// Whether it bears the id of an action.
    pub(super) fn bears(&self, order: &Order) -> bool {
        self.annotations.get(ACTION).is_some_and(|id| **id == **order.id())
    }

    /// Tells whether anybody has changed its least number.
    pub(super) fn mark(&self) -> Arc<str> {
        format!("{} from {} by {}", self.name(), self.min, text_of(&self.owners)).into()
    }

    /// As many replicas as an action asks for, or as it allows where those are fewer.
    pub(super) fn allowed(&self, order: &Order) -> u32 {
        order.action.desired.replicas.min(self.max)
    }

    /// Why an action does not get all of its replicas, where it does not.
    pub(super) fn falls_short(&self, order: &Order) -> Option<String> {
        let desired = order.action.desired.replicas;
        (desired > self.max).then(|| {
            format!(
                "{} allows {} of the {desired} replicas that are asked for, which are there: raise its {}",
                self.name(),
                self.max,
                self.kind.max_field()
            )
        })
    }

    /// Its own least number of replicas.
    fn own_min(&self) -> u32 {
        let before = self.annotations.get(MIN_BEFORE).and_then(|text| text.parse().ok());
        before.unwrap_or(self.min)
    }

    fn is_raised(&self) -> bool {
        self.annotations.contains_key(MIN_BEFORE)
    }

    /// A request that sets its least number and what it says of it; `null` takes an annotation away.
    fn set(&self, min: u32, said: [(&str, Value); 3]) -> Step {
        let annotations: Map<String, Value> = said.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let spec: Map<String, Value> = Map::from_iter([(self.kind.min_field().to_owned(), min.into())]);
        Step::Send(Request {
            method: Method::Patch,
            path: format!("{}/{}", self.kind.path(&self.namespace), self.name),
            content_type: "application/merge-patch+json",
            body: json!({
                "metadata": {"resourceVersion": self.resource_version, "annotations": annotations},
                "spec": spec,
            }),
        })
    }
}

/// Whether an autoscaler with this specification goes by the share that is used of what pods request.
fn goes_by_requests(kind: Kind, spec: &Value) -> bool {
    let by_share = |metric: &Value| {
        ["resource", "containerResource"].iter().any(|of| metric[of]["target"]["type"] == "Utilization")
    };
    let by_requests = |trigger: &Value| {
        matches!(trigger["type"].as_str(), Some("cpu" | "memory")) && trigger["metricType"] != "AverageValue"
    };
    match kind {
        // Without metrics it goes by the CPU's.
        Kind::HorizontalPodAutoscaler => spec["metrics"].as_array().is_none_or(|all| all.iter().any(by_share)),
        Kind::ScaledObject => spec["triggers"].as_array().is_some_and(|all| all.iter().any(by_requests)),
    }
}

/// What comes next so that at least as many replicas are there as an action asks for and the autoscaler allows; `None` once
/// it has been told.
pub(super) fn raised(autoscaler: &Autoscaler, order: &Order) -> Option<Step> {
    let own_min = autoscaler.own_min();
    let min = autoscaler.allowed(order).max(own_min);
    if autoscaler.min == min && autoscaler.is_raised() == (min > own_min) {
        return None;
    }
    if autoscaler.bears(order) {
        let why = format!("{} was set to at least {} by somebody else", autoscaler.name(), autoscaler.min);
        return Some(Step::Done(ActionOutcome::Superseded { why }));
    }
    let kept: Value = if min > own_min { own_min.to_string().into() } else { Value::Null };
    let (id, decided_at_ms) = (order.id().to_string(), order.action.decided_at.as_ms().to_string());
    Some(autoscaler.set(min, [(MIN_BEFORE, kept), (ACTION, id.into()), (DECIDED_AT, decided_at_ms.into())]))
}

/// What comes next after an action was withdrawn: the autoscaler gets its own least number back, where that action has
/// raised it.
pub(super) fn given_back(autoscaler: &Autoscaler, withdrawal: &Order, why: String) -> Step {
    let decided_at_ms = withdrawal.action.decided_at.as_ms().to_string();
    let is_of_action = autoscaler.annotations.get(DECIDED_AT) == Some(&decided_at_ms);
    if !is_of_action || !autoscaler.is_raised() {
        return Step::Done(ActionOutcome::Superseded { why });
    }
    autoscaler.set(autoscaler.own_min(), [(MIN_BEFORE, Value::Null), (ACTION, Value::Null), (DECIDED_AT, Value::Null)])
}

#[cfg(test)]
mod tests;
