//! How a workload's forecasts did in the hours that are over, as a record tells it.

use crate::lineup::ModelId;
use crate::registry::Models;
use crate::series::{Rules, SeriesScores};
use crate::workload::Workload;
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::forecast::{Family, GRID_STEP_S};
use prescale_domain::forecast_score::{
    ForecastScore, HOUR_BINS, HorizonScore, PairedLoss, ResourceScore, StatisticScore, TrialLoss,
};
use prescale_domain::prediction::ResourceForecast;
use prescale_domain::time::EventTime;
use std::sync::Arc;

/// What models are called.
#[derive(Clone, Copy)]
pub(crate) struct Names<'a> {
    /// What the series go by.
    pub(crate) rules: Rules<'a>,
    /// The models.
    pub(crate) models: &'a Models,
    /// Version of the families that are not trained.
    pub(crate) statistical_version: &'a Arc<str>,
    /// Names of the families.
    pub(crate) families: &'a [Arc<str>; Family::ALL.len()],
}

/// What is told beside a prediction that was made with a fingerprint, of the resources that it forecasts (each with its
/// place among the configured ones). It is not told again.
pub(crate) fn told<'f>(
    workload: &mut Workload,
    fingerprint: &Fingerprint,
    forecasts: impl Iterator<Item = (usize, &'f ResourceForecast)>,
    names: Names<'_>,
) -> Option<ForecastScore> {
    let mut hours: Option<(i64, i64)> = None;
    let mut resources = Vec::new();
    for (place, forecast) in forecasts {
        let Some(scores) = workload.series[place].take_scores(names.rules, fingerprint.at) else { continue };
        let (first, last) = (scores.told.first_hour, scores.told.last_hour);
        let Some(resource) = of_resource(scores, forecast, names) else { continue };
        hours = Some(hours.map_or((first, last), |known| (known.0.min(first), known.1.max(last))));
        resources.push(resource);
    }
    let (first, last) = hours?;
    Some(ForecastScore {
        workload: fingerprint.workload.clone(),
        source: fingerprint.source.clone(),
        from: EventTime::of_bin(first * HOUR_BINS, GRID_STEP_S),
        hours: u32::try_from(last - first + 1).unwrap_or(u32::MAX),
        resources,
    })
}

/// `None` where no number can be told.
fn of_resource(scores: SeriesScores, forecast: &ResourceForecast, names: Names<'_>) -> Option<ResourceScore> {
    let horizons_s = names.rules.settings.horizons_s.iter();
    let horizon = |(horizon_s, [value, maximum]): (&u32, [Option<StatisticScore>; 2])| HorizonScore {
        horizon_s: *horizon_s,
        value,
        maximum,
    };
    let is_told = |score: &HorizonScore| score.value.is_some() || score.maximum.is_some();
    let horizons: Vec<HorizonScore> = horizons_s.zip(scores.told.scores).map(horizon).filter(is_told).collect();
    let paired = scores.paired.into_iter().map(|(model, pinball_loss)| {
        let (model, model_version) = names.of(model);
        PairedLoss { model, model_version, pinball_loss }
    });
    let paired: Vec<PairedLoss> = paired.collect();
    let rounds = scores.told.paired.map_or(0, |paired| paired.rounds);
    let trials = scores.trials.into_iter().map(|(in_use, candidate, losses)| {
        let (model, model_version) = names.of(in_use);
        TrialLoss {
            model,
            model_version,
            candidate_version: names.of(candidate).1,
            trial_from: EventTime::of_bin(candidate.from_bin, GRID_STEP_S),
            rounds: losses.rounds,
            pinball_loss: losses.in_use,
            candidate_loss: losses.candidate,
        }
    });
    let (model, model_version) = names.of(scores.model);
    (!horizons.is_empty()).then(|| ResourceScore {
        resource: forecast.resource.clone(),
        unit: Arc::clone(&forecast.unit),
        model,
        model_version,
        drift: forecast.drift,
        horizons,
        rounds,
        paired,
        trials: trials.collect(),
    })
}

impl Names<'_> {
    /// Family and version of a model.
    fn of(&self, model: ModelId) -> (Arc<str>, Arc<str>) {
        let network = self.models.network(model);
        let version = network.map_or(self.statistical_version, |network| network.version());
        (Arc::clone(&self.families[model.family as usize]), Arc::clone(version))
    }
}
