//! A stated budget: at most a share of the time short, or a share of the demand unmet.
//!
//! What a rule would have taken of the budget on the series' own demand decides whether it may serve; how much of it a
//! series is allowed follows from what really came. The integrating controller is that of adaptive conformal inference
//! (Gibbs and Candès, "Adaptive Conformal Inference Under Distribution Shift", 2021), for each series; over the fleet
//! stands a proportional and an integrating term (Angelopoulos, Candès and Tibshirani, "Conformal PID Control for Time
//! Series Prediction", 2023), since series that are hardly ever short leave room to others.

use super::trial::Worth;
use bitcode::{Decode, Encode};

/// What a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Time short.
    Short,
    /// Unmet demand.
    Unmet,
}

/// A share that is not to be exceeded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Of what.
    pub counted: Counted,
    /// The share, above 0 and below 1.
    pub share: f64,
}

impl Budget {
    /// A share of the time.
    pub const fn of_time(share: f64) -> Self {
        Self { counted: Counted::Short, share }
    }

    /// A share of the demand.
    pub const fn of_demand(share: f64) -> Self {
        Self { counted: Counted::Unmet, share }
    }

    /// What of a worth counts: bins, or amounts times bins.
    pub(super) fn taken(&self, worth: &Worth) -> f32 {
        match self.counted {
            Counted::Short => worth.short,
            Counted::Unmet => worth.unmet,
        }
    }
}

/// How far a series' allowance moves with what came of a bin, in its logarithm.
const SERIES_GAIN: f32 = 0.2;

/// Farthest that a series' allowance moves from the fleet's, in its logarithm.
const SERIES_LOG_MAX: f32 = 4.0;

/// A series' part of a budget.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct Allowance {
    /// Logarithm of what the series is allowed over what the fleet is.
    log: f32,
    /// Bins and demand, older ones counting less: what shares are of.
    bins: f32,
    demand: f32,
}

impl Allowance {
    /// Takes in what came of a bin with that demand, where the fleet allows `allowed`; `decay` is for older bins.
    pub(super) fn take_in(&mut self, budget: &Budget, allowed: f64, came: &Worth, demand: f32, decay: f32) {
        self.bins = self.bins * decay + 1.0;
        self.demand = self.demand * decay + demand;
        let mean = self.whole(budget) / self.bins;
        let share = if mean > 0.0 { budget.taken(came) / mean } else { 0.0 };
        let step = SERIES_GAIN * (allowed as f32 - share.min(1.0));
        self.log = (self.log + step).clamp(-SERIES_LOG_MAX, SERIES_LOG_MAX);
    }

    /// All that the budget is a share of: bins, or the demand.
    fn whole(&self, budget: &Budget) -> f32 {
        match budget.counted {
            Counted::Short => self.bins,
            Counted::Unmet => self.demand,
        }
    }

    /// Most that a rule may have taken, where the fleet allows `allowed`.
    pub(super) fn most(&self, budget: &Budget, allowed: f64) -> f32 {
        self.share(allowed) * self.whole(budget)
    }

    /// The share that the series is allowed.
    pub(super) fn share(&self, allowed: f64) -> f32 {
        allowed as f32 * self.log.exp()
    }

    /// The share that a worth took.
    pub(super) fn taken_share(&self, budget: &Budget, worth: &Worth) -> f32 {
        budget.taken(worth) / self.whole(budget).max(f32::MIN_POSITIVE)
    }
}

/// Most that a series may take at once for what the fleet has left, as a multiple of the stated share.
const PROPORTIONAL_MAX: f64 = 2.0;

/// The fleet is led to this part of its budget: what comes varies, and the budget is not to be exceeded.
const AIMED_PART: f64 = 0.8;

/// How far the fleet's integrating term moves a day, in its logarithm.
const FLEET_GAIN: f64 = 0.1;

/// Farthest that it goes: to 1.75 times.
const FLEET_LOG_MAX: f64 = 0.56;

/// What a fleet's series may take for what others leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct Slack {
    log: f64,
}

impl Slack {
    /// A day is over in which the fleet had come to that share.
    pub(super) fn pass_day(&mut self, budget: &Budget, came: f64) {
        let error = (AIMED_PART * budget.share / came.max(1e-9)).ln().clamp(-1.0, 1.0);
        self.log = (self.log + FLEET_GAIN * error).clamp(0.0, FLEET_LOG_MAX);
    }

    /// The share that a series is allowed where the fleet came to `came`.
    pub(super) fn allowed(&self, budget: &Budget, came: f64) -> f64 {
        budget.share * (budget.share / came.max(1e-9)).clamp(1.0, PROPORTIONAL_MAX) * self.log.exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Worth = Worth { short: 1.0, unmet: 0.5, spare: 0.0, changes: 0.0 };

    #[test]
    fn a_series_that_is_short_is_allowed_less_and_one_that_is_not_more() {
        let budget = Budget::of_time(0.01);
        let mut allowance = Allowance::default();
        allowance.take_in(&budget, 0.01, &SHORT, 1.0, 1.0);
        assert!(allowance.share(0.01) < 0.01);
        for _ in 0..200 {
            allowance.take_in(&budget, 0.01, &Worth::default(), 1.0, 1.0);
        }
        assert!(allowance.share(0.01) > 0.01);
        assert_eq!(allowance.taken_share(&budget, &SHORT), 1.0 / 201.0);
    }

    #[test]
    fn unmet_demand_is_a_share_of_the_demand() {
        let budget = Budget::of_demand(0.001);
        let mut allowance = Allowance::default();
        for _ in 0..100 {
            allowance.take_in(&budget, 0.001, &Worth::default(), 5.0, 1.0);
        }
        assert_eq!(allowance.taken_share(&budget, &SHORT), 0.5 / 500.0);
    }

    #[test]
    fn a_fleet_that_takes_less_than_its_budget_is_led_towards_it_and_one_that_takes_more_is_held_to_it() {
        let budget = Budget::of_time(0.02);
        let mut slack = Slack::default();
        assert_eq!(slack.allowed(&budget, 0.02), 0.02);
        assert_eq!(slack.allowed(&budget, 0.001), 0.04);
        for _ in 0..60 {
            slack.pass_day(&budget, 0.0097);
        }
        assert!((slack.allowed(&budget, 0.0097) - 0.07).abs() < 0.001);
        for _ in 0..60 {
            slack.pass_day(&budget, 0.03);
        }
        assert_eq!(slack.allowed(&budget, 0.03), 0.02);
    }
}
