//! From a need to a capacity that the mechanism can make: whole replicas, grains of a limit, or
//! an instance type from the list.

use super::proposal::Need;
use crate::action::Mechanism;
use crate::cloud::PriceList;
use crate::guardrail::{Room, Step};
use crate::knob::Words;
use crate::resource::{Direction, Resource};
use crate::sample::{Capacity, Platform};

pub use crate::cloud::InstanceType;

/// Relative slack against rounding errors: 10 × 1.1 needs 11 replicas and not 12.
const SLACK: f64 = 1e-9;

/// What the mechanisms can make.
#[derive(Clone, Debug, PartialEq)]
pub struct Sizing {
    /// Mechanism to use; `None` for the platform's usual one ([`Sizing::mechanism`]).
    pub mechanism: Option<Mechanism>,
    /// Smallest step of a replica's CPU limit, in cores.
    pub cpu_cores_grain: f64,
    /// Smallest step of a replica's memory limit, in bytes.
    pub memory_bytes_grain: f64,
    /// Instance types to choose from, with their prices.
    pub prices: PriceList,
}

/// How capacity is changed, or as the platform usually does it.
impl Words for Option<Mechanism> {
    const WORDS: &'static [&'static str] = &["auto", "replicas", "limits", "instance-type"];
    const VALUES: &'static [Self] =
        &[None, Some(Mechanism::Replicas), Some(Mechanism::Limits), Some(Mechanism::InstanceType)];
}

impl Default for Sizing {
    fn default() -> Self {
        Self { mechanism: None, cpu_cores_grain: 0.25, memory_bytes_grain: 268_435_456.0, prices: PriceList::default() }
    }
}

impl Sizing {
    /// The mechanism for a workload: the configured one, else replicas; for what is observed only,
    /// limits, since a single machine shows best by its size what it should have been.
    pub fn mechanism(&self, platform: Platform) -> Mechanism {
        let usual = if platform == Platform::OBSERVED_ONLY { Mechanism::Limits } else { Mechanism::Replicas };
        self.mechanism.unwrap_or(usual)
    }

    /// The room that one step leaves. An increase may go to what covers `known` in one, within `step.replicas_max`.
    pub fn step_room(
        &self,
        step: &Step,
        mechanism: Mechanism,
        current: &Capacity,
        direction: Direction,
        known: &Need,
    ) -> Room {
        let room = self.share_room(step, mechanism, current, direction);
        if direction == Direction::In {
            return room;
        }
        match self.fit(mechanism, current, direction, known, &Room::FREE) {
            Some(covers) => room.up_to(&covers, current.replicas.saturating_add(step.replicas_max.unwrap_or(u32::MAX))),
            None => room,
        }
    }

    fn share_room(&self, step: &Step, mechanism: Mechanism, current: &Capacity, direction: Direction) -> Room {
        let n = f64::from(current.replicas);
        match mechanism {
            Mechanism::Replicas => step.replicas_room(current, direction),
            Mechanism::Limits => {
                step.size_room(current, direction, (n * self.cpu_cores_grain, n * self.memory_bytes_grain))
            }
            Mechanism::InstanceType => step.size_room(current, direction, (0.0, 0.0)),
        }
    }

    /// The least capacity in that direction that covers the need within the room, or as much of
    /// the need as there is room for; `None` when that is no change in that direction.
    pub fn fit(
        &self,
        mechanism: Mechanism,
        current: &Capacity,
        direction: Direction,
        need: &Need,
        room: &Room,
    ) -> Option<Capacity> {
        match mechanism {
            Mechanism::Replicas => fit_replicas(current, direction, need, room),
            Mechanism::Limits => self.fit_limits(current, direction, need, room),
            Mechanism::InstanceType => self.fit_instance_type(current, direction, need, room),
        }
    }

    fn fit_limits(&self, current: &Capacity, direction: Direction, need: &Need, room: &Room) -> Option<Capacity> {
        let n = f64::from(current.replicas);
        let limit = |now: f64, need: Option<f64>, room: (f64, f64), grain: f64| {
            let Some(need) = need else { return now };
            let wanted = round_up(need.max(room.0) / n, grain).max(grain);
            match direction {
                Direction::Out => wanted.min(round_down(room.1 / n, grain)).max(now),
                Direction::In => wanted.min(now),
            }
        };
        let cpu = limit(current.cpu_cores_per_replica, need.cpu_cores, room.cpu_cores, self.cpu_cores_grain);
        let memory =
            limit(current.memory_bytes_per_replica, need.memory_bytes, room.memory_bytes, self.memory_bytes_grain);
        let changed = cpu != current.cpu_cores_per_replica || memory != current.memory_bytes_per_replica;
        changed.then_some(Capacity {
            replicas: current.replicas,
            cpu_cores_per_replica: cpu,
            memory_bytes_per_replica: memory,
            instance_type: None,
        })
    }

