//! Bounds that are stated, through whole decisions on a workload of 2 cores and 8 GiB a replica.

use super::decide_tests::{acted, decide_first};
use super::fixtures::{GIB, prediction, threshold_rules};
use super::*;
use crate::action::{Action, Mechanism, Reason, Verdict};
use crate::cloud::{InstanceType, PriceList};
use crate::guardrail::Bounds;
use crate::prediction::Prediction;

/// Rules of each policy that says what is needed, with everything in the way of a change that may be.
fn held_rules(bounds: &Bounds) -> [Rules; 2] {
    [threshold_rules(), Rules::default()].map(|mut rules| {
        rules.guardrails.bounds = bounds.clone();
        rules.guardrails.scored_min = 1000;
        rules.guardrails.step.share_max_out = 0.1;
        let pace = &mut rules.guardrails.pace;
        (pace.cooldown_out_s, pace.warm_up_s, pace.changes_per_day_max) = (86_400, 86_400, 0);
        rules
    })
}

fn says(reasons: &[Reason], rule: &str) -> bool {
    reasons.iter().any(|reason| &*reason.rule == rule)
}

fn reasons_of(decision: Decision) -> Vec<Reason> {
    match decision {
        Decision::Act(action) => action.reasons,
        Decision::Hold(reasons) => reasons,
    }
}

fn ordered(action: &Action) {
    assert_eq!(action.verdict, Verdict::ScaleOut);
    assert_eq!(violations(action), Vec::<String>::new());
    assert!(says(&action.reasons, "bounds.minimum") && !action.follows_from_live_use(), "{:#?}", action.reasons);
}

#[test]
fn a_stated_minimum_is_met_at_once_and_asked_for_until_it_is_there() {
    for rules in held_rules(&Bounds { replicas_min: 5, ..Bounds::default() }) {
        for cores in [0.5, 3.9, 10.0] {
            let mut planning = Planning::default();
            let mut at = |s: i64, replicas: u32| {
                planning.step(&rules, &prediction("w", s, cores, 10.0, replicas), &"p".into()).expect("is new")
            };
            let first = acted(at(0, 2));
            ordered(&first);
            assert_eq!(first.desired.replicas, 5, "{cores} cores: a forecast is held, the order is not");
            assert!(!says(&reasons_of(at(300, 2)), "bounds.minimum"), "it stands");
            ordered(&acted(at(900, 2)));
            assert!(!says(&reasons_of(at(1200, 5)), "bounds.minimum"), "it is there");
        }
    }
}

/// Growth that nothing holds goes on from the minimum.
#[test]
fn a_forecast_may_ask_for_more_than_the_minimum() {
    let mut rules = threshold_rules();
    rules.guardrails.bounds.replicas_min = 5;
    let action = acted(decide_first(&rules, &prediction("w", 0, 14.0, 10.0, 4)));
    ordered(&action);
    assert_eq!(action.desired.replicas, 8, "14 × 1.1 cores take 8 × 2");
}

#[test]
fn cores_and_memory_have_minima_too_by_each_mechanism() {
    for rules in held_rules(&Bounds { cpu_cores_min: 11.0, memory_bytes_min: 20.0 * GIB, ..Bounds::default() }) {
        let by = |mechanism| {
            let mut rules = rules.clone();
            rules.sizing.mechanism = Some(mechanism);
            acted(decide_first(&rules, &prediction("w", 0, 2.0, 10.0, 2)))
        };
        let (replicas, limits) = (by(Mechanism::Replicas), by(Mechanism::Limits));
        ordered(&replicas);
        assert_eq!(replicas.desired.replicas, 6);
        ordered(&limits);
        assert_eq!((limits.desired.cpu_cores(), limits.desired.memory_bytes()), (11.0, 20.0 * GIB));
    }
}

