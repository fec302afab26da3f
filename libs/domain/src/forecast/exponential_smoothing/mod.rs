//! Additive exponential smoothing: a level with a damped trend or without, and from the second day on
//! a level with a season of a day. Which, and with which smoothing, the last day's errors decide.
//!
//! A small fixed grid of candidates runs side by side; the one with the least discounted square of
//! errors one bin ahead makes the forecast. Those with a season share its components, which the best
//! of them moves: as long as that one stays the best, it is exactly (A,N,A) of the book.
//!
//! State: a day of the season at most ([`STATE_HEAP_BYTES_MAX`]) and a few hundred bytes.

mod greatest;
pub mod state_space;

use self::greatest::{Step, path};
use self::state_space::{LevelTrend, Smoothing};
use crate::forecast::day_ring::DayRing;
use crate::forecast::demand::{ClosedBin, DemandSeries};
use crate::forecast::residuals::{ERROR_SHARE_UNKNOWN, NORMAL_QUANTILES, normal};
use crate::forecast::{DAY_BINS, Family, Forecaster, HorizonQuantiles};
use crate::quantiles::Quantiles;
use bitcode::{Decode, Encode};

/// Most bytes that the state of one series takes on the heap.
pub const STATE_HEAP_BYTES_MAX: usize = DAY_BINS * size_of::<f32>();

/// Half-life of a squared error's weight, in bins: a day.
const ERROR_HALF_LIFE_BINS: f64 = 288.0;

/// α of the candidates without a season; each comes without a trend and with a damped one.
const LEVELS_PLAIN: [f64; 5] = [0.1, 0.3, 0.5, 0.7, 0.9];

/// β / α and φ of the damped trend.
const TREND_SHARE: f64 = 0.1;
const DAMPING: f64 = 0.9;

/// α of the candidates with a season, and their γ.
const LEVELS_SEASONAL: [f64; 3] = [0.1, 0.3, 0.6];
const SEASON: f64 = 0.1;

const PLAIN: usize = 2 * LEVELS_PLAIN.len();
const SEASONAL: usize = LEVELS_SEASONAL.len();

/// Errors that a newcomer with a season is credited with, as large as those of the best without.
const SEASONAL_ERRORS_CREDITED: f64 = 24.0;

/// The family `exponential-smoothing`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExponentialSmoothing;

/// One way to smooth, with its errors so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
struct Candidate {
    state: LevelTrend,
    /// Discounted sum of squared errors one bin ahead.
    squares: f64,
}

/// What is remembered of one series.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Smoothed {
    plain: [Candidate; PLAIN],
    /// Discounted number of errors of each plain candidate; 0 before the first bin.
    plain_weight: f64,
    seasonal: [Candidate; SEASONAL],
    seasonal_weight: f64,
    /// Components of the season; empty before there was a day.
    season: DayRing,
    /// Bins without samples since the last that had some.
    unobserved: u32,
}

/// The candidate that makes the forecast.
struct Chosen {
    smoothing: Smoothing,
    state: LevelTrend,
    error_variance: f64,
    has_season: bool,
}

