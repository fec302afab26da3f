//! The two rolling windows of a KPI, kept so that a step costs the same however long they are.
//!
//! The short window slides exactly: its values are kept (up to [`SHORT_SLOTS_MAX`]; a finer grid
//! is averaged into that many slots) and its sums are made from them anew at each step. The long
//! window is made of panes that merge (Li et al. 2005, "No pane, no gain"): [`LONG_PANES`] closed
//! ones and the open one, so it reaches back between one window and one pane more. Means over
//! 1/168 of the long window (an hour of seven days) serve seasons and autocorrelation, which are
//! made anew when one is complete; 1/12 of the short window does for that one.
//!
//! Values are kept as `f32`: 24 bits are more than any KPI is measured with. Means of cells have 16 bits, within a
//! 30,000th of what lies between the least and the greatest of them: seasons and autocorrelation, which are made of
//! nothing else, differ in the fifth digit. So do seasons and autocorrelation of the short window as they are kept, and
//! the wave of an hour over the long one.

pub mod cells;
pub mod closing;
pub mod co_moments;
pub mod fourier;
pub mod grid;
pub mod log_histogram;
pub mod panes;
pub mod rhythm;
pub mod ring;
pub mod workload_windows;

use crate::window::cells::{CellMeans, TwoWindowMeans};
use crate::window::fourier::{Point, Workspace};
use crate::window::grid::{Grid, LONG_CELLS, SHORT_BLOCKS};
use crate::window::panes::{Aggregate, Instant, LongPanes};
use crate::window::rhythm::{PackedRhythm, Rhythm};
use crate::window::ring::{Exact, Ring, Values};
use bitcode::{Decode, Encode};

pub use crate::window::grid::{SHORT_SLOTS_MAX, WindowSettings};
pub use crate::window::panes::LONG_PANES;

const HOUR_S: i64 = 3600;
const DAY_S: i64 = 24 * HOUR_S;
const WEEK_S: i64 = 7 * DAY_S;

/// Both windows of one KPI of one workload.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct KpiWindows {
    slots: Ring<Exact>,
    /// Values averaged into the newest slot.
    slot_values: u32,
    blocks: CellMeans,
    short_rhythm: PackedRhythm,
    panes: LongPanes,
    cells: TwoWindowMeans,
    long_rhythm: PackedRhythm,
}

/// Room for making the short window's sums, so that a step does not allocate.
#[derive(Default)]
pub struct ShortSums {
    /// The short window's histogram, after [`KpiWindows::short`].
    pub histogram: Vec<u8>,
    buckets: Vec<i16>,
}

impl KpiWindows {
    /// Moves both windows to `instant`, which is later than any before, and adds its value, if
    /// there is one.
    pub fn record(&mut self, grid: &Grid, instant: &Instant, value: Option<f64>, workspace: &mut Workspace) {
        let value = value.map(|v| (v as f32).clamp(f32::MIN, f32::MAX));
        self.record_slot(instant.at_s.div_euclid(grid.slot_s()), value, grid.slots());
        self.panes.record(instant, value, grid.pane_s());
        let value = value.map(f64::from);
        if self.blocks.record(instant.at_s.div_euclid(grid.block_s()), value, 2 * SHORT_BLOCKS) {
            self.short_rhythm = PackedRhythm::from(&self.rhythm_of_short(grid, workspace));
        }
        if self.cells.record(instant.at_s.div_euclid(grid.cell_s()), value, LONG_CELLS) {
            self.long_rhythm = PackedRhythm::from(&self.rhythm_of_long(grid, workspace));
        }
    }

    fn record_slot(&mut self, slot: i64, value: Option<f32>, slots: usize) {
        if self.slots.span() == 0 || slot > self.slots.newest() {
            self.slots.advance(slot, slots);
            self.slot_values = 0;
        }
        if let Some(value) = value {
            self.slot_values += 1;
            let before = self.slots.get(slot).unwrap_or(0.0);
            self.slots.set_newest(before + (value - before) / self.slot_values as f32);
        }
    }

