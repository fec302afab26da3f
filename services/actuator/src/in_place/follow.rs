//! The template follows its pods, so that those that come later have their size, and without replacing any.
//!
//! A template that waits (of a StatefulSet that is `OnDelete`, of a bare ReplicaSet) is changed as it is. That
//! of a Deployment is one by which its controller looks for a ReplicaSet: where none has it, it makes one and replaces all
//! pods. So the ReplicaSet's template goes first, which replaces nothing, and the Deployment's after it, while the
//! Deployment is paused and its controller has seen each step. Templates that always replace pods are left as they are.

use super::container::patch_of;
use super::workload::{PAUSED_FOR, ReplicaSet, Rollout, Sizes, Workload};
use crate::drive::step::{Method, Request, Step};
use serde_json::{Value, json};

const MERGE: &str = "application/merge-patch+json";
/// By which lists of containers are merged by name.
pub(super) const STRATEGIC: &str = "application/strategic-merge-patch+json";
const LOOK_AGAIN_S: u32 = 2;

/// The next step of the template towards these sizes; `None` where it has them, or cannot follow.
pub(super) fn next(workload: &Workload, sets: &[ReplicaSet], sizes: &Sizes, action_id: &str) -> Option<Step> {
    if workload.paused_for().is_some() {
        return Some(on_the_way(workload, sets, Some(sizes)));
    }
    if workload.template.asks_for(sizes) {
        return None;
    }
    match workload.rollout {
        Rollout::Replaces | Rollout::Unknown | Rollout::Deployment { is_paused: true } => None,
        Rollout::Waits => Some(Step::Send(template(workload, sizes, json!({}), json!({})))),
        Rollout::Deployment { is_paused: false } => begin(workload, sets, sizes, action_id),
    }
}

/// What ends the following that was begun, with the sizes that the ReplicaSet has by now.
pub(super) fn finish(workload: &Workload, sets: &[ReplicaSet]) -> Option<Step> {
    workload.paused_for().map(|_| on_the_way(workload, sets, None))
}

/// Pauses the Deployment, where its template can follow.
fn begin(workload: &Workload, sets: &[ReplicaSet], sizes: &Sizes, action_id: &str) -> Option<Step> {
    if workload.rollout_failure.is_some() {
        return None;
    }
    if !workload.is_observed || !workload.is_rolled_out {
        return Some(wait("a rollout of somebody else's"));
    }
    let place = sets.iter().position(|set| is_its(workload, set))?;
    // The controller would take an older one that has the template.
    let is_twin = |set: &ReplicaSet| set.template.is_like(&workload.template) && set.template.asks_for(sizes);
    if sets[..place].iter().any(is_twin) {
        return None;
    }
    let body = json!({
        "metadata": {"resourceVersion": workload.resource_version, "annotations": {PAUSED_FOR: action_id}},
        "spec": {"paused": true},
    });
    Some(Step::Send(patch(&workload.path, MERGE, body)))
}

/// Goes on where the Deployment was paused for this; to these sizes, or with those that its ReplicaSet has.
fn on_the_way(workload: &Workload, sets: &[ReplicaSet], sizes: Option<&Sizes>) -> Step {
    let unmark = json!({PAUSED_FOR: null});
    if workload.rollout != (Rollout::Deployment { is_paused: true }) {
        // Somebody has resumed it.
        let body = json!({"metadata": {"resourceVersion": workload.resource_version, "annotations": unmark}});
        return Step::Send(patch(&workload.path, MERGE, body));
    }
    if !workload.is_observed {
        return wait("the controller to see that the Deployment is paused");
    }
    let resume = json!({"paused": null});
    let Some(set) = sets.iter().find(|set| is_its(workload, set)) else {
        // Somebody has changed the template.
        return Step::Send(template(workload, &Sizes::new(), unmark, resume));
    };
    if let Some(sizes) = sizes.filter(|sizes| !set.template.asks_for(sizes)) {
        let containers = patch_of(set.template.changes(sizes));
        let body = json!({
            "metadata": {"resourceVersion": set.resource_version},
            "spec": {"template": {"spec": {"containers": containers}}},
        });
        return Step::Send(patch(&set.path, STRATEGIC, body));
    }
    if !set.is_observed {
        return wait("the controller to see the ReplicaSet's template");
    }
    Step::Send(template(workload, &set.template.sizes(), unmark, resume))
}

/// Whether it is the ReplicaSet that has the Deployment's pods.
fn is_its(workload: &Workload, set: &ReplicaSet) -> bool {
    set.is_active && set.template.is_like(&workload.template)
}

/// Gives the template these sizes, together with annotations and other parts of the specification.
pub(super) fn template(workload: &Workload, sizes: &Sizes, annotations: Value, mut spec: Value) -> Request {
    let changes = workload.template.changes(sizes);
    if !changes.is_empty() {
        spec["template"]["spec"]["containers"] = patch_of(changes);
    }
    let metadata = json!({"resourceVersion": workload.resource_version, "annotations": annotations});
    patch(&workload.path, STRATEGIC, json!({"metadata": metadata, "spec": spec}))
}

/// A change of a part of an object.
pub(super) fn patch(path: &str, content_type: &'static str, body: Value) -> Request {
    Request { method: Method::Patch, path: path.to_owned(), content_type, body }
}

/// Marks the workload with an annotation.
pub(super) fn annotate(workload: &Workload, key: &str, value: &str) -> Request {
    let body = json!({"metadata": {"resourceVersion": workload.resource_version, "annotations": {key: value}}});
    patch(&workload.path, MERGE, body)
}

fn wait(for_what: &str) -> Step {
    Step::Wait { why: format!("the template is to follow, and waits for {for_what}"), look_again_s: LOOK_AGAIN_S }
}