#[test]
fn what_is_chosen_by_price_has_the_minimum_too() {
    let of = |name: &str, cpu_cores: f64, gib: f64, price_per_h: f64| InstanceType {
        name: name.into(),
        cpu_cores,
        memory_bytes: gib * GIB,
        price_per_h,
        is_available: true,
    };
    let instance_types = vec![of("g2", 2.0, 8.0, 0.1), of("g8", 8.0, 32.0, 0.5)];
    let [_, mut rules] = held_rules(&Bounds { replicas_min: 5, ..Bounds::default() });
    rules.sizing.prices = PriceList { instance_types, ..PriceList::default() };
    rules.policy = Cost::default().into();
    let mut idle = prediction("w", 0, 2.0, 10.0, 2);
    idle.capacity = Some(rules.sizing.prices.instance_types[0].capacity(2));
    let action = acted(decide_first(&rules, &idle));
    ordered(&action);
    assert_eq!((action.desired.replicas, action.desired.instance_type.as_deref()), (5, Some("g2")));
}

#[test]
fn nothing_follows_from_bounds_that_nobody_stated_or_that_are_met_or_unknown() {
    let quiet = |rules: &Rules, prediction: &Prediction| {
        let reasons = reasons_of(decide_first(rules, prediction));
        assert!(!reasons.iter().any(|reason| reason.rule.starts_with("bounds.")), "{reasons:#?}");
    };
    for rules in [threshold_rules(), Rules::default()] {
        quiet(&rules, &prediction("w", 0, 0.9, 6.0, 1));
        quiet(&rules, &prediction("w", 0, 290.0, 1150.0, 150));
    }
    let mut unknown = prediction("w", 0, 1.0, 1.0, 1);
    if let Some(capacity) = &mut unknown.capacity {
        (capacity.cpu_cores_per_replica, capacity.memory_bytes_per_replica) = (0.0, 0.0);
    }
    let mut rules = threshold_rules();
    (rules.guardrails.bounds.cpu_cores_min, rules.guardrails.bounds.memory_bytes_min) = (8.0, GIB);
    quiet(&rules, &unknown);
}

#[test]
fn what_cannot_be_met_is_said() {
    let mut rules = threshold_rules();
    rules.sizing.mechanism = Some(Mechanism::Limits);
    rules.guardrails.bounds.replicas_min = 5;
    match decide_first(&rules, &prediction("w", 0, 7.0, 30.0, 4)) {
        Decision::Hold(reasons) => assert!(says(&reasons, "bounds.minimum"), "{reasons:#?}"),
        Decision::Act(action) => panic!("limits do not add replicas: {action:#?}"),
    }
}

#[test]
fn down_to_a_stated_maximum_it_goes_as_any_decrease_does() {
    let mut rules = threshold_rules();
    rules.guardrails.bounds.replicas_max = 2;
    let busy = |gib: f64| {
        let mut p = prediction("w", 0, 19.0, 78.0, 10);
        p.resources[1].last = Some(gib * GIB);
        p
    };
    let down = acted(decide_first(&rules, &busy(10.0)));
    assert_eq!((down.verdict, down.desired.replicas), (Verdict::ScaleIn, 5), "one step is a half");
    assert!(says(&down.reasons, "bounds.maximum"));
    let full = acted(decide_first(&rules, &busy(62.0)));
    assert_eq!(full.desired.replicas, 9, "62 / 0.95 GiB take 9 × 8");
    let fuller = reasons_of(decide_first(&rules, &busy(74.0)));
    assert!(says(&fuller, "floor.leaves") && says(&fuller, "sizing.no_change"), "{fuller:#?}");
    rules.guardrails.pace.changes_per_day_max = 0;
    let held = reasons_of(decide_first(&rules, &busy(10.0)));
    assert!(says(&held, "guardrail.flap_budget"), "{held:#?}");
}

#[test]
fn cores_have_a_maximum_too_and_what_wants_more_is_brought_down_all_the_same() {
    let mut rules = threshold_rules();
    rules.guardrails.bounds.cpu_cores_max = Some(7.0);
    let by = |mechanism| {
        let mut rules = rules.clone();
        rules.sizing.mechanism = Some(mechanism);
        acted(decide_first(&rules, &prediction("w", 0, 20.0, 30.0, 4))).desired
    };
    assert_eq!(by(Mechanism::Replicas).replicas, 3, "4 × 2 are more than 7");
    assert_eq!((by(Mechanism::Limits).cpu_cores(), by(Mechanism::Limits).memory_bytes()), (7.0, 32.0 * GIB));
}
