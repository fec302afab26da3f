//! One workload of the fleet: who it is, what it would use if it could, and what it starts with.

use super::archetype::Archetype;
use super::draw::Draw;
use super::load::Load;
use super::serving::{Demand, Requests};
use crate::cloud::PriceList;
use crate::sample::Capacity;
use crate::time::EventTime;
use crate::workload::WorkloadId;

const GIB: f64 = 1_073_741_824.0;
const MINUTE_S: i64 = 60;
/// Widest CPU of one replica, as a share of what the workload needs at its peak.
const REPLICA_SHARE: f64 = 0.4;

/// A workload of the generated fleet. All of it follows from the seed and its number.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetWorkload {
    /// Its id: `FLEET-ARCHETYPE-NUMBER`.
    pub id: WorkloadId,
    /// Its kind.
    pub archetype: Archetype,
    /// The capacity that it has before anyone changes it.
    pub initial_capacity: Capacity,
    load: Load,
    memory: MemoryPattern,
    noise: Draw,
    size: Size,
}

/// What load 1 is in units.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Size {
    cpu_cores: f64,
    idle_cpu_cores: f64,
    memory_bytes: f64,
    disk_bytes_per_s: f64,
    requests_per_s: f64,
    service_ms: f64,
    bytes_per_request: f64,
    failing_share: f64,
}

/// Memory beside what the load needs, relative to the memory at load 1.
#[derive(Clone, Copy, Debug, PartialEq)]
enum MemoryPattern {
    Level,
    Stairs { draw: Draw, step_s: i64, steps: i64 },
    Leak { draw: Draw, period_s: i64 },
}

impl FleetWorkload {
    /// Workload `number` of the fleet.
    ///
    /// # Errors
    /// When the fleet's name is too long for a workload id, or has control characters.
    pub fn new(fleet: &str, number: u32, seed: u64) -> Result<Self, crate::workload::WorkloadIdError> {
        let archetype = Archetype::of(number);
        let draw = Draw::seeded(seed).stream(u64::from(number));
        let size = Size::drawn(archetype, draw.stream(10));
        Ok(Self {
            id: WorkloadId::new(&format!("{fleet}-{}-{number:04}", archetype.name()))?,
            archetype,
            initial_capacity: initial_capacity(&size, draw.stream(11)),
            load: Load::new(archetype, draw.stream(12)),
            memory: MemoryPattern::drawn(archetype, draw.stream(13)),
            noise: draw.stream(14),
            size,
        })
    }

    /// What it would use at an instant if its capacity had no bound.
    pub fn unconstrained_demand(&self, at: EventTime) -> Demand {
        let at_s = at.as_ms().div_euclid(1000);
        let load = self.load.at(at_s);
        let wobble = |stream: u64, strength: f64| (1.0 + strength * self.noise.stream(stream).white(at_s)).max(0.0);
        let arriving = self.size.requests_per_s * load;
        let traffic = self.size.bytes_per_request * if arriving > 0.0 { arriving } else { 0.2 * load };
        Demand {
            cpu_cores: self.size.idle_cpu_cores + self.size.cpu_cores * load,
            memory_bytes: self.memory_bytes_at(at_s, load),
            disk_read_bytes_per_s: self.size.disk_bytes_per_s * load * wobble(0, 0.25),
            disk_write_bytes_per_s: self.size.disk_bytes_per_s * (0.1 + 0.5 * load) * wobble(1, 0.25),
            network_receive_bytes_per_s: 0.2 * traffic * wobble(2, 0.1),
            network_transmit_bytes_per_s: traffic * wobble(3, 0.1),
            requests: (self.size.requests_per_s > 0.0).then_some(Requests {
                per_s: arriving,
                service_ms: self.size.service_ms,
                failing_share: self.size.failing_share,
            }),
        }
    }

    /// What its season makes of its load at an instant, without noise; about 1 at the usual peak.
    pub fn season(&self, at: EventTime) -> f64 {
        self.load.season(at.as_ms().div_euclid(1000))
    }

    fn memory_bytes_at(&self, at_s: i64, load: f64) -> f64 {
        let slow = 0.02 * self.noise.stream(4).fractal(at_s, 10 * MINUTE_S, 3, 0.8);
        let share = 0.45 + 0.25 * load + self.memory.at(at_s) + slow;
        self.size.memory_bytes * share.max(0.05)
    }
}

impl Size {
    fn drawn(archetype: Archetype, draw: Draw) -> Self {
        let cpu_cores = draw.log_between(0, 0.5, 10.0);
        let memory_per_core = draw.log_between(1, 1.0, 5.0) * GIB;
        let requests_per_core = if archetype.serves_requests() { draw.log_between(2, 20.0, 400.0) } else { 0.0 };
        Self {
            cpu_cores,
            idle_cpu_cores: 0.02 * cpu_cores,
            memory_bytes: cpu_cores * memory_per_core,
            disk_bytes_per_s: cpu_cores * draw.log_between(3, 5e4, 5e6),
            requests_per_s: requests_per_core * cpu_cores,
            service_ms: draw.log_between(4, 4.0, 60.0),
            bytes_per_request: draw.log_between(5, 2e3, 6e4),
            failing_share: draw.log_between(6, 1e-5, 2e-3),
        }
    }
}

