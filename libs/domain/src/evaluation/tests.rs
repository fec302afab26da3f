//! Single cases with their numbers.

use super::fixtures::{by, one_of, outcomes, quick_rules, seen, terms};
use super::*;
use crate::kpi::{CPU_THROTTLED_SHARE, KpiName, LATENCY_MS, REQUESTS_PER_S, RUN_QUEUE};
use crate::policy::fixtures::{thinned, workload};
use crate::policy::{Decision, Rules};
use crate::prediction::{Prediction, Signal};
use crate::sample::{Capacity, Platform};
use crate::time::EventTime;

/// A workload's demand from the epoch on, every five minutes.
fn of(demands: &[Option<f64>], cores: f64) -> Vec<Prediction> {
    demands.iter().enumerate().map(|(i, demand)| seen("a", 300 * i as i64, *demand, Some(cores))).collect()
}

#[test]
fn an_hour_is_told_once_it_is_over() {
    let pricing = Some(Pricing { currency: "EUR".into(), per_core_h: Some(0.5) });
    let terms = Terms { pricing, ..terms() };
    let mut evaluation = Evaluation::default();
    let told = outcomes(&mut evaluation, &terms, &of(&[Some(0.7); 13], 4.0));
    let [hour] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((hour.from, hour.to()), (EventTime::from_s(0), EventTime::from_s(3600)));
    assert_eq!((hour.workload.as_str(), &*hour.policy, hour.is_dry_run), ("a", "proactive", true));
    let sums = &hour.sums;
    assert_eq!((sums.observed_s, sums.censored_s), (3600.0, 0.0));
    assert!((sums.demand_core_s - 0.7 * 3600.0).abs() < 1e-9);
    assert_eq!(
        (sums.capacity.capacity_core_s, sums.capacity.cost, sums.capacity.changes),
        (4.0 * 3600.0, Some(2.0), 0)
    );
    assert!((sums.capacity.over_core_s - 3.3 * 3600.0).abs() < 1e-6);
    // The reactive rule asks for 1 core with the first sample, and has it a lead time later.
    let lead_s = f64::from(terms.rules.general().forecast.lead_time_s);
    let reactive = 4.0 * lead_s + 1.0 * (3600.0 - lead_s);
    assert!((sums.reactive.capacity_core_s - reactive).abs() < 1e-6, "{:?}", sums.reactive);
    assert_eq!(sums.reactive.changes, 1);
    assert_eq!(sums.currency.as_deref(), Some("EUR"));
    assert_eq!(evaluation.step(&terms, &of(&[Some(9.0)], 4.0)[0], &"p".into()), None, "it is not newer");
}

#[test]
fn what_is_missing_is_no_time_and_use_at_the_capacity_is_a_lower_bound() {
    let mut demands = vec![Some(1.0); 13];
    (demands[3], demands[4], demands[5], demands[6]) = (None, None, Some(2.5), Some(1.95));
    let told = outcomes(&mut Evaluation::default(), &terms(), &of(&demands, 2.0));
    let sums = &told[0].sums;
    assert_eq!((sums.observed_s, sums.censored_s), (3000.0, 600.0));
    assert_eq!((sums.capacity.short_s, sums.capacity.unmet_core_s), (300.0, 150.0));
    let mut predictions = of(&[Some(1.0); 13], 2.0);
    predictions[4].capacity = None;
    let told = outcomes(&mut Evaluation::default(), &terms(), &predictions);
    assert_eq!(told[0].sums.observed_s, 3300.0, "nobody knows what served after that sample");
    let silent = of(&[None; 13], 2.0);
    assert!(outcomes(&mut Evaluation::default(), &terms(), &silent).is_empty());
}

