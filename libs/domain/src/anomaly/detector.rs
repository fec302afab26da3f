//! The detector of one workload: values in, and at each close of a bin how unusual the workload is and which KPIs make it so.

use super::BLAMED_MAX;
use super::expected::{Deviations, Expected, Pace};
use super::novelty::{Calm, p_value_of};
use super::p_values::PastScores;
use super::together::{Together, Whitened};
use crate::time::EventTime;
use bitcode::{Decode, Encode};

/// KPIs of a workload that are looked at; more of them are left out.
pub const KPIS_MAX: usize = 64;

/// Time over which it is learnt how a KPI is, in seconds; and in closes at least.
const DAYS_S: f64 = 3.0 * 86_400.0;
const DAYS_CLOSES_MIN: f64 = 200.0;

/// Time over which it is learnt how a KPI is now, likewise.
const NOW_S: f64 = 1800.0;
const NOW_CLOSES_MIN: f64 = 3.0;

/// Closes over which scores are smoothed, shorter and longer: how long an anomaly lasts is not known, so that the score is
/// the mean of all.
const SMOOTHED_OVER: [f64; 3] = [3.0, 12.0, 48.0];

/// Time until scores count, in seconds, and in closes at least and at most: before, too little is known of the hours.
const LEARNT_AFTER_S: u32 = 86_400;
const LEARNT_AFTER_CLOSES: (u32, u32) = (50, 2000);

/// An hour, in ms.
const HOUR_MS: i64 = 3_600_000;

/// What makes less than this share of what the first KPI to blame makes is not to blame.
const BLAMED_SHARE_MIN: f64 = 0.25;

/// What one KPI says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Value {
    /// Which KPI; the same one as long as it is the same number.
    pub kpi: u32,
    /// The value; `None` when missing.
    pub value: Option<f64>,
}

/// The end of a bin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Close {
    /// An instant in the bin.
    pub at: EventTime,
    /// Time between the ends of bins, in seconds; at least 1.
    pub bin_s: u32,
}

/// How unusual a workload was in a bin.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The score: the greater the more unusual. Only those of one workload can be compared.
    pub score: f64,
    /// The score's p-value; `None` before there are enough scores to tell: a day is learnt first, and then as many scores
    /// as a day of bins of 300 s has.
    pub p_value: Option<f64>,
    /// The KPIs to blame, the first most; at most [`BLAMED_MAX`].
    pub blamed: Vec<u32>,
}

/// What is remembered of one workload.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Detector {
    expected: Vec<Expected>,
    of_hour: Together,
    of_now: Together,
    past: PastScores,
    calm: Calm,
    smoothed: [f32; 3],
    closes: u32,
}

impl Detector {
    /// Takes a sample into the open bin: all KPIs that the workload has, those that are missing included.
    pub fn add(&mut self, values: &[Value]) {
        let values = &values[..values.len().min(KPIS_MAX)];
        if !self.expected.iter().map(|expected| expected.key).eq(values.iter().map(|value| value.kpi)) {
            self.follow(values);
        }
        for (expected, value) in self.expected.iter_mut().zip(values) {
            value.value.into_iter().for_each(|value| expected.add(value));
        }
    }

    /// Closes the bin. `None` where no KPI had a value, and of the first one.
    pub fn close(&mut self, close: Close) -> Option<Found> {
        let pace = close.pace();
        let deviations: Vec<Option<Deviations>> = self.expected.iter_mut().map(|kpi| kpi.close(&pace)).collect();
        let known = |of: fn(&Deviations) -> f64| -> Vec<(usize, f64)> {
            let each = deviations.iter().enumerate();
            each.filter_map(|(kpi, deviations)| Some((kpi, of(deviations.as_ref()?)))).collect()
        };
        let (of_hour, of_now) = (known(|d| d.of_hour), known(|d| d.of_now));
        if of_now.is_empty() {
            return None;
        }
        let share = (1.0 / f64::from(self.closes + 1)).max(pace.days);
        let by_hour = self.of_hour.whiten_and_learn(&of_hour, deviations.len(), share);
        let by_now = self.of_now.whiten_and_learn(&of_now, deviations.len(), share);
        let still = Whitened::squares(&known(|d| d.stillness), deviations.len());
        let all = [by_hour, by_now, still];
        let novel: Vec<f64> = deviations.iter().map(|d| d.as_ref().map_or(0.0, |d| d.novel.strength)).collect();
        let strength = novel.iter().copied().fold(self.calm(&deviations, &pace), f64::max);
        let score = self.smooth(all.iter().map(|whitened| libm::log1p(whitened.mean_square)).sum());
        self.closes = self.closes.saturating_add(1);
        let p_value = if self.closes > close.learnt_after() { self.past.push(score) } else { None };
        let p_value = p_value.map(|p_value| p_value_of(strength).map_or(p_value, |of_novel| of_novel.min(p_value)));
        Some(Found { score, p_value, blamed: self.blamed(&all, &novel) })
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        let together = self.of_hour.heap_bytes() + self.of_now.heap_bytes();
        self.expected.capacity() * size_of::<Expected>() + together
    }

