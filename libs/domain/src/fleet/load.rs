//! The load of a workload over time, relative to its usual peak. It must not know sizes, units or
//! capacity.

use super::archetype::Archetype;
use super::draw::Draw;
use std::f64::consts::TAU;

const MINUTE_S: i64 = 60;
const HOUR_S: i64 = 3600;
const DAY_S: i64 = 24 * HOUR_S;
/// 1970-01-01 was a Thursday.
const EPOCH_WEEKDAY: i64 = 3;
/// A burst is over after so many of its cells.
const BURST_CELLS: i64 = 4;

/// The load of one workload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    archetype: Archetype,
    shape: Draw,
    noise: Draw,
    /// Added to UTC for the time that its users live by, in seconds.
    utc_offset_s: i64,
    /// Load in the quietest hours.
    floor: f64,
    /// Strength of the autocorrelated noise, relative to the load.
    unrest: f64,
}

impl Load {
    /// The load of a workload of that archetype; its parameters follow from `draw`.
    pub fn new(archetype: Archetype, draw: Draw) -> Self {
        let shape = draw.stream(1);
        let floor = match archetype {
            Archetype::NearIdle => 0.01,
            Archetype::BatchJobs | Archetype::NightlyJob => 0.03,
            _ => shape.between(0, 0.08, 0.3),
        };
        Self {
            archetype,
            shape,
            noise: draw.stream(2),
            utc_offset_s: HOUR_S * shape.whole(1, -1, 3),
            floor,
            unrest: shape.between(2, 0.03, 0.12),
        }
    }

    /// The load at an instant (seconds since 1970), never negative; about 1 at the usual peak.
    pub fn at(&self, at_s: i64) -> f64 {
        let unrest = self.unrest * self.noise.stream(0).fractal(at_s, 5 * MINUTE_S, 5, 0.9);
        let jitter = 0.02 * self.noise.stream(1).white(at_s);
        (self.season(at_s) * (1.0 + unrest + jitter)).max(0.0)
    }

    /// The load without noise.
    pub fn season(&self, at_s: i64) -> f64 {
        match self.archetype {
            Archetype::OfficeService => self.office(at_s),
            Archetype::ConsumerService => self.consumer(at_s),
            Archetype::BatchJobs => self.batch(at_s),
            Archetype::NightlyJob => self.nightly(at_s),
            Archetype::NearIdle => self.floor + 0.02 * self.burst(at_s, HOUR_S, 0.3),
            Archetype::MemoryStairs | Archetype::MemoryLeak => 0.35 + 0.2 * self.day_wave(at_s, 14.0),
            Archetype::RandomWalk => (0.5 + 0.22 * self.shape.stream(3).fractal(at_s, 20 * MINUTE_S, 7, 1.4)).max(0.02),
            Archetype::QueueWorker => self.floor + self.burst(at_s, 20 * MINUTE_S, 0.25),
            Archetype::Launches => self.launched(at_s) * (0.7 + 0.3 * self.day_wave(at_s, 15.0)),
            Archetype::Trend => self.grown(at_s) * (0.65 + 0.35 * self.day_wave(at_s, 16.0)),
        }
    }

    fn hour_of_day(&self, at_s: i64) -> f64 {
        (at_s + self.utc_offset_s).rem_euclid(DAY_S) as f64 / HOUR_S as f64
    }

    fn is_weekend(&self, at_s: i64) -> bool {
        let weekday = ((at_s + self.utc_offset_s).div_euclid(DAY_S) + EPOCH_WEEKDAY).rem_euclid(7);
        weekday >= 5
    }

    /// A wave over the day with its peak at `peak_hour`, between -1 and 1.
    fn day_wave(&self, at_s: i64, peak_hour: f64) -> f64 {
        (TAU * (self.hour_of_day(at_s) - peak_hour) / 24.0).cos()
    }

    fn office(&self, at_s: i64) -> f64 {
        let hour = self.hour_of_day(at_s);
        let edge = |at: f64| 1.0 / (1.0 + (-(hour - at) / 0.4).exp());
        let lunch = 0.15 * (-((hour - 12.5) / 0.6).powi(2)).exp();
        let begins = self.shape.between(10, 7.5, 9.0);
        let at_work = (edge(begins) - edge(begins + 9.5) - lunch).max(0.0);
        let share = if self.is_weekend(at_s) { self.shape.between(11, 0.05, 0.3) } else { 1.0 };
        self.floor + (1.0 - self.floor) * at_work * share
    }

