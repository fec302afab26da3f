//! Constant demand is forecast as what it is, and idle capacity is given back.

use super::run::{Run, clock, none_wrong, of_five_minutes, shown};
use super::series::{DAY_S, GIB, HOUR_S, Workload};
use prescale_domain::kpi::{CPU_CORES_USED, MEMORY_BYTES};
use prescale_domain::prediction::HorizonForecast;

/// Cores and GiB of those that are constant.
const CONSTANT: [(f64, f64); 3] = [(1.0, 2.0), (0.6, 1.0), (2.0, 3.0)];
/// GiB of those that are idle.
const IDLE_GIB: [f64; 2] = [0.2, 0.05];
/// Cores that the others use in a single burst, and in which step.
const BURSTS: [(f64, i64); 2] = [(1.7, 4), (3.0, 9)];
const CAPACITY: (f64, f64) = (4.0, 8.0);
/// Cores and GiB of the smallest size: a grain of each.
const SMALLEST: (f64, f64) = (0.25, 0.25);

pub(super) fn workloads() -> Vec<Workload> {
    let grid = (300, 4 * DAY_S);
    let constant = CONSTANT.map(|level| Workload::new(&format!("constant-{}", level.0), CAPACITY, grid, |_| level));
    let idle = IDLE_GIB.map(|gib| Workload::new(&format!("idle-{gib}"), CAPACITY, grid, |_| (0.0, gib)));
    let once = BURSTS.map(|(burst, step)| {
        let value = move |at_s: i64| (if at_s == 300 * step { burst } else { 0.0 }, 0.2);
        Workload::new(&format!("once-{burst}"), CAPACITY, grid, value)
    });
    [constant.to_vec(), idle.to_vec(), once.to_vec()].concat()
}

/// Names of those that are idle, and of those that are idle but for a burst.
fn idle_ones() -> Vec<String> {
    let idle = IDLE_GIB.map(|gib| format!("idle-{gib}"));
    idle.into_iter().chain(BURSTS.map(|(burst, _)| format!("once-{burst}"))).collect()
}

#[test]
fn no_number_anywhere_is_nan() {
    let run = of_five_minutes();
    for name in CONSTANT.map(|(cores, _)| format!("constant-{cores}")).into_iter().chain(idle_ones()) {
        assert!(!run.predictions(&name).is_empty() && !run.actions(&name).is_empty(), "{name}");
    }
    none_wrong("the numbers", run.not_finite().to_vec());
}

#[test]
fn constant_demand_is_forecast_as_it_is() {
    let run = of_five_minutes();
    for (cores, gib) in CONSTANT {
        for (kpi, level) in [(CPU_CORES_USED, cores), (MEMORY_BYTES, gib * GIB)] {
            for horizon_s in [300, 900, 3600] {
                let all = run.forecasts(&format!("constant-{cores}"), kpi, horizon_s).into_iter();
                let wrong = all.filter(|(at_s, _)| *at_s >= DAY_S).flat_map(|(at_s, forecast)| {
                    wrong_for(level, forecast).map(|what| format!("{}: {what}", clock(at_s))).collect::<Vec<_>>()
                });
                none_wrong(&format!("{kpi} in {horizon_s} s"), wrong.collect());
            }
        }
    }
}

/// What a forecast says of a constant demand, where that is not as it is: the value or the maximum.
fn wrong_for(level: f64, forecast: &HorizonForecast) -> impl Iterator<Item = String> {
    forecast.statistics().into_iter().filter_map(move |(statistic, quantiles, interval)| {
        let median = quantiles.median();
        let is_right = (median - level).abs() <= 0.02 * level && interval.upper - interval.lower <= 0.1 * level;
        (!is_right).then(|| format!("{statistic:?}: {median} in {interval:?} for {level}"))
    })
}

#[test]
fn what_a_constant_demand_leaves_is_given_back() {
    let run = of_five_minutes();
    for (cores, gib) in CONSTANT {
        let actions = run.actions(&format!("constant-{cores}"));
        let last = actions.last().unwrap_or_else(|| panic!("nothing is asked for at {cores} cores"));
        let (cpu, memory) = (last.desired.cpu_cores(), last.desired.memory_bytes() / GIB);
        assert!((1.05 * cores..=1.25 * cores + 0.25).contains(&cpu), "{}", shown(last));
        assert!((1.02 * gib..=1.2 * gib + 0.25).contains(&memory), "{}", shown(last));
    }
}

#[test]
fn idle_workloads_get_the_smallest_size() {
    let run = of_five_minutes();
    for name in idle_ones() {
        assert_is_small(run, &name);
    }
}

fn assert_is_small(run: &Run, name: &str) {
    let last = run.actions(name).last().unwrap_or_else(|| panic!("nothing is asked for of {name}"));
    let (cpu, memory) = (last.desired.cpu_cores(), last.desired.memory_bytes() / GIB);
    assert_eq!((cpu, memory), SMALLEST, "{name}: {}", shown(last));
    let late = run.actions_within(name, 4 * HOUR_S..4 * DAY_S);
    let grown = late.iter().filter(|action| action.desired.cpu_cores() > action.current.cpu_cores());
    none_wrong("the actions", grown.map(|action| shown(action)).collect());
}
