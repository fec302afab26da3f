//! One resource of one workload: its demand, what each family remembers of it, and its calibration.
//! Knows nothing of the models but their terms and the numbers that go in and come out.
//!
//! When a model's term begins, it starts with a state of zeros; the one before goes on until the new one has
//! seen as many bins of the series as it needs. A windowed model needs nothing but the demand's, and so
//! takes over at once.
//!
//! With a choice by loss every family of the list is kept up, and the series' champion makes the
//! forecast. With a choice by order a family that another one before it in the list has overtaken for good
//! (that one has enough history, and history only grows) is not kept up any more: its state is dropped. So
//! such a series holds the state of one family in the long run.

mod on_trial;
mod scores;
mod turn;

use crate::config::{Choice, Settings};
use crate::fitted::Fitted;
use crate::job::{Carried, Job, Kept, Run};
use crate::joined::{Joined, begin};
use crate::lineup::{FROM_THE_BEGINNING, Lineup, ModelId};
use crate::scatter::Scatter;
use bitcode::{Decode, Encode};
use metrics::counter;
use on_trial::OnTrial;
use prescale_domain::anomaly::{ANOMALY_P_MAX, Residuals};
use prescale_domain::calibration::cold_start::{Corrections, START_BINS};
use prescale_domain::calibration::drift::DriftState;
use prescale_domain::calibration::pools::{PoolKey, Spreads};
use prescale_domain::calibration::series::SeriesCalibration;
use prescale_domain::calibration::{LOWER, Statistic, UPPER, conformal::Scores};
use prescale_domain::forecast::capped::Served;
use prescale_domain::forecast::champion::{Both, Contest};
use prescale_domain::forecast::demand::{DemandSeries, Due, usable};
use prescale_domain::forecast::exponential_smoothing::{ExponentialSmoothing, Smoothed};
use prescale_domain::forecast::features::{FEATURES, features, window};
use prescale_domain::forecast::last_value::LastValue;
use prescale_domain::forecast::residuals::at_least_uncertain;
use prescale_domain::forecast::seasonal_naive::{DayBefore, SeasonalNaive};
use prescale_domain::forecast::{DAY_BINS, Family, Forecaster, HorizonQuantiles};
use prescale_domain::forecast_score::Tally;
use prescale_domain::prediction::HorizonForecast;
use prescale_domain::quantiles::Quantiles;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use prescale_inference::Kind;
pub(crate) use scores::SeriesScores;

/// What is remembered of one series.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Series {
    demand: DemandSeries,
    /// What the stateful models carry: of a family the one that serves, and the one that is to take over.
    networks: Vec<(ModelId, Kept)>,
    smoothed: Option<Box<Smoothed>>,
    day_before: Option<Box<DayBefore>>,
    fitted: Fitted,
    joined: Joined,
    calibration: SeriesCalibration,
    contest: Contest,
    /// The workloads that a young series started from, for as long as it is young.
    neighbours: Box<[WorkloadId]>,
    /// Whether the models have gone through the open bin as it is now.
    has_run: bool,
    /// What the newest forecast expects of the next bin, least and most.
    expected: Option<(f32, f32)>,
    scatter: Scatter,
    /// How far forecasts a bin ahead were off.
    residuals: Residuals,
    /// The newest bin in which it was to blame for an anomaly of its workload's KPIs.
    unusual_bin: Option<i64>,
    /// Bins that there were when features last came.
    bins_at_features: u32,
    /// The newest value that a prediction has told, rounded.
    told: Option<f32>,
    /// How forecasts did that was not told yet.
    scores: Tally,
    trials: Vec<OnTrial>,
}

/// What a series goes by.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// The settings.
    pub settings: &'a Settings,
    /// The models' terms.
    pub lineup: &'a Lineup,
}

/// What one record says of a resource.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offer {
    /// Instant of the record.
    pub at: EventTime,
    /// Demand; `None` when missing.
    pub value: Option<f64>,
    /// Capacity of the resource, where known.
    pub capacity: Option<f64>,
    /// What the demand cannot be seen above, where there is such a capacity.
    pub cap: Option<Served>,
    /// Whether more may have been wanted than the demand, by what was measured beside it.
    pub is_hidden: bool,
}

/// On which side a value is beyond what was forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surprise {
    /// It is larger.
    Above,
    /// It is smaller.
    Below,
}

