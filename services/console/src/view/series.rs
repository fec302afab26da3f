//! A curve in bounded memory: buckets of equal width over the last day, twice as wide whenever
//! there are too many.

use prescale_domain::time::EventTime;
use std::collections::VecDeque;

/// What is older than this against the newest point is forgotten, in seconds.
pub const KEEP_S: u32 = 86_400;

/// What one bucket holds of the values that fell into it.
pub trait Bucket {
    /// Takes in what came after this one, or beside it.
    fn merge(&mut self, later: Self);
}

/// Values of a KPI within a bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    count: u32,
    /// Mean of the values.
    pub mean: f32,
    /// The least.
    pub min: f32,
    /// The greatest.
    pub max: f32,
}

impl Spread {
    /// Of one value.
    pub fn of(value: f64) -> Self {
        let value = value as f32;
        Self { count: 1, mean: value, min: value, max: value }
    }
}

impl Bucket for Spread {
    fn merge(&mut self, later: Self) {
        let total = self.count.saturating_add(later.count);
        let share = f64::from(later.count) / f64::from(total);
        self.mean = (f64::from(self.mean) * (1.0 - share) + f64::from(later.mean) * share) as f32;
        self.min = self.min.min(later.min);
        self.max = self.max.max(later.max);
        self.count = total;
    }
}

/// What was once forecast for a bucket's time; of several the last is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Foretold {
    /// 5 % quantile.
    pub lower: f32,
    /// Median.
    pub median: f32,
    /// 95 % quantile.
    pub upper: f32,
}

impl Bucket for Foretold {
    fn merge(&mut self, later: Self) {
        *self = later;
    }
}

/// Buckets in time order; those without a value are absent.
#[derive(Clone, Debug)]
pub struct Series<B> {
    width_s: u32,
    buckets: VecDeque<(i64, B)>,
}

impl<B: Bucket> Series<B> {
    /// An empty curve with buckets of `width_s` seconds to begin with.
    pub fn new(width_s: u32) -> Self {
        Self { width_s: width_s.max(1), buckets: VecDeque::new() }
    }

    /// Takes in a value; one that is older than [`KEEP_S`] before the newest is left out. Keeps at
    /// most `points_max` buckets (at least 2).
    pub fn push(&mut self, at: EventTime, value: B, points_max: usize) {
        let bin = at.bin(self.width_s);
        let newest = self.buckets.back().map_or(bin, |(b, _)| bin.max(*b));
        let oldest = newest - i64::from(KEEP_S / self.width_s);
        if bin < oldest {
            return;
        }
        match self.buckets.back_mut() {
            Some((last, bucket)) if *last == bin => bucket.merge(value),
            Some((last, _)) if *last > bin => self.insert(bin, value),
            _ => self.buckets.push_back((bin, value)),
        }
        while self.buckets.front().is_some_and(|(b, _)| *b < oldest) {
            self.buckets.pop_front();
        }
        while self.buckets.len() > points_max.max(2) {
            self.halve();
        }
    }

    fn insert(&mut self, bin: i64, value: B) {
        match self.buckets.binary_search_by_key(&bin, |(b, _)| *b) {
            Ok(i) => self.buckets[i].1.merge(value),
            Err(i) => self.buckets.insert(i, (bin, value)),
        }
    }

    fn halve(&mut self) {
        self.width_s = self.width_s.saturating_mul(2);
        let mut wider: VecDeque<(i64, B)> = VecDeque::with_capacity(self.buckets.len() / 2 + 1);
        for (bin, bucket) in self.buckets.drain(..) {
            match wider.back_mut() {
                Some((last, merged)) if *last == bin.div_euclid(2) => merged.merge(bucket),
                _ => wider.push_back((bin.div_euclid(2), bucket)),
            }
        }
        self.buckets = wider;
    }

    /// Width of a bucket, in seconds.
    pub fn width_s(&self) -> u32 {
        self.width_s
    }

    /// Number of buckets.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// Start and content of each bucket, in time order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (EventTime, &B)> {
        self.buckets.iter().map(|(bin, bucket)| (EventTime::of_bin(*bin, self.width_s), bucket))
    }
}

