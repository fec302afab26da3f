//! Holt-Winters one step ahead beside the present, as the PredictiveHorizontalPodAutoscaler has it.
//!
//! Additive trend and season (Winters 1960, "Forecasting sales by exponentially weighted moving averages"), with the
//! smoothing of that project's example, .9 each, a season of a day, and its decision type `maximum`: the greater
//! of the forecast and the present is what the autoscaler goes by. The season is smoothed against the new level,
//! as there was done first: against the level before, .9 each would be unstable.

use super::autoscaler::Autoscaler;
use super::{Seen, SizingRule};
use crate::time::EventTime;

const DAY_S: u32 = 86_400;

/// Smoothing of level, trend and season.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Smoothing {
    /// Of the level.
    pub alpha: f64,
    /// Of the trend.
    pub beta: f64,
    /// Of the season.
    pub gamma: f64,
}

impl Default for Smoothing {
    fn default() -> Self {
        Self { alpha: 0.9, beta: 0.9, gamma: 0.9 }
    }
}

/// Holt-Winters one step ahead, or the present if that is more.
#[derive(Clone, Debug)]
pub struct HoltWinters {
    smoothing: Smoothing,
    autoscaler: Autoscaler,
    level: f64,
    trend: f64,
    /// By step of the day; of the first day the demand itself.
    season: Vec<f64>,
    /// The first step seen and the newest one.
    steps: Option<(i64, i64)>,
}

impl HoltWinters {
    /// With the share of the capacity that should be in use, above 0, and the window for decreases.
    pub fn new(smoothing: Smoothing, utilisation: f64, stabilisation_s: u32) -> Self {
        let autoscaler = Autoscaler::new(utilisation, stabilisation_s);
        Self { smoothing, autoscaler, level: 0.0, trend: 0.0, season: Vec::new(), steps: None }
    }

    /// Takes in the demand of a step; the forecast of the next one, once a day is known.
    fn take(&mut self, at: EventTime, step_s: u32, demand: f64) -> Option<f64> {
        let per_day = (DAY_S / step_s.max(1)).max(1) as usize;
        let step = at.bin(step_s);
        if self.season.len() != per_day {
            (self.season, self.steps) = (vec![0.0; per_day], None);
        }
        let place = |step: i64| step.rem_euclid(per_day as i64) as usize;
        let (first, newest) = self.steps.map_or((step, step), |(first, newest)| (first, newest));
        self.steps = Some((first, step.max(newest)));
        let age = step - first;
        if age < per_day as i64 {
            self.season[place(step)] = demand;
            return None;
        }
        if newest - first < per_day as i64 {
            self.level = self.season.iter().sum::<f64>() / per_day as f64;
            self.season.iter_mut().for_each(|demand| *demand -= self.level);
            self.trend = 0.0;
        }
        let Smoothing { alpha, beta, gamma } = self.smoothing;
        let (level, trend, season) = (self.level, self.trend, self.season[place(step)]);
        self.level = alpha * (demand - season) + (1.0 - alpha) * (level + trend);
        self.trend = beta * (self.level - level) + (1.0 - beta) * trend;
        self.season[place(step)] = gamma * (demand - self.level) + (1.0 - gamma) * season;
        Some(self.level + self.trend + self.season[place(step + 1)])
    }
}

impl SizingRule for HoltWinters {
    fn decide(&mut self, seen: &Seen<'_>) -> Option<f64> {
        let ahead = self.take(seen.at, seen.step_s, seen.demand).unwrap_or(0.0);
        Some(self.autoscaler.decide(seen.at, seen.demand.max(ahead)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::capacities;
    use super::*;

    #[test]
    fn one_update_is_that_of_the_textbook() {
        let mut rule = HoltWinters::new(Smoothing { alpha: 0.5, beta: 0.5, gamma: 0.5 }, 1.0, 0);
        let at = |hour: i64| EventTime::from_s(3600 * hour);
        // A day of 1 at even hours and 3 at odd ones: level 2, season ∓1.
        for hour in 0..24 {
            assert_eq!(rule.take(at(hour), 3600, if hour % 2 == 0 { 1.0 } else { 3.0 }), None);
        }
        // Hour 0 again with 3: level .5 (3 + 1) + .5 · 2 = 3, trend .5, next season 1: 3 + .5 + 1.
        assert_eq!(rule.take(at(24), 3600, 3.0), Some(4.5));
        // Its season: .5 (3 - 3) + .5 (-1).
        assert_eq!(rule.season[0], -0.5);
    }

    #[test]
    fn a_daily_peak_is_met_one_step_ahead_from_the_second_day_on() {
        let demand = |i: usize| if i % 288 == 100 { 8.0 } else { 1.0 };
        let demands: Vec<f64> = (0..2 * 288).map(demand).collect();
        let capacity = capacities(&mut HoltWinters::new(Smoothing::default(), 0.5, 300), &demands);
        assert_eq!(capacity[99], 2.0);
        assert!((capacity[288 + 99] - 16.0).abs() < 0.1, "{}", capacity[288 + 99]);
    }
}
