//! One decision: facts in, an immutable plan or the reasons against one out.

pub(super) mod ready;

use super::floor;
use super::live::{Live, Surge};
use super::proactive::{Ahead, Prices, Settings, Track};
use super::proposal::{Need, Proposal};
use super::rate::{RateView, judge};
use super::rules::Rules;
use super::stated_bounds;
use crate::action::{Action, Mechanism, PlanChange, Reason, Verdict};
use crate::forecast::capped::Served;
use crate::guardrail::history::DAY_S;
use crate::guardrail::{ASKS, History, Remedy, Room, Unusual};
use crate::prediction::Prediction;
use crate::resource::Direction;
use crate::sample::Capacity;
use crate::wording::{capacity as capacity_words, capacity_gone_by, counted, instant, reason};
use std::sync::Arc;

/// What is to be done about a workload.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Change its capacity.
    Act(Box<Action>),
    /// Leave it, for these reasons; they are worded where [`Facts::tells_why`].
    Hold(Vec<Reason>),
}

/// All that a decision follows from. Everything in it has taken in the prediction already.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The newest prediction.
    pub prediction: &'a Prediction,
    /// Its `ce_id`.
    pub prediction_id: &'a Arc<str>,
    /// What was asked for.
    pub history: &'a History,
    /// Live use.
    pub live: &'a Live,
    /// The CPU that served the newest use, in cores; infinite where it is not known.
    pub served: Served,
    /// Whether more CPU may have been wanted than the newest use.
    pub hides_demand: bool,
    /// What was unusual lately.
    pub unusual: &'a Unusual,
    /// What the newest use of CPU is, against what was asked for.
    pub surge: Surge,
    /// Demand of CPU, and how rules did on it.
    pub track: &'a Track,
    /// What is known of the CPU's demand ahead.
    pub ahead: &'a Ahead,
    /// The fleet's prices.
    pub prices: &'a Prices,
    /// How rules are tried.
    pub settings: &'a Settings,
    /// The rates that it has, of those that the rules name.
    pub rates: &'a [RateView<'a>],
    /// Whether reasons are worded and evidence is gathered, for whoever reads them: to word them takes longer than to
    /// decide. Nothing is decided by it.
    pub tells_why: bool,
}

impl Facts<'_> {
    /// A reason, worded where someone reads it.
    pub fn reason(&self, rule: &str, text: impl FnOnce() -> String) -> Reason {
        reason(rule, self.words(text))
    }

    /// Words of a reason, where someone reads it.
    pub fn words(&self, text: impl FnOnce() -> String) -> String {
        if self.tells_why { text() } else { String::new() }
    }
}

/// Decides about one workload. Why it is changed is always told, why it is left where the facts say so.
pub fn decide(rules: &Rules, facts: &Facts<'_>) -> Decision {
    match decision(rules, facts) {
        Decision::Act(_) if !facts.tells_why => decision(rules, &Facts { tells_why: true, ..*facts }),
        decision => decision,
    }
}

fn decision(rules: &Rules, facts: &Facts<'_>) -> Decision {
    let prediction = facts.prediction;
    let Some(current) = prediction.capacity.as_ref().filter(|c| is_sound(c)) else {
        let text = "the prediction does not say what capacity the workload has".to_owned();
        return Decision::Hold(vec![reason("policy.no_capacity", text)]);
    };
    let (now, dry_run) = (prediction.made_at, rules.dry_run.on(prediction.platform));
    let base = facts.history.base(current, dry_run, now);
    let mut proposal = proposed(rules, facts, (current, base));
    let again = again(facts, &proposal, current, dry_run);
    if let Some(chooser) = rules.policy.chooser() {
        return ready::plan(rules, chooser, facts, (current, base), again, proposal);
    }
    let mechanism = rules.sizing.mechanism(prediction.platform);
    let stated = (&rules.guardrails.bounds, &rules.sizing);
    let ordered = stated_bounds::ordered(stated, mechanism, (current, base), &mut proposal.reasons);
    // A decrease of something else comes after the order.
    let change = proposal.change.filter(|(direction, _)| *direction == Direction::Out || ordered.is_none());
    let mut sized = None;
    if let Some(change) = change {
        sized = resized(rules, facts, (current, base), change, ordered.as_ref(), &mut proposal);
        if sized.is_some() && !may_act(rules, facts, change.0, &mut proposal) {
            if ordered.is_none() {
                return Decision::Hold(proposal.reasons);
            }
            sized = None;
        }
    }
    sized = sized.or(ordered);
    if sized.is_none() && !proposal.demanded {
        sized = brought_down(rules, facts, (current, base), &mut proposal);
        if sized.is_some() && !may_act(rules, facts, Direction::In, &mut proposal) {
            return Decision::Hold(proposal.reasons);
        }
    }
    decided(rules, facts, current, sized.or(again), proposal)
}

