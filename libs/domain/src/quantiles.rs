//! The quantile levels that every forecast carries, and values at them that never cross.

use bitcode::{Decode, Encode};

/// Number of levels.
pub const LEVELS: usize = 8;

/// The levels, ascending.
pub const QUANTILE_LEVELS: [f64; LEVELS] = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];

/// Index of the median in [`QUANTILE_LEVELS`].
pub const MEDIAN: usize = 3;

/// Values at [`QUANTILE_LEVELS`], finite and non-decreasing.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
pub struct Quantiles([f64; LEVELS]);

impl Quantiles {
    /// Sorts the values, which is the least change that stops quantiles from crossing
    /// (Chernozhukov, Fernández-Val, Galichon 2010, "Quantile and probability curves without
    /// crossing"). `None` when one is not finite.
    pub fn rearranged(mut values: [f64; LEVELS]) -> Option<Self> {
        if values.iter().any(|v| !v.is_finite()) {
            return None;
        }
        values.sort_by(f64::total_cmp);
        Some(Self(values))
    }

    /// The values, in the order of [`QUANTILE_LEVELS`].
    pub fn values(&self) -> &[f64; LEVELS] {
        &self.0
    }

    /// The median.
    pub fn median(&self) -> f64 {
        self.0[MEDIAN]
    }

    /// The value at `level`, linear between neighbouring levels and flat outside them.
    pub fn at(&self, level: f64) -> f64 {
        let upper = QUANTILE_LEVELS.partition_point(|l| *l < level);
        match upper {
            0 => self.0[0],
            LEVELS => self.0[LEVELS - 1],
            i => {
                let (l0, l1) = (QUANTILE_LEVELS[i - 1], QUANTILE_LEVELS[i]);
                let share = (level - l0) / (l1 - l0);
                self.0[i - 1] + share * (self.0[i] - self.0[i - 1])
            }
        }
    }

    /// The values rounded to what 32 bits can say, which is what travels; `None` when one is beyond them.
    pub fn single(self) -> Option<Self> {
        let rounded = self.0.map(|value| f64::from(value as f32));
        rounded.iter().all(|value| value.is_finite()).then_some(Self(rounded))
    }

    /// The values clamped to be at least `lowest`, for quantities that cannot go below it.
    pub fn at_least(mut self, lowest: f64) -> Self {
        for v in &mut self.0 {
            *v = v.max(lowest);
        }
        self
    }
}
