//! Memory that grows until the process is killed, and begins again.

use super::run::{clock, none_wrong, of_five_minutes, shown};
use super::series::{DAY_S, GIB, HOUR_S, Workload, noise};
use prescale_domain::kpi::MEMORY_BYTES;

struct Leak {
    seed: u64,
    /// GiB after a start and before the kill.
    gib: (f64, f64),
    /// Time from start to kill, in seconds.
    grows_s: i64,
    /// Time without samples after a kill, in seconds.
    gone_s: i64,
    capacity: (f64, f64),
}

const LEAKS: [Leak; 3] = [
    Leak { seed: 1, gib: (0.5, 7.6), grows_s: 20 * HOUR_S + 600, gone_s: 600, capacity: (2.0, 8.0) },
    Leak { seed: 2, gib: (0.4, 3.7), grows_s: 13 * HOUR_S, gone_s: 900, capacity: (2.0, 4.0) },
    Leak { seed: 3, gib: (1.5, 14.5), grows_s: 31 * HOUR_S, gone_s: 600, capacity: (4.0, 16.0) },
];

/// How long after a restart forecasts may be off, in seconds.
const SETTLES_S: i64 = 1800;

/// And those an hour ahead.
const SETTLES_HOUR_S: i64 = HOUR_S;

impl Leak {
    fn name(&self) -> String {
        format!("leaky-{}", self.seed)
    }

    /// Seconds since the process began, or `None` while it is gone.
    fn age_s(&self, at_s: i64) -> Option<i64> {
        let age_s = at_s % (self.grows_s + self.gone_s);
        (age_s < self.grows_s).then_some(age_s)
    }

    fn workload(&self) -> Workload {
        let (from, to) = self.gib;
        let mut workload = Workload::new(&self.name(), self.capacity, (300, 6 * DAY_S), |at_s| {
            let grown = self.age_s(at_s).unwrap_or(0) as f64 / self.grows_s as f64;
            let wave = (at_s as f64 / DAY_S as f64 * std::f64::consts::TAU).sin();
            (0.7 + 0.15 * wave + 0.03 * noise(self.seed, at_s), from + (to - from) * grown + 0.01 * noise(9, at_s))
        });
        workload.points.retain(|point| self.age_s(point.at_s).is_some());
        workload
    }
}

pub(super) fn workloads() -> Vec<Workload> {
    LEAKS.iter().map(Leak::workload).collect()
}

/// Forecasts an hour ahead that are off by more than 5 % of what comes, of those made on the second day and later, an hour
/// from a restart.
fn off_the_slope(leak: &Leak) -> Vec<String> {
    let workload = leak.workload();
    let mut count = 0;
    let of_hour = of_five_minutes().forecasts(&leak.name(), MEMORY_BYTES, 3600).into_iter();
    let wrong = of_hour.filter_map(|(at_s, forecast)| {
        let age_s =
            leak.age_s(at_s).filter(|age_s| at_s >= DAY_S && (HOUR_S..leak.grows_s - HOUR_S).contains(age_s))?;
        let came = workload.gib_at(at_s + HOUR_S)?;
        count += 1;
        let median = forecast.value.median() / GIB;
        let is_right = (median - came).abs() <= 0.05 * came;
        (!is_right).then(|| format!("{} at an age of {age_s} s: {median:.3} GiB, {came:.3} came", clock(at_s)))
    });
    let wrong = wrong.collect();
    assert!(count > 100, "{}: {count} forecasts", leak.name());
    wrong
}

#[test]
fn forecasts_follow_the_slope() {
    for leak in &LEAKS {
        none_wrong(&format!("the forecasts of {}", leak.name()), off_the_slope(leak));
    }
}

#[test]
fn missing_minutes_are_no_zero() {
    for leak in &LEAKS {
        let least = of_five_minutes().least(&leak.name(), MEMORY_BYTES, 0..6 * DAY_S) / GIB;
        assert!(least > 0.9 * leak.gib.0, "{least}");
    }
}

#[test]
fn half_an_hour_after_a_restart_forecasts_are_at_the_new_level() {
    for leak in &LEAKS {
        let workload = leak.workload();
        for (horizon_s, share, settles_s) in
            [(300, 0.05, SETTLES_S), (900, 0.05, SETTLES_S), (3600, 0.1, SETTLES_HOUR_S)]
        {
            let made = of_five_minutes().forecasts(&leak.name(), MEMORY_BYTES, horizon_s).into_iter();
            let wrong = made.filter_map(|(at_s, forecast)| {
                let age_s = leak.age_s(at_s).filter(|_| at_s > leak.grows_s)?;
                let is_after = (settles_s..2 * HOUR_S).contains(&age_s);
                let came = workload.gib_at(at_s + i64::from(horizon_s)).filter(|_| is_after)?;
                let median = forecast.value.median() / GIB;
                ((median - came).abs() > share * (leak.gib.1 - leak.gib.0))
                    .then(|| format!("{}: {median:.3} GiB, {came:.3} came", clock(at_s)))
            });
            none_wrong(&format!("{} in {horizon_s} s", leak.name()), wrong.collect());
        }
    }
}

#[test]
fn no_decrease_below_what_the_process_will_need_within_the_day() {
    for leak in &LEAKS {
        let actions = of_five_minutes().actions(&leak.name()).iter();
        let short = actions.filter(|action| {
            let gib = action.desired.memory_bytes() / GIB;
            let says_so = action.reasons.iter().any(|reason| &*reason.rule == "proactive.memory_growing");
            action.desired.memory_bytes() < action.current.memory_bytes() && gib < leak.gib.1 && !says_so
        });
        none_wrong("the actions", short.map(shown).collect());
    }
}
