//! Alarms: when a workload is unusual for long enough that somebody should hear of it, and when that is over.
//!
//! A bin is unusual where its p-value says so; `raise_bins` of the last `of_bins` raise an alarm, one that is far less
//! likely raises it alone, and `end_bins` usual ones in a row end it. So a single value that comes by chance wakes nobody,
//! and what swings about the threshold is one alarm. It must not know how p-values come about, nor who is told.

mod partition;
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
