//! `schemas/retraining.avsc`.

use super::check;
use crate::mirror::{Fault, Wire};
use crate::names::Name;
use prescale_domain::kpi::KpiName;
use prescale_domain::retraining as domain;
use prescale_domain::time::EventTime;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(crate) struct RetrainingRequest {
    family: String,
    model_version: Name,
    workload: String,
    source: Name,
    resource: Name,
    from: i64,
    to: i64,
    loss_before: f32,
    loss_now: f32,
}

impl Wire for RetrainingRequest {
    type Domain = domain::RetrainingRequest;
    const RECORD: &'static str = "RetrainingRequest";

    fn of(request: &domain::RetrainingRequest) -> Self {
        Self {
            family: request.family.key().as_str().to_owned(),
            model_version: Name(request.model_version.clone()),
            workload: request.workload.as_str().to_owned(),
            source: Name(request.source.shared()),
            resource: Name(request.resource.shared()),
            from: request.from.as_ms(),
            to: request.to.as_ms(),
            loss_before: request.loss_before as f32,
            loss_now: request.loss_now as f32,
        }
    }

    fn workload(&self) -> &str {
        &self.workload
    }

    fn check(&self) -> Result<(), Fault> {
        check::not_empty("resource", &self.resource)?;
        check::instant("from", self.from)?;
        check::instant("to", self.to)?;
        if self.to <= self.from {
            return Err(Fault::new("to", "is not after from"));
        }
        check::finite_f32("loss_before", self.loss_before)?;
        check::not_negative("loss_before", self.loss_before.into())?;
        check::finite_f32("loss_now", self.loss_now)?;
        check::not_negative("loss_now", self.loss_now.into())
    }

    fn into_domain(self) -> Result<domain::RetrainingRequest, Fault> {
        let unknown =
            || Fault::new("family", format!("{:?} is no family of trained models that is known", self.family));
        Ok(domain::RetrainingRequest {
            family: domain::TrainedFamily::named(&self.family).ok_or_else(unknown)?,
            model_version: self.model_version.0,
            workload: check::workload(&self.workload)?,
            source: check::source(self.source.0)?,
            resource: KpiName::from(self.resource.0),
            from: EventTime::from_ms(self.from),
            to: EventTime::from_ms(self.to),
            loss_before: self.loss_before.into(),
            loss_now: self.loss_now.into(),
        })
    }
}
