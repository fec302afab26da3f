//! Key performance indicators: a name with a unit and a kind.

use bitcode::{Decode, Encode};
use std::fmt;
use std::sync::Arc;

/// CPU cores in use (gauge, cores).
pub const CPU_CORES_USED: &str = "cpu_cores_used";
/// Memory in use (gauge, bytes).
pub const MEMORY_BYTES: &str = "memory_bytes";
/// Disk read rate (rate, bytes/s).
pub const DISK_READ_BYTES_PER_S: &str = "disk_read_bytes_per_s";
/// Disk write rate (rate, bytes/s).
pub const DISK_WRITE_BYTES_PER_S: &str = "disk_write_bytes_per_s";
/// Network receive rate (rate, bytes/s).
pub const NETWORK_RECEIVE_BYTES_PER_S: &str = "network_receive_bytes_per_s";
/// Network send rate (rate, bytes/s).
pub const NETWORK_TRANSMIT_BYTES_PER_S: &str = "network_transmit_bytes_per_s";
/// Application requests served (rate, requests/s).
pub const REQUESTS_PER_S: &str = "requests_per_s";
/// Application latency (gauge, ms).
pub const LATENCY_MS: &str = "latency_ms";
/// Application errors (rate, errors/s).
pub const ERRORS_PER_S: &str = "errors_per_s";
/// Share of the CPU scheduler's periods in which the workload was throttled at its limit (gauge, 0 to 1).
pub const CPU_THROTTLED_SHARE: &str = "cpu_throttled_share";
/// Tasks that wait for a core (gauge, tasks).
pub const RUN_QUEUE: &str = "run_queue";
/// Greatest use of CPU within the step, where a source knows it beside the mean (gauge, cores).
pub const CPU_CORES_USED_MAX: &str = "cpu_cores_used_max";
/// Greatest use of memory within the step, likewise (gauge, bytes).
pub const MEMORY_BYTES_MAX: &str = "memory_bytes_max";

/// The KPI that says how great another was at most within the step; `None` where there is none.
pub fn maximum_of(name: &str) -> Option<&'static str> {
    match name {
        CPU_CORES_USED => Some(CPU_CORES_USED_MAX),
        MEMORY_BYTES => Some(MEMORY_BYTES_MAX),
        _ => None,
    }
}

/// How a KPI's number is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum KpiKind {
    /// A level at an instant; may be any finite number.
    Gauge,
    /// A quantity per second; never negative.
    Rate,
    /// A running total that only grows, but for resets; turned into a rate per second on entry.
    Counter,
}

/// Name of a KPI, such as [`CPU_CORES_USED`] or one of the application's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct KpiName(Arc<str>);

impl KpiName {
    /// Wraps a name. Names are lower snake case with the unit at the end by convention; any
    /// non-empty text is accepted, so this cannot fail for what the contracts let through.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, shared.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl From<Arc<str>> for KpiName {
    fn from(name: Arc<str>) -> Self {
        Self(name)
    }
}

impl fmt::Display for KpiName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One KPI of one sample.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Kpi {
    /// What was measured.
    pub name: KpiName,
    /// How to read the number.
    pub kind: KpiKind,
    /// Unit as UCUM-like text: `cores`, `By`, `By/s`, `ms`, `1/s`.
    pub unit: Arc<str>,
    /// The measured number; `None` when the source knows that it could not be measured.
    pub value: Option<f64>,
}
