//! `schemas/forecast-scores.avsc`.

use super::check::{self, Within};
use super::prediction::DriftState;
use crate::mirror::{Fault, Wire};
use crate::names::Name;
use prescale_domain::forecast_score as domain;
use prescale_domain::kpi::KpiName;
use prescale_domain::time::EventTime;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct StatisticScore {
    scored: i64,
    pinball_loss: f32,
    realised: f32,
    median: f32,
    judged: i64,
    held: i64,
}

impl StatisticScore {
    fn of(score: &domain::StatisticScore) -> Self {
        Self {
            scored: score.scored.into(),
            pinball_loss: score.pinball_loss as f32,
            realised: score.realised as f32,
            median: score.median as f32,
            judged: score.judged.into(),
            held: score.held.into(),
        }
    }

    fn check(&self) -> Result<(), Fault> {
        check::positive("scored", self.scored)?;
        check::finite_f32("pinball_loss", self.pinball_loss)?;
        check::not_negative("pinball_loss", self.pinball_loss.into())?;
        check::finite_f32("realised", self.realised)?;
        check::finite_f32("median", self.median)?;
        check::count("judged", self.judged)?;
        check::count("held", self.held)?;
        if self.judged > self.scored {
            return Err(Fault::new("judged", "is more than were scored"));
        }
        if self.held > self.judged { Err(Fault::new("held", "is more than were judged")) } else { Ok(()) }
    }

