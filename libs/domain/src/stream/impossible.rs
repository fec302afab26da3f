//! Values of the resources that capacity is made of which cannot be measurements, and workloads that have nothing
//! else for an hour: their unit, or the capacity that they are compared with, is most likely wrong.
//!
//! Such values come from differences below zero in unsigned arithmetic (2⁶⁴ − x) after a restart, and from columns
//! mapped in another unit. One of them must not move a mean of seven days, let alone capacity.

use crate::kpi::{Kpi, KpiKind};
use crate::resource::Resource;
use crate::sample::Sample;
use crate::time::EventTime;
use bitcode::{Decode, Encode};

/// So many times its capacity no workload uses, unless told otherwise. Kubernetes workloads burst beyond their
/// requests, so it is far above 1.
pub const IMPOSSIBLE_ABOVE: f64 = 10.0;

/// Excess is lasting once a workload has been observed for so long, in seconds.
pub const LASTING_S: i64 = 3600;

/// Where the capacity is not known: more cores than any installation has.
const CORES_MAX: f64 = 1e9;
/// Likewise, more memory, in bytes.
const MEMORY_BYTES_MAX: f64 = 1e18;

/// Readings are counted by stretches of so many seconds, and two of them are remembered.
const STRETCH_S: u32 = 1800;

/// What a sample says of the use of a resource.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading {
    /// Nothing.
    Missing,
    /// A value that can be.
    Possible,
    /// A value that was put aside.
    Impossible(Impossible),
}

/// Why a value cannot be a measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Impossible {
    /// It is NaN or infinite.
    NotFinite,
    /// It is below zero.
    BelowZero,
    /// It is so many times the sample's capacity.
    AboveCapacity {
        /// How many times.
        times: f64,
    },
    /// There is no capacity to compare it with, and it is beyond what any installation has.
    BeyondMeasure,
}

impl Impossible {
    /// Short stable name for counting.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFinite => "not_finite",
            Self::BelowZero => "below_zero",
            Self::AboveCapacity { .. } => "above_capacity",
            Self::BeyondMeasure => "beyond_measure",
        }
    }
}

/// The resource whose use a KPI measures, so that an impossible value of it is put aside; none for a running total,
/// whose value is no use.
pub fn screened(kpi: &Kpi) -> Option<Resource> {
    if kpi.kind == KpiKind::Counter { None } else { Resource::of_kpi(kpi.name.as_str()) }
}

/// Makes the impossible values of resources missing; all else stays. Tells what each resource's was, in the order of
/// [`Resource::ALL`].
pub fn put_aside(sample: &mut Sample, impossible_above: f64) -> [Reading; Resource::ALL.len()] {
    let mut readings = [Reading::Missing; Resource::ALL.len()];
    for kpi in &mut sample.kpis {
        let Some((resource, value)) = screened(kpi).zip(kpi.value) else { continue };
        let capacity = sample.capacity.as_ref().map(|capacity| resource.of(capacity)).filter(|c| *c > 0.0);
        readings[resource as usize] = match judge(resource, value, capacity, impossible_above) {
            None => Reading::Possible,
            Some(why) => {
                kpi.value = None;
                Reading::Impossible(why)
            }
        };
    }
    readings
}

fn judge(resource: Resource, value: f64, capacity: Option<f64>, impossible_above: f64) -> Option<Impossible> {
    let most = match resource {
        Resource::Cpu => CORES_MAX,
        Resource::Memory => MEMORY_BYTES_MAX,
    };
    match capacity {
        _ if !value.is_finite() => Some(Impossible::NotFinite),
        _ if value < 0.0 => Some(Impossible::BelowZero),
        Some(capacity) => {
            (value > impossible_above * capacity).then(|| Impossible::AboveCapacity { times: value / capacity })
        }
        None => (value > most).then_some(Impossible::BeyondMeasure),
    }
}

/// How many readings of a stretch could be, and how many were above capacity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
struct Counts {
    possible: u16,
    above: u16,
    /// Sum of how many times the capacity the latter were.
    times: f64,
}

/// The last half hour to hour of one resource of a workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub struct Trail {
    began: Option<EventTime>,
    stretch: i64,
    now: Counts,
    before: Counts,
}

impl Trail {
    /// Takes a reading; readings come in the order of their instants.
    pub fn observe(&mut self, at: EventTime, reading: &Reading) {
        let times = match reading {
            Reading::Possible => None,
            Reading::Impossible(Impossible::AboveCapacity { times }) => Some(*times),
            Reading::Missing | Reading::Impossible(_) => return,
        };
        self.began.get_or_insert(at);
        let stretch = at.bin(STRETCH_S);
        if stretch > self.stretch {
            self.before = if stretch == self.stretch + 1 { self.now } else { Counts::default() };
            (self.now, self.stretch) = (Counts::default(), stretch);
        }
        match times {
            None => self.now.possible = self.now.possible.saturating_add(1),
            Some(times) => {
                self.now.above = self.now.above.saturating_add(1);
                self.now.times += times;
            }
        }
    }

    /// Whether most of the last readings are above the capacity by far, so that the capacity is as doubtful as they
    /// are.
    pub fn is_doubtful(&self) -> bool {
        u32::from(self.now.above) + u32::from(self.before.above)
            > u32::from(self.now.possible) + u32::from(self.before.possible)
    }