    /// Has other KPIs, or in another order: those that it knows go on.
    fn follow(&mut self, values: &[Value]) {
        let place = |value: &Value| self.expected.iter().position(|expected| expected.key == value.kpi);
        let places: Vec<Option<usize>> = values.iter().map(place).collect();
        let known = std::mem::take(&mut self.expected);
        let mut expected = Vec::with_capacity(values.len());
        for (value, place) in values.iter().zip(&places) {
            expected.push(place.map_or_else(|| Expected::of(value.kpi), |place| known[place].clone()));
        }
        self.expected = expected;
        (self.of_hour, self.of_now) = (self.of_hour.rearranged(&places), self.of_now.rearranged(&places));
    }

    fn smooth(&mut self, score: f64) -> f64 {
        let first = 1.0 / f64::from(self.closes + 1);
        for (smoothed, over) in self.smoothed.iter_mut().zip(SMOOTHED_OVER) {
            let by = first.max(1.0 / over) * (score - f64::from(*smoothed));
            *smoothed = (f64::from(*smoothed) + by) as f32;
        }
        self.smoothed.iter().map(|smoothed| f64::from(*smoothed)).sum::<f64>() / SMOOTHED_OVER.len() as f64
    }

    /// How new it is that the KPIs scatter so little.
    fn calm(&mut self, deviations: &[Option<Deviations>], pace: &Pace) -> f64 {
        let known = deviations.iter().filter_map(|deviations| deviations.as_ref()?.novel.roughness);
        let (sum, count) = known.fold((0.0, 0.0), |(sum, count), roughness| (sum + roughness, count + 1.0));
        if count > 0.0 { self.calm.close(sum / count, self.closes, pace.days, pace.per_hour) } else { 0.0 }
    }

    /// Those with the greatest parts in what was found, each part as far as it moves the score. Those that do what they
    /// never did stand first.
    fn blamed(&self, all: &[Whitened], novel: &[f64]) -> Vec<u32> {
        let part = |kpi: usize| {
            let whitened = all.iter().map(|found| found.parts[kpi] / (1.0 + found.mean_square)).sum::<f64>();
            whitened + p_value_of(novel[kpi]).map_or(0.0, |_| KPIS_MAX as f64 * novel[kpi])
        };
        let mut parts: Vec<(f64, u32)> =
            self.expected.iter().enumerate().map(|(kpi, expected)| (part(kpi), expected.key)).collect();
        parts.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let most = parts.first().map_or(0.0, |first| first.0);
        let is_blamed = |(part, _): &(f64, u32)| *part > 0.0 && *part >= BLAMED_SHARE_MIN * most;
        parts.into_iter().filter(is_blamed).take(BLAMED_MAX).map(|(_, kpi)| kpi).collect()
    }
}

impl Close {
    fn pace(self) -> Pace {
        let bin_s = f64::from(self.bin_s.max(1));
        let ms = self.at.as_ms();
        let hours = ms.div_euclid(HOUR_MS);
        Pace {
            days: 1.0 / (DAYS_S / bin_s).max(DAYS_CLOSES_MIN),
            now: 1.0 / (NOW_S / bin_s).max(NOW_CLOSES_MIN),
            per_hour: (3600.0 / bin_s).max(1.0),
            hour: hours.rem_euclid(24) as usize,
            hour_share: ms.rem_euclid(HOUR_MS) as f64 / HOUR_MS as f64,
        }
    }

    fn learnt_after(self) -> u32 {
        let (least, most) = LEARNT_AFTER_CLOSES;
        (LEARNT_AFTER_S / self.bin_s.max(1)).clamp(least, most)
    }
}
