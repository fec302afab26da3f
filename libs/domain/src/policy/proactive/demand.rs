//! The demand of one series in closed bins, as far back as a week, and the greatest demand of the windows that rules
//! look at.
//!
//! A demand is kept with 8 significant bits, rounded up (the upper half of a 32-bit float), so it is never understated
//! and overstated by less than 0.8 %. Of the exponent there is as much as tells apart what lies within 28 octaves of the
//! greatest: below a 250 millionth of it a demand is taken for so much. That makes 12 bits. Once a day it is seen whether
//! the greatest has left.

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

/// Codes have so many bits, and two of them three bytes. 0 is no demand, those up to [`CODE_MAX`] are demands in their
/// order.
const CODE_BITS: u32 = 12;
const MISSING: u16 = (1 << CODE_BITS) - 1;
const CODE_MAX: u16 = MISSING - 1;

/// Codes that are left free above a demand that is too great for the others: four octaves of 128.
const FREE_ABOVE: u16 = 4 * 128;

/// Demand by bin, a gap where nothing was measured.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct DemandRing {
    /// Bin behind the newest closed one; `None` before the first.
    next: Option<i64>,
    codes: Codes,
}

/// Codes by bin modulo their number; it grows until there are [`KEPT`].
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
struct Codes {
    /// Two in three bytes.
    bytes: Vec<u8>,
    count: u16,
    /// Upper half of the number before the one of the code 1.
    base: u16,
}

/// The upper half of a number, rounded up; 0 of one below 0.
fn upper_half(x: f32) -> u16 {
    let bits = if x > 0.0 { x.to_bits() } else { 0 };
    ((bits >> 16) + u32::from(bits & 0xFFFF != 0)) as u16
}

impl Codes {
    fn len(&self) -> usize {
        self.count.into()
    }

    fn get(&self, place: usize) -> u16 {
        let at = place / 2 * 3;
        let [low, middle, high] = [0, 1, 2].map(|byte| u16::from(self.bytes.get(at + byte).copied().unwrap_or(0)));
        if place.is_multiple_of(2) { low | (middle & 0xF) << 8 } else { middle >> 4 | high << 4 }
    }

    fn set(&mut self, place: usize, code: u16) {
        let (at, [low, high]) = (place / 2 * 3, code.to_le_bytes());
        if place.is_multiple_of(2) {
            self.bytes[at] = low;
            self.bytes[at + 1] = self.bytes[at + 1] & 0xF0 | high;
        } else {
            self.bytes[at + 1] = self.bytes[at + 1] & 0xF | low << 4;
            self.bytes[at + 2] = low >> 4 | high << 4;
        }
    }

    /// Adds one, of fewer than [`KEPT`].
    fn push(&mut self, code: u16) {
        if self.len().is_multiple_of(2) {
            if self.bytes.len() == self.bytes.capacity() {
                self.bytes.reserve_exact(GROWTH.min(KEPT - self.len()).div_ceil(2) * 3);
            }
            self.bytes.extend([0; 3]);
        }
        self.count += 1;
        self.set(self.len() - 1, code);
    }

    /// Moves each by so many places back, those at the beginning to the end.
    fn rotate_right(&mut self, places: usize) {
        let mut codes: Vec<u16> = (0..self.len()).map(|place| self.get(place)).collect();
        codes.rotate_right(places);
        codes.iter().enumerate().for_each(|(place, code)| self.set(place, *code));
    }

    /// That of a demand. Where it is too great for the others, they become as much less.
    fn code_of(&mut self, demand: f32) -> u16 {
        let number = upper_half(demand);
        if number == 0 {
            return 0;
        }
        if number > self.base.saturating_add(CODE_MAX) || self.base == 0 {
            let base = (number + FREE_ABOVE).saturating_sub(CODE_MAX).max(self.base);
            let less = base - self.base;
            for place in 0..self.len() {
                let code = self.get(place);
                if code != 0 && code != MISSING {
                    self.set(place, code.saturating_sub(less).max(1));
                }
            }
            self.base = base;
        }
        number.saturating_sub(self.base).max(1)
    }

