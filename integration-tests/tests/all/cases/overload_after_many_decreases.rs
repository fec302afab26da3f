//! However often capacity could have been less: a workload that uses all it has gets more.

use super::run::{clock, of_five_minutes, shown, since_start_s};
use super::series::{DAY_S, HOUR_S, Workload, noise};
use prescale_domain::action::Action;

struct Batches {
    seed: u64,
    cores: f64,
    /// Length of a batch, in seconds.
    batch_s: i64,
    /// Begin and end of the overload on the fifth day, in seconds of the day.
    overload_s: std::ops::Range<i64>,
}

const BATCHES: [Batches; 3] = [
    Batches { seed: 1, cores: 4.0, batch_s: 2400, overload_s: 12 * HOUR_S..15 * HOUR_S },
    Batches { seed: 2, cores: 8.0, batch_s: 1800, overload_s: 9 * HOUR_S..10 * HOUR_S },
    Batches { seed: 3, cores: 2.0, batch_s: 3600, overload_s: 20 * HOUR_S..23 * HOUR_S },
];
const LAST_DAY_S: i64 = 4 * DAY_S;

impl Batches {
    fn name(&self) -> String {
        format!("checkout-{}", self.seed)
    }

    fn overload(&self) -> std::ops::Range<i64> {
        LAST_DAY_S + self.overload_s.start..LAST_DAY_S + self.overload_s.end
    }
}

pub(super) fn workloads() -> Vec<Workload> {
    let of = |batches: &Batches| {
        Workload::new(&batches.name(), (batches.cores, 4.0), (300, LAST_DAY_S + DAY_S), |at_s| {
            let noise = noise(batches.seed, at_s);
            let share = if batches.overload().contains(&at_s) {
                0.995 + 0.002 * noise
            } else if at_s % DAY_S < 8 * HOUR_S {
                let levels = [0.55, 0.65, 0.43, 0.6, 0.5, 0.66, 0.45, 0.575];
                levels[(at_s % DAY_S / batches.batch_s % 8) as usize] + 0.002 * noise
            } else {
                0.3 + 0.003 * noise
            };
            (share * batches.cores, 2.6 + 0.03 * noise)
        })
    };
    BATCHES.iter().map(of).collect()
}

#[test]
fn an_increase_is_asked_for_within_ten_minutes_and_stands() {
    for batches in &BATCHES {
        let overload = batches.overload();
        let actions = of_five_minutes().actions(&batches.name());
        let increases: Vec<&Action> =
            actions.iter().filter(|action| action.desired.cpu_cores() > action.current.cpu_cores()).collect();
        let stands = |at_s: i64| {
            increases.iter().any(|action| {
                (since_start_s(action.decided_at)..=since_start_s(action.valid_until) + 300).contains(&at_s)
                    && since_start_s(action.decided_at) >= overload.start
            })
        };
        let missing = (overload.start + 600..overload.end).step_by(300).find(|at_s| !stands(*at_s));
        let shown: Vec<String> = actions.iter().rev().take(3).rev().map(shown).collect();
        assert_eq!(missing.map(clock), None, "no increase of {} stands; the last actions: {shown:#?}", batches.name());
    }
}