/// A container that is throttled uses less than its limit on average, and still wants more.
#[test]
fn who_is_throttled_below_the_capacity_is_not_said_to_have_had_enough() {
    let censored_s = |name: &str, last: f64, used: f64| {
        let mut predictions = of(&[Some(used); 13], 2.0);
        for (i, prediction) in predictions.iter_mut().enumerate() {
            let last = Some(if (5..7).contains(&i) { last } else { 0.0 });
            let name = KpiName::new(name);
            let signal = Signal { name, unit: "1".into(), last, short_mean: Some(10.0), long_p95: Some(20.0) };
            prediction.signals = vec![signal];
        }
        outcomes(&mut Evaluation::default(), &terms(), &predictions)[0].sums.censored_s
    };
    assert_eq!(censored_s(CPU_THROTTLED_SHARE, 0.3, 1.6), 600.0);
    assert_eq!(censored_s(CPU_THROTTLED_SHARE, 0.05, 1.6), 0.0);
    for name in [LATENCY_MS, RUN_QUEUE] {
        assert_eq!(censored_s(name, 90.0, 1.9), 600.0, "{name}");
        assert_eq!(censored_s(name, 90.0, 1.6), 0.0, "{name} has risen for another reason");
        assert_eq!(censored_s(name, 14.0, 1.9), 0.0, "{name} is usual");
    }
    assert_eq!(censored_s(REQUESTS_PER_S, 90.0, 1.9), 0.0);
}

#[test]
fn the_capacity_is_as_the_chain_says_it_and_so_is_a_plan_that_is_carried_out() {
    let mut predictions = of(&[Some(1.0); 13], 2.0);
    predictions[6].capacity = Some(one_of(3.0));
    predictions[7..].iter_mut().for_each(|p| p.capacity = Some(one_of(3.0)));
    let mut rules = Rules::default();
    rules.forecast.lead_time_s = 86_400;
    let terms = by(rules);
    let observed = outcomes(&mut Evaluation::default(), &terms, &predictions).remove(0);
    assert_eq!(observed.sums.capacity.capacity_core_s, 5.0 * 1800.0);
    assert_eq!(observed.sums.capacity.changes, 1);
    assert_eq!(observed.sums.plan.capacity_core_s, 5.0 * 1800.0, "the planner goes on from there");
    predictions.iter_mut().for_each(|p| p.platform = Platform::SIMULATED);
    let applied = outcomes(&mut Evaluation::default(), &terms, &predictions).remove(0);
    assert!(!applied.is_dry_run);
    assert_eq!(applied.sums.plan.capacity_core_s, applied.sums.capacity.capacity_core_s);
}

/// A plan that changes nothing is worth the same, and its hours end with the prediction that goes beyond them.
#[test]
fn hours_end_among_readings() {
    let mut rules = quick_rules(600);
    rules.guardrails.bounds.cpu_cores_min = 1000.0;
    rules.guardrails.bounds.cpu_cores_max = Some(0.0);
    let terms = by(rules);
    let each = of(&[Some(1.0); 25], 4.0);
    let thin = thinned(&each, |i| i % 8 == 0);
    let told = outcomes(&mut Evaluation::default(), &terms, &thin);
    assert_eq!((told.len(), told[0].sums.observed_s, told[0].sums.plan.changes), (2, 3600.0, 0));
    assert_eq!(told, outcomes(&mut Evaluation::default(), &terms, &each));
}

#[test]
fn a_week_holds_seven_days_and_each_hour_once() {
    let told = outcomes(&mut Evaluation::default(), &terms(), &of(&[Some(1.0); 12 * 24 * 9 + 1], 2.0));
    assert_eq!(told.len(), 9 * 24);
    let mut week = Week::default();
    assert_eq!(week.span(), None);
    assert!(told.iter().all(|hour| week.take(hour)));
    assert!(!week.take(&told[5]) && !week.take(&told[215]));
    let span = week.span().expect("hours were taken");
    assert_eq!((span.from, span.to), (EventTime::from_s(2 * 86_400), EventTime::from_s(9 * 86_400)));
    assert_eq!(span.sums.observed_s, 7.0 * 86_400.0);
    let mut both = span.clone();
    both.add(&span);
    assert_eq!(both.sums.capacity.capacity_core_s, 2.0 * span.sums.capacity.capacity_core_s);
}

