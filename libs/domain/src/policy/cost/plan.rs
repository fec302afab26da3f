//! The plan of the policy `cost`: what is planned for, held to step and bounds, chosen at the least price, and asked
//! whether it may come.

use super::choose::{Choice, Offer, Priced, Wanted, choose, is_same_kind};
use crate::action::{Mechanism, Reason};
use crate::guardrail::Room;
use crate::policy::Cost;
use crate::policy::decide::{Decision, Facts, decided, may_act};
use crate::policy::floor;
use crate::policy::proposal::{Need, Proposal};
use crate::policy::rules::Rules;
use crate::resource::{Direction, Resource};
use crate::sample::Capacity;
use crate::wording::{capacity as capacity_words, number, reason};

/// Alternatives that a decision names.
const NAMED: usize = 3;

/// Decides by price. `current` serves, `base` was asked for last, and `again` is what is due to be asked for again.
pub(in crate::policy) fn plan(
    rules: &Rules,
    cost: &Cost,
    facts: &Facts<'_>,
    (current, base): (&Capacity, &Capacity),
    again: Option<Capacity>,
    mut proposal: Proposal,
) -> Decision {
    let planned = floor::leave(rules, facts, proposal.planned, &mut proposal.reasons);
    let wanted = wanted(rules, facts, (current, base), &planned, &mut proposal);
    let offer = offer(rules);
    let mut choice = choose(base, &wanted, &offer, cost.switch_saving_min);
    proposal.reasons.extend(words(cost, (current, base), &wanted, &offer, &choice));
    let grows = exceeds(&wanted, base);
    if shrinks(&choice.chosen.capacity, base) {
        // What live use demands is an increase: a decrease beside it is asked about as any other.
        let demanded = std::mem::take(&mut proposal.demanded);
        let may_shrink = may_act(rules, facts, Direction::In, &mut proposal);
        proposal.demanded = demanded;
        if !may_shrink && !grows {
            return Decision::Hold(proposal.reasons);
        }
        if !may_shrink {
            choice = choose(base, &at_least(&wanted, base), &offer, cost.switch_saving_min);
            let text =
                format!("nothing of what is there is given up for now: {} instead", priced_words(&choice.chosen));
            proposal.reasons.push(reason("cost.keeps", text));
            if shrinks(&choice.chosen.capacity, base) {
                return Decision::Hold(proposal.reasons);
            }
        }
    }
    let desired = choice.chosen.capacity;
    if desired == *base {
        return decided(rules, facts, current, again, proposal);
    }
    // What is taken only since it is cheaper waits as a decrease does.
    let direction = if grows { Direction::Out } else { Direction::In };
    if !shrinks(&desired, base) && !may_act(rules, facts, direction, &mut proposal) {
        return Decision::Hold(proposal.reasons);
    }
    decided(rules, facts, current, Some(desired), proposal)
}

/// What covers the need at the least price, and what else would, the cheapest of each type; what may not be given up is
/// not asked about. `base` was asked for last.
pub(in crate::policy) fn candidates(
    rules: &Rules,
    cost: &Cost,
    facts: &Facts<'_>,
    (current, base): (&Capacity, &Capacity),
    mut proposal: Proposal,
) -> Vec<Priced> {
    let planned = floor::leave(rules, facts, proposal.planned, &mut proposal.reasons);
    let wanted = wanted(rules, facts, (current, base), &planned, &mut proposal);
    let Choice { chosen, alternatives, .. } = choose(base, &wanted, &offer(rules), cost.switch_saving_min);
    std::iter::once(chosen).chain(alternatives).collect()
}

fn offer(rules: &Rules) -> Offer<'_> {
    let bounds = rules.guardrails.bounds.room(Direction::Out);
    Offer {
        prices: &rules.sizing.prices,
        replicas_max: bounds.replicas.1,
        cpu_cores_max: bounds.cpu_cores.1,
        memory_bytes_max: bounds.memory_bytes.1,
    }
}

/// By which mechanism a capacity that this policy chose comes: more or fewer of the same, or another type.
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
            let text = format!(
                "{}: one action may go only so far: {} instead of {}",
                resource.kpi(),
                resource.amount(stepped),
                resource.amount(planned)
            );
            proposal.reasons.push(reason("guardrail.step", text));
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

fn priced_words(priced: &Priced) -> String {
    let price =
        priced.price_per_h.map_or_else(|| "at no known price".to_owned(), |p| format!("at {} an hour", number(p)));
    format!("{} {price}", capacity_words(&priced.capacity))
}

/// What is chosen, what else there was, and what each would cost.
fn words(
    cost: &Cost,
    (current, base): (&Capacity, &Capacity),
    wanted: &Wanted,
    offer: &Offer<'_>,
    choice: &Choice,
) -> Vec<Reason> {
    let Choice { chosen, covers, alternatives } = choice;
    let needed = format!(
        "{} and {} over at least {}",
        Resource::Cpu.amount(wanted.cpu_cores),
        Resource::Memory.amount(wanted.memory_bytes),
        crate::wording::replicas(wanted.replicas)
    );
    let held = if base == current { "serves now" } else { "is planned" };
    let now =
        offer.prices.price_per_h(base).map_or_else(String::new, |p| format!(" (what {held} costs {})", number(p)));
    if !covers {
        let text = format!(
            "nothing on offer covers {needed} within the bounds; what covers most is {}{now}",
            priced_words(chosen)
        );
        return vec![reason("cost.nothing_covers", text)];
    }
    let named: Vec<String> = alternatives.iter().take(NAMED).map(priced_words).collect();
    let others =
        if named.is_empty() { "nothing else does".to_owned() } else { format!("others are {}", named.join("; ")) };
    let text = format!("{needed} are covered by {}{now}; {others}", priced_words(chosen));
    let mut reasons = vec![reason("cost.choice", text)];
    let cheaper = alternatives.first().filter(|a| a.price_per_h < chosen.price_per_h && a.price_per_h.is_some());
    if let (Some(cheaper), Some(price)) = (cheaper.and_then(|a| a.price_per_h), chosen.price_per_h) {
        let text = format!(
            "another type saves {} %, less than the {} % that it takes to change it",
            number((1.0 - cheaper / price) * 100.0),
            number(cost.switch_saving_min * 100.0)
        );
        reasons.push(reason("cost.stays", text));
    }
    reasons
}
