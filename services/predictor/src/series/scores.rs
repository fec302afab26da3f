//! How a series' forecasts did, with the models that made them.

use super::on_trial::OnTrial;
use super::{Rules, Series};
use crate::lineup::ModelId;
use prescale_domain::forecast::Family;
use prescale_domain::forecast::trial::TrialLosses;
use prescale_domain::forecast_score::{Paired, Told};
use prescale_domain::time::EventTime;

/// What is told of a series.
pub(crate) struct SeriesScores {
    /// Whose forecasts.
    pub(crate) model: ModelId,
    /// How they did.
    pub(crate) told: Told,
    /// What each model lost in the same rounds, in the unit of the demand.
    pub(crate) paired: Vec<(ModelId, f64)>,
    /// The model in use of each trial, that on trial, and what both lost.
    pub(crate) trials: Vec<(ModelId, ModelId, TrialLosses)>,
}

impl Series {
    /// Takes out how the forecasts of the hours did that are over at an instant. `None` where there is nothing to tell,
    /// and where another version of the model has taken over since.
    pub(crate) fn take_scores(&mut self, rules: Rules<'_>, at: EventTime) -> Option<SeriesScores> {
        let told = self.scores.take_before(at)?;
        let bin = self.demand.open()?.bin;
        let maker = |family: Family, oldest_origin: i64| {
            let (model, since) = self.maker(rules, family, bin);
            (oldest_origin >= since).then_some(model)
        };
        let of_same = |paired: &Paired| {
            let lost = |(family, loss): &(Family, f64)| Some((maker(*family, paired.oldest_origin)?, *loss));
            paired.losses.iter().filter_map(lost).collect::<Vec<_>>()
        };
        let model = maker(told.maker, told.oldest_origin)?;
        let paired = told.paired.as_ref().map(of_same).unwrap_or_default();
        let trials = self.trials.iter_mut().filter_map(OnTrial::take).collect();
        Some(SeriesScores { model, told, paired, trials })
    }
}
