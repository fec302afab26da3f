//! Decisions on single predictions and short stories.

use super::fixtures::{GIB, capacity, forecast, prediction, threshold_rules};
use super::*;
use crate::action::{Action, Mechanism, Verdict};
use crate::anomaly::AnomalyScore;
use crate::kpi::{CPU_CORES_USED, KpiName};
use crate::prediction::Prediction;
use crate::resource::Resource;
use crate::sample::{Capacity, Platform};

pub(super) fn decide_first(rules: &Rules, prediction: &Prediction) -> Decision {
    Planning::default().step(rules, prediction, &"p1".into()).expect("the first prediction is new")
}

pub(super) fn acted(decision: Decision) -> Action {
    match decision {
        Decision::Act(action) => *action,
        Decision::Hold(reasons) => panic!("held: {reasons:#?}"),
    }
}

fn held(decision: &Decision) -> Vec<&str> {
    match decision {
        Decision::Hold(reasons) => reasons.iter().map(|r| &*r.rule).collect(),
        Decision::Act(action) => panic!("acted: {action:#?}"),
    }
}

#[test]
fn a_rising_demand_scales_out_by_the_binding_resource() {
    let action = acted(decide_first(&threshold_rules(), &prediction("w", 0, 10.0, 20.0, 4)));
    assert_eq!((action.verdict, action.desired.replicas), (Verdict::ScaleOut, 6), "10 × 1.1 cores take 6 × 2");
    assert_eq!((action.current, action.mechanism, action.dry_run), (capacity(4), Mechanism::Replicas, false));
    assert_eq!((&*action.prediction_id, action.valid_until.as_ms()), ("p1", 900_000));
    assert_eq!(action.evidence.len(), 2);
    assert_eq!(action.evidence[0].horizon_s, 900);
}

#[test]
fn a_decrease_needs_every_resource() {
    let rules = threshold_rules();
    let both = acted(decide_first(&rules, &prediction("w", 0, 3.0, 16.0, 4)));
    assert_eq!((both.verdict, both.desired.replicas), (Verdict::ScaleIn, 3), "16 × 1.1 GiB take 3 × 8");
    let cpu_only = decide_first(&rules, &prediction("w", 0, 3.0, 30.0, 4));
    assert_eq!(held(&cpu_only), ["threshold.decrease", "threshold.keep", "policy.not_all_allow_decrease"]);
}

/// A prediction in a bin of a workload that is as unusual as this and needs so many cores, and four times as many GiB.
fn in_bin(bin: i64, p_value: f32, cores: f64, replicas: u32) -> Prediction {
    let anomaly = Some(AnomalyScore { p_value, kpis: vec![KpiName::new(crate::kpi::LATENCY_MS)] });
    Prediction { anomaly, ..prediction("w", 300 * bin, cores, 4.0 * cores, replicas) }
}

#[test]
fn a_rule_steps_out_once_while_an_anomaly_lasts_within_bounds_and_gives_it_back() {
    let mut rules = threshold_rules();
    rules.remedies.latency = crate::guardrail::Remedy::ScaleOut;
    let mut planning = Planning::default();
    let mut step = |rules: &Rules, made: &Prediction| planning.step(rules, made, &"p".into()).expect("it is newer");
    assert!(matches!(step(&rules, &in_bin(0, 0.5, 7.5, 4)), Decision::Hold(_)), "it is usual");
    let action = acted(step(&rules, &in_bin(1, 1e-7, 7.5, 4)));
    assert_eq!((action.verdict, action.desired.replicas), (Verdict::ScaleOut, 5), "a quarter more");
    assert!(action.reasons.iter().any(|r| &*r.rule == "anomaly.scale_out" && r.text.contains("by latency_ms")));
    for bin in 2..5 {
        assert!(matches!(step(&rules, &in_bin(bin, 1e-7, 7.5, 5)), Decision::Hold(_)), "one step");
    }
    // Long after it, what nobody needs goes.
    let actions = (60..120).filter_map(|bin| match step(&rules, &in_bin(bin, 0.5, 3.0, 5)) {
        Decision::Act(action) => Some(action.verdict),
        Decision::Hold(_) => None,
    });
    assert_eq!(actions.collect::<Vec<_>>().first(), Some(&Verdict::ScaleIn));
    rules.guardrails.bounds.replicas_max = 4;
    let bounded = decide_first(&rules, &in_bin(0, 1e-7, 7.5, 4));
    assert!(held(&bounded).contains(&"guardrail.bounds"), "{bounded:?}");
}

