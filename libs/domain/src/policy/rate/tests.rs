//! Decisions by rates.

use super::{PerReplica, RateRule};
use crate::action::{Action, Mechanism, Verdict};
use crate::kpi::{CPU_CORES_USED, KpiName, REQUESTS_PER_S};
use crate::policy::fixtures::{capacity, forecast, prediction, threshold_rules};
use crate::policy::{Decision, Planning, Rules, violations};
use crate::prediction::{Prediction, Signal};
use crate::sample::Capacity;
use proptest::prelude::*;

fn stated(rules: Rules, per_replica: f64) -> Rules {
    with_rate(rules, PerReplica::Stated(per_replica))
}

fn learnt(rules: Rules) -> Rules {
    with_rate(rules, PerReplica::Learnt { utilisation: 0.7 })
}

fn with_rate(mut rules: Rules, per_replica: PerReplica) -> Rules {
    rules.rates = vec![RateRule { kpi: KpiName::new(REQUESTS_PER_S), per_replica }];
    rules
}

/// A prediction of the rate alone, with replicas of no known size.
fn of_rate(at_s: i64, rate: f64, replicas: u32) -> Prediction {
    let mut p = prediction("web", at_s, 1.0, 1.0, replicas);
    p.step_s = 300;
    p.resources = vec![forecast(REQUESTS_PER_S, rate, 0.05)];
    p.resources[0].last = Some(rate);
    p.capacity =
        Some(Capacity { replicas, cpu_cores_per_replica: 0.0, memory_bytes_per_replica: 0.0, instance_type: None });
    p
}

/// A prediction of CPU and the rate, with replicas of 2 cores.
fn of_both(at_s: i64, rate: f64, cores: f64, replicas: u32) -> Prediction {
    let mut p = of_rate(at_s, rate, replicas);
    p.resources.insert(0, forecast(CPU_CORES_USED, cores, 0.05));
    p.resources[0].last = Some(cores);
    p.capacity = Some(capacity(replicas));
    p
}

fn first(rules: &Rules, p: &Prediction) -> Decision {
    next(&mut Planning::default(), rules, p)
}

/// The decision with its reasons in words.
fn next(planning: &mut Planning, rules: &Rules, p: &Prediction) -> Decision {
    planning.step_seen(rules, p, &"p".into(), |_, _, _| ()).expect("it is new").0
}

fn acted(decision: Decision) -> Action {
    match decision {
        Decision::Act(action) => *action,
        Decision::Hold(reasons) => panic!("held: {reasons:#?}"),
    }
}

fn reasons(decision: Decision) -> Vec<(String, String)> {
    let reasons = match decision {
        Decision::Act(action) => action.reasons,
        Decision::Hold(reasons) => reasons,
    };
    reasons.into_iter().map(|r| (r.rule.to_string(), r.text)).collect()
}

#[test]
fn a_workload_with_only_a_rate_and_replicas_is_sized() {
    let rules = stated(threshold_rules(), 120.0);
    let out = acted(first(&rules, &of_rate(0, 1000.0, 4)));
    assert_eq!((out.verdict, out.desired.replicas), (Verdict::ScaleOut, 10), "1000 × 1.1 / 120");
    assert_eq!((&*out.evidence[0].resource, out.evidence[0].capacity), (REQUESTS_PER_S, 480.0));
    assert!(out.reasons.iter().any(|r| r.text.contains("a replica serves 120 (as stated): 10 replicas are needed")));
    let lower = acted(first(&rules, &of_rate(0, 100.0, 4)));
    assert_eq!((lower.verdict, lower.desired.replicas), (Verdict::ScaleIn, 2), "one step halves");
    for action in [out, lower] {
        assert_eq!(violations(&action), Vec::<String>::new());
    }
}

