//! What comes next for the number of replicas of an object. Pure.
//!
//! The request sets the `scale` subresource, which may be granted without the right to change anything else of an object. It
//! carries the version of the object that it was decided on, so it takes effect on that one or not at all, and it is
//! made in the name of the action: the server keeps with a field under which name it was set last.

use super::autoscaler::{self, Autoscaler};
use super::config::AutoscalerMode;
use super::headroom::Headroom;
use super::object::Object;
use super::target::Target;
use crate::drive::driver::{Aim, Standing};
use crate::drive::order::Order;
use crate::drive::step::{Method, Request, Step};
use prescale_domain::action::{ActionOutcome, Verdict};
use prescale_domain::sample::Capacity;
use prescale_domain::time::EventTime;
use serde_json::json;

/// Seconds until what is on its way is looked at again.
const LOOK_AGAIN_S: u32 = 2;
/// Seconds until an object that is being rolled out is looked at again.
const ROLLOUT_LOOK_AGAIN_S: u32 = 10;

/// What the server shows of a workload.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Facts {
    pub(super) target: Target,
    pub(super) object: Object,
    /// The autoscaler that owns the number of its replicas, if one does and it was looked for.
    pub(super) autoscaler: Option<Autoscaler>,
    /// The room on nodes that is kept for it or may be asked for, where the configuration wants any.
    pub(super) headroom: Option<Headroom>,
}

/// By what rules objects are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) requires_annotation: bool,
    pub(super) autoscaler: AutoscalerMode,
    /// Room on nodes is kept for so many seconds at most.
    pub(super) room_s: u32,
}

/// The name under which the request of an action is made.
pub(super) fn manager(order: &Order) -> String {
    format!("prescale-{}", order.id())
}

/// How far an object is from what an action asks for.
pub(super) fn standing(Facts { object, autoscaler, .. }: &Facts, aim: &Aim) -> Standing {
    let order = aim.order.as_ref();
    let is_set = object.was_set_by(&manager(order)) || object.replicas == order.action.desired.replicas;
    Standing {
        is_taken: autoscaler
            .as_ref()
            .map_or(is_set, |autoscaler| autoscaler.bears(order) || autoscaler::raised(autoscaler, order).is_none()),
        is_dry_run: object.asks_for_dry_runs(),
        mark: autoscaler.as_ref().map_or_else(|| object.mark(), Autoscaler::mark),
        capacity: Some(Capacity { replicas: object.replicas, ..order.action.current.clone() }),
    }
}

/// What comes next.
pub(super) fn next(facts: &Facts, rules: Rules, aim: &Aim, now: EventTime) -> Step {
    let Facts { target, object, autoscaler, headroom } = facts;
    let (action, desired) = (&aim.order.action, aim.order.action.desired.replicas);
    let is_left_alone = autoscaler.is_some() && rules.autoscaler == AutoscalerMode::Refuse && object.replicas < desired;
    if let Some(kept) = headroom.as_ref().filter(|_| !action.dry_run && (!is_left_alone || action.is_withdrawal()))
        && let Some(step) = kept.gone()
    {
        return step;
    }
    if let Some(why) = aim.order.withdrawn_for() {
        return match autoscaler {
            Some(autoscaler) => autoscaler::given_back(autoscaler, &aim.order, why),
            None => Step::Done(ActionOutcome::Superseded { why }),
        };
    }
    if let Some(why) = object.forbids(desired, rules.requires_annotation) {
        return failed(format!("{} {} is left as it is: {why}", target.kind, target.name));
    }
    match (autoscaler, rules.autoscaler) {
        (Some(autoscaler), AutoscalerMode::RaiseMin) => {
            let is_undone = aim.sent_from.as_ref().is_some_and(|mark| *mark != autoscaler.mark());
            return match autoscaler::raised(autoscaler, &aim.order) {
                Some(Step::Send(_)) if is_undone => {
                    let why = format!("{} was changed by somebody else meanwhile", autoscaler.name());
                    Step::Done(ActionOutcome::Superseded { why })
                }
                Some(step) => step,
                // How far it goes down is the autoscaler's to decide.
                None if action.verdict == Verdict::ScaleIn => Step::Done(ActionOutcome::Applied { effective_at: now }),
                None => match settled(object, action.verdict, autoscaler.allowed(&aim.order), now) {
                    Step::Done(outcome) => autoscaler.falls_short(&aim.order).map_or(Step::Done(outcome), failed),
                    step => step,
                },
            };
        }
        (Some(autoscaler), AutoscalerMode::Refuse) if object.replicas != desired => {
            return left_alone(facts, autoscaler, rules, aim, now);
        }
        _ => {}
    }
    if object.replicas == desired {
        return settled(object, action.verdict, desired, now);
    }
    if let Some(why) = overtaken(object, aim) {
        return Step::Done(ActionOutcome::Superseded { why });
    }
    if action.verdict == Verdict::ScaleIn && (object.is_rolling_out || !object.is_observed) {
        let how =
            if object.is_observed { "is being rolled out" } else { "has changed, which its controller has not seen" };
        let why = format!("{} {} {how}", target.kind, target.name);
        return Step::Wait { why, look_again_s: ROLLOUT_LOOK_AGAIN_S };
    }
    Step::Send(request(facts, &aim.order))
}

