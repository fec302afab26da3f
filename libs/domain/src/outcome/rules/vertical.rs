//! The recommender and updater of the Kubernetes vertical pod autoscaler, for CPU.
//!
//! As `vertical-pod-autoscaler/pkg` of kubernetes/autoscaler has it: a histogram with buckets that grow by 5 %,
//! in which a sample weighs as much as the request then was, and half of it a day later; the target is its
//! 90th percentile and 15 % more. The updater evicts when the request is outside of the bounds (50th percentile,
//! 95th percentile, both widened while little is known), or, 12 hours after the last change, when the target is
//! a tenth off. Samples there come once a minute; those of a longer step count as so many.

use super::{Seen, SizingRule};
use crate::time::EventTime;

const HALF_LIFE_S: f64 = 86_400.0;
const FIRST_BUCKET_CORES: f64 = 0.001;
const RATIO: f64 = 1.05;
/// So many buckets reach 1000 cores.
const BUCKETS: usize = 223;
const WEIGHT_MIN: f64 = 0.1;
const MARGIN: f64 = 1.15;
const CORES_MIN: f64 = 0.025;
const CHANGE_MIN: f64 = 0.1;
const LIFETIME_S: i64 = 43_200;
/// Half-lives after which weights are scaled back, before they leave what a number can hold.
const HALF_LIVES_MAX: f64 = 100.0;

/// The vertical pod autoscaler.
#[derive(Clone, Debug)]
pub struct Vertical {
    percentile: f64,
    weights: Vec<f64>,
    first_at: Option<EventTime>,
    /// Instant at which a sample weighs as much as its request.
    reference: EventTime,
    samples: f64,
    ordered: Option<(EventTime, f64)>,
}

impl Vertical {
    /// With the percentile of the target (`--target-cpu-percentile`, .9 there).
    pub fn new(percentile: f64) -> Self {
        Self {
            percentile,
            weights: vec![0.0; BUCKETS],
            first_at: None,
            reference: EventTime::from_ms(0),
            samples: 0.0,
            ordered: None,
        }
    }

    fn add(&mut self, seen: &Seen<'_>) {
        if self.first_at.is_none() {
            (self.first_at, self.reference) = (Some(seen.at), seen.at);
        }
        let mut half_lives = seconds(self.reference, seen.at) / HALF_LIFE_S;
        if half_lives > HALF_LIVES_MAX {
            let scale = libm::exp2(-half_lives);
            self.weights.iter_mut().for_each(|weight| *weight *= scale);
            (self.reference, half_lives) = (seen.at, 0.0);
        }
        let minutes = f64::from(seen.step_s) / 60.0;
        let request = self.ordered.map_or(0.0, |(_, request)| request).max(WEIGHT_MIN);
        self.weights[bucket_of(seen.demand)] += request * minutes * libm::exp2(half_lives);
        self.samples += minutes;
    }

    /// The ends of the buckets that hold each percentile, which ascend.
    fn percentiles<const N: usize>(&self, levels: [f64; N]) -> [f64; N] {
        let total: f64 = self.weights.iter().sum();
        let (mut sum, mut bucket) = (0.0, 0);
        levels.map(|level| {
            while bucket < BUCKETS && sum + self.weights[bucket] < level * total {
                sum += self.weights[bucket];
                bucket += 1;
            }
            begin_of((bucket + 1).min(BUCKETS - 1))
        })
    }

    /// Days of samples, as far as they stand for a day of minutes.
    fn confidence(&self, at: EventTime) -> f64 {
        let days = self.first_at.map_or(0.0, |first| seconds(first, at) / 86_400.0);
        days.min(self.samples / 1440.0)
    }
}

impl SizingRule for Vertical {
    fn decide(&mut self, seen: &Seen<'_>) -> Option<f64> {
        self.add(seen);
        let cores = |estimate: f64| (estimate * MARGIN).max(CORES_MIN);
        let [lower, upper] = self.percentiles([0.5, 0.95]);
        let [target] = self.percentiles([self.percentile]).map(cores);
        let confidence = self.confidence(seen.at);
        let (lower, upper) = if confidence > 0.0 {
            let few = 1.0 + 0.001 / confidence;
            (cores(lower / (few * few)), cores(upper * (1.0 + 1.0 / confidence)))
        } else {
            (CORES_MIN, f64::INFINITY)
        };
        let is_due = self.ordered.is_none_or(|(at, ordered)| {
            let is_outside = ordered < lower || ordered > upper;
            let is_off = (target - ordered).abs() >= CHANGE_MIN * ordered;
            is_outside || is_off && seen.at >= at.plus_s(LIFETIME_S)
        });
        if is_due {
            self.ordered = Some((seen.at, target));
        }
        self.ordered.map(|(_, ordered)| ordered)
    }
}

fn seconds(from: EventTime, to: EventTime) -> f64 {
    (to.as_ms() - from.as_ms()) as f64 / 1000.0
}

fn bucket_of(cores: f64) -> usize {
    if cores < FIRST_BUCKET_CORES {
        return 0;
    }
    let bucket = libm::log(cores * (RATIO - 1.0) / FIRST_BUCKET_CORES + 1.0) / libm::log(RATIO);
    (bucket as usize).min(BUCKETS - 1)
}

fn begin_of(bucket: usize) -> f64 {
    FIRST_BUCKET_CORES * (libm::pow(RATIO, bucket as f64) - 1.0) / (RATIO - 1.0)
}

#[cfg(test)]
mod tests {
    use super::super::testing::capacities;
    use super::*;

    #[test]
    fn buckets_grow_by_a_twentieth_up_to_1000_cores() {
        assert_eq!((bucket_of(0.0), bucket_of(0.0005), bucket_of(0.00101)), (0, 0, 1));
        assert!((begin_of(2) - 0.00205).abs() < 1e-12);
        assert!(begin_of(BUCKETS - 1) >= 1000.0 && begin_of(BUCKETS - 2) < 1000.0);
        for cores in [0.01, 0.3, 1.0, 7.7, 100.0] {
            let bucket = bucket_of(cores);
            assert!(begin_of(bucket) <= cores && cores < begin_of(bucket + 1));
        }
    }

    #[test]
    fn a_constant_demand_gets_the_end_of_its_bucket_and_the_margin() {
        let capacity = capacities(&mut Vertical::new(0.9), &[1.0; 300]);
        let wanted = begin_of(bucket_of(1.0) + 1) * 1.15;
        assert!(capacity.iter().all(|c| *c == wanted), "{wanted}");
        assert!((1.15..1.15 * 1.06).contains(&wanted));
    }

    #[test]
    fn half_the_weight_is_gone_after_a_day() {
        let mut rule = Vertical::new(0.5);
        let seen =
            |at_s, demand| Seen { at: EventTime::from_s(at_s), step_s: 60, demand, bought: None, forecast: None };
        rule.add(&seen(0, 1.0));
        rule.add(&seen(86_400, 2.0));
        let [one, two] = [1.0, 2.0].map(|cores| rule.weights[bucket_of(cores)]);
        assert!((two / one - 2.0).abs() < 1e-12);
        rule.add(&seen(101 * 86_400, 3.0));
        assert!((rule.weights[bucket_of(3.0)] - 0.1).abs() < 1e-12);
    }
}