#[test]
fn the_proactive_policy_sizes_by_a_rate_alone() {
    let rules = stated(Rules::default(), 120.0);
    let (mut planning, mut replicas, mut seen) = (Planning::default(), 4, Vec::new());
    for bin in 0..600 {
        let rate = if bin < 300 { 1000.0 } else { 200.0 };
        if let Some(Decision::Act(action)) = planning.step(&rules, &of_rate(bin * 300, rate, replicas), &"p".into()) {
            assert_eq!(violations(&action), Vec::<String>::new());
            replicas = action.desired.replicas;
            seen.push((bin, replicas));
        }
    }
    assert!(seen[0].0 == 0 && seen[0].1 >= 9, "{seen:?}");
    assert!(seen.iter().filter(|(bin, _)| *bin < 300).all(|(_, replicas)| *replicas >= 9), "{seen:?}");
    assert!((2..=3).contains(&replicas), "200 / 120 and something to spare: {seen:?}");
}

#[test]
fn the_larger_count_of_cpu_and_rate_counts() {
    let rules = stated(threshold_rules(), 120.0);
    let count = |rate, cores| acted(first(&rules, &of_both(0, rate, cores, 4))).desired.replicas;
    assert_eq!(count(1000.0, 1.0), 10, "the rate's");
    assert_eq!(count(100.0, 30.0), 17, "that of CPU: 30 × 1.1 / 2");
    assert_eq!(count(1000.0, 30.0), 17, "of both");
    let shrinks = |rate, cores| {
        let mut rules = rules.clone();
        rules.forecast.resources.truncate(1);
        match first(&rules, &of_both(0, rate, cores, 8)) {
            Decision::Act(action) => Some(action.desired.replicas),
            Decision::Hold(_) => None,
        }
    };
    assert_eq!(shrinks(100.0, 1.0), Some(4), "both let it");
    assert_eq!(shrinks(700.0, 1.0), Some(7), "700 × 1.1 / 120 take 7");
    assert_eq!(shrinks(900.0, 1.0), None, "the rate is within what 8 replicas serve");
    assert_eq!(shrinks(100.0, 15.0), None, "CPU does not let it");
}

#[test]
fn what_a_replica_serves_is_learnt_from_loaded_bins() {
    let rules = learnt(threshold_rules());
    let mut planning = Planning::default();
    let mut at = |bin: i64, rate: f64| {
        let p = of_both(bin * 300, rate, 0.01 * rate, 4);
        reasons(next(&mut planning, &rules, &p))
    };
    for bin in 0..12 {
        let said = at(bin, 300.0);
        let learning = said.iter().find(|(rule, _)| rule == "rate.learning").expect("it is learnt");
        assert!(learning.1.contains(&format!("from {bin} bins of 300 s with load so far")), "{learning:?}");
        assert!(said.iter().all(|(rule, _)| rule != "rate.replicas"));
    }
    let said = at(12, 300.0);
    let sized = said.iter().find(|(rule, _)| rule == "rate.replicas").expect("it is known");
    assert!(
        sized.1.contains("a replica serves 140 (0.01 cores each, by the median of 12 loaded bins, at 70 % of 2 cores)"),
        "{sized:?}"
    );
    let said = at(13, 700.0);
    let live = said.iter().find(|(rule, _)| rule == "floor.live").expect("it demands more");
    assert!(live.1.contains("6 replicas are needed"), "{live:?}");
}

#[test]
fn what_is_missing_is_said() {
    let rule_of = |rules: &Rules, p: &Prediction| reasons(first(rules, p));
    let has = |said: &[(String, String)], rule: &str, words: &str| {
        assert!(said.iter().any(|(r, text)| r == rule && text.contains(words)), "{rule}: {said:#?}");
    };
    let unconfigured = rule_of(&Rules::default(), &of_rate(0, 100.0, 4));
    has(&unconfigured, "rate.not_configured", "set per_replica of [planner.rates.requests_per_s]");
    let mut measured = prediction("web", 0, 1.0, 1.0, 4);
    let (name, last) = (KpiName::new(REQUESTS_PER_S), Some(3.0));
    measured.signals = vec![Signal { name, unit: "1/s".into(), last, short_mean: None, long_p95: None }];
    has(&rule_of(&stated(Rules::default(), 1.0), &measured), "rate.not_forecast", "[predictor] resources");
    has(&rule_of(&learnt(Rules::default()), &of_rate(0, 100.0, 4)), "rate.no_cpu", "state it");
    let mut limits = stated(Rules::default(), 120.0);
    limits.sizing.mechanism = Some(Mechanism::Limits);
    has(&rule_of(&limits, &of_rate(0, 100.0, 4)), "rate.needs_replicas", "cannot be changed");
    let mut stale = of_rate(0, 10.0, 4);
    stale.resources[0].last = None;
    has(&rule_of(&stated(threshold_rules(), 120.0), &stale), "guardrail.stale", REQUESTS_PER_S);
    let none = rule_of(&Rules::default(), &of_both(0, 100.0, 1.0, 4));
    assert!(none.iter().all(|(rule, _)| !rule.starts_with("rate.")), "CPU sizes it: {none:?}");
}