impl Smoothed {
    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.season.heap_bytes()
    }

    fn start(&mut self, demand: &DemandSeries, value: f64) {
        let error = ERROR_SHARE_UNKNOWN * demand.scale(None);
        let candidate = Candidate { state: LevelTrend { level: value, trend: 0.0 }, squares: error * error };
        (self.plain, self.plain_weight) = ([candidate; PLAIN], 1.0);
    }

    fn observe(&mut self, value: f64) {
        let keep = 0.5f64.powf(1.0 / ERROR_HALF_LIFE_BINS);
        for (i, candidate) in self.plain.iter_mut().enumerate() {
            candidate.observe(&plain(i), value, keep);
        }
        self.plain_weight = keep * self.plain_weight + 1.0;
        if let Some((season, _)) = self.season.day_before(0) {
            let best = self.best_seasonal();
            let innovation = value - season - self.seasonal[best].state.next(&seasonal(best));
            for (i, candidate) in self.seasonal.iter_mut().enumerate() {
                candidate.observe(&seasonal(i), value - season, keep);
            }
            self.seasonal_weight = keep * self.seasonal_weight + 1.0;
            self.season.push(season + SEASON * innovation, true);
        }
        self.unobserved = 0;
    }

    fn miss(&mut self) {
        for (i, candidate) in self.plain.iter_mut().enumerate() {
            candidate.state.advance(&plain(i), 0.0);
        }
        if let Some((season, _)) = self.season.day_before(0) {
            self.season.push(season, false);
        }
        self.unobserved += 1;
    }

    /// The season after the first day: each bin less the mean of the day.
    fn begin_season(&mut self, demand: &DemandSeries) {
        let mut day = [0.0; DAY_BINS];
        let count = demand.recent(&mut day);
        let mean = day[..count].iter().sum::<f64>() / count as f64;
        day[..count].iter().for_each(|value| self.season.push(value - mean, true));
        let error_variance = self.plain[self.best_plain()].squares / self.plain_weight;
        let candidate = Candidate {
            state: LevelTrend { level: mean, trend: 0.0 },
            squares: SEASONAL_ERRORS_CREDITED * error_variance,
        };
        (self.seasonal, self.seasonal_weight) = ([candidate; SEASONAL], SEASONAL_ERRORS_CREDITED);
    }

    fn best_plain(&self) -> usize {
        least(&self.plain)
    }

    fn best_seasonal(&self) -> usize {
        least(&self.seasonal)
    }

    fn chosen(&self) -> Option<Chosen> {
        if self.plain_weight == 0.0 {
            return None;
        }
        let i = self.best_plain();
        let without = self.plain[i].squares / self.plain_weight;
        let chosen =
            Chosen { smoothing: plain(i), state: self.plain[i].state, error_variance: without, has_season: false };
        if self.season.is_empty() {
            return Some(chosen);
        }
        let i = self.best_seasonal();
        let with = self.seasonal[i].squares / self.seasonal_weight;
        let seasonal =
            Chosen { smoothing: seasonal(i), state: self.seasonal[i].state, error_variance: with, has_season: true };
        Some(if with < without { seasonal } else { chosen })
    }

    /// Values and maxima of the next bins.
    fn path(&self, bins: usize) -> Option<Vec<Step>> {
        let Chosen { smoothing, mut state, error_variance, has_season } = self.chosen()?;
        let mut points = Vec::with_capacity(bins);
        for ahead in 0..bins {
            let season = if has_season { self.season.day_before(ahead)?.0 } else { 0.0 };
            points.push(state.next(&smoothing) + season);
            state.advance(&smoothing, 0.0);
        }
        Some(path(&smoothing, error_variance, self.unobserved, &points))
    }
}

impl Candidate {
    fn observe(&mut self, smoothing: &Smoothing, value: f64, keep: f64) {
        let error = value - self.state.next(smoothing);
        self.squares = keep * self.squares + error * error;
        self.state.advance(smoothing, error);
    }
}

fn plain(i: usize) -> Smoothing {
    let level = LEVELS_PLAIN[i / 2];
    if i.is_multiple_of(2) {
        Smoothing { level, trend: 0.0, damping: 0.0, season: 0.0 }
    } else {
        Smoothing { level, trend: TREND_SHARE * level, damping: DAMPING, season: 0.0 }
    }
}

fn seasonal(i: usize) -> Smoothing {
    Smoothing { level: LEVELS_SEASONAL[i], trend: 0.0, damping: 0.0, season: SEASON }
}

/// The first with the least squares.
fn least(candidates: &[Candidate]) -> usize {
    let less = |best: usize, i: usize| if candidates[i].squares < candidates[best].squares { i } else { best };
    (1..candidates.len()).fold(0, less)
}

/// A quantile of the maximum over `steps`, by the standard normal's quantile of that level.
fn greatest_quantile(steps: &[Step], normal_quantile: f64) -> f64 {
    let last = &steps[steps.len() - 1];
    let single = steps.iter().map(|step| step.mean + normal_quantile * step.std_dev);
    single.fold(last.greatest_mean + normal_quantile * last.greatest_std_dev, f64::max)
}

impl Forecaster for ExponentialSmoothing {
    type State = Smoothed;

    fn family(&self) -> Family {
        Family::ExponentialSmoothing
    }

    fn bins_needed(&self) -> u64 {
        2
    }

    fn close(&self, state: &mut Smoothed, demand: &DemandSeries, closed: &ClosedBin) {
        match closed.value {
            Some(value) if state.plain_weight == 0.0 => state.start(demand, value),
            Some(value) => state.observe(value),
            None => state.miss(),
        }
        if state.season.is_empty() && state.plain_weight > 0.0 && demand.bins() >= DAY_BINS as u64 {
            state.begin_season(demand);
        }
    }

    fn forecast(
        &self,
        state: &Smoothed,
        demand: &DemandSeries,
        horizons_bins: &[usize],
    ) -> Option<Vec<HorizonQuantiles>> {
        if state.plain_weight == 0.0 {
            return None;
        }
        let mut state = state.clone();
        self.close(&mut state, demand, &demand.open()?);
        let steps = state.path(horizons_bins.iter().copied().max()?)?;
        let at = |bins: &usize| {
            let steps = &steps[..*bins];
            let last = steps.last()?;
            Some(HorizonQuantiles {
                value: normal(last.mean, last.std_dev)?,
                maximum: Quantiles::rearranged(NORMAL_QUANTILES.map(|z| greatest_quantile(steps, z)))?,
            })
        };
        horizons_bins.iter().map(at).collect()
    }
}

#[cfg(test)]
mod tests;