#[test]
fn costs_of_two_currencies_do_not_add_up() {
    let priced = |currency: &str| {
        let pricing = Some(Pricing { currency: currency.into(), per_core_h: Some(1.0) });
        let told = outcomes(&mut Evaluation::default(), &Terms { pricing, ..terms() }, &of(&[Some(1.0); 13], 2.0));
        told[0].sums.clone()
    };
    let (mut same, mut other) = (priced("EUR"), priced("EUR"));
    same.add(&priced("EUR"));
    assert_eq!((same.capacity.cost, same.currency.as_deref()), (Some(4.0), Some("EUR")));
    other.add(&priced("USD"));
    assert_eq!((other.capacity.cost, other.currency), (None, None));
}

const GIB: f64 = 1_073_741_824.0;

/// An hour's records, and when the first order of the plan served, in hours: 4 cores and 16 GiB of a listed type that
/// nobody needs.
fn listed_hour(change: fn(&mut Rules)) -> (Sums, f64) {
    let mut rules = quick_rules(600);
    change(&mut rules);
    let terms = Terms { pricing: Some(Pricing { currency: "USD".into(), per_core_h: None }), ..by(rules) };
    let listed =
        Capacity { memory_bytes_per_replica: 16.0 * GIB, instance_type: Some("general-4".into()), ..one_of(4.0) };
    let (mut evaluation, mut told, mut served_h) = (Evaluation::default(), Vec::new(), None);
    for mut prediction in of(&[Some(0.7); 13], 4.0) {
        prediction.capacity = Some(listed.clone());
        let evaluated = evaluation.step(&terms, &prediction, &"p".into()).expect("each is newer");
        told.extend(evaluated.outcomes);
        if let Decision::Act(action) = evaluated.decision {
            served_h.get_or_insert(action.decided_at.plus_s(600).as_ms() as f64 / 3_600_000.0);
        }
    }
    let served_h: f64 = served_h.expect("it needs less");
    assert!(served_h < 1.0, "the plan is another one within the hour");
    (told.remove(0).sums, served_h)
}

#[test]
fn capacity_costs_what_the_planners_list_says() {
    let near =
        |cost: Option<f64>, wanted: f64| assert!((cost.expect("a price") - wanted).abs() < 1e-9, "{cost:?} {wanted}");
    let cores_h = |worth: &Worth| worth.capacity_core_s / 3600.0;
    let (sums, plan_from_h) = listed_hour(|rules| {
        let types = &mut rules.sizing.prices.instance_types;
        types.iter_mut().filter(|t| &*t.name == "general-4").for_each(|t| t.price_per_h = 0.5);
    });
    assert_eq!(sums.currency.as_deref(), Some("USD"));
    near(sums.capacity.cost, 0.5);
    // What is of the listed type costs what that does; what is not, by its cores and the memory that stays.
    let by_size =
        |from_h: f64, cores_h: f64| 0.5 * from_h + 0.03 * (cores_h - 4.0 * from_h) + 0.005 * 16.0 * (1.0 - from_h);
    near(sums.plan.cost, by_size(plan_from_h, cores_h(&sums.plan)));
    near(sums.reactive.cost, by_size(600.0 / 3600.0, cores_h(&sums.reactive)));
    assert!(sums.reactive.cost < sums.capacity.cost && sums.plan.cost < sums.capacity.cost);
}

#[test]
fn a_list_without_prices_says_nothing_of_money() {
    let (sums, _) = listed_hour(|rules| {
        let prices = &mut rules.sizing.prices;
        (prices.core_price_per_h, prices.gib_price_per_h) = (Some(0.0), Some(0.0));
        prices.instance_types.iter_mut().for_each(|t| t.price_per_h = 0.0);
    });
    assert_eq!((sums.capacity.cost, sums.plan.cost, sums.reactive.cost, sums.currency), (None, None, None, None));
    let (types_alone, _) = listed_hour(|rules| {
        let prices = &mut rules.sizing.prices;
        (prices.core_price_per_h, prices.gib_price_per_h) = (Some(0.0), Some(0.0));
    });
    assert!(types_alone.capacity.cost.is_some(), "its type has a price");
    assert_eq!(types_alone.reactive.cost, None, "a size of no type has none");
}

