//! The maximum of the last while over a utilisation: the fixed rule that is hard to beat once it is tuned.

use super::{Seen, SizingRule};
use crate::time::EventTime;
use std::collections::VecDeque;

/// The greatest demand of a window by the share of the capacity that it may use.
#[derive(Clone, Debug)]
pub struct WindowMax {
    window_s: u32,
    utilisation: f64,
    saving_min: f64,
    /// Demands of the window that no later one passes, so the first is the greatest.
    demands: VecDeque<(EventTime, f64)>,
    ordered: Option<f64>,
}

impl WindowMax {
    /// With a window in seconds, a utilisation above 0, and the share of the capacity that a decrease has to save.
    pub fn new(window_s: u32, utilisation: f64, saving_min: f64) -> Self {
        Self { window_s, utilisation, saving_min, demands: VecDeque::new(), ordered: None }
    }
}

impl SizingRule for WindowMax {
    fn decide(&mut self, seen: &Seen<'_>) -> Option<f64> {
        let begin = seen.at.plus_s(-i64::from(self.window_s));
        while self.demands.front().is_some_and(|(at, _)| *at <= begin) {
            self.demands.pop_front();
        }
        while self.demands.back().is_some_and(|(_, demand)| *demand <= seen.demand) {
            self.demands.pop_back();
        }
        self.demands.push_back((seen.at, seen.demand));
        let needed = self.demands.front().map_or(seen.demand, |(_, most)| *most) / self.utilisation;
        let decided = match self.ordered {
            Some(ordered) if needed <= ordered && needed > ordered * (1.0 - self.saving_min) => ordered,
            _ => needed,
        };
        self.ordered = Some(decided);
        Some(decided)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::capacities;
    use super::*;

    #[test]
    fn the_windows_maximum_decides_and_small_savings_do_not_count() {
        let mut rule = WindowMax::new(900, 0.5, 0.1);
        let capacity = capacities(&mut rule, &[1.0, 2.0, 1.9, 1.0, 1.0, 0.5]);
        assert_eq!(capacity, [2.0, 4.0, 4.0, 4.0, 4.0, 2.0]);
    }
}