/// What a change comes to, within what holds it; an increase covers what is ordered too.
fn resized(
    rules: &Rules,
    facts: &Facts<'_>,
    (current, base): (&Capacity, &Capacity),
    (direction, need): (Direction, Need),
    ordered: Option<&Capacity>,
    proposal: &mut Proposal,
) -> Option<Capacity> {
    let need = match direction {
        Direction::Out => ordered.map_or(need, |ordered| stated_bounds::with_ordered(need, base, ordered)),
        Direction::In => floor::leave(rules, facts, need, &mut proposal.reasons),
    };
    let mechanism = rules.sizing.mechanism(facts.prediction.platform);
    let step = if proposal.demanded {
        Room::FREE
    } else {
        let room = |known: &Need| rules.sizing.step_room(&rules.guardrails.step, mechanism, base, direction, known);
        let step = if rules.policy.plan().is_some() {
            room(&floor::known_need(&rules.guardrails, facts.live))
                .within(floor::proven_room(rules, facts, current, direction))
        } else {
            room(&Need::default())
        };
        ordered.map_or(step, |ordered| step.up_to(ordered, u32::MAX))
    };
    size(rules, facts, (mechanism, base), (direction, &step), &need, &mut proposal.reasons)
}

/// What it comes to on the way down to a stated maximum, where it is above one.
fn brought_down(
    rules: &Rules,
    facts: &Facts<'_>,
    (current, base): (&Capacity, &Capacity),
    proposal: &mut Proposal,
) -> Option<Capacity> {
    let mechanism = rules.sizing.mechanism(facts.prediction.platform);
    let need = stated_bounds::most(&rules.guardrails.bounds, &rules.sizing, mechanism, base)?;
    proposal.reasons.push(stated_bounds::above((current, base)));
    resized(rules, facts, (current, base), (Direction::In, need), None, proposal)
}

/// What the policy, rates and live use propose. `current` serves, `base` was asked for last.
pub(super) fn proposed(rules: &Rules, facts: &Facts<'_>, (current, base): (&Capacity, &Capacity)) -> Proposal {
    let mut proposal = rules.policy.propose(rules, facts, base);
    judge::combine(rules, facts, base, &mut proposal);
    floor::raise(rules, facts, current, base, &mut proposal);
    remedied(rules, facts, base, &mut proposal);
    proposal
}

/// While an anomaly lasts: a step more than there was when it began, or a word to whoever is asked, where that is in force.
/// A step is a proposal as any other: step, bounds and pace hold it, and once the anomaly is over it is taken back as what
/// nobody needs. What live use demands is left alone.
fn remedied(rules: &Rules, facts: &Facts<'_>, base: &Capacity, proposal: &mut Proposal) {
    let now = facts.prediction.made_at;
    let in_force = facts.unusual.in_force(&rules.remedies, &rules.guardrails, now);
    let Some(in_force) = in_force.filter(|_| !proposal.demanded) else { return };
    match in_force.remedy {
        Remedy::ScaleOut => {
            let resource = in_force.resource;
            let before = in_force.capacity.map_or(0.0, |capacity| resource.of(capacity));
            let needed = before * (1.0 + rules.remedies.step_share);
            let is_more = needed.is_finite() && needed > resource.of(base) * (1.0 + 1e-9);
            if !is_more || !rules.forecast.resources.contains(&resource) {
                return;
            }
            proposal.grow_to(resource, needed);
            let text = || {
                format!("{}: {} while an anomaly lasts: {}", resource.kpi(), resource.amount(needed), in_force.words())
            };
            proposal.reasons.push(facts.reason("anomaly.scale_out", text));
        }
        Remedy::Ask if proposal.change.is_some() => {
            proposal.reasons.push(facts.reason(ASKS, || format!("an operator is asked: {}", in_force.words())));
        }
        Remedy::Ask | Remedy::HoldScaleIn | Remedy::Freeze => {}
    }
}

