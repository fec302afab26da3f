//! Additive exponential smoothing in innovations state space form: Hyndman, Koehler, Ord, Snyder,
//! "Forecasting with Exponential Smoothing: The State Space Approach" (2008), chapters 2, 3 and 6.
//!
//! With the innovation e, one step is
//!
//! ```text
//! y = l + φ b + s + e        l' = l + φ b + α e        b' = φ b + β e        s' = s + γ e
//! ```
//!
//! where s is the season's component of a season ago and s' takes its place. φ = β = 0 leaves the
//! trend out (A,N,·), γ = 0 the season (A,·,N).

use bitcode::{Decode, Encode};

/// Smoothing parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Smoothing {
    /// α: share of an innovation that stays in the level.
    pub level: f64,
    /// β: share that stays in the trend.
    pub trend: f64,
    /// φ: share of the trend that is left a step later.
    pub damping: f64,
    /// γ: share that stays in the season.
    pub season: f64,
}

/// Level and trend of one series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub struct LevelTrend {
    /// l, in the unit of the series.
    pub level: f64,
    /// b, in the unit of the series per step.
    pub trend: f64,
}

impl LevelTrend {
    /// Point forecast one step ahead, the season left out.
    pub fn next(&self, smoothing: &Smoothing) -> f64 {
        self.level + smoothing.damping * self.trend
    }

    /// Goes one step on with that innovation; 0 where nothing was observed.
    pub fn advance(&mut self, smoothing: &Smoothing, innovation: f64) {
        let carried = smoothing.damping * self.trend;
        self.level += carried + smoothing.level * innovation;
        self.trend = carried + smoothing.trend * innovation;
    }
}

/// Second moments of the errors of level and trend, as they build up while nothing is observed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ErrorMoments {
    /// Variance of the level.
    pub level: f64,
    /// Variance of the trend.
    pub trend: f64,
    /// Their covariance.
    pub both: f64,
}

impl ErrorMoments {
    /// Variance of what the next value would be without its own innovation.
    pub fn of_next(&self, smoothing: &Smoothing) -> f64 {
        self.level + 2.0 * smoothing.damping * self.both + smoothing.damping.powi(2) * self.trend
    }

    /// Covariance of the same with the trend.
    pub fn next_with_trend(&self, smoothing: &Smoothing) -> f64 {
        self.both + smoothing.damping * self.trend
    }

    /// A step on, with innovations of that variance.
    pub fn advanced(&self, smoothing: &Smoothing, variance: f64) -> Self {
        let Smoothing { level, trend, damping, .. } = *smoothing;
        Self {
            level: self.of_next(smoothing) + level * level * variance,
            trend: damping * damping * self.trend + trend * trend * variance,
            both: damping * self.next_with_trend(smoothing) + level * trend * variance,
        }
    }
}
