//! Evidence that gathers over bins: a little of each of many counts as much as a lot of few.
//!
//! A cumulative sum (Page 1954) of logarithms of e-values, each divided by how many bins say the same. Why that bounds
//! false alarms is said in [`super::rules`].

use crate::anomaly::P_VALUE_MIN;
use bitcode::{Decode, Encode};

/// What has gathered, and since when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct Evidence {
    sum: f32,
    /// The first bin of it.
    since_bin: i64,
}

impl Evidence {
    /// Takes in the p-value of a bin; `before` is what was taken in for the same bin already.
    pub(super) fn take(&mut self, bin: i64, p_value: f64, before: Option<f64>, correlated_bins: u32) {
        let by = log_e_value(p_value) - before.map_or(0.0, log_e_value);
        self.add(bin, by / f64::from(correlated_bins.max(1)));
    }

    /// Lets so many bins pass of which nothing is known: they count as the most ordinary.
    pub(super) fn pass(&mut self, bin: i64, bins: u32, correlated_bins: u32) {
        self.add(bin, f64::from(bins) * log_e_value(1.0) / f64::from(correlated_bins.max(1)));
    }

    fn add(&mut self, bin: i64, by: f64) {
        let sum = f64::from(self.sum) + by;
        if self.sum <= 0.0 && sum > 0.0 {
            self.since_bin = bin;
        }
        self.sum = sum.max(0.0) as f32;
    }

    /// Its natural logarithm.
    pub(super) fn sum(self) -> f64 {
        f64::from(self.sum)
    }

    /// The first bin of it.
    pub(super) fn since_bin(self) -> i64 {
        self.since_bin
    }
}

/// The logarithm of a p-value's e-value, `1 / (2 * sqrt(p))`, whose mean over ordinary bins is 1.
fn log_e_value(p_value: f64) -> f64 {
    -0.5 * libm::log(p_value.clamp(P_VALUE_MIN, 1.0)) - std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng as _;
    use rand_distr::{Distribution as _, StandardNormal};

    /// Bins of ordinary workloads until the evidence reaches a bound, on average, where neighbours' p-values depend on
    /// each other as those of a moving average of so many normal numbers do.
    fn bins_until(bound: f64, correlated_bins: u32, bins: usize) -> f64 {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let width = correlated_bins as usize;
        let mut last = std::collections::VecDeque::from(vec![0.0; width]);
        let (mut evidence, mut raised) = (Evidence::default(), 0u32);
        for bin in 0..bins {
            last.pop_front();
            let new: f64 = StandardNormal.sample(&mut random);
            last.push_back(new);
            let z = last.iter().sum::<f64>() / (width as f64).sqrt();
            let p_value = 0.5 * libm::erfc(z / std::f64::consts::SQRT_2);
            evidence.take(bin as i64, p_value, None, correlated_bins);
            if evidence.sum() >= bound {
                (evidence, raised) = (Evidence::default(), raised + 1);
            }
        }
        bins as f64 / f64::from(raised.max(1))
    }

    #[test]
    fn ordinary_bins_reach_a_bound_as_rarely_as_it_says_however_they_depend_on_each_other() {
        for correlated_bins in [1, 6, 12] {
            let bound: f64 = 5.0;
            let bins = bins_until(bound, correlated_bins, 400_000);
            assert!(bins >= bound.exp(), "{correlated_bins}: one in {bins}");
        }
    }

    #[test]
    fn a_lot_raises_fast_and_a_little_slowly() {
        let bins = |p_value: f64| {
            let mut evidence = Evidence::default();
            (0..10_000).find(|bin| {
                evidence.take(*bin, p_value, None, 12);
                evidence.sum() >= 13.0
            })
        };
        let (much, some, none) = (bins(1e-9), bins(1e-3), bins(0.3));
        assert!(much.is_some_and(|bins| bins < 20), "{much:?}");
        assert!(some.is_some_and(|bins| (30..80).contains(&bins)), "{some:?}");
        assert_eq!(none, None);
    }

    proptest! {
        /// It is finite, never negative, begins where it began, and a bin that is told of twice counts once, as its least.
        #[test]
        fn it_is_bounded_below_and_counts_a_bin_once(p_values in prop::collection::vec(0.0f64..=1.0, 1..100)) {
            let (mut once, mut twice) = (Evidence::default(), Evidence::default());
            for (bin, p) in (0..).zip(&p_values) {
                once.take(bin, *p, None, 3);
                twice.take(bin, *p, None, 3);
                twice.take(bin, *p, Some(*p), 3);
                prop_assert!(once.sum().is_finite() && once.sum() >= 0.0);
                prop_assert_eq!(once, twice);
                prop_assert!(once.since_bin() <= bin);
            }
        }
    }
}
