//! Anomalies to incidents.

use super::{FleetAnomaly, Incident, MEMBERS_TOLD_MAX, Member, Silence};
use crate::alarm::{Anomaly, Severity};
use crate::group::GroupName;
use crate::selector::Selector;
use crate::time::EventTime;
use crate::workload::WorkloadId;
use bitcode::{Decode, Encode};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Incidents are forgotten so long after they ended, in seconds: an anomaly may be told late.
const KEPT_S: i64 = 3600;

/// An anomaly that lasts is told each hour. One that nobody has told of for so long, in seconds, is over: its workload is
/// gone.
const SILENT_S: i64 = 6 * 3600;

/// An incident takes in what begins within so many times `join_s` of its beginning: however much happens in a large fleet,
/// not all of it is one event without an end.
const GROWS_JOINS: i64 = 8;

/// What joins an incident is told once it has grown by one in so many: a whole fleet is not told workload by workload.
const TOLD_GROWTH: u32 = 8;

/// What makes anomalies one incident.
#[derive(Clone, Debug, PartialEq)]
pub struct IncidentRules {
    /// An anomaly belongs to an incident that began, or had its newest member, within so many seconds of it.
    pub join_s: u32,
    /// From so many members on, and
    pub fleet_members_min: u32,
    /// from this share of the fleet on, everything that begins in that time belongs to it.
    pub fleet_share_min: f64,
    /// An incident that lasts is told again after so many seconds.
    pub repeat_s: u32,
    /// Groups by name: members of one are related.
    pub groups: Vec<(GroupName, Selector)>,
    /// Of whom nobody is to hear.
    pub silences: Vec<Silence>,
}

impl Default for IncidentRules {
    fn default() -> Self {
        Self {
            join_s: 900,
            fleet_members_min: 5,
            fleet_share_min: 0.1,
            repeat_s: 3600,
            groups: Vec::new(),
            silences: Vec::new(),
        }
    }
}

/// Rules that make no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} is {value}: {problem}")]
pub struct IncidentRulesError {
    /// Which.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// What it has to be.
    pub problem: &'static str,
}

impl IncidentRules {
    /// Checks them.
    ///
    /// # Errors
    /// With the first that is out of range.
    pub fn validate(&self) -> Result<(), IncidentRulesError> {
        let wrong =
            |key, value: &dyn ToString, problem| Err(IncidentRulesError { key, value: value.to_string(), problem });
        if self.join_s > 86_400 {
            return wrong("join_s", &self.join_s, "give at most 86400");
        }
        if self.fleet_members_min < 2 {
            return wrong("fleet_members_min", &self.fleet_members_min, "give at least 2");
        }
        if !(0.0..=1.0).contains(&self.fleet_share_min) {
            return wrong("fleet_share_min", &self.fleet_share_min, "give a share from 0 to 1");
        }
        if !(3600..=86_400).contains(&self.repeat_s) {
            return wrong("repeat_s", &self.repeat_s, "give 3600 to 86400");
        }
        Ok(())
    }

    /// So many workloads at once, of a fleet of so many, are the fleet; of 0 where its size is not known.
    fn fleet_members(&self, workloads: u32) -> u32 {
        let share = (self.fleet_share_min * f64::from(workloads)).ceil() as u32;
        share.max(self.fleet_members_min)
    }

    fn is_silenced(&self, anomaly: &Anomaly) -> bool {
        self.silences.iter().any(|silence| silence.holds(anomaly))
    }

    fn share_a_group(&self, a: (&WorkloadId, &str), b: (&WorkloadId, &str)) -> bool {
        self.groups.iter().any(|(_, members)| members.holds(a.0, a.1) && members.holds(b.0, b.1))
    }
}

/// The incidents of the fleets of one partition. It is a function of the anomalies in their order and of the rules.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Incidents {
    fleets: BTreeMap<WorkloadId, Fleet>,
}

#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
struct Fleet {
    /// The newest instant that was told of.
    newest: Option<EventTime>,
    /// How many workloads of it each partition knows.
    partitions: BTreeMap<u32, u32>,
    incidents: Vec<Kept>,
}

