//! A day of numbers on the grid, the oldest giving way to the newest. Knows nothing of what they are.

use crate::forecast::DAY_BINS;
use crate::scaled::Scaled;
use bitcode::{Decode, Encode};

const MASK_WORDS: usize = DAY_BINS.div_ceil(64);

/// Places by which the ring grows until it holds a day: a short-lived series never needs them all.
const GROWTH: usize = DAY_BINS / 6;

/// The last [`DAY_BINS`] numbers that were pushed, and whether each was measured or filled in. They have 16 bits: each is
/// off by less than a 30,000th of what lies between the least and the greatest of them.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct DayRing {
    values: Scaled,
    /// One bit a place of `values`.
    measured: [u64; MASK_WORDS],
    /// Place of the next push.
    next: u16,
}

impl DayRing {
    /// Adds a number; once there are [`DAY_BINS`] it takes the place of the oldest.
    pub fn push(&mut self, value: f64, is_measured: bool) {
        let place = usize::from(self.next);
        if self.is_full() {
            self.values.set(place, value as f32);
        } else {
            if self.values.len() == self.values.capacity() {
                self.values.reserve_exact(GROWTH.min(DAY_BINS - self.values.len()));
            }
            self.values.push(value as f32);
        }
        let bit = 1 << (place % 64);
        self.measured[place / 64] &= !bit;
        if is_measured {
            self.measured[place / 64] |= bit;
        }
        self.next = ((place + 1) % DAY_BINS) as u16;
    }

    /// Puts another number in the place of the one pushed `back` pushes before the newest (0: the newest), which counts as
    /// filled in from then on. Nothing happens beyond what is held.
    pub fn fill_in_back(&mut self, back: usize, value: f64) {
        if back < self.len() {
            let place = (usize::from(self.next) + DAY_BINS - 1 - back) % DAY_BINS;
            self.values.set(place, value as f32);
            self.measured[place / 64] &= !(1 << (place % 64));
        }
    }

    /// Numbers held.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.values.len() == 0
    }

    /// Whether it holds a day.
    pub fn is_full(&self) -> bool {
        self.values.len() == DAY_BINS
    }

    /// The number pushed [`DAY_BINS`] pushes before the one to come `ahead` pushes from now (0: the
    /// next), with whether it was measured; `None` while the ring is not full, or from a day on.
    pub fn day_before(&self, ahead: usize) -> Option<(f64, bool)> {
        if !self.is_full() || ahead >= DAY_BINS {
            return None;
        }
        let place = (usize::from(self.next) + ahead) % DAY_BINS;
        Some((self.value_at(place), self.was_measured(place)))
    }

    /// The newest numbers, oldest first, as many as there are or fit into `into`; returns how many.
    pub fn newest(&self, into: &mut [f64]) -> usize {
        let count = self.len().min(into.len());
        let first = if self.is_full() { usize::from(self.next) } else { 0 };
        for (i, place) in into.iter_mut().take(count).enumerate() {
            *place = self.value_at((first + self.len() - count + i) % DAY_BINS);
        }
        count
    }

    /// Like [`Self::newest`], whether each was measured.
    pub fn newest_measured(&self, into: &mut [bool]) -> usize {
        let count = self.len().min(into.len());
        let first = if self.is_full() { usize::from(self.next) } else { 0 };
        for (i, place) in into.iter_mut().take(count).enumerate() {
            *place = self.was_measured((first + self.len() - count + i) % DAY_BINS);
        }
        count
    }

    /// Whether the number pushed `back` pushes before the newest (0: the newest) was measured; `false`
    /// beyond what is held.
    pub fn is_measured_back(&self, back: usize) -> bool {
        back < self.len() && self.was_measured((usize::from(self.next) + DAY_BINS - 1 - back) % DAY_BINS)
    }

    /// The number pushed `back` pushes before the newest (0: the newest).
    pub fn value_back(&self, back: usize) -> Option<f64> {
        let place = (usize::from(self.next) + 2 * DAY_BINS - 1 - back) % DAY_BINS;
        (back < self.len()).then(|| self.value_at(place))
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.values.heap_bytes()
    }

    fn value_at(&self, place: usize) -> f64 {
        self.values.get(place).map_or(0.0, f64::from)
    }

    fn was_measured(&self, place: usize) -> bool {
        self.measured[place / 64] & (1 << (place % 64)) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_ring_is_the_end_of_what_was_pushed(
            pushed in proptest::collection::vec((0u16..1000, proptest::bool::ANY), 0..700),
            room in 0usize..300,
        ) {
            let mut ring = DayRing::default();
            for (value, measured) in &pushed {
                ring.push(f64::from(*value), *measured);
            }
            let held = &pushed[pushed.len().saturating_sub(DAY_BINS)..];
            prop_assert_eq!((ring.len(), ring.is_full()), (held.len(), held.len() == DAY_BINS));
            let (mut values, mut measured) = (vec![0.0; room], vec![false; room]);
            let count = held.len().min(room);
            prop_assert_eq!(ring.newest(&mut values), count);
            prop_assert_eq!(ring.newest_measured(&mut measured), count);
            for (i, wanted) in held[held.len() - count..].iter().enumerate() {
                prop_assert_eq!((values[i], measured[i]), (f64::from(wanted.0), wanted.1));
            }
            for (back, wanted) in held.iter().rev().enumerate() {
                prop_assert_eq!(ring.value_back(back), Some(f64::from(wanted.0)));
                prop_assert_eq!(ring.is_measured_back(back), wanted.1);
                let mut filled = ring.clone();
                filled.fill_in_back(back, 7.0);
                prop_assert_eq!((filled.value_back(back), filled.is_measured_back(back)), (Some(7.0), false));
                prop_assert_eq!(filled.value_back(back + 1), ring.value_back(back + 1));
            }
            prop_assert_eq!(ring.value_back(held.len()), None);
            prop_assert!(!ring.is_measured_back(held.len()));
            for ahead in [0, 1, 287] {
                let wanted = ring.is_full().then(|| (f64::from(held[ahead].0), held[ahead].1));
                prop_assert_eq!(ring.day_before(ahead), wanted);
            }
            prop_assert_eq!(ring.day_before(DAY_BINS), None);
            prop_assert!(ring.heap_bytes() <= DAY_BINS * 2);
        }
    }
}
