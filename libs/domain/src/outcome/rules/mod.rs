//! Simple rules that size one resource of one workload: what policies are compared with.
//!
//! Each is what is in use elsewhere, as its documentation or code has it, in amounts of the resource instead of
//! replicas. A rule remembers what it ordered, as the size in an object's specification, and does not see what
//! serves.

pub mod as_bought;
pub mod autoscaler;
pub mod holt_winters;
pub mod last_week;
pub mod quantile_ahead;
pub mod reactive;
pub mod vertical;
pub mod window_max;

use crate::prediction::ResourceForecast;
use crate::time::EventTime;

/// What a rule sees at the end of a sampling step.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Instant of the decision; later than at any call before.
    pub at: EventTime,
    /// Length of the step, in seconds.
    pub step_s: u32,
    /// Mean demand of the step that has just ended, in the resource's unit.
    pub demand: f64,
    /// The capacity that the workload had without any decision, where that is known.
    pub bought: Option<f64>,
    /// Forecast of the demand, made with this step, where there is one.
    pub forecast: Option<&'a ResourceForecast>,
}

/// Decides what capacity one resource of one workload should have.
pub trait SizingRule {
    /// The capacity to have as soon as possible, in the demand's unit; `None` to leave it.
    fn decide(&mut self, seen: &Seen<'_>) -> Option<f64>;
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// What a rule says to demands that come every five minutes.
    pub(crate) fn decisions(rule: &mut dyn SizingRule, demands: &[f64]) -> Vec<Option<f64>> {
        let seen = |(i, demand): (usize, &f64)| Seen {
            at: EventTime::from_s(300 * (i as i64 + 1)),
            step_s: 300,
            demand: *demand,
            bought: None,
            forecast: None,
        };
        demands.iter().enumerate().map(|step| rule.decide(&seen(step))).collect()
    }

    /// The same where each says something.
    pub(crate) fn capacities(rule: &mut dyn SizingRule, demands: &[f64]) -> Vec<f64> {
        decisions(rule, demands).into_iter().map(Option::unwrap).collect()
    }
}