/// An incident as it is kept.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Kept {
    id: Arc<str>,
    /// The first mover first.
    parts: Vec<Part>,
    /// How many workloads they are of, and how many were told of.
    workloads: u32,
    told_workloads: u32,
    /// When the newest member became unusual.
    newest_start: EventTime,
    told_at: EventTime,
    is_ended: bool,
}

/// An anomaly of an incident.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Part {
    member: Member,
    source: Arc<str>,
    heard_at: EventTime,
}

impl Incidents {
    /// Takes in what is told of an anomaly of a fleet. What is to be told of incidents; nothing where nothing is new, or
    /// nobody is to hear of it.
    pub fn take(&mut self, rules: &IncidentRules, alarm: &FleetAnomaly) -> Vec<Incident> {
        let FleetAnomaly { fleet, anomaly, known: part } = alarm;
        let known = self.fleets.entry(fleet.clone()).or_default();
        if part.workloads > 0 {
            known.partitions.insert(part.partition, part.workloads);
        }
        let now = known.newest.map_or(anomaly.at, |newest| newest.max(anomaly.at));
        known.newest = Some(now);
        let mut told: Vec<Incident> = Vec::new();
        if let Some(index) = known.place(rules, anomaly) {
            let kept = &mut known.incidents[index];
            if kept.heard(anomaly, now) {
                told.push(kept.told(fleet, now, false));
            }
        }
        for kept in known.incidents.iter_mut().filter(|kept| !kept.is_ended) {
            if kept.end_silent(now) {
                told.push(kept.told(fleet, now, false));
            } else if now >= kept.told_at.plus_s(i64::from(rules.repeat_s)) {
                told.push(kept.told(fleet, now, true));
            }
        }
        known.incidents.retain(|kept| !kept.is_ended || now < kept.told_at.plus_s(KEPT_S));
        told
    }

    /// Incidents that last.
    pub fn lasting(&self) -> usize {
        self.fleets.values().flat_map(|fleet| &fleet.incidents).filter(|kept| !kept.is_ended).count()
    }
}

impl Fleet {
    /// The incident of the same moment that an anomaly is related to. Where so many workloads are unusual in that moment
    /// that the fleet is, all of its incidents are one from then on: the largest takes what comes.
    fn related(&self, rules: &IncidentRules, anomaly: &Anomaly) -> Option<usize> {
        let near = || self.incidents.iter().enumerate().filter(|(_, kept)| kept.is_of_its_moment(rules, anomaly));
        if let Some((index, _)) = near().find(|(_, kept)| kept.is_related(rules, anomaly)) {
            return Some(index);
        }
        let workloads: u32 = near().map(|(_, kept)| kept.workloads).sum();
        let is_fleet = workloads >= rules.fleet_members(self.partitions.values().sum());
        let largest = near().max_by_key(|(index, kept)| (kept.workloads, std::cmp::Reverse(*index)));
        largest.filter(|_| is_fleet).map(|(index, _)| index)
    }

    /// The index of the incident that an anomaly belongs to, which may be new; `None` where nobody is to hear of it.
    fn place(&mut self, rules: &IncidentRules, anomaly: &Anomaly) -> Option<usize> {
        let has_it = |kept: &Kept| kept.parts.iter().any(|part| part.member.anomaly_id == anomaly.anomaly_id);
        if let Some(index) = self.incidents.iter().position(has_it) {
            return Some(index);
        }
        // One that ends here without having begun was silenced, or told of long ago.
        if anomaly.ended_at.is_some() || rules.is_silenced(anomaly) {
            return None;
        }
        if let Some(index) = self.related(rules, anomaly) {
            return Some(index);
        }
        self.incidents.push(Kept {
            id: format!("incident:{}", anomaly.anomaly_id).into(),
            parts: Vec::new(),
            workloads: 0,
            told_workloads: 0,
            newest_start: anomaly.started_at,
            told_at: anomaly.at,
            is_ended: false,
        });
        Some(self.incidents.len() - 1)
    }
}

