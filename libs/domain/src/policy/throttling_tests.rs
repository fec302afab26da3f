//! A throttled workload through whole decisions: replicas of 2 cores, minute by minute; what is asked for serves from the
//! next minute on.

use super::fixtures::{prediction, threshold_rules};
use super::*;
use crate::action::{Action, Reason};
use crate::kpi::{CPU_THROTTLED_SHARE, KpiName};
use crate::prediction::Signal;

#[derive(Default)]
struct Story {
    /// Replicas at the end of each minute.
    counts: Vec<u32>,
    /// With their minutes.
    actions: Vec<(i64, Action)>,
    /// By minute.
    said: Vec<Vec<Reason>>,
}

/// Of a use of so many cores, throttled in a share that goes by the cores that serve.
fn story((used, minutes): (f64, i64), throttled_share: impl Fn(f64) -> f64) -> Story {
    let (rules, mut planning, mut replicas) = (threshold_rules(), Planning::default(), 4);
    let Story { mut counts, mut actions, mut said } = Story::default();
    for minute in 0..minutes {
        let mut made = prediction("web", 60 * minute, used, 1.0, replicas);
        made.resources[0].last = Some(used);
        // What serves now came at the minute's end.
        let served = 2.0 * f64::from(counts.last().copied().unwrap_or(replicas));
        let share = throttled_share(served);
        let name = KpiName::new(CPU_THROTTLED_SHARE);
        made.signals =
            vec![Signal { name, unit: "1".into(), last: Some(share), short_mean: Some(share), long_p95: Some(1.0) }];
        counts.push(replicas);
        match planning.step(&rules, &made, &"p".into()).expect("it is new") {
            Decision::Act(action) => {
                assert_eq!(violations(&action), Vec::<String>::new());
                replicas = action.desired.replicas;
                said.push(action.reasons.clone());
                actions.push((minute, *action));
            }
            Decision::Hold(reasons) => said.push(reasons),
        }
    }
    Story { counts, actions, said }
}

fn growth(actions: &[(i64, Action)]) -> Vec<(i64, u32)> {
    let grows = actions.iter().filter(|(_, action)| action.desired.replicas > action.current.replicas);
    grows.map(|(minute, action)| (*minute, action.desired.replicas)).collect()
}

#[test]
fn it_grows_by_the_largest_step_at_once_until_it_is_throttled_no_more() {
    let share = |cores: f64| {
        if cores < 10.0 {
            0.6
        } else if cores < 20.0 {
            0.3
        } else {
            0.02
        }
    };
    let Story { counts, actions, said } = story((6.4, 1440), share);
    assert_eq!(growth(&actions), [(0, 8), (2, 16)], "at 80 % of 8 cores");
    let demanded = actions.iter().filter(|(minute, _)| *minute <= 2);
    assert!(demanded.clone().count() == 2 && demanded.clone().all(|(_, action)| action.follows_from_live_use()));
    let least = counts[4..].iter().min();
    assert_eq!(least, Some(&12), "half as much again as what it was throttled with stays for a day");
    assert!(said.iter().flatten().any(|reason| &*reason.rule == "floor.leaves" && reason.text.contains("throttled")));
}

#[test]
fn a_little_throttling_asks_for_nothing() {
    let grown = growth(&story((6.4, 600), |_| 0.09).actions);
    assert!(grown.is_empty(), "{grown:?}");
}

/// Bursts at a fifth of the capacity.
#[test]
fn what_more_capacity_does_not_change_ends_the_growth_and_is_given_back() {
    let Story { counts, actions, said } = story((1.6, 1440), |_| 0.4);
    assert_eq!(growth(&actions), [(0, 8), (2, 16), (4, 32)]);
    assert_eq!(counts.last(), Some(&1), "1.6 cores are in use");
    let in_vain = |reasons: &Vec<Reason>| reasons.iter().any(|reason| &*reason.rule == "throttling.in_vain");
    assert!(!said[..6].iter().any(in_vain) && said[6..].iter().all(in_vain), "it is said in every minute from then on");
}
