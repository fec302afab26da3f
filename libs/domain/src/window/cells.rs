//! Means over equal cells of time, newest first to go out of use last, and how they recur.

use super::co_moments::CoMoments;
use super::ring::{Ring, Rounded};
use bitcode::{Decode, Encode};

/// A correlation needs so many pairs.
const PAIRS_MIN: u64 = 8;

/// Cells older than the ring's length are kept this much coarser, for lags of that length.
const COARSENING: i64 = 3;

/// Means of the closed cells, rounded, and the sum over the open one.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct CellMeans {
    /// Its newest place is the one before the open cell.
    closed: Ring<Rounded>,
    sum: f64,
    count: u32,
    has_open: bool,
}

impl CellMeans {
    /// Adds a value (or the lack of one) to `cell`, which never goes back. True when this closed
    /// a cell.
    pub fn record(&mut self, cell: i64, value: Option<f64>, capacity: usize) -> bool {
        let closes = self.open().is_some_and(|open| open < cell);
        if closes {
            self.close_up_to(cell, capacity);
        } else if !self.has_open {
            self.closed.begin_behind(cell - 1);
            self.has_open = true;
        }
        if let Some(value) = value {
            self.sum += value;
            self.count += 1;
        }
        closes
    }

    fn open(&self) -> Option<i64> {
        self.has_open.then(|| self.closed.newest() + 1)
    }

    fn close_up_to(&mut self, cell: i64, capacity: usize) {
        let Some(open) = self.open() else { return };
        self.closed.advance(open, capacity);
        if let Some(mean) = self.open_mean() {
            self.closed.set_newest(mean);
        }
        if cell - 1 > open {
            self.closed.advance(cell - 1, capacity);
        }
        (self.sum, self.count) = (0.0, 0);
    }

    fn open_mean(&self) -> Option<f32> {
        (self.count > 0).then(|| (self.sum / f64::from(self.count)) as f32)
    }

    /// The closed cells.
    pub fn closed(&self) -> &Ring<Rounded> {
        &self.closed
    }

    /// The mean of a cell, the open one included.
    pub fn mean(&self, cell: i64) -> Option<f64> {
        if self.open() == Some(cell) { self.open_mean() } else { self.closed.get(cell) }.map(f64::from)
    }

    /// Autocorrelation of the newest `window` closed cells at a lag of `lag` cells: Pearson's
    /// correlation of the pairs that have both values.
    pub fn autocorrelation(&self, window: i64, lag: i64) -> Option<f64> {
        let newest = self.closed.newest();
        let mut pairs = CoMoments::default();
        for cell in newest - window + 1..=newest {
            if let (Some(now), Some(then)) = (self.closed.get(cell), self.closed.get(cell - lag)) {
                pairs.push(f64::from(then), f64::from(now));
            }
        }
        correlation_of(&pairs, lag)
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.closed.heap_bytes()
    }
}

fn correlation_of(pairs: &CoMoments, lag: i64) -> Option<f64> {
    (pairs.count >= PAIRS_MIN && 2 * pairs.count as i64 >= lag).then(|| pairs.correlation()).flatten()
}

/// [`CellMeans`] of one window's length, and of the window before it in cells three times as
/// wide, so that a lag of the whole window can be seen.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct TwoWindowMeans {
    /// The newest window.
    pub newest: CellMeans,
    before: CellMeans,
}

impl TwoWindowMeans {
    /// As [`CellMeans::record`]; `capacity` is a multiple of three.
    pub fn record(&mut self, cell: i64, value: Option<f64>, capacity: usize) -> bool {
        if let Some(open) = self.newest.open().filter(|open| *open < cell) {
            let coarse = capacity / COARSENING as usize;
            let window = capacity as i64;
            // Beyond two windows nothing is left of what leaves, so it need not be gone through.
            for closing in open.max(cell - 2 * window)..cell {
                let leaving = closing - window;
                self.before.record(leaving.div_euclid(COARSENING), self.newest.mean(leaving), coarse);
            }
        }
        self.newest.record(cell, value, capacity)
    }

    /// Autocorrelation at a lag of the whole window, over the coarse cells that are wholly in it.
    pub fn autocorrelation_at_window(&self, capacity: usize) -> Option<f64> {
        let lag = capacity as i64 / COARSENING;
        let newest_cell = self.newest.closed.newest();
        let newest = (newest_cell + 1).div_euclid(COARSENING) - 1;
        let oldest = (newest_cell - capacity as i64 + COARSENING).div_euclid(COARSENING);
        let mut pairs = CoMoments::default();
        for coarse in oldest..=newest {
            let fine = (coarse * COARSENING..(coarse + 1) * COARSENING).filter_map(|c| self.newest.closed.get(c));
            let (sum, count) = fine.fold((0.0, 0), |(sum, count), v| (sum + f64::from(v), count + 1));
            if count > 0
                && let Some(then) = self.before.mean(coarse - lag)
            {
                pairs.push(then, sum / f64::from(count));
            }
        }
        correlation_of(&pairs, lag)
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.newest.heap_bytes() + self.before.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_hold_means_and_gaps() {
        let mut cells = CellMeans::default();
        for (cell, value) in [(5, 1.0), (5, 3.0), (6, 7.0), (9, 8.0)] {
            cells.record(cell, Some(value), 10);
        }
        assert_eq!(cells.closed().present().collect::<Vec<_>>(), vec![(5, 2.0), (6, 7.0)]);
        assert_eq!(cells.closed().newest(), 8);
        assert_eq!(cells.mean(9), Some(8.0));
    }

    #[test]
    fn a_week_that_repeats_correlates_fully() {
        let mut cells = TwoWindowMeans::default();
        let value = |cell: i64| ((cell % 168) as f64 * 0.37).sin();
        for cell in 0..250 {
            cells.record(cell, Some(value(cell)), 168);
        }
        assert_eq!(cells.autocorrelation_at_window(168), None);
        for cell in 250..400 {
            cells.record(cell, Some(value(cell)), 168);
        }
        assert!((cells.autocorrelation_at_window(168).unwrap() - 1.0).abs() < 1e-6);
        cells.record(400 + 10_000_000, Some(1.0), 168);
        assert_eq!(cells.autocorrelation_at_window(168), None);
    }
}
