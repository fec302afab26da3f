//! The long window: whole panes that are closed, and the open one.
//!
//! A closed pane is packed: what it can lose in 24-bit numbers is below 1e-7 of its spread. Its wave of an hour, which is
//! never higher than the spread, has 16 bits.

use super::co_moments::CoMoments;
use super::log_histogram::LogHistogram;
use bitcode::{Decode, Encode};

/// Closed panes that a long window has: one a day of the default seven days. The window covers
/// them and the open one, so between one length and a seventh more.
pub const LONG_PANES: i64 = 7;

/// Steps of a wave from nothing to as high as it can be.
const WAVE_STEPS: f64 = 32_767.0;

/// An instant of the grid, with what all KPIs of a sample need of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Instant {
    /// Seconds since the epoch.
    pub at_s: i64,
    /// Cosine of its place in the hour.
    pub cos_1h: f64,
    /// Sine of its place in the hour.
    pub sin_1h: f64,
}

impl Instant {
    /// The instant `at_s` seconds after the epoch.
    pub fn at(at_s: i64) -> Self {
        let (sin_1h, cos_1h) = (std::f64::consts::TAU * at_s.rem_euclid(3600) as f64 / 3600.0).sin_cos();
        Self { at_s, cos_1h, sin_1h }
    }

    /// Hours since the epoch.
    pub fn hours(&self) -> f64 {
        self.at_s as f64 / 3600.0
    }
}

/// Mergeable sums over a stretch of a window, quantiles apart.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Aggregate {
    /// Of (hours since the epoch, value).
    pub moments: CoMoments,
    /// Least value; meaningless when the count is 0.
    pub min: f64,
    /// Greatest value; likewise.
    pub max: f64,
    /// Sum of deviations from the pane's mean times the cosine of the place in the hour.
    pub cos_1h: f64,
    /// The same with the sine.
    pub sin_1h: f64,
}

impl Aggregate {
    fn merge(&mut self, other: &Self) {
        if other.moments.count == 0 {
            return;
        }
        let is_first = self.moments.count == 0;
        self.min = if is_first { other.min } else { self.min.min(other.min) };
        self.max = if is_first { other.max } else { self.max.max(other.max) };
        self.moments.merge(&other.moments);
        self.cos_1h += other.cos_1h;
        self.sin_1h += other.sin_1h;
    }
}

#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
struct OpenPane {
    index: i64,
    moments: CoMoments,
    min: f32,
    max: f32,
    /// Sums of cos, sin, value·cos and value·sin of the place in the hour.
    waves: [f64; 4],
    histogram: LogHistogram,
}

#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct ClosedPane {
    /// Bits of a 64-bit float, in two halves so that a pane takes a multiple of four bytes and no more.
    mean: [u32; 2],
    count: u32,
    hours_past_start: f32,
    hours_deviation: f32,
    deviation: f32,
    slope: f32,
    min: f32,
    max: f32,
    /// Per value, in the [`WAVE_STEPS`]th part of the standard deviation.
    cos_1h: i16,
    sin_1h: i16,
    /// Lower bits of its index; the others follow from the open pane's.
    index: u16,
    histogram_bytes: u16,
}

/// The panes of one KPI.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct LongPanes {
    open: OpenPane,
    /// Oldest first.
    closed: Box<[ClosedPane]>,
    /// Histograms of the closed panes, one after the other, and behind them that of all of these.
    histograms: Box<[u8]>,
}

impl OpenPane {
    fn push(&mut self, instant: &Instant, value: f32) {
        let y = f64::from(value);
        let is_first = self.moments.count == 0;
        self.min = if is_first { value } else { self.min.min(value) };
        self.max = if is_first { value } else { self.max.max(value) };
        self.moments.push(instant.hours(), y);
        let terms = [instant.cos_1h, instant.sin_1h, y * instant.cos_1h, y * instant.sin_1h];
        for (sum, term) in self.waves.iter_mut().zip(terms) {
            *sum += term;
        }
        self.histogram.record(value);
    }

    fn aggregate(&self) -> Aggregate {
        let [cos, sin, y_cos, y_sin] = self.waves;
        let mean = self.moments.y_mean;
        Aggregate {
            moments: self.moments,
            min: self.min.into(),
            max: self.max.into(),
            cos_1h: y_cos - mean * cos,
            sin_1h: y_sin - mean * sin,
        }
    }
}

