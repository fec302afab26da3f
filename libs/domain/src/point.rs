//! A point: the value of one series at an instant, as it is pushed. Samples are made of points
//! ([`crate::stream::assembly`]); what a point measures is said in it, so that nobody needs to know its sender.

use crate::kpi::{KpiKind, KpiName};
use crate::platform::Platform;
use crate::source::SourceName;
use crate::time::EventTime;
use crate::workload::WorkloadId;
use bitcode::{Decode, Encode};
use std::sync::Arc;

const REPLICAS: &str = "capacity.replicas";
const CPU_CORES: &str = "capacity.cpu_cores";
const MEMORY_BYTES: &str = "capacity.memory_bytes";

/// How series of one workload become one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum AddUp {
    /// Their sum.
    #[default]
    Sum,
    /// Their mean.
    Mean,
    /// The greatest.
    Max,
}

impl AddUp {
    /// One number of several; `None` of none.
    pub fn of(self, numbers: impl IntoIterator<Item = f64>) -> Option<f64> {
        let mut numbers = numbers.into_iter();
        let first = numbers.next()?;
        let (count, held) = numbers.fold((1_u32, first), |(count, held), number| {
            (count + 1, if self == Self::Max { held.max(number) } else { held + number })
        });
        Some(if self == Self::Mean { held / f64::from(count) } else { held })
    }
}

/// What a series measures of its workload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Measured {
    /// A KPI.
    Kpi(KpiName),
    /// Its replicas.
    Replicas,
    /// Cores of all of them.
    CpuCores,
    /// Bytes of memory of all of them.
    MemoryBytes,
}

impl Measured {
    /// What goes by that name: `capacity.replicas`, `capacity.cpu_cores`, `capacity.memory_bytes`, or a KPI.
    pub fn of_name(name: Arc<str>) -> Self {
        match &*name {
            REPLICAS => Self::Replicas,
            CPU_CORES => Self::CpuCores,
            MEMORY_BYTES => Self::MemoryBytes,
            _ => Self::Kpi(KpiName::from(name)),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Kpi(name) => name.as_str(),
            Self::Replicas => REPLICAS,
            Self::CpuCores => CPU_CORES,
            Self::MemoryBytes => MEMORY_BYTES,
        }
    }
}

/// The value of one series at an instant: a record of topic `raw-points`.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Point {
    /// Whose series it is.
    pub workload: WorkloadId,
    /// Stream that it came from, such as `remote-write:NAME`; its workloads have one clock.
    pub source: SourceName,
    /// Instant of measurement.
    pub at: EventTime,
    /// Width of the grid of the samples that are made of it, in seconds; at least 1.
    pub step_s: u32,
    /// Tells the series from others of the workload that measure the same; means nothing else.
    pub series: Arc<str>,
    /// What it measures.
    pub measured: Measured,
    /// How the sample's number is to be read.
    pub kind: KpiKind,
    /// Unit of the sample's number; the unit of a running total is that times seconds.
    pub unit: Arc<str>,
    /// Whether the value is a running total, whose growth per second is the sample's number.
    pub is_total: bool,
    /// How series that measure the same of the workload become one number.
    pub add_up: AddUp,
    /// The value, finite; `None` when the series has ended.
    pub value: Option<f64>,
    /// What runs the workload.
    pub platform: Platform,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_add_up_to_one_number() {
        let of = |add_up: AddUp| add_up.of([3.0, 1.0, 5.0]);
        assert_eq!((of(AddUp::Sum), of(AddUp::Mean), of(AddUp::Max)), (Some(9.0), Some(3.0), Some(5.0)));
        assert_eq!(AddUp::Max.of([-2.0]), Some(-2.0));
        assert_eq!(AddUp::Sum.of([]), None);
    }

    #[test]
    fn what_is_measured_goes_by_its_name() {
        for name in [REPLICAS, CPU_CORES, MEMORY_BYTES, "cpu_cores_used"] {
            assert_eq!(Measured::of_name(name.into()).name(), name);
        }
        assert_eq!(Measured::of_name("x".into()), Measured::Kpi(KpiName::new("x")));
    }
}
