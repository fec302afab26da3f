//! Alarms: when a workload is unusual for long enough that somebody should hear of it, and when that is over.
//!
//! Some of the last bins that are hardly possible raise an alarm, one that is far less likely raises it alone, and evidence
//! that gathers over many bins does; `end_bins` usual ones in a row end it. So a single value that comes by chance wakes
//! nobody, and what swings about the threshold is one alarm. Who falls silent while others of its source are heard of has an
//! alarm of its own. It must not know how p-values come about, nor who is told.

mod evidence;
mod partition;
mod presence;
mod rules;
mod severity;
mod watch;

pub use partition::Alarms;
pub use rules::{AlarmRules, AlarmRulesError};
pub use severity::{Severity, threat};

use crate::kpi::KpiName;
use crate::sample::Platform;
use crate::source::SourceName;
use crate::time::EventTime;
use crate::workload::WorkloadId;
use std::sync::Arc;

/// What is to blame first where values, or all of a workload's samples, are missing; the KPIs that are follow.
pub const MISSING_DATA: &str = "missing_data";

/// KPIs that are named as missing, at most.
const BLAMED_LOST_MAX: usize = 2;

/// A record of topic `anomalies`: a stretch of unusual behaviour of one workload, as it is known at an instant. The
/// newest of an id counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Anomaly {
    /// Whose.
    pub workload: WorkloadId,
    /// Stream that its samples came from.
    pub source: SourceName,
    /// Names the stretch; the same in every record about it.
    pub anomaly_id: Arc<str>,
    /// What this record speaks of.
    pub at: EventTime,
    /// First unusual instant.
    pub started_at: EventTime,
    /// First usual instant afterwards; `None` while it lasts.
    pub ended_at: Option<EventTime>,
    /// Least p-value of it.
    pub p_value: f64,
    /// How far it threatens the capacity, at its worst.
    pub severity: Severity,
    /// KPIs to blame, the most to blame first, at its least likely instant.
    pub kpis: Vec<KpiName>,
    /// Unusual bins among those watched.
    pub unusual_bins: u32,
    /// Bins watched.
    pub watched_bins: u32,
    /// What runs the workload.
    pub platform: Platform,
}

#[cfg(test)]
mod tests;
