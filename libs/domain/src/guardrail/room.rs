//! How much capacity an action may ask for: bounds of the workload and the size of one step.

use crate::resource::Direction;
use crate::sample::Capacity;

/// Bounds of a workload's capacity. An increase never ends outside of them, a decrease never
/// below the lower ones. A workload that is below the lower ones is brought up to them at once, one that is above the
/// upper ones comes down as any decrease does, but for the default of `replicas_max`, which nobody stated.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// Fewest replicas, at least 1.
    pub replicas_min: u32,
    /// Most replicas.
    pub replicas_max: u32,
    /// Fewest cores over all replicas.
    pub cpu_cores_min: f64,
    /// Most cores over all replicas; `None` for no bound.
    pub cpu_cores_max: Option<f64>,
    /// Least memory over all replicas, in bytes.
    pub memory_bytes_min: f64,
    /// Most memory over all replicas, in bytes; `None` for no bound.
    pub memory_bytes_max: Option<f64>,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            replicas_min: 1,
            replicas_max: 100,
            cpu_cores_min: 0.0,
            cpu_cores_max: None,
            memory_bytes_min: 0.0,
            memory_bytes_max: None,
        }
    }
}

/// How far one action may go. A change by one replica, or one grain of a limit, is always
/// allowed: a small workload could otherwise never change.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Largest increase as a share of the present capacity; 1 lets it double.
    pub share_max_out: f64,
    /// Largest decrease as a share of the present capacity; 0.5 lets it halve.
    pub share_max_in: f64,
    /// Most replicas added or removed at a time; `None` for no bound.
    pub replicas_max: Option<u32>,
}

impl Default for Step {
    fn default() -> Self {
        Self { share_max_out: 1.0, share_max_in: 0.5, replicas_max: None }
    }
}

/// Lowest and highest capacity allowed, over all replicas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Room {
    /// Replicas.
    pub replicas: (u32, u32),
    /// Cores.
    pub cpu_cores: (f64, f64),
    /// Bytes of memory.
    pub memory_bytes: (f64, f64),
}

impl Room {
    /// No restraint.
    pub const FREE: Self =
        Self { replicas: (1, u32::MAX), cpu_cores: (0.0, f64::INFINITY), memory_bytes: (0.0, f64::INFINITY) };

    /// This room moved into `bounds`, which have the last word: a step that would end outside of
    /// them ends at their edge.
    pub fn within(self, bounds: Self) -> Self {
        let reals = |a: (f64, f64), b: (f64, f64)| (a.0.max(b.0).min(b.1), a.1.max(b.0).min(b.1));
        let (a, b) = (self.replicas, bounds.replicas);
        Self {
            replicas: (a.0.max(b.0).min(b.1), a.1.max(b.0).min(b.1)),
            cpu_cores: reals(self.cpu_cores, bounds.cpu_cores),
            memory_bytes: reals(self.memory_bytes, bounds.memory_bytes),
        }
    }

    /// This room with its upper ends raised to a capacity, to no more than so many replicas.
    pub fn up_to(self, capacity: &Capacity, replicas_max: u32) -> Self {
        Self {
            replicas: (self.replicas.0, self.replicas.1.max(capacity.replicas.min(replicas_max))),
            cpu_cores: (self.cpu_cores.0, self.cpu_cores.1.max(capacity.cpu_cores())),
            memory_bytes: (self.memory_bytes.0, self.memory_bytes.1.max(capacity.memory_bytes())),
        }
    }
}

impl Bounds {
    /// The room that they leave for a change in that direction.
    pub fn room(&self, direction: Direction) -> Room {
        let high =
            |x: Option<f64>| if direction == Direction::Out { x.unwrap_or(f64::INFINITY) } else { f64::INFINITY };
        Room {
            replicas: (
                self.replicas_min.max(1),
                if direction == Direction::Out { self.replicas_max } else { u32::MAX },
            ),
            cpu_cores: (self.cpu_cores_min, high(self.cpu_cores_max)),
            memory_bytes: (self.memory_bytes_min, high(self.memory_bytes_max)),
        }
    }
}

