//! What is said of decisions.

use super::decide_tests::{acted, decide_first};
use super::fixtures::{GIB, capacity, forecast, prediction, threshold_rules};
use super::*;
use crate::action::{Evidence, PlanChange, Verdict};
use crate::calibration::drift::DriftState;
use crate::kpi::{CPU_CORES_USED, MEMORY_BYTES};
use crate::prediction::Prediction;

#[test]
fn a_reason_says_what_drift_did_to_the_forecast() {
    for (drift, wanted) in [
        (None, "900 s, gru) with"),
        (Some(DriftState::Stable), "900 s, gru) with"),
        (Some(DriftState::Widened), "900 s, gru, its interval widened after drift) with"),
        (Some(DriftState::Reset), "900 s, gru, its interval widened and calibrated anew after drift) with"),
        (Some(DriftState::FallenBack), "900 s, gru in place of another model after drift, its interval widened) with"),
    ] {
        let mut p = prediction("web", 0, 10.0, 20.0, 4);
        p.resources[0].drift = drift;
        let text = explain(&acted(decide_first(&threshold_rules(), &p)), None);
        assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
    }
}

#[test]
fn an_explanation_names_everything() {
    let mut p = prediction("web", 0, 10.0, 20.0, 4);
    p.resources[1] = forecast(MEMORY_BYTES, 20.0 * GIB, 0.3);
    let text = explain(&acted(decide_first(&threshold_rules(), &p)), None);
    for part in [
        "web at 1970-01-01T00:00:00Z: scale out",
        "serves now 4 replicas of 2 cores and 8 GiB",
        "proposed   6 replicas of 2 cores and 8 GiB",
        "prediction p1",
        "void from  1970-01-01T00:15:00Z",
        "cpu_cores_used in 900 s: predicted 10 cores, interval 9.5 cores to 10.5 cores (relative width 0.05), capacity 8 cores (serving now), model gru",
        "1. threshold.increase: cpu_cores_used: predicted 10 cores (median of the maximum over 900 s, gru) with a capacity of 8 cores (serving now); it is above 9.6 cores (1.2 × capacity), and the 90 % interval has relative width 0.05, below 0.15: 11 cores are needed (1.1 × predicted)",
        "2. threshold.decrease: memory_bytes",
        "policy.binding: cpu_cores_used is the resource that decides",
        "sizing.replicas: that takes 6 replicas of 2 cores and 8 GiB",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    let hold = prediction("web", 0, 8.0, 30.0, 4);
    let (decision, grounds) = seen(&mut Planning::default(), &threshold_rules(), &hold);
    let Decision::Hold(reasons) = decision else { panic!("acted") };
    let text = explain_hold(&hold, &grounds, &reasons);
    assert!(text.starts_with("web at 1970-01-01T00:00:00Z: hold\n  serves now 4 replicas"), "{text}");
    assert!(!text.contains("planned"), "{text}");
}

fn seen(planning: &mut Planning, rules: &Rules, prediction: &Prediction) -> (Decision, Grounds) {
    planning.step_seen(rules, prediction, &"p".into(), Grounds::of).expect("the prediction is new")
}

#[test]
fn a_dry_run_says_of_each_capacity_whether_it_serves_is_planned_or_is_proposed() {
    let mut rules = threshold_rules();
    rules.dry_run.simulated = true;
    let mut planning = Planning::default();
    let (first, grounds) = seen(&mut planning, &rules, &prediction("w", 0, 10.0, 20.0, 4));
    assert_eq!((grounds.serves, grounds.planned), (Some(capacity(4)), Some(capacity(4))));
    assert_eq!(acted(first).desired, capacity(6));
    let kept = prediction("w", 600, 11.0, 40.0, 4);
    let (held, grounds) = seen(&mut planning, &rules, &kept);
    assert_eq!((&grounds.serves, &grounds.planned), (&Some(capacity(4)), &Some(capacity(6))));
    let Decision::Hold(reasons) = held else { panic!("acted") };
    let text = explain_hold(&kept, &grounds, &reasons);
    for part in [
        "serves now 4 replicas of 2 cores and 8 GiB\n",
        "planned    6 replicas of 2 cores and 8 GiB (the dry run's plan so far)\n",
        "with a capacity of 12 cores (planned; 8 cores serve now); it is neither",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    let (grown, grounds) = seen(&mut planning, &rules, &prediction("w", 1200, 16.0, 40.0, 4));
    let grown = acted(grown);
    for (planned, words) in [
        (grounds.planned.as_ref(), "planned    6 replicas of 2 cores and 8 GiB (the dry run's plan so far)\n"),
        (None, "planned    12 cores and 48 GiB over all replicas (the dry run's plan so far)\n"),
    ] {
        let text = explain(&grown, planned);
        for part in [words, "serves now 4 replicas", "proposed   9 replicas", "capacity 12 cores (planned), model gru"]
        {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }
}

#[test]
fn what_an_action_does_to_the_plan_heads_it_where_the_plan_is_not_what_serves() {
    let action = |to: u32, planned: f64| {
        let mut action = super::fixtures::action("w", 0, 8, to);
        let (resource, model) = (CPU_CORES_USED.into(), "gru".into());
        let (lower, upper, relative_width) = (9.0, 11.0, 0.1);
        let (horizon_s, predicted) = (900, 10.0);
        let capacity = planned * 2.0;
        action.dry_run = true;
        action.evidence =
            vec![Evidence { resource, horizon_s, predicted, lower, upper, relative_width, capacity, model }];
        action
    };
    for (to, planned, words) in [
        (4, 3, "scale out what is planned (dry run)"),
        (2, 3, "scale in what is planned (dry run)"),
        (3, 3, "keep what is planned (dry run)"),
        (4, 8, "scale in (dry run)"),
    ] {
        for known in [Some(&capacity(planned)), None] {
            let text = explain(&action(to, f64::from(planned)), known);
            let head = format!("w at 1970-01-01T00:00:00Z: {words}\n  serves now 8 replicas");
            assert!(text.starts_with(&head), "{head:?} is not in\n{text}");
        }
    }
    let changed = explain_change(&action(4, 3.0));
    assert!(changed.starts_with("scale out what is planned to 4 replicas of 2 cores and 8 GiB by"), "{changed}");
}

/// Its verdict is about what serves, and would tell of a decrease alone.
#[test]
fn a_plan_that_is_raised_and_still_less_than_what_serves_says_so() {
    let mut rules = threshold_rules();
    rules.dry_run.simulated = true;
    let mut planning = Planning::default();
    let mut at = |s: i64, cores: f64| {
        acted(planning.step(&rules, &prediction("w", s, cores, 10.0, 8), &"p".into()).expect("is new"))
    };
    let lowered = at(0, 3.5);
    assert_eq!((lowered.desired.replicas, lowered.plan_change()), (4, None));
    let mut raised = at(2000, 10.0);
    assert_eq!((raised.desired.replicas, raised.verdict), (6, Verdict::ScaleIn));
    assert_eq!(raised.plan_change(), Some(PlanChange::Raised));
    let four =
        "the plan was 4 replicas of 2 cores and 8 GiB: it is raised, and still less than what serves, 8 replicas";
    assert!(raised.reasons.iter().any(|r| r.text.starts_with(four)), "{:#?}", raised.reasons);
    raised.evidence.clear();
    for words in [explain(&raised, None), explain_change(&raised)] {
        assert!(words.contains("scale out what is planned"), "{words}");
    }
}

#[test]
fn each_rule_is_told_once_with_its_cost_by_part_and_one_is_chosen() {
    let (mut planning, mut told) = (Planning::default(), Vec::new());
    for bin in 0..200i64 {
        let mut p = prediction("w", bin * 300, 3.0, 20.0, 4);
        p.step_s = 300;
        p.resources[0].last = Some(2.0 + (bin as f64 / 9.0).sin());
        told = seen(&mut planning, &Rules::default(), &p).1.by_rule;
        assert!(bin > 20 || told.iter().all(|alternative| alternative.cost.is_none()), "the fleet's sums decide");
    }
    let names: std::collections::BTreeSet<&str> = told.iter().map(|alternative| alternative.rule.as_str()).collect();
    assert_eq!(names.len(), proactive::RULES.len());
    assert_eq!(told.iter().filter(|alternative| alternative.is_chosen).count(), 1);
    let costs: Vec<f64> = told.iter().filter_map(|alternative| alternative.cost).map(|c| c.parts.total()).collect();
    assert!(costs.len() > 20 && costs.is_sorted() && costs[0] > 0.0, "{costs:?}");
    let by_threshold = seen(&mut Planning::default(), &threshold_rules(), &prediction("w", 0, 3.0, 20.0, 4)).1;
    assert!(by_threshold.by_rule.is_empty() && by_threshold.by_price.is_empty());
}

#[test]
fn less_than_a_day_of_history_is_told_with_what_follows_from_it() {
    let mut planning = Planning::default();
    let young = seen(&mut planning, &Rules::default(), &prediction("w", 0, 1.0, 8.0, 4)).1;
    let text = young.youth().expect("it is young");
    assert!(
        text.starts_with("less than a day of history is behind this workload (0.0 h): until it is a day no memory")
    );
    let rules = threshold_rules();
    let by_threshold = seen(&mut Planning::default(), &rules, &prediction("w", 0, 1.0, 8.0, 4)).1;
    assert!(by_threshold.youth().is_some_and(|text| !text.contains("memory")));
    let old = seen(&mut planning, &Rules::default(), &prediction("w", 86_400, 1.0, 8.0, 4)).1;
    assert_eq!(old.youth(), None);
}

#[test]
fn a_decision_says_first_which_sections_its_rules_come_from() {
    let section = |name: &str| rule_book::Section {
        name: name.into(),
        priority: 0,
        reach: rule_book::Reach(vec![vec![crate::selector::Selector::new(&["w".into()], &[]).expect("a pattern")]]),
    };
    let compose = |_: &[std::sync::Arc<str>]| Ok::<_, std::convert::Infallible>(threshold_rules());
    let book = RuleBook::new(Rules::default(), vec![section("b"), section("a")], compose).expect("a book");
    let decision = Planning::default().step(&book, &prediction("w", 0, 10.0, 20.0, 4), &"p1".into()).expect("is new");
    let action = acted(decision);
    assert_eq!(&*action.policy, "threshold");
    assert_eq!(action.reasons[0].text, "the general rules, with those of a, then b on top");
    let other = Planning::default().step(&book, &prediction("v", 0, 10.0, 20.0, 4), &"p1".into()).expect("is new");
    let reasons = match other {
        Decision::Act(action) => action.reasons,
        Decision::Hold(reasons) => reasons,
    };
    assert!(reasons.iter().all(|r| &*r.rule != "rules.sections"));
}
