//! The rule that others are measured against: a Kubernetes Horizontal Pod Autoscaler with a target utilisation.
//!
//! After "Horizontal Pod Autoscaling", section "Algorithm details", of the Kubernetes documentation: the wanted
//! capacity is the demand over the target utilisation; within 10 % of it nothing changes, and a decrease goes to the
//! greatest wanted capacity of the stabilisation window. Capacity is any amount here, not whole replicas.

use super::trial::{ClosedBin, Deadband, Order, Trial, Worth};
use bitcode::{Decode, Encode};

/// Share of the capacity that is to be used.
const UTILISATION: f32 = 0.7;
/// Relative deviation within which nothing changes.
const TOLERANCE: f32 = 0.1;
/// Bins of the stabilisation window: an hour.
const WINDOW: usize = 12;

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
        let target = bin.demand.map(|demand| demand.amount).map(|demand| {
            let now = self.trial.ordered().unwrap_or(demand / UTILISATION);
            let keeps = now > 0.0 && (demand / (now * UTILISATION) - 1.0).abs() <= TOLERANCE;
            let wanted = if keeps { now } else { demand / UTILISATION };
            self.wanted[bin.bin.rem_euclid(WINDOW as i64) as usize] = wanted;
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
