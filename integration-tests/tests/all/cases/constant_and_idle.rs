//! Constant demand is forecast as what it is, and idle capacity is given back.

use super::run::{Run, clock, none_wrong, of_five_minutes, shown};
use super::series::{DAY_S, GIB, HOUR_S, Workload};
use prescale_domain::kpi::{CPU_CORES_USED, MEMORY_BYTES};

/// Cores and GiB of those that are constant.
const CONSTANT: [(f64, f64); 3] = [(1.0, 2.0), (0.6, 1.0), (2.0, 3.0)];
/// GiB of those that are idle.
const IDLE_GIB: [f64; 2] = [0.2, 0.05];
const CAPACITY: (f64, f64) = (4.0, 8.0);

pub(super) fn workloads() -> Vec<Workload> {
    let grid = (300, 4 * DAY_S);
    let constant = CONSTANT.map(|level| Workload::new(&format!("constant-{}", level.0), CAPACITY, grid, |_| level));
    let idle = IDLE_GIB.map(|gib| Workload::new(&format!("idle-{gib}"), CAPACITY, grid, |_| (0.0, gib)));
    let once = [(1.7, 4), (3.0, 9)].map(|(burst, step)| {
        let value = move |at_s: i64| (if at_s == 300 * step { burst } else { 0.0 }, 0.2);
        Workload::new(&format!("once-{burst}"), CAPACITY, grid, value)
    });
    [constant.to_vec(), idle.to_vec(), once.to_vec()].concat()
}

#[test]
fn constant_demand_is_forecast_as_it_is() {
    let run = of_five_minutes();
    for (cores, gib) in CONSTANT {
        for (kpi, level) in [(CPU_CORES_USED, cores), (MEMORY_BYTES, gib * GIB)] {
            for horizon_s in [300, 900, 3600] {
                let all = run.forecasts(&format!("constant-{cores}"), kpi, horizon_s).into_iter();
                let wrong = all.filter(|(at_s, _)| *at_s >= DAY_S).filter_map(|(at_s, forecast)| {
                    let (median, interval) = (forecast.value.median(), &forecast.value_interval);
                    let is_right =
                        (median - level).abs() <= 0.02 * level && interval.upper - interval.lower <= 0.1 * level;
                    (!is_right).then(|| format!("{}: {median} in {interval:?} for {level}", clock(at_s)))
                });
                none_wrong(&format!("{kpi} in {horizon_s} s"), wrong.collect());
            }
        }
    }
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
    for name in IDLE_GIB.map(|gib| format!("idle-{gib}")).into_iter().chain(["once-1.7".into(), "once-3".into()]) {
        assert_is_small(run, &name);
    }
}

fn assert_is_small(run: &Run, name: &str) {
    let last = run.actions(name).last().unwrap_or_else(|| panic!("nothing is asked for of {name}"));
    let (cpu, memory) = (last.desired.cpu_cores(), last.desired.memory_bytes() / GIB);
    assert!(cpu <= 0.5 && (0.2..=0.75).contains(&memory), "{name}: {}", shown(last));
    let late = run.actions_within(name, 4 * HOUR_S..4 * DAY_S);
    let grown = late.iter().filter(|action| action.desired.cpu_cores() > action.current.cpu_cores());
    none_wrong("the actions", grown.map(|action| shown(action)).collect());
}