#[test]
fn a_rule_freezes_all_but_what_live_use_demands_and_another_asks() {
    let mut rules = threshold_rules();
    rules.remedies.latency = crate::guardrail::Remedy::Freeze;
    let frozen = decide_first(&rules, &in_bin(0, 1e-7, 10.0, 4));
    assert!(held(&frozen).contains(&"anomaly.freeze"), "{frozen:?}");
    let mut used_up = in_bin(0, 1e-7, 10.0, 4);
    used_up.resources[1].last = Some(40.0 * GIB);
    assert_eq!(acted(decide_first(&rules, &used_up)).verdict, Verdict::ScaleOut);
    rules.remedies.latency = crate::guardrail::Remedy::Ask;
    let asks = |made: &Prediction| {
        let action = acted(decide_first(&rules, made));
        action.reasons.iter().any(|r| &*r.rule == crate::guardrail::ASKS)
    };
    assert!(asks(&in_bin(0, 1e-7, 10.0, 4)) && !asks(&in_bin(0, 1e-3, 10.0, 4)) && !asks(&used_up));
}

#[test]
fn an_anomaly_holds_a_decrease_and_no_increase() {
    let rules = threshold_rules();
    let unusual = |p: Prediction| {
        let anomaly = Some(AnomalyScore { p_value: 1e-4, kpis: vec![KpiName::new(CPU_CORES_USED)] });
        Prediction { anomaly, ..p }
    };
    let decrease = decide_first(&rules, &unusual(prediction("w", 0, 3.0, 16.0, 4)));
    assert!(held(&decrease).contains(&"guardrail.anomaly"), "{decrease:?}");
    let increase = acted(decide_first(&rules, &unusual(prediction("w", 0, 10.0, 20.0, 4))));
    assert_eq!(increase.desired.replicas, 6);
    let mut planning = Planning::default();
    let mut step = |p: &Prediction| planning.step(&rules, p, &"p".into()).expect("it is new");
    step(&unusual(prediction("w", 0, 7.0, 28.0, 4)));
    let hold_s = i64::from(rules.guardrails.anomaly_hold_s);
    assert!(held(&step(&prediction("w", hold_s - 1, 3.0, 16.0, 4))).contains(&"guardrail.anomaly"));
    assert_eq!(acted(step(&prediction("w", hold_s, 3.0, 16.0, 4))).verdict, Verdict::ScaleIn);
}

/// A prediction at that instant, with the use measured last.
fn with_use(at_s: i64, cores: f64, gib: f64, predicted: f64, replicas: u32) -> Prediction {
    let mut p = prediction("w", at_s, predicted, 28.0, replicas);
    p.step_s = 120;
    p.resources[0].last = Some(cores);
    p.resources[1].last = Some(gib * GIB);
    p
}

#[test]
fn what_live_use_demands_comes_whatever_the_forecast_says() {
    let rules = threshold_rules();
    let by_use = acted(decide_first(&rules, &with_use(0, 7.7, 1.0, 7.9, 4)));
    assert_eq!((by_use.verdict, by_use.desired.replicas), (Verdict::ScaleOut, 5), "7.7 / 0.95 cores take 5 × 2");
    assert!(by_use.reasons.iter().any(|r| &*r.rule == "floor.live"));
    assert_eq!(held(&decide_first(&rules, &with_use(0, 7.59, 1.0, 7.9, 4))), ["threshold.keep", "threshold.keep"]);
    let instead_of_a_decrease = acted(decide_first(&rules, &with_use(0, 1.0, 31.0, 2.0, 4)));
    assert_eq!(instead_of_a_decrease.desired.replicas, 5, "31 / 0.95 GiB take 5 × 8");
    let beside_the_forecast = acted(decide_first(&rules, &with_use(0, 1.0, 31.0, 10.0, 4)));
    assert_eq!(beside_the_forecast.desired.replicas, 6, "the larger of both needs");
    let capped = acted(decide_first(&rules, &with_use(0, 7.9, 1.0, 7.9, 4)));
    assert_eq!(capped.desired.replicas, 8, "use at the capacity does not say how much is wanted");
    let above = acted(decide_first(&rules, &with_use(0, 30.0, 1.0, 7.9, 4)));
    assert_eq!(above.desired.replicas, 16, "no step is in the way");
}

