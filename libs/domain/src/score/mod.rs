//! How good forecasts were: losses, and what they are summed to.
//!
//! The pinball (quantile) loss is Koenker and Bassett's (1978, "Regression Quantiles"); the continuous
//! ranked probability score is its integral over the levels (Gneiting and Raftery 2007, "Strictly Proper
//! Scoring Rules, Prediction, and Estimation"), approximated here by the mean over the nine deciles, as
//! the weighted quantile loss of GluonTS and GIFT-Eval has it.

pub mod bootstrap;
pub mod tally;

use crate::quantiles::Quantiles;

/// The deciles that [`decile_losses`] is made of.
pub const DECILES: [f64; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/// Pinball loss of the quantile `forecast` at `level`, in the unit of the demand.
pub fn pinball_loss(level: f64, forecast: f64, truth: f64) -> f64 {
    let over = truth - forecast;
    (level * over).max((level - 1.0) * over)
}

/// Twice the pinball loss at each of [`DECILES`], those between the levels that a forecast has taken
/// from the straight line between their neighbours.
pub fn decile_losses(quantiles: &Quantiles, truth: f64) -> [f64; 9] {
    DECILES.map(|level| 2.0 * pinball_loss(level, quantiles.at(level), truth))
}

/// Geometric mean of positive numbers; `None` without any.
pub fn geometric_mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.into_iter().fold((0.0, 0u64), |(sum, count), v| (sum + libm::log(v), count + 1));
    (count > 0).then(|| libm::exp(sum / count as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_miss_costs_its_level_above_and_the_rest_below() {
        assert_eq!(pinball_loss(0.9, 10.0, 14.0), 3.6);
        assert!((pinball_loss(0.9, 14.0, 10.0) - 0.4).abs() < 1e-12);
        assert_eq!(pinball_loss(0.9, 10.0, 10.0), 0.0);
    }

    #[test]
    fn the_geometric_mean_is_that_of_the_logarithms() {
        assert!((geometric_mean([1.0, 4.0, 2.0]).unwrap() - 2.0).abs() < 1e-12);
        assert_eq!(geometric_mean([]), None);
    }

    proptest! {
        /// The forecast that is the distribution itself costs least (the score is proper).
        #[test]
        fn no_other_quantile_costs_less_than_the_right_one(
            mut truths in proptest::collection::vec(-100.0f64..100.0, 1..60),
            other in -150.0f64..150.0,
            decile in 0usize..9,
        ) {
            let level = DECILES[decile];
            truths.sort_by(f64::total_cmp);
            let right = truths[((level * truths.len() as f64).ceil() as usize - 1).min(truths.len() - 1)];
            let cost = |forecast: f64| truths.iter().map(|truth| pinball_loss(level, forecast, *truth)).sum::<f64>();
            prop_assert!(cost(right) <= cost(other) + 1e-9);
        }
    }
}
