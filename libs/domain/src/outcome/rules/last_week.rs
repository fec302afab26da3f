//! Last week's maximum beside the present: `max_over_time(q[30m] offset 6d23h30m)`, as the querier autoscaling of
//! Grafana Mimir has it.
//!
//! The present demand and the greatest of the half hour that begins a week before the decision are two metrics
//! of one autoscaler, so the greater one counts. Mimir lets queriers use .75; here every rule of this kind has
//! the same utilisation.

use super::autoscaler::Autoscaler;
use super::{Seen, SizingRule};
use crate::time::EventTime;
use std::collections::VecDeque;

const WEEK_S: i64 = 604_800;
const HALF_HOUR_S: i64 = 1800;

/// The present demand, or last week's at this time if that was more.
#[derive(Clone, Debug)]
pub struct LastWeek {
    autoscaler: Autoscaler,
    /// Demands of a week and the instants at which they were known.
    week: VecDeque<(EventTime, f64)>,
}

impl LastWeek {
    /// With the share of the capacity that should be in use, above 0, and the window for decreases.
    pub fn new(utilisation: f64, stabilisation_s: u32) -> Self {
        Self { autoscaler: Autoscaler::new(utilisation, stabilisation_s), week: VecDeque::new() }
    }
}

impl SizingRule for LastWeek {
    fn decide(&mut self, seen: &Seen<'_>) -> Option<f64> {
        let begin = seen.at.plus_s(-WEEK_S);
        while self.week.front().is_some_and(|(at, _)| *at <= begin) {
            self.week.pop_front();
        }
        let until = begin.plus_s(HALF_HOUR_S);
        let of_last_week = self.week.iter().take_while(|(at, _)| *at <= until).map(|(_, demand)| *demand);
        let load = of_last_week.fold(seen.demand, f64::max);
        self.week.push_back((seen.at, seen.demand));
        Some(self.autoscaler.decide(seen.at, load))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::capacities;
    use super::*;

    #[test]
    fn a_peak_is_met_half_an_hour_before_it_returns() {
        let week = (WEEK_S / 300) as usize;
        let mut demands = vec![1.0; week + 20];
        demands[10] = 4.0;
        let capacity = capacities(&mut LastWeek::new(0.5, 300), &demands);
        // Until the sixth step before the peak's hour it is more than 30 minutes away.
        let high: Vec<usize> = (11..demands.len()).filter(|i| capacity[*i] == 8.0).collect();
        assert_eq!(high, (week + 4..week + 10).collect::<Vec<_>>());
        assert_eq!(capacity[week + 3], 2.0);
    }
}
