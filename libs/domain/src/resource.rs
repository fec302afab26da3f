//! The resources that capacity is made of, and which way it changes.

use crate::kpi::{CPU_CORES_USED, MEMORY_BYTES};
use crate::sample::Capacity;

/// A resource that is sized, each by the demand that one KPI measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// CPU cores; the demand is [`CPU_CORES_USED`].
    Cpu,
    /// Memory in bytes; the demand is [`MEMORY_BYTES`].
    Memory,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Cpu, Self::Memory];

    /// Name of the KPI that is its demand.
    pub const fn kpi(self) -> &'static str {
        match self {
            Self::Cpu => CPU_CORES_USED,
            Self::Memory => MEMORY_BYTES,
        }
    }

    /// The resource whose demand is the KPI of that name.
    pub fn of_kpi(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.kpi() == name)
    }

    /// The capacity that the demand measured by the KPI of that name draws on, in cores or bytes.
    pub fn capacity_of_kpi(name: &str, capacity: Option<&Capacity>) -> Option<f64> {
        capacity.zip(Self::of_kpi(name)).map(|(capacity, resource)| resource.of(capacity))
    }

    /// How much of it a capacity has, over all replicas, in cores or bytes.
    pub fn of(self, capacity: &Capacity) -> f64 {
        match self {
            Self::Cpu => capacity.cpu_cores(),
            Self::Memory => capacity.memory_bytes(),
        }
    }
}

/// Whether capacity grows or shrinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// More.
    Out,
    /// Less.
    In,
}
