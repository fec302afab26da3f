//! Where surges of a demand begin.

use crate::time::EventTime;
use bitcode::{Decode, Encode};
use std::collections::VecDeque;

/// A demand surges when it is so many times the mean of the hour before.
pub const SURGE_FACTOR: f64 = 1.3;

const HOUR_S: i64 = 3600;

/// Watches one series for surges: rises to at least [`SURGE_FACTOR`] times the mean of the hour before. One that
/// goes on is counted once.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Surges {
    hour: VecDeque<(EventTime, f64)>,
    is_high: bool,
}

impl Surges {
    /// Takes in the demand of the `step_s` seconds from `at`; instants ascend. Whether a surge begins with it.
    /// Nothing is said before half of the hour is known.
    pub fn begins(&mut self, at: EventTime, step_s: u32, demand: f64) -> bool {
        while self.hour.front().is_some_and(|(earlier, _)| *earlier < at.plus_s(-HOUR_S)) {
            self.hour.pop_front();
        }
        let known = self.hour.len();
        let is_known = known as i64 * i64::from(step_s) >= HOUR_S / 2;
        let mean = self.hour.iter().map(|(_, demand)| demand).sum::<f64>() / known.max(1) as f64;
        self.hour.push_back((at, demand));
        let was_high = self.is_high;
        self.is_high = is_known && demand > 0.0 && demand >= SURGE_FACTOR * mean;
        self.is_high && !was_high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_surge_is_a_rise_above_the_hours_mean_and_counts_once() {
        let mut surges = Surges::default();
        let demands = [1.0, 1.0, 1.0, 1.0, 1.0, 9.0, 1.0, 1.0, 2.4, 3.0, 2.0, 3.5];
        let begun: Vec<usize> = (0..demands.len())
            .filter(|i| surges.begins(EventTime::from_s(300 * *i as i64), 300, demands[*i]))
            .collect();
        // Of the hour before 9 only 25 minutes are known; 2.4 is below 1.3 times the mean, which 9 raised to 2.
        assert_eq!(begun, [9, 11]);
    }

    #[test]
    fn the_hour_before_is_what_counts() {
        let mut surges = Surges::default();
        for i in 0..12 {
            surges.begins(EventTime::from_s(300 * i), 300, 10.0);
        }
        assert!(!surges.begins(EventTime::from_s(3600), 300, 12.9));
        let mut after_a_gap = surges.clone();
        assert!(surges.begins(EventTime::from_s(3900), 300, 13.4));
        assert!(!after_a_gap.begins(EventTime::from_s(86_400), 300, 99.0), "the hour before is not known");
    }
}
