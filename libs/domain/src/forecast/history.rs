//! The closed bins of a series over a fixed span, for families that need more than the day that the
//! demand keeps. Knows nothing of what is done with them.

use crate::forecast::DAY_BINS;
use bitcode::{Decode, Encode};
use std::collections::VecDeque;

/// Stands for a bin without samples; no demand reaches it.
const MISSING: f32 = f32::INFINITY;

/// The last `BINS` bins (as f32), the oldest giving way to the newest; a bin without samples is
/// missing. At most `4 * BINS` bytes on the heap.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct History<const BINS: usize> {
    bins: VecDeque<f32>,
}

impl<const BINS: usize> History<BINS> {
    /// Adds a bin.
    pub fn push(&mut self, value: Option<f64>) {
        if self.bins.len() == BINS {
            self.bins.pop_front();
        } else if self.bins.len() == self.bins.capacity() {
            self.bins.reserve_exact(DAY_BINS.min(BINS - self.bins.len()));
        }
        self.bins.push_back(value.map_or(MISSING, |v| v as f32));
    }

    /// Bins held.
    pub fn len(&self) -> usize {
        self.bins.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.bins.is_empty()
    }

    /// The bins, oldest first; `None` where there was no sample.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Option<f64>> + ExactSizeIterator + '_ {
        self.bins.iter().map(|value| (*value != MISSING).then(|| f64::from(*value)))
    }

    /// Bins that had samples.
    pub fn measured(&self) -> usize {
        self.iter().flatten().count()
    }

    /// The bins, oldest first, with the missing ones on straight lines between their neighbours and
    /// level at the ends. Zeros when all are missing.
    pub fn interpolated(&self) -> Vec<f64> {
        let mut values = vec![0.0; self.len()];
        let mut last: Option<(usize, f64)> = None;
        for (i, value) in self.iter().enumerate() {
            let Some(value) = value else { continue };
            let (first, from) = last.map_or((0, value), |(place, from)| (place + 1, from));
            let steps = (i + 1 - first) as f64;
            for (step, place) in values[first..=i].iter_mut().enumerate() {
                *place = from + (value - from) * ((step + 1) as f64 / steps);
            }
            last = Some((i, value));
        }
        if let Some((place, value)) = last {
            values[place + 1..].fill(value);
        }
        values
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.bins.capacity() * size_of::<f32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_end_of_what_was_pushed_within_its_bound() {
        let mut history = History::<1000>::default();
        for t in 0..2500 {
            history.push((t % 3 != 0).then_some(f64::from(t)));
            assert!(history.heap_bytes() <= 4 * 1000);
        }
        let wanted: Vec<_> = (1500..2500).map(|t| (t % 3 != 0).then_some(f64::from(t))).collect();
        assert_eq!(history.iter().collect::<Vec<_>>(), wanted);
        assert_eq!((history.len(), history.measured()), (1000, 666));
    }

    #[test]
    fn what_is_missing_lies_on_lines_between_its_neighbours() {
        let mut history = History::<20>::default();
        assert_eq!(history.interpolated(), [0.0; 0]);
        history.push(None);
        assert_eq!(history.interpolated(), [0.0]);
        for value in [Some(2.0), None, None, Some(8.0), Some(9.0), None, None] {
            history.push(value);
        }
        assert_eq!(history.interpolated(), [2.0, 2.0, 4.0, 6.0, 8.0, 9.0, 9.0, 9.0]);
    }
}
