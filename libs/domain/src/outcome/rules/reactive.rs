//! React to what is in use, as the Kubernetes horizontal pod autoscaler does.

use super::autoscaler::Autoscaler;
use super::{Seen, SizingRule};
use bitcode::{Decode, Encode};

/// Share of the capacity that is to be used, where others are measured against the rule.
pub const UTILISATION: f64 = 0.7;
/// The window for decreases, where others are measured against the rule, in seconds.
pub const WINDOW_S: u32 = 3600;

/// The horizontal pod autoscaler by use of the resource.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Reactive(Autoscaler);

impl Reactive {
    /// The rule that others are measured against.
    pub fn reference() -> Self {
        Self::new(UTILISATION, WINDOW_S)
    }

    /// With the share of the capacity that should be in use, above 0, and the window for decreases (Kubernetes:
    /// 300 s).
    pub fn new(utilisation: f64, stabilisation_s: u32) -> Self {
        Self(Autoscaler::new(utilisation, stabilisation_s))
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }
}

impl SizingRule for Reactive {
    fn decide(&mut self, seen: &Seen<'_>) -> Option<f64> {
        Some(self.0.decide(seen.at, seen.demand))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::capacities;
    use super::*;

    #[test]
    fn it_keeps_within_the_tolerance_grows_at_once_and_shrinks_after_the_window() {
        let mut rule = Reactive::new(0.5, 600);
        // 1.09 and .91 are within a tenth of 1; .5 waits until 2 has left the window of two steps.
        let capacity = capacities(&mut rule, &[1.0, 1.09, 0.91, 1.2, 0.5, 0.5, 0.0]);
        assert_eq!(capacity, [2.0, 2.0, 2.0, 2.4, 2.4, 1.0, 1.0]);
    }

    #[test]
    fn the_shortest_window_looks_at_the_present_alone() {
        let mut rule = Reactive::new(0.5, 300);
        assert_eq!(capacities(&mut rule, &[1.0, 0.5, 0.0, 0.25]), [2.0, 1.0, 0.0, 0.5]);
    }
}
