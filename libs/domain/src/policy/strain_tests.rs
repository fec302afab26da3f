//! CPU that falls while latency or errors rise, through whole decisions: minute by minute, a workload of four replicas
//! falls from 7 of 8 cores to 2.

use super::fixtures::{GIB, prediction, threshold_rules};
use super::*;
use crate::kpi::{ERRORS_PER_S, KpiName, LATENCY_MS, REQUESTS_PER_S};
use crate::prediction::Signal;

/// The minute from which on 2 cores are in use.
const FALLS: i64 = 90;

/// Bins of which the greatest use stays: that in which it fell is over by then.
const SETTLES: i64 = FALLS + 5;

/// What is usual, and what is measured from [`FALLS`] on for so many minutes; before and after it is usual.
fn signal(name: &str, minute: i64, (usual, last, lasts): (f64, f64, i64)) -> Signal {
    let last = Some(if (FALLS..FALLS + lasts).contains(&minute) { last } else { usual });
    Signal { name: KpiName::new(name), unit: "1".into(), last, short_mean: Some(usual), long_p95: Some(2.0 * usual) }
}

/// The first minute with a decrease, and the rules that each minute before it named from [`SETTLES`] on.
fn story(signals: impl Fn(i64) -> Vec<Signal>) -> (Option<i64>, Vec<Vec<String>>) {
    let (rules, mut planning, mut held) = (threshold_rules(), Planning::default(), Vec::new());
    for minute in 0..240 {
        let cores = if minute < FALLS { 7.0 } else { 2.0 };
        let mut made = prediction("web", 60 * minute, cores, 16.0, 4);
        (made.resources[0].last, made.resources[1].last) = (Some(cores), Some(15.0 * GIB));
        made.signals = signals(minute);
        match planning.step(&rules, &made, &"p".into()).expect("it is new") {
            Decision::Act(action) => {
                assert!(minute >= FALLS && action.desired.replicas < 4, "minute {minute}: {action:#?}");
                return (Some(minute), held);
            }
            Decision::Hold(reasons) if minute >= SETTLES => {
                held.push(reasons.into_iter().map(|reason| reason.rule.to_string()).collect());
            }
            Decision::Hold(_) => {}
        }
    }
    (None, held)
}

#[test]
fn without_a_sign_of_strain_less_use_is_less_capacity() {
    assert_eq!(story(|_| Vec::new()), (Some(SETTLES), Vec::new()));
    let usual = |minute| vec![signal(ERRORS_PER_S, minute, (0.5, 0.5, 0)), signal(LATENCY_MS, minute, (20.0, 20.0, 0))];
    assert_eq!(story(usual), (Some(SETTLES), Vec::new()));
}

/// Until it is over, also beyond the end of the hour in which it began.
#[test]
fn risen_latency_or_errors_hold_the_decrease_until_they_are_back() {
    for (name, usual, risen) in [(LATENCY_MS, 20.0, 200.0), (ERRORS_PER_S, 0.5, 9.0)] {
        for lasts in [20, 50] {
            let (acted, held) = story(|minute| vec![signal(name, minute, (usual, risen, lasts))]);
            assert_eq!(acted, Some(FALLS + lasts), "{name} for {lasts} minutes");
            let is_why = |rules: &Vec<String>| rules.iter().any(|rule| rule == "guardrail.strain");
            assert!(!held.is_empty() && held.iter().all(is_why), "{name}: {held:?}");
        }
    }
    let (acted, _) = story(|minute| vec![signal(LATENCY_MS, minute, (20.0, 29.0, 50))]);
    assert_eq!(acted, Some(SETTLES), "that much more is usual");
}

#[test]
fn fewer_requests_are_no_strain() {
    let fewer = |minute| {
        let requests = signal(REQUESTS_PER_S, minute, (500.0, 140.0, 1000));
        vec![signal(ERRORS_PER_S, minute, (0.5, 0.14, 1000)), signal(LATENCY_MS, minute, (20.0, 15.0, 1000)), requests]
    };
    assert_eq!(story(fewer), (Some(SETTLES), Vec::new()));
    let more = |minute| vec![signal(REQUESTS_PER_S, minute, (500.0, 5000.0, 50))];
    assert_eq!(story(more).0, Some(SETTLES), "nor are more: each may take less");
}
