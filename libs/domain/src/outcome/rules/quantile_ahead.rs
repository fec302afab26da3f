//! A quantile of the forecast at the lead time plus headroom, within a step: the rule of Kedastral's
//! `pkg/capacity`.
//!
//! Kedastral takes the quantile or the headroom; with the quantile alone and no headroom it is 1.0 here. One
//! decision at most doubles what was decided before and at most halves it, as its defaults are.

use super::{Seen, SizingRule};

/// A quantile of the forecast with headroom.
#[derive(Clone, Debug)]
pub struct QuantileAhead {
    ahead_s: u32,
    quantile: f64,
    headroom: f64,
    ordered: Option<f64>,
}

impl QuantileAhead {
    /// How far ahead of the step's begin a decision serves, in seconds; the forecast's level, 0.05 to 0.99; and a
    /// factor of at least 1.
    pub fn new(ahead_s: u32, quantile: f64, headroom: f64) -> Self {
        Self { ahead_s, quantile, headroom, ordered: None }
    }
}

impl SizingRule for QuantileAhead {
    fn decide(&mut self, seen: &Seen<'_>) -> Option<f64> {
        let horizons = &seen.forecast?.horizons;
        let horizon = horizons.iter().find(|h| h.horizon_s >= self.ahead_s).or(horizons.last())?;
        let needed = horizon.value.at(self.quantile).max(0.0) * self.headroom;
        let decided = match self.ordered {
            Some(ordered) if ordered > 0.0 => needed.clamp(ordered / 2.0, ordered * 2.0),
            _ => needed,
        };
        self.ordered = Some(decided);
        Some(decided)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::fixtures::forecast;
    use crate::time::EventTime;

    #[test]
    fn it_goes_by_the_horizon_that_reaches_the_lead_time_and_at_most_doubles() {
        let mut rule = QuantileAhead::new(600, 0.5, 1.5);
        let mut decide = |median: f64| {
            // Horizons of 5, 15 and 60 minutes; the value's median is half of what is given.
            let made = forecast("cpu_cores_used", median, 0.0);
            let seen =
                Seen { at: EventTime::from_s(300), step_s: 300, demand: 9.0, bought: None, forecast: Some(&made) };
            rule.decide(&seen).unwrap()
        };
        assert_eq!([2.0, 4.0, 100.0, 1.0].map(&mut decide), [1.5, 3.0, 6.0, 3.0]);
        let nothing = Seen { at: EventTime::from_s(600), step_s: 300, demand: 9.0, bought: None, forecast: None };
        assert_eq!(rule.decide(&nothing), None);
    }
}
