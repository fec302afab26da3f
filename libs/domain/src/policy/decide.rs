//! One decision: facts in, an immutable plan or the reasons against one out.

use super::proposal::{Direction, Need, Proposal, propose};
use super::resource::Resource;
use super::rules::{Policy, Rules};
use super::wording::{capacity as capacity_words, instant, number, reason};
use crate::action::{Action, Mechanism, Reason, Verdict};
use crate::guardrail::{History, Room};
use crate::prediction::Prediction;
use crate::sample::Capacity;
use std::sync::Arc;

/// What is to be done about a workload.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Change its capacity.
    Act(Box<Action>),
    /// Leave it, for these reasons.
    Hold(Vec<Reason>),
}

/// Takes a prediction into account: decides, and remembers the prediction and the decision.
/// `None` when the prediction is not newer than the last one of this workload.
pub fn step(
    rules: &Rules,
    history: &mut History,
    prediction: &Prediction,
    prediction_id: &Arc<str>,
) -> Option<Decision> {
    if history.has(prediction.made_at) {
        return None;
    }
    history.observe(prediction);
    let decision = decide(rules, history, prediction, prediction_id);
    if let Decision::Act(action) = &decision {
        history.record(action, rules.guardrails.pace.valid_for_s);
    }
    Some(decision)
}

/// Decides about one workload. The history has observed the prediction already.
pub fn decide(rules: &Rules, history: &History, prediction: &Prediction, prediction_id: &Arc<str>) -> Decision {
    let Some(current) = prediction.capacity.as_ref().filter(|c| is_sound(c)) else {
        let text = "the prediction does not say what capacity the workload has".to_owned();
        return Decision::Hold(vec![reason("policy.no_capacity", text)]);
    };
    let Policy::Threshold(threshold) = &rules.policy;
    let mut proposal = propose(threshold, &rules.forecast, prediction, current);
    grow_where_saturated(rules, threshold.headroom, prediction, current, &mut proposal);
    let Some((direction, need)) = proposal.change else {
        return Decision::Hold(proposal.reasons);
    };
    let need = match direction {
        Direction::Out => need,
        Direction::In => live_floor(rules, prediction, need, &mut proposal.reasons),
    };
    let mechanism = rules.sizing.mechanism(prediction.platform);
    let Some(desired) = size(rules, mechanism, current, direction, &need, &mut proposal.reasons) else {
        return Decision::Hold(proposal.reasons);
    };
    if !may_act(rules, history, prediction, (direction, &desired), &mut proposal) {
        return Decision::Hold(proposal.reasons);
    }
    let dry_run = rules.dry_run.on(prediction.platform);
    if dry_run {
        proposal.reasons.push(reason("plan.dry_run", "published only: nothing is called".to_owned()));
    }
    Decision::Act(Box::new(Action {
        workload: prediction.workload.clone(),
        decided_at: prediction.made_at,
        valid_until: prediction.made_at.plus_s(i64::from(rules.guardrails.pace.valid_for_s)),
        prediction_id: prediction_id.clone(),
        policy: rules.policy.name().into(),
        verdict: match direction {
            Direction::Out => Verdict::ScaleOut,
            Direction::In => Verdict::ScaleIn,
        },
        current: current.clone(),
        desired,
        mechanism,
        dry_run,
        evidence: proposal.evidence,
        reasons: proposal.reasons,
        platform: prediction.platform,
    }))
}

fn is_sound(capacity: &Capacity) -> bool {
    let size = [capacity.cpu_cores_per_replica, capacity.memory_bytes_per_replica];
    capacity.replicas >= 1 && size.iter().all(|v| v.is_finite() && *v >= 0.0)
}

/// Turns the proposal into an increase where use has come to its limit, or adds to the increase.
fn grow_where_saturated(
    rules: &Rules,
    headroom: f64,
    prediction: &Prediction,
    current: &Capacity,
    proposal: &mut Proposal,
) {
    let from = rules.guardrails.saturated_from;
    let mut need = match proposal.change {
        Some((Direction::Out, need)) => need,
        _ => Need::default(),
    };
    for &resource in &rules.forecast.resources {
        let Some(last) = measured_last(prediction, resource) else { continue };
        let capacity = resource.of(current);
        let is_saturated = from > 0.0 && capacity > 0.0 && last >= from * capacity;
        if !is_saturated || need.of(resource).is_some_and(|needed| needed >= last * headroom) {
            continue;
        }
        let text = format!(
            "{}: {} of {} are in use now, from {} on capacity grows whatever the forecast says: {} are needed ({} × use)",
            resource.kpi(),
            resource.amount(last),
            resource.amount(capacity),
            resource.amount(from * capacity),
            resource.amount(last * headroom),
            number(headroom),
        );
        proposal.reasons.push(reason("guardrail.saturated", text));
        need.set(resource, last * headroom);
        proposal.change = Some((Direction::Out, need));
    }
}