/// A forecast and what made it.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// The family.
    pub family: Family,
    /// Its model, where it is a trained one.
    pub model: Option<ModelId>,
    /// One a horizon, ascending.
    pub horizons: Vec<HorizonForecast>,
    /// What drift of the series has led to.
    pub drift: DriftState,
    /// Families that had enough history and yet gave nothing that can be used.
    pub failed: Vec<Family>,
}

/// What a forecast is made with.
pub struct Making<'a> {
    /// The settings and the terms.
    pub rules: Rules<'a>,
    /// Index of the resource.
    pub resource: usize,
    /// The pools' factors as of the record.
    pub spreads: &'a Spreads,
    /// Scale of the open bin.
    pub scale: f64,
    /// What the models that ran gave, in the unit of the demand; `None` where that cannot be used.
    pub from_networks: Vec<(ModelId, Option<Vec<HorizonQuantiles>>)>,
}

impl Series {
    /// Whether a record of that instant cannot be taken in without a forecast, since the models have bins to go
    /// through that close with it.
    pub fn must_run(&self, at: EventTime) -> bool {
        match self.demand.due(at) {
            Due::Close(bins) => (bins > 1 || !self.has_run) && !self.networks.is_empty(),
            Due::Start | Due::Nothing => false,
        }
    }

    /// The newest value that a prediction has told.
    pub fn told(&self) -> Option<f64> {
        self.told.map(f64::from)
    }

    /// How unusual it is by how much the forecast of the newest bin that closed was off, as a p-value; `None` where that
    /// is not known.
    pub fn residual_p_value(&self) -> Option<f32> {
        self.residuals.p_value()
    }

    /// Notes that it was to blame for an anomaly of its workload's KPIs in a bin.
    pub fn note_anomaly(&mut self, bin: i64) {
        self.unusual_bin = Some(bin);
    }

    /// Notes what a prediction tells.
    pub fn tell(&mut self, value: Option<f64>) {
        self.told = value.map(|value| value as f32);
    }

    /// Whether a value is beyond what the newest forecast expects, and how.
    pub fn surprise(&self, value: f64) -> Option<Surprise> {
        let (least, most) = self.expected?;
        let reach = self.scatter.reach();
        if value > f64::from(most) + reach {
            Some(Surprise::Above)
        } else if value < f64::from(least) - reach {
            Some(Surprise::Below)
        } else {
            None
        }
    }

    /// Takes a record in for which no forecast is made: one that does not [`Self::must_run`].
    pub fn observe(
        &mut self,
        rules: Rules<'_>,
        offer: &Offer,
        scored: impl FnMut((ModelId, usize, Statistic), Scores),
    ) {
        let rows = self.advance(rules, offer, scored);
        debug_assert!(rows.is_none_or(|rows| rows.is_empty()), "the models have bins to go through");
        self.has_run = false;
    }

    /// Takes a record in, up to the point where the models are needed. What the models carry goes
    /// into the job, and comes back by [`Self::take_back`]. `None` when the series has not begun.
    pub fn take_in(
        &mut self,
        rules: Rules<'_>,
        offer: &Offer,
        scored: impl FnMut((ModelId, usize, Statistic), Scores),
    ) -> Option<Job> {
        let rows = self.advance(rules, offer, scored)?;
        self.has_run = true;
        let open = self.demand.open()?;
        let scale = self.demand.scale(offer.capacity);
        let mut job = Job { rows, window: Vec::new(), scale, runs: self.runs(rules, open.bin) };
        if job.runs.is_empty() {
            return Some(job);
        }
        job.rows.push(self.row(offer.capacity)?);
        let last = job.rows.len() - 1;
        for run in &mut job.runs {
            let is_new = run.carried.as_ref().is_some_and(|carried| carried.bins == 1);
            run.first_row = if is_new { last } else { 0 };
        }
        let windows = job.runs.iter().filter_map(|run| match rules.lineup.term(run.model)?.kind {
            Kind::Windowed { bins } => Some(bins),
            Kind::Stateful { .. } => None,
        });
        if let Some(bins) = windows.max() {
            job.window = window(&self.demand, scale, bins)?;
        }
        Some(job)
    }

