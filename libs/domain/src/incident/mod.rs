//! Incidents: anomalies of several workloads that are one event, so that people hear of it once.
//!
//! What begins within a moment in one fleet is taken for one event where it shares the KPI most to blame, a configured
//! group, or where so many of the fleet are unusual at once, of all that it has, that the fleet is what happened. It must not know who is told.

mod grouping;
mod silence;

pub use grouping::{IncidentRules, IncidentRulesError, Incidents};
pub use silence::Silence;

use crate::alarm::{Anomaly, Severity};
use crate::kpi::KpiName;
use crate::time::EventTime;
use crate::workload::WorkloadId;
use bitcode::{Decode, Encode};
use std::sync::Arc;

/// A record of topic `alarms`: an anomaly, told to its fleet.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetAnomaly {
    /// The fleet.
    pub fleet: WorkloadId,
    /// The anomaly.
    pub anomaly: Anomaly,
    /// How large the fleet is, as far as whoever tells knows.
    pub known: FleetPart,
}

/// What one partition knows of a fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FleetPart {
    /// The partition.
    pub partition: u32,
    /// Workloads of the fleet in it; 0 where that is not known.
    pub workloads: u32,
}

/// A workload of an incident.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Member {
    /// Which.
    pub workload: WorkloadId,
    /// Its anomaly.
    pub anomaly_id: Arc<str>,
    /// First unusual instant.
    pub started_at: EventTime,
    /// First usual instant afterwards; `None` while it lasts.
    pub ended_at: Option<EventTime>,
    /// Least p-value of it.
    pub p_value: f64,
    /// How far it threatens the capacity, at its worst.
    pub severity: Severity,
    /// KPIs to blame, the most to blame first.
    pub kpis: Vec<KpiName>,
}

/// A record of topic `incidents`: what is known of an incident. The newest of an id counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    /// The fleet.
    pub fleet: WorkloadId,
    /// Names it; the same in every record about it.
    pub incident_id: Arc<str>,
    /// What this record speaks of.
    pub at: EventTime,
    /// When its first member became unusual.
    pub started_at: EventTime,
    /// When its last one was usual again; `None` while it lasts.
    pub ended_at: Option<EventTime>,
    /// That of its worst member.
    pub severity: Severity,
    /// How many workloads are of it.
    pub workloads: u32,
    /// Its members, the first mover first; at most [`MEMBERS_TOLD_MAX`].
    pub members: Vec<Member>,
    /// Nothing is new: an incident that lasts is told again, so that receivers keep it.
    pub is_repetition: bool,
}

/// So many members are named in a record.
pub const MEMBERS_TOLD_MAX: usize = 50;

#[cfg(test)]
mod tests;
