//! The newest values of a grid, by the grid's index; NaN where there is none.

use crate::scaled::Scaled;
use bitcode::{Decode, Encode};
use std::collections::VecDeque;

/// How many places the ring grows by until it has its full length: most workloads of a burst of
/// new ones are gone before they need it.
const GROWTH: usize = 24;

/// Up to so many values, the last at `newest`. `V` says how they are held.
#[derive(Clone, Debug, Default, Encode, Decode)]
pub struct Ring<V> {
    newest: i64,
    values: V,
}

/// Values as they came.
#[derive(Clone, Debug, Default, Encode, Decode)]
pub struct Exact(VecDeque<f32>);

/// Values in 16 bits each: one is off by less than a 30,000th of what lies between the least and the greatest of them.
#[derive(Clone, Debug, Default, Encode, Decode)]
pub struct Rounded(Scaled);

/// How values are held, oldest first; NaN for none.
pub trait Values: Clone + Default {
    /// Places held.
    fn count(&self) -> usize;
    /// Places that there is room for.
    fn room(&self) -> usize;
    /// Makes room for so many places more.
    fn make_room(&mut self, places: usize);
    /// Adds a place without a value.
    fn push(&mut self);
    /// Takes the oldest place away and adds one without a value.
    fn turn(&mut self);
    /// Sets the value at the newest place, if there is one.
    fn set_newest(&mut self, value: f32);
    /// The value at a place that there is.
    fn at(&self, place: usize) -> f32;
    /// Bytes on the heap.
    fn heap_bytes(&self) -> usize;
}

impl Values for Exact {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn room(&self) -> usize {
        self.0.capacity()
    }

    fn make_room(&mut self, places: usize) {
        self.0.reserve_exact(places);
    }

    fn push(&mut self) {
        self.0.push_back(f32::NAN);
    }

    fn turn(&mut self) {
        self.0.pop_front();
        self.0.push_back(f32::NAN);
    }

    fn set_newest(&mut self, value: f32) {
        if let Some(place) = self.0.back_mut() {
            *place = value;
        }
    }

    fn at(&self, place: usize) -> f32 {
        self.0[place]
    }

    fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<f32>()
    }
}

impl Values for Rounded {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn room(&self) -> usize {
        self.0.capacity()
    }

    fn make_room(&mut self, places: usize) {
        self.0.reserve_exact(places);
    }

    fn push(&mut self) {
        self.0.push(f32::NAN);
    }

    fn turn(&mut self) {
        self.0.turn();
    }

    fn set_newest(&mut self, value: f32) {
        if let Some(place) = self.0.len().checked_sub(1) {
            self.0.set(place, value);
        }
    }

    fn at(&self, place: usize) -> f32 {
        self.0.get(place).unwrap_or(f32::NAN)
    }

    fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }
}

impl<V: Values> PartialEq for Ring<V> {
    fn eq(&self, other: &Self) -> bool {
        let same = |((_, a), (_, b)): ((i64, f32), (i64, f32))| a.to_bits() == b.to_bits();
        self.newest == other.newest && self.span() == other.span() && self.places().zip(other.places()).all(same)
    }
}

impl<V: Values> Ring<V> {
    /// Index of the newest place; while [`Ring::span`] is 0, what [`Ring::begin_behind`] says.
    pub fn newest(&self) -> i64 {
        self.newest
    }

    /// Places held, those without a value included.
    pub fn span(&self) -> usize {
        self.values.count()
    }

    /// Says of a ring without places which index the newest one would have.
    pub fn begin_behind(&mut self, index: i64) {
        self.newest = index;
    }

    /// Moves to `index`, with no value at the places in between and at `index`.
    pub fn advance(&mut self, index: i64, capacity: usize) {
        let moved = if self.span() == 0 { 1 } else { (index - self.newest).max(0) };
        for _ in 0..moved.min(capacity as i64) {
            if self.span() >= capacity {
                self.values.turn();
                continue;
            }
            if self.span() == self.values.room() {
                self.values.make_room(GROWTH.min(capacity - self.span()));
            }
            self.values.push();
        }
        self.newest = index;
    }

    /// Sets the value at the newest place.
    pub fn set_newest(&mut self, value: f32) {
        self.values.set_newest(value);
    }

    /// The value at an index, if it is held and has one.
    pub fn get(&self, index: i64) -> Option<f32> {
        let back = usize::try_from(self.newest - index).ok()?;
        let place = self.span().checked_sub(back + 1)?;
        Some(self.values.at(place)).filter(|v| !v.is_nan())
    }

    /// The held places from the oldest to the newest, with their index; NaN without a value.
    pub fn places(&self) -> impl Iterator<Item = (i64, f32)> + '_ {
        let first = self.newest + 1 - self.span() as i64;
        (0..self.span()).map(move |place| (first + place as i64, self.values.at(place)))
    }

    /// The held places that have a value.
    pub fn present(&self) -> impl Iterator<Item = (i64, f32)> + '_ {
        self.places().filter(|(_, v)| !v.is_nan())
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.values.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds_the_newest<V: Values>() {
        let mut ring = Ring::<V>::default();
        for (index, value) in [(10, 1.0), (11, 2.0), (14, 3.0)] {
            ring.advance(index, 4);
            ring.set_newest(value);
        }
        assert_eq!(ring.present().collect::<Vec<_>>(), vec![(11, 2.0), (14, 3.0)]);
        assert_eq!((ring.get(10), ring.get(11), ring.get(12), ring.get(15)), (None, Some(2.0), None, None));
        ring.advance(1_000_000, 4);
        assert_eq!((ring.span(), ring.present().count()), (4, 0));
    }

    #[test]
    fn both_hold_the_newest_and_mark_gaps() {
        holds_the_newest::<Exact>();
        holds_the_newest::<Rounded>();
    }
}