    /// Closes the bins before a record, handing out what of earlier forecasts could be scored, and adds its demand.
    /// Gives the rows that the models have to go through before the open bin's; `None` when the series has not begun.
    fn advance(
        &mut self,
        rules: Rules<'_>,
        offer: &Offer,
        mut scored: impl FnMut((ModelId, usize, Statistic), Scores),
    ) -> Option<Vec<[f32; FEATURES]>> {
        let value = usable(offer.value);
        let mut rows = Vec::new();
        match self.demand.due(offer.at) {
            Due::Start => self.start(rules, offer.at, value?),
            Due::Close(bins) => {
                let has_run = self.has_run;
                for nth in 0..bins {
                    if (nth > 0 || !has_run) && !self.networks.is_empty() {
                        rows.extend(self.row(offer.capacity));
                    }
                    self.close(rules, &mut scored);
                }
                self.networks.iter_mut().for_each(|(_, carried)| carried.close(bins, has_run));
                value.into_iter().for_each(|v| self.demand.add(v));
            }
            Due::Nothing => value.into_iter().for_each(|v| self.demand.add(v)),
        }
        value.into_iter().for_each(|v| self.scatter.add(v));
        if let (Some(value), Some(cap)) = (value, offer.cap) {
            self.demand.observe_capacity(value, cap);
        }
        if value.is_some() && offer.is_hidden {
            self.demand.observe_hidden();
        }
        self.settle(rules);
        Some(rows)
    }

    /// Takes back what the models carry; gives what those made that serve or are on trial.
    pub fn take_back(&mut self, runs: Vec<Run>) -> Vec<(ModelId, Option<Vec<f32>>)> {
        let mut made = Vec::new();
        self.networks.reserve_exact(runs.iter().filter(|run| run.carried.is_some()).count());
        for run in runs {
            self.networks.extend(run.carried.map(|carried| (run.model, Kept::from(&carried))));
            if run.serves || run.model.is_candidate {
                made.push((run.model, run.quantiles));
            }
        }
        made
    }

    /// Makes the forecast as of the open bin by the champion, or else by the first family that can, and
    /// keeps it to be scored; when a round of the contest is due, those of the other families as well.
    pub fn forecast(&mut self, making: Making<'_>) -> Option<Forecast> {
        let Rules { settings, .. } = making.rules;
        let mut failed = Vec::new();
        let mut made = None;
        let ran = |family: &Family| !family.is_trained() || making.from(*family).is_some();
        let families: Vec<Family> = self.by_preference(making.rules).filter(ran).collect();
        for family in families.iter().copied() {
            made = self.both(family, &making);
            if made.is_some() {
                break;
            }
            failed.push(family);
        }
        let (family, both) = made?;
        let open = self.demand.open()?;
        if settings.choice == Choice::Loss && self.contest.is_due(open.bin, &settings.horizons_bins) {
            let mut entries = vec![(family, both.clone())];
            let others = families.into_iter().filter(|other| *other != family && !failed.contains(other));
            entries.extend(others.filter_map(|other| self.both(other, &making)));
            if entries.len() > 1 {
                self.contest.begin(open.bin, &entries);
            }
        }
        self.pair(&making, open.bin);
        self.calibration.made(open.bin, family, &both);
        let horizons = settings.horizons_s.iter().zip(&both).enumerate();
        let horizons = horizons.map(|(i, (horizon_s, (_, published)))| HorizonForecast {
            horizon_s: *horizon_s,
            value: published.value,
            maximum: published.maximum,
            value_interval: self.calibration.interval(i, Statistic::Value, &published.value),
            maximum_interval: self.calibration.interval(i, Statistic::Maximum, &published.maximum),
        });
        let is_next = settings.horizons_bins.first() == Some(&1);
        let next = both.first().filter(|_| is_next).map(|(_, published)| published);
        self.expected = next.map(|next| (next.value.values()[LOWER] as f32, next.maximum.values()[UPPER] as f32));
        let model = making.from(family).map(|(model, _)| *model);
        let led_to = if family == Family::SeasonalNaive { DriftState::FallenBack } else { DriftState::Reset };
        let drift = self.calibration.drift().min(led_to);
        Some(Forecast { family, model, horizons: horizons.collect(), drift, failed })
    }

    /// Bins since it began.
    pub fn bins(&self) -> u64 {
        self.demand.bins()
    }