/// A sample tells of the time before it: what it used of a capacity that has just gone is not beyond the one that is left,
/// which caps what comes next.
#[test]
fn use_of_a_capacity_that_has_gone_does_not_pass_the_one_that_is_left() {
    let mut planning = Planning::default();
    let mut step = |at_s, cores, predicted, gib, replicas| {
        let mut p = prediction("w", at_s, predicted, gib, replicas);
        p.step_s = 120;
        (p.resources[0].last, p.resources[1].last) = (Some(cores), Some(GIB));
        planning.step(&threshold_rules(), &p, &"p".into()).expect("it is newer")
    };
    assert_eq!(held(&step(0, 6.0, 7.0, 28.0, 4)), ["threshold.keep", "threshold.keep"]);
    let after = acted(step(120, 5.0, 3.5, 14.0, 2));
    assert_eq!(after.desired.replicas, 3, "it used 5 of 8 cores, so 5 / 0.95 of them are needed");
    let capped = acted(step(240, 4.0, 3.5, 14.0, 2));
    assert_eq!(capped.desired.replicas, 4, "all of 4 cores: by the largest step");
}

#[test]
fn no_pace_holds_what_live_use_demands() {
    for policy in [threshold_rules().policy, Rules::default().policy] {
        let mut rules = Rules { policy, ..threshold_rules() };
        rules.guardrails.pace.changes_per_day_max = 0;
        rules.guardrails.pace.warm_up_s = 10_000;
        let (mut planning, mut capacity, mut increases) = (Planning::default(), 4, 0);
        for i in 0..10 {
            let use_now = f64::from(capacity) * 2.0;
            let p = with_use(i * 120, use_now, 1.0, use_now, capacity);
            if let Some(Decision::Act(action)) = planning.step(&rules, &p, &"p".into()) {
                assert_eq!(action.verdict, Verdict::ScaleOut);
                increases += 1;
                capacity = action.desired.replicas;
            }
        }
        assert_eq!((increases, capacity), (5, 100), "doubles each time, up to the bound");
    }
}

#[test]
fn the_proactive_policy_sizes_what_is_constant_and_what_is_idle() {
    for (use_now, wanted) in [(1.0, 1.25), (0.0, 0.25)] {
        let (mut planning, mut last) = (Planning::default(), None);
        for i in 0..4 * 288 {
            let mut p = prediction("w", i * 300, 0.0, 2.0, 1);
            (p.platform, p.step_s) = (Platform::OBSERVED_ONLY, 300);
            p.resources[0].last = Some(use_now);
            p.resources[1].last = Some(2.0 * GIB);
            if let Some(Decision::Act(action)) = planning.step(&Rules::default(), &p, &"p".into()) {
                assert_eq!(violations(&action), Vec::<String>::new());
                last = Some(*action);
            }
        }
        let desired = last.expect("it is sized").desired;
        assert_eq!((desired.cpu_cores(), desired.memory_bytes()), (wanted, 2.25 * GIB));
    }
}

/// A dry run: what serves stays, so that the plan alone shows an increase.
#[test]
fn a_plan_does_not_grow_for_a_start_that_has_passed_once_such_starts_are_known() {
    let starts: [i64; 6] = [600, 1000, 1600, 2300, 2900, 3500];
    let (mut planning, mut plan, mut said) = (Planning::default(), 2.0, Vec::new());
    for minute in 0..4000i64 {
        let is_start = starts.iter().any(|start| (*start..*start + 3).contains(&minute));
        let mut p = prediction("w", minute * 60, 0.05, 2.0, 1);
        p.platform = Platform::OBSERVED_ONLY;
        p.resources[0].last = Some(if is_start { 1.99 } else { 0.05 });
        p.resources[1].last = Some(2.0 * GIB);
        if minute == starts[2] {
            assert!(plan < 1.0, "{plan} cores are planned for an idle service");
        }
        match planning.step(&Rules::default(), &p, &"p".into()).expect("is new") {
            Decision::Act(action) => {
                let asked = action.desired.cpu_cores();
                assert!(minute < starts[2] || asked <= plan, "minute {minute}, {plan} before: {action:#?}");
                plan = asked;
            }
            Decision::Hold(reasons) if minute >= starts[2] => said.extend(reasons.into_iter().map(|r| r.rule)),
            Decision::Hold(_) => {}
        }
    }
    for rule in ["surge.waits", "surge.passed"] {
        assert!(said.iter().any(|said| &**said == rule), "{rule} is not said");
    }
}

