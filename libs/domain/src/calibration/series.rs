//! What calibration keeps of one demand series: the forecasts whose truth is not known yet, how often
//! the published intervals held it, the series' own correction, and its drift.
//!
//! Forecasts are scored once a bin: the one that was made as of a bin when it closed. A bin without
//! samples has no truth, and no maximum over it has. Of a workload that lately used
//! all that it had, a truth says something of the quantiles below its capacity and nothing of the others.

use super::conformal::{RawInterval, Scores};
use super::coverage::TrailingCoverage;
use super::drift::{Drift, DriftState};
use super::tracking::Tracker;
use super::{LOWER, NOMINAL_COVERAGE, Spread, Statistic, UPPER};
use crate::fingerprint::single;
use crate::forecast::capped::Truth;
use crate::forecast::demand::DemandSeries;
use crate::forecast::{Family, HorizonQuantiles};
use crate::prediction::Interval;
use crate::quantiles::{LEVELS, MEDIAN, QUANTILE_LEVELS, Quantiles};
use crate::scaled::{Grid, NONE};
use crate::score::pinball_loss;
use bitcode::{Decode, Encode};

/// A forecast of one horizon and statistic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Made {
    pub(crate) raw: RawInterval,
    pub(crate) published: [f32; LEVELS],
}

/// What became of a forecast of one horizon and statistic, in the unit of the demand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// Mean pinball loss over the levels, of what could be seen.
    pub loss: f64,
    /// What came, as far as it could be seen.
    pub realised: f64,
    /// The median that was published.
    pub median: f64,
    /// Whether the published interval held what came; `None` where more may have been wanted than was seen.
    pub is_held: Option<bool>,
}

/// Numbers of a [`Made`]: bounds and median of the raw interval, and the published quantiles.
const NUMBERS: usize = 3 + LEVELS;

/// A forecast of one horizon, of both statistics, as it is kept until its truth is known: in 16 bits a number. A number
/// is off by less than a 30,000th of what lies between the least and the greatest of them.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
pub(crate) struct MadeOfBoth {
    grid: Grid,
    /// By [`Statistic`].
    codes: [[u16; NUMBERS]; 2],
}

/// A forecast of one horizon.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct MadeForHorizon<M> {
    maker: M,
    made: MadeOfBoth,
}

/// The newest forecast of all horizons, and the bin as of which it was made.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Newest<M> {
    bin: i64,
    horizons: Vec<MadeForHorizon<M>>,
}

/// How one horizon and statistic did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
struct Record {
    coverage: TrailingCoverage,
    tracker: Tracker,
}

/// What is kept of one series. `M` says what made a forecast.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct SeriesCalibration<M = Family> {
    newest: Option<Newest<M>>,
    /// Per horizon a ring as long as the horizon has bins, by the bin that a forecast was made as of.
    pending: Vec<Option<MadeForHorizon<M>>>,
    records: Vec<[Record; 2]>,
    drift: Drift,
}

impl<M> Default for SeriesCalibration<M> {
    fn default() -> Self {
        Self { newest: None, pending: Vec::new(), records: Vec::new(), drift: Drift::default() }
    }
}

impl<M: Copy> SeriesCalibration<M> {
    /// Forgets what is pending: the series began anew.
    pub fn start(&mut self, horizons_bins: &[usize]) {
        self.newest = None;
        self.drift = Drift::default();
        let pending = horizons_bins.iter().sum();
        self.pending.clear();
        self.pending.reserve_exact(pending);
        self.pending.resize(pending, None);
        self.records.reserve_exact(horizons_bins.len().saturating_sub(self.records.len()));
        self.records.resize(horizons_bins.len(), [Record::default(); 2]);
    }

    /// Has other horizons: each goes on with how the one in that place did, and what is pending is forgotten.
    pub fn rearrange(&mut self, places: &[Option<usize>], horizons_bins: &[usize]) {
        let of = |place: &Option<usize>| place.and_then(|place| self.records.get(place)).copied().unwrap_or_default();
        self.records = places.iter().map(of).collect();
        self.start(horizons_bins);
    }

    /// As [`Self::close_judging`], where nobody asks what became of each forecast.
    pub fn close(
        &mut self,
        horizons_bins: &[usize],
        demand: &DemandSeries,
        last_state: DriftState,
        scored: impl FnMut((M, usize, Statistic), Scores),
    ) -> Option<DriftState> {
        self.close_judging(horizons_bins, demand, last_state, scored, |_, _| ())
    }

