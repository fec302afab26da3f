//! A few minutes at the limit after each start are no demand to size for.

use super::run::{clock, none_wrong, of_one_minute, shown, since_start_s};
use super::series::{DAY_S, Workload, noise};
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

/// An increase that was asked for before the third start may not be asked for again after it either. In a dry run what
/// serves stays: a plan may not grow back to it in answer to a start, within an hour of it. That a rule which recalls a
/// day or a week is tried and found cheaper is another matter.
#[test]
fn from_the_third_start_on_no_increase_is_asked_for() {
    for service in &SERVICES {
        let starts_s = service.starts_s();
        let later = of_one_minute().changes_within(&service.name(), starts_s[2]..4 * DAY_S).into_iter();
        let increases = later.filter(|(stood, action)| {
            let (now, asked) = (&action.current, &action.desired);
            let at_s = since_start_s(action.decided_at);
            let answers_a_start = starts_s.iter().any(|start_s| (0..3600).contains(&(at_s - start_s)));
            let before = if answers_a_start { now.cpu_cores().min(stood.cpu_cores()) } else { now.cpu_cores() };
            asked.cpu_cores() > before || asked.memory_bytes() > now.memory_bytes()
        });
        none_wrong(&service.name(), increases.map(|(_, action)| shown(action)).collect());
        let first = of_one_minute().changes_within(&service.name(), 0..starts_s[2]).into_iter();
        let increases = first.filter(|(stood, action)| {
            let cores = action.desired.cpu_cores();
            cores > action.current.cpu_cores() && cores > stood.cpu_cores()
        });
        let hasty_or_late = increases.filter(|(_, action)| {
            let at_s = since_start_s(action.decided_at);
            // A sample stands for the minute that it begins.
            !starts_s[..2].iter().any(|start_s| (120..900).contains(&(at_s + 60 - start_s)))
        });
        none_wrong("the increases before", hasty_or_late.map(|(_, action)| shown(action)).collect());
    }
}

#[test]
fn forecasts_are_back_within_a_quarter_of_an_hour() {
    for service in &SERVICES {
        let starts_s = service.starts_s();
        for horizon_s in [300, 900, 3600] {
            let made = of_one_minute().forecasts(&service.name(), CPU_CORES_USED, horizon_s);
            let wrong = made.into_iter().filter_map(|(at_s, forecast)| {
                // Until what is forecast may be the next start.
                let last = starts_s.iter().rev().find(|start_s| **start_s <= at_s)?;
                let next_s = starts_s.iter().find(|start_s| **start_s > at_s).copied().unwrap_or(4 * DAY_S);
                let due_s = at_s + i64::from(horizon_s);
                // Whether what came at this time of a day comes again, one day does not tell.
                let is_a_day_after = starts_s.iter().any(|start_s| (due_s - DAY_S - start_s).abs() < 600);
                let is_after = at_s - last >= 900 && due_s < next_s && !is_a_day_after;
                let median = forecast.value.median();
                (is_after && median >= f64::max(0.2, 0.1 * service.cores))
                    .then(|| format!("{}: {median:.2} cores", clock(at_s)))
            });
            none_wrong(&format!("{} in {horizon_s} s", service.name()), wrong.collect());
        }
    }
}