impl Step {
    /// Room for a change of the number of replicas.
    pub fn replicas_room(&self, current: &Capacity, direction: Direction) -> Room {
        let n = current.replicas;
        let most = self.replicas_max.unwrap_or(u32::MAX).max(1);
        let by_share = |share: f64| (f64::from(n) * share + 1e-9).floor().max(1.0).min(f64::from(u32::MAX)) as u32;
        let replicas = match direction {
            Direction::Out => (1, n.saturating_add(by_share(self.share_max_out).min(most))),
            Direction::In => (n.saturating_sub(by_share(self.share_max_in).min(most)).max(1), u32::MAX),
        };
        Room { replicas, ..Room::FREE }
    }

    /// Room for a change of the size of the replicas; `grain` is the smallest change of cores and
    /// bytes over all replicas.
    pub fn size_room(&self, current: &Capacity, direction: Direction, grain: (f64, f64)) -> Room {
        let range = |now: f64, grain: f64| match direction {
            Direction::Out => (0.0, now + (now * self.share_max_out).max(grain)),
            Direction::In => (now - (now * self.share_max_in).max(grain), f64::INFINITY),
        };
        Room {
            cpu_cores: range(current.cpu_cores(), grain.0),
            memory_bytes: range(current.memory_bytes(), grain.1),
            ..Room::FREE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_replicas(replicas: u32) -> Capacity {
        Capacity { replicas, cpu_cores_per_replica: 2.0, memory_bytes_per_replica: 8e9, instance_type: None }
    }

    #[test]
    fn a_step_is_a_share_but_at_least_one_replica() {
        let step = Step { share_max_out: 0.5, share_max_in: 0.25, replicas_max: Some(3) };
        assert_eq!(step.replicas_room(&of_replicas(1), Direction::Out).replicas.1, 2);
        assert_eq!(step.replicas_room(&of_replicas(4), Direction::Out).replicas.1, 6);
        assert_eq!(step.replicas_room(&of_replicas(40), Direction::Out).replicas.1, 43);
        assert_eq!(step.replicas_room(&of_replicas(2), Direction::In).replicas.0, 1);
        assert_eq!(step.replicas_room(&of_replicas(8), Direction::In).replicas.0, 6);
        assert_eq!(step.replicas_room(&of_replicas(1), Direction::In).replicas.0, 1);
    }

    #[test]
    fn a_step_of_size_is_a_share_but_at_least_one_grain() {
        let step = Step { share_max_out: 0.1, share_max_in: 0.1, replicas_max: None };
        let room = step.size_room(&of_replicas(1), Direction::Out, (0.25, 1e9));
        assert_eq!((room.cpu_cores.1, room.memory_bytes.1), (2.25, 9e9));
        let room = step.size_room(&of_replicas(10), Direction::In, (0.25, 1e9));
        assert_eq!((room.cpu_cores.0, room.memory_bytes.0), (18.0, 72e9));
    }

    #[test]
    fn bounds_have_the_last_word_over_a_step() {
        let bounds = Bounds { replicas_min: 4, ..Bounds::default() };
        let step = Step::default().replicas_room(&of_replicas(1), Direction::Out);
        assert_eq!(step.within(bounds.room(Direction::Out)).replicas, (4, 4));
    }

    #[test]
    fn upper_bounds_do_not_force_a_decrease_further_down() {
        let bounds = Bounds { replicas_max: 10, cpu_cores_max: Some(20.0), ..Bounds::default() };
        assert_eq!(bounds.room(Direction::Out).replicas, (1, 10));
        assert_eq!(bounds.room(Direction::In).replicas, (1, u32::MAX));
        assert_eq!(bounds.room(Direction::In).cpu_cores.1, f64::INFINITY);
    }
}
