//! Never less safe than reacting: live use is a floor under every policy.

use super::decide::Facts;
use super::live::throttling::TRIES_MAX;
use super::live::{Live, Peaks, Surge};
use super::proactive::propose::{MEMORY_PEAK_DAYS, forecast_of};
use super::proposal::{Need, Proposal};
use super::rate::judge;
use super::rules::Rules;
use crate::action::{Mechanism, Reason};
use crate::forecast::capped::{Served, Symptoms};
use crate::guardrail::strain::strained;
use crate::guardrail::{Guardrails, Room};
use crate::resource::{Direction, Resource};
use crate::sample::Capacity;
use crate::wording::{number, reason};

/// Use above the capacity within a week says that the capacity does not cap it.
const PASSES_WITHIN_S: i64 = 7 * 86_400;

/// Use at the capacity is in the windows that rules look at, of up to a day, until so long after it.
const CAPPED_WITHIN_S: i64 = 2 * 86_400;

/// Turns the proposal into an increase that nothing but bounds can hold, where live use demands one; with a reason, also
/// where it waits. `base` is what was asked for last, `current` serves.
pub(super) fn raise(rules: &Rules, facts: &Facts<'_>, current: &Capacity, base: &Capacity, proposal: &mut Proposal) {
    for &resource in &rules.forecast.resources {
        let Some(used) = used(facts, resource) else { continue };
        let (asked, serves) = (resource.of(base), resource.of(current));
        let throttled = throttled(rules, facts, resource, &mut proposal.reasons);
        let mut needed = used / rules.guardrails.floor_utilisation;
        needed = throttled.as_ref().map_or(needed, |(cores, _)| cores.max(needed));
        // What serves counts too: an increase that has not come is asked for again.
        let least = asked.min(serves);
        if needed <= least * (1.0 + 1e-9) {
            continue;
        }
        if resource == Resource::Cpu
            && throttled.is_none()
            && let Surge::Young { lasted_s, demands_after_s, short_before } = facts.surge
        {
            proposal.reasons.push(waits(facts, lasted_s, demands_after_s, short_before));
            continue;
        }
        let mut capped = throttled.map_or_else(String::new, |(_, why)| why);
        if resource == Resource::Cpu && is_capped(&rules.guardrails, &facts.live.cpu, used, facts.served) {
            needed = needed.max(serves * (1.0 + rules.guardrails.step.share_max_out));
            needed = needed.max(known_need(&rules.guardrails, facts.live).of(resource).unwrap_or(0.0));
            capped = facts.words(|| format!(
                "; use at {} % of what served it tells how much there is and not how much is wanted, so it grows by the largest step, or to what it used within the week",
                number(used / facts.served.capacity * 100.0)
            ));
        }
        let is_planned = if asked < serves { "planned" } else { "serving now" };
        let text = || {
            format!(
                "{}: {} are in use of {} ({is_planned}), at most {} % may be: {} are needed, whatever the forecast says{capped}",
                resource.kpi(),
                resource.amount(used),
                resource.amount(least),
                number(rules.guardrails.floor_utilisation * 100.0),
                resource.amount(needed),
            )
        };
        proposal.reasons.push(facts.reason("floor.live", text));
        proposal.grow_to(resource, needed);
        proposal.demanded = true;
    }
    judge::demand(rules, facts, (current, base), proposal);
}

/// What a workload that is throttled needs, in cores, with why in words that go on from that; `None` where it is not, and
/// where more capacity has not helped, which is said.
fn throttled(rules: &Rules, facts: &Facts<'_>, resource: Resource, reasons: &mut Vec<Reason>) -> Option<(f64, String)> {
    let throttling = &facts.live.throttling;
    if resource != Resource::Cpu || !throttling.is_at(facts.prediction.made_at) {
        return None;
    }
    let share = || number(throttling.share() * 100.0);
    if throttling.is_in_vain() {
        let text = || {
            format!(
                "{}: it is throttled in {} % of the scheduler's periods, and the last {TRIES_MAX} times that it had half as \
                 much again and more that did not help: bursts are throttled, and nothing more is given for them",
                resource.kpi(),
                share()
            )
        };
        reasons.push(facts.reason("throttling.in_vain", text));
        return None;
    }
    let stepped = facts.served.capacity * (1.0 + rules.guardrails.step.share_max_out);
    let known = known_need(&rules.guardrails, facts.live).of(resource).unwrap_or(0.0);
    let why = facts.words(|| {
        format!(
            "; it is throttled in {} % of the scheduler's periods with {}, so use does not tell how much is wanted, and it \
             grows by the largest step, or to what it used within the week",
            share(),
            resource.amount(facts.served.capacity)
        )
    });
    Some((stepped.max(known), why))
}

