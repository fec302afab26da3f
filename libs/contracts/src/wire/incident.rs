//! `schemas/alarms.avsc` and `schemas/incidents.avsc`.

use super::alarm::{self, Anomaly, Severity};
use super::check::{self, Within};
use crate::codec;
use crate::contract::Contract;
use crate::error::ContractError;
use crate::mirror::{Fault, Wire};
use crate::names::Name;
use crate::topics;
use prescale_domain::incident as domain;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(crate) struct FleetAnomaly {
    fleet: String,
    anomaly: Anomaly,
    partition: i64,
    partition_workloads: i64,
}

#[derive(Serialize, Deserialize)]
struct IncidentMember {
    workload: String,
    anomaly_id: String,
    started_at: i64,
    ended_at: Option<i64>,
    p_value: f64,
    severity: Severity,
    kpis: Vec<Name>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Incident {
    fleet: String,
    incident_id: String,
    at: i64,
    started_at: i64,
    ended_at: Option<i64>,
    severity: Severity,
    workloads: i64,
    members: Vec<IncidentMember>,
    is_repetition: bool,
}

fn fleet(text: &str) -> Result<WorkloadId, Fault> {
    WorkloadId::new(text).map_err(|e| Fault::new("fleet", e.to_string()))
}

impl Wire for FleetAnomaly {
    type Domain = domain::FleetAnomaly;
    const RECORD: &'static str = "FleetAnomaly";

    fn of(told: &domain::FleetAnomaly) -> Self {
        Self {
            fleet: told.fleet.as_str().to_owned(),
            anomaly: Anomaly::of(&told.anomaly),
            partition: told.known.partition.into(),
            partition_workloads: told.known.workloads.into(),
        }
    }

    fn workload(&self) -> &str {
        &self.fleet
    }

    fn check(&self) -> Result<(), Fault> {
        self.anomaly.check().within("anomaly")
    }

    fn into_domain(self) -> Result<domain::FleetAnomaly, Fault> {
        let known = domain::FleetPart {
            partition: check::count("partition", self.partition)?,
            workloads: check::count("partition_workloads", self.partition_workloads)?,
        };
        let anomaly = self.anomaly.into_domain().within("anomaly")?;
        Ok(domain::FleetAnomaly { fleet: fleet(&self.fleet)?, anomaly, known })
    }
}

impl Contract for domain::FleetAnomaly {
    const TOPIC: &'static str = topics::ALARMS;
    const EVENT_TYPE: &'static str = "io.prescale.v1.FleetAnomaly";

    fn workload(&self) -> &WorkloadId {
        &self.fleet
    }

    fn at(&self) -> EventTime {
        self.anomaly.at
    }

    fn encode(&self) -> Result<Vec<u8>, ContractError> {
        codec::encode::<FleetAnomaly>(Self::TOPIC, self)
    }

    fn decode(framed: &[u8]) -> Result<Self, ContractError> {
        codec::decode::<FleetAnomaly>(Self::TOPIC, framed)
    }
}

impl IncidentMember {
    fn of(member: &domain::Member) -> Self {
        Self {
            workload: member.workload.as_str().to_owned(),
            anomaly_id: member.anomaly_id.as_ref().to_owned(),
            started_at: member.started_at.as_ms(),
            ended_at: member.ended_at.map(EventTime::as_ms),
            p_value: member.p_value,
            severity: Severity::of(member.severity),
            kpis: alarm::written(&member.kpis),
        }
    }

    fn check(&self) -> Result<(), Fault> {
        check::not_empty("anomaly_id", &self.anomaly_id)?;
        alarm::check_stretch(self.started_at, self.ended_at)?;
        check::share("p_value", self.p_value)?;
        alarm::check_kpis(&self.kpis)
    }

    fn into_domain(self) -> Result<domain::Member, Fault> {
        Ok(domain::Member {
            workload: check::workload(&self.workload)?,
            anomaly_id: self.anomaly_id.into(),
            started_at: EventTime::from_ms(self.started_at),
            ended_at: self.ended_at.map(EventTime::from_ms),
            p_value: self.p_value,
            severity: self.severity.into_domain()?,
            kpis: alarm::read(self.kpis),
        })
    }
}

impl Wire for Incident {
    type Domain = domain::Incident;
    const RECORD: &'static str = "Incident";

    fn of(incident: &domain::Incident) -> Self {
        Self {
            fleet: incident.fleet.as_str().to_owned(),
            incident_id: incident.incident_id.as_ref().to_owned(),
            at: incident.at.as_ms(),
            started_at: incident.started_at.as_ms(),
            ended_at: incident.ended_at.map(EventTime::as_ms),
            severity: Severity::of(incident.severity),
            workloads: incident.workloads.into(),
            members: incident.members.iter().map(IncidentMember::of).collect(),
            is_repetition: incident.is_repetition,
        }
    }

    fn workload(&self) -> &str {
        &self.fleet
    }

    fn check(&self) -> Result<(), Fault> {
        check::not_empty("incident_id", &self.incident_id)?;
        check::instant("at", self.at)?;
        alarm::check_stretch(self.started_at, self.ended_at)?;
        for (i, member) in self.members.iter().enumerate() {
            member.check().within_item("members", i)?;
        }
        Ok(())
    }

    fn into_domain(self) -> Result<domain::Incident, Fault> {
        let member = |(i, member): (usize, IncidentMember)| member.into_domain().within_item("members", i);
        Ok(domain::Incident {
            fleet: fleet(&self.fleet)?,
            incident_id: self.incident_id.into(),
            at: EventTime::from_ms(self.at),
            started_at: EventTime::from_ms(self.started_at),
            ended_at: self.ended_at.map(EventTime::from_ms),
            severity: self.severity.into_domain()?,
            workloads: check::count("workloads", self.workloads)?,
            members: self.members.into_iter().enumerate().map(member).collect::<Result<_, _>>()?,
            is_repetition: self.is_repetition,
        })
    }
}
