//! Quantiles of a sum from those of its terms.
//!
//! Terms that always miss together add up quantile by quantile; independent ones add up as the squares of
//! their deviations from the median do. With the same correlation ρ between any two, a deviation of the sum is
//! √(ρ (Σ dᵢ)² + (1 - ρ) Σ dᵢ²), the variance of a sum of equicorrelated terms, taken level by level. So a
//! sum is kept as the sums of the medians, of the deviations and of their squares, which can themselves be added.
//! ρ is estimated from the misses of the sum.

use crate::calibration::{LOWER, UPPER};
use crate::forecast::residuals::NORMAL_QUANTILES;
use crate::quantiles::{LEVELS, Quantiles};
use bitcode::{Decode, Encode};

/// The correlation that is taken where nothing is known.
pub const CORRELATION_UNKNOWN: f64 = 0.2;

/// Misses that the assumed correlation counts for.
const ASSUMED_MISSES: f64 = 24.0;

/// Half-life of a miss in the estimate, in misses: two days.
const HALF_LIFE_MISSES: f64 = 576.0;

/// No miss counts for more than so many times what full correlation would give.
const SQUARE_MAX: f64 = 4.0;

/// A sum of quantiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub struct QuantileSum {
    /// Of the medians.
    pub median: f64,
    /// Of the deviations from the median, by level: negative below it, 0 at it.
    pub deviations: [f64; LEVELS],
    /// Of their squares.
    pub squares: [f64; LEVELS],
}

/// Sums of what lies above something, and of its squares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub struct Rise {
    /// Sum.
    pub sum: f64,
    /// Of the squares.
    pub squares: f64,
}

impl Rise {
    /// Of one term.
    pub fn of(rise: f64) -> Self {
        Self { sum: rise, squares: rise * rise }
    }

    /// Adds another one's terms.
    pub fn add(&mut self, other: Self) {
        self.sum += other.sum;
        self.squares += other.squares;
    }

    /// That of the sum of the terms, with the sign of theirs.
    pub fn with(self, correlation: f64) -> f64 {
        deviation(self.sum, self.squares, correlation)
    }
}

impl QuantileSum {
    /// Of one term.
    pub fn of(quantiles: &Quantiles) -> Self {
        let median = quantiles.median();
        let deviations = quantiles.values().map(|v| v - median);
        Self { median, deviations, squares: deviations.map(|d| d * d) }
    }

    /// Adds another one's terms.
    pub fn add(&mut self, other: &Self) {
        self.median += other.median;
        for i in 0..LEVELS {
            self.deviations[i] += other.deviations[i];
            self.squares[i] += other.squares[i];
        }
    }

    /// Quantiles of the sum of the terms around `median`. `None` when a number is not finite.
    pub fn around(&self, median: f64, correlation: f64) -> Option<Quantiles> {
        Quantiles::rearranged(std::array::from_fn(|i| {
            median + deviation(self.deviations[i], self.squares[i], correlation)
        }))
    }

    /// The variances that a level's deviations stand for, were the terms normal: with full correlation, and with
    /// none. Of the side that `miss` is on.
    fn variances(&self, miss: f64) -> (f64, f64) {
        let level = if miss < 0.0 { LOWER } else { UPPER };
        let unit = NORMAL_QUANTILES[level] * NORMAL_QUANTILES[level];
        (self.deviations[level] * self.deviations[level] / unit, self.squares[level] / unit)
    }
}

fn deviation(sum: f64, squares: f64, correlation: f64) -> f64 {
    (correlation * sum * sum + (1.0 - correlation) * squares).max(0.0).sqrt().copysign(sum)
}

/// The correlation between the misses of any two terms, as those of the sum show it.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
pub struct Correlation {
    sum: f64,
    weight: f64,
}

impl Default for Correlation {
    fn default() -> Self {
        Self { sum: CORRELATION_UNKNOWN * ASSUMED_MISSES, weight: ASSUMED_MISSES }
    }
}

impl Correlation {
    /// Takes in by how much the truth was above the median of a sum. Says nothing of a sum of one term.
    pub fn push(&mut self, of: &QuantileSum, miss: f64) {
        let (full, none) = of.variances(miss);
        let share = (miss * miss - none) / (full - none);
        let is_of_use = full > none * (1.0 + 1e-9) && share.is_finite();
        if is_of_use {
            let keep = 0.5f64.powf(1.0 / HALF_LIFE_MISSES);
            self.sum = keep * self.sum + share.min(SQUARE_MAX);
            self.weight = keep * self.weight + 1.0;
        }
    }

