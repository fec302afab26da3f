//! `schemas/raw-kpis.avsc`.

use super::capacity::{Capacity, Platform};
use super::check::{self, Within};
use crate::mirror::{Fault, Wire};
use crate::names::Name;
use prescale_domain::kpi::{self as kpi_domain, KpiName};
use prescale_domain::sample as domain;
use prescale_domain::time::EventTime;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum KpiKind {
    Unknown,
    Gauge,
    Rate,
    Counter,
}

#[derive(Serialize, Deserialize)]
struct Kpi {
    name: Name,
    kind: KpiKind,
    unit: Name,
    value: Option<f64>,
}

impl Kpi {
    fn of(kpi: &kpi_domain::Kpi) -> Self {
        Self {
            name: Name(kpi.name.shared()),
            kind: match kpi.kind {
                kpi_domain::KpiKind::Gauge => KpiKind::Gauge,
                kpi_domain::KpiKind::Rate => KpiKind::Rate,
                kpi_domain::KpiKind::Counter => KpiKind::Counter,
            },
            unit: Name(kpi.unit.clone()),
            value: kpi.value,
        }
    }

    fn check(&self) -> Result<(), Fault> {
        check::not_empty("name", &self.name)?;
        check::finite_if_any("value", self.value)
    }

    fn into_domain(self) -> Result<kpi_domain::Kpi, Fault> {
        Ok(kpi_domain::Kpi {
            name: KpiName::from(self.name.0),
            kind: match self.kind {
                KpiKind::Unknown => return Err(Fault::unknown_symbol("kind")),
                KpiKind::Gauge => kpi_domain::KpiKind::Gauge,
                KpiKind::Rate => kpi_domain::KpiKind::Rate,
                KpiKind::Counter => kpi_domain::KpiKind::Counter,
            },
            unit: self.unit.0,
            value: self.value,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Sample {
    workload: String,
    source: Name,
    at: i64,
    step_s: i64,
    kpis: Vec<Kpi>,
    capacity: Option<Capacity>,
    platform: Platform,
}

impl Wire for Sample {
    type Domain = domain::Sample;
    const RECORD: &'static str = "Sample";

    fn of(sample: &domain::Sample) -> Self {
        Self {
            workload: sample.workload.as_str().to_owned(),
            source: Name(sample.source.shared()),
            at: sample.at.as_ms(),
            step_s: sample.step_s.into(),
            kpis: sample.kpis.iter().map(Kpi::of).collect(),
            capacity: sample.capacity.as_ref().map(Capacity::of),
            platform: sample.platform.into(),
        }
    }

    fn workload(&self) -> &str {
        &self.workload
    }

    fn check(&self) -> Result<(), Fault> {
        check::instant("at", self.at)?;
        check::positive("step_s", self.step_s)?;
        let mut seen = BTreeSet::new();
        for (i, kpi) in self.kpis.iter().enumerate() {
            kpi.check().within_item("kpis", i)?;
            if !seen.insert(&*kpi.name) {
                let problem = format!("{:?} appears twice: a sample has each KPI once", &*kpi.name);
                return Err(Fault::new("name", problem)).within_item("kpis", i);
            }
        }
        self.capacity.as_ref().map_or(Ok(()), Capacity::check).within("capacity")
    }

    fn into_domain(self) -> Result<domain::Sample, Fault> {
        Ok(domain::Sample {
            workload: check::workload(&self.workload)?,
            source: check::source(self.source.0)?,
            at: EventTime::from_ms(self.at),
            step_s: check::positive("step_s", self.step_s)?,
            kpis: self
                .kpis
                .into_iter()
                .enumerate()
                .map(|(i, kpi)| kpi.into_domain().within_item("kpis", i))
                .collect::<Result<_, _>>()?,
            capacity: self.capacity.map(Capacity::into_domain).transpose().within("capacity")?,
            platform: self.platform.into_domain()?,
        })
    }
}