    /// Notes that features have come. Gives the bins that there were when they came before.
    pub fn note_features(&mut self) -> u64 {
        let bins = u32::try_from(self.demand.bins()).unwrap_or(u32::MAX);
        std::mem::replace(&mut self.bins_at_features, bins).into()
    }

    /// Whether it has next to no experience of its own.
    pub fn is_inexperienced(&self) -> bool {
        u64::from(self.calibration.coverage(0, Statistic::Value).scored()) < 2 * START_BINS
    }

    /// How its forecasts are corrected, for others to start from.
    pub fn corrections(&self) -> Corrections {
        Corrections { trackers: self.calibration.trackers(), champion: self.contest.champion() }
    }

    /// Starts from what its neighbours have found.
    pub fn start_from(&mut self, corrections: &Corrections, neighbours: Vec<WorkloadId>) {
        self.calibration.start_from(&corrections.trackers);
        self.contest.start_from(corrections.champion);
        self.neighbours = neighbours.into();
    }

    /// Has other horizons: each is corrected as the one in that place was, and what was forecast is forgotten.
    pub fn rearrange_horizons(&mut self, places: &[Option<usize>], horizons_bins: &[usize]) {
        self.calibration.rearrange(places, horizons_bins);
        self.contest.start();
        (self.expected, self.scores, self.trials) = (None, Tally::default(), Vec::new());
    }

    /// Keeps of what was made under other settings what these ask for.
    pub fn keep_to(&mut self, settings: &Settings) {
        let is_listed = |family: Family| settings.models.contains(&family);
        let competes = |family: Family| settings.choice == Choice::Loss && is_listed(family);
        self.networks.retain(|(model, _)| is_listed(model.family));
        self.contest.keep(competes);
        if !competes(Family::SeasonalNaive) && self.calibration.drift() == DriftState::FallenBack {
            self.calibration.end_drift();
        }
    }

    /// The neighbours that it started from; none once it is a day old.
    pub fn neighbours(&self) -> &[WorkloadId] {
        &self.neighbours
    }

    /// What the newest model of a family carries.
    #[cfg(test)]
    pub(crate) fn carried(&self, family: Family) -> Option<Carried> {
        let of_family = self.networks.iter().filter(|(model, _)| model.family == family);
        of_family.max_by_key(|(model, _)| *model).map(|(_, kept)| kept.carried())
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        let carried: usize = self.networks.iter().map(|(_, carried)| carried.heap_bytes()).sum();
        let networks = self.networks.capacity() * size_of::<(ModelId, Kept)>() + carried;
        let smoothed = self.smoothed.as_ref().map_or(0, |s| size_of::<Smoothed>() + s.heap_bytes());
        let day_before = self.day_before.as_ref().map_or(0, |d| size_of::<DayBefore>() + d.heap_bytes());
        let neighbours: usize = self.neighbours.iter().map(|n| size_of::<WorkloadId>() + n.as_str().len()).sum();
        let scored = self.calibration.heap_bytes() + self.contest.heap_bytes() + self.scores.heap_bytes();
        let on_trial: usize = self.trials.iter().map(|one| size_of::<OnTrial>() + one.heap_bytes()).sum();
        let judged = scored + neighbours + self.joined.heap_bytes() + on_trial;
        self.demand.heap_bytes() + networks + smoothed + day_before + self.fitted.heap_bytes() + judged
    }

    fn start(&mut self, rules: Rules<'_>, at: EventTime, value: f64) {
        self.demand.start(at, value);
        self.calibration.start(&rules.settings.horizons_bins);
        self.contest.start();
        self.neighbours = Box::default();
        self.networks.clear();
        self.smoothed = Some(Box::default());
        self.day_before = Some(Box::default());
        (self.fitted, self.joined) = (Fitted::starting(), Joined::default());
        (self.has_run, self.expected, self.bins_at_features, self.trials) = (false, None, 0, Vec::new());
        (self.scatter, self.residuals, self.unusual_bin) = (Scatter::default(), Residuals::default(), None);
    }