fn measured_last(prediction: &Prediction, resource: Resource) -> Option<f64> {
    let forecast = prediction.resources.iter().find(|r| r.resource.as_str() == resource.kpi())?;
    forecast.last.filter(|last| last.is_finite())
}

/// Raises what a decrease leaves to the demand measured last, whatever the forecast says.
fn live_floor(rules: &Rules, prediction: &Prediction, mut need: Need, reasons: &mut Vec<Reason>) -> Need {
    let factor = rules.guardrails.live_floor;
    for resource in Resource::ALL {
        let (Some(wanted), Some(last)) = (need.of(resource), measured_last(prediction, resource)) else { continue };
        let floor = last * factor;
        if floor > wanted {
            let text = format!(
                "{}: {} are in use now, so at least {} stay ({} × use)",
                resource.kpi(),
                resource.amount(last),
                resource.amount(floor),
                number(factor),
            );
            reasons.push(reason("guardrail.live_floor", text));
            need.set(resource, floor);
        }
    }
    need
}

/// The capacity that the mechanism can make within step and bounds; `None`, with the reason left,
/// when that is no change.
fn size(
    rules: &Rules,
    mechanism: Mechanism,
    current: &Capacity,
    direction: Direction,
    need: &Need,
    reasons: &mut Vec<Reason>,
) -> Option<Capacity> {
    let fit = |room: &Room| rules.sizing.fit(mechanism, current, direction, need, room);
    let Some(free) = fit(&Room::FREE) else {
        let text = format!("{} cannot be changed so far by {}", capacity_words(current), mechanism_words(mechanism));
        reasons.push(reason("sizing.no_change", text));
        return None;
    };
    reasons.push(reason(sizing_rule(mechanism), format!("that takes {}", capacity_words(&free))));
    let step = rules.sizing.step_room(&rules.guardrails.step, mechanism, current, direction);
    let stepped = fit(&step);
    if stepped.as_ref() != Some(&free) {
        reasons.push(reason("guardrail.step", restrained("one action may go only so far", stepped.as_ref(), current)));
    }
    let bounded = fit(&step.within(rules.guardrails.bounds.room(direction)));
    if bounded != stepped {
        reasons.push(reason("guardrail.bounds", restrained("the bounds of the workload", bounded.as_ref(), current)));
    }
    if bounded.as_ref().is_some_and(|c| !is_sound(c)) {
        reasons.push(reason("sizing.not_finite", "the forecast asks for more than any number can say".to_owned()));
        return None;
    }
    bounded
}

fn restrained(by: &str, to: Option<&Capacity>, current: &Capacity) -> String {
    match to {
        Some(to) => format!("{by}: {} instead", capacity_words(to)),
        None => format!("{by}: it stays at {}", capacity_words(current)),
    }
}

fn sizing_rule(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::Replicas => "sizing.replicas",
        Mechanism::Limits => "sizing.limits",
        Mechanism::InstanceType => "sizing.instance_type",
    }
}

pub(crate) fn mechanism_words(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::Replicas => "the number of replicas",
        Mechanism::Limits => "limits in place",
        Mechanism::InstanceType => "the instance type",
    }
}

/// Asks confidence, what was published already, and the pace; leaves a reason for each objection.
fn may_act(
    rules: &Rules,
    history: &History,
    prediction: &Prediction,
    (direction, desired): (Direction, &Capacity),
    proposal: &mut Proposal,
) -> bool {
    let (now, guardrails) = (prediction.made_at, &rules.guardrails);
    let dry_run = rules.dry_run.on(prediction.platform);
    let mut objections = Vec::new();
    let scored = proposal.scored_least.unwrap_or(0);
    if scored < guardrails.scored_min {
        let text =
            format!("{scored} scored intervals stand behind the forecast, {} are asked for", guardrails.scored_min);
        objections.push(reason("guardrail.confidence", text));
    }
    if history.stands(desired, dry_run, now) {
        let until = history.published.as_ref().map_or(now, |p| p.valid_until);
        objections
            .push(reason("plan.pending", format!("this was asked for already and holds until {}", instant(until))));
    } else if history.renews(desired, dry_run, now, guardrails.pace.valid_for_s) {
        let text =
            "the same was asked for by a dry run that has expired: it is renewed, which counts as no further change";
        proposal.reasons.push(reason("plan.renewal", text.to_owned()));
    } else {
        objections.extend(guardrails.pace.objections(history, now, direction));
    }
    let free = objections.is_empty();
    proposal.reasons.append(&mut objections);
    free
}