impl Series<Spread> {
    /// The curve's mean in `slots` equal stretches that end at its newest point and reach back
    /// `span_s` seconds or as far as there are values; `None` where a stretch has none.
    pub fn spark(&self, slots: usize, span_s: u32) -> Vec<Option<f32>> {
        let mut sums = vec![(0.0_f64, 0_u32); slots];
        if let (Some((first, _)), Some((last, _))) = (self.buckets.front(), self.buckets.back()) {
            let reach = (last - first + 1).min(i64::from((span_s / self.width_s).max(1)));
            let reach = reach.max(slots as i64);
            for (bin, bucket) in self.buckets.iter().rev().take_while(|(b, _)| last - b < reach) {
                let slot = ((bin - (last - reach + 1)) * slots as i64 / reach) as usize;
                sums[slot].0 += f64::from(bucket.mean);
                sums[slot].1 += 1;
            }
        }
        sums.into_iter().map(|(sum, n)| (n > 0).then(|| (sum / f64::from(n)) as f32)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> EventTime {
        EventTime::from_s(s)
    }

    fn series(points: impl IntoIterator<Item = (i64, f64)>, width_s: u32, points_max: usize) -> Series<Spread> {
        let mut series = Series::new(width_s);
        for (s, value) in points {
            series.push(at(s), Spread::of(value), points_max);
        }
        series
    }

    #[test]
    fn within_the_bound_every_value_has_its_bucket() {
        let series = series((0..10).map(|i| (i * 60, i as f64)), 60, 100);
        let values: Vec<_> = series.iter().map(|(t, b)| (t.as_ms() / 60_000, b.mean)).collect();
        assert_eq!(values, (0..10).map(|i| (i, i as f32)).collect::<Vec<_>>());
    }

    #[test]
    fn too_many_buckets_become_wider_and_keep_mean_and_extremes() {
        let series = series((0..1000).map(|i| (i * 60, i as f64)), 60, 100);
        assert!(series.len() <= 100, "{}", series.len());
        assert_eq!(series.width_s(), 60 * 16);
        let (start, first) = series.iter().next().unwrap();
        assert_eq!((start, first.min, first.max, first.mean), (at(0), 0.0, 15.0, 7.5));
        assert_eq!(series.iter().next_back().unwrap().1.max, 999.0);
    }

    #[test]
    fn a_day_is_kept() {
        let series = series((0..3 * 1440).map(|i| (i * 60, 1.0)), 60, 600);
        let first = series.iter().next().unwrap().0;
        let last = series.iter().next_back().unwrap().0;
        assert!((last.as_ms() - first.as_ms()) / 1000 <= i64::from(KEEP_S));
        assert!((last.as_ms() - first.as_ms()) / 1000 >= i64::from(KEEP_S) - 600);
        assert!(series.len() <= 600);
    }

    #[test]
    fn order_of_arrival_does_not_matter_within_the_day() {
        let ordered = series([(0, 1.0), (60, 2.0), (120, 3.0), (180, 4.0)], 60, 10);
        let shuffled = series([(120, 3.0), (0, 1.0), (180, 4.0), (60, 2.0)], 60, 10);
        assert_eq!(ordered.iter().collect::<Vec<_>>(), shuffled.iter().collect::<Vec<_>>());
        let with_old = series([(200_000, 1.0), (0, 9.0)], 60, 10);
        assert_eq!(with_old.len(), 1, "older than a day before the newest");
    }

    #[test]
    fn of_forecasts_for_one_time_the_last_stands() {
        let mut series = Series::new(300);
        let of = |median| Foretold { lower: median, median, upper: median };
        series.push(at(0), of(1.0), 10);
        series.push(at(10), of(2.0), 10);
        assert_eq!(series.iter().map(|(_, b)| b.median).collect::<Vec<_>>(), [2.0]);
    }

    #[test]
    fn a_sparkline_covers_the_newest_stretch_and_shows_gaps() {
        let long = series((0..600).map(|i| (i * 60, if i < 240 { 100.0 } else { 1.0 })), 60, 700);
        assert_eq!(long.spark(6, 6 * 3600), [Some(1.0); 6]);
        let short = series([(0, 1.0), (60, 2.0)], 60, 10);
        assert_eq!(short.spark(4, 3600), [None, None, Some(1.0), Some(2.0)]);
        let gap = series([(0, 1.0), (240, 2.0)], 60, 10);
        assert_eq!(gap.spark(5, 3600), [Some(1.0), None, None, None, Some(2.0)]);
        assert_eq!(Series::<Spread>::new(60).spark(2, 60), [None, None]);
    }
}
