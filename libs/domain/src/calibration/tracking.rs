//! A series' own correction: each quantile is moved by what the series' truths lately said of it.
//!
//! Quantile tracking, the proportional term of conformal PID control (Angelopoulos, Candès, Tibshirani
//! 2023, "Conformal PID Control for Time Series Prediction", arXiv 2307.16895), here for every level and
//! not the interval's bounds alone, and with old misses slowly forgotten (Gibbs and Candès 2021,
//! "Adaptive Conformal Inference Under Distribution Shift", steps against a drifting target). A step is
//! the subgradient of the pinball loss, so it also moves a median that leans to one side.

use super::{FACTOR_MAX, LOWER, UPPER};
use crate::quantiles::{LEVELS, MEDIAN, QUANTILE_LEVELS, Quantiles};
use bitcode::{Decode, Encode};

/// Step of a forecast one bin ahead, in half-widths of the interval.
pub const TRACKING_STEP: f32 = 0.02;

/// Half-life of a step, in bins and for one bin ahead: four days.
pub const TRACKING_HALF_LIFE_BINS: f32 = 1152.0;

/// By how much the quantiles of one series, horizon and statistic are moved, in half-widths of the
/// interval: below the median in those of the lower side, above in those of the upper, the median itself
/// in their mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub struct Tracker {
    shifts: [f32; LEVELS],
}

impl Tracker {
    /// The mean of several; the default one of none.
    pub fn mean<'a>(trackers: impl ExactSizeIterator<Item = &'a Self>) -> Self {
        let count = trackers.len().max(1) as f32;
        let mut mean = Self::default();
        for tracker in trackers {
            mean.shifts.iter_mut().zip(tracker.shifts).for_each(|(sum, shift)| *sum += shift / count);
        }
        mean
    }

    /// Takes a truth in, with the quantiles that were published for it `bins_ahead` bins before. A
    /// quantile goes up by (level - [truth below it]) steps, and stays where it is the truth itself.
    /// Forecasts for several bins ahead overlap, and so do their misses: the step is smaller by the root
    /// of the bins, and is kept as many times longer.
    ///
    /// Where no demand from `seen_up_to` on could be told from a greater one, quantiles above it stay as well, as in
    /// the subgradient of Powell's loss (1986, "Censored Regression Quantiles").
    pub fn push(&mut self, published: &[f32; LEVELS], truth: f32, seen_up_to: Option<f32>, bins_ahead: usize) {
        let bins = bins_ahead.max(1) as f32;
        let (step, keep) = (TRACKING_STEP / bins.sqrt(), libm::exp2f(-1.0 / (TRACKING_HALF_LIFE_BINS * bins)));
        let most = FACTOR_MAX as f32;
        for ((shift, value), level) in self.shifts.iter_mut().zip(published).zip(QUANTILE_LEVELS) {
            let up = match truth.total_cmp(value) {
                _ if seen_up_to.is_some_and(|up_to| *value >= up_to) => 0.0,
                std::cmp::Ordering::Less => level as f32 - 1.0,
                std::cmp::Ordering::Equal => 0.0,
                std::cmp::Ordering::Greater => level as f32,
            };
            *shift = (keep * *shift + step * up).clamp(-most, most);
        }
    }

    /// The quantiles, moved. `None` when a number is not finite any more.
    pub fn apply(&self, quantiles: &Quantiles) -> Option<Quantiles> {
        let mut values = *quantiles.values();
        let (lower, upper) = (values[MEDIAN] - values[LOWER], values[UPPER] - values[MEDIAN]);
        for (i, (value, shift)) in values.iter_mut().zip(self.shifts).enumerate() {
            let unit = match i.cmp(&MEDIAN) {
                std::cmp::Ordering::Less => lower,
                std::cmp::Ordering::Equal => 0.5 * (lower + upper),
                std::cmp::Ordering::Greater => upper,
            };
            *value += f64::from(shift) * unit;
        }
        Quantiles::rearranged(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};

    /// The raw forecast is a normal with its mean one to the right and half its deviation.
    #[test]
    fn one_that_the_pool_does_not_fit_finds_its_own_quantiles() {
        let normal = [-1.645, -1.282, -0.674, 0.0, 0.674, 1.282, 1.645, 2.326];
        let raw = Quantiles::rearranged(normal.map(|z| 1.0 + 0.5 * z)).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let mut tracker = Tracker::default();
        let (mut below, mut judged) = ([0u32; LEVELS], 0u32);
        for i in 0..20_000 {
            let truth: f64 = StandardNormal.sample(&mut rng);
            let published = tracker.apply(&raw).unwrap().values().map(|v| v as f32);
            if i >= 2000 {
                judged += 1;
                below.iter_mut().zip(published).for_each(|(count, v)| *count += u32::from((truth as f32) < v));
            }
            tracker.push(&published, truth as f32, None, 1);
        }
        for (below, level) in below.into_iter().zip(QUANTILE_LEVELS) {
            let share = f64::from(below) / f64::from(judged);
            println!("{level}: {share:.3}");
            // Forgetting pulls towards the raw quantile, the more the further off that is.
            assert!((share - level).abs() < 0.08, "{share} below the quantile at {level}");
        }
    }

    #[test]
    fn a_truth_that_is_the_quantile_moves_nothing() {
        let mut tracker = Tracker::default();
        (0..1000).for_each(|_| tracker.push(&[0.0; LEVELS], 0.0, None, 1));
        assert_eq!(tracker, Tracker::default());
    }

    #[test]
    fn nothing_moves_what_lies_above_all_that_can_be_seen() {
        let mut tracker = Tracker::default();
        let published = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        tracker.push(&published, 4.5, Some(4.5), 1);
        assert!(tracker.shifts[..=MEDIAN].iter().all(|shift| *shift > 0.0));
        tracker.push(&published, 0.5, Some(4.5), 1);
        assert!(tracker.shifts[MEDIAN + 1..].iter().all(|shift| *shift == 0.0));
    }

    #[test]
    fn old_misses_are_forgotten() {
        let mut tracker = Tracker::default();
        (0..100).for_each(|_| tracker.push(&[0.0; LEVELS], 1.0, None, 12));
        let moved = tracker.shifts[MEDIAN];
        (0..12 * 1152).for_each(|_| tracker.push(&[0.0; LEVELS], 0.0, None, 12));
        assert!((tracker.shifts[MEDIAN] / moved - 0.5).abs() < 0.01, "{moved} {tracker:?}");
    }

    proptest! {
        #[test]
        fn quantiles_keep_their_order_and_shifts_their_bounds(
            values in proptest::array::uniform8(-1e30f64..1e30),
            truths in proptest::collection::vec(-2e30f32..2e30, 0..300),
            bins_ahead in 1usize..72,
        ) {
            let raw = Quantiles::rearranged(values).unwrap();
            let mut tracker = Tracker::default();
            for truth in truths {
                let published = tracker.apply(&raw).unwrap();
                prop_assert!(published.values().is_sorted());
                tracker.push(&published.values().map(|v| v as f32), truth, None, bins_ahead);
                prop_assert!(tracker.shifts.iter().all(|shift| f64::from(shift.abs()) <= FACTOR_MAX));
            }
        }
    }
}
