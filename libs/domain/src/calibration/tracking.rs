//! A workload's own correction: quantile tracking, the proportional term of conformal PID control
//! (Angelopoulos, Candès, Tibshirani 2023, "Conformal PID Control for Time Series Prediction",
//! arXiv 2307.16895), here of the logarithm of the factor on each side.

use super::{FACTOR_MAX, LOWER_LEVEL, Spread};
use bitcode::{Decode, Encode};

/// Step of the logarithm when a forecast one bin ahead missed on that side.
pub const TRACKING_STEP: f32 = 0.05;

/// Logarithms of the factors of one workload, horizon and statistic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub struct Tracker {
    lower: f32,
    upper: f32,
}

impl Tracker {
    /// Takes in whether the truth was below or above the published interval. Each side grows by
    /// (miss - α/2) steps. Forecasts `bins_ahead` bins ahead overlap as many times, and so do their
    /// misses; the step is as many times smaller.
    pub fn push(&mut self, was_below: bool, was_above: bool, bins_ahead: usize) {
        let step = TRACKING_STEP / bins_ahead.max(1) as f32;
        let most = FACTOR_MAX.ln() as f32;
        let moved = |log: f32, missed: bool| {
            (log + step * (f32::from(u8::from(missed)) - LOWER_LEVEL as f32)).clamp(-most, most)
        };
        *self = Self { lower: moved(self.lower, was_below), upper: moved(self.upper, was_above) };
    }

    /// The factors.
    pub fn spread(&self) -> Spread {
        Spread { lower: libm::expf(self.lower), upper: libm::expf(self.upper) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};

    #[test]
    fn one_that_the_pool_does_not_fit_finds_its_own_factor() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let mut tracker = Tracker::default();
        let (mut missed, mut judged) = (0u32, 0u32);
        for i in 0..20_000 {
            let noise: f64 = StandardNormal.sample(&mut rng);
            let spread = tracker.spread();
            // The raw interval is ±0.5, the right one ±1.645.
            let (below, above) = (noise < -0.5 * f64::from(spread.lower), noise > 0.5 * f64::from(spread.upper));
            if i >= 2000 {
                missed += u32::from(below || above);
                judged += 1;
            }
            tracker.push(below, above, 1);
        }
        let share = f64::from(missed) / f64::from(judged);
        assert!((share - 2.0 * LOWER_LEVEL).abs() < 0.003, "{share}");
        assert!((tracker.spread().lower / 3.29 - 1.0).abs() < 0.35, "{:?}", tracker.spread());
    }

    #[test]
    fn factors_stay_within_their_bounds() {
        let mut tracker = Tracker::default();
        (0..100_000).for_each(|_| tracker.push(true, false, 1));
        let spread = tracker.spread().then(&Spread::NONE);
        assert!((f64::from(spread.lower) - FACTOR_MAX).abs() < 1e-3);
        assert!((f64::from(spread.upper) - super::super::FACTOR_MIN).abs() < 1e-3);
    }
}
