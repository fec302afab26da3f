//! The candidates without a season: a small fixed grid of levels, each without a trend and with a
//! damped one, that run side by side; the one with the least discounted square of errors is the best.

use super::state_space::{LevelTrend, Smoothing};
use bitcode::{Decode, Encode};

/// Half-life of a squared error's weight, in bins: a day.
const ERROR_HALF_LIFE_BINS: f64 = 288.0;

/// α of the candidates; each comes without a trend and with a damped one.
const LEVELS: [f64; 5] = [0.1, 0.3, 0.5, 0.7, 0.9];

/// β / α and φ of the damped trend.
const TREND_SHARE: f64 = 0.1;
const DAMPING: f64 = 0.9;

const CANDIDATES: usize = 2 * LEVELS.len();

/// What is left of a squared error's weight a bin later.
pub(super) fn error_kept() -> f64 {
    0.5f64.powf(1.0 / ERROR_HALF_LIFE_BINS)
}

/// One way to smooth, with its errors so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct Candidate {
    pub(super) state: LevelTrend,
    /// Discounted sum of squared errors one bin ahead.
    pub(super) squares: f64,
}

impl Candidate {
    pub(super) fn observe(&mut self, smoothing: &Smoothing, value: f64, keep: f64) {
        let error = value - self.state.next(smoothing);
        self.squares = keep * self.squares + error * error;
        self.state.advance(smoothing, error);
    }
}

/// The one with the least squares.
pub(super) fn least(candidates: &[Candidate]) -> usize {
    let squares = candidates.iter().map(|c| c.squares).enumerate();
    squares.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(i, _)| i)
}

/// The candidate that makes the forecast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::forecast) struct Best {
    pub(in crate::forecast) smoothing: Smoothing,
    pub(in crate::forecast) state: LevelTrend,
    pub(in crate::forecast) error_variance: f64,
}

/// The level that follows the series most closely, without a trend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Closest {
    pub(super) smoothing: Smoothing,
    pub(super) level: f64,
}

/// All candidates without a season.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub(in crate::forecast) struct Plain {
    candidates: [Candidate; CANDIDATES],
    /// Discounted number of errors of each; 0 before the first value.
    pub(super) weight: f64,
}

impl Plain {
    /// Those of a series whose first value is given, with an error that they are credited with.
    pub(in crate::forecast) fn starting(value: f64, error: f64) -> Self {
        let candidate = Candidate { state: LevelTrend { level: value, trend: 0.0 }, squares: error * error };
        Self { candidates: [candidate; CANDIDATES], weight: 1.0 }
    }

    /// Whether there was a value.
    pub(in crate::forecast) fn has_begun(&self) -> bool {
        self.weight > 0.0
    }

    /// Takes the next value in.
    pub(in crate::forecast) fn observe(&mut self, value: f64) {
        let keep = error_kept();
        for (i, candidate) in self.candidates.iter_mut().enumerate() {
            candidate.observe(&smoothing(i), value, keep);
        }
        self.weight = keep * self.weight + 1.0;
    }

    /// Goes on where the next value is missing.
    pub(in crate::forecast) fn miss(&mut self) {
        for (i, candidate) in self.candidates.iter_mut().enumerate() {
            candidate.state.advance(&smoothing(i), 0.0);
        }
    }

    /// The same levels and trends with the errors of `other`.
    pub(in crate::forecast) fn with_errors_of(mut self, other: &Self) -> Self {
        for (own, other) in self.candidates.iter_mut().zip(&other.candidates) {
            own.squares = other.squares;
        }
        Self { weight: other.weight, ..self }
    }

    /// The same with all squared errors so many times as large.
    pub(in crate::forecast) fn with_errors_times(mut self, times: f64) -> Self {
        self.candidates.iter_mut().for_each(|candidate| candidate.squares *= times);
        self
    }

    /// The level of the quickest one without a trend. Of use once [`Self::has_begun`].
    pub(super) fn closest(&self) -> Closest {
        let i = CANDIDATES - 2;
        Closest { smoothing: smoothing(i), level: self.candidates[i].state.level }
    }

    /// The one that was the least off. Of use once [`Self::has_begun`].
    pub(in crate::forecast) fn best(&self) -> Best {
        let i = least(&self.candidates);
        let Candidate { state, squares } = self.candidates[i];
        Best { smoothing: smoothing(i), state, error_variance: squares / self.weight }
    }
}

fn smoothing(i: usize) -> Smoothing {
    let level = LEVELS[i / 2];
    if i.is_multiple_of(2) {
        Smoothing { level, trend: 0.0, damping: 0.0, season: 0.0 }
    } else {
        Smoothing { level, trend: TREND_SHARE * level, damping: DAMPING, season: 0.0 }
    }
}