    fn fit_instance_type(
        &self,
        current: &Capacity,
        direction: Direction,
        need: &Need,
        room: &Room,
    ) -> Option<Capacity> {
        let n = f64::from(current.replicas);
        let total = |t: &InstanceType, r: Resource| n * t.of(r);
        let allowed = |t: &&InstanceType| {
            let rooms = [(Resource::Cpu, room.cpu_cores), (Resource::Memory, room.memory_bytes)];
            let in_room = rooms.iter().all(|(r, (low, high))| (*low..=*high).contains(&total(t, *r)));
            let (mut differs, mut onward) = (false, true);
            for r in Resource::ALL {
                let (new, now) = (total(t, r), r.of(current));
                differs |= new != now;
                onward &= match direction {
                    Direction::Out => new >= now,
                    Direction::In => new <= now,
                };
            }
            in_room && onward && differs
        };
        let covers = |t: &InstanceType| {
            Resource::ALL
                .iter()
                .map(|&r| {
                    total(t, r)
                        / need.of(r).unwrap_or_else(|| if direction == Direction::In { 0.0 } else { r.of(current) })
                })
                .fold(1.0, f64::min)
        };
        let candidates = self.prices.instance_types.iter().filter(|t| t.is_available).filter(allowed);
        let best = match direction {
            Direction::Out => candidates
                .max_by(|a, b| covers(a).total_cmp(&covers(b)).then_with(|| b.cheaper_first(a)))
                .filter(|t| covers(t) > coverage_of(current, need)),
            Direction::In => candidates
                .filter(|t| covers(t) >= 1.0)
                .filter(|t| self.prices.price_per_h(current).is_none_or(|now| n * t.price_per_h < now))
                .min_by(|a, b| a.cheaper_first(b)),
        }?;
        Some(best.capacity(current.replicas))
    }
}

/// Share of the need that a capacity covers, at most 1; what nothing is asked of is covered.
fn coverage_of(capacity: &Capacity, need: &Need) -> f64 {
    Resource::ALL.iter().filter_map(|&r| need.of(r).map(|n| r.of(capacity) / n)).fold(1.0, f64::min)
}

fn fit_replicas(current: &Capacity, direction: Direction, need: &Need, room: &Room) -> Option<Capacity> {
    let per = [current.cpu_cores_per_replica, current.memory_bytes_per_replica];
    let up = |amount: f64, per: f64| if per > 0.0 { round_up(amount / per, 1.0) as u32 } else { 0 };
    let down = |amount: f64, per: f64| if per > 0.0 { round_down(amount / per, 1.0) as u32 } else { u32::MAX };
    let by_size = up(need.cpu_cores.unwrap_or(0.0), per[0]).max(up(need.memory_bytes.unwrap_or(0.0), per[1]));
    let wanted = by_size.max(up(need.replicas.unwrap_or(0.0), 1.0));
    let low = room.replicas.0.max(up(room.cpu_cores.0, per[0])).max(up(room.memory_bytes.0, per[1]));
    let high = room.replicas.1.min(down(room.cpu_cores.1, per[0])).min(down(room.memory_bytes.1, per[1]));
    let replicas = wanted.max(low).min(high).max(1);
    let changed = match direction {
        Direction::Out => replicas > current.replicas,
        Direction::In => replicas < current.replicas,
    };
    changed.then(|| Capacity { replicas, ..current.clone() })
}

pub(super) fn round_up(x: f64, grain: f64) -> f64 {
    let grains = x / grain;
    (grains - grains.abs() * SLACK).ceil() * grain
}

