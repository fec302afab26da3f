//! A sample: the KPIs of one workload at one instant, with the capacity that it then had.

use crate::kpi::Kpi;
use crate::source::SourceName;
use crate::time::EventTime;
use crate::workload::WorkloadId;
use bitcode::{Decode, Encode};
use std::sync::Arc;

pub use crate::platform::{PLATFORM_BYTES_MAX, Platform, PlatformError};

/// The capacity of a workload: so many replicas (or VMs) of such a size.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Capacity {
    /// Number of replicas or VMs; at least 1 for a workload that runs.
    pub replicas: u32,
    /// CPU limit of one replica, in cores.
    pub cpu_cores_per_replica: f64,
    /// Memory limit of one replica, in bytes.
    pub memory_bytes_per_replica: f64,
    /// Name of the instance type (flavor), where the platform has one.
    pub instance_type: Option<Arc<str>>,
}

impl Capacity {
    /// What so many replicas have together; one where it is not known how many. `None` where it has no cores or no
    /// memory.
    pub fn of_totals(replicas: Option<f64>, cpu_cores: Option<f64>, memory_bytes: Option<f64>) -> Option<Self> {
        let above_zero = |value: &f64| *value > 0.0;
        let (cpu_cores, memory_bytes) = (cpu_cores.filter(above_zero)?, memory_bytes.filter(above_zero)?);
        let replicas = replicas.filter(above_zero).unwrap_or(1.0).round().max(1.0);
        Some(Self {
            replicas: replicas as u32,
            cpu_cores_per_replica: cpu_cores / replicas,
            memory_bytes_per_replica: memory_bytes / replicas,
            instance_type: None,
        })
    }

    /// CPU of all replicas, in cores.
    pub fn cpu_cores(&self) -> f64 {
        f64::from(self.replicas) * self.cpu_cores_per_replica
    }

    /// Memory of all replicas, in bytes.
    pub fn memory_bytes(&self) -> f64 {
        f64::from(self.replicas) * self.memory_bytes_per_replica
    }
}

/// The KPIs of one workload at one instant: a record of topic `raw-kpis`.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Sample {
    /// Whose KPIs these are.
    pub workload: WorkloadId,
    /// Stream that the sample came from (`host:NAME`, `fleet:NAME`, `replay:FILE`); watermarks are
    /// kept per partition and source, since sources progress independently.
    pub source: SourceName,
    /// Instant of measurement.
    pub at: EventTime,
    /// Width of the sampling grid, in seconds; at least 1.
    pub step_s: u32,
    /// The KPIs; names are unique.
    pub kpis: Vec<Kpi>,
    /// Capacity at that instant, where the source knows it.
    pub capacity: Option<Capacity>,
    /// What runs the workload.
    pub platform: Platform,
}
