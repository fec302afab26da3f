//! When the parameters of a series are fitted anew: first after some bins, then once a day, by the
//! count of its bins alone. Series that began together are spread by the pattern of their own ups and
//! downs, which no unit changes, so that not all of them fall due in the same bin.

use crate::forecast::DAY_BINS;
use crate::forecast::demand::DemandSeries;
use bitcode::{Decode, Encode};

/// Bins over which the refits of many series are spread: 6 hours.
pub const SPREAD_BINS: u64 = 72;

/// Bins whose ups and downs spread the refits.
const PATTERN_BINS: usize = 64;

/// Bins that a series must have, the open one included, until it was fitted for the first time, when
/// that falls due from `first_bins` bins on.
pub const fn bins_needed(first_bins: u64) -> u64 {
    first_bins + SPREAD_BINS
}

/// When the next refit of a series is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub struct Refits {
    /// Count of bins; 0 before it is known.
    next_bins: u64,
}

impl Refits {
    /// Whether one is due as the open bin of `demand` is closed, the first one once `known_bins` bins of it are known,
    /// `first_bins` to [`SPREAD_BINS`] more. Asked once a bin.
    pub fn are_due(&mut self, demand: &DemandSeries, known_bins: usize, first_bins: u64) -> bool {
        let bins = demand.bins();
        if self.next_bins == 0 && known_bins as u64 >= first_bins {
            self.next_bins = bins + offset_bins(demand);
        }
        let are_due = self.next_bins > 0 && bins >= self.next_bins;
        if are_due {
            self.next_bins += DAY_BINS as u64;
        }
        are_due
    }
}

/// 0 to [`SPREAD_BINS`] - 1.
fn offset_bins(demand: &DemandSeries) -> u64 {
    let mut day = [0.0; DAY_BINS];
    let count = demand.recent(&mut day);
    let pairs = day[count.saturating_sub(PATTERN_BINS)..count].windows(2);
    // In the precision of the closed bins, so that a missing open bin equals the one that it repeats.
    let rises = |pair: &[f64]| pair[1] as f32 > pair[0] as f32;
    let pattern = pairs.fold(0u64, |bits, pair| bits << 1 | u64::from(rises(pair)));
    // The finaliser of MurmurHash3.
    let mixed = (pattern ^ pattern >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ mixed >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (mixed ^ mixed >> 33) % SPREAD_BINS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::testing::{noise_of, series};

    fn due_bins(seed: i64, unit: f64) -> Vec<u64> {
        let mut refits = Refits::default();
        let values: Vec<_> = (0..1200).map(|t| Some(unit * noise_of(seed + t))).collect();
        let due = |bins: &usize| refits.are_due(&series(values[..*bins].iter().copied()), *bins, 300);
        (1..=values.len()).filter(due).map(|bins| bins as u64).collect()
    }

    #[test]
    fn they_are_a_day_apart_and_spread_by_the_series() {
        let mut firsts = std::collections::BTreeSet::new();
        for seed in 0..12 {
            let due = due_bins(1000 * seed, 1.0);
            assert!((300..300 + SPREAD_BINS).contains(&due[0]), "{due:?}");
            assert!(due.windows(2).all(|pair| pair[1] - pair[0] == DAY_BINS as u64) && due.len() >= 3);
            assert_eq!(due, due_bins(1000 * seed, 1e6));
            firsts.insert(due[0]);
        }
        assert!(firsts.len() >= 8, "{firsts:?}");
    }
}