fn used(facts: &Facts<'_>, resource: Resource) -> Option<f64> {
    forecast_of(facts.prediction, resource)?.last.filter(|used| used.is_finite())
}

/// Whether CPU use tells how much there is and not how much is wanted.
pub(super) fn is_capped(guardrails: &Guardrails, cpu: &Peaks, used: f64, Served { capacity, .. }: Served) -> bool {
    let from = guardrails.capped_from;
    from > 0.0 && capacity > 0.0 && used >= from * capacity && !cpu.passes_capacity(PASSES_WITHIN_S)
}

/// Whether more CPU may have been wanted than was used: use tells how much there is, or what was measured beside it tells
/// of a shortage.
pub(super) fn hides_demand(
    guardrails: &Guardrails,
    cpu: &Peaks,
    (used, served): (f64, Served),
    symptoms: &Symptoms,
) -> bool {
    let is_strained = symptoms.is_strained(used, served) && !cpu.passes_capacity(PASSES_WITHIN_S);
    symptoms.is_throttled() || is_strained || is_capped(guardrails, cpu, used, served)
}

/// Why a young surge is not answered yet.
pub(super) fn waits(facts: &Facts<'_>, lasted_s: u32, demands_after_s: u32, short_before: usize) -> Reason {
    facts.reason("surge.waits", || {
        let why = if short_before > 0 {
            format!("the last {short_before} such surges of this workload were over before new capacity could serve")
        } else {
            "it may be over before new capacity could serve".to_owned()
        };
        format!("use is above what was asked for since {lasted_s} s; {why}: an increase from {demands_after_s} s on")
    })
}

/// What serves the greatest use of the last week: growth that far is no guess that a step has to hold.
pub(super) fn known_need(guardrails: &Guardrails, live: &Live) -> Need {
    let mut known = Need::default();
    for (resource, peaks) in [(Resource::Cpu, &live.cpu), (Resource::Memory, &live.memory)] {
        if let Some(greatest) = peaks.greatest(MEMORY_PEAK_DAYS) {
            known.set(resource, greatest / guardrails.floor_utilisation);
        }
    }
    known
}

/// How far an increase may go that live use does not demand. A workload that has lately used all that it has, and never
/// more, gets no more than that without demanding it: a surge that has just passed is in every window.
pub(super) fn proven_room(rules: &Rules, facts: &Facts<'_>, current: &Capacity, direction: Direction) -> Room {
    let cpu = &facts.live.cpu;
    let is_capped = rules.guardrails.capped_from > 0.0
        && cpu.reached_capacity(CAPPED_WITHIN_S)
        && !cpu.passes_capacity(PASSES_WITHIN_S);
    if direction == Direction::In || !is_capped {
        return Room::FREE;
    }
    let most = cpu.greatest(MEMORY_PEAK_DAYS).unwrap_or(0.0).max(current.cpu_cores());
    Room { cpu_cores: (0.0, most), ..Room::FREE }
}

/// Raises what a decrease leaves to what is in use, and memory to its recent peak.
pub(super) fn leave(rules: &Rules, facts: &Facts<'_>, mut need: Need, reasons: &mut Vec<Reason>) -> Need {
    let takes_of_all = rules.sizing.mechanism(facts.prediction.platform) != Mechanism::Limits;
    for resource in Resource::ALL {
        // A replica that goes takes what nobody asked about with it.
        let Some(wanted) = need.of(resource).or(takes_of_all.then_some(0.0)) else { continue };
        let peaks = match resource {
            Resource::Cpu => &facts.live.cpu,
            Resource::Memory => &facts.live.memory,
        };
        let Some(used) = peaks.recent() else { continue };
        let (floor, text) = match resource {
            Resource::Cpu => least_cores(rules, facts, used),
            Resource::Memory => least_bytes(rules, facts, used),
        };
        if floor > wanted {
            reasons.push(reason("floor.leaves", text));
            need.set(resource, floor);
        }
    }
    judge::leave(rules, facts, &mut need, reasons);
    need
}