/// What comes next where an autoscaler is left alone: room on nodes for what it will add, or nothing.
fn left_alone(facts: &Facts, autoscaler: &Autoscaler, rules: Rules, aim: &Aim, now: EventTime) -> Step {
    let Facts { target, object, headroom, .. } = facts;
    let missing = aim.order.action.desired.replicas.saturating_sub(object.replicas);
    let until = aim.order.valid_until().min(now.plus_s(rules.room_s.into()));
    let was_sent = aim.sent_from.is_some();
    let room = headroom.as_ref().and_then(|room| room.next(missing, &aim.order, was_sent, (now, until)));
    if let Some(step) = room {
        return step;
    }
    failed(format!(
        "{} owns the number of replicas of {} {}: remove it, or set [actuator.kubernetes] autoscaler = \"raise-min\"",
        autoscaler.name(),
        target.kind,
        target.name
    ))
}

/// Why the number of replicas stays as others have set it, where it does.
fn overtaken(object: &Object, aim: &Aim) -> Option<String> {
    let (action, replicas) = (&aim.order.action, object.replicas);
    if aim.sent_from.as_ref().is_some_and(|mark| *mark != object.mark()) {
        let owners: Vec<&str> = object.owners.iter().map(|(manager, _)| manager.as_str()).collect();
        let by = if owners.is_empty() { "somebody".to_owned() } else { owners.join(" and ") };
        return Some(format!("it was set to {replicas} replicas by {by} meanwhile"));
    }
    let desired = action.desired.replicas;
    match action.verdict {
        Verdict::ScaleOut if replicas > desired => {
            Some(format!("it has {replicas} replicas already, and the action adds to fewer"))
        }
        Verdict::ScaleIn if replicas < desired => {
            Some(format!("it has {replicas} replicas by now, and the action takes away from more"))
        }
        _ => None,
    }
}

/// Of an object that has been told how many replicas it should have, whether it has them.
fn settled(object: &Object, verdict: Verdict, desired: u32, now: EventTime) -> Step {
    let Object { existing, ready, .. } = *object;
    let why = if !object.is_observed {
        "its controller has not seen the change yet".to_owned()
    } else if verdict == Verdict::ScaleIn && existing > desired {
        format!("{existing} replicas are still there")
    } else if verdict != Verdict::ScaleIn && ready < desired {
        format!("{ready} of {desired} replicas are ready")
    } else {
        return Step::Done(ActionOutcome::Applied { effective_at: now });
    };
    let why = object.trouble.as_ref().map_or_else(|| why.clone(), |trouble| format!("{why}: {trouble}"));
    Step::Wait { why, look_again_s: LOOK_AGAIN_S }
}

fn request(Facts { target, object, .. }: &Facts, order: &Order) -> Request {
    let body = json!({
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {
            "name": target.name,
            "namespace": target.namespace,
            "uid": object.uid,
            "resourceVersion": object.resource_version,
        },
        "spec": {"replicas": order.action.desired.replicas},
    });
    Request {
        method: Method::Put,
        path: format!("{}?fieldManager={}", target.scale_path(), manager(order)),
        content_type: "application/json",
        body,
    }
}

fn failed(why: String) -> Step {
    Step::Done(ActionOutcome::Failed { why, retryable: false })
}

#[cfg(test)]
mod tests;