/// The plan, where a capacity is asked for.
pub(super) fn decided(
    rules: &Rules,
    facts: &Facts<'_>,
    current: &Capacity,
    desired: Option<Capacity>,
    mut proposal: Proposal,
) -> Decision {
    let Some(desired) = desired else {
        return Decision::Hold(proposal.reasons);
    };
    let prediction = facts.prediction;
    let (now, dry_run) = (prediction.made_at, rules.dry_run.on(prediction.platform));
    if facts.history.published.as_ref().is_some_and(|p| p.desired == desired && p.dry_run == dry_run) {
        proposal.reasons.push(reason("plan.renewal", "the same as before, which has not come".to_owned()));
    }
    let planned = facts.history.base(current, dry_run, now);
    proposal.reasons.extend(plan_change(current, planned, &desired));
    if dry_run {
        proposal.reasons.push(reason("plan.dry_run", "published only: nothing is called".to_owned()));
    }
    let mechanism = match rules.policy.chooser() {
        Some(_) => ready::mechanism(current, &desired),
        None => rules.sizing.mechanism(prediction.platform),
    };
    Decision::Act(Box::new(Action {
        workload: prediction.workload.clone(),
        decided_at: now,
        valid_until: now.plus_s(i64::from(rules.guardrails.pace.valid_for_s)),
        prediction_id: facts.prediction_id.clone(),
        policy: rules.policy.name().into(),
        verdict: verdict(current, &desired),
        current: current.clone(),
        desired,
        mechanism,
        dry_run,
        evidence: proposal.evidence,
        reasons: proposal.reasons,
        platform: prediction.platform,
    }))
}

/// Tells of a plan that goes the other way than the verdict says, which is about what serves.
fn plan_change(serves: &Capacity, planned: &Capacity, desired: &Capacity) -> Option<Reason> {
    if planned == desired {
        return None;
    }
    let (change, words) = match (verdict(planned, desired), verdict(serves, desired)) {
        (Verdict::ScaleOut, Verdict::ScaleIn) => (PlanChange::Raised, "it is raised, and still less than what serves"),
        (Verdict::ScaleIn, Verdict::ScaleOut) => (PlanChange::Lowered, "it is lowered, to no less than what serves"),
        _ => return None,
    };
    let text = format!("the plan was {}: {words}, {}", capacity_words(planned), capacity_words(serves));
    Some(reason(change.rule(), text))
}

/// What it is to go from one capacity to another.
pub(super) fn verdict(current: &Capacity, desired: &Capacity) -> Verdict {
    let totals = [(current.cpu_cores(), desired.cpu_cores()), (current.memory_bytes(), desired.memory_bytes())];
    // Where no size is known the count tells.
    let grows = totals.iter().any(|(now, wanted)| wanted > now) || desired.replicas >= current.replicas;
    if grows && totals.iter().all(|(now, wanted)| wanted >= now) {
        Verdict::ScaleOut
    } else if totals.iter().all(|(now, wanted)| wanted <= now) {
        Verdict::ScaleIn
    } else {
        Verdict::Reshape
    }
}

/// What was asked for and has not come, again: where live use demands it, once its validity is over, or at once where it
/// did not demand it before, since whoever rules on the fleet may have held it for that. A dry run that stands may have been
/// held as well, and is told of ever less often.
fn again(facts: &Facts<'_>, proposal: &Proposal, current: &Capacity, dry_run: bool) -> Option<Capacity> {
    let published = facts.history.published.as_ref()?;
    let now = facts.prediction.made_at;
    let is_from_here = published.from == *current;
    let is_due = match (proposal.demanded, now < published.valid_until) {
        (true, true) => !published.demanded,
        (true, false) => is_from_here,
        (false, _) => dry_run && is_from_here && now >= published.told_again_from(&facts.prediction.workload),
    };
    let stands = published.dry_run == dry_run && published.desired != *current;
    (stands && is_due).then(|| published.desired.clone())
}

pub(super) fn is_sound(capacity: &Capacity) -> bool {
    let size = [capacity.cpu_cores_per_replica, capacity.memory_bytes_per_replica];
    capacity.replicas >= 1 && size.iter().all(|v| v.is_finite() && *v >= 0.0)
}

