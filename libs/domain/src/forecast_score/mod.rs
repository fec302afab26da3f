//! How a workload's forecasts did: a record of topic `forecast-scores`, of an hour of event time.
//!
//! Told is of the model that forecasts a resource, and beside it what all that compete for the resource lost on forecasts
//! as of the same bins. Losses are in the unit of the demand; `realised` says how large that was.

pub mod tally;

#[cfg(test)]
mod properties;

pub use tally::{Closing, HOUR_BINS, Paired, Tally, Told};

use crate::calibration::drift::DriftState;
use crate::kpi::KpiName;
use crate::source::SourceName;
use crate::time::EventTime;
use crate::workload::WorkloadId;
use std::sync::Arc;

/// A record of topic `forecast-scores`. All amounts have 32 bits.
#[derive(Clone, Debug, PartialEq)]
pub struct ForecastScore {
    /// Whose forecasts.
    pub workload: WorkloadId,
    /// Stream that its samples came from.
    pub source: SourceName,
    /// First instant of the first hour (UTC) that it tells of.
    pub from: EventTime,
    /// Hours that it tells of: 1, or more where none could be told before.
    pub hours: u32,
    /// The resources, by name ascending; at least one.
    pub resources: Vec<ResourceScore>,
}

/// How the forecasts of one resource did.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceScore {
    /// The KPI that is the resource's demand.
    pub resource: KpiName,
    /// Unit of all amounts.
    pub unit: Arc<str>,
    /// Family or name of the model whose forecasts these are.
    pub model: Arc<str>,
    /// Version of the model.
    pub model_version: Arc<str>,
    /// What drift of the series has led to; `None` where the record does not say.
    pub drift: Option<DriftState>,
    /// One a horizon of which something was scored, ascending.
    pub horizons: Vec<HorizonScore>,
    /// Rounds that [`Self::paired`] is of; 0 where there was none.
    pub rounds: u32,
    /// What each model that competes lost in the same rounds.
    pub paired: Vec<PairedLoss>,
    /// How versions on trial did beside those in use, one a family at most.
    pub trials: Vec<TrialLoss>,
}

impl ResourceScore {
    /// Mean size of what came, in the unit of the demand, where that is known.
    pub fn size(&self) -> Option<f64> {
        let first = self.horizons.first()?;
        first.value.or(first.maximum).map(|score| score.realised.abs())
    }
}

/// How forecasts of one horizon did.
#[derive(Clone, Debug, PartialEq)]
pub struct HorizonScore {
    /// Horizon, in seconds.
    pub horizon_s: u32,
    /// Of the demand at the horizon; `None` where none was scored.
    pub value: Option<StatisticScore>,
    /// Of the greatest demand up to it; `None` where none was scored.
    pub maximum: Option<StatisticScore>,
}

/// Forecasts of one quantity against what came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StatisticScore {
    /// Forecasts that were scored, at least 1.
    pub scored: u32,
    /// Their mean pinball loss over the quantile levels, in the resource's unit.
    pub pinball_loss: f64,
    /// Mean of what came, in the resource's unit.
    pub realised: f64,
    /// Mean of their medians, in the resource's unit.
    pub median: f64,
    /// Those of which it can be told whether their interval held what came.
    pub judged: u32,
    /// Those of them whose interval did.
    pub held: u32,
}

/// What a version on trial lost beside the one in use, on forecasts as of the same bins. Losses are mean pinball losses over
/// the quantile levels, horizons and statistics, in the resource's unit, of forecasts before calibration.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialLoss {
    /// The family.
    pub model: Arc<str>,
    /// The version in use.
    pub model_version: Arc<str>,
    /// The version on trial.
    pub candidate_version: Arc<str>,
    /// When the trial began, which tells it from any other of the family.
    pub trial_from: EventTime,
    /// Bins as of which both forecast, at least 1.
    pub rounds: u32,
    /// What the version in use lost.
    pub pinball_loss: f64,
    /// What the candidate lost.
    pub candidate_loss: f64,
}

/// What a model lost on the bins as of which others forecast as well.
#[derive(Clone, Debug, PartialEq)]
pub struct PairedLoss {
    /// Family or name of the model.
    pub model: Arc<str>,
    /// Its version.
    pub model_version: Arc<str>,
    /// Mean pinball loss over the quantile levels, horizons and statistics, in the resource's unit.
    pub pinball_loss: f64,
}
