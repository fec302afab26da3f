//! Objects as an API server shows them, and actions on them.

use super::config::AutoscalerMode;
use super::object::Object;
use super::scale::{Facts, Rules};
use super::target::Target;
use crate::drive::driver::Aim;
use crate::drive::order::Order;
use prescale_chassis::audit::Place;
use prescale_domain::action::{Action, Reason, Verdict};
use prescale_domain::sample::Platform;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) const RULES: Rules = Rules { requires_annotation: true, autoscaler: AutoscalerMode::Refuse, room_s: 300 };
pub(super) const NOW: EventTime = EventTime::from_s(1060);

/// Deployment `web` with so many replicas, all ready, that kubectl has set and that may be changed.
pub(super) fn deployment(replicas: u32) -> Value {
    json!({
        "metadata": {
            "uid": "u-1", "resourceVersion": "77", "generation": 4,
            "annotations": {"prescale.io/enabled": "true"},
            "managedFields": [
                {"manager": "kubectl", "operation": "Update", "time": "2026-01-01T00:00:00Z",
                 "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                {"manager": "kube-controller-manager", "subresource": "status", "time": "2026-01-02T00:00:00Z",
                 "fieldsV1": {"f:status": {"f:replicas": {}}}},
            ],
        },
        "spec": {"replicas": replicas},
        "status": {
            "observedGeneration": 4, "replicas": replicas, "readyReplicas": replicas, "updatedReplicas": replicas,
        },
    })
}

/// The name under which the last request was made that set the replicas.
pub(super) fn set_by(object: &mut Value, manager: &str) {
    let entry = &mut object["metadata"]["managedFields"][0];
    entry["manager"] = manager.into();
    entry["subresource"] = "scale".into();
}

pub(super) fn target() -> Target {
    Target::of(&WorkloadId::new("shop/Deployment/web").unwrap(), &BTreeMap::new()).unwrap()
}

pub(super) fn facts(object: &Value) -> Facts {
    Facts { target: target(), object: Object::of(object, None).unwrap(), autoscaler: None, headroom: None }
}

/// An action from so many replicas to so many, decided at 1000 s.
pub(super) fn aim(from: u32, to: u32) -> Aim {
    let mut input = crate::stage::tests::input(1000, from, to);
    input.value.workload = WorkloadId::new("shop/Deployment/web").unwrap();
    input.value.platform = Platform::KUBERNETES;
    let order = Order { place: Place { partition: 0, offset: 0 }, envelope: input.envelope, action: input.value };
    Aim { order: Arc::new(order), sent_from: None }
}

/// The aim of the record that withdraws an action.
pub(super) fn withdrawal(of: &Aim) -> Aim {
    let why = Reason { rule: "governor.paused".into(), text: "paused".into() };
    with_action(of, |action| *action = action.withdrawn(why))
}

pub(super) fn with_action(aim: &Aim, change: impl FnOnce(&mut Action)) -> Aim {
    let mut order = Order::clone(&aim.order);
    change(&mut order.action);
    Aim { order: Arc::new(order), ..aim.clone() }
}

pub(super) fn reshaped(aim: &Aim) -> Aim {
    with_action(aim, |action| action.verdict = Verdict::Reshape)
}