/// A source's increases come after 600 s, 300 s are stated.
#[test]
fn a_decision_serves_after_the_lead_time_that_it_was_made_with() {
    let terms = by(quick_rules(300));
    let (mut evaluation, mut lead_times_s) = (Evaluation::default(), Vec::new());
    let mut capacity = Capacity { replicas: 4, ..one_of(0.5) };
    let mut coming: Option<(EventTime, Capacity)> = None;
    for step in 0..24 * 8i64 {
        let at = EventTime::from_s(300 * step);
        if let Some((_, come)) = coming.take_if(|(from, _)| *from <= at) {
            capacity = come;
        }
        let demand = if (step / 12) % 2 == 0 { 1.0 } else { 3.0 };
        let mut prediction = seen("a", 300 * step, Some(demand), None);
        (prediction.platform, prediction.capacity) = (Platform::SIMULATED, Some(capacity.clone()));
        let evaluated = evaluation.step(&terms, &prediction, &"p".into()).expect("each is newer");
        lead_times_s.extend(evaluated.outcomes.iter().map(|hour| hour.lead_time_s));
        if let Decision::Act(action) = evaluated.decision {
            coming = Some((at.plus_s(600), action.desired));
        }
    }
    assert_eq!((lead_times_s.first(), lead_times_s.last()), (Some(&300), Some(&600)), "{lead_times_s:?}");

    let at_s = 300 * 24 * 8;
    let dry = seen("b", at_s, Some(6.0), Some(2.0));
    let evaluated = evaluation.step(&terms, &dry, &"p".into()).expect("it is the first");
    let Decision::Act(action) = evaluated.decision else { panic!("it needs more") };
    let kept = evaluation.workloads.get(&dry.workload).expect("it is known");
    let held = kept.account.held.as_ref().expect("the capacity is known");
    for ordered in [&held.plan, &held.reactive] {
        assert_eq!(ordered.capacity_at(EventTime::from_s(at_s + 599)), 2.0);
        assert_eq!(ordered.capacity_at(EventTime::from_s(at_s + 600)), ordered.ordered());
    }
    assert!(action.dry_run && held.plan.ordered() == action.desired.cpu_cores() && held.reactive.ordered() > 2.0);
}

#[test]
fn a_workload_takes_at_most_9_kib() {
    let (mut evaluation, terms) = (Evaluation::default(), terms());
    let demand = |bin: u32| Some(2.0 + (std::f64::consts::TAU * f64::from(bin) / 288.0).sin());
    let demands: Vec<Option<f64>> = (0..9 * 288).map(demand).collect();
    assert_eq!(outcomes(&mut evaluation, &terms, &of(&demands, 4.0)).len(), 9 * 24 - 1);
    let bytes = evaluation.workload_bytes(&workload("a")).expect("it is known");
    println!("{bytes} bytes a workload");
    assert!(bytes <= 9 * 1024, "{bytes}");
}

/// As after records that were applied again under other rules.
#[test]
fn where_it_is_not_known_what_was_published_the_plan_goes_on_from_the_capacity() {
    let predictions = of(&[Some(1.0); 25], 4.0);
    let second_hour = |is_forgotten: bool| {
        let mut evaluation = Evaluation::default();
        outcomes(&mut evaluation, &by(quick_rules(0)), &predictions[..13]);
        if is_forgotten {
            evaluation.forget_published();
        }
        // Nothing is decided any more: no forecast reaches so far.
        outcomes(&mut evaluation, &by(quick_rules(86_400)), &predictions[13..]).remove(0).sums.plan
    };
    assert!(second_hour(false).capacity_core_s < 3.9 * 3600.0, "the plan had asked for less");
    assert!((second_hour(true).capacity_core_s - 4.0 * 3600.0).abs() < 1e-6);
}