    /// How many times the capacity the values are, in the mean, where they have been so for an hour.
    pub fn lasting(&self, at: EventTime) -> Option<f64> {
        let began = self.began?;
        let above = u32::from(self.now.above) + u32::from(self.before.above);
        (self.is_doubtful() && at.as_ms() - began.as_ms() >= LASTING_S * 1000)
            .then(|| (self.now.times + self.before.times) / f64::from(above))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kpi::{CPU_CORES_USED, KpiName, MEMORY_BYTES};
    use crate::sample::{Capacity, Platform};
    use crate::source::SourceName;
    use crate::workload::WorkloadId;
    use proptest::prelude::*;

    const ABOVE: Reading = Reading::Impossible(Impossible::AboveCapacity { times: 50.0 });

    fn kpi(name: &str, value: f64) -> Kpi {
        Kpi { name: KpiName::new(name), kind: KpiKind::Gauge, unit: "1".into(), value: Some(value) }
    }

    fn sample(cpu: f64, memory: f64, capacity: Option<f64>) -> Sample {
        Sample {
            workload: WorkloadId::new("vm-1").unwrap(),
            source: SourceName::new("fleet:test").unwrap(),
            at: EventTime::from_s(60),
            step_s: 60,
            kpis: vec![kpi("latency_ms", -1.0), kpi(MEMORY_BYTES, memory), kpi(CPU_CORES_USED, cpu)],
            capacity: capacity.map(|cores| Capacity {
                replicas: 2,
                cpu_cores_per_replica: cores,
                memory_bytes_per_replica: 1e9,
                instance_type: None,
            }),
            platform: Platform::SIMULATED,
        }
    }

    fn values(sample: &Sample) -> [Option<f64>; 3] {
        [sample.kpis[0].value, sample.kpis[1].value, sample.kpis[2].value]
    }

    #[test]
    fn what_cannot_be_is_missing_and_the_rest_stays() {
        let mut underflow = sample(18_446_744_073_709_551_591.0 / 1000.0, 5e8, Some(0.5));
        let [cpu, memory] = put_aside(&mut underflow, IMPOSSIBLE_ABOVE);
        assert!(matches!(cpu, Reading::Impossible(Impossible::AboveCapacity { times }) if times > 1e15));
        assert_eq!((memory, values(&underflow)), (Reading::Possible, [Some(-1.0), Some(5e8), None]));
        let code = |mut sample: Sample| match put_aside(&mut sample, IMPOSSIBLE_ABOVE)[0] {
            Reading::Impossible(why) => why.code(),
            Reading::Possible => "possible",
            Reading::Missing => "missing",
        };
        assert_eq!(code(sample(10.0, 1.0, Some(0.5))), "possible", "it may burst");
        assert_eq!(code(sample(10.1, 1.0, Some(0.5))), "above_capacity");
        assert_eq!(code(sample(-0.1, 1.0, Some(0.5))), "below_zero");
        assert_eq!(code(sample(f64::NAN, 1.0, None)), "not_finite");
        assert_eq!(code(sample(10.1, 1.0, None)), "possible");
        assert_eq!(code(sample(10.1, 1.0, Some(0.0))), "possible", "nothing is no capacity to compare with");
        assert_eq!(code(sample(1.8e16, 1.0, None)), "beyond_measure");
        let mut total = sample(1e6, 1.0, Some(0.5));
        total.kpis[2].kind = KpiKind::Counter;
        assert_eq!(code(total), "missing", "a running total is no use");
    }

    #[test]
    fn a_spike_is_no_doubt_and_an_hour_of_excess_is() {
        let mut trail = Trail::default();
        let at = |minute: i64| EventTime::from_s(1_699_920_000 + 60 * minute);
        trail.observe(at(0), &ABOVE);
        assert!(trail.is_doubtful(), "nothing else is known");
        trail.observe(at(1), &Reading::Possible);
        assert!(!trail.is_doubtful());
        (2..50).for_each(|minute| trail.observe(at(minute), &Reading::Possible));
        (50..60).for_each(|minute| trail.observe(at(minute), &ABOVE));
        assert!(!trail.is_doubtful() && trail.lasting(at(60)).is_none());
        (60..100).for_each(|minute| trail.observe(at(minute), &ABOVE));
        assert_eq!(trail.lasting(at(100)), Some(50.0));
        (100..160).for_each(|minute| trail.observe(at(minute), &Reading::Possible));
        assert!(!trail.is_doubtful(), "the unit was set right");
        trail.observe(at(10_000), &ABOVE);
        assert!(trail.is_doubtful(), "after a long silence nothing else is known");
    }

    proptest! {
        #[test]
        fn what_is_left_can_be(cpu in any::<f64>(), memory in any::<f64>(), cores in prop::option::of(0.0..64.0f64)) {
            let mut screened = sample(cpu, memory, cores);
            let before = screened.clone();
            put_aside(&mut screened, IMPOSSIBLE_ABOVE);
            for (kpi, before) in screened.kpis.iter().zip(&before.kpis) {
                prop_assert!(kpi.value.is_none() || kpi.value == before.value);
            }
            let [_, memory_left, cpu_left] = values(&screened);
            let capacity = screened.capacity.as_ref().map(Capacity::cpu_cores).filter(|cores| *cores > 0.0);
            let most = capacity.map_or(CORES_MAX, |cores| IMPOSSIBLE_ABOVE * cores);
            prop_assert!(cpu_left.is_none_or(|left| (0.0..=most).contains(&left)));
            prop_assert!(memory_left.is_none_or(|left| (0.0..=MEMORY_BYTES_MAX).contains(&left)));
        }

        #[test]
        fn doubt_is_the_majority_of_what_was_read(excess in prop::collection::vec(any::<bool>(), 1..29)) {
            let mut trail = Trail::default();
            for (minute, above) in excess.iter().enumerate() {
                let reading = if *above { ABOVE } else { Reading::Possible };
                trail.observe(EventTime::from_s(1_699_920_000 + 60 * minute as i64), &reading);
            }
            let above = excess.iter().filter(|above| **above).count();
            prop_assert_eq!(trail.is_doubtful(), 2 * above > excess.len());
        }
    }
}