    /// Sums over the short window; its histogram goes to `sums`.
    pub fn short(&self, grid: &Grid, sums: &mut ShortSums) -> Aggregate {
        let (slot_s, offset_s) = (grid.slot_s(), grid.slot_offset_s());
        let mut whole = Aggregate::default();
        let mut mean = 0.0;
        sums.buckets.clear();
        for (_, value) in self.slots.present() {
            let y = f64::from(value);
            whole.min = if sums.buckets.is_empty() { y } else { whole.min.min(y) };
            whole.max = if sums.buckets.is_empty() { y } else { whole.max.max(y) };
            mean += y;
            sums.buckets.push(log_histogram::bucket_of(value));
        }
        mean /= sums.buckets.len().max(1) as f64;
        let at_s = |slot: i64| (slot * slot_s) as f64 + offset_s;
        let first_s = self.slots.places().next().map_or(0.0, |(slot, _)| at_s(slot));
        let (turn_sin, turn_cos) = (std::f64::consts::TAU * slot_s as f64 / HOUR_S as f64).sin_cos();
        let (mut sin, mut cos) = (std::f64::consts::TAU * (first_s % HOUR_S as f64) / HOUR_S as f64).sin_cos();
        for (slot, value) in self.slots.places() {
            if !value.is_nan() {
                let y = f64::from(value);
                whole.moments.push(at_s(slot) / HOUR_S as f64, y);
                whole.cos_1h += (y - mean) * cos;
                whole.sin_1h += (y - mean) * sin;
            }
            (cos, sin) = (cos * turn_cos - sin * turn_sin, sin * turn_cos + cos * turn_sin);
        }
        log_histogram::put_histogram_of(&mut sums.buckets, &mut sums.histogram);
        whole
    }

    /// Sums over the closed panes of the long window, with their histogram.
    pub fn long_closed(&self, grid: &Grid) -> (Aggregate, &[u8]) {
        self.panes.closed(grid.pane_s())
    }

    /// Sums over the open pane of the long window, with its histogram.
    pub fn long_open(&self) -> (Aggregate, &[u8]) {
        self.panes.open()
    }

    /// Seasons and autocorrelation of the short window, as its last whole twelfth left them.
    pub fn short_rhythm(&self) -> Rhythm {
        self.short_rhythm.unpacked()
    }

    /// Seasons and autocorrelation of the long window, as its last whole 1/168 left them.
    pub fn long_rhythm(&self) -> Rhythm {
        self.long_rhythm.unpacked()
    }

    /// Whether no value is left in either window.
    pub fn is_empty(&self) -> bool {
        self.panes.is_empty() && self.slots.present().next().is_none()
    }

    /// Bytes on the heap, without what the allocator adds.
    pub fn heap_bytes(&self) -> usize {
        self.slots.heap_bytes() + self.blocks.heap_bytes() + self.panes.heap_bytes() + self.cells.heap_bytes()
    }

    fn rhythm_of_short(&self, grid: &Grid, workspace: &mut Workspace) -> Rhythm {
        let blocks = SHORT_BLOCKS as i64;
        let acf = |lag_s: i64| {
            let lag = whole_quotient(lag_s, grid.block_s()).filter(|lag| *lag <= blocks)?;
            self.blocks.autocorrelation(blocks, lag)
        };
        let points = points_of(&self.slots, grid.slot_s(), grid.slot_offset_s());
        Rhythm::of(&points, grid.slot_s() as f64, [HOUR_S, DAY_S, WEEK_S].map(acf), workspace)
    }

    fn rhythm_of_long(&self, grid: &Grid, workspace: &mut Workspace) -> Rhythm {
        let cells = LONG_CELLS as i64;
        let acf = |lag_s: i64| match whole_quotient(lag_s, grid.cell_s())? {
            lag if lag < cells => self.cells.newest.autocorrelation(cells, lag),
            lag if lag == cells => self.cells.autocorrelation_at_window(LONG_CELLS),
            _ => None,
        };
        let points = points_of(self.cells.newest.closed(), grid.cell_s(), grid.cell_offset_s());
        Rhythm::of(&points, grid.cell_s() as f64, [HOUR_S, DAY_S, WEEK_S].map(acf), workspace)
    }
}

fn points_of<V: Values>(ring: &Ring<V>, width_s: i64, offset_s: f64) -> Vec<Point> {
    ring.places().map(|(index, value)| ((index * width_s) as f64 + offset_s, f64::from(value))).collect()
}

fn whole_quotient(dividend: i64, divisor: i64) -> Option<i64> {
    (dividend >= divisor && dividend % divisor == 0).then(|| dividend / divisor)
}