pub(super) fn round_down(x: f64, grain: f64) -> f64 {
    let grains = x / grain;
    (grains + grains.abs() * SLACK).floor() * grain
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: f64 = 1_073_741_824.0;

    fn capacity(replicas: u32, cores: f64, gib: f64, instance_type: Option<&str>) -> Capacity {
        Capacity {
            replicas,
            cpu_cores_per_replica: cores,
            memory_bytes_per_replica: gib * GIB,
            instance_type: instance_type.map(Into::into),
        }
    }

    fn need(cores: f64, gib: f64) -> Need {
        Need { cpu_cores: Some(cores), memory_bytes: Some(gib * GIB), replicas: None }
    }

    fn free(mechanism: Mechanism, current: &Capacity, direction: Direction, need: &Need) -> Option<Capacity> {
        Sizing::default().fit(mechanism, current, direction, need, &Room::FREE)
    }

    #[test]
    fn replicas_are_whole_and_the_larger_need_counts() {
        let now = capacity(4, 2.0, 8.0, Some("general-2"));
        let out = free(Mechanism::Replicas, &now, Direction::Out, &need(10.1, 8.0)).expect("grows");
        assert_eq!(out, Capacity { replicas: 6, ..now.clone() });
        let exact = free(Mechanism::Replicas, &capacity(4, 1.0, 8.0, None), Direction::Out, &need(10.0 * 1.1, 1.0));
        assert_eq!(exact.expect("grows").replicas, 11);
        let lower = free(Mechanism::Replicas, &now, Direction::In, &need(1.0, 17.0)).expect("shrinks");
        assert_eq!(lower.replicas, 3);
        assert_eq!(free(Mechanism::Replicas, &now, Direction::In, &need(6.1, 1.0)), None);
        let by_rate = Need { replicas: Some(6.2), ..need(1.0, 1.0) };
        assert_eq!(free(Mechanism::Replicas, &now, Direction::Out, &by_rate).expect("grows").replicas, 7);
        let without_size = capacity(4, 0.0, 0.0, None);
        let fewer = Need { replicas: Some(2.0), ..Need::default() };
        assert_eq!(free(Mechanism::Replicas, &without_size, Direction::In, &fewer).expect("shrinks").replicas, 2);
    }

    #[test]
    fn limits_come_in_grains_and_spare_what_nothing_is_asked_of() {
        let now = capacity(1, 4.0, 16.0, Some("general-4"));
        let cpu_only = Need { cpu_cores: Some(5.6), ..Need::default() };
        let out = free(Mechanism::Limits, &now, Direction::Out, &cpu_only).expect("grows");
        assert_eq!(out, capacity(1, 5.75, 16.0, None));
        let lower = free(Mechanism::Limits, &now, Direction::In, &need(0.01, 3.1)).expect("shrinks");
        assert_eq!(lower, capacity(1, 0.25, 3.25, None));
        assert_eq!(free(Mechanism::Limits, &now, Direction::In, &need(3.9, 15.9)), None);
    }

    #[test]
    fn the_cheapest_instance_type_that_fits_is_taken() {
        let now = capacity(2, 4.0, 16.0, Some("general-4"));
        let out =
            free(Mechanism::InstanceType, &now, Direction::Out, &Need { cpu_cores: Some(13.0), ..Need::default() });
        let out = out.expect("grows");
        assert_eq!(out.instance_type.as_deref(), Some("compute-8"));
        assert_eq!((out.replicas, out.cpu_cores()), (2, 16.0));
        let lower = free(Mechanism::InstanceType, &now, Direction::In, &need(3.0, 10.0)).expect("shrinks");
        assert_eq!(lower.instance_type.as_deref(), Some("general-2"));
        assert_eq!(free(Mechanism::InstanceType, &now, Direction::In, &need(7.0, 31.0)), None);
    }

    #[test]
    fn without_a_type_that_covers_the_need_the_one_that_comes_nearest_is_taken() {
        let now = capacity(1, 8.0, 32.0, Some("general-8"));
        let wants = Need { cpu_cores: Some(100.0), ..Need::default() };
        let out = free(Mechanism::InstanceType, &now, Direction::Out, &wants).expect("grows");
        assert_eq!(out.instance_type.as_deref(), Some("compute-16"));
        let most = capacity(1, 16.0, 64.0, Some("general-16"));
        assert_eq!(free(Mechanism::InstanceType, &most, Direction::Out, &wants), None);
    }

    #[test]
    fn room_limits_every_mechanism() {
        let sizing = Sizing::default();
        let now = capacity(4, 2.0, 8.0, None);
        let room = Room { cpu_cores: (6.0, 11.0), ..Room::FREE };
        let fit = |mechanism, direction, need: Need| sizing.fit(mechanism, &now, direction, &need, &room);
        assert_eq!(fit(Mechanism::Replicas, Direction::Out, need(40.0, 1.0)).map(|c| c.replicas), Some(5));
        assert_eq!(fit(Mechanism::Replicas, Direction::In, need(1.0, 1.0)).map(|c| c.replicas), Some(3));
        assert_eq!(fit(Mechanism::Limits, Direction::Out, need(40.0, 1.0)).map(|c| c.cpu_cores()), Some(11.0));
        assert_eq!(fit(Mechanism::Limits, Direction::In, need(1.0, 1.0)).map(|c| c.cpu_cores()), Some(6.0));
        assert_eq!(fit(Mechanism::InstanceType, Direction::Out, need(40.0, 1.0)), None);
    }
}
