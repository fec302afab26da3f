//! How unusual it is by how much a forecast was off: its conformal p-value among the series' own earlier ones.

use super::p_values::PastScores;
use bitcode::{Decode, Encode};

/// More counts as this: an infinite score would be all that is remembered.
const DISTANCE_MAX: f64 = 1e30;

/// What is kept of a series' residuals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub struct Residuals {
    past: PastScores,
    newest: Option<f32>,
}

impl Residuals {
    /// Takes in how far the truth of the bin that closes was from the median that was forecast for it, on either side, in
    /// units of the forecast interval's half-width there; `None` where that is not known.
    pub fn close(&mut self, distance: Option<f64>) {
        let known = distance.filter(|distance| !distance.is_nan());
        let score = known.map(|distance| libm::log1p(distance.clamp(0.0, DISTANCE_MAX)));
        self.newest = score.and_then(|score| self.past.push(score)).map(|p_value| p_value as f32);
    }

    /// The p-value of the newest bin that closed; `None` where it is not known.
    pub fn p_value(&self) -> Option<f32> {
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_far_off_is_rare_and_one_without_a_truth_says_nothing() {
        let mut residuals = Residuals::default();
        for bin in 0..1000 {
            residuals.close(Some(f64::from(bin * 37 % 21) / 20.0));
        }
        residuals.close(Some(20.0));
        assert!(residuals.p_value().is_some_and(|p| p < 1e-3), "{:?}", residuals.p_value());
        residuals.close(Some(0.5));
        assert!(residuals.p_value().is_some_and(|p| p > 0.1), "{:?}", residuals.p_value());
        residuals.close(None);
        assert_eq!(residuals.p_value(), None);
        residuals.close(Some(f64::INFINITY));
        residuals.close(Some(0.5));
        assert!(residuals.p_value().is_some_and(|p| p > 0.1), "what is beyond measure is no measure: {residuals:?}");
    }
}
