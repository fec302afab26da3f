//! A demand series on the grid: the bin that is open, and a day of the bins before it.

use crate::forecast::capped::{Capped, Served, Truth};
use crate::forecast::day_ring::DayRing;
use crate::forecast::left_out::{LeftOut, Lesson};
use crate::forecast::{DAY_BINS, GRID_STEP_S, HORIZON_BINS_MAX};
use crate::time::EventTime;
use bitcode::{Decode, Encode};

/// Greatest magnitude of a demand; one beyond it counts as missing, so that no sum overflows.
pub const DEMAND_MAX: f64 = 1e30;

/// A series that is silent for more bins than this begins anew.
pub const SILENT_BINS_MAX: i64 = DAY_BINS as i64;

/// Half-life of the running magnitude that scales the series, in bins.
const SCALE_HALF_LIFE_BINS: f64 = 288.0;

/// What must happen before a sample can be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The sample belongs to the open bin.
    Nothing,
    /// So many bins are to be closed, the open one first.
    Close(u32),
    /// The series has not begun or was silent for too long: it starts with this sample.
    Start,
}

/// A bin that was closed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClosedBin {
    /// Its number on the grid.
    pub bin: i64,
    /// Mean of its samples; `None` when there were none.
    pub value: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
struct OpenBin {
    bin: i64,
    sum: f64,
    count: u32,
}

/// One demand series. Values are the means of the samples in each bin; a bin without samples is
/// missing and reads as the last value before it. The series begins with its first sample.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct DemandSeries {
    open: OpenBin,
    /// Bins since the series began, the open one included; 0 before it began.
    bins: u64,
    /// The closed bins of the last day, forward filled.
    day: DayRing,
    last_closed: f64,
    first_magnitude: f64,
    /// Exponentially weighted sum of magnitudes over the closed bins that were not missing, and of
    /// the weights.
    magnitude: f64,
    magnitude_weight: f64,
    lowest: f64,
    capped: Capped,
    left_out: LeftOut,
    /// Whether nothing is learnt from the open bin for other days.
    is_left_out: bool,
    /// The bins of lately that are left out, each with what takes its place: what was a day before.
    set_aside: Vec<(i64, f32)>,
}

impl DemandSeries {
    /// What is due before a sample of `at` can be added. An instant in an earlier bin than the open
    /// one counts as in the open one; who calls this drops what is out of order.
    pub fn due(&self, at: EventTime) -> Due {
        let ahead = at.bin(GRID_STEP_S) - self.open.bin;
        match ahead {
            _ if self.bins == 0 || ahead > SILENT_BINS_MAX => Due::Start,
            ..=0 => Due::Nothing,
            _ => Due::Close(ahead as u32),
        }
    }

    /// Forgets all and begins with the bin of `at`, whose first sample is `value`.
    pub fn start(&mut self, at: EventTime, value: f64) {
        *self = Self { open: OpenBin { bin: at.bin(GRID_STEP_S), ..OpenBin::default() }, bins: 1, ..Self::default() };
        self.add(value);
    }

    /// Adds a sample to the open bin of a series that has begun. See [`usable`] for what counts.
    pub fn add(&mut self, value: f64) {
        self.open.sum += value;
        self.open.count += 1;
        self.lowest = self.lowest.min(value);
    }

    /// Says what a value of the open bin could be at most: what served it.
    pub fn observe_capacity(&mut self, value: f64, served: Served) {
        self.capped.observe(value, served);
    }

    /// Says that more may have been wanted than a value of the open bin, by what was measured beside it.
    pub fn observe_hidden(&mut self) {
        self.capped.observe_hidden();
    }

    /// Says whether the open bin, which is about to be closed, was unusual. What is left out (see
    /// [`crate::forecast::left_out`]) stays what it was for as long as forecasts are scored by it; then what was at that
    /// time of the day before takes its place, so that it is not expected to come again. What comes again at a time of day
    /// of which nothing was learnt the day before is a habit, and learnt.
    pub fn judge(&mut self, is_unusual: bool) {
        let comes_again = matches!(self.day.day_before(0), Some((_, false)));
        let lesson = self.left_out.judge(is_unusual && !comes_again);
        self.is_left_out = lesson == Lesson::LeftOut;
        if lesson == Lesson::NewNormal {
            self.set_aside = Vec::new();
        }
    }

    /// Whether nothing is learnt from the open bin for other days.
    pub fn is_left_out(&self) -> bool {
        self.is_left_out
    }

