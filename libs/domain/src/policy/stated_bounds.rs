//! What an operator states as bounds comes about where no demand asks for it. A minimum is an order: it is met at once,
//! and nothing that limits change holds it. Down to a maximum it goes as any decrease does.
//!
//! It must not know what demand needs.

use super::proposal::Need;
use super::sizing::{Sizing, round_down};
use crate::action::{Mechanism, Reason};
use crate::guardrail::Bounds;
use crate::resource::{Direction, Resource};
use crate::sample::Capacity;
use crate::wording::{capacity as capacity_words, capacity_gone_by, reason, replicas};

/// Relative slack against rounding errors.
const SLACK: f64 = 1e-9;

/// What a capacity lacks of the stated minimum.
pub(super) struct Lacking {
    /// The minimum of all that is below it.
    need: Need,
    /// The same in words.
    words: String,
}

impl Lacking {
    /// Of what was asked for last (`base`); `None` where it lacks nothing. What is not known of it lacks nothing.
    pub(super) fn of(bounds: &Bounds, base: &Capacity) -> Option<Self> {
        let (mut need, mut stated) = (Need::default(), Vec::new());
        if base.replicas < bounds.replicas_min {
            need.replicas = Some(f64::from(bounds.replicas_min));
            stated.push(replicas(bounds.replicas_min));
        }
        for (resource, least) in [(Resource::Cpu, bounds.cpu_cores_min), (Resource::Memory, bounds.memory_bytes_min)] {
            let has = resource.of(base);
            if has > 0.0 && has < least * (1.0 - SLACK) {
                need.set(resource, least);
                stated.push(resource.amount(least));
            }
        }
        (!stated.is_empty()).then(|| Self { need, words: stated.join(" and ") })
    }

    /// That it comes to `desired`, from `base`, which was asked for last, while `current` serves.
    pub(super) fn met(&self, (current, base): (&Capacity, &Capacity), desired: &Capacity) -> Reason {
        let text = format!(
            "the minimum is stated as {}, above {}: {}, whatever demand asks for; neither step nor pace holds it",
            self.words,
            capacity_gone_by(base, Some(current)),
            capacity_words(desired),
        );
        reason("bounds.minimum", text)
    }

    /// That nothing which can be made comes nearer to it.
    fn out_of_reach(&self, (current, base): (&Capacity, &Capacity)) -> Reason {
        let text = format!(
            "the minimum is stated as {}, above {}: nothing that can be made of it within the other bounds comes nearer",
            self.words,
            capacity_gone_by(base, Some(current)),
        );
        reason("bounds.minimum", text)
    }
}

/// What the stated minimum orders of a workload for which `base` was asked for last, while `current` serves; with its
/// reason, also where nothing can be made that comes nearer to it.
pub(super) fn ordered(
    (bounds, sizing): (&Bounds, &Sizing),
    mechanism: Mechanism,
    (current, base): (&Capacity, &Capacity),
    reasons: &mut Vec<Reason>,
) -> Option<Capacity> {
    let lacking = Lacking::of(bounds, base)?;
    let ordered = sizing.fit(mechanism, base, Direction::Out, &lacking.need, &bounds.room(Direction::Out));
    reasons.push(match &ordered {
        Some(desired) => lacking.met((current, base), desired),
        None => lacking.out_of_reach((current, base)),
    });
    ordered
}

/// A need with what is ordered on top of `base`.
pub(super) fn with_ordered(mut need: Need, base: &Capacity, ordered: &Capacity) -> Need {
    if ordered.replicas > base.replicas {
        need.replicas = Some(need.replicas.unwrap_or(0.0).max(f64::from(ordered.replicas)));
    }
    for resource in Resource::ALL.into_iter().filter(|resource| resource.of(ordered) > resource.of(base)) {
        need.set(resource, need.of(resource).unwrap_or(0.0).max(resource.of(ordered)));
    }
    need
}

/// What has to stay where a capacity is above a stated maximum; `None` where it is not, or where the mechanism cannot say
/// what is left. The default of `replicas_max` was stated by nobody: it is a bound to growth alone.
pub(super) fn most(bounds: &Bounds, sizing: &Sizing, mechanism: Mechanism, base: &Capacity) -> Option<Need> {
    let states_replicas = bounds.replicas_max != Bounds::default().replicas_max;
    let replicas_max = if states_replicas { bounds.replicas_max } else { u32::MAX };
    let room = bounds.room(Direction::Out);
    let most_of = |resource: Resource| match resource {
        Resource::Cpu => room.cpu_cores.1,
        Resource::Memory => room.memory_bytes.1,
    };
    let is_above = |resource: Resource| resource.of(base) > most_of(resource) * (1.0 + SLACK);
    let mut need = Need::default();
    match mechanism {
        Mechanism::Replicas => {
            if base.replicas <= replicas_max && !Resource::ALL.into_iter().any(is_above) {
                return None;
            }
            let n = f64::from(base.replicas);
            let of_size = |resource: Resource| match resource.of(base) / n {
                each if each > 0.0 => round_down(most_of(resource) / each, 1.0),
                _ => f64::INFINITY,
            };
            let by_size = Resource::ALL.into_iter().map(of_size).fold(f64::INFINITY, f64::min);
            need.replicas = Some(f64::from(replicas_max).min(by_size));
        }
        Mechanism::Limits => {
            let n = f64::from(base.replicas);
            let grains = [(Resource::Cpu, sizing.cpu_cores_grain), (Resource::Memory, sizing.memory_bytes_grain)];
            for (resource, grain) in grains.into_iter().filter(|(resource, _)| is_above(*resource)) {
                need.set(resource, n * round_down(most_of(resource) / n, grain));
            }
        }
        Mechanism::InstanceType => {}
    }
    (need != Need::default()).then_some(need)
}

/// That it comes down to a stated maximum, as far as what is in use leaves room.
pub(super) fn above((current, base): (&Capacity, &Capacity)) -> Reason {
    let text = format!(
        "a maximum is stated below {}: it comes down as any decrease does, to no less than what is in use",
        capacity_gone_by(base, Some(current)),
    );
    reason("bounds.maximum", text)
}