#[test]
fn a_learnt_rate_sizes_limits_by_its_cpu() {
    let mut rules = learnt(threshold_rules());
    rules.sizing.mechanism = Some(Mechanism::Limits);
    rules.forecast.resources.truncate(1);
    let (mut planning, mut cores, mut last) = (Planning::default(), 4.0, None);
    for bin in 0..40 {
        let rate = if bin < 20 { 200.0 } else { 600.0 };
        let mut p = of_both(bin * 300, rate, 0.01 * rate, 1);
        p.capacity = Some(Capacity { cpu_cores_per_replica: cores, ..capacity(1) });
        if let Some(Decision::Act(action)) = planning.step(&rules, &p, &"p".into()) {
            assert_eq!(violations(&action), Vec::<String>::new());
            cores = action.desired.cpu_cores_per_replica;
            last = Some(action);
        }
    }
    let last = last.expect("it grows");
    assert!(cores >= 6.0 / 0.7 / 0.95 - 1e-9, "{cores} cores; {:?}", last.reasons);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A closed loop: what is decided serves a lead time later, and is then no less than live use of the rate demanded.
    #[test]
    fn capacity_is_never_below_the_floor_of_the_rate_once_the_lead_time_has_passed(
        by_threshold: bool, is_learnt: bool, lead_steps in 1usize..4, per_replica in 20.0f64..300.0,
        demands in prop::collection::vec((0.0f64..1.0, prop::bool::weighted(0.9)), 20..120),
    ) {
        let rules = if by_threshold { threshold_rules() } else { Rules::default() };
        let mut rules = if is_learnt { learnt(rules) } else { stated(rules, per_replica) };
        rules.guardrails.bounds.replicas_max = u32::MAX;
        rules.guardrails.capped_from = 0.0;
        rules.forecast.lead_time_s = lead_steps as u32 * 300;
        let per_replica = if is_learnt { 140.0 } else { per_replica };
        let (mut planning, mut orders) = (Planning::default(), Vec::<(usize, u32)>::new());
        let (mut rate, mut served, mut demanded) = (400.0f64, Vec::new(), Vec::new());
        for (i, (x, is_quiet)) in demands.iter().enumerate() {
            rate = if *is_quiet { rate * (0.9 + 0.2 * x) } else { 3000.0 * x };
            let replicas = orders.iter().rev().find(|(from, _)| *from <= i).map_or(4, |(_, replicas)| *replicas);
            let p = if is_learnt {
                of_both(i as i64 * 300, rate, 0.01 * rate, replicas)
            } else {
                of_rate(i as i64 * 300, rate, replicas)
            };
            served.push(replicas);
            let decision = planning.step(&rules, &p, &"p".into()).expect("it is new");
            let is_known = match &decision {
                Decision::Act(action) => action.reasons.iter().all(|r| &*r.rule != "rate.learning"),
                Decision::Hold(reasons) => reasons.iter().all(|r| &*r.rule != "rate.learning"),
            };
            demanded.push(is_known.then_some(rate));
            if let Decision::Act(action) = decision {
                prop_assert_eq!(violations(&action), Vec::<String>::new());
                orders.push((i + lead_steps, action.desired.replicas));
            }
        }
        for (i, rate) in demanded.iter().enumerate() {
            let (Some(rate), Some(replicas)) = (rate, served.get(i + lead_steps)) else { continue };
            let floor = rate / per_replica / rules.guardrails.floor_utilisation;
            prop_assert!(f64::from(*replicas) >= floor * (1.0 - 1e-5), "{replicas} replicas of {floor} at bin {i}");
        }
    }
}
