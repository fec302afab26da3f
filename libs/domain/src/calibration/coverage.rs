//! How often the last intervals held the truth.

use bitcode::{Decode, Encode};

/// Scored intervals that are looked back on.
pub const INTERVALS_MAX: u32 = 128;

/// The last up to [`INTERVALS_MAX`] scored intervals, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct TrailingCoverage {
    /// Set where the interval held the truth; the newest is bit 0 of the first word.
    held: [u64; 2],
    scored: u8,
}

impl TrailingCoverage {
    /// Adds an interval.
    pub fn push(&mut self, held_truth: bool) {
        let [newer, older] = self.held;
        self.held = [newer << 1 | u64::from(held_truth), older << 1 | newer >> 63];
        self.scored = (self.scored + 1).min(INTERVALS_MAX as u8);
    }

    /// Over how many intervals.
    pub fn scored(&self) -> u32 {
        self.scored.into()
    }

    /// Share of them that held the truth; `None` before the first.
    pub fn share(&self) -> Option<f64> {
        let held: u32 = self.held.iter().map(|word| word.count_ones()).sum();
        (self.scored > 0).then(|| f64::from(held) / f64::from(self.scored))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_share_of_the_last(held in proptest::collection::vec(proptest::bool::ANY, 0..400)) {
            let mut coverage = TrailingCoverage::default();
            held.iter().for_each(|held| coverage.push(*held));
            let last = &held[held.len().saturating_sub(INTERVALS_MAX as usize)..];
            prop_assert_eq!(coverage.scored() as usize, last.len());
            let share = last.iter().filter(|held| **held).count() as f64 / last.len() as f64;
            prop_assert_eq!(coverage.share(), (!last.is_empty()).then_some(share));
        }
    }
}
