//! How high and how low use has been: by hour for a day, by day for a week.

use crate::forecast::capped::{Reached, Served};
use crate::policy::proactive::BIN_S;
use crate::time::EventTime;
use bitcode::{Decode, Encode};

const HOUR_S: i64 = 3600;
const DAY_HOURS: i32 = 24;
/// Hours before and after 1970 that are told apart.
const HOURS_MAX: i64 = 1_000_000_000;
const WEEK_DAYS: i32 = 7;

/// Hours that a fall of use is not yet believed to be the new normal.
const NOVEL_HOURS: i32 = 3;

/// Fewest uses that the open hour's mean is of.
const MEAN_OF_MIN: u32 = 6;

/// What use was over a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct Extremes {
    /// Greatest use.
    greatest: f64,
    /// Hour or day since 1970.
    number: i32,
    /// Least of the maxima over two bins in a row; infinite where there are none yet. Half of it is compared with, so 32
    /// bits do.
    least: f32,
}

impl Extremes {
    fn merge(&mut self, other: &Self) {
        self.greatest = self.greatest.max(other.greatest);
        self.least = self.least.min(other.least);
    }
}

/// The hour that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct OpenHour {
    extremes: Extremes,
    sum: f64,
    count: u32,
}

impl OpenHour {
    fn mean(&self) -> f64 {
        self.sum / f64::from(self.count)
    }
}

/// Adds a stretch behind those that are kept, of which those before `first` go. As much room as there are.
fn keep(kept: &mut Vec<Extremes>, newest: Extremes, first: i32) {
    kept.retain(|earlier| earlier.number >= first);
    kept.reserve_exact(1);
    kept.push(newest);
}

/// Extremes of use by hour for a day and by day for a week.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Peaks {
    first_at: Option<EventTime>,
    last_at: Option<EventTime>,
    /// The open bin with its greatest use, and that of the bin before.
    bin: Option<(i64, f64)>,
    bin_before: Option<(i64, f64)>,
    hour: Option<OpenHour>,
    /// Mean use of the newest hour that is over.
    mean_before: Option<f64>,
    /// Ascending, at most a day.
    hours: Vec<Extremes>,
    /// Ascending, at most a week.
    days: Vec<Extremes>,
    /// When use was last seen above the capacity.
    above_capacity_at: Option<EventTime>,
    /// When use was last seen at the capacity.
    at_capacity_at: Option<EventTime>,
}

impl Peaks {
    /// Takes in a use, later than all before, and what served it.
    pub fn observe(&mut self, at: EventTime, used: f64, served: Served) {
        self.observe_within(at, (used, used), served);
    }

    /// Takes in the mean and the greatest use of a step, later than all before, and what served it.
    pub fn observe_within(&mut self, at: EventTime, (mean, greatest): (f64, f64), served: Served) {
        self.first_at.get_or_insert(at);
        self.last_at = Some(at);
        match Reached::by(greatest, served) {
            Reached::Above => self.above_capacity_at = Some(at),
            Reached::At => self.at_capacity_at = Some(at),
            Reached::Below => {}
        }
        self.observe_bin(at.bin(BIN_S as u32), greatest);
        let number = at.bin(HOUR_S as u32).clamp(-HOURS_MAX, HOURS_MAX) as i32;
        let now = Extremes { number, greatest, least: f32::INFINITY };
        match &mut self.hour {
            Some(open) if open.extremes.number == now.number => {
                open.extremes.merge(&now);
                (open.sum, open.count) = (open.sum + mean, open.count + 1);
            }
            open => {
                if let Some(closed) = open.replace(OpenHour { extremes: now, sum: mean, count: 1 }) {
                    self.close(&closed);
                }
            }
        }
    }

    fn observe_bin(&mut self, bin: i64, used: f64) {
        match self.bin {
            Some((open, greatest)) if open == bin => self.bin = Some((bin, greatest.max(used))),
            closed => {
                if let (Some((_, greatest)), Some(hour)) = (closed, &mut self.hour)
                    && let Some((_, before)) = self.bin_before
                {
                    hour.extremes.least = hour.extremes.least.min(greatest.max(before) as f32);
                }
                (self.bin_before, self.bin) = (closed, Some((bin, used)));
            }
        }
    }

    fn close(&mut self, closed: &OpenHour) {
        self.mean_before = Some(closed.mean());
        let hour = closed.extremes;
        keep(&mut self.hours, hour, hour.number - DAY_HOURS + 1);
        let of_day = Extremes { number: hour.number.div_euclid(DAY_HOURS), ..hour };
        match self.days.last_mut() {
            Some(day) if day.number == of_day.number => day.merge(&of_day),
            _ => keep(&mut self.days, of_day, of_day.number - WEEK_DAYS + 1),
        }
    }

    /// Greatest use of the last `days` days, at most 7, today's included; `None` before the first.
    pub fn greatest(&self, days: i64) -> Option<f64> {
        let open = self.hour?.extremes;
        let first_hour = i64::from(open.number) - i64::from(DAY_HOURS) * days;
        let hours = self.hours.iter().filter(|hour| i64::from(hour.number) > first_hour);
        let first_day = first_hour.div_euclid(i64::from(DAY_HOURS));
        let of_days = self.days.iter().filter(|day| days > 1 && i64::from(day.number) > first_day);
        Some(hours.chain(of_days).map(|e| e.greatest).fold(open.greatest, f64::max))
    }

    /// Greatest use of the open bin and the one before it.
    pub fn recent(&self) -> Option<f64> {
        let (bin, open) = self.bin?;
        let before = self.bin_before.filter(|(before, _)| *before == bin - 1);
        Some(before.map_or(open, |(_, before)| before.max(open)))
    }

