//! The demand of one series in closed bins, as far back as a week, and the greatest demand of the windows that rules
//! look at.
//!
//! A demand is kept in 16 bits (the upper half of a 32-bit float, rounded up), so it is never understated and
//! overstated by less than 0.8 %.

use bitcode::{Decode, Encode};

/// Width of a bin, in seconds.
pub const BIN_S: i64 = 300;

/// Bins of a day.
pub const DAY_BINS: i64 = 288;

/// Bins of a week.
pub const WEEK_BINS: i64 = 7 * DAY_BINS;

/// Bins that are kept: a week. What serves comes later than what is decided on, so none before is asked for.
const KEPT: usize = WEEK_BINS as usize;

/// Bins by which the ring grows until it is full: a third of a day.
const GROWTH: usize = 96;

const MISSING: u16 = u16::MAX;

/// Demand by bin, a gap where nothing was measured.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct DemandRing {
    /// Bin behind the newest closed one; `None` before the first.
    next: Option<i64>,
    /// By bin modulo its length; grows until it is full.
    bins: Vec<u16>,
}

fn packed(x: f32) -> u16 {
    let bits = x.max(0.0).to_bits();
    let up = if bits & 0xFFFF == 0 { bits >> 16 } else { (bits >> 16) + 1 };
    u16::try_from(up).unwrap_or(MISSING)
}

fn unpacked(x: u16) -> Option<f32> {
    (x != MISSING).then(|| f32::from_bits(u32::from(x) << 16))
}

impl DemandRing {
    /// Newest closed bin.
    pub fn newest(&self) -> Option<i64> {
        self.next.map(|next| next - 1)
    }

    /// Number of bins that are kept, gaps included.
    pub fn len(&self) -> usize {
        self.bins.len()
    }

    /// Whether no bin was closed yet.
    pub fn is_empty(&self) -> bool {
        self.bins.is_empty()
    }

    /// Closes a bin later than all before; bins between are gaps.
    pub fn close(&mut self, bin: i64, demand: Option<f32>) {
        let next = self.next.unwrap_or(bin);
        if bin < next {
            return;
        }
        let first = next.max(bin - KEPT as i64);
        for gap in first..bin {
            self.put(gap, MISSING);
        }
        self.put(bin, demand.filter(|d| d.is_finite()).map_or(MISSING, packed));
        self.next = Some(bin + 1);
    }

    /// Raises the known demand of closed bins, from `first` to `last`, to no less than an amount.
    pub fn raise(&mut self, first: i64, last: i64, least: f32) {
        let least = packed(least);
        for bin in first..=last {
            if let Some(place) = self.place(bin).filter(|place| self.bins[*place] != MISSING) {
                self.bins[place] = self.bins[place].max(least);
            }
        }
    }

    fn put(&mut self, bin: i64, value: u16) {
        if self.bins.len() < KEPT {
            if self.bins.len() == self.bins.capacity() {
                self.bins.reserve_exact(GROWTH.min(KEPT - self.bins.len()));
            }
            // The ring's first element is bin 0 of its own count, so places follow from the bin once it is full.
            self.bins.push(value);
            if self.bins.len() == KEPT {
                let turn = (bin + 1).rem_euclid(KEPT as i64) as usize;
                self.bins.rotate_right(turn);
            }
            return;
        }
        let place = bin.rem_euclid(KEPT as i64) as usize;
        self.bins[place] = value;
    }

    /// Demand of a closed bin.
    pub fn at(&self, bin: i64) -> Option<f32> {
        self.place(bin).and_then(|place| unpacked(self.bins[place]))
    }

    fn place(&self, bin: i64) -> Option<usize> {
        let next = self.next?;
        let age = next - 1 - bin;
        if age < 0 || age >= self.bins.len() as i64 {
            return None;
        }
        Some(if self.bins.len() < KEPT {
            self.bins.len() - 1 - age as usize
        } else {
            bin.rem_euclid(KEPT as i64) as usize
        })
    }

