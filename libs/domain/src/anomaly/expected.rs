//! What is expected of one KPI: how it was over the last days, at this hour of the day, and just now; and how far it is
//! from each.

use super::novelty::{At, Novel, Novelty, REPEATS_MAX, surprise_of_repeats};
use bitcode::{Decode, Encode};

/// No deviation counts as more than so many standard deviations.
pub(super) const DEVIATION_MAX: f64 = 30.0;

/// What is learnt of a deviation is that of so many standard deviations at most.
const LEARNT_MAX: f64 = 5.0;

/// Standard deviations in a mean absolute deviation of the normal distribution: the root of half of pi.
const STD_PER_ABS: f64 = 1.253_314_137_315_500_3;

/// Closes in which a KPI is learnt as it comes.
const EARLY: u16 = 50;

/// Hours of a day.
pub(super) const HOURS: usize = 24;

/// Days that an hour's mean goes back.
const DAYS: f64 = 7.0;

/// Closes that tell how restless a KPI is now.
const RECENT: f64 = 12.0;

/// Less change than this share of what is common is stillness; and less than that counts as that.
const STILL_BELOW: f64 = 0.2;
const CHANGE_SHARE_MIN: f64 = 0.01;

/// Most that the square of stillness is.
const STILLNESS_MAX: f64 = 25.0;

/// Of what a KPI scatters by anyhow: less is no measure of its changes and of its hours.
const CHANGE_MIN: f64 = 0.02;
const HOUR_MIN: f64 = 0.05;

/// Of a KPI's size: rounding is no deviation.
const ROUNDING: f64 = 1e-6;

/// Values lie within this, so that no square of a number is infinite.
const VALUE_MAX: f64 = 1e30;

/// How fast is learnt, as shares of what is new; and which hour it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Of how a KPI was over the last days.
    pub(super) days: f64,
    /// Of how it is now.
    pub(super) now: f64,
    /// Closes in an hour, at least 1.
    pub(super) per_hour: f64,
    /// Hour of the day in UTC, and how much of it has passed.
    pub(super) hour: usize,
    pub(super) hour_share: f64,
}

/// How far a value is from what is expected, in standard deviations but for the last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Deviations {
    /// From this hour of the last days.
    pub(super) of_hour: f64,
    /// From just now.
    pub(super) of_now: f64,
    /// The root of how rare it is, in powers of e, that a KPI repeats its value or changes so little for so long; 0 where
    /// it often does.
    pub(super) stillness: f64,
    /// What it has never done.
    pub(super) novel: Novel,
}

/// What is expected of one KPI.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct Expected {
    /// Whose it is.
    pub(super) key: u32,
    /// Mean of the open bin so far: of a value that never changes it is that value, to the last digit.
    mean: f32,
    count: u16,
    /// Closes with a value.
    seen: u16,
    days: f32,
    days_spread: f32,
    now: f32,
    now_spread: f32,
    recent_change: f32,
    last: f32,
    /// Share of closes in which it has repeated its value, and how many just now.
    repeats: f32,
    repeated: u8,
    /// A bit for each hour that has a mean.
    hours_known: [u8; HOURS / 8],
    hours_spread: f32,
    hours: [f32; HOURS],
    novelty: Novelty,
}

impl Expected {
    pub(super) fn of(key: u32) -> Self {
        Self { key, ..Self::default() }
    }

