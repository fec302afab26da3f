//! How unusual a workload is, as fingerprints and predictions carry it.

use super::check;
use crate::mirror::Fault;
use crate::names::Name;
use prescale_domain::anomaly as domain;
use prescale_domain::kpi::KpiName;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(super) struct AnomalyScore {
    p_value: f32,
    kpis: Vec<Name>,
}

impl AnomalyScore {
    pub(super) fn of(score: &domain::AnomalyScore) -> Self {
        Self { p_value: score.p_value, kpis: score.kpis.iter().map(|kpi| Name(kpi.shared())).collect() }
    }

    pub(super) fn check(&self) -> Result<(), Fault> {
        check::share("p_value", self.p_value.into())?;
        self.kpis.iter().enumerate().try_for_each(|(i, kpi)| check::not_empty(&format!("kpis[{i}]"), kpi))
    }

    pub(super) fn into_domain(self) -> domain::AnomalyScore {
        let kpis = self.kpis.into_iter().map(|kpi| KpiName::from(kpi.0)).collect();
        domain::AnomalyScore { p_value: self.p_value, kpis }
    }
}
