//! Sums over the scored forecasts of one kind: what any of the usual figures is made of. Tallies of
//! different series, or of parts of one, add up.

use super::{decile_losses, pinball_loss};
use crate::calibration::{LOWER, UPPER};
use crate::quantiles::{LEVELS, QUANTILE_LEVELS, Quantiles};

/// Sums over scored forecasts, in the unit of the demand where nothing else is said.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Forecasts scored.
    pub scored: u64,
    /// Sum of the truths' magnitudes.
    pub magnitude: f64,
    /// Sum of [`decile_losses`], over all nine.
    pub decile_loss: f64,
    /// Sums of the pinball loss at each of [`QUANTILE_LEVELS`].
    pub pinball: [f64; LEVELS],
    /// Truths at or below each quantile; one that equals it counts half, as in a probability integral
    /// transform of a distribution with steps.
    pub below: [f64; LEVELS],
    /// Truths within the interval, its bounds included.
    pub held: u64,
    /// Sum of the intervals' widths.
    pub width: f64,
    /// Sum of the distances of median and truth.
    pub absolute_error: f64,
}

impl Tally {
    /// Adds a forecast whose truth is known. What is not finite is left out.
    pub fn push(&mut self, quantiles: &Quantiles, truth: f64) {
        if !truth.is_finite() {
            return;
        }
        let values = quantiles.values();
        self.scored += 1;
        self.magnitude += truth.abs();
        self.decile_loss += decile_losses(quantiles, truth).iter().sum::<f64>();
        for (i, level) in QUANTILE_LEVELS.into_iter().enumerate() {
            self.pinball[i] += pinball_loss(level, values[i], truth);
            self.below[i] += 0.5 * (f64::from(u8::from(truth <= values[i])) + f64::from(u8::from(truth < values[i])));
        }
        self.held += u64::from((values[LOWER]..=values[UPPER]).contains(&truth));
        self.width += values[UPPER] - values[LOWER];
        self.absolute_error += (quantiles.median() - truth).abs();
    }

    /// Adds the sums of another.
    pub fn add(&mut self, other: &Self) {
        self.scored += other.scored;
        self.magnitude += other.magnitude;
        self.decile_loss += other.decile_loss;
        for i in 0..LEVELS {
            self.pinball[i] += other.pinball[i];
            self.below[i] += other.below[i];
        }
        self.held += other.held;
        self.width += other.width;
        self.absolute_error += other.absolute_error;
    }

    /// The weighted quantile loss over the nine deciles: their mean loss by the truths' mean magnitude
    /// (Park et al. 2022, "Learning Quantile Functions without Quantile Crossing", `mean_wQuantileLoss`
    /// in GluonTS). `None` without truths other than zero.
    pub fn weighted_quantile_loss(&self) -> Option<f64> {
        (self.magnitude > 0.0).then(|| self.decile_loss / super::DECILES.len() as f64 / self.magnitude)
    }

    /// Mean over the deciles and forecasts of the loss: the continuous ranked probability score, in the
    /// unit of the demand.
    pub fn crps(&self) -> Option<f64> {
        self.mean(self.decile_loss / super::DECILES.len() as f64)
    }

    /// Share of the truths that the interval held.
    pub fn coverage(&self) -> Option<f64> {
        self.mean(self.held as f64)
    }

    /// A sum by the number of scored forecasts.
    pub fn mean(&self, sum: f64) -> Option<f64> {
        (self.scored > 0).then(|| sum / self.scored as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// What `goldens/scores.py` computed with GluonTS.
    #[test]
    fn figures_are_those_of_gluonts() {
        let golden: Value = serde_json::from_str(include_str!("goldens/scores.json")).unwrap();
        let numbers = |value: &Value| value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<_>>();
        let mut tally = Tally::default();
        let (truths, forecasts) = (numbers(&golden["truth"]), golden["quantiles"].as_array().unwrap());
        for (truth, forecast) in truths.iter().zip(forecasts) {
            let quantiles = Quantiles::rearranged(numbers(forecast).try_into().unwrap()).unwrap();
            tally.push(&quantiles, *truth);
        }
        let near = |got: f64, key: &str| {
            let wanted = golden[key].as_f64().unwrap();
            assert!((got - wanted).abs() <= 1e-9 * wanted.abs(), "{key}: {got} instead of {wanted}");
        };
        near(tally.weighted_quantile_loss().unwrap(), "mean_weighted_sum_quantile_loss");
        near(tally.mean(tally.absolute_error).unwrap(), "mean_absolute_error");
        near(tally.coverage().unwrap(), "coverage_90");
        for (i, pinball) in tally.pinball.iter().enumerate() {
            let wanted = numbers(&golden["quantile_loss_sums"])[i];
            assert!((2.0 * pinball - wanted).abs() <= 1e-9 * wanted, "level {}", QUANTILE_LEVELS[i]);
        }
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let quantiles = |median: f64| Quantiles::rearranged(std::array::from_fn(|i| median + i as f64 - 3.0)).unwrap();
        let (mut whole, mut first, mut second) = (Tally::default(), Tally::default(), Tally::default());
        for i in 0..10u8 {
            let (median, truth) = (f64::from(i), f64::from(i * i) / 8.0);
            whole.push(&quantiles(median), truth);
            if i < 4 { &mut first } else { &mut second }.push(&quantiles(median), truth);
        }
        first.add(&second);
        assert_eq!((first.scored, first.held, first.below), (10, whole.held, whole.below));
        let (sum, all) = (first.weighted_quantile_loss().unwrap(), whole.weighted_quantile_loss().unwrap());
        assert!((sum - all).abs() < 1e-12);
        whole.push(&quantiles(0.0), f64::NAN);
        assert_eq!(whole.scored, 10);
        assert_eq!(Tally::default().weighted_quantile_loss(), None);
    }
}