impl MemoryPattern {
    fn drawn(archetype: Archetype, draw: Draw) -> Self {
        match archetype {
            Archetype::MemoryStairs => {
                Self::Stairs { draw, step_s: MINUTE_S * draw.whole(0, 90, 240), steps: draw.whole(1, 4, 9) }
            }
            Archetype::MemoryLeak => Self::Leak { draw, period_s: MINUTE_S * draw.whole(0, 480, 1800) },
            _ => Self::Level,
        }
    }

    fn at(&self, at_s: i64) -> f64 {
        match *self {
            Self::Level => 0.0,
            Self::Stairs { draw, step_s, steps } => {
                let (flight, step) = (at_s.div_euclid(step_s * steps), at_s.div_euclid(step_s).rem_euclid(steps));
                let height = draw.stream(flight as u64).between(0, 0.05, 0.15);
                height * step as f64
            }
            Self::Leak { draw, period_s } => {
                let (life, age) = (at_s.div_euclid(period_s), at_s.rem_euclid(period_s) as f64 / period_s as f64);
                draw.stream(life as u64).between(0, 0.3, 0.9) * age
            }
        }
    }
}

/// Replicas of a size from the default price list: for most of the fleet more than it needs, as
/// fleets are, for some less.
fn initial_capacity(size: &Size, draw: Draw) -> Capacity {
    let headroom = match draw.unit(0) {
        share if share < 0.55 => draw.between(1, 1.5, 3.0),
        share if share < 0.8 => draw.between(1, 1.1, 1.5),
        _ => draw.between(1, 0.6, 0.95),
    };
    let (cores, memory_bytes) = (size.cpu_cores * headroom, size.memory_bytes * headroom.max(1.1));
    let prices = PriceList::default();
    let fits = |t: &&crate::cloud::InstanceType| t.memory_bytes / t.cpu_cores >= 0.8 * memory_bytes / cores;
    let small = |t: &&crate::cloud::InstanceType| t.cpu_cores <= (REPLICA_SHARE * cores).max(1.0);
    let mut types: Vec<_> = prices.instance_types.iter().filter(fits).collect();
    types.sort_by(|a, b| a.cpu_cores.total_cmp(&b.cpu_cores).then_with(|| b.cheaper_first(a)));
    let chosen = types.iter().rev().copied().find(small).or(types.first().copied()).or(prices.instance_types.last());
    match chosen {
        Some(kind) => {
            let replicas = (cores / kind.cpu_cores).max(memory_bytes / kind.memory_bytes).ceil().max(1.0);
            kind.capacity(replicas as u32)
        }
        None => Capacity {
            replicas: 1,
            cpu_cores_per_replica: cores,
            memory_bytes_per_replica: memory_bytes,
            instance_type: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-01-01T00:00:00Z, a Monday.
    const MONDAY: EventTime = EventTime::from_s(1_704_067_200);

    fn fleet(count: u32, seed: u64) -> Vec<FleetWorkload> {
        (0..count).map(|number| FleetWorkload::new("test", number, seed).unwrap()).collect()
    }

    #[test]
    fn a_workload_follows_from_the_seed_and_its_number() {
        assert_eq!(fleet(40, 7), fleet(40, 7));
        assert_eq!(fleet(40, 7)[..10], fleet(10, 7)[..], "a larger fleet has the same workloads and more");
        assert_ne!(fleet(1, 7)[0], fleet(1, 8)[0]);
        assert_eq!(fleet(2, 7)[1].id.as_str(), "test-consumer-0001");
    }

    #[test]
    fn capacity_is_of_the_price_list_and_of_all_fits() {
        let prices = PriceList::default();
        let (mut too_small, mut twice) = (0, 0);
        for workload in fleet(200, 1) {
            let capacity = &workload.initial_capacity;
            let kind = prices.instance_type(capacity.instance_type.as_deref().unwrap()).unwrap();
            assert_eq!(kind.capacity(capacity.replicas), *capacity);
            assert!((1..=40).contains(&capacity.replicas), "{capacity:?}");
            too_small += usize::from(capacity.cpu_cores() < workload.size.cpu_cores);
            twice += usize::from(capacity.cpu_cores() > 2.0 * workload.size.cpu_cores);
        }
        assert!((5..60).contains(&too_small) && (40..160).contains(&twice), "{too_small} {twice}");
    }

    #[test]
    fn memory_climbs_and_is_released() {
        for workload in fleet(20, 3) {
            let bytes: Vec<f64> =
                (0..7 * 288).map(|i| workload.unconstrained_demand(MONDAY.plus_s(300 * i)).memory_bytes).collect();
            assert!(bytes.iter().all(|b| *b > 0.0));
            let releases = bytes.windows(2).filter(|pair| pair[1] < pair[0] - 0.2 * workload.size.memory_bytes).count();
            match workload.archetype {
                Archetype::MemoryStairs | Archetype::MemoryLeak => assert!((3..30).contains(&releases), "{releases}"),
                Archetype::BatchJobs | Archetype::NightlyJob => assert_eq!(workload.memory, MemoryPattern::Level),
                _ => assert!(releases <= 2, "{:?} {releases}", workload.archetype),
            }
        }
    }
}
