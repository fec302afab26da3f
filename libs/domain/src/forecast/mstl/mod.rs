//! MSTL: the series is split into a season of a day, from two weeks on one of a week, and the rest
//! (Bandara, Hyndman and Bergmeir 2021, "MSTL: A Seasonal-Trend Decomposition Algorithm for Time Series
//! with Multiple Seasonal Patterns", arXiv 2107.13462). The last cycle of each season comes again; the
//! rest, trend and remainder together, is forecast by exponential smoothing without a season, as `stlf`
//! of Hyndman's R package forecast does.
//!
//! Once a day the seasons are estimated anew; between that a bin moves the levels of the smoothing only.
//! Squared errors that the levels are weighed by, and the intervals, are those made one bin ahead by
//! seasons that did not know the bin.
//!
//! State: two weeks of bins, a day and a week of seasons, at most [`STATE_HEAP_BYTES_MAX`] on the heap,
//! and a few hundred bytes.

use crate::forecast::demand::{ClosedBin, DemandSeries};
use crate::forecast::exponential_smoothing::greatest::path;
use crate::forecast::exponential_smoothing::plain::{Best, Plain};
use crate::forecast::greatest::at_horizons;
use crate::forecast::history::History;
use crate::forecast::refits::{self, Refits};
use crate::forecast::{DAY_BINS, Family, Forecaster, HorizonQuantiles, TWO_WEEKS_BINS, WEEK_BINS};
use bitcode::{Decode, Encode};
use stlrs::MstlParams;

/// Most bytes that the state of one series takes on the heap.
pub const STATE_HEAP_BYTES_MAX: usize = (TWO_WEEKS_BINS + WEEK_BINS + DAY_BINS) * size_of::<f32>();

/// Bins before the seasons are estimated for the first time: two days.
const FIRST_BINS: u64 = 2 * DAY_BINS as u64;

/// The family `mstl`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mstl;

/// What is remembered of one series.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Decomposed {
    history: History<TWO_WEEKS_BINS>,
    refits: Refits,
    seasons: Seasons,
    /// Of the series less its seasons; not begun before there are seasons.
    levels: Plain,
    /// Bins without samples since the last that had some.
    unobserved: u32,
}

/// One cycle of each season, by bin number modulo its length; empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
struct Seasons {
    day: Vec<f32>,
    week: Vec<f32>,
}

impl Seasons {
    /// Of a complete series of at least two days whose last bin is given. `None` when a number is not
    /// finite.
    fn of(values: &[f64], last_bin: i64) -> Option<Self> {
        let periods: &[usize] = if values.len() < 2 * WEEK_BINS { &[DAY_BINS] } else { &[DAY_BINS, WEEK_BINS] };
        let split = MstlParams::new().fit(values, periods).ok()?;
        let last_cycle = |place: usize| {
            let Some(period) = periods.get(place) else { return Some(Vec::new()) };
            let mut cycle = vec![0.0; *period];
            for (back, value) in split.seasonal()[place].iter().rev().take(*period).enumerate() {
                cycle[phase(last_bin - back as i64, *period)] = *value as f32;
            }
            cycle.iter().all(|v| v.is_finite()).then_some(cycle)
        };
        Some(Self { day: last_cycle(0)?, week: last_cycle(1)? })
    }

    /// What they add to a bin.
    fn at(&self, bin: i64) -> f64 {
        let of = |cycle: &[f32]| if cycle.is_empty() { 0.0 } else { f64::from(cycle[phase(bin, cycle.len())]) };
        of(&self.day) + of(&self.week)
    }

    /// Length of the longest, in bins.
    fn longest_bins(&self) -> usize {
        self.day.len().max(self.week.len())
    }
}

fn phase(bin: i64, period: usize) -> usize {
    bin.rem_euclid(period as i64) as usize
}

impl Decomposed {
    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        let seasons = self.seasons.day.capacity() + self.seasons.week.capacity();
        self.history.heap_bytes() + seasons * size_of::<f32>()
    }

    fn refit(&mut self, last_bin: i64) {
        if 2 * self.history.measured() < self.history.len() {
            return;
        }
        let Some(seasons) = Seasons::of(&self.history.interpolated(), last_bin) else { return };
        let fresh = self.levels_about(&seasons, last_bin);
        self.levels = match (fresh, self.levels.has_begun()) {
            (Some(fresh), true) => fresh.with_errors_of(&self.levels),
            (Some(fresh), false) => fresh.with_errors_times(self.unknown_errors_times(&seasons)),
            (None, _) => return,
        };
        self.seasons = seasons;
    }

    /// Levels after the whole history less those seasons.
    fn levels_about(&self, seasons: &Seasons, last_bin: i64) -> Option<Plain> {
        let first_bin = last_bin + 1 - self.history.len() as i64;
        let mut levels = Plain::default();
        for (bin, value) in (first_bin..).zip(self.history.iter()) {
            match value.map(|v| v - seasons.at(bin)) {
                Some(rest) if levels.has_begun() => levels.observe(rest),
                Some(rest) => levels = Plain::starting(rest, 0.0),
                None if levels.has_begun() => levels.miss(),
                None => {}
            }
        }
        levels.has_begun().then_some(levels)
    }

    /// Squared errors about a mean of k cycles are (k - 1) / k of the noise in sample and (k + 1) / k of
    /// it out of sample.
    fn unknown_errors_times(&self, seasons: &Seasons) -> f64 {
        let cycles = self.history.len() as f64 / seasons.longest_bins() as f64;
        (cycles + 1.0) / (cycles - 1.0)
    }
}

impl Forecaster for Mstl {
    type State = Decomposed;

    fn family(&self) -> Family {
        Family::Mstl
    }

    fn bins_needed(&self) -> u64 {
        refits::bins_needed(FIRST_BINS)
    }

    fn close(&self, state: &mut Decomposed, demand: &DemandSeries, closed: &ClosedBin) {
        state.history.push(demand.learnt(closed));
        state.unobserved = if closed.value.is_some() { 0 } else { state.unobserved + 1 };
        if state.levels.has_begun() {
            match closed.value {
                Some(value) => state.levels.observe(value - state.seasons.at(closed.bin)),
                None => state.levels.miss(),
            }
        }
        if state.refits.are_due(demand, state.history.len(), FIRST_BINS) {
            state.refit(closed.bin);
        }
    }

    fn forecast(
        &self,
        state: &Decomposed,
        demand: &DemandSeries,
        horizons_bins: &[usize],
    ) -> Option<Vec<HorizonQuantiles>> {
        if !state.levels.has_begun() || demand.bins() < self.bins_needed() {
            return None;
        }
        let (open, mut levels) = (demand.open()?, state.levels.clone());
        let unobserved = match open.value {
            Some(value) => {
                levels.observe(value - state.seasons.at(open.bin));
                0
            }
            None => {
                levels.miss();
                state.unobserved + 1
            }
        };
        let Best { smoothing, state: mut level, error_variance } = levels.best();
        let bins = horizons_bins.iter().copied().max()? as i64;
        let points: Vec<f64> = (1..=bins)
            .map(|ahead| {
                let point = level.next(&smoothing) + state.seasons.at(open.bin + ahead);
                level.advance(&smoothing, 0.0);
                point
            })
            .collect();
        at_horizons(&path(&smoothing, error_variance, unobserved, &points), horizons_bins)
    }
}

#[cfg(test)]
mod tests;
