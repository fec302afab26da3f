//! The distribution of the greatest of the next values, by Clark's moments.
//!
//! The greatest of two normal variables is taken for normal again, with its true mean, variance and
//! covariances (Clark 1961, "The greatest of a finite set of random variables"), one step after
//! another. The true maximum leans to the right of that; a quantile is therefore never let below
//! the greatest of the single values' quantiles, which the true one cannot be below. The tests of the
//! families measure how far the quantiles are off.

use crate::forecast::HorizonQuantiles;
use crate::forecast::residuals::{NORMAL_QUANTILES, normal};
use crate::quantiles::Quantiles;

/// Mean and standard deviation of one step's value and of the maximum so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) mean: f64,
    pub(super) std_dev: f64,
    pub(super) greatest_mean: f64,
    pub(super) greatest_std_dev: f64,
}

impl Step {
    pub(super) fn new<const N: usize>(own: &Normal<N>, greatest: &Normal<N>) -> Self {
        Self {
            mean: own.mean,
            std_dev: own.variance.max(0.0).sqrt(),
            greatest_mean: greatest.mean,
            greatest_std_dev: greatest.variance.max(0.0).sqrt(),
        }
    }
}

/// A normal variable with its covariances with the N numbers of a model's state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Normal<const N: usize> {
    pub(super) mean: f64,
    pub(super) variance: f64,
    pub(super) with: [f64; N],
}

/// Clark's formulas, with the means taken from the first one's so that no large level cancels.
pub(super) fn greatest_of<const N: usize>(a: &Normal<N>, b: &Normal<N>, covariance: f64) -> Normal<N> {
    let spread = (a.variance + b.variance - 2.0 * covariance).max(0.0).sqrt();
    let ahead = b.mean - a.mean;
    if spread <= f64::EPSILON * (a.variance + b.variance).sqrt() {
        return if ahead > 0.0 { *b } else { *a };
    }
    let z = ahead / spread;
    let (density, b_wins) = ((-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt(), normal_cdf(z));
    let a_wins = 1.0 - b_wins;
    let mean = ahead * b_wins + spread * density;
    let square = a.variance * a_wins + (ahead * ahead + b.variance) * b_wins + ahead * spread * density;
    Normal {
        mean: a.mean + mean,
        variance: (square - mean * mean).max(0.0),
        with: std::array::from_fn(|i| a.with[i] * a_wins + b.with[i] * b_wins),
    }
}

/// The quantile of the maximum over the steps at the level whose standard normal quantile is given.
pub(super) fn greatest_quantile(steps: &[Step], normal_quantile: f64) -> f64 {
    let last = &steps[steps.len() - 1];
    let single = steps.iter().map(|step| step.mean + normal_quantile * step.std_dev);
    single.fold(last.greatest_mean + normal_quantile * last.greatest_std_dev, f64::max)
}

/// Quantiles per horizon (in bins ahead, within the steps). `None` when a number is not finite.
pub(super) fn at_horizons(steps: &[Step], horizons_bins: &[usize]) -> Option<Vec<HorizonQuantiles>> {
    let at = |bins: &usize| {
        let steps = &steps[..*bins];
        let last = steps.last()?;
        Some(HorizonQuantiles {
            value: normal(last.mean, last.std_dev)?,
            maximum: Quantiles::rearranged(NORMAL_QUANTILES.map(|z| greatest_quantile(steps, z)))?,
        })
    };
    horizons_bins.iter().map(at).collect()
}

/// Share of a standard normal distribution below `z`.
pub(super) fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_of_two_that_are_one_is_that_one() {
        let one = Normal { mean: 5.0, variance: 4.0, with: [1.0, 0.5] };
        let got = greatest_of(&one, &one, 4.0);
        assert_eq!((got.mean, got.variance), (5.0, 4.0));
        // Of two independent standard normals: mean 1/√π, variance 1 - 1/π.
        let unit = Normal { mean: 0.0, variance: 1.0, with: [0.0] };
        let got = greatest_of(&unit, &unit, 0.0);
        assert!((got.mean - 1.0 / std::f64::consts::PI.sqrt()).abs() < 1e-15);
        assert!((got.variance - (1.0 - std::f64::consts::FRAC_1_PI)).abs() < 1e-15);
    }
}