    fn consumer(&self, at_s: i64) -> f64 {
        let day = 0.5 + 0.5 * self.day_wave(at_s, 20.0);
        let noon = 0.25 * (0.5 + 0.5 * (2.0 * TAU * (self.hour_of_day(at_s) - 12.5) / 24.0).cos());
        let weekend = if self.is_weekend(at_s) { self.shape.between(12, 1.05, 1.3) } else { 1.0 };
        (self.floor + (1.0 - self.floor) * (0.8 * day + noon)) * weekend
    }

    fn batch(&self, at_s: i64) -> f64 {
        let period_s = MINUTE_S * self.shape.whole(20, 90, 360);
        let run = at_s.div_euclid(period_s);
        let plan = self.shape.stream(4).stream(run as u64);
        let into = at_s.rem_euclid(period_s) as f64 / period_s as f64;
        let begins = plan.between(0, 0.0, 0.3);
        let lasts = plan.between(1, 0.15, 0.6);
        let runs = plan.chance(2, 0.9) && (begins..begins + lasts).contains(&into);
        self.floor + if runs { plan.between(3, 0.6, 1.0) } else { 0.0 }
    }

    fn nightly(&self, at_s: i64) -> f64 {
        let local_s = at_s + self.utc_offset_s;
        let plan = self.shape.stream(5).stream(local_s.div_euclid(DAY_S) as u64);
        let begins_s = HOUR_S * self.shape.whole(30, 0, 5) + plan.whole(0, 0, 15 * MINUTE_S);
        let lasts_s = (self.shape.between(31, 0.75, 3.0) * plan.between(1, 0.85, 1.15) * HOUR_S as f64) as i64;
        let runs = (begins_s..begins_s + lasts_s).contains(&local_s.rem_euclid(DAY_S));
        self.floor + if runs { plan.between(2, 0.85, 1.0) } else { 0.0 }
    }

    /// Bursts that come at once and die down: each cell of time has one with this probability.
    fn burst(&self, at_s: i64, cell_s: i64, probability: f64) -> f64 {
        let newest = at_s.div_euclid(cell_s);
        let of_cell = |cell: i64| {
            let plan = self.shape.stream(6).stream(cell as u64);
            let since_s = (at_s - cell * cell_s) as f64 - plan.unit(0) * cell_s as f64;
            if since_s < 0.0 || !plan.chance(1, probability) {
                return 0.0;
            }
            let dies_down_s = cell_s as f64 * plan.between(2, 0.1, 0.5);
            plan.between(3, 0.4, 1.0) * (-since_s / dies_down_s).exp()
        };
        (newest - BURST_CELLS..=newest).map(of_cell).sum()
    }

    /// Level since the last launch, with a ramp of five minutes.
    fn launched(&self, at_s: i64) -> f64 {
        let (ramp_s, period_s) = (5 * MINUTE_S, MINUTE_S * self.shape.whole(40, 500, 1300));
        let levels = self.shape.stream(7);
        let launch = at_s.div_euclid(period_s);
        let (before, after) = (levels.between(launch - 1, 0.3, 1.1), levels.between(launch, 0.3, 1.1));
        let done = (at_s.rem_euclid(period_s) as f64 / ramp_s as f64).min(1.0);
        before + (after - before) * done
    }

