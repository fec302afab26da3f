//! The plan of a policy that makes the capacity itself: what is planned for, held to step and bounds, chosen by the
//! policy, and asked whether it may come.

use super::{Decision, Facts, decided, may_act};
use crate::action::Mechanism;
use crate::guardrail::Room;
use crate::policy::choose::{Choice, Priced, Wanted, is_same_kind, priced_words};
use crate::policy::floor;
use crate::policy::proposal::{Need, Proposal};
use crate::policy::rules::Rules;
use crate::policy::rules::interface::Chooser;
use crate::policy::stated_bounds::Lacking;
use crate::resource::{Direction, Resource};
use crate::sample::Capacity;

/// Decides by what the chooser takes. `current` serves, `base` was asked for last, and `again` is what is due to be asked
/// for again.
pub(in crate::policy) fn plan(
    rules: &Rules,
    chooser: &dyn Chooser,
    facts: &Facts<'_>,
    (current, base): (&Capacity, &Capacity),
    again: Option<Capacity>,
    mut proposal: Proposal,
) -> Decision {
    let planned = floor::leave(rules, facts, proposal.planned, &mut proposal.reasons);
    let wanted = wanted(rules, facts, (current, base), &planned, &mut proposal);
    let mut choice = chooser.choose(rules, base, &wanted);
    if facts.tells_why {
        proposal.reasons.extend(chooser.words(rules, (current, base), &wanted, &choice));
    }
    let grows = exceeds(&wanted, base);
    if shrinks(&choice.chosen.capacity, base) {
        // What live use demands is an increase: a decrease beside it is asked about as any other.
        let demanded = std::mem::take(&mut proposal.demanded);
        let may_shrink = may_act(rules, facts, Direction::In, &mut proposal);
        proposal.demanded = demanded;
        if !may_shrink && !grows {
            return decided(rules, facts, current, again.filter(|_| proposal.demanded), proposal);
        }
        if !may_shrink {
            choice = chooser.choose(rules, base, &at_least(&wanted, base));
            let text =
                || format!("nothing of what is there is given up for now: {} instead", priced_words(&choice.chosen));
            proposal.reasons.push(facts.reason(&format!("{}.keeps", rules.policy.name()), text));
            if shrinks(&choice.chosen.capacity, base) {
                return decided(rules, facts, current, again.filter(|_| proposal.demanded), proposal);
            }
        }
    }
    let desired = choice.chosen.capacity;
    if desired == *base {
        return decided(rules, facts, current, again, proposal);
    }
    // What is taken only since it is cheaper waits as a decrease does.
    let direction = if grows { Direction::Out } else { Direction::In };
    let lacking = Lacking::of(&rules.guardrails.bounds, base);
    if !shrinks(&desired, base) && !may_act(rules, facts, direction, &mut proposal) {
        let desired = lacking.as_ref().and_then(|_| least(rules, chooser, base));
        proposal.reasons.extend(lacking.zip(desired.as_ref()).map(|(lacking, to)| lacking.met((current, base), to)));
        return decided(rules, facts, current, desired, proposal);
    }
    proposal.reasons.extend(lacking.map(|lacking| lacking.met((current, base), &desired)));
    decided(rules, facts, current, Some(desired), proposal)
}

/// What is chosen of what has the stated minimum and takes nothing away; `None` where that is nothing new.
fn least(rules: &Rules, chooser: &dyn Chooser, base: &Capacity) -> Option<Capacity> {
    let low = rules.guardrails.bounds.room(Direction::In);
    let stated = Wanted { cpu_cores: low.cpu_cores.0, memory_bytes: low.memory_bytes.0, replicas: low.replicas.0 };
    let desired = chooser.choose(rules, base, &at_least(&stated, base)).chosen.capacity;
    (desired != *base && !shrinks(&desired, base)).then_some(desired)
}