    /// Moves the codes up as far as the greatest of them lets room, so that smaller demands can be told apart again.
    fn fit(&mut self) {
        let known = (0..self.len()).map(|place| self.get(place)).filter(|code| *code != MISSING);
        let more = match known.max() {
            None | Some(0) => self.base,
            Some(greatest) => (CODE_MAX - FREE_ABOVE).saturating_sub(greatest).min(self.base),
        };
        for place in 0..self.len() {
            let code = self.get(place);
            if more > 0 && code != 0 && code != MISSING {
                self.set(place, code + more);
            }
        }
        self.base -= more;
    }

    /// The demand of a code; `None` where it is missing.
    fn demand(&self, code: u16) -> Option<f32> {
        let number = if code == 0 { 0 } else { self.base + code };
        (code != MISSING).then(|| f32::from_bits(u32::from(number) << 16))
    }
}

impl DemandRing {
    /// Newest closed bin.
    pub fn newest(&self) -> Option<i64> {
        self.next.map(|next| next - 1)
    }

    /// Number of bins that are kept, gaps included.
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// Whether no bin was closed yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
        let code = demand.filter(|d| d.is_finite()).map_or(MISSING, |demand| self.codes.code_of(demand));
        self.put(bin, code);
        self.next = Some(bin + 1);
    }

    /// Raises the known demand of closed bins, from `first` to `last`, to no less than an amount.
    pub fn raise(&mut self, first: i64, last: i64, least: f32) {
        let least = self.codes.code_of(least);
        for bin in first..=last {
            if let Some((place, code)) = self.place(bin).zip(self.code_at(bin)) {
                self.codes.set(place, code.max(least));
            }
        }
    }

    fn put(&mut self, bin: i64, code: u16) {
        if self.len() < KEPT {
            // The ring's first element is bin 0 of its own count, so places follow from the bin once it is full.
            self.codes.push(code);
            if self.len() == KEPT {
                let turn = (bin + 1).rem_euclid(KEPT as i64) as usize;
                self.codes.rotate_right(turn);
            }
        } else {
            self.codes.set(bin.rem_euclid(KEPT as i64) as usize, code);
        }
        if bin.rem_euclid(DAY_BINS) == 0 {
            self.codes.fit();
        }
    }

    /// Demand of a closed bin.
    pub fn at(&self, bin: i64) -> Option<f32> {
        self.code_at(bin).and_then(|code| self.codes.demand(code))
    }

    /// That of a closed bin that is kept and not missing.
    fn code_at(&self, bin: i64) -> Option<u16> {
        self.place(bin).map(|place| self.codes.get(place)).filter(|code| *code != MISSING)
    }

    fn place(&self, bin: i64) -> Option<usize> {
        let next = self.next?;
        let age = next - 1 - bin;
        if age < 0 || age >= self.len() as i64 {
            return None;
        }
        Some(if self.len() < KEPT { self.len() - 1 - age as usize } else { bin.rem_euclid(KEPT as i64) as usize })
    }

    /// Greatest demand of the closed bins from `first` to `last`; `None` where all are gaps.
    pub fn maximum(&self, first: i64, last: i64) -> Option<f32> {
        // Codes are in the order of the demands.
        self.codes_of(first, last).max().and_then(|code| self.codes.demand(code))
    }

    /// Those of the closed bins from `first` to `last` that are kept and not missing, in their order.
    fn codes_of(&self, first: i64, last: i64) -> impl Iterator<Item = u16> {
        let newest = self.newest().unwrap_or(last);
        let (first, last) = (first.max(newest - self.len() as i64 + 1), last.min(newest));
        let count = usize::try_from(last - first + 1).unwrap_or(0);
        let begin = self.place(first).unwrap_or(0);
        let places = (begin..self.len()).chain(0..begin).take(count);
        places.map(|place| self.codes.get(place)).filter(|code| *code != MISSING)
    }

    /// Quantiles of the last so many closed bins at ascending levels, each the least demand that so large a share of them
    /// does not exceed; `None` before [`DAY_BINS`] of them are known.
    pub fn quantiles<const N: usize>(&self, last: i64, levels: [f64; N]) -> Option<[f32; N]> {
        let newest = self.newest()?;
        let mut known: Vec<u16> = self.codes_of(newest - last + 1, newest).collect();
        if known.len() < DAY_BINS as usize {
            return None;
        }
        let mut from = 0;
        Some(levels.map(|level| {
            let place = ((level * known.len() as f64).ceil() as usize).clamp(from + 1, known.len()) - 1;
            let (_, at, _) = known[from..].select_nth_unstable(place - from);
            let code = *at;
            from = place;
            self.codes.demand(code).unwrap_or(0.0)
        }))
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.codes.bytes.capacity()
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
                    prop_assert!(kept >= wanted && kept <= wanted * 1.008 + 4e-9 * 1e6, "{} is kept as {}", wanted, kept);
                    prop_assert!(wanted != 0.0 || kept == 0.0, "{} of none", kept);
                }
            }
            let direct = (0..36).filter_map(|age| ring.at(bin - age)).reduce(f32::max);
            prop_assert_eq!(ring.maximum(bin - 35, bin), direct);
            let mut kept: Vec<f32> = (0..KEPT as i64).filter_map(|age| ring.at(bin - age)).collect();
            kept.sort_by(f32::total_cmp);
            let of = |level: f64| kept[((level * kept.len() as f64).ceil() as usize).max(1) - 1];
            let wanted = (kept.len() >= DAY_BINS as usize).then(|| [of(0.5), of(0.5), of(0.98)]);
            prop_assert_eq!(ring.quantiles(KEPT as i64, [0.5, 0.5, 0.98]), wanted);
            prop_assert!(2 * ring.heap_bytes() <= 3 * KEPT.min(ring.len() + GROWTH));
        }
    }

    #[test]
    fn what_lies_far_below_the_greatest_is_taken_for_a_little() {
        let mut ring = DemandRing::default();
        let demands = [1e-3, 0.5, 0.0, 3e9, 1e-3, 7.0, f32::MAX, 1.0];
        for (bin, demand) in (0..).zip(demands) {
            ring.close(bin, Some(demand));
        }
        ring.close(8, None);
        let kept: Vec<f32> = (0..8).filter_map(|bin| ring.at(bin)).collect();
        assert_eq!((kept.len(), kept[2], ring.at(8), ring.maximum(8, 8)), (8, 0.0, None, None));
        assert!(kept.iter().zip(demands).all(|(kept, demand)| *kept >= demand), "{kept:?}");
        let little = f32::MAX / 2f32.powi(27);
        assert!([0, 1, 4, 5, 7].iter().all(|bin| kept[*bin] < little), "{kept:?}");
        assert!((kept[3] - 3e9).abs() < little && ring.maximum(0, 7) == ring.at(6), "{kept:?}");
    }

    /// As an agent may report once that sends a wrong unit.
    #[test]
    fn what_was_far_above_the_others_makes_them_coarse_until_it_has_left() {
        let mut ring = DemandRing::default();
        let demand_at = |bin: i64| if bin == 5 { 1e12 } else { 1.0 + (bin % 7) as f32 };
        for bin in 0..2 * WEEK_BINS + DAY_BINS {
            ring.close(bin, Some(demand_at(bin)));
            if bin < WEEK_BINS + 5 && bin % DAY_BINS == 0 {
                assert!(ring.maximum(0, bin) >= (0..=bin).map(demand_at).reduce(f32::max), "bin {bin}");
            }
        }
        assert!(ring.at(WEEK_BINS - 1).is_none());
        let last = 2 * WEEK_BINS + DAY_BINS - 1;
        for bin in last - DAY_BINS..=last {
            assert_eq!(ring.at(bin), Some(demand_at(bin)), "whole numbers stay what they are");
        }
        (last + 1..=last + WEEK_BINS + DAY_BINS).for_each(|bin| ring.close(bin, Some(0.0)));
        ring.close(last + WEEK_BINS + DAY_BINS + 1, Some(1e-9));
        assert!(ring.at(last + WEEK_BINS + DAY_BINS + 1).is_some_and(|kept| (1e-9..1.01e-9).contains(&kept)));
    }

    #[test]
    fn what_is_small_is_kept_as_well_as_what_is_large() {
        for unit in [1e-30, 1e-9, 1.0, 1e30f32] {
            let mut ring = DemandRing::default();
            (0..400).for_each(|bin| ring.close(bin, Some(unit * (1.0 + bin as f32))));
            for bin in 0..400 {
                let (kept, demand) = (ring.at(bin).unwrap(), unit * (1.0 + bin as f32));
                assert!(kept >= demand && kept <= demand * 1.008, "{kept} for {demand}");
            }
        }
    }
}
