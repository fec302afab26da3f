//! Whoever calls the service is down for a while: what never happened before is no reason to believe in nothing.

use super::run::{clock, none_wrong, of_five_minutes, shown};
use super::series::{DAY_S, HOUR_S, Workload, noise};
use prescale_domain::kpi::CPU_CORES_USED;

struct Outage {
    seed: u64,
    /// Cores on even days, of how many.
    cores: (f64, f64),
    /// When it begins on the seventh day, in seconds of the day, and how long it is.
    outage_s: (i64, i64),
}

const OUTAGES: [Outage; 3] = [
    Outage { seed: 1, cores: (2.4, 4.0), outage_s: (14 * HOUR_S, 2400) },
    Outage { seed: 2, cores: (1.1, 2.0), outage_s: (4 * HOUR_S, 3600) },
    Outage { seed: 3, cores: (5.2, 8.0), outage_s: (18 * HOUR_S, 1500) },
];
const LAST_DAY_S: i64 = 6 * DAY_S;
/// How long what has piled up is worked off.
const CATCH_UP_S: i64 = 1200;

impl Outage {
    fn name(&self) -> String {
        format!("service-{}", self.seed)
    }

    fn outage(&self) -> std::ops::Range<i64> {
        LAST_DAY_S + self.outage_s.0..LAST_DAY_S + self.outage_s.0 + self.outage_s.1
    }
}

pub(super) fn workloads() -> Vec<Workload> {
    let of = |outage: &Outage| {
        let (level, capacity) = outage.cores;
        Workload::new(&outage.name(), (capacity, 4.0), (300, LAST_DAY_S + DAY_S), |at_s| {
            let noise = noise(outage.seed, at_s);
            let end_s = outage.outage().end;
            let cores = match at_s {
                at_s if outage.outage().contains(&at_s) => 0.01 * level * (1.0 + 0.2 * noise),
                at_s if (end_s..end_s + CATCH_UP_S).contains(&at_s) => 1.46 * level + 0.02 * noise,
                _ => level * (1.0 + 0.015 * noise),
            };
            (cores, 2.6 + 0.03 * noise)
        })
    };
    OUTAGES.iter().map(of).collect()
}

#[test]
fn no_action_during_the_outage_asks_for_less_than_has_been_used_for_days() {
    for outage in &OUTAGES {
        let during = of_five_minutes().actions_within(&outage.name(), outage.outage());
        let short = during.iter().filter(|action| action.desired.cpu_cores() < outage.cores.0);
        none_wrong(&outage.name(), short.map(|action| shown(action)).collect());
    }
}

#[test]
fn forecasts_are_back_half_an_hour_after_it_is_over() {
    for outage in &OUTAGES {
        let (level, back_s) = (outage.cores.0, outage.outage().end + CATCH_UP_S + 1800);
        for horizon_s in [300, 900, 3600] {
            let made = of_five_minutes().forecasts(&outage.name(), CPU_CORES_USED, horizon_s);
            let wrong = made.into_iter().filter(|(at_s, _)| *at_s >= back_s).filter_map(|(at_s, forecast)| {
                let median = forecast.value.median();
                ((median - level).abs() > 0.1 * level).then(|| format!("{}: {median:.2} of {level} cores", clock(at_s)))
            });
            none_wrong(&format!("{} in {horizon_s} s", outage.name()), wrong.collect());
        }
    }
}
