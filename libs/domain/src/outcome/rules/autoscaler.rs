//! The arithmetic of the Kubernetes horizontal pod autoscaler, which several rules share.
//!
//! As `pkg/controller/podautoscaler` of Kubernetes has it: desired = current × utilisation / target, nothing
//! within a tolerance of the target, growth at once, and a decrease to no less than the greatest recommendation
//! within the stabilisation window. Its limits of four pods or a doubling every 15 seconds never bind at the
//! steps of a trace and are left out.

use crate::time::EventTime;
use bitcode::{Decode, Encode};
use std::collections::VecDeque;

/// Share by which utilisation may be off its target before anything changes.
pub const TOLERANCE: f64 = 0.1;

/// The autoscaler of one resource.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Autoscaler {
    utilisation: f64,
    stabilisation_s: u32,
    /// Recommendations of the window that no later one passes, so the first is the greatest.
    recommended: VecDeque<(EventTime, f64)>,
    ordered: Option<f64>,
}

impl Autoscaler {
    /// With the share of the capacity that should be in use, above 0, and the window for decreases.
    pub fn new(utilisation: f64, stabilisation_s: u32) -> Self {
        Self { utilisation, stabilisation_s, recommended: VecDeque::new(), ordered: None }
    }

    /// The capacity for a load.
    pub fn decide(&mut self, at: EventTime, load: f64) -> f64 {
        let recommendation = match self.ordered {
            Some(ordered) if is_within_tolerance(load, ordered * self.utilisation) => ordered,
            _ => load / self.utilisation,
        };
        let begin = at.plus_s(-i64::from(self.stabilisation_s));
        while self.recommended.front().is_some_and(|(earlier, _)| *earlier <= begin) {
            self.recommended.pop_front();
        }
        while self.recommended.back().is_some_and(|(_, earlier)| *earlier <= recommendation) {
            self.recommended.pop_back();
        }
        self.recommended.push_back((at, recommendation));
        let greatest = self.recommended.front().map_or(recommendation, |(_, greatest)| *greatest);
        let decided = match self.ordered {
            Some(ordered) if recommendation <= ordered => greatest.min(ordered),
            _ => recommendation,
        };
        self.ordered = Some(decided);
        decided
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.recommended.capacity() * size_of::<(EventTime, f64)>()
    }
}

fn is_within_tolerance(load: f64, target: f64) -> bool {
    target > 0.0 && (load / target - 1.0).abs() <= TOLERANCE
}
