//! Single cases with their numbers.

use super::fixtures::{by, outcomes, seen, terms};
use super::*;
use crate::policy::Rules;
use crate::sample::Platform;
use crate::time::EventTime;

/// A workload's demand from the epoch on, every five minutes.
fn of(demands: &[Option<f64>], cores: f64) -> Vec<crate::prediction::Prediction> {
    demands.iter().enumerate().map(|(i, demand)| seen("a", 300 * i as i64, *demand, Some(cores))).collect()
}

#[test]
fn an_hour_is_told_once_it_is_over() {
    let price = Some(CorePrice { per_core_h: 0.5, currency: "EUR".into() });
    let terms = Terms { price, ..terms() };
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

#[test]
fn the_capacity_is_as_the_chain_says_it_and_so_is_a_plan_that_is_carried_out() {
    let mut predictions = of(&[Some(1.0); 13], 2.0);
    predictions[6].capacity = Some(super::fixtures::one_of(3.0));
    predictions[7..].iter_mut().for_each(|p| p.capacity = Some(super::fixtures::one_of(3.0)));
    let mut rules = Rules::default();
    rules.forecast.lead_time_s = 86_400;
    let terms = by(rules);
    let observed = outcomes(&mut Evaluation::default(), &terms, &predictions).remove(0);
    assert_eq!(observed.sums.capacity.capacity_core_s, 5.0 * 1800.0);
    assert_eq!(observed.sums.capacity.changes, 1);
    assert_eq!(observed.sums.plan.capacity_core_s, 5.0 * 1800.0, "the planner goes on from there");
    predictions.iter_mut().for_each(|p| p.platform = Platform::Simulated);
    let applied = outcomes(&mut Evaluation::default(), &terms, &predictions).remove(0);
    assert!(!applied.is_dry_run);
    assert_eq!(applied.sums.plan.capacity_core_s, applied.sums.capacity.capacity_core_s);
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
        let price = Some(CorePrice { per_core_h: 1.0, currency: currency.into() });
        let told = outcomes(&mut Evaluation::default(), &Terms { price, ..terms() }, &of(&[Some(1.0); 13], 2.0));
        told[0].sums.clone()
    };
    let (mut same, mut other) = (priced("EUR"), priced("EUR"));
    same.add(&priced("EUR"));
    assert_eq!((same.capacity.cost, same.currency.as_deref()), (Some(4.0), Some("EUR")));
    other.add(&priced("USD"));
    assert_eq!((other.capacity.cost, other.currency), (None, None));
}