/// It may be going on.
#[test]
fn a_start_after_which_nothing_is_measured_has_not_passed() {
    let (starts, known_until): ([i64; 3], i64) = ([600, 1000, 1600], 1603);
    let mut planning = Planning::default();
    for minute in 0..known_until + 10 {
        let is_start = starts.iter().any(|start| (*start..*start + 3).contains(&minute));
        let mut p = prediction("w", minute * 60, 0.05, 2.0, 1);
        p.platform = Platform::OBSERVED_ONLY;
        p.resources[0].last = (minute < known_until).then_some(if is_start { 1.99 } else { 0.05 });
        p.resources[1].last = Some(2.0 * GIB);
        let reasons = match planning.step(&Rules::default(), &p, &"p".into()).expect("is new") {
            Decision::Act(action) => action.reasons,
            Decision::Hold(reasons) => reasons,
        };
        let is_left = reasons.iter().any(|r| &*r.rule == "surge.passed");
        assert!(minute < known_until || !is_left, "minute {minute}: {reasons:#?}");
    }
}

#[test]
fn an_uncertain_forecast_does_not_scale_out() {
    let mut wide = prediction("w", 0, 10.0, 20.0, 4);
    wide.resources[0] = forecast(CPU_CORES_USED, 10.0, 0.15);
    assert_eq!(held(&decide_first(&threshold_rules(), &wide))[0], "threshold.uncertain");
}

#[test]
fn what_cannot_be_judged_is_said_and_neither_grows_nor_shrinks() {
    let rules = threshold_rules();
    let idle = decide_first(&rules, &prediction("w", 0, 0.0, 10.0, 4));
    assert_eq!(held(&idle), ["threshold.undecided", "threshold.decrease", "policy.not_all_allow_decrease"]);
    let mut without_memory = prediction("w", 0, 3.0, 1.0, 4);
    without_memory.resources.truncate(1);
    assert_eq!(held(&decide_first(&rules, &without_memory))[1], "threshold.undecided");
    let mut without_capacity = prediction("w", 0, 10.0, 20.0, 4);
    without_capacity.capacity = None;
    assert_eq!(held(&decide_first(&rules, &without_capacity)), ["policy.no_capacity"]);
    let mut short_sighted = prediction("w", 0, 10.0, 20.0, 4);
    for r in &mut short_sighted.resources {
        r.horizons.truncate(1);
    }
    assert_eq!(held(&decide_first(&rules, &short_sighted)), ["threshold.undecided", "threshold.undecided"]);
}

#[test]
fn target_quantile_and_lead_time_choose_the_number() {
    let predicted = |target, quantile, lead_time_s| {
        let mut rules = threshold_rules();
        rules.forecast = ForecastChoice { target, quantile, lead_time_s, ..rules.forecast };
        rules.policy = Threshold { relative_width_max: 1.0, ..Threshold::default() }.into();
        acted(decide_first(&rules, &prediction("w", 0, 100.0, 200.0, 4))).evidence[0].predicted
    };
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} is not {b}");
    near(predicted(Target::Maximum, 0.5, 900), 100.0);
    near(predicted(Target::Value, 0.5, 900), 50.0);
    near(predicted(Target::Maximum, 0.5, 901), 110.0);
    near(predicted(Target::Maximum, 0.5, 1), 90.0);
    near(predicted(Target::Maximum, 0.95, 900), 105.0);
}

#[test]
fn step_and_bounds_leave_their_reasons() {
    let mut rules = threshold_rules();
    let rules_of = |action: &Action| action.reasons.iter().map(|r| r.rule.to_string()).collect::<Vec<_>>();
    let stepped = acted(decide_first(&rules, &prediction("w", 0, 100.0, 20.0, 4)));
    assert_eq!(stepped.desired.replicas, 8, "a step may double");
    assert!(rules_of(&stepped).contains(&"guardrail.step".to_owned()));
    rules.guardrails.bounds.replicas_max = 5;
    let bounded = acted(decide_first(&rules, &prediction("w", 0, 100.0, 20.0, 4)));
    assert_eq!(bounded.desired.replicas, 5);
    assert!(rules_of(&bounded).contains(&"guardrail.bounds".to_owned()));
    let at_the_top = decide_first(&rules, &prediction("w", 0, 100.0, 20.0, 5));
    assert_eq!(held(&at_the_top).last(), Some(&"guardrail.bounds"));
}

