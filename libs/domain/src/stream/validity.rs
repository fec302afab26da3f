//! Whether the numbers of a sample can be.

use super::impossible;
use crate::kpi::KpiKind;
use crate::sample::Sample;

/// Last instant that is taken for one: the end of the year 9999, in milliseconds.
const INSTANT_MS_MAX: i64 = 253_402_300_799_999;

/// Widest sampling step taken, in seconds (one day).
const STEP_S_MAX: u32 = 86_400;

/// Why a sample cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Invalid {
    /// A value is NaN or infinite.
    #[error("{kpi} of {workload} is {value}: send a finite number, or no value when it could not be measured")]
    NotFinite {
        /// Whose value.
        workload: String,
        /// Of which KPI.
        kpi: String,
        /// The value.
        value: f64,
    },
    /// A rate or a counter is below zero.
    #[error("{kpi} of {workload} is {value}: a rate or counter cannot be negative; send a gauge if it can be")]
    NegativeRate {
        /// Whose value.
        workload: String,
        /// Of which KPI.
        kpi: String,
        /// The value.
        value: f64,
    },
    /// The instant is before 1970 or after 9999.
    #[error("instant {at_ms} ms of {workload} is outside of 1970 to 9999: check the unit, it is milliseconds")]
    InstantOutOfRange {
        /// Whose sample.
        workload: String,
        /// Its instant.
        at_ms: i64,
    },
    /// The sampling step is zero or longer than a day.
    #[error("sampling step {step_s} s of {workload} is outside of 1 to {STEP_S_MAX} s")]
    StepOutOfRange {
        /// Whose sample.
        workload: String,
        /// Its step.
        step_s: u32,
    },
    /// A KPI is named twice in one sample.
    #[error("{kpi} of {workload} is there twice in one sample: send each KPI once")]
    RepeatedKpi {
        /// Whose sample.
        workload: String,
        /// The KPI.
        kpi: String,
    },
}

impl Invalid {
    /// Short stable name for counting.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFinite { .. } => "not_finite",
            Self::NegativeRate { .. } => "negative_rate",
            Self::InstantOutOfRange { .. } => "instant_out_of_range",
            Self::StepOutOfRange { .. } => "step_out_of_range",
            Self::RepeatedKpi { .. } => "repeated_kpi",
        }
    }
}

/// Checks a sample's instant, step and values; not those of which an impossible one is put aside alone
/// ([`impossible`]).
///
/// # Errors
/// With the first thing that is wrong; the sample is then of no use as a whole.
pub fn check(sample: &Sample) -> Result<(), Invalid> {
    let workload = || sample.workload.as_str().to_owned();
    let at_ms = sample.at.as_ms();
    if !(0..=INSTANT_MS_MAX).contains(&at_ms) {
        return Err(Invalid::InstantOutOfRange { workload: workload(), at_ms });
    }
    if !(1..=STEP_S_MAX).contains(&sample.step_s) {
        return Err(Invalid::StepOutOfRange { workload: workload(), step_s: sample.step_s });
    }
    for (i, kpi) in sample.kpis.iter().enumerate() {
        let name = || kpi.name.as_str().to_owned();
        if sample.kpis[..i].iter().any(|earlier| earlier.name == kpi.name) {
            return Err(Invalid::RepeatedKpi { workload: workload(), kpi: name() });
        }
        let Some(value) = kpi.value.filter(|_| impossible::screened(kpi).is_none()) else { continue };
        if !value.is_finite() {
            return Err(Invalid::NotFinite { workload: workload(), kpi: name(), value });
        }
        if value < 0.0 && kpi.kind != KpiKind::Gauge {
            return Err(Invalid::NegativeRate { workload: workload(), kpi: name(), value });
        }
    }
    check_capacity(sample)
}

fn check_capacity(sample: &Sample) -> Result<(), Invalid> {
    let Some(capacity) = &sample.capacity else { return Ok(()) };
    let parts = [
        ("capacity.cpu_cores_per_replica", capacity.cpu_cores_per_replica),
        ("capacity.memory_bytes_per_replica", capacity.memory_bytes_per_replica),
    ];
    for (kpi, value) in parts {
        let (workload, kpi) = (sample.workload.as_str().to_owned(), kpi.to_owned());
        if !value.is_finite() {
            return Err(Invalid::NotFinite { workload, kpi, value });
        }
        if value < 0.0 {
            return Err(Invalid::NegativeRate { workload, kpi, value });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kpi::{Kpi, KpiName};
    use crate::sample::{Capacity, Platform};
    use crate::source::SourceName;
    use crate::time::EventTime;
    use crate::workload::WorkloadId;

    fn sample(kind: KpiKind, value: f64) -> Sample {
        Sample {
            workload: WorkloadId::new("vm-1").unwrap(),
            source: SourceName::new("fleet:test").unwrap(),
            at: EventTime::from_s(60),
            step_s: 60,
            kpis: vec![Kpi { name: KpiName::new("x"), kind, unit: "1".into(), value: Some(value) }],
            capacity: None,
            platform: Platform::SIMULATED,
        }
    }

    fn code(sample: &Sample) -> Option<&'static str> {
        check(sample).err().map(|e| e.code())
    }

    #[test]
    fn refuses_what_cannot_be() {
        assert_eq!(code(&sample(KpiKind::Gauge, f64::NAN)), Some("not_finite"));
        assert_eq!(code(&sample(KpiKind::Rate, f64::INFINITY)), Some("not_finite"));
        assert_eq!(code(&sample(KpiKind::Rate, -1.0)), Some("negative_rate"));
        assert_eq!(code(&sample(KpiKind::Counter, -1.0)), Some("negative_rate"));
        assert_eq!(code(&sample(KpiKind::Gauge, -1.0)), None);
        assert_eq!(
            code(&Sample { at: EventTime::from_ms(i64::MIN), ..sample(KpiKind::Gauge, 1.0) }),
            Some("instant_out_of_range")
        );
        assert_eq!(
            code(&Sample { at: EventTime::from_ms(i64::MAX), ..sample(KpiKind::Gauge, 1.0) }),
            Some("instant_out_of_range")
        );
        assert_eq!(code(&Sample { step_s: 0, ..sample(KpiKind::Gauge, 1.0) }), Some("step_out_of_range"));
    }

    #[test]
    fn refuses_a_repeated_kpi_and_a_capacity_that_is_no_number() {
        let mut twice = sample(KpiKind::Gauge, 1.0);
        twice.kpis.push(twice.kpis[0].clone());
        assert_eq!(code(&twice), Some("repeated_kpi"));
        let capacity = Capacity {
            replicas: 1,
            cpu_cores_per_replica: f64::NAN,
            memory_bytes_per_replica: 1.0,
            instance_type: None,
        };
        assert_eq!(code(&Sample { capacity: Some(capacity), ..sample(KpiKind::Gauge, 1.0) }), Some("not_finite"));
    }
}
