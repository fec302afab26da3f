//! Onsets: when a series' demand rose out of what the last bins had, how high it went, and whether another one is due.
//!
//! The hazard of an onset is the discrete one of survival analysis (Cox and Oakes, "Analysis of Survival Data", 1984),
//! estimated from the series' own last intervals: of those that lasted as long as the present one has, the share that
//! ended before what is decided now is over.

use super::demand::DemandRing;
use bitcode::{Decode, Encode};

/// A demand so many times the greatest of the bins before it is an onset.
const RISE: f32 = 1.3;

/// Smallest rise that counts, in the series' unit of spare capacity.
const RISE_UNITS_MIN: f32 = 0.05;

/// Bins before an onset that lie below it.
const QUIET_BINS: i64 = 3;

/// Bins of an onset in which its peak is looked for: an hour.
const PEAK_BINS: i64 = 12;

/// Onsets that are remembered.
const KEPT: usize = 16;

/// Intervals that have to have lasted as long as the present one for a hazard to be told.
const INTERVALS_MIN: usize = 3;

/// An onset is due from this hazard on.
const HAZARD_MIN: f64 = 0.5;

/// Last onsets whose peaks tell how high the next may go.
const LEVEL_OF: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct Onset {
    bin: i64,
    peak: f32,
}

/// The onsets of one series.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Onsets {
    /// Ascending.
    past: Vec<Onset>,
}

/// Intervals between onsets that lasted as long as the present one, and how many of them ended within the time that is
/// decided for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// So many ended.
    pub ended: usize,
    /// Of so many.
    pub of: usize,
}

impl Onsets {
    /// Takes in a demand of the open bin; `ring` holds the closed ones. Whether an onset begins with it.
    pub fn observe(&mut self, ring: &DemandRing, bin: i64, demand: f32, unit: f32) -> bool {
        if let Some(last) = self.past.last_mut()
            && bin < last.bin + PEAK_BINS
        {
            last.peak = last.peak.max(demand);
        }
        let Some(before) = ring.maximum(bin - QUIET_BINS, bin - 1) else { return false };
        let is_new = self.past.last().is_none_or(|last| bin > last.bin + QUIET_BINS);
        let rises = demand > RISE * before && demand > before + RISE_UNITS_MIN * unit;
        if !(is_new && rises) {
            return false;
        }
        if self.past.len() == KEPT {
            self.past.remove(0);
        } else {
            self.past.reserve_exact(1);
        }
        self.past.push(Onset { bin, peak: demand });
        true
    }

    /// Bin of the newest.
    pub fn newest(&self) -> Option<i64> {
        self.past.last().map(|onset| onset.bin)
    }

    /// How high the last ones went; `None` before the second.
    pub fn level(&self) -> Option<f32> {
        let last = &self.past[self.past.len().saturating_sub(LEVEL_OF)..];
        (last.len() > 1).then(|| last.iter().map(|onset| onset.peak).fold(0.0, f32::max))
    }

    /// Share of the bins that onsets begin in; 0 before the third.
    pub fn per_bin(&self) -> f64 {
        match (self.past.first(), self.past.last()) {
            (Some(first), Some(last)) if self.past.len() > 2 => {
                (self.past.len() - 1) as f64 / (last.bin - first.bin) as f64
            }
            _ => 0.0,
        }
    }

    /// Whether one is due within `ahead_bins` of a bin, by the intervals between those before.
    pub fn due(&self, bin: i64, ahead_bins: i64) -> Option<Due> {
        let lasted = bin - self.newest()?;
        let intervals =
            self.past.windows(2).map(|pair| pair[1].bin - pair[0].bin).filter(|interval| *interval > lasted);
        let (mut of, mut ended) = (0, 0);
        for interval in intervals {
            of += 1;
            ended += usize::from(interval <= lasted + ahead_bins);
        }
        (of >= INTERVALS_MIN && ended as f64 >= HAZARD_MIN * of as f64).then_some(Due { ended, of })
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.past.capacity() * size_of::<Onset>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Demand by bin: high for two bins from each of the onsets on.
    fn observed(until: i64, onsets: &[i64]) -> Onsets {
        let (mut ring, mut found) = (DemandRing::default(), Onsets::default());
        for bin in 0..until {
            let is_high = onsets.iter().any(|onset| (*onset..onset + 2).contains(&bin));
            let demand = if is_high { 1.0 + bin as f32 / 1000.0 } else { 0.2 };
            found.observe(&ring, bin, demand, 1.0);
            ring.close(bin, Some(demand));
        }
        found
    }

    #[test]
    fn an_onset_is_a_rise_out_of_the_last_quarter_of_an_hour() {
        let found = observed(100, &[20, 22, 60]);
        assert_eq!(found.past.iter().map(|onset| onset.bin).collect::<Vec<_>>(), [20, 60]);
        assert_eq!(found.level(), Some(1.061));
    }

    #[test]
    fn one_is_due_when_the_intervals_before_were_over_by_then() {
        let every_90_min: Vec<i64> = (1..8).map(|n| n * 18).collect();
        let found = observed(128, &every_90_min);
        assert_eq!(found.due(126 + 5, 3), None);
        assert_eq!(found.due(126 + 14, 3), None);
        assert_eq!(found.due(126 + 15, 3), Some(Due { ended: 6, of: 6 }));
        assert_eq!(found.due(126 + 18, 3), None, "it is late: no interval was longer");
    }

    #[test]
    fn few_or_irregular_intervals_tell_nothing() {
        assert_eq!(observed(70, &[10, 30, 50]).due(65, 6), None);
        let irregular = observed(300, &[10, 30, 110, 121, 200, 230, 290]);
        assert_eq!(irregular.due(290 + 10, 3), None);
    }
}