/// The capacity that the mechanism can make within step and bounds; `None`, with the reason left,
/// when that is no change.
fn size(
    rules: &Rules,
    facts: &Facts<'_>,
    (mechanism, base): (Mechanism, &Capacity),
    (direction, step): (Direction, &Room),
    need: &Need,
    reasons: &mut Vec<Reason>,
) -> Option<Capacity> {
    let held = || capacity_gone_by(base, facts.prediction.capacity.as_ref());
    let fit = |room: &Room| rules.sizing.fit(mechanism, base, direction, need, room);
    let Some(free) = fit(&Room::FREE) else {
        let text = || format!("{} is as near as {} comes: no other change", held(), mechanism_words(mechanism));
        reasons.push(facts.reason("sizing.no_change", text));
        return None;
    };
    reasons.push(facts.reason(sizing_rule(mechanism), || format!("that takes {}", capacity_words(&free))));
    let stepped = fit(step);
    if stepped.as_ref() != Some(&free) {
        let text = || restrained("one action may go only so far", stepped.as_ref(), &held());
        reasons.push(facts.reason("guardrail.step", text));
    }
    let bounded = fit(&step.within(rules.guardrails.bounds.room(direction)));
    if bounded != stepped {
        let text = || restrained("the bounds of the workload", bounded.as_ref(), &held());
        reasons.push(facts.reason("guardrail.bounds", text));
    }
    if bounded.as_ref().is_some_and(|c| !is_sound(c)) {
        reasons.push(reason("sizing.not_finite", "the forecast asks for more than any number can say".to_owned()));
        return None;
    }
    bounded
}

fn restrained(by: &str, to: Option<&Capacity>, held: &str) -> String {
    match to {
        Some(to) => format!("{by}: {} instead", capacity_words(to)),
        None => format!("{by}: it stays at {held}"),
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

/// Asks confidence, the pace, and what speaks against a decrease; leaves a reason for each objection. What live use
/// demands comes whatever they say.
pub(super) fn may_act(rules: &Rules, facts: &Facts<'_>, direction: Direction, proposal: &mut Proposal) -> bool {
    if proposal.demanded {
        let text = "live use demands it: confidence, pace and surges are not asked about".to_owned();
        proposal.reasons.push(reason("guardrail.free", text));
        return true;
    }
    let (now, guardrails) = (facts.prediction.made_at, &rules.guardrails);
    let mut objections = Vec::new();
    if let Some(scored) = proposal.scored_least.or((guardrails.scored_min > 0).then_some(0))
        && scored < guardrails.scored_min
    {
        let text = || {
            format!(
                "{} behind the forecast, of at least {} asked for",
                counted(scored as usize, "scored interval"),
                guardrails.scored_min
            )
        };
        objections.push(facts.reason("guardrail.confidence", text));
    }
    if let Surge::Young { lasted_s, demands_after_s, short_before } = facts.surge
        && direction == Direction::Out
        && rules.policy.plan().is_some()
    {
        objections.push(floor::waits(facts, lasted_s, demands_after_s, short_before));
    }
    let in_force = facts.unusual.in_force(&rules.remedies, guardrails, now);
    if let Some(in_force) = in_force.filter(|in_force| in_force.remedy == Remedy::Freeze) {
        objections.push(facts.reason("anomaly.freeze", || format!("nothing changes: {}", in_force.words())));
    }
    if direction == Direction::In {
        objections.extend(floor::objections_to_a_decrease(facts));
        objections.extend(facts.unusual.objection(guardrails, now));
    }
    if let Some(published) = &facts.history.published
        && published.dry_run == rules.dry_run.on(facts.prediction.platform)
        && !published.dry_run
        && now < published.valid_until
        && direction == Direction::In
    {
        let text = || format!("an action stands until {}: no decrease before that", instant(published.valid_until));
        objections.push(facts.reason("plan.pending", text));
    }
    objections.extend(guardrails.pace.objections(facts.history, now, direction));
    if objections.is_empty() {
        proposal.reasons.push(facts.reason("guardrail.free", || free_words(rules, facts, direction)));
        return true;
    }
    proposal.reasons.append(&mut objections);
    false
}

fn free_words(rules: &Rules, facts: &Facts<'_>, direction: Direction) -> String {
    let since = facts.prediction.made_at.plus_s(-DAY_S);
    let asked = match direction {
        Direction::In => ", strain, missing values and a fall never seen are",
        Direction::Out => " and surges are",
    };
    format!(
        "nothing stands against it: {} within 24 h of at most {}; cooldown, warm-up, confidence{asked} asked",
        counted(facts.history.changes_since(since), "change"),
        rules.guardrails.pace.changes_per_day_max,
    )
}