/// The cores that stay of a use, and why.
fn least_cores(rules: &Rules, facts: &Facts<'_>, used: f64) -> (f64, String) {
    let (kpi, amount) = (Resource::Cpu.kpi(), |cores: f64| Resource::Cpu.amount(cores));
    let by_use = used / rules.guardrails.floor_utilisation;
    let serves = facts.prediction.capacity.as_ref().map_or(0.0, Capacity::cpu_cores);
    let unthrottled = facts.live.throttling.cores_enough().map_or(0.0, |cores| cores.min(serves));
    if unthrottled > by_use {
        let text = || format!("{kpi}: it was throttled within a day, so at least {} stay", amount(unthrottled));
        return (unthrottled, facts.words(text));
    }
    let text = || format!("{kpi}: {} were in use just now, so at least {} stay", amount(used), amount(by_use));
    (by_use, facts.words(text))
}

/// The memory that stays of a use, in bytes, and why.
fn least_bytes(rules: &Rules, facts: &Facts<'_>, used: f64) -> (f64, String) {
    let (kpi, amount) = (Resource::Memory.kpi(), |bytes: f64| Resource::Memory.amount(bytes));
    let peak = facts.live.memory.greatest(MEMORY_PEAK_DAYS).unwrap_or(0.0);
    let floor = (used / rules.guardrails.floor_utilisation).max(peak);
    let text = || {
        format!(
            "{kpi}: its peak of the last {MEMORY_PEAK_DAYS} days is {}, so at least {} stay",
            amount(peak),
            amount(floor)
        )
    };
    (floor, facts.words(text))
}

/// What of the live use speaks against a decrease.
pub(super) fn objections_to_a_decrease(facts: &Facts<'_>) -> Vec<Reason> {
    let mut objections = Vec::new();
    let is_sized_by_rates = facts.rates.iter().any(|view| view.serves.is_ok());
    let cpu_is_missing = used(facts, Resource::Cpu).is_none()
        && !(is_sized_by_rates && forecast_of(facts.prediction, Resource::Cpu).is_none());
    let rates = facts.rates.iter().filter(|view| view.serves.is_ok() && view.used.is_none());
    let missing = cpu_is_missing.then_some(Resource::Cpu.kpi()).into_iter().chain(rates.map(|view| view.kpi.as_str()));
    for kpi in missing {
        let text = || format!("{kpi}: the newest value is missing, and missing is not zero");
        objections.push(facts.reason("guardrail.stale", text));
    }
    if facts.hides_demand {
        let text = || {
            format!(
                "{}: more may have been wanted than the {} that were used of {}: a decrease waits until it is seen how much",
                Resource::Cpu.kpi(),
                Resource::Cpu.amount(used(facts, Resource::Cpu).unwrap_or(0.0)),
                Resource::Cpu.amount(facts.served.capacity),
            )
        };
        objections.push(facts.reason("guardrail.capped", text));
    }
    if facts.live.cpu.fell_as_never_before() {
        let text = || {
            format!(
                "{}: it fell to {}, less than half of the least it ever was in a week: whoever calls it may be down",
                Resource::Cpu.kpi(),
                Resource::Cpu.amount(facts.live.cpu.recent().unwrap_or(0.0)),
            )
        };
        objections.push(facts.reason("guardrail.novel_fall", text));
    }
    let cpu = used(facts, Resource::Cpu);
    objections.extend(strained(cpu, facts.live.cpu.hour_mean(), &facts.prediction.signals).map(|s| s.objection()));
    objections
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::EventTime;

    #[test]
    fn throttling_hides_demand_at_any_use_and_latency_where_the_capacity_caps_it() {
        let guardrails = Guardrails::default();
        let throttled = Symptoms { throttled_share: Some(0.4), have_risen: false };
        let risen = Symptoms { throttled_share: None, have_risen: true };
        let (mut cpu, served) = (Peaks::default(), Served::steady(2.0));
        let hides =
            |cpu: &Peaks, used: f64, symptoms: Symptoms| hides_demand(&guardrails, cpu, (used, served), &symptoms);
        cpu.observe(EventTime::from_s(0), 1.0, served);
        assert!(hides(&cpu, 1.6, throttled) && hides(&cpu, 1.9, risen) && hides(&cpu, 1.95, Symptoms::default()));
        assert!(!hides(&cpu, 1.6, risen) && !hides(&cpu, 1.9, Symptoms::default()));
        cpu.observe(EventTime::from_s(60), 2.5, served);
        assert!(!hides(&cpu, 1.9, risen), "the capacity does not cap it");
        assert!(hides(&cpu, 1.6, throttled), "a limit above it does");
    }
}