    /// Within 0 to 1.
    pub fn estimate(&self) -> f64 {
        (self.sum / self.weight).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantiles::MEDIAN;
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};

    fn normal(mean: f64, std_dev: f64) -> Quantiles {
        Quantiles::rearranged(NORMAL_QUANTILES.map(|z| mean + std_dev * z)).unwrap()
    }

    fn sum_of(terms: &[Quantiles]) -> QuantileSum {
        let mut sum = QuantileSum::default();
        terms.iter().for_each(|term| sum.add(&QuantileSum::of(term)));
        sum
    }

    #[test]
    fn normal_terms_add_up_as_their_variances_do() {
        let sum = sum_of(&[normal(1.0, 3.0), normal(2.0, 4.0)]);
        let near = |got: Quantiles, wanted: Quantiles| {
            got.values().iter().zip(wanted.values()).all(|(got, wanted)| (got - wanted).abs() < 1e-9)
        };
        assert!(near(sum.around(sum.median, 0.0).unwrap(), normal(3.0, 5.0)));
        assert!(near(sum.around(sum.median, 1.0).unwrap(), normal(3.0, 7.0)));
        assert!(near(sum.around(sum.median, 0.5).unwrap(), normal(3.0, 37f64.sqrt())));
    }

    /// Twenty terms with a part in common: the estimate is that part, and intervals hold what they should.
    #[test]
    fn the_correlation_is_found_from_the_misses_of_the_sum() {
        for wanted in [0.0f64, 0.3, 0.9] {
            let mut rng = ChaCha8Rng::seed_from_u64(17);
            let mut draw = || -> f64 { StandardNormal.sample(&mut rng) };
            let sum = sum_of(&[normal(5.0, 1.0); 20]);
            let (mut correlation, mut held) = (Correlation::default(), 0u32);
            for _ in 0..4000 {
                let common = draw();
                let truth: f64 = (0..20).map(|_| 5.0 + wanted.sqrt() * common + (1.0 - wanted).sqrt() * draw()).sum();
                let made = sum.around(sum.median, correlation.estimate()).unwrap();
                held += u32::from((made.values()[0]..=made.values()[6]).contains(&truth));
                correlation.push(&sum, truth - sum.median);
            }
            let estimate = correlation.estimate();
            assert!((estimate - wanted).abs() < 0.1, "{estimate} for {wanted}");
            let share = f64::from(held) / 4000.0;
            assert!((share - 0.9).abs() < 0.03, "{share} held with a correlation of {wanted}");
        }
    }

    #[test]
    fn one_term_has_no_correlation_with_others() {
        let mut correlation = Correlation::default();
        correlation.push(&sum_of(&[normal(5.0, 1.0)]), 3.0);
        correlation.push(&QuantileSum::default(), 3.0);
        assert_eq!(correlation, Correlation::default());
    }

    proptest! {
        #[test]
        fn a_sum_lies_between_its_extremes_and_in_order(
            terms in proptest::collection::vec(proptest::array::uniform8(-1e6f64..1e6), 1..6),
            correlation in 0.0f64..=1.0,
        ) {
            let terms: Vec<_> = terms.into_iter().map(|values| Quantiles::rearranged(values).unwrap()).collect();
            let sum = sum_of(&terms);
            let made = sum.around(sum.median, correlation).unwrap();
            prop_assert_eq!(made.median(), sum.median);
            for (i, value) in made.values().iter().enumerate() {
                let comonotonic: f64 = terms.iter().map(|term| term.values()[i]).sum();
                let (low, high) = if i < MEDIAN { (comonotonic, sum.median) } else { (sum.median, comonotonic) };
                prop_assert!(*value >= low - 1e-3 && *value <= high + 1e-3);
            }
        }

        #[test]
        fn sums_can_be_added_in_parts(
            terms in proptest::collection::vec(proptest::array::uniform8(-1000i32..1000), 2..8),
            cut in 0usize..8,
        ) {
            let terms: Vec<_> =
                terms.into_iter().map(|values| Quantiles::rearranged(values.map(f64::from)).unwrap()).collect();
            let (left, right) = terms.split_at(cut.min(terms.len()));
            let mut both = sum_of(left);
            both.add(&sum_of(right));
            prop_assert_eq!(both, sum_of(&terms));
        }
    }
}
