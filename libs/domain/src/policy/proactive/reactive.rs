//! The rule that others are measured against: a Kubernetes Horizontal Pod Autoscaler with a target utilisation.
//!
//! After "Horizontal Pod Autoscaling", section "Algorithm details", of the Kubernetes documentation: the wanted
//! capacity is the demand over the target utilisation; within 10 % of it nothing changes, and a decrease goes to the
//! greatest wanted capacity of the stabilisation window. Capacity is any amount here, not whole replicas.
//!
//! It is the rule of [`crate::outcome::rules::reactive`] over bins, as a trial like all others: with the trials' own
//! delay, in their sizes and single precision, and in a state of a fixed length.

use super::demand::BIN_S;
use super::trial::{ClosedBin, Deadband, Order, Trial, Worth};
use crate::outcome::rules::{autoscaler, reactive};
use bitcode::{Decode, Encode};

/// Share of the capacity that is to be used.
const UTILISATION: f32 = reactive::UTILISATION as f32;
/// Relative deviation within which nothing changes.
const TOLERANCE: f32 = autoscaler::TOLERANCE as f32;
/// Bins of the stabilisation window.
const WINDOW: usize = (reactive::WINDOW_S as i64 / BIN_S) as usize;

/// A trial of the reactive rule.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Reactive {
    trial: Trial,
    /// Wanted at each of the last bins, by bin modulo the length; 0 for none.
    wanted: [f32; WINDOW],
}

impl Default for Reactive {
    fn default() -> Self {
        Self { trial: Trial::default(), wanted: [0.0; WINDOW] }
    }
}

impl Reactive {
    /// Closes a bin, as [`Trial::close`].
    pub fn close(&mut self, bin: &ClosedBin) -> Worth {
        let place = bin.bin.rem_euclid(WINDOW as i64) as usize;
        // What a gap finds there has left the window.
        self.wanted[place] = 0.0;
        let target = bin.demand.map(|demand| demand.amount).map(|demand| {
            let now = self.trial.ordered().unwrap_or(demand / UTILISATION);
            let keeps = now > 0.0 && (demand / (now * UTILISATION) - 1.0).abs() <= TOLERANCE;
            self.wanted[place] = if keeps { now } else { demand / UTILISATION };
            self.wanted.iter().copied().fold(0.0, f32::max)
        });
        self.trial.close(bin, &Order { target, floor: target.unwrap_or(0.0), deadband: Deadband::shrinking_by(0.0) })
    }

    /// Bins without a record.
    pub fn skip(&mut self, first: i64, last: i64) {
        self.trial.skip(first, last);
        for bin in first.max(last - WINDOW as i64 + 1)..=last {
            self.wanted[bin.rem_euclid(WINDOW as i64) as usize] = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Seen, SizingRule as _};
    use crate::policy::proactive::BinDemand;
    use crate::time::EventTime;
    use proptest::prelude::*;

    proptest! {
        /// No two of these demands are at the edge of the tolerance to each other.
        #[test]
        fn it_is_the_rule_that_replays_and_outcomes_compare_with(
            demands in prop::collection::vec(
                prop_oneof![
                    6 => prop::sample::select(vec![0.0f32, 1.0, 1.05, 1.3, 1.7, 2.2, 3.0]).prop_map(Some),
                    1 => Just(None),
                ],
                1..80,
            ),
        ) {
            let (mut trial, mut rule, mut ordered) = (Reactive::default(), reactive::Reactive::reference(), None);
            for (bin, demand) in demands.into_iter().enumerate() {
                let closed = ClosedBin {
                    bin: bin as i64,
                    delay_bins: 1,
                    demand: demand.map(BinDemand::seen),
                    decay: 1.0,
                    grain: 0.0,
                };
                trial.close(&closed);
                if let Some(demand) = demand {
                    let at = EventTime::from_s((bin as i64 + 1) * BIN_S);
                    let seen = Seen { at, step_s: BIN_S as u32, demand: demand.into(), bought: None, forecast: None };
                    ordered = rule.decide(&seen);
                }
                match (trial.trial.ordered(), ordered) {
                    (Some(own), Some(other)) => {
                        prop_assert!((f64::from(own) - other).abs() < 1e-5, "{own} and {other} in bin {bin}");
                    }
                    (own, other) => prop_assert!(own.is_none() && other.is_none()),
                }
            }
        }
    }
}