    fn into_domain(self) -> Result<domain::StatisticScore, Fault> {
        Ok(domain::StatisticScore {
            scored: check::positive("scored", self.scored)?,
            pinball_loss: self.pinball_loss.into(),
            realised: self.realised.into(),
            median: self.median.into(),
            judged: check::count("judged", self.judged)?,
            held: check::count("held", self.held)?,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct HorizonScore {
    horizon_s: i64,
    value: Option<StatisticScore>,
    maximum: Option<StatisticScore>,
}

impl HorizonScore {
    fn of(score: &domain::HorizonScore) -> Self {
        Self {
            horizon_s: score.horizon_s.into(),
            value: score.value.as_ref().map(StatisticScore::of),
            maximum: score.maximum.as_ref().map(StatisticScore::of),
        }
    }

    fn check(&self) -> Result<(), Fault> {
        check::positive("horizon_s", self.horizon_s)?;
        self.value.as_ref().map_or(Ok(()), StatisticScore::check).within("value")?;
        self.maximum.as_ref().map_or(Ok(()), StatisticScore::check).within("maximum")?;
        if self.value.is_none() && self.maximum.is_none() {
            return Err(Fault::new("value", "is missing as the maximum is: leave the horizon out"));
        }
        Ok(())
    }

    fn into_domain(self) -> Result<domain::HorizonScore, Fault> {
        Ok(domain::HorizonScore {
            horizon_s: check::positive("horizon_s", self.horizon_s)?,
            value: self.value.map(StatisticScore::into_domain).transpose().within("value")?,
            maximum: self.maximum.map(StatisticScore::into_domain).transpose().within("maximum")?,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct PairedLoss {
    model: Name,
    model_version: Name,
    pinball_loss: f32,
}

impl PairedLoss {
    fn of(loss: &domain::PairedLoss) -> Self {
        Self {
            model: Name(loss.model.clone()),
            model_version: Name(loss.model_version.clone()),
            pinball_loss: loss.pinball_loss as f32,
        }
    }

    fn check(&self) -> Result<(), Fault> {
        check::not_empty("model", &self.model)?;
        check::finite_f32("pinball_loss", self.pinball_loss)?;
        check::not_negative("pinball_loss", self.pinball_loss.into())
    }

    fn into_domain(self) -> domain::PairedLoss {
        domain::PairedLoss {
            model: self.model.0,
            model_version: self.model_version.0,
            pinball_loss: self.pinball_loss.into(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct TrialLoss {
    model: Name,
    model_version: Name,
    candidate_version: Name,
    trial_from: i64,
    rounds: i64,
    pinball_loss: f32,
    candidate_loss: f32,
}

impl TrialLoss {
    fn of(loss: &domain::TrialLoss) -> Self {
        Self {
            model: Name(loss.model.clone()),
            model_version: Name(loss.model_version.clone()),
            candidate_version: Name(loss.candidate_version.clone()),
            trial_from: loss.trial_from.as_ms(),
            rounds: loss.rounds.into(),
            pinball_loss: loss.pinball_loss as f32,
            candidate_loss: loss.candidate_loss as f32,
        }
    }

    fn check(&self) -> Result<(), Fault> {
        check::not_empty("model", &self.model)?;
        check::instant("trial_from", self.trial_from)?;
        check::positive("rounds", self.rounds)?;
        for (field, loss) in [("pinball_loss", self.pinball_loss), ("candidate_loss", self.candidate_loss)] {
            check::finite_f32(field, loss)?;
            check::not_negative(field, loss.into())?;
        }
        Ok(())
    }

    fn into_domain(self) -> Result<domain::TrialLoss, Fault> {
        Ok(domain::TrialLoss {
            model: self.model.0,
            model_version: self.model_version.0,
            candidate_version: self.candidate_version.0,
            trial_from: EventTime::from_ms(self.trial_from),
            rounds: check::positive("rounds", self.rounds)?,
            pinball_loss: self.pinball_loss.into(),
            candidate_loss: self.candidate_loss.into(),
        })
    }
}

#[derive(Serialize, Deserialize)]
struct ResourceScore {
    resource: Name,
    unit: Name,
    model: Name,
    model_version: Name,
    drift_state: DriftState,
    horizons: Vec<HorizonScore>,
    rounds: i64,
    paired: Vec<PairedLoss>,
    trials: Vec<TrialLoss>,
}

impl ResourceScore {
    fn of(score: &domain::ResourceScore) -> Self {
        Self {
            resource: Name(score.resource.shared()),
            unit: Name(score.unit.clone()),
            model: Name(score.model.clone()),
            model_version: Name(score.model_version.clone()),
            drift_state: DriftState::of(score.drift),
            horizons: score.horizons.iter().map(HorizonScore::of).collect(),
            rounds: score.rounds.into(),
            paired: score.paired.iter().map(PairedLoss::of).collect(),
            trials: score.trials.iter().map(TrialLoss::of).collect(),
        }
    }

    fn check(&self) -> Result<(), Fault> {
        check::not_empty("resource", &self.resource)?;
        check::not_empty("model", &self.model)?;
        if self.horizons.is_empty() {
            return Err(Fault::new("horizons", "is empty: leave out a resource of which nothing was scored"));
        }
        for (i, horizon) in self.horizons.iter().enumerate() {
            horizon.check().within_item("horizons", i)?;
        }
        let horizons: Vec<i64> = self.horizons.iter().map(|horizon| horizon.horizon_s).collect();
        check::ascending("horizons", "horizon_s", &horizons)?;
        check::count("rounds", self.rounds)?;
        if self.rounds == 0 && !self.paired.is_empty() {
            return Err(Fault::new("rounds", "0: losses are paired in at least one"));
        }
        for (i, loss) in self.paired.iter().enumerate() {
            loss.check().within_item("paired", i)?;
        }
        self.trials.iter().enumerate().try_for_each(|(i, loss)| loss.check().within_item("trials", i))
    }

    fn into_domain(self) -> Result<domain::ResourceScore, Fault> {
        let (horizons, trials) = (self.horizons.into_iter().enumerate(), self.trials.into_iter().enumerate());
        Ok(domain::ResourceScore {
            resource: KpiName::from(self.resource.0),
            unit: self.unit.0,
            model: self.model.0,
            model_version: self.model_version.0,
            drift: self.drift_state.into_domain(),
            horizons: horizons
                .map(|(i, horizon)| horizon.into_domain().within_item("horizons", i))
                .collect::<Result<_, _>>()?,
            rounds: check::count("rounds", self.rounds)?,
            paired: self.paired.into_iter().map(PairedLoss::into_domain).collect(),
            trials: trials.map(|(i, loss)| loss.into_domain().within_item("trials", i)).collect::<Result<_, _>>()?,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ForecastScore {
    workload: String,
    source: Name,
    from: i64,
    hours: i64,
    resources: Vec<ResourceScore>,
}

impl Wire for ForecastScore {
    type Domain = domain::ForecastScore;
    const RECORD: &'static str = "ForecastScore";

    fn of(score: &domain::ForecastScore) -> Self {
        Self {
            workload: score.workload.as_str().to_owned(),
            source: Name(score.source.shared()),
            from: score.from.as_ms(),
            hours: score.hours.into(),
            resources: score.resources.iter().map(ResourceScore::of).collect(),
        }
    }

    fn workload(&self) -> &str {
        &self.workload
    }

    fn check(&self) -> Result<(), Fault> {
        check::instant("from", self.from)?;
        check::positive("hours", self.hours)?;
        if self.resources.is_empty() {
            return Err(Fault::new("resources", "is empty: a score is of at least one resource"));
        }
        for (i, resource) in self.resources.iter().enumerate() {
            resource.check().within_item("resources", i)?;
        }
        let names: Vec<&str> = self.resources.iter().map(|resource| &*resource.resource).collect();
        check::ascending("resources", "resource", &names)
    }

    fn into_domain(self) -> Result<domain::ForecastScore, Fault> {
        let resources = self.resources.into_iter().enumerate();
        Ok(domain::ForecastScore {
            workload: check::workload(&self.workload)?,
            source: check::source(self.source.0)?,
            from: EventTime::from_ms(self.from),
            hours: check::positive("hours", self.hours)?,
            resources: resources
                .map(|(i, resource)| resource.into_domain().within_item("resources", i))
                .collect::<Result<_, _>>()?,
        })
    }
}