    /// Two weeks up, two weeks down.
    fn grown(&self, at_s: i64) -> f64 {
        let half_s = 14 * DAY_S;
        let phase = (at_s + self.shape.whole(50, 0, 2 * half_s)).rem_euclid(2 * half_s) as f64 / half_s as f64;
        0.35 + 0.65 * (1.0 - (phase - 1.0).abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-01-01T00:00:00Z, a Monday.
    const MONDAY_S: i64 = 1_704_067_200;

    fn loads(archetype: Archetype) -> Vec<Load> {
        (0..20).map(|i| Load::new(archetype, Draw::seeded(i))).collect()
    }

    fn mean(load: &Load, from_s: i64, hours: std::ops::Range<i64>) -> f64 {
        let minutes = (hours.end - hours.start) * 60;
        let sum: f64 = (0..minutes).map(|m| load.at(from_s + hours.start * HOUR_S + m * MINUTE_S)).sum();
        sum / minutes as f64
    }

    fn autocorrelation(load: &Load, lag_s: i64, days: i64) -> f64 {
        let values: Vec<f64> = (0..days * 288).map(|i| load.at(MONDAY_S + i * 300)).collect();
        let lag = (lag_s / 300) as usize;
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let pairs = values.iter().zip(&values[lag..]);
        pairs.map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>() / variance
    }

    #[test]
    fn offices_work_by_day_and_on_weekdays() {
        for load in loads(Archetype::OfficeService) {
            let (day, night) = (mean(&load, MONDAY_S, 10..15), mean(&load, MONDAY_S, 0..4));
            let saturday = mean(&load, MONDAY_S + 5 * DAY_S, 10..15);
            assert!(day > 2.0 * night && day > 1.5 * saturday, "{day} {night} {saturday}");
            assert!(autocorrelation(&load, DAY_S, 28) > 0.5);
            assert!(autocorrelation(&load, 7 * DAY_S, 28) > 0.65, "of 28 days, 21 overlap");
        }
    }

    #[test]
    fn people_at_home_come_in_the_evening() {
        for load in loads(Archetype::ConsumerService) {
            let (evening, morning) = (mean(&load, MONDAY_S, 18..22), mean(&load, MONDAY_S, 5..9));
            assert!(evening > 1.5 * morning, "{evening} {morning}");
            assert!(mean(&load, MONDAY_S + 5 * DAY_S, 0..48) > mean(&load, MONDAY_S, 0..48));
        }
    }

    #[test]
    fn nights_have_one_job() {
        for load in loads(Archetype::NightlyJob) {
            for day in 0..7 {
                let busy = (0..1440).filter(|m| load.season(MONDAY_S + day * DAY_S + m * MINUTE_S) > 0.5).count();
                assert!((30..240).contains(&busy), "{busy} min");
                assert!(mean(&load, MONDAY_S + day * DAY_S, 10..20) < 0.1);
            }
        }
    }

    #[test]
    fn the_others_are_as_their_names_say() {
        let days = 0..14 * 24;
        for load in loads(Archetype::NearIdle) {
            assert!(mean(&load, MONDAY_S, days.clone()) < 0.04);
        }
        for load in loads(Archetype::BatchJobs) {
            let busy = (0..14 * 288).filter(|i| load.season(MONDAY_S + i * 300) > 0.5).count() as f64 / (14.0 * 288.0);
            assert!((0.1..0.6).contains(&busy), "{busy}");
        }
        for load in loads(Archetype::QueueWorker) {
            let values: Vec<f64> = (0..14 * 288).map(|i| load.season(MONDAY_S + i * 300)).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let peak = values.iter().copied().fold(0.0, f64::max);
            assert!(peak > 3.0 * mean, "{peak} {mean}");
        }
        for load in loads(Archetype::Launches) {
            let levels: Vec<f64> = (0..28).map(|i| load.launched(MONDAY_S + i * DAY_S / 2)).collect();
            let spread = levels.iter().copied().fold(0.0, f64::max) - levels.iter().copied().fold(9.0, f64::min);
            assert!(spread > 0.2, "{levels:?}");
        }
        for load in loads(Archetype::Trend) {
            let weeks: Vec<f64> = (0..5).map(|w| mean(&load, MONDAY_S + w * 7 * DAY_S, 0..7 * 24)).collect();
            let spread = weeks.iter().copied().fold(0.0, f64::max) / weeks.iter().copied().fold(9.0, f64::min);
            assert!(spread > 1.4, "{weeks:?}");
        }
    }

    #[test]
    fn no_load_is_negative_and_peaks_are_about_one() {
        for archetype in (0..20).map(Archetype::of) {
            for load in loads(archetype) {
                let values: Vec<f64> = (0..14 * 144).map(|i| load.at(MONDAY_S + i * 600)).collect();
                let peak = values.iter().copied().fold(0.0, f64::max);
                assert!(values.iter().all(|v| *v >= 0.0) && peak < 3.0, "{archetype:?} {peak}");
            }
        }
    }
}