impl ClosedPane {
    fn pack(open: &OpenPane, pane_s: i64) -> Option<Self> {
        let Aggregate { moments, cos_1h, sin_1h, .. } = open.aggregate();
        let n = moments.count as f64;
        let mean = moments.y_mean.to_bits();
        let deviation = (moments.y_m2.max(0.0) / n).sqrt();
        let wave = |sum: f64| {
            let share = if deviation > 0.0 { (sum / n / deviation).clamp(-1.0, 1.0) } else { 0.0 };
            (WAVE_STEPS * share).round() as i16
        };
        Some(Self {
            mean: [mean as u32, (mean >> 32) as u32],
            count: u32::try_from(moments.count).ok().filter(|count| *count > 0)?,
            hours_past_start: (moments.x_mean - start_h(open.index, pane_s)) as f32,
            hours_deviation: (moments.x_m2 / n).sqrt() as f32,
            deviation: deviation as f32,
            slope: if moments.x_m2 > 0.0 { (moments.xy / moments.x_m2) as f32 } else { 0.0 },
            min: open.min,
            max: open.max,
            cos_1h: wave(cos_1h),
            sin_1h: wave(sin_1h),
            index: open.index as u16,
            histogram_bytes: u16::try_from(open.histogram.as_bytes().len()).ok()?,
        })
    }

    /// Its index, at most some ten thousand before that of the open pane.
    fn index(&self, open: i64) -> i64 {
        open - i64::from((open as u16).wrapping_sub(self.index))
    }

    fn aggregate(&self, open: i64, pane_s: i64) -> Aggregate {
        let [low, high] = self.mean.map(u64::from);
        let n = f64::from(self.count);
        let x_m2 = n * f64::from(self.hours_deviation).powi(2);
        let wave = |steps: i16| n * f64::from(self.deviation) * f64::from(steps) / WAVE_STEPS;
        let moments = CoMoments {
            count: u64::from(self.count),
            x_mean: start_h(self.index(open), pane_s) + f64::from(self.hours_past_start),
            y_mean: f64::from_bits(high << 32 | low),
            x_m2,
            y_m2: n * f64::from(self.deviation).powi(2),
            xy: f64::from(self.slope) * x_m2,
        };
        Aggregate {
            moments,
            min: self.min.into(),
            max: self.max.into(),
            cos_1h: wave(self.cos_1h),
            sin_1h: wave(self.sin_1h),
        }
    }
}

/// Bytes that the histograms of panes take together.
fn bytes_of_histograms(panes: &[ClosedPane]) -> usize {
    panes.iter().map(|pane| usize::from(pane.histogram_bytes)).sum()
}

fn start_h(index: i64, pane_s: i64) -> f64 {
    (index * pane_s) as f64 / 3600.0
}

impl LongPanes {
    /// Moves to the pane that holds `instant` and adds the value, if there is one.
    pub fn record(&mut self, instant: &Instant, value: Option<f32>, pane_s: i64) {
        let index = instant.at_s.div_euclid(pane_s);
        if index > self.open.index {
            self.close(index, pane_s);
        }
        if let Some(value) = value {
            self.open.push(instant, value);
        }
    }

    fn close(&mut self, next: i64, pane_s: i64) {
        let closing = std::mem::replace(&mut self.open, OpenPane { index: next, ..OpenPane::default() });
        let mut histograms = std::mem::take(&mut self.histograms).into_vec();
        histograms.truncate(bytes_of_histograms(&self.closed));
        let mut closed = std::mem::take(&mut self.closed).into_vec();
        let first = next - LONG_PANES;
        let expired =
            if closing.index < first { closed.len() } else { closed.partition_point(|pane| pane.index(next) < first) };
        histograms.drain(..bytes_of_histograms(&closed[..expired]));
        closed.drain(..expired);
        if let Some(pane) = ClosedPane::pack(&closing, pane_s).filter(|_| closing.index >= first) {
            closed.push(pane);
            histograms.extend_from_slice(closing.histogram.as_bytes());
        }
        let merged = {
            let mut rest = histograms.as_slice();
            let mut parts = Vec::with_capacity(closed.len());
            for pane in &closed {
                let (part, after) = rest.split_at(usize::from(pane.histogram_bytes).min(rest.len()));
                parts.push(part);
                rest = after;
            }
            LogHistogram::merged(&parts)
        };
        histograms.extend_from_slice(merged.as_bytes());
        (self.closed, self.histograms) = (closed.into(), histograms.into());
    }

