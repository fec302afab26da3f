//! Calibration of forecasts: intervals that hold the truth as often as they say.
//!
//! Two corrections, one on the other. The first is split conformal and shared: by how much the workloads
//! of a partition lately missed on either side of the median ([`conformal`]). The second is a series' own,
//! online, and of each quantile ([`tracking`]). What was forecast is kept until its truth is
//! known ([`series`]). A young series starts
//! from the corrections of others ([`cold_start`]); where forecasts get worse for good, more is done ([`drift`]). Nothing here knows how a
//! forecast is made.

pub mod cold_start;
pub mod conformal;
pub mod coverage;
pub mod drift;
pub mod pools;
pub mod series;
pub mod tracking;

use crate::quantiles::{MEDIAN, Quantiles};
use bitcode::{Decode, Encode};

/// Level of the interval's lower bound; [`NOMINAL_COVERAGE`] follows from it and the upper one's.
pub const LOWER_LEVEL: f64 = 0.05;

/// Index of the lower bound in [`crate::quantiles::QUANTILE_LEVELS`].
pub const LOWER: usize = 0;

/// Index of the upper bound, at the level 0.95.
pub const UPPER: usize = 6;

/// Share of truths that an interval is to hold.
pub const NOMINAL_COVERAGE: f64 = 0.9;

/// No side is narrowed or widened by more than these.
pub const FACTOR_MIN: f64 = 0.05;
/// See [`FACTOR_MIN`].
pub const FACTOR_MAX: f64 = 20.0;

/// What is forecast of a horizon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Statistic {
    /// The demand in the horizon's last bin.
    Value,
    /// The greatest demand up to then.
    Maximum,
}

impl Statistic {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Value, Self::Maximum];

    /// Its name in reports and archives.
    pub fn name(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Maximum => "maximum",
        }
    }
}

/// Factors by which quantiles are drawn away from their median, below it and above.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
pub struct Spread {
    /// For the quantiles below the median.
    pub lower: f32,
    /// For those above.
    pub upper: f32,
}

impl Spread {
    /// Leaves quantiles as they are.
    pub const NONE: Self = Self { lower: 1.0, upper: 1.0 };

    /// These factors and others one on the other, within the bounds of both sides.
    pub fn by(self, other: Self) -> Self {
        let side = |one: f32, other: f32| (one * other).clamp(FACTOR_MIN as f32, FACTOR_MAX as f32);
        Self { lower: side(self.lower, other.lower), upper: side(self.upper, other.upper) }
    }

    /// The quantiles at their new distances from the median, which stays. `None` when a number is not
    /// finite any more.
    pub fn apply(&self, quantiles: &Quantiles) -> Option<Quantiles> {
        let median = quantiles.median();
        let mut values = *quantiles.values();
        for (i, value) in values.iter_mut().enumerate() {
            let factor = if i < MEDIAN { self.lower } else { self.upper };
            if i != MEDIAN {
                *value = median + f64::from(factor) * (*value - median);
            }
        }
        Quantiles::rearranged(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantiles::QUANTILE_LEVELS;
    use proptest::prelude::*;

    #[test]
    fn the_interval_is_between_the_levels() {
        assert_eq!((QUANTILE_LEVELS[LOWER], QUANTILE_LEVELS[UPPER]), (LOWER_LEVEL, 1.0 - LOWER_LEVEL));
        assert!((NOMINAL_COVERAGE - (QUANTILE_LEVELS[UPPER] - QUANTILE_LEVELS[LOWER])).abs() < 1e-12);
    }

    #[test]
    fn each_side_is_drawn_from_the_median() {
        let plain = Quantiles::rearranged([0.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 9.0]).unwrap();
        let got = Spread { lower: 2.0, upper: 0.5 }.apply(&plain).unwrap();
        assert_eq!(got.values(), &[-4.0, 0.0, 2.0, 4.0, 4.5, 5.0, 6.0, 6.5]);
        assert_eq!(Spread::NONE.apply(&plain), Some(plain));
    }

    proptest! {
        #[test]
        fn quantiles_keep_their_order(
            values in proptest::array::uniform8(-1e30f64..1e30),
            lower in 0.05f32..20.0,
            upper in 0.05f32..20.0,
        ) {
            let plain = Quantiles::rearranged(values).unwrap();
            let got = Spread { lower, upper }.apply(&plain).unwrap();
            prop_assert!(got.values().is_sorted());
            prop_assert_eq!(got.median(), plain.median());
        }
    }
}