    /// Closes a bin, which is still the open one of `demand`: scores what was forecast for it, handing
    /// out each forecast's maker, horizon (its index), statistic and scores, and what became of it, and lets the newest
    /// forecast wait for its truth if it was made as of this bin. Gives what an alarm of drift led to;
    /// `last_state` is the furthest that there is for the series.
    pub fn close_judging(
        &mut self,
        horizons_bins: &[usize],
        demand: &DemandSeries,
        last_state: DriftState,
        mut scored: impl FnMut((M, usize, Statistic), Scores),
        mut judged: impl FnMut((M, usize, Statistic), Judged),
    ) -> Option<DriftState> {
        let closed = demand.open()?;
        let (mut loss, mut losses) = (0.0, 0u32);
        let newest = self.newest.take_if(|newest| newest.bin == closed.bin);
        let mut begins = 0;
        for (i, bins) in horizons_bins.iter().enumerate() {
            let place = begins + closed.bin.rem_euclid(*bins as i64) as usize;
            begins += bins;
            if let (Some(made), Some(truth)) = (self.pending[place], demand.truth()) {
                let truths = [(Statistic::Value, Some(truth)), (Statistic::Maximum, demand.greatest_truth(*bins))];
                for (statistic, truth) in truths {
                    let Some(truth) = truth else { continue };
                    let (made_of, of) = (made.made.of(statistic), (made.maker, i, statistic));
                    let is_held = self.records[i][statistic as usize].push(&made.made, (statistic, truth), *bins);
                    let of_forecast = made_of.loss(truth);
                    (loss, losses) = (loss + of_forecast, losses + 1);
                    let median = made_of.published[MEDIAN].into();
                    judged(of, Judged { loss: of_forecast, realised: truth.value, median, is_held });
                    if let Some(scores) = Scores::of(&made_of.raw, truth) {
                        scored(of, scores);
                    }
                }
            }
            self.pending[place] = newest.as_ref().and_then(|newest| newest.horizons.get(i)).copied();
        }
        let alarm =
            (losses > 0).then(|| self.drift.push(loss / f64::from(losses) / demand.scale(None), last_state)).flatten();
        if alarm.is_some_and(|state| state >= DriftState::Reset) {
            self.records.iter_mut().flatten().for_each(|record| record.tracker = Tracker::default());
        }
        alarm
    }

    /// The series' own correction of each horizon and statistic.
    pub fn trackers(&self) -> Vec<[Tracker; 2]> {
        self.records.iter().map(|records| records.map(|record| record.tracker)).collect()
    }

    /// Begins with corrections that others found, in place of its own, if they are of as many horizons.
    pub fn start_from(&mut self, trackers: &[[Tracker; 2]]) {
        if trackers.len() == self.records.len() {
            for (records, trackers) in self.records.iter_mut().zip(trackers) {
                records.iter_mut().zip(trackers).for_each(|(record, tracker)| record.tracker = *tracker);
            }
        }
    }

    /// Ends the drift.
    pub fn end_drift(&mut self) {
        self.drift.end();
    }

    /// What drift has led to.
    pub fn drift(&self) -> DriftState {
        self.drift.state()
    }

    /// The quantiles of one horizon and statistic as they are published: drawn out by `spread`, moved by the
    /// series' own tracking, widened while there is drift, and rounded to 32 bits. `None` when a number is not finite
    /// any more.
    pub fn calibrated(
        &self,
        raw: &Quantiles,
        spread: Spread,
        horizon: usize,
        statistic: Statistic,
    ) -> Option<Quantiles> {
        let spread = spread.apply(raw)?;
        let tracked = match self.records.get(horizon) {
            Some(records) => records[statistic as usize].tracker.apply(&spread)?,
            None => spread,
        };
        self.drift().spread().apply(&tracked)?.single()
    }

    /// Keeps the forecast made as of the open bin `bin`, per horizon raw and as published, in place of
    /// an earlier one of the same bin.
    pub fn made(&mut self, bin: i64, maker: M, forecasts: &[(HorizonQuantiles, HorizonQuantiles)]) {
        let mut horizons = self.newest.take().map(|newest| newest.horizons).unwrap_or_default();
        horizons.clear();
        horizons.reserve_exact(forecasts.len());
        horizons.extend(
            forecasts.iter().map(|(raw, published)| MadeForHorizon { maker, made: MadeOfBoth::new(raw, published) }),
        );
        self.newest = Some(Newest { bin, horizons });
    }