    /// A bin that is about to be closed as what models are fitted on has it: `None` as well where it is left out.
    pub fn learnt(&self, closed: &ClosedBin) -> Option<f64> {
        closed.value.filter(|_| !self.is_left_out)
    }

    /// What was demanded in the open bin; `None` when there were no samples.
    pub fn truth(&self) -> Option<Truth> {
        Some(self.capped.truth(self.open_mean()?, 1))
    }

    /// The greatest demand of the last `bins` bins, as [`Self::maximum_over`].
    pub fn greatest_truth(&self, bins: usize) -> Option<Truth> {
        Some(self.capped.truth(self.maximum_over(bins)?, bins))
    }

    /// The open bin as it would be closed now. `None` before the series began.
    pub fn open(&self) -> Option<ClosedBin> {
        (self.bins > 0).then_some(ClosedBin { bin: self.open.bin, value: self.open_mean() })
    }

    /// Closes the open bin and opens the next, which is empty.
    pub fn close(&mut self) {
        let filled = self.filled();
        if let Some(value) = self.open_mean() {
            if self.magnitude_weight == 0.0 {
                self.first_magnitude = value.abs();
            }
            (self.magnitude, self.magnitude_weight) = self.magnitude_with(value);
        }
        let day_before = self.day.day_before(0);
        self.day.push(filled, self.open.count > 0);
        // In the ring's precision, so that a bin that is missing equals the one that it repeats.
        self.last_closed = self.day.value_back(0).unwrap_or(filled);
        self.capped.close();
        self.leave_out_closed(day_before);
        self.open = OpenBin { bin: self.open.bin + 1, sum: 0.0, count: 0 };
        self.bins += 1;
    }

    /// Bins since the series began, the open one included.
    pub fn bins(&self) -> u64 {
        self.bins
    }

    /// Demand in the open bin, or where it is empty in the last one before it that was not.
    pub fn filled(&self) -> f64 {
        self.open_mean().unwrap_or(self.last_closed)
    }

    /// Whether all samples so far were at least 0.
    pub fn is_non_negative(&self) -> bool {
        self.lowest >= 0.0
    }

    /// The last [`DAY_BINS`] bins or those there are, the open one last, into the front of `into`;
    /// returns how many.
    pub fn recent(&self, into: &mut [f64; DAY_BINS]) -> usize {
        let closed = self.day.newest(&mut into[..DAY_BINS - 1]);
        into[closed] = self.filled();
        closed + 1
    }

    /// Like [`Self::recent`], whether each bin had a sample.
    pub fn recent_present(&self, into: &mut [bool; DAY_BINS]) -> usize {
        let closed = self.day.newest_measured(&mut into[..DAY_BINS - 1]);
        into[closed] = self.open.count > 0;
        closed + 1
    }

    /// The bin one day before the open one, `f[t - 288]`, with whether it had a sample; `None` before
    /// there is one.
    pub fn day_ago(&self) -> Option<(f64, bool)> {
        self.day.day_before(0)
    }

    /// The bin so many before the open one, from 1 on; `None` where it had no sample, and more than a day back.
    pub fn measured_back(&self, bins: usize) -> Option<f64> {
        let back = bins.checked_sub(1)?;
        if self.day.is_measured_back(back) { self.day.value_back(back) } else { None }
    }

    /// Of the last `bins` bins (at most [`DAY_BINS`]), the open one included: the greatest, `None` where
    /// one is missing or before the series.
    pub fn maximum_over(&self, bins: usize) -> Option<f64> {
        let mut greatest = self.open_mean()?;
        for back in 0..bins.saturating_sub(1) {
            if !self.day.is_measured_back(back) {
                return None;
            }
            greatest = greatest.max(self.day.value_back(back)?);
        }
        Some(greatest)
    }

    /// Size of the demand: the bias-corrected exponentially weighted mean of its magnitude (half-life
    /// a day), at least 0.001 of a known capacity, else at least 1e-9 of the first value. Positive.
    pub fn scale(&self, capacity: Option<f64>) -> f64 {
        let (magnitude, weight) = match self.open_mean() {
            Some(value) => self.magnitude_with(value),
            None => (self.magnitude, self.magnitude_weight),
        };
        let first = if self.magnitude_weight == 0.0 { self.filled().abs() } else { self.first_magnitude };
        let floor = match capacity {
            Some(capacity) if capacity.is_finite() && capacity > 0.0 => 0.001 * capacity,
            _ => 1e-9 * first.max(1.0),
        };
        floor.max(if weight > 0.0 { magnitude / weight } else { 0.0 })
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.day.heap_bytes() + self.set_aside.capacity() * size_of::<(i64, f32)>()
    }

