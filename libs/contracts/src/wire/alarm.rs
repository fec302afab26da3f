//! `schemas/anomalies.avsc`.

use super::capacity::Platform;
use super::check;
use crate::mirror::{Fault, Wire};
use crate::names::Name;
use prescale_domain::alarm as domain;
use prescale_domain::kpi::KpiName;
use prescale_domain::time::EventTime;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Severity {
    Unknown,
    Info,
    Warning,
    Critical,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Anomaly {
    workload: String,
    source: String,
    anomaly_id: String,
    at: i64,
    started_at: i64,
    ended_at: Option<i64>,
    p_value: f64,
    severity: Severity,
    kpis: Vec<Name>,
    unusual_bins: i64,
    watched_bins: i64,
    platform: Platform,
}

impl Severity {
    pub(super) fn of(severity: domain::Severity) -> Self {
        match severity {
            domain::Severity::Info => Self::Info,
            domain::Severity::Warning => Self::Warning,
            domain::Severity::Critical => Self::Critical,
        }
    }

    pub(super) fn into_domain(self) -> Result<domain::Severity, Fault> {
        match self {
            Self::Unknown => Err(Fault::unknown_symbol("severity")),
            Self::Info => Ok(domain::Severity::Info),
            Self::Warning => Ok(domain::Severity::Warning),
            Self::Critical => Ok(domain::Severity::Critical),
        }
    }
}

/// KPIs to blame as they are written.
pub(super) fn written(kpis: &[KpiName]) -> Vec<Name> {
    kpis.iter().map(|kpi| Name(kpi.shared())).collect()
}

/// Checks KPIs to blame.
pub(super) fn check_kpis(kpis: &[Name]) -> Result<(), Fault> {
    match kpis.iter().position(|kpi| kpi.is_empty()) {
        Some(i) => Err(Fault::new(&format!("kpis[{i}]"), "is empty")),
        None => Ok(()),
    }
}

/// KPIs to blame as they are meant.
pub(super) fn read(kpis: Vec<Name>) -> Vec<KpiName> {
    kpis.into_iter().map(|kpi| kpi.0.into()).collect()
}

/// Checks the stretch of time that something lasts.
pub(super) fn check_stretch(started_at: i64, ended_at: Option<i64>) -> Result<(), Fault> {
    check::instant("started_at", started_at)?;
    let Some(ended_at) = ended_at else { return Ok(()) };
    check::instant("ended_at", ended_at)?;
    if ended_at < started_at { Err(Fault::new("ended_at", "is before started_at")) } else { Ok(()) }
}

impl Wire for Anomaly {
    type Domain = domain::Anomaly;
    const RECORD: &'static str = "Anomaly";

    fn of(anomaly: &domain::Anomaly) -> Self {
        Self {
            workload: anomaly.workload.as_str().to_owned(),
            source: anomaly.source.as_str().to_owned(),
            anomaly_id: anomaly.anomaly_id.as_ref().to_owned(),
            at: anomaly.at.as_ms(),
            started_at: anomaly.started_at.as_ms(),
            ended_at: anomaly.ended_at.map(EventTime::as_ms),
            p_value: anomaly.p_value,
            severity: Severity::of(anomaly.severity),
            kpis: written(&anomaly.kpis),
            unusual_bins: anomaly.unusual_bins.into(),
            watched_bins: anomaly.watched_bins.into(),
            platform: anomaly.platform.into(),
        }
    }

    fn workload(&self) -> &str {
        &self.workload
    }

    fn check(&self) -> Result<(), Fault> {
        check::not_empty("anomaly_id", &self.anomaly_id)?;
        check::instant("at", self.at)?;
        check_stretch(self.started_at, self.ended_at)?;
        check::share("p_value", self.p_value)?;
        check_kpis(&self.kpis)?;
        if self.unusual_bins > self.watched_bins {
            return Err(Fault::new("unusual_bins", "is more than were watched"));
        }
        Ok(())
    }

    fn into_domain(self) -> Result<domain::Anomaly, Fault> {
        Ok(domain::Anomaly {
            workload: check::workload(&self.workload)?,
            source: check::source(self.source.into())?,
            anomaly_id: self.anomaly_id.into(),
            at: EventTime::from_ms(self.at),
            started_at: EventTime::from_ms(self.started_at),
            ended_at: self.ended_at.map(EventTime::from_ms),
            p_value: self.p_value,
            severity: self.severity.into_domain()?,
            kpis: read(self.kpis),
            unusual_bins: check::count("unusual_bins", self.unusual_bins)?,
            watched_bins: check::count("watched_bins", self.watched_bins)?,
            platform: self.platform.into_domain()?,
        })
    }
}
