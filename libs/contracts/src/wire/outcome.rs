//! `schemas/outcomes.avsc`.

use super::check::{self, Within};
use crate::mirror::{Fault, Wire};
use prescale_domain::evaluation as domain;
use prescale_domain::time::EventTime;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Worth {
    short_s: f64,
    unmet_core_s: f64,
    over_core_s: f64,
    capacity_core_s: f64,
    cost: Option<f64>,
    changes: i64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Outcome {
    workload: String,
    source: String,
    from: i64,
    policy: String,
    lead_time_s: i64,
    dry_run: bool,
    observed_s: f64,
    censored_s: f64,
    demand_core_s: f64,
    capacity: Worth,
    plan: Worth,
    reactive: Worth,
    currency: Option<String>,
}

impl Worth {
    fn of(worth: &domain::Worth) -> Self {
        Self {
            short_s: worth.short_s,
            unmet_core_s: worth.unmet_core_s,
            over_core_s: worth.over_core_s,
            capacity_core_s: worth.capacity_core_s,
            cost: worth.cost,
            changes: i64::try_from(worth.changes).unwrap_or(i64::MAX),
        }
    }

    fn check(&self) -> Result<(), Fault> {
        check::not_negative("short_s", self.short_s)?;
        check::not_negative("unmet_core_s", self.unmet_core_s)?;
        check::not_negative("over_core_s", self.over_core_s)?;
        check::not_negative("capacity_core_s", self.capacity_core_s)?;
        self.cost.map_or(Ok(()), |cost| check::not_negative("cost", cost))
    }

    fn into_domain(self) -> Result<domain::Worth, Fault> {
        Ok(domain::Worth {
            short_s: self.short_s,
            unmet_core_s: self.unmet_core_s,
            over_core_s: self.over_core_s,
            capacity_core_s: self.capacity_core_s,
            cost: self.cost,
            changes: u64::try_from(self.changes)
                .map_err(|_| Fault::new("changes", format!("{} is below zero", self.changes)))?,
        })
    }
}

impl Wire for Outcome {
    type Domain = domain::Outcome;
    const RECORD: &'static str = "Outcome";

    fn of(outcome: &domain::Outcome) -> Self {
        let sums = &outcome.sums;
        Self {
            workload: outcome.workload.as_str().to_owned(),
            source: outcome.source.as_str().to_owned(),
            from: outcome.from.as_ms(),
            policy: outcome.policy.as_ref().to_owned(),
            lead_time_s: outcome.lead_time_s.into(),
            dry_run: outcome.is_dry_run,
            observed_s: sums.observed_s,
            censored_s: sums.censored_s,
            demand_core_s: sums.demand_core_s,
            capacity: Worth::of(&sums.capacity),
            plan: Worth::of(&sums.plan),
            reactive: Worth::of(&sums.reactive),
            currency: sums.currency.as_deref().map(str::to_owned),
        }
    }

    fn workload(&self) -> &str {
        &self.workload
    }

    fn check(&self) -> Result<(), Fault> {
        check::instant("from", self.from)?;
        check::not_empty("policy", &self.policy)?;
        check::not_negative("observed_s", self.observed_s)?;
        check::not_negative("censored_s", self.censored_s)?;
        if self.censored_s > self.observed_s {
            return Err(Fault::new("censored_s", "is more than was observed"));
        }
        check::not_negative("demand_core_s", self.demand_core_s)?;
        self.capacity.check().within("capacity")?;
        self.plan.check().within("plan")?;
        self.reactive.check().within("reactive")?;
        self.currency.as_deref().map_or(Ok(()), |currency| check::not_empty("currency", currency))
    }

    fn into_domain(self) -> Result<domain::Outcome, Fault> {
        Ok(domain::Outcome {
            workload: check::workload(&self.workload)?,
            source: check::source(self.source.into())?,
            from: EventTime::from_ms(self.from),
            policy: self.policy.into(),
            lead_time_s: check::count("lead_time_s", self.lead_time_s)?,
            is_dry_run: self.dry_run,
            sums: domain::Sums {
                observed_s: self.observed_s,
                censored_s: self.censored_s,
                demand_core_s: self.demand_core_s,
                capacity: self.capacity.into_domain().within("capacity")?,
                plan: self.plan.into_domain().within("plan")?,
                reactive: self.reactive.into_domain().within("reactive")?,
                currency: self.currency.map(Into::into),
            },
        })
    }
}
