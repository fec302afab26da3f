//! What holds for any demand.

use super::foresight::least_capacity;
use super::rules::as_bought::AsBought;
use super::rules::holt_winters::{HoltWinters, Smoothing};
use super::rules::last_week::LastWeek;
use super::rules::reactive::Reactive;
use super::rules::vertical::Vertical;
use super::rules::window_max::WindowMax;
use super::*;
use crate::time::EventTime;
use proptest::collection::vec;
use proptest::prelude::*;

const STEP_S: u32 = 300;
const STEP_HOURS: f64 = 300.0 / 3600.0;

fn demands() -> impl Strategy<Value = Vec<f64>> {
    vec(prop_oneof![4 => 0.0f64..4.0, 1 => 0.0f64..64.0, 1 => Just(0.0)], 1..120)
}

fn begin_of(step: usize) -> EventTime {
    EventTime::from_s(i64::from(STEP_S) * step as i64)
}

/// Holds demands against what a rule decides at the end of each step.
fn replayed(rule: &mut dyn SizingRule, demands: &[f64], lead_s: u32, first: f64) -> Tally {
    let (mut capacity, mut tally) = (ClosedLoop::new(first, lead_s), Tally::default());
    for (step, demand) in demands.iter().enumerate() {
        let at = begin_of(step + 1);
        capacity.pieces(begin_of(step), at, |hours, capacity| tally.add_time(hours, *demand, capacity));
        capacity.forget(at);
        let seen = Seen { at, step_s: STEP_S, demand: *demand, bought: Some(first), forecast: None };
        if let Some(decided) = rule.decide(&seen) {
            tally.changes += u64::from(capacity.order(at, decided));
        }
    }
    tally
}

fn held(demands: &[f64], capacity: &[f64]) -> Tally {
    let mut tally = Tally::default();
    demands.iter().zip(capacity).for_each(|(demand, capacity)| tally.add_time(STEP_HOURS, *demand, *capacity));
    tally
}

proptest! {
    #[test]
    fn what_was_bought_never_changes(demands in demands(), bought in 0.1f64..8.0, lead_s in 0u32..2000) {
        let tally = replayed(&mut AsBought, &demands, lead_s, bought);
        prop_assert_eq!(tally.changes, 0);
        let wanted = held(&demands, &vec![bought; demands.len()]);
        prop_assert!((tally.unmet - wanted.unmet).abs() < 1e-9 && (tally.over - wanted.over).abs() < 1e-9);
    }

    #[test]
    fn foresight_is_never_short_and_more_changes_never_cost_more(demands in demands(), parts in 1usize..9) {
        let cost = |changes_max: Option<usize>| {
            let capacity = least_capacity(&demands, changes_max);
            let tally = held(&demands, &capacity);
            (tally.hours_short, tally.over, capacity.windows(2).filter(|pair| pair[0] != pair[1]).count())
        };
        let (short, over, _) = cost(None);
        prop_assert_eq!((short, over), (0.0, 0.0));
        let (short, over, changes) = cost(Some(parts));
        prop_assert_eq!(short, 0.0);
        prop_assert!(changes < parts);
        prop_assert!(cost(Some(parts + 1)).1 <= over + 1e-9);
    }

    #[test]
    fn a_larger_capacity_is_never_shorter(demands in demands(), capacity in 0.0f64..8.0, more in 0.0f64..8.0) {
        let of = |capacity: f64| held(&demands, &vec![capacity; demands.len()]);
        let (small, large) = (of(capacity), of(capacity + more));
        prop_assert!(large.hours_short <= small.hours_short && large.unmet <= small.unmet + 1e-9);
        prop_assert!(large.over >= small.over - 1e-9);
        for tally in [small, large] {
            let balance = tally.demand - tally.unmet - (tally.capacity - tally.over);
            prop_assert!(balance.abs() < 1e-6, "what is met is what is used: {balance}");
        }
    }

    #[test]
    fn tallies_of_parts_add_up(demands in demands(), capacity in 0.1f64..8.0, cut in 0usize..120) {
        let of = |demands: &[f64]| held(demands, &vec![capacity; demands.len()]);
        let (first, second) = demands.split_at(cut.min(demands.len()));
        let (mut sum, whole) = (of(first), of(&demands));
        sum.add(&of(second));
        for (a, b) in [(sum.hours, whole.hours), (sum.unmet, whole.unmet), (sum.over, whole.over)] {
            prop_assert!((a - b).abs() < 1e-9);
        }
    }

    #[test]
    fn every_rule_asks_for_a_sound_capacity_within_its_headroom(demands in demands(), lead_s in 0u32..2000) {
        let most = demands.iter().copied().fold(0.0, f64::max);
        let mut rules: [Box<dyn SizingRule>; 4] = [
            Box::new(Reactive::new(0.5, 3600)),
            Box::new(WindowMax::new(1800, 0.5, 0.1)),
            Box::new(LastWeek::new(0.5, 300)),
            Box::new(Vertical::new(0.9)),
        ];
        for rule in &mut rules {
            let tally = replayed(rule.as_mut(), &demands, lead_s, 1.0);
            prop_assert!(tally.capacity >= 0.0 && tally.capacity.is_finite());
            let most = (2.0 * most).max(1.0);
            prop_assert!(tally.capacity <= most * tally.hours + 1e-9, "{} above {most}", tally.capacity);
        }
        let mut wild = HoltWinters::new(Smoothing::default(), 0.5, 300);
        prop_assert!(replayed(&mut wild, &demands, lead_s, 1.0).capacity.is_finite());
    }

    /// The reactive rule covers what it has just seen: with no lead time only a rise makes it short.
    #[test]
    fn reacting_at_once_is_short_only_where_demand_rises(demands in demands()) {
        let first = demands[0] / 0.5;
        let mut rule = Reactive::new(0.5, 300);
        let tally = replayed(&mut rule, &demands, 0, first);
        let rises = demands.windows(2).filter(|pair| pair[1] > pair[0]).count();
        prop_assert!(tally.hours_short <= rises as f64 * STEP_HOURS + 1e-9);
    }
}