    /// How often the last intervals of a horizon (its index) held the truth.
    pub fn coverage(&self, horizon: usize, statistic: Statistic) -> TrailingCoverage {
        self.records.get(horizon).map_or(TrailingCoverage::default(), |r| r[statistic as usize].coverage)
    }

    /// The central interval of quantiles as they are published, with how well such intervals did.
    pub fn interval(&self, horizon: usize, statistic: Statistic, published: &Quantiles) -> Interval {
        let coverage = self.coverage(horizon, statistic);
        Interval {
            nominal_coverage: NOMINAL_COVERAGE,
            lower: published.values()[LOWER],
            upper: published.values()[UPPER],
            trailing_coverage: coverage.share().and_then(single),
            scored: coverage.scored(),
        }
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        let newest = self.newest.as_ref().map_or(0, |newest| newest.horizons.capacity());
        (self.pending.capacity() + newest) * size_of::<Option<MadeForHorizon<M>>>()
            + self.records.capacity() * size_of::<[Record; 2]>()
    }
}

impl MadeOfBoth {
    /// Of what was forecast, raw and as it is published.
    pub(crate) fn new(raw: &HorizonQuantiles, published: &HorizonQuantiles) -> Self {
        let numbers = Statistic::ALL.map(|statistic| Made::of(raw.of(statistic), published.of(statistic)).numbers());
        let all = numbers.as_flattened().iter().copied();
        let (least, greatest) = (all.clone().fold(f32::MAX, f32::min), all.fold(f32::MIN, f32::max));
        let grid = Grid::over(least, greatest);
        Self { grid, codes: numbers.map(|numbers| numbers.map(|number| grid.code(number).unwrap_or(NONE))) }
    }

    /// That of one statistic.
    pub(crate) fn of(&self, statistic: Statistic) -> Made {
        let [lower, median, upper, published @ ..] = self.codes[statistic as usize].map(|code| self.grid.value(code));
        Made { raw: RawInterval { lower, median, upper }, published }
    }

    /// A demand as it is to be compared with what is kept: rounded alike, so what was equal is equal.
    fn as_kept(&self, demand: f64) -> f32 {
        let demand = demand as f32;
        self.grid.code(demand).map_or(demand, |code| self.grid.value(code))
    }
}

impl Made {
    /// All of them, none beyond what 32 bits can say.
    fn numbers(&self) -> [f32; NUMBERS] {
        let RawInterval { lower, median, upper } = self.raw;
        let [a, b, c, d, e, f, g, h] = self.published;
        [lower, median, upper, a, b, c, d, e, f, g, h].map(|number| number.clamp(f32::MIN, f32::MAX))
    }

    fn of(raw: &Quantiles, published: &Quantiles) -> Self {
        Self { raw: RawInterval::of(raw), published: published.values().map(|v| v as f32) }
    }

    /// Mean pinball loss over the levels, in the unit of the demand, of what could be seen (Powell 1986, "Censored
    /// Regression Quantiles").
    pub(crate) fn loss(&self, truth: Truth) -> f64 {
        let (seen, each) = (truth.visible(truth.value), QUANTILE_LEVELS.into_iter().zip(self.published));
        let loss = |(level, value): (f64, f32)| pinball_loss(level, truth.visible(value.into()), seen);
        each.map(loss).sum::<f64>() / LEVELS as f64
    }
}

impl Record {
    /// Whether the interval held the truth, where that can be told. Quantiles and truth are compared as they were kept,
    /// so that a truth on a bound is held.
    fn push(&mut self, made: &MadeOfBoth, (statistic, truth): (Statistic, Truth), bins_ahead: usize) -> Option<bool> {
        let (published, value) = (made.of(statistic).published, made.as_kept(truth.value));
        let is_held = (!truth.is_bound()).then(|| (published[LOWER]..=published[UPPER]).contains(&value));
        is_held.into_iter().for_each(|is_held| self.coverage.push(is_held));
        self.tracker.push(&published, value, truth.seen_up_to.map(|up_to| made.as_kept(up_to)), bins_ahead);
        is_held
    }
}

#[cfg(test)]
mod tests;