    fn close(&mut self, rules: Rules<'_>, mut scored: impl FnMut((ModelId, usize, Statistic), Scores)) {
        let Some(closed) = self.demand.open() else { return };
        let horizons_bins = &rules.settings.horizons_bins;
        let makers = Family::ALL.map(|family| self.maker(rules, family, closed.bin));
        let mut scored = |(family, horizon, statistic): (Family, usize, Statistic), scores: Scores| {
            let (model, since) = makers[family as usize];
            // What the one before it made says nothing of how it misses.
            if closed.bin - horizons_bins[horizon] as i64 >= since {
                scored((model, horizon, statistic), scores);
            }
        };
        let reigning = self.by_preference(rules).next();
        let preferred = self.by_turn(rules, None).next();
        let has_fallen_back = self.calibration.drift() == DriftState::FallenBack;
        let last_state = self.last_drift_state(rules);
        let is_next =
            |horizon: usize, statistic: Statistic| horizons_bins[horizon] == 1 && statistic == Statistic::Value;
        let mut off = None;
        let noted = |of: (Family, usize, Statistic), scores: Scores| {
            off = if is_next(of.1, of.2) { Some(scores) } else { off };
            scored(of, scores);
        };
        let serving = reigning.map(|family| (family, makers[family as usize].1));
        let mut closing = self.scores.closing(closed.bin, serving, horizons_bins);
        let judged = |of, judged| closing.push(of, &judged);
        if let Some(state) = self.calibration.close_judging(horizons_bins, &self.demand, last_state, noted, judged) {
            counter!("prescale_predictor_drift_alarms_total", "led_to" => state.name()).increment(1);
        }
        self.residuals.close(off.map(|scores| f64::from(scores.lower.max(scores.upper))));
        if rules.settings.leave_out_anomalies {
            let is_far_off = self.residuals.p_value().is_some_and(|p_value| f64::from(p_value) < ANOMALY_P_MAX);
            self.demand.judge(is_far_off || self.unusual_bin == Some(closed.bin));
        }
        let who = (reigning, preferred);
        let round = self.contest.close(&rules.settings.contest, horizons_bins, &self.demand, who, &mut scored);
        round.into_iter().for_each(|round| self.scores.push_round(&round));
        self.close_trials(rules);
        if has_fallen_back {
            self.end_fallback(rules);
        }
        if let Some(state) = &mut self.smoothed {
            ExponentialSmoothing.close(state, &self.demand, &closed);
        }
        if let Some(state) = &mut self.day_before {
            SeasonalNaive.close(state, &self.demand, &closed);
        }
        self.fitted.close(&self.demand, &closed);
        self.demand.close();
        self.scatter.close();
        if self.demand.bins() > DAY_BINS as u64 {
            self.neighbours = Box::default();
        }
    }

    /// Begins the states that the open bin asks for, and drops those that nobody will ask for any more.
    fn settle(&mut self, rules: Rules<'_>) {
        let Some(open) = self.demand.open() else { return };
        let mut in_use = [false; Family::ALL.len()];
        for family in rules.settings.models.iter().copied() {
            in_use[family as usize] = true;
            if family.is_trained() {
                self.settle_models(rules, family, open.bin);
            } else {
                self.keep_up(family);
            }
            if rules.settings.choice == Choice::Order && self.is_ready(rules, family) {
                break;
            }
        }
        let is_in_use = |family: Family| in_use[family as usize];
        self.networks.retain(|(model, _)| is_in_use(model.family));
        self.smoothed.take_if(|_| !is_in_use(Family::ExponentialSmoothing));
        self.day_before.take_if(|_| !is_in_use(Family::SeasonalNaive));
        self.joined.retain(is_in_use);
        self.fitted.retain(is_in_use);
    }

    /// Begins the state of a statistical family that has none: it is in use anew.
    fn keep_up(&mut self, family: Family) {
        let is_new = match family {
            Family::ExponentialSmoothing => begin(&mut self.smoothed),
            Family::SeasonalNaive => begin(&mut self.day_before),
            other => self.fitted.begin(other),
        };
        if is_new {
            self.joined.begin(family, self.demand.bins());
        }
    }

    fn settle_models(&mut self, rules: Rules<'_>, family: Family, bin: i64) {
        let Some(term) = rules.lineup.at(family, bin) else { return };
        if term.is_stateful() && self.networks.iter().all(|(model, _)| *model != term.model) {
            self.networks.reserve_exact(1);
            self.networks.push((term.model, Kept::from(&Carried::default())));
        }
        let candidate = self.begin_candidate(rules, family, bin);
        let serving = self.serving(rules, family);
        let is_of_use = |model: ModelId| model == term.model || [serving, candidate].contains(&Some(model));
        self.networks.retain(|(model, _)| model.family != family || is_of_use(*model));
    }

