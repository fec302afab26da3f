//! A few minutes at the limit after each start are no demand to size for.

use super::run::{clock, none_wrong, of_one_minute, shown};
use super::series::{DAY_S, HOUR_S, Workload, noise};
use prescale_domain::kpi::CPU_CORES_USED;

struct Service {
    seed: u64,
    cores: f64,
    /// Share of its cores that it uses once it has started.
    idle_share: f64,
    /// How long a start takes, in minutes.
    start_min: i64,
}

const SERVICES: [Service; 3] = [
    Service { seed: 1, cores: 2.0, idle_share: 0.023, start_min: 3 },
    Service { seed: 2, cores: 4.0, idle_share: 0.02, start_min: 4 },
    Service { seed: 3, cores: 1.0, idle_share: 0.05, start_min: 3 },
];

impl Service {
    fn name(&self) -> String {
        format!("gateway-java-{}", self.seed)
    }

    /// When it was started anew, in seconds: twice a day.
    fn starts_s(&self) -> Vec<i64> {
        let minute = |i: i64, from: i64| from + (150.0 * noise(self.seed, i)) as i64;
        let of_day = |day: i64| [minute(2 * day, 640), minute(2 * day + 1, 1080)].map(|m| day * DAY_S + 60 * m);
        (0..4).flat_map(of_day).collect()
    }
}

pub(super) fn workloads() -> Vec<Workload> {
    let of = |service: &Service| {
        let starts_s = service.starts_s();
        Workload::new(&service.name(), (service.cores, 2.0), (60, 4 * DAY_S), |at_s| {
            let noise = noise(service.seed + 20, at_s);
            let is_start = starts_s.iter().any(|start_s| (0..60 * service.start_min).contains(&(at_s - start_s)));
            let share = if is_start { 0.993 + 0.005 * noise } else { service.idle_share * (1.0 + 0.1 * noise) };
            (share * service.cores, 0.9 + 0.02 * noise)
        })
    };
    SERVICES.iter().map(of).collect()
}

#[test]
fn from_the_third_start_on_no_increase_is_asked_for() {
    for service in &SERVICES {
        let starts_s = service.starts_s();
        let later = of_one_minute().actions_within(&service.name(), starts_s[2]..4 * DAY_S);
        let increases = later.windows(2).map(|pair| (pair[0], pair[1])).filter(|(before, action)| {
            let cores = action.desired.cpu_cores();
            cores > action.current.cpu_cores() && cores > before.desired.cpu_cores()
        });
        none_wrong(&service.name(), increases.map(|(_, action)| shown(action)).collect());
        let first = of_one_minute().actions_within(&service.name(), 0..starts_s[2]);
        let increases = first.iter().filter(|action| action.desired.cpu_cores() > action.current.cpu_cores());
        let hasty = increases.filter(|action| {
            let at_s = super::run::since_start_s(action.decided_at);
            // A sample stands for the minute that it begins; rules look back a day, and bins are five minutes.
            !starts_s[..2].iter().any(|start_s| (120..DAY_S + HOUR_S).contains(&(at_s + 60 - start_s)))
        });
        none_wrong("the increases before", hasty.map(|action| shown(action)).collect());
    }
}

#[test]
fn forecasts_are_back_within_a_quarter_of_an_hour() {
    for service in &SERVICES {
        let starts_s = service.starts_s();
        for horizon_s in [300, 900, 3600] {
            let made = of_one_minute().forecasts(&service.name(), CPU_CORES_USED, horizon_s);
            let wrong = made.into_iter().filter_map(|(at_s, forecast)| {
                let since_end = |start_s: &i64| at_s - start_s - 60 * service.start_min;
                let is_after = starts_s.iter().any(|start_s| (900..2 * HOUR_S).contains(&since_end(start_s)));
                let median = forecast.value.median();
                (is_after && median >= 0.1 * service.cores).then(|| format!("{}: {median:.2} cores", clock(at_s)))
            });
            none_wrong(&format!("{} in {horizon_s} s", service.name()), wrong.collect());
        }
    }
}