    /// Once the open bin is closed: keeps what will take its place, and lets what was kept take the place of the bins by
    /// which no forecast is scored any more.
    fn leave_out_closed(&mut self, day_before: Option<(f64, bool)>) {
        let closed = self.open.bin;
        if let (true, Some((value, true))) = (std::mem::take(&mut self.is_left_out), day_before) {
            self.set_aside.push((closed, value as f32));
        }
        let due = self.set_aside.partition_point(|(bin, _)| closed - bin >= HORIZON_BINS_MAX as i64);
        for (bin, value) in self.set_aside.drain(..due) {
            self.day.fill_in_back((closed - bin) as usize, value.into());
        }
        if self.set_aside.is_empty() {
            self.set_aside = Vec::new();
        }
    }

    fn open_mean(&self) -> Option<f64> {
        (self.open.count > 0).then(|| self.open.sum / f64::from(self.open.count))
    }

    fn magnitude_with(&self, value: f64) -> (f64, f64) {
        let keep = 0.5f64.powf(1.0 / SCALE_HALF_LIFE_BINS);
        (keep * self.magnitude + (1.0 - keep) * value.abs(), keep * self.magnitude_weight + (1.0 - keep))
    }
}

/// A measured demand that can be put into a series: finite and within [`DEMAND_MAX`].
pub fn usable(value: Option<f64>) -> Option<f64> {
    value.filter(|v| v.abs() <= DEMAND_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(bin: i64) -> EventTime {
        EventTime::of_bin(bin, GRID_STEP_S)
    }

    fn offer(series: &mut DemandSeries, at: EventTime, value: f64) {
        match series.due(at) {
            Due::Start => return series.start(at, value),
            Due::Close(bins) => (0..bins).for_each(|_| series.close()),
            Due::Nothing => {}
        }
        series.add(value);
    }

    #[test]
    fn a_bin_is_the_mean_of_its_samples_and_a_missing_one_keeps_the_last() {
        let mut series = DemandSeries::default();
        assert_eq!(series.open(), None);
        offer(&mut series, at(100), 2.0);
        offer(&mut series, at(100).plus_s(60), 4.0);
        assert_eq!(series.open(), Some(ClosedBin { bin: 100, value: Some(3.0) }));
        assert_eq!(series.due(at(103)), Due::Close(3));
        offer(&mut series, at(103), 10.0);
        let (mut values, mut present) = ([0.0; DAY_BINS], [false; DAY_BINS]);
        assert_eq!(series.recent(&mut values), 4);
        assert_eq!(values[..4], [3.0, 3.0, 3.0, 10.0]);
        assert_eq!(series.recent_present(&mut present), 4);
        assert_eq!(present[..4], [true, false, false, true]);
        assert_eq!(series.bins(), 4);
    }

    #[test]
    fn a_day_of_silence_begins_anew() {
        let mut series = DemandSeries::default();
        offer(&mut series, at(0), -1.0);
        assert!(!series.is_non_negative());
        assert_eq!(series.due(at(288)), Due::Close(288));
        assert_eq!(series.due(at(289)), Due::Start);
        offer(&mut series, at(289), 1.0);
        assert_eq!((series.bins(), series.filled()), (1, 1.0));
        assert!(series.is_non_negative());
    }

    #[test]
    fn the_scale_is_the_mean_magnitude_at_first_and_never_below_its_floor() {
        let mut series = DemandSeries::default();
        series.start(at(0), 0.0);
        assert_eq!(series.scale(None), 1e-9);
        assert_eq!(series.scale(Some(4.0)), 0.004);
        assert_eq!(series.scale(Some(f64::NAN)), 1e-9);
        series.close();
        series.add(2.0);
        // Two bins of almost the same weight: d = 0.5^(1/288), 2 (1 - d) / (1 - d^2) = 2 / (1 + d).
        let d = 0.5f64.powf(1.0 / 288.0);
        assert!((series.scale(None) - 2.0 / (1.0 + d)).abs() < 1e-12);
    }

    /// A day of zeros, then so many bins of 9 that are unusual, then zeros; the demand of each bin of the second day.
    fn second_day(unusual_bins: usize) -> Vec<Option<f64>> {
        let mut series = DemandSeries::default();
        series.start(at(0), 0.0);
        let unusual = DAY_BINS + 100..DAY_BINS + 100 + unusual_bins;
        for bin in 1..=2 * DAY_BINS {
            series.judge(unusual.contains(&(bin - 1)));
            series.close();
            series.add(if unusual.contains(&bin) { 9.0 } else { 0.0 });
        }
        (1..=DAY_BINS).rev().map(|back| series.day.value_back(back - 1)).collect()
    }

    #[test]
    fn what_is_left_out_is_forgotten_once_no_forecast_is_scored_by_it() {
        let mut series = DemandSeries::default();
        series.start(at(0), 1.0);
        for bin in 1..2 * DAY_BINS + 200 {
            series.judge(bin - 1 == DAY_BINS + 50);
            series.close();
            series.add(if bin == DAY_BINS + 50 { 9.0 } else { 1.0 });
            let age = bin.wrapping_sub(DAY_BINS + 50);
            if (1..DAY_BINS).contains(&age) {
                let is_there = age <= HORIZON_BINS_MAX;
                assert_eq!(series.measured_back(age), is_there.then_some(9.0), "{age} bins later");
                assert_eq!(series.day.value_back(age - 1), Some(if is_there { 9.0 } else { 1.0 }), "{age} bins later");
            }
        }
        assert_eq!((series.set_aside.capacity(), series.is_left_out()), (0, false));
    }

    #[test]
    fn what_lasts_is_kept_as_it_was() {
        use crate::forecast::left_out::LEFT_OUT_BINS_MAX;
        let most = usize::from(LEFT_OUT_BINS_MAX);
        assert!(second_day(most).iter().all(|value| *value == Some(0.0)));
        let lasting = second_day(most + 20);
        let nines = lasting.iter().filter(|value| **value == Some(9.0)).count();
        assert_eq!(nines, most + 20);
    }

    #[test]
    fn what_comes_again_the_next_day_is_learnt() {
        let mut series = DemandSeries::default();
        series.start(at(0), 0.0);
        let is_unusual = |bin: usize| bin >= DAY_BINS && bin % DAY_BINS == 50;
        let mut learnt = Vec::new();
        for bin in 1..3 * DAY_BINS {
            series.judge(is_unusual(bin - 1));
            if is_unusual(bin - 1) {
                learnt.push(series.learnt(&series.open().unwrap()));
            }
            series.close();
            series.add(if is_unusual(bin) { 9.0 } else { 0.0 });
        }
        assert_eq!(learnt, [None, Some(9.0)]);
        assert!((1..DAY_BINS).any(|back| series.measured_back(back) == Some(9.0)), "it stays in the day");
    }

    #[test]
    fn nothing_is_fitted_on_what_is_left_out() {
        let mut series = DemandSeries::default();
        series.start(at(0), 4.0);
        let open = |series: &DemandSeries| series.open().unwrap();
        assert_eq!(series.learnt(&open(&series)), Some(4.0));
        series.judge(true);
        assert_eq!((series.learnt(&open(&series)), series.truth().is_some()), (None, true));
        series.close();
        assert!(!series.is_left_out());
    }

    proptest! {
        #[test]
        fn the_ring_is_the_end_of_the_whole(values in proptest::collection::vec(proptest::option::of(0u16..1000), 1..700)) {
            let mut series = DemandSeries::default();
            series.start(at(7), 5.0);
            let mut whole = vec![(5.0, true)];
            for value in &values {
                series.close();
                let last = whole[whole.len() - 1].0;
                if let Some(v) = value {
                    series.add(f64::from(*v));
                }
                whole.push((value.map_or(last, f64::from), value.is_some()));
            }
            let (mut recent, mut present) = ([0.0; DAY_BINS], [false; DAY_BINS]);
            let n = series.recent(&mut recent);
            prop_assert_eq!(n, whole.len().min(DAY_BINS));
            prop_assert_eq!(series.recent_present(&mut present), n);
            for (i, (value, was_present)) in whole[whole.len() - n..].iter().enumerate() {
                prop_assert_eq!((recent[i], present[i]), (*value, *was_present));
            }
            for bins in [1usize, 12, 287, 288] {
                let back = whole.len().checked_sub(bins + 1).map(|i| whole[i]);
                prop_assert_eq!(series.measured_back(bins), back.filter(|(_, measured)| *measured).map(|(v, _)| v));
            }
            let day_ago = whole.len().checked_sub(DAY_BINS + 1).map(|i| whole[i]);
            prop_assert_eq!(series.day_ago(), day_ago);
            for bins in [1usize, 3, 12] {
                let last = whole.len().checked_sub(bins).map(|i| &whole[i..]);
                let complete = last.filter(|last| last.iter().all(|(_, was_present)| *was_present));
                let greatest = complete.map(|last| last.iter().map(|(v, _)| *v).fold(f64::MIN, f64::max));
                prop_assert_eq!(series.maximum_over(bins), greatest);
            }
        }
    }
}