    /// Mean use of the open hour or of the one before, whichever is greater: what has fallen is still fallen when an hour
    /// ends. Of an hour that has just begun the mean does not count yet.
    pub fn hour_mean(&self) -> Option<f64> {
        let open = self.hour.as_ref()?;
        Some(
            self.mean_before
                .map_or(open.mean(), |before| if open.count < MEAN_OF_MIN { before } else { before.max(open.mean()) }),
        )
    }

    /// How long the use has been watched, in seconds.
    pub fn watched_s(&self) -> i64 {
        self.first_at.zip(self.last_at).map_or(0, |(first, last)| (last.as_ms() - first.as_ms()) / 1000)
    }

    /// Whether use has been growing: the last hours above all of the day that lies three hours and more back, by 2 %.
    pub fn is_growing(&self) -> bool {
        let Some(OpenHour { extremes: open, .. }) = self.hour else { return false };
        let before = self.hours.iter().filter(|hour| hour.number <= open.number - 3).map(|hour| hour.greatest);
        let newest = self.hours.last().map_or(open.greatest, |hour| hour.greatest.max(open.greatest));
        before.reduce(f64::max).is_some_and(|earlier| newest > earlier * 1.02)
    }

    /// Whether use is now less than half of the least that it was before (for a day at least, and a week at most,
    /// each as the greatest of two bins): such a fall says that the workload is cut off rather than idle.
    pub fn fell_as_never_before(&self) -> bool {
        let (Some(used), Some(OpenHour { extremes: open, .. })) = (self.recent(), self.hour) else { return false };
        if self.watched_s() < HOUR_S * i64::from(DAY_HOURS) {
            return false;
        }
        let settled = open.number - NOVEL_HOURS;
        let hours = self.hours.iter().filter(|hour| hour.number < settled);
        let days = self.days.iter().filter(|day| day.number < open.number.div_euclid(DAY_HOURS));
        hours.chain(days).map(|e| f64::from(e.least)).reduce(f64::min).is_some_and(|least| used < least * 0.5)
    }

    /// Whether use was seen at the capacity, which then caps it, within `within_s`.
    pub fn reached_capacity(&self, within_s: i64) -> bool {
        let Some(last) = self.last_at else { return false };
        self.at_capacity_at.is_some_and(|at| last.as_ms() - at.as_ms() <= within_s * 1000)
    }

    /// Whether use was seen above the capacity within `within_s`: then the capacity does not cap it.
    pub fn passes_capacity(&self, within_s: i64) -> bool {
        let Some(last) = self.last_at else { return false };
        self.above_capacity_at.is_some_and(|at| last.as_ms() - at.as_ms() <= within_s * 1000)
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        (self.hours.capacity() + self.days.capacity()) * size_of::<Extremes>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(hours: i64, used: impl Fn(i64) -> f64) -> Peaks {
        let mut peaks = Peaks::default();
        for minute in 0..hours * 60 {
            peaks.observe(EventTime::from_s(minute * 60), used(minute), Served::steady(10.0));
        }
        peaks
    }

    #[test]
    fn peaks_are_kept_for_a_week() {
        let peaks = watched(24 * 10, |minute| if minute == 24 * 60 * 5 { 9.0 } else { 1.0 });
        assert_eq!((peaks.greatest(1), peaks.greatest(7)), (Some(1.0), Some(9.0)));
        let later = watched(24 * 14, |minute| if minute == 24 * 60 * 5 { 9.0 } else { 1.0 });
        assert_eq!(later.greatest(7), Some(1.0));
        assert!(later.heap_bytes() <= (24 + 7) * 16, "{} bytes", later.heap_bytes());
    }

    #[test]
    fn of_a_longer_step_the_greatest_use_is_a_peak_and_the_mean_goes_into_the_hours() {
        let mut peaks = Peaks::default();
        for bin in 0..24 {
            let greatest = if bin == 3 { 10.0 } else { 2.0 };
            peaks.observe_within(EventTime::from_s(300 * bin), (2.0, greatest), Served::steady(10.0));
        }
        assert_eq!((peaks.greatest(1), peaks.hour_mean()), (Some(10.0), Some(2.0)));
        assert!(peaks.reached_capacity(2 * HOUR_S));
    }

    #[test]
    fn an_outage_is_no_idle_hour() {
        let outage = |minutes: i64| {
            move |minute: i64| if minute >= 24 * 60 * 6 - minutes { 0.02 } else { 2.4 + (minute % 7) as f64 * 0.01 }
        };
        for minutes in [11, 40, 120] {
            assert!(watched(24 * 6, outage(minutes)).fell_as_never_before(), "{minutes} minutes");
        }
        assert!(!watched(24 * 6, outage(600)).fell_as_never_before(), "ten hours are the new normal");
        let nightly = |minute: i64| if minute / 60 % 24 < 6 { 0.1 } else { 2.4 };
        assert!(!watched(24 * 6 + 3, nightly).fell_as_never_before());
        assert!(!watched(20, outage(5)).fell_as_never_before(), "too young to tell");
    }

    #[test]
    fn a_leak_grows_and_a_plateau_does_not() {
        assert!(watched(20, |minute| 0.5 + minute as f64 * 0.006).is_growing());
        assert!(!watched(20, |minute| if minute < 120 { 2.0 } else { 1.0 }).is_growing());
        assert!(!watched(48, |minute| 1.0 + 0.5 * f64::from(u8::from(minute % 60 < 5))).is_growing());
    }
}
