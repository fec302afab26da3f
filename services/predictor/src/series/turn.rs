//! Whose turn it is to make a series' forecast, and by which model.

use super::{Rules, Series};
use crate::config::Choice;
use crate::job::Kept;
use crate::lineup::{FROM_THE_BEGINNING, ModelId};
use prescale_domain::calibration::drift::DriftState;
use prescale_domain::forecast::arima::Arima;
use prescale_domain::forecast::exponential_smoothing::ExponentialSmoothing;
use prescale_domain::forecast::last_value::LastValue;
use prescale_domain::forecast::mstl::Mstl;
use prescale_domain::forecast::prophet::Prophet;
use prescale_domain::forecast::seasonal_naive::SeasonalNaive;
use prescale_domain::forecast::{Family, Forecaster};

impl Series {
    /// Seasonal naive makes the forecasts until it is the worse again; a day later, for good if it is not.
    pub(super) fn end_fallback(&mut self, rules: Rules<'_>) {
        let next = self.by_turn(rules, self.first(rules)).next();
        let Some(next) = next.filter(|next| *next != Family::SeasonalNaive) else { return };
        if self.calibration.drift() != DriftState::FallenBack {
            self.contest.end_stand_in(&rules.settings.contest, Family::SeasonalNaive, next);
        } else if self.contest.recent_lead(next).is_some_and(|lead| lead > 0.0) {
            self.calibration.end_drift();
        }
    }

    /// What drift of the series can lead to at most: to seasonal naive where that very lately lost clearly less.
    pub(super) fn last_drift_state(&self, rules: Rules<'_>) -> DriftState {
        let is_better = |lead: f32| lead > rules.settings.contest.stand_in_lead_min;
        let can_fall_back = self.day_before.is_some()
            && self.is_ready(rules, Family::SeasonalNaive)
            && self.contest.recent_lead(Family::SeasonalNaive).is_some_and(is_better);
        let has_fallen_back = self.calibration.drift() == DriftState::FallenBack;
        if can_fall_back || has_fallen_back { DriftState::FallenBack } else { DriftState::Reset }
    }

    /// The families that have enough history: first the one whose turn it is, then the others in the order of the list.
    /// Seasonal naive comes before them where drift has led to it.
    pub(super) fn by_preference<'a>(&self, rules: Rules<'a>) -> impl Iterator<Item = Family> + use<'a, '_> {
        let fallback = (self.calibration.drift() == DriftState::FallenBack).then_some(Family::SeasonalNaive);
        self.by_turn(rules, fallback.or(self.first(rules)))
    }

    /// Whose turn it is, where one is chosen at all: the champion's, but while a trend goes on undamped that of exponential
    /// smoothing, which alone follows it. A contest that goes by what is lost would need weeks to see that, since most is
    /// lost where such a trend breaks off, by all alike.
    fn first(&self, rules: Rules<'_>) -> Option<Family> {
        let is_steady = self.smoothed.as_ref().is_some_and(|smoothed| smoothed.follows_steady_trend());
        let steady = is_steady.then_some(Family::ExponentialSmoothing);
        steady.or(self.contest.champion()).filter(|_| rules.settings.choice == Choice::Loss)
    }

    pub(super) fn by_turn<'a>(
        &self,
        rules: Rules<'a>,
        first: Option<Family>,
    ) -> impl Iterator<Item = Family> + use<'a, '_> {
        let listed = &rules.settings.models;
        let first = first.filter(|first| listed.contains(first));
        let others = listed.iter().copied().filter(move |family| Some(*family) != first);
        first.into_iter().chain(others).filter(move |family| self.is_ready(rules, *family))
    }

    pub(super) fn is_ready(&self, rules: Rules<'_>, family: Family) -> bool {
        let bins_needed = match family {
            Family::Gru | Family::Lstm | Family::Svr | Family::RandomForest => {
                return self.serving(rules, family).is_some();
            }
            Family::ExponentialSmoothing => ExponentialSmoothing.bins_needed(),
            Family::SeasonalNaive => SeasonalNaive.bins_needed(),
            Family::LastValue => LastValue.bins_needed(),
            Family::Mstl => Mstl.bins_needed(),
            Family::Arima => Arima.bins_needed(),
            Family::Prophet => Prophet.bins_needed(),
        };
        bins_needed + self.joined.bins_before(family) <= self.demand.bins()
    }

    /// The model that makes a trained family's forecasts: that of the term which holds the open bin, or while
    /// it has not seen enough of the series, the one before.
    pub(super) fn serving(&self, rules: Rules<'_>, family: Family) -> Option<ModelId> {
        let bin = self.demand.open()?.bin;
        let term = rules.lineup.at(family, bin)?;
        if !term.is_stateful() && self.demand.bins() >= term.bins_needed {
            return Some(term.model);
        }
        let carried = self.networks.iter().filter(|(model, _)| model.family == family && !model.is_candidate);
        let is_ready = |(model, carried): &&(ModelId, Kept)| {
            rules.lineup.term(*model).is_some_and(|term| carried.bins >= term.bins_needed)
        };
        carried.filter(is_ready).map(|(model, _)| *model).max()
    }

    /// The model that makes a family's forecasts as of `bin`, which is open, and the bin since which it does. A family
    /// that is not trained has been one and the same from the beginning.
    pub(super) fn maker(&self, rules: Rules<'_>, family: Family, bin: i64) -> (ModelId, i64) {
        let in_turn = || rules.lineup.at(family, bin).map(|term| term.model);
        let Some(model) = self.serving(rules, family).or_else(in_turn) else {
            return (ModelId::in_use(family, FROM_THE_BEGINNING), FROM_THE_BEGINNING);
        };
        let carried = self.networks.iter().find(|(known, _)| *known == model).map(|(_, carried)| carried);
        let since = carried.zip(rules.lineup.term(model)).map_or(model.from_bin, |(carried, term)| {
            bin.saturating_add_unsigned(term.bins_needed).saturating_sub_unsigned(carried.bins)
        });
        (model, since)
    }
}