/// What is chosen, and what else would cover the need; what may not be given up is not asked about. `base` was asked for
/// last.
pub(in crate::policy) fn candidates(
    rules: &Rules,
    chooser: &dyn Chooser,
    facts: &Facts<'_>,
    (current, base): (&Capacity, &Capacity),
    mut proposal: Proposal,
) -> Vec<Priced> {
    let planned = floor::leave(rules, facts, proposal.planned, &mut proposal.reasons);
    let wanted = wanted(rules, facts, (current, base), &planned, &mut proposal);
    let Choice { chosen, alternatives, .. } = chooser.choose(rules, base, &wanted);
    std::iter::once(chosen).chain(alternatives).collect()
}

/// By which mechanism a capacity comes: more or fewer of the same, or another type.
pub(in crate::policy) fn mechanism(current: &Capacity, desired: &Capacity) -> Mechanism {
    if is_same_kind(current, desired) { Mechanism::Replicas } else { Mechanism::InstanceType }
}

fn shrinks(desired: &Capacity, base: &Capacity) -> bool {
    let by_size = Resource::ALL.iter().any(|r| r.of(desired) < r.of(base) * (1.0 - 1e-9));
    by_size || (mechanism(base, desired) == Mechanism::Replicas && desired.replicas < base.replicas)
}

fn exceeds(wanted: &Wanted, base: &Capacity) -> bool {
    let above = |want: f64, have: f64| want > have * (1.0 + 1e-9);
    above(wanted.cpu_cores, base.cpu_cores())
        || above(wanted.memory_bytes, base.memory_bytes())
        || wanted.replicas > base.replicas
}

fn at_least(wanted: &Wanted, base: &Capacity) -> Wanted {
    Wanted {
        cpu_cores: wanted.cpu_cores.max(base.cpu_cores()),
        memory_bytes: wanted.memory_bytes.max(base.memory_bytes()),
        replicas: wanted.replicas,
    }
}

/// What has to be covered: what is planned, no further from what was asked for than one step, unless live use demands
/// it, and no less than the bounds say.
fn wanted(
    rules: &Rules,
    facts: &Facts<'_>,
    (current, base): (&Capacity, &Capacity),
    planned: &Need,
    proposal: &mut Proposal,
) -> Wanted {
    let step = if proposal.demanded {
        [Room::FREE; 2]
    } else {
        let room = |direction| rules.guardrails.step.size_room(base, direction, (0.0, 0.0));
        [room(Direction::In), room(Direction::Out)]
    };
    let proven = if proposal.demanded { Room::FREE } else { floor::proven_room(rules, facts, current, Direction::Out) };
    let known = floor::known_need(&rules.guardrails, facts.live);
    let low = rules.guardrails.bounds.room(Direction::In);
    let mut within = |resource: Resource, low: f64| {
        let (of, now) = (|room: &Room| room_of(room, resource), resource.of(base));
        let planned = planned.of(resource).unwrap_or(now);
        let most = if now > 0.0 {
            of(&step[1]).1.max(known.of(resource).unwrap_or(0.0)).min(of(&proven).1.max(now))
        } else {
            f64::INFINITY
        };
        let stepped = planned.max(of(&step[0]).0).min(most);
        if stepped != planned {
            let text = || {
                format!(
                    "{}: one action may go only so far: {} instead of {}",
                    resource.kpi(),
                    resource.amount(stepped),
                    resource.amount(planned)
                )
            };
            proposal.reasons.push(facts.reason("guardrail.step", text));
        }
        stepped.max(low)
    };
    let cpu_cores = within(Resource::Cpu, low.cpu_cores.0);
    let memory_bytes = within(Resource::Memory, low.memory_bytes.0);
    let by_rates = (planned.replicas.unwrap_or(0.0) * (1.0 - 1e-9)).ceil() as u32;
    Wanted { cpu_cores, memory_bytes, replicas: by_rates.max(low.replicas.0) }
}

fn room_of(room: &Room, resource: Resource) -> (f64, f64) {
    match resource {
        Resource::Cpu => room.cpu_cores,
        Resource::Memory => room.memory_bytes,
    }
}
