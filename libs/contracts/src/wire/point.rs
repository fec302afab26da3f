//! `schemas/raw-points.avsc`.

use super::capacity::Platform;
use super::check;
use crate::mirror::{Fault, Wire};
use crate::names::Name;
use prescale_domain::kpi::KpiKind;
use prescale_domain::point as domain;
use prescale_domain::time::EventTime;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum PointKind {
    Unknown,
    Gauge,
    Rate,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum AddUp {
    Unknown,
    Sum,
    Mean,
    Max,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Point {
    workload: String,
    source: Name,
    at: i64,
    step_s: i64,
    series: String,
    measured: Name,
    kind: PointKind,
    unit: Name,
    is_total: bool,
    add_up: AddUp,
    value: Option<f64>,
    platform: Platform,
}

impl Wire for Point {
    type Domain = domain::Point;
    const RECORD: &'static str = "Point";

    fn of(point: &domain::Point) -> Self {
        Self {
            workload: point.workload.as_str().to_owned(),
            source: Name(point.source.shared()),
            at: point.at.as_ms(),
            step_s: point.step_s.into(),
            series: point.series.as_ref().to_owned(),
            measured: Name(point.measured.name().into()),
            kind: match point.kind {
                KpiKind::Gauge => PointKind::Gauge,
                KpiKind::Rate => PointKind::Rate,
                KpiKind::Counter => PointKind::Unknown,
            },
            unit: Name(point.unit.clone()),
            is_total: point.is_total,
            add_up: match point.add_up {
                domain::AddUp::Sum => AddUp::Sum,
                domain::AddUp::Mean => AddUp::Mean,
                domain::AddUp::Max => AddUp::Max,
            },
            value: point.value,
            platform: point.platform.into(),
        }
    }

    fn follows(point: &domain::Point) -> Result<(), Fault> {
        match point.kind {
            KpiKind::Gauge | KpiKind::Rate => Ok(()),
            KpiKind::Counter => Err(Fault::new("kind", "samples of points have no counters: their growth is a rate")),
        }
    }

    fn workload(&self) -> &str {
        &self.workload
    }

    fn check(&self) -> Result<(), Fault> {
        check::instant("at", self.at)?;
        check::positive("step_s", self.step_s)?;
        check::not_empty("measured", &self.measured)?;
        match self.value {
            Some(total) if self.is_total => check::not_negative("value", total),
            value => check::finite_if_any("value", value),
        }
    }

    fn into_domain(self) -> Result<domain::Point, Fault> {
        Ok(domain::Point {
            workload: check::workload(&self.workload)?,
            source: check::source(self.source.0)?,
            at: EventTime::from_ms(self.at),
            step_s: check::positive("step_s", self.step_s)?,
            series: self.series.into(),
            measured: domain::Measured::of_name(self.measured.0),
            kind: match self.kind {
                PointKind::Unknown => return Err(Fault::unknown_symbol("kind")),
                PointKind::Gauge => KpiKind::Gauge,
                PointKind::Rate => KpiKind::Rate,
            },
            unit: self.unit.0,
            is_total: self.is_total,
            add_up: match self.add_up {
                AddUp::Unknown => return Err(Fault::unknown_symbol("add_up")),
                AddUp::Sum => domain::AddUp::Sum,
                AddUp::Mean => domain::AddUp::Mean,
                AddUp::Max => domain::AddUp::Max,
            },
            value: self.value,
            platform: self.platform.into_domain()?,
        })
    }
}
