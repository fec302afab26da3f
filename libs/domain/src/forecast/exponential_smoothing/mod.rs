//! Additive exponential smoothing: a level with a damped trend or without, and from the second day on
//! a level with a season of a day. Which, and with which smoothing, the last day's errors decide; but where a trend
//! has gone on undamped, it goes on (`steady.rs`).
//!
//! A small fixed grid of candidates runs side by side; the one with the least discounted square of
//! errors one bin ahead makes the forecast. Those with a season share its components, which the best
//! of them moves: as long as that one stays the best, it is exactly (A,N,A) of the book.
//!
//! State: a day of the season at most ([`STATE_HEAP_BYTES_MAX`]) and a few hundred bytes.

pub(super) mod greatest;
pub(super) mod plain;
pub mod state_space;
mod steady;

use self::greatest::path;
use self::plain::{Best, Candidate, Plain, error_kept, least};
use self::state_space::{LevelTrend, Smoothing};
use self::steady::SteadyTrend;
use crate::forecast::day_ring::DayRing;
use crate::forecast::demand::{ClosedBin, DemandSeries};
use crate::forecast::greatest::{Step, at_horizons};
use crate::forecast::residuals::ERROR_SHARE_UNKNOWN;
use crate::forecast::{DAY_BINS, Family, Forecaster, HorizonQuantiles};
use bitcode::{Decode, Encode};

/// Most bytes that the state of one series takes on the heap.
pub const STATE_HEAP_BYTES_MAX: usize = DAY_BINS * size_of::<u16>();

/// α of the candidates with a season, and their γ.
const LEVELS_SEASONAL: [f64; 3] = [0.1, 0.3, 0.6];
const SEASON: f64 = 0.1;

const SEASONAL: usize = LEVELS_SEASONAL.len();

/// Errors that a newcomer with a season is credited with, as large as those of the best without.
const SEASONAL_ERRORS_CREDITED: f64 = 24.0;

/// The family `exponential-smoothing`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExponentialSmoothing;

/// What is remembered of one series.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Smoothed {
    plain: Plain,
    seasonal: [Candidate; SEASONAL],
    seasonal_weight: f64,
    /// Components of the season; empty before there was a day.
    season: DayRing,
    /// Bins without samples since the last that had some.
    unobserved: u32,
    steady: SteadyTrend,
}

/// The candidate that makes the forecast.
struct Chosen {
    best: Best,
    has_season: bool,
}

impl Smoothed {
    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.season.heap_bytes()
    }

    /// Whether the forecast follows a trend that goes on undamped.
    pub fn follows_steady_trend(&self) -> bool {
        self.steady.is_followed()
    }

    fn start(&mut self, demand: &DemandSeries, value: f64) {
        self.plain = Plain::starting(value, ERROR_SHARE_UNKNOWN * demand.scale(None));
    }

    /// Takes a bin in; one that is left out moves the level and not the season.
    fn observe(&mut self, value: f64, is_left_out: bool) {
        let keep = error_kept();
        self.plain.observe(value);
        if let Some((season, _)) = self.season.day_before(0) {
            let best = self.best_seasonal();
            let innovation = value - season - self.seasonal[best].state.next(&seasonal(best));
            for (i, candidate) in self.seasonal.iter_mut().enumerate() {
                candidate.observe(&seasonal(i), value - season, keep);
            }
            self.seasonal_weight = keep * self.seasonal_weight + 1.0;
            let moved = if is_left_out { 0.0 } else { SEASON * innovation };
            self.season.push(season + moved, true);
        }
        self.unobserved = 0;
    }

    fn miss(&mut self) {
        self.plain.miss();
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
        let error_variance = self.plain.best().error_variance;
        let candidate = Candidate {
            state: LevelTrend { level: mean, trend: 0.0 },
            squares: SEASONAL_ERRORS_CREDITED * error_variance,
        };
        (self.seasonal, self.seasonal_weight) = ([candidate; SEASONAL], SEASONAL_ERRORS_CREDITED);
    }

    fn best_seasonal(&self) -> usize {
        least(&self.seasonal)
    }

    fn chosen(&self) -> Option<Chosen> {
        if !self.plain.has_begun() {
            return None;
        }
        if let Some(best) = self.steady.best(self.plain.closest(), self.unobserved) {
            return Some(Chosen { best, has_season: false });
        }
        let without = self.plain.best();
        if self.season.is_empty() {
            return Some(Chosen { best: without, has_season: false });
        }
        let i = self.best_seasonal();
        let Candidate { state, squares } = self.seasonal[i];
        let with = Best { smoothing: seasonal(i), state, error_variance: squares / self.seasonal_weight };
        let has_season = with.error_variance < without.error_variance;
        Some(Chosen { best: if has_season { with } else { without }, has_season })
    }

    /// Values and maxima of the next bins.
    fn path(&self, bins: usize) -> Option<Vec<Step>> {
        let Chosen { best: Best { smoothing, mut state, error_variance }, has_season } = self.chosen()?;
        let mut points = Vec::with_capacity(bins);
        for ahead in 0..bins {
            let season = if has_season { self.season.day_before(ahead)?.0 } else { 0.0 };
            points.push(state.next(&smoothing) + season);
            state.advance(&smoothing, 0.0);
        }
        Some(path(&smoothing, error_variance, self.unobserved, &points))
    }
}

fn seasonal(i: usize) -> Smoothing {
    Smoothing { level: LEVELS_SEASONAL[i], trend: 0.0, damping: 0.0, season: SEASON }
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
            Some(value) if !state.plain.has_begun() => state.start(demand, value),
            Some(value) => {
                state.steady.observe(demand, value, state.unobserved);
                state.observe(value, demand.is_left_out());
            }
            None => state.miss(),
        }
        if state.season.is_empty() && state.plain.has_begun() && demand.bins() >= DAY_BINS as u64 {
            state.begin_season(demand);
        }
    }

    fn forecast(
        &self,
        state: &Smoothed,
        demand: &DemandSeries,
        horizons_bins: &[usize],
    ) -> Option<Vec<HorizonQuantiles>> {
        if !state.plain.has_begun() {
            return None;
        }
        let mut state = state.clone();
        self.close(&mut state, demand, &demand.open()?);
        let steps = state.path(horizons_bins.iter().copied().max()?)?;
        at_horizons(&steps, horizons_bins)
    }
}

#[cfg(test)]
mod tests;