#[test]
fn a_decrease_leaves_what_is_in_use() {
    let mut busy = prediction("w", 0, 2.0, 4.0, 8);
    busy.resources[0].last = Some(11.5);
    let action = acted(decide_first(&threshold_rules(), &busy));
    assert_eq!(action.desired.replicas, 7, "11.5 cores are in use, of 95 %");
    assert!(action.reasons.iter().any(|r| &*r.rule == "floor.leaves"));
}

#[test]
fn a_replica_that_goes_leaves_the_memory_that_nobody_sizes() {
    let mut rules = threshold_rules();
    rules.forecast.resources = vec![Resource::Cpu];
    let mut full = prediction("w", 0, 2.0, 4.0, 8);
    full.resources[1].last = Some(6.5 * capacity(1).memory_bytes());
    assert_eq!(acted(decide_first(&rules, &full)).desired.replicas, 7, "6.5 of 8 replicas' memory are in use");
}

#[test]
fn low_confidence_holds() {
    let mut rules = threshold_rules();
    rules.guardrails.scored_min = 41;
    assert_eq!(held(&decide_first(&rules, &prediction("w", 0, 10.0, 20.0, 4))).last(), Some(&"guardrail.confidence"));
}

#[test]
fn the_same_is_not_asked_for_while_it_takes_effect() {
    let rules = threshold_rules();
    let mut planning = Planning::default();
    let id = "p".into();
    let mut at = |s: i64, cores: f64, replicas: u32| {
        planning.step(&rules, &prediction("w", s, cores, 20.0, replicas), &id).expect("is new")
    };
    assert_eq!(acted(at(0, 10.0, 4)).desired.replicas, 6);
    assert_eq!(held(&at(60, 10.0, 4))[0], "threshold.keep", "what was asked for is enough");
    assert_eq!(held(&at(120, 16.0, 4)).last(), Some(&"guardrail.cooldown"), "more is wanted, too soon");
    assert_eq!(acted(at(300, 16.0, 4)).desired.replicas, 9, "a newer plan takes the place of the first");
    assert!(held(&at(360, 16.0, 9)).contains(&"threshold.keep"));
}

#[test]
fn a_change_that_never_came_is_asked_for_again_after_its_validity() {
    let rules = threshold_rules();
    let mut planning = Planning::default();
    let id = "p".into();
    let mut at = |s: i64| planning.step(&rules, &prediction("w", s, 10.0, 20.0, 4), &id).expect("is new");
    acted(at(0));
    assert_eq!(held(&at(899))[0], "threshold.keep");
    acted(at(900));
}

#[test]
fn a_dry_runs_plan_goes_on_from_itself_and_is_proposed_again_when_it_is_void() {
    let rules = threshold_rules();
    let actions = |cores: f64| {
        let mut planning = Planning::default();
        let predictions = (0..48).map(|i| {
            let mut p = prediction("host", i * 300, cores, 2.0, 1);
            (p.platform, p.step_s) = (Platform::OBSERVED_ONLY, 300);
            p.resources[0].last = Some(cores);
            p
        });
        let decisions = predictions.filter_map(|p| planning.step(&rules, &p, &"p".into()));
        decisions.filter_map(|d| if let Decision::Act(action) = d { Some(*action) } else { None }).collect::<Vec<_>>()
    };
    let mut decrease: Vec<f64> = actions(0.5).iter().map(|a| a.desired.cpu_cores()).collect();
    assert!(decrease.len() <= 18, "the last one every 900 s");
    decrease.dedup();
    assert_eq!(decrease, [1.0, 0.75], "one step after another");
    let increase = actions(2.5);
    assert_eq!(increase.len(), 16, "every 900 s of 4 hours");
    assert!(increase.iter().all(|a| a.dry_run && a.desired == increase[0].desired));
    assert_eq!(increase[0].mechanism, Mechanism::Limits);
}

#[test]
fn a_dry_run_that_stands_is_proposed_ever_less_often() {
    let rules = threshold_rules();
    let mut planning = Planning::default();
    let mut asked_by_day = [0; 3];
    for i in 0..3 * 288 {
        let mut p = prediction("host", i * 300, 0.5, 2.0, 1);
        (p.platform, p.step_s) = (Platform::OBSERVED_ONLY, 300);
        p.resources[0].last = Some(0.5);
        if let Some(Decision::Act(action)) = planning.step(&rules, &p, &"p".into()) {
            assert_eq!((action.dry_run, action.verdict), (true, Verdict::ScaleIn));
            asked_by_day[i as usize / 288] += 1;
        }
    }
    assert!((2..=14).contains(&asked_by_day[0]), "{asked_by_day:?}");
    assert!(asked_by_day[1..].iter().all(|asked| (1..=6).contains(asked)), "{asked_by_day:?}");
}