    /// Who is to run for the open bin: all that carry state, and of the windowed ones those whose forecast may
    /// be used.
    fn runs(&mut self, rules: Rules<'_>, bin: i64) -> Vec<Run> {
        let first = self.by_preference(rules).next();
        let Settings { choice, horizons_bins, .. } = rules.settings;
        let all = *choice == Choice::Loss && self.contest.is_due(bin, horizons_bins);
        let serving: Vec<ModelId> = rules.settings.trained().filter_map(|family| self.serving(rules, family)).collect();
        let (paired, candidates) = self.paired(rules, bin);
        let run =
            |model, carried| Run { model, serves: serving.contains(&model), first_row: 0, carried, quantiles: None };
        let carry = std::mem::take(&mut self.networks);
        let mut runs: Vec<Run> = carry.iter().map(|(model, kept)| run(*model, Some(kept.carried()))).collect();
        for model in &serving {
            let is_of_use = all || Some(model.family) == first || paired.contains(&model.family);
            if is_of_use && runs.iter().all(|run| run.model != *model) {
                runs.push(run(*model, None));
            }
        }
        runs.extend(candidates.into_iter().map(|model| run(model, None)));
        runs
    }

    /// The models' input for the open bin.
    fn row(&self, capacity: Option<f64>) -> Option<[f32; FEATURES]> {
        features(&self.demand, capacity).map(|features| features.values)
    }

    /// Quantiles of a family, raw and as they are published.
    fn both(&self, family: Family, making: &Making<'_>) -> Option<(Family, Vec<Both>)> {
        let bins = &making.rules.settings.horizons_bins;
        let version = making.from(family).map_or(FROM_THE_BEGINNING, |(model, _)| model.from_bin);
        let raw = match family {
            Family::Gru | Family::Lstm | Family::Svr | Family::RandomForest => making.from(family)?.1.clone()?,
            Family::ExponentialSmoothing => {
                ExponentialSmoothing.forecast(self.smoothed.as_ref()?, &self.demand, bins)?
            }
            Family::SeasonalNaive => SeasonalNaive.forecast(self.day_before.as_ref()?, &self.demand, bins)?,
            Family::LastValue => LastValue.forecast(&(), &self.demand, bins)?,
            Family::Mstl | Family::Arima | Family::Prophet => self.fitted.forecast(family, &self.demand, bins)?,
        };
        let both = raw.iter().enumerate().map(|(horizon, raw)| {
            let of = |statistic: Statistic, raw: &Quantiles| {
                let raw = at_least_uncertain(raw, making.scale)?;
                let key = PoolKey { family, version, resource: making.resource, horizon, statistic };
                let spread = making.spreads.of(key);
                Some((raw, self.within_reach(self.calibration.calibrated(&raw, spread, horizon, statistic)?)))
            };
            let (value, maximum) = (of(Statistic::Value, &raw.value)?, of(Statistic::Maximum, &raw.maximum)?);
            let raw = HorizonQuantiles { value: value.0, maximum: maximum.0 };
            Some((raw, HorizonQuantiles { value: value.1, maximum: maximum.1 }))
        });
        Some((family, both.collect::<Option<Vec<_>>>()?))
    }

    /// Demand that was never negative is not forecast to be.
    fn within_reach(&self, quantiles: Quantiles) -> Quantiles {
        if self.demand.is_non_negative() { quantiles.at_least(0.0) } else { quantiles }
    }
}

impl Making<'_> {
    /// What a trained family's model gave; `None` when none ran.
    fn from(&self, family: Family) -> Option<&(ModelId, Option<Vec<HorizonQuantiles>>)> {
        self.from_networks.iter().find(|(model, _)| model.family == family && !model.is_candidate)
    }

    /// What its model on trial gave; `None` when none ran.
    fn on_trial(&self, family: Family) -> Option<&(ModelId, Option<Vec<HorizonQuantiles>>)> {
        self.from_networks.iter().find(|(model, _)| model.family == family && model.is_candidate)
    }
}

#[cfg(test)]
mod tests;
