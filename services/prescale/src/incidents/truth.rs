//! What happened to a generated fleet, and which of the incidents that were told of are about it.

use prescale_domain::fleet::{Fleet, IncidentKind, InjectedIncident};
use prescale_domain::incident::Incident;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is told so long after the end, in seconds, has found it late; after that it has not.
const LATE_S: i64 = 1800;

/// Evidence gathers from before the beginning on, in seconds.
const BEFORE_S: i64 = 3600;

/// What follows it for so long, in seconds, is of it and no false alarm: that all is as before again is unusual too.
const AFTER_S: i64 = 6 * 3600;

/// Something that happened.
pub(super) struct Truth {
    pub(super) kind: IncidentKind,
    workloads: BTreeSet<WorkloadId>,
    from: EventTime,
    until: EventTime,
}

/// How it was told of.
pub(super) struct Finding {
    pub(super) kind: IncidentKind,
    /// Bins of 300 s from its beginning until it was told; `None` where it was not.
    pub(super) delay_bins: Option<f64>,
    /// How many incidents were told of it.
    pub(super) incidents: usize,
}

impl Truth {
    pub(super) fn of(fleet: &Fleet, incident: &InjectedIncident) -> Self {
        let workload = |number: &u32| Some(fleet.workloads().get(*number as usize)?.id.clone());
        Self {
            kind: incident.kind,
            workloads: incident.workloads.iter().filter_map(workload).collect(),
            from: incident.from,
            until: incident.until,
        }
    }

    /// Whether a member of an incident became unusual by it, or within so many seconds after it.
    fn has_begun_by(&self, incident: &Incident, after_s: i64) -> bool {
        incident.members.iter().any(|member| {
            self.workloads.contains(&member.workload)
                && member.started_at >= self.from.plus_s(-BEFORE_S)
                && member.started_at <= self.until.plus_s(after_s)
        })
    }

    /// How it was told of.
    pub(super) fn found(&self, told: &[Incident]) -> Finding {
        let is_in_time = |incident: &&Incident| incident.at >= self.from && incident.at <= self.until.plus_s(LATE_S);
        let about: Vec<&Incident> = told
            .iter()
            .filter(|incident| {
                is_in_time(incident) && incident.ended_at.is_none() && self.has_begun_by(incident, LATE_S)
            })
            .collect();
        let first = about.iter().map(|incident| incident.at).min();
        let incidents: BTreeSet<&Arc<str>> = about.iter().map(|incident| &incident.incident_id).collect();
        Finding {
            kind: self.kind,
            delay_bins: first.map(|at| (at.as_ms() - self.from.as_ms()) as f64 / 300_000.0),
            incidents: incidents.len(),
        }
    }
}

/// How many incidents are about nothing that happened.
pub(super) fn false_incidents(told: &[Incident], truths: &[Truth]) -> usize {
    let mut is_true: BTreeMap<&Arc<str>, bool> = BTreeMap::new();
    for incident in told {
        let is_of_one = || truths.iter().any(|truth| truth.has_begun_by(incident, AFTER_S));
        let known = is_true.entry(&incident.incident_id).or_default();
        *known = *known || is_of_one();
    }
    is_true.values().filter(|is_true| !**is_true).count()
}

/// How many incidents there are.
pub(super) fn count(told: &[Incident]) -> usize {
    told.iter().map(|incident| &incident.incident_id).collect::<BTreeSet<_>>().len()
}
