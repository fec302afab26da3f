//! The newest values of a grid, by the grid's index; NaN where there is none.

use bitcode::{Decode, Encode};
use std::collections::VecDeque;

/// How many places the ring grows by until it has its full length: most workloads of a burst of
/// new ones are gone before they need it.
const GROWTH: usize = 24;

/// Up to so many values, the last at `newest`.
#[derive(Clone, Debug, Default, Encode, Decode)]
pub struct Ring {
    newest: i64,
    values: VecDeque<f32>,
}

impl PartialEq for Ring {
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits();
        self.newest == other.newest
            && self.values.len() == other.values.len()
            && self.values.iter().zip(&other.values).all(same)
    }
}

impl Ring {
    /// Index of the newest place; meaningless while [`Ring::span`] is 0.
    pub fn newest(&self) -> i64 {
        self.newest
    }

    /// Places held, those without a value included.
    pub fn span(&self) -> usize {
        self.values.len()
    }

    /// Moves to `index`, with no value at the places in between and at `index`.
    pub fn advance(&mut self, index: i64, capacity: usize) {
        let moved = if self.values.is_empty() { 1 } else { (index - self.newest).max(0) };
        for _ in 0..moved.min(capacity as i64) {
            if self.values.len() >= capacity {
                self.values.pop_front();
            } else if self.values.len() == self.values.capacity() {
                self.values.reserve_exact(GROWTH.min(capacity - self.values.len()));
            }
            self.values.push_back(f32::NAN);
        }
        self.newest = index;
    }

    /// Sets the value at the newest place.
    pub fn set_newest(&mut self, value: f32) {
        if let Some(place) = self.values.back_mut() {
            *place = value;
        }
    }

    /// The value at an index, if it is held and has one.
    pub fn get(&self, index: i64) -> Option<f32> {
        let back = usize::try_from(self.newest - index).ok()?;
        let place = self.values.len().checked_sub(back + 1)?;
        self.values.get(place).copied().filter(|v| !v.is_nan())
    }

    /// The held places from the oldest to the newest, with their index; NaN without a value.
    pub fn places(&self) -> impl Iterator<Item = (i64, f32)> + '_ {
        let first = self.newest + 1 - self.values.len() as i64;
        self.values.iter().enumerate().map(move |(i, v)| (first + i as i64, *v))
    }

    /// The held places that have a value.
    pub fn present(&self) -> impl Iterator<Item = (i64, f32)> + '_ {
        self.places().filter(|(_, v)| !v.is_nan())
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.values.capacity() * size_of::<f32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_the_newest_and_marks_gaps() {
        let mut ring = Ring::default();
        for (index, value) in [(10, 1.0), (11, 2.0), (14, 3.0)] {
            ring.advance(index, 4);
            ring.set_newest(value);
        }
        assert_eq!(ring.present().collect::<Vec<_>>(), vec![(11, 2.0), (14, 3.0)]);
        assert_eq!((ring.get(10), ring.get(11), ring.get(12), ring.get(15)), (None, Some(2.0), None, None));
        ring.advance(1_000_000, 4);
        assert_eq!((ring.span(), ring.present().count()), (4, 0));
    }
}