    /// Greatest demand of the closed bins from `first` to `last`; `None` where all are gaps.
    pub fn maximum(&self, first: i64, last: i64) -> Option<f32> {
        let (Some(newest), len) = (self.newest(), self.bins.len() as i64) else { return None };
        let (first, last) = (first.max(newest - len + 1), last.min(newest));
        (first..=last).filter_map(|bin| self.at(bin)).reduce(f32::max)
    }

    /// Quantiles of the last so many closed bins at ascending levels, each the least demand that so large a share of them
    /// does not exceed; `None` before [`DAY_BINS`] of them are known.
    pub fn quantiles<const N: usize>(&self, last: i64, levels: [f64; N]) -> Option<[f32; N]> {
        let newest = self.newest()?;
        let bins = (0..last).filter_map(|age| self.place(newest - age)).map(|place| self.bins[place]);
        let mut known: Vec<u16> = bins.filter(|bin| *bin != MISSING).collect();
        if known.len() < DAY_BINS as usize {
            return None;
        }
        // Packed demands are in the order of the demands.
        let mut from = 0;
        Some(levels.map(|level| {
            let place = ((level * known.len() as f64).ceil() as usize).clamp(from + 1, known.len()) - 1;
            let (_, at, _) = known[from..].select_nth_unstable(place - from);
            let value = *at;
            from = place;
            unpacked(value).unwrap_or(0.0)
        }))
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.bins.capacity() * size_of::<u16>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_raised_is_known_closed_and_lower() {
        let mut ring = DemandRing::default();
        let demands = [Some(1.0), None, Some(4.0), Some(1.0)];
        (10..).zip(demands).for_each(|(bin, demand)| ring.close(bin, demand));
        ring.raise(9, 12, 2.0);
        assert_eq!(
            (9..15).map(|bin| ring.at(bin)).collect::<Vec<_>>(),
            [None, Some(2.0), None, Some(4.0), Some(1.0), None]
        );
    }

    proptest! {
        /// Against a plain list: what is kept is what was put in, never understated, gaps stay gaps.
        #[test]
        fn it_is_a_list_of_the_last_bins(
            start in -5000i64..5000,
            steps in prop::collection::vec((1i64..4, prop::option::weighted(0.9, 0.0f32..1e6)), 1..3000),
        ) {
            let (mut ring, mut plain) = (DemandRing::default(), std::collections::BTreeMap::new());
            let mut bin = start;
            for (ahead, demand) in steps {
                bin += ahead;
                ring.close(bin, demand);
                plain.insert(bin, demand);
            }
            for age in 0..KEPT as i64 + 5 {
                let kept = ring.at(bin - age);
                let wanted = plain.get(&(bin - age)).copied().flatten().filter(|_| age < ring.len() as i64);
                prop_assert_eq!(kept.is_some(), wanted.is_some());
                if let (Some(kept), Some(wanted)) = (kept, wanted) {
                    prop_assert!(kept >= wanted && kept <= wanted * 1.008 + 1e-30, "{} is kept as {}", wanted, kept);
                }
            }
            let direct = (0..36).filter_map(|age| ring.at(bin - age)).reduce(f32::max);
            prop_assert_eq!(ring.maximum(bin - 35, bin), direct);
            let mut kept: Vec<f32> = (0..KEPT as i64).filter_map(|age| ring.at(bin - age)).collect();
            kept.sort_by(f32::total_cmp);
            let of = |level: f64| kept[((level * kept.len() as f64).ceil() as usize).max(1) - 1];
            let wanted = (kept.len() >= DAY_BINS as usize).then(|| [of(0.5), of(0.5), of(0.98)]);
            prop_assert_eq!(ring.quantiles(KEPT as i64, [0.5, 0.5, 0.98]), wanted);
            prop_assert!(ring.heap_bytes() <= 2 * KEPT.min(ring.len() + GROWTH));
        }
    }
}