/// It may have been held for that, as when too much of a fleet grows for the sake of forecasts.
#[test]
fn what_a_forecast_wanted_is_asked_for_once_more_when_live_use_demands_it() {
    let rules = threshold_rules();
    let mut planning = Planning::default();
    let mut at =
        |s: i64, used: f64| planning.step(&rules, &with_use(s, used, 1.0, 10.0, 4), &"p".into()).expect("is new");
    let wanted = acted(at(0, 4.0));
    assert!(!wanted.follows_from_live_use());
    assert_eq!(held(&at(120, 4.0))[0], "threshold.keep");
    let demanded: Vec<Action> = [240, 360, 480, 600].map(|s| at(s, 7.7)).into_iter().filter_map(action_of).collect();
    assert_eq!(demanded.len(), 1, "once: {demanded:?}");
    assert!(demanded[0].follows_from_live_use() && demanded[0].desired == wanted.desired);
}

fn action_of(decision: Decision) -> Option<Action> {
    match decision {
        Decision::Act(action) => Some(*action),
        Decision::Hold(_) => None,
    }
}

#[test]
fn a_prediction_is_used_once() {
    let rules = threshold_rules();
    let mut planning = Planning::default();
    let first = prediction("w", 600, 10.0, 20.0, 4);
    assert!(planning.step(&rules, &first, &"p".into()).is_some());
    assert!(planning.step(&rules, &first, &"p".into()).is_none());
    assert!(planning.step(&rules, &prediction("w", 300, 50.0, 20.0, 4), &"q".into()).is_none());
}

#[test]
fn other_mechanisms_are_a_matter_of_configuration() {
    let with = |mechanism| {
        let mut rules = threshold_rules();
        rules.sizing.mechanism = Some(mechanism);
        rules
    };
    let one = |cores: f64, gib: f64| Prediction {
        capacity: Some(Capacity {
            replicas: 1,
            cpu_cores_per_replica: 4.0,
            memory_bytes_per_replica: 16.0 * GIB,
            instance_type: Some("general-4".into()),
        }),
        ..prediction("w", 0, cores, gib, 1)
    };
    let limits = acted(decide_first(&with(Mechanism::Limits), &one(6.0, 8.0)));
    assert_eq!((limits.desired.cpu_cores(), limits.desired.memory_bytes()), (6.75, 16.0 * GIB));
    let larger = acted(decide_first(&with(Mechanism::InstanceType), &one(6.0, 8.0)));
    assert_eq!(larger.desired.instance_type.as_deref(), Some("compute-8"));
    let smaller = acted(decide_first(&with(Mechanism::InstanceType), &one(1.0, 3.0)));
    assert_eq!(smaller.desired.instance_type.as_deref(), Some("general-2"), "half is as far as one step goes");
    for action in [limits, larger, smaller] {
        assert_eq!(violations(&action), Vec::<String>::new());
    }
}

#[test]
fn workloads_of_one_source_with_other_aims_have_prices_of_their_own() {
    let share = Proactive { aim: proactive::AimName::ShortShare, short_share: 0.001, ..Proactive::default() };
    let careful = Rules { policy: share.into(), ..Rules::default() };
    let decisions = |names: &[&str], of: &str, rules_of_v: &Rules| {
        let mut planning = Planning::default();
        let mut said = Vec::new();
        for bin in 0..4 * 288i64 {
            for name in names {
                let wave = 3.0 + 2.5 * (bin as f64 / 46.0).sin() + f64::from(bin % 5 == 0);
                let mut p = prediction(name, bin * 300, wave, 20.0, 4);
                p.step_s = 300;
                p.resources[0].last = Some(if *name == "v" { 0.3 * wave } else { wave });
                let rules = if *name == "v" { rules_of_v.clone() } else { Rules::default() };
                let decision = planning.step(&rules, &p, &"p".into()).expect("is new");
                if *name == of {
                    said.push(decision);
                }
            }
        }
        said
    };
    let alone = decisions(&["w"], "w", &careful);
    assert!(decisions(&["w", "v"], "w", &careful) == alone, "v has another aim");
    assert!(decisions(&["w", "v"], "w", &Rules::default()) != alone, "v shares its prices");
}