    /// All closed panes in one, with their histogram.
    pub fn closed(&self, pane_s: i64) -> (Aggregate, &[u8]) {
        let mut merged = Aggregate::default();
        for pane in self.closed.iter() {
            merged.merge(&pane.aggregate(self.open.index, pane_s));
        }
        (merged, self.histograms.get(bytes_of_histograms(&self.closed)..).unwrap_or_default())
    }

    /// The open pane, with its histogram.
    pub fn open(&self) -> (Aggregate, &[u8]) {
        (self.open.aggregate(), self.open.histogram.as_bytes())
    }

    /// Whether no value is in the window.
    pub fn is_empty(&self) -> bool {
        self.closed.is_empty() && self.open.moments.count == 0
    }

    /// Start of the window, in seconds since the epoch.
    pub fn start_s(&self, pane_s: i64) -> i64 {
        (self.open.index - LONG_PANES) * pane_s
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        size_of_val(&*self.closed) + self.histograms.len() + self.open.histogram.as_bytes().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_panes_are_the_sums_over_all_their_values() {
        let mut panes = LongPanes::default();
        let mut whole = CoMoments::default();
        let mut waves = [0.0; 4];
        for minute in 0..5 * 1440i64 {
            let wave = (std::f32::consts::TAU * minute as f32 / 60.0 + 1.0).cos();
            let value = 3.0 + (minute as f32 * 0.01).sin() + 0.1 * wave;
            let instant = Instant::at(1_700_006_400 + 60 * minute);
            panes.record(&instant, (minute % 17 != 0).then_some(value), 86_400);
            if minute % 17 != 0 {
                let y = f64::from(value);
                whole.push(instant.hours(), y);
                let terms = [instant.cos_1h, instant.sin_1h, y * instant.cos_1h, y * instant.sin_1h];
                waves.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
            }
        }
        let mut merged = panes.closed(86_400).0;
        merged.merge(&panes.open().0);
        assert_eq!(merged.moments.count, whole.count);
        let slope_scale = (whole.y_m2 / whole.x_m2).sqrt();
        for (got, wanted, scale) in [
            (merged.moments.y_mean, whole.y_mean, 1.0),
            (merged.moments.std_dev().unwrap(), whole.std_dev().unwrap(), 1.0),
            (merged.moments.line().unwrap().slope, whole.line().unwrap().slope, slope_scale),
        ] {
            assert!((got - wanted).abs() <= 1e-7 * scale, "{got} for {wanted}");
        }
        // Of deviations from the means of the days, which are not quite that of the whole.
        let n = whole.count as f64;
        let [cos, sin, y_cos, y_sin] = waves.map(|sum| sum / n);
        for (got, wanted) in
            [(merged.cos_1h / n, y_cos - whole.y_mean * cos), (merged.sin_1h / n, y_sin - whole.y_mean * sin)]
        {
            assert!((got - wanted).abs() <= 1e-3 * whole.std_dev().unwrap(), "{got} for {wanted}");
        }
    }

    #[test]
    fn a_closed_pane_takes_44_bytes() {
        assert_eq!(size_of::<ClosedPane>(), 44);
    }

    /// Of panes that are told apart by their lower bits as well as of others.
    #[test]
    fn a_silence_of_any_length_empties_the_window() {
        for silence in [8, 100, 65_535, 65_536, 65_540, 3 << 16] {
            let mut panes = LongPanes::default();
            (0..3).for_each(|day| panes.record(&Instant::at(86_400 * day), Some(1.0), 86_400));
            panes.record(&Instant::at(86_400 * (3 + silence)), None, 86_400);
            assert!(panes.is_empty(), "{silence} days");
        }
        let mut panes = LongPanes::default();
        (-3..=1).for_each(|day| panes.record(&Instant::at(86_400 * (65_536 + day)), Some(day as f32), 86_400));
        let (closed, _) = panes.closed(86_400);
        assert_eq!((closed.moments.count, closed.min, closed.max), (4, -3.0, 0.0));
        assert!((closed.moments.x_mean - 24.0 * (65_536.0 - 1.5)).abs() < 1e-6);
    }

    #[test]
    fn old_panes_expire() {
        let mut panes = LongPanes::default();
        for day in [0, 1, 2, 8] {
            panes.record(&Instant::at(86_400 * day), Some(day as f32), 86_400);
        }
        let (closed, histogram) = panes.closed(86_400);
        assert_eq!((closed.moments.count, closed.min, closed.max), (2, 1.0, 2.0));
        assert_eq!(histogram, LogHistogram::merged(&[histogram]).as_bytes());
        panes.record(&Instant::at(86_400 * 100), None, 86_400);
        assert!(panes.is_empty());
    }
}