impl Kept {
    /// Whether an anomaly began in the moment in which it began, or grew.
    fn is_of_its_moment(&self, rules: &IncidentRules, anomaly: &Anomaly) -> bool {
        let first = self.parts.first().map_or(self.newest_start, |first| first.member.started_at);
        let join_ms = i64::from(rules.join_s) * 1000;
        let after_ms = |start: EventTime| anomaly.started_at.as_ms() - start.as_ms();
        let is_near = |start: EventTime| after_ms(start).abs() <= join_ms;
        !self.is_ended && (is_near(first) || (is_near(self.newest_start) && after_ms(first) <= GROWS_JOINS * join_ms))
    }

    /// Whether an anomaly has the workload, the KPI most to blame or a group in common with it.
    fn is_related(&self, rules: &IncidentRules, anomaly: &Anomaly) -> bool {
        let top = anomaly.kpis.first();
        self.parts.iter().any(|Part { member, source, .. }| {
            let is_alike = member.workload == anomaly.workload || (top.is_some() && member.kpis.first() == top);
            is_alike || rules.share_a_group((&member.workload, source), (&anomaly.workload, &anomaly.source))
        })
    }

    /// Takes in what is told of an anomaly of it; whether that is worth telling.
    fn heard(&mut self, anomaly: &Anomaly, now: EventTime) -> bool {
        let (severity, was_ended) = (self.severity(), self.is_ended);
        let member = Member {
            workload: anomaly.workload.clone(),
            anomaly_id: Arc::clone(&anomaly.anomaly_id),
            started_at: anomaly.started_at,
            ended_at: anomaly.ended_at,
            p_value: anomaly.p_value,
            severity: anomaly.severity,
            kpis: anomaly.kpis.clone(),
        };
        match self.parts.iter_mut().find(|part| part.member.anomaly_id == anomaly.anomaly_id) {
            Some(part) => (part.member, part.heard_at) = (member, now),
            None => self.add(Part { member, source: anomaly.source.as_str().into(), heard_at: now }),
        }
        let has_grown = self.workloads >= self.told_workloads + (self.told_workloads / TOLD_GROWTH).max(1);
        let ends = self.ends();
        !was_ended && (has_grown || ends || self.severity() > severity)
    }

    fn add(&mut self, new: Part) {
        let is_known = self.parts.iter().any(|part| part.member.workload == new.member.workload);
        self.workloads += u32::from(!is_known);
        self.newest_start = self.newest_start.max(new.member.started_at);
        let is_before = |part: &Part| {
            (part.member.started_at, &part.member.workload) <= (new.member.started_at, &new.member.workload)
        };
        let place = self.parts.partition_point(is_before);
        self.parts.insert(place, new);
    }

    /// Ends the anomalies that nobody tells of any more; whether that ends it.
    fn end_silent(&mut self, now: EventTime) -> bool {
        let is_silent = |part: &&mut Part| part.member.ended_at.is_none() && part.heard_at.plus_s(SILENT_S) < now;
        self.parts.iter_mut().filter(is_silent).for_each(|part| part.member.ended_at = Some(part.heard_at));
        self.ends()
    }

    /// Whether it lasted and all of its anomalies are over: then it is over.
    fn ends(&mut self) -> bool {
        let has_ended = self.parts.iter().all(|part| part.member.ended_at.is_some());
        has_ended && !std::mem::replace(&mut self.is_ended, true)
    }

    fn severity(&self) -> Severity {
        self.parts.iter().map(|part| part.member.severity).max().unwrap_or(Severity::Info)
    }

    fn told(&mut self, fleet: &WorkloadId, at: EventTime, is_repetition: bool) -> Incident {
        (self.told_at, self.told_workloads) = (at, self.workloads);
        let members = || self.parts.iter().map(|part| &part.member);
        let ended_at = members().filter_map(|member| member.ended_at).max().filter(|_| self.is_ended);
        Incident {
            fleet: fleet.clone(),
            incident_id: Arc::clone(&self.id),
            at,
            started_at: members().map(|member| member.started_at).min().unwrap_or(at),
            ended_at,
            severity: self.severity(),
            workloads: self.workloads,
            members: members().take(MEMBERS_TOLD_MAX).cloned().collect(),
            is_repetition,
        }
    }
}