    /// Takes a value into the open bin.
    pub(super) fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.count = self.count.saturating_add(1);
            let by = value.clamp(-VALUE_MAX, VALUE_MAX) as f32 - self.mean;
            self.mean += by / f32::from(self.count);
        }
    }

    /// Closes the bin: compares its mean with what was expected, and learns from it. `None` where it has no value, and
    /// of a KPI that is seen for the first time.
    pub(super) fn close(&mut self, pace: &Pace) -> Option<Deviations> {
        let (mean, count) = (std::mem::take(&mut self.mean), std::mem::take(&mut self.count));
        if count == 0 {
            return None;
        }
        let value = f64::from(mean);
        if self.seen == 0 {
            (self.days, self.now, self.last) = (value as f32, value as f32, value as f32);
        }
        let rounding = ROUNDING * f64::from(self.days).abs();
        let is_early = self.seen < EARLY;
        let first = 1.0 / (f64::from(self.seen) + 1.0);
        let learn = |share: f64| share.max(first);
        let days = Measured::of(value - f64::from(self.days), self.days_spread, rounding);
        let floor = rounding + CHANGE_MIN * f64::from(self.days_spread);
        let now = Measured::of(value - f64::from(self.now), self.now_spread, floor);
        let is_hour_known = self.is_known(pace.hour);
        let hour_mean = if is_hour_known { self.hours[pace.hour] } else { self.days };
        let floor = rounding + HOUR_MIN * f64::from(self.days_spread);
        let hour = Measured::of(value - f64::from(hour_mean), self.hours_spread, floor);
        let at = At {
            value,
            last: self.last.into(),
            of_hour: self.of_hour(pace, hour_mean.into()),
            days: self.days.into(),
            days_spread: self.days_spread.into(),
            seen: self.seen,
            repeated: 0,
            repeats: self.repeats.into(),
            days_share: pace.days,
            per_hour: pace.per_hour,
        };
        self.learn_changes((value, rounding), now.learnt(is_early).abs(), (learn(1.0 / RECENT), learn(pace.days)));
        let novel = self.novelty.close(&At { repeated: self.repeated, ..at });
        let (of_hour, of_now) = (hour.deviation(), now.deviation());
        let found = Deviations { of_hour, of_now, stillness: self.stillness(), novel };
        move_by(&mut self.days, learn(pace.days) * days.learnt(is_early));
        days.learn_spread(&mut self.days_spread, learn(pace.days), is_early);
        move_by(&mut self.now, learn(pace.now) * now.by);
        now.learn_spread(&mut self.now_spread, learn(pace.days), is_early);
        hour.learn_spread(&mut self.hours_spread, learn(pace.days), is_early);
        self.learn_hour(pace, (value, hour.learnt(is_early)), is_hour_known);
        self.seen = self.seen.saturating_add(1);
        (self.seen > 1).then_some(found)
    }

    fn is_known(&self, hour: usize) -> bool {
        self.hours_known[hour / 8] >> (hour % 8) & 1 == 1
    }

    /// What is expected at the instant: between the means of this hour and of the one that is nearer, each in its middle.
    fn of_hour(&self, pace: &Pace, mean: f64) -> f64 {
        let from_middle = pace.hour_share - 0.5;
        let near = if from_middle > 0.0 { pace.hour + 1 } else { pace.hour + HOURS - 1 } % HOURS;
        let near = if self.is_known(near) { f64::from(self.hours[near]) } else { mean };
        mean + from_middle.abs() * (near - mean)
    }

    /// Learns how much a KPI changes now, and how often it repeats its value.
    fn learn_changes(&mut self, (value, rounding): (f64, f64), change: f64, (recent, days): (f64, f64)) {
        let before = f64::from(self.recent_change);
        move_by(&mut self.recent_change, recent * (change - before));
        if self.seen > 0 {
            let is_same = (value - f64::from(self.last)).abs() <= rounding;
            self.repeated = if is_same { self.repeated.saturating_add(1) } else { 0 };
            let (repeats, is_same) = (f64::from(self.repeats), f64::from(u8::from(is_same)));
            move_by(&mut self.repeats, days * (is_same - repeats));
        }
        self.last = value as f32;
    }

    fn stillness(&self) -> f64 {
        let (usual, repeats) = (f64::from(self.now_spread), f64::from(self.repeats));
        let is_measure = self.seen >= EARLY && usual > CHANGE_MIN * f64::from(self.days_spread);
        if !is_measure || repeats > REPEATS_MAX {
            return 0.0;
        }
        let share = (f64::from(self.recent_change) / usual).max(CHANGE_SHARE_MIN);
        let less = libm::log(STILL_BELOW / share).max(0.0);
        let run = surprise_of_repeats(self.repeated, repeats);
        (less * less).max(run).min(STILLNESS_MAX).sqrt()
    }

    fn learn_hour(&mut self, pace: &Pace, (value, learnt): (f64, f64), is_known: bool) {
        let mean = &mut self.hours[pace.hour];
        if is_known {
            let days = (f64::from(self.seen) / (pace.per_hour * HOURS as f64)).clamp(1.0, DAYS);
            move_by(mean, learnt / (days * pace.per_hour).max(2.0));
        } else {
            *mean = value as f32;
            self.hours_known[pace.hour / 8] |= 1 << (pace.hour % 8);
        }
    }
}

/// How far a value is from a mean, and what is common.
#[derive(Clone, Copy)]
struct Measured {
    by: f64,
    std_dev: f64,
}

impl Measured {
    fn of(by: f64, spread: f32, floor: f64) -> Self {
        Self { by, std_dev: (STD_PER_ABS * f64::from(spread)).max(floor) }
    }

    fn deviation(self) -> f64 {
        if self.by == 0.0 {
            0.0
        } else if self.std_dev > 0.0 {
            (self.by / self.std_dev).clamp(-DEVIATION_MAX, DEVIATION_MAX)
        } else {
            DEVIATION_MAX.copysign(self.by)
        }
    }

    /// What may be learnt of it: what is far out counts as what is less far out.
    fn learnt(self, is_early: bool) -> f64 {
        let most = LEARNT_MAX * self.std_dev;
        if is_early || most <= 0.0 { self.by } else { self.by.clamp(-most, most) }
    }

    fn learn_spread(self, spread: &mut f32, share: f64, is_early: bool) {
        let before = f64::from(*spread);
        move_by(spread, share * (self.learnt(is_early).abs() - before));
    }
}

fn move_by(what: &mut f32, by: f64) {
    *what = (f64::from(*what) + by) as f32;
}
