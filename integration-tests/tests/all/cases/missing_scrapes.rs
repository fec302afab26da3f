//! A value that is missing is no zero.

use super::run::{clock, none_wrong, of_five_minutes, shown};
use super::series::{DAY_S, GIB, HOUR_S, Workload, noise};
use prescale_domain::action::Action;
use prescale_domain::kpi::CPU_CORES_USED;

struct Flaky {
    seed: u64,
    /// Least and greatest cores of a day.
    cores: (f64, f64),
    /// Of 100 scrapes so many fail, half of them without a row.
    failing: i64,
    /// When the hole of the last day begins, in seconds of the day, and how long it is.
    hole_s: (i64, i64),
}

const FLAKY: [Flaky; 3] = [
    Flaky { seed: 1, cores: (0.8, 3.0), failing: 20, hole_s: (13 * HOUR_S, 2700) },
    Flaky { seed: 2, cores: (1.5, 3.4), failing: 10, hole_s: (10 * HOUR_S, 5400) },
    Flaky { seed: 3, cores: (0.5, 1.2), failing: 30, hole_s: (15 * HOUR_S, 1800) },
];
const CAPACITY: (f64, f64) = (4.0, 4.0);
const LAST_DAY_S: i64 = 4 * DAY_S;
/// GiB that each uses, up to so much more or less.
const GIB_USED: f64 = 2.6;
const GIB_NOISE: f64 = 0.03;

impl Flaky {
    fn name(&self) -> String {
        format!("flaky-{}", self.seed)
    }

    fn hole(&self) -> std::ops::Range<i64> {
        let from_s = LAST_DAY_S + self.hole_s.0;
        from_s..from_s + self.hole_s.1
    }

    /// What it uses, measured or not: most at 14:00.
    fn cores_at(&self, at_s: i64) -> f64 {
        let of_day = (at_s - 14 * HOUR_S) as f64 / DAY_S as f64 * std::f64::consts::TAU;
        let (low, high) = self.cores;
        low + (high - low) * (0.5 + 0.5 * of_day.cos()) + 0.08 * low * noise(self.seed, at_s)
    }

    fn workload(&self) -> Workload {
        let grid = (300, LAST_DAY_S + DAY_S);
        let mut workload = Workload::new(&self.name(), CAPACITY, grid, |at_s| {
            (self.cores_at(at_s), GIB_USED + GIB_NOISE * noise(5, at_s))
        });
        let fate = |at_s: i64| (100.0 * (0.5 + 0.5 * noise(self.seed + 50, at_s))) as i64;
        workload.points.retain(|point| self.hole().contains(&point.at_s) || 2 * fate(point.at_s) >= self.failing);
        for point in &mut workload.points {
            if self.hole().contains(&point.at_s) || fate(point.at_s) < self.failing {
                (point.cores, point.gib) = (None, None);
            }
        }
        workload
    }
}

pub(super) fn workloads() -> Vec<Workload> {
    FLAKY.iter().map(Flaky::workload).collect()
}

#[test]
fn missing_is_not_zero() {
    for flaky in &FLAKY {
        let least = of_five_minutes().least(&flaky.name(), CPU_CORES_USED, LAST_DAY_S..LAST_DAY_S + DAY_S);
        assert!(least >= 0.75 * flaky.cores.0, "{}: {least}", flaky.name());
    }
}

/// The actions decided within a time that ask for less, of CPU or memory, than what was asked for before them.
fn decreases(name: &str, range_s: std::ops::Range<i64>) -> Vec<&'static Action> {
    let less = of_five_minutes().changes_within(name, range_s).into_iter().filter(|(stood, action)| {
        let asked = &action.desired;
        asked.cpu_cores() < stood.cpu_cores() || asked.memory_bytes() < stood.memory_bytes()
    });
    less.map(|(_, action)| action).collect()
}

#[test]
fn no_decrease_is_asked_for_in_a_hole() {
    for flaky in &FLAKY {
        let decreases = decreases(&flaky.name(), flaky.hole());
        none_wrong(&flaky.name(), decreases.into_iter().map(shown).collect());
    }
}

/// After a hole what was used in it is not known, so nothing may ask for less than that, nor than what comes next.
#[test]
fn no_decrease_is_asked_for_after_a_hole_because_of_it() {
    for flaky in &FLAKY {
        let hole = flaky.hole();
        let after = hole.end..hole.end + HOUR_S;
        let used = (hole.start..after.end).step_by(300).map(|at_s| flaky.cores_at(at_s));
        let (cores, gib) = (used.fold(0.0, f64::max), GIB_USED + GIB_NOISE);
        let short = decreases(&flaky.name(), after).into_iter().filter(|action| {
            let desired = &action.desired;
            desired.cpu_cores() < cores || desired.memory_bytes() < gib * GIB
        });
        none_wrong(&format!("{} ({cores:.2} cores are used)", flaky.name()), short.map(shown).collect());
    }
}

#[test]
fn forecasts_go_on_after_the_hole() {
    for flaky in &FLAKY {
        let after = flaky.hole().end..flaky.hole().end + 3 * HOUR_S;
        for horizon_s in [300, 900, 3600] {
            let made = of_five_minutes().forecasts(&flaky.name(), CPU_CORES_USED, horizon_s);
            let made: Vec<_> = made.into_iter().filter(|(at_s, _)| after.contains(at_s)).collect();
            assert!(made.len() > 15, "{}: {} forecasts", flaky.name(), made.len());
            let wrong = made.into_iter().filter_map(|(at_s, forecast)| {
                let (median, comes) = (forecast.value.median(), flaky.cores_at(at_s + i64::from(horizon_s)));
                ((median - comes).abs() > 0.15 * comes)
                    .then(|| format!("{}: {median:.2} cores, {comes:.2} come", clock(at_s)))
            });
            none_wrong(&flaky.name(), wrong.collect());
        }
    }
}
