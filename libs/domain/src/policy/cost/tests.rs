//! The optimiser against brute force, and whole decisions by price.

use super::*;
use crate::action::{Action, Mechanism, Verdict};
use crate::cloud::{CloudRules, InstanceType, PriceList, SimulatedCloud};
use crate::guardrail::Bounds;
use crate::kpi::{CPU_CORES_USED, KpiName, MEMORY_BYTES, REQUESTS_PER_S};
use crate::policy::fixtures::{GIB, forecast, prediction};
use crate::policy::{Decision, Grounds, PerReplica, Planning, RateRule, Rules, violations};
use crate::prediction::Prediction;
use crate::sample::Capacity;
use proptest::prelude::*;

fn types(list: &[(&str, f64, f64, f64, bool)]) -> PriceList {
    let of = |&(name, cpu_cores, gib, price_per_h, is_available): &(&str, f64, f64, f64, bool)| InstanceType {
        name: name.into(),
        cpu_cores,
        memory_bytes: gib * GIB,
        price_per_h,
        is_available,
    };
    PriceList { instance_types: list.iter().map(of).collect(), ..PriceList::default() }
}

fn offer(prices: &PriceList) -> Offer<'_> {
    Offer { prices, replicas_max: 20, cpu_cores_max: f64::INFINITY, memory_bytes_max: f64::INFINITY }
}

fn wanted(cpu_cores: f64, gib: f64) -> Wanted {
    Wanted { cpu_cores, memory_bytes: gib * GIB, replicas: 1 }
}

fn of(prices: &PriceList, name: &str, replicas: u32) -> Capacity {
    prices.instance_type(name).unwrap().capacity(replicas)
}

fn chosen(choice: &Choice) -> (&str, u32) {
    (choice.chosen.capacity.instance_type.as_deref().unwrap_or(""), choice.chosen.capacity.replicas)
}

const LIST: [(&str, f64, f64, f64, bool); 4] = [
    ("c4", 4.0, 8.0, 0.16, true),
    ("g2", 2.0, 8.0, 0.1, true),
    ("m2", 2.0, 16.0, 0.14, true),
    ("g8", 8.0, 32.0, 0.39, true),
];

#[test]
fn golden_choices() {
    let prices = types(&LIST);
    let from = |name, replicas, cpu, gib| {
        let choice = choose(&of(&prices, name, replicas), &wanted(cpu, gib), &offer(&prices), 0.1);
        (choice.chosen.capacity.instance_type.unwrap().to_string(), choice.chosen.capacity.replicas)
    };
    assert_eq!(from("g2", 4, 8.0, 16.0), ("c4".into(), 2), ".32 instead of .4");
    assert_eq!(from("g2", 2, 2.0, 30.0), ("m2".into(), 2), ".28 instead of .4");
    assert_eq!(from("g2", 4, 8.0, 32.0), ("g2".into(), 4), "g8 at .39 saves 2.5 %: not enough");
    assert_eq!(from("g2", 2, 8.0, 32.0), ("g2".into(), 4), "growing, more of the same is preferred too");
    assert_eq!(from("g8", 2, 1.0, 1.0), ("g2".into(), 1), ".1 instead of .39");
    assert_eq!(from("g2", 4, 4.0, 10.0), ("g2".into(), 2), "fewer of the same: c4 would be 2 × .16");
}

#[test]
fn what_is_not_available_is_kept_and_never_grown_or_taken() {
    let mut list = LIST;
    list[0].4 = false;
    list[1].4 = false;
    let prices = types(&list);
    let from = |replicas, cpu, gib| choose(&of(&prices, "g2", replicas), &wanted(cpu, gib), &offer(&prices), 0.1);
    assert_eq!(chosen(&from(3, 6.0, 24.0)), ("g2", 3), "kept: .3 is less than anything else");
    assert_eq!(chosen(&from(3, 4.0, 16.0)), ("g2", 2), "fewer of it can be had");
    assert_eq!(chosen(&from(3, 7.0, 24.0)), ("g8", 1), "not more");
    assert!(from(3, 6.0, 24.0).alternatives.iter().all(|a| a.capacity.instance_type.as_deref() != Some("c4")));
}

#[test]
fn without_anything_that_covers_it_what_covers_most_is_taken() {
    let prices = types(&LIST);
    let few = Offer { replicas_max: 2, ..offer(&prices) };
    let choice = choose(&of(&prices, "g2", 2), &wanted(100.0, 8.0), &few, 0.1);
    assert_eq!((chosen(&choice), choice.covers), (("g8", 2), false));
    let most = choose(&of(&prices, "g8", 2), &wanted(100.0, 8.0), &few, 0.1);
    assert_eq!(chosen(&most), ("g8", 2), "as it is");
    let counted = choose(&of(&prices, "g2", 1), &Wanted { replicas: 5, ..wanted(1.0, 1.0) }, &few, 0.1);
    assert_eq!(counted.chosen.capacity.replicas, 2, "as many as may be");
}

fn list() -> impl Strategy<Value = PriceList> {
    let one = (1u32..17, 1u32..65, 1u32..40, prop::bool::weighted(0.8));
    prop::collection::vec(one, 1..8).prop_map(|list| {
        let of = |(i, (cpu, gib, price, is_available)): (usize, &(u32, u32, u32, bool))| InstanceType {
            name: format!("t{i}").into(),
            cpu_cores: f64::from(*cpu),
            memory_bytes: f64::from(*gib) * GIB,
            price_per_h: f64::from(*price) / 20.0,
            is_available: *is_available,
        };
        PriceList { instance_types: list.iter().enumerate().map(of).collect(), ..PriceList::default() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Against every type in every count: both resources are covered where anything covers them, nothing that covers
    /// them is cheaper by more than what it takes to change the type, and the list's order makes no difference.
    #[test]
    fn nothing_that_covers_it_is_cheaper(
        prices in list(), (cpu, gib, count) in (0.1f64..60.0, 0.1f64..200.0, 1u32..5), now in 0usize..8, replicas in 1u32..8,
        (saving, turn) in (prop::sample::select(vec![0.0, 0.1, 0.3]), 0usize..8),
    ) {
        let present = &prices.instance_types[now % prices.instance_types.len()];
        let (now, wanted) = (present.capacity(replicas), Wanted { replicas: count, ..wanted(cpu, gib) });
        let offer = Offer { replicas_max: 12, cpu_cores_max: 80.0, ..offer(&prices) };
        let choice = choose(&now, &wanted, &offer, saving);
        let covers = |c: &Capacity| {
            c.cpu_cores() >= cpu * (1.0 - 1e-9) && c.memory_bytes() >= wanted.memory_bytes * (1.0 - 1e-9) && c.replicas >= count
        };
        let may_be = |c: &Capacity| {
            let is_less = c.instance_type == now.instance_type && c.replicas <= now.replicas;
            let t = prices.instance_type(c.instance_type.as_deref().unwrap()).unwrap();
            is_less || (t.is_available && c.replicas <= 12 && c.cpu_cores() <= 80.0 * (1.0 + 1e-9))
        };
        let all = prices.instance_types.iter().flat_map(|t| (1..=12).map(|n| t.capacity(n)));
        let able: Vec<Capacity> = all.filter(|c| covers(c) && may_be(c)).collect();
        let price = |c: &Capacity| prices.price_per_h(c).unwrap();
        let found = &choice.chosen.capacity;
        prop_assert_eq!(choice.covers, !able.is_empty());
        prop_assert!(may_be(found) || *found == now);
        if choice.covers {
            prop_assert!(covers(found));
            let least = able.iter().map(price).fold(f64::INFINITY, f64::min);
            if found.instance_type == now.instance_type {
                prop_assert!(least > price(found) * (1.0 - saving) - 1e-9 || saving == 0.0 && least >= price(found) - 1e-9);
                let fewer = able.iter().filter(|c| c.instance_type == now.instance_type).map(|c| c.replicas).min();
                prop_assert_eq!(Some(found.replicas), fewer);
            } else {
                prop_assert!(price(found) <= least + 1e-9);
            }
        }
        let mut shuffled = prices.clone();
        shuffled.instance_types.rotate_left(turn % prices.instance_types.len());
        shuffled.instance_types.reverse();
        prop_assert_eq!(choose(&now, &wanted, &Offer { prices: &shuffled, ..offer }, saving).chosen, choice.chosen);
    }
}

fn rules(prices: PriceList) -> Rules {
    let mut rules = Rules { policy: Cost::default().into(), ..Rules::default() };
    rules.sizing.prices = prices;
    rules
}

fn used(at_s: i64, cores: f64, gib: f64, capacity: &Capacity) -> Prediction {
    let mut p = prediction("w", at_s, cores, gib, 1);
    p.step_s = 300;
    p.resources = vec![forecast(CPU_CORES_USED, cores, 0.05), forecast(MEMORY_BYTES, gib * GIB, 0.05)];
    p.resources[0].last = Some(cores);
    p.resources[1].last = Some(gib * GIB);
    p.capacity = Some(capacity.clone());
    p
}

/// Decisions on uses in a row, each carried out by the simulated cloud at once.
fn story(rules: &Rules, start: &Capacity, uses: &[(f64, f64)]) -> Vec<Action> {
    let (mut planning, mut now, mut actions) = (Planning::default(), start.clone(), Vec::new());
    let cloud = CloudRules { prices: rules.sizing.prices.clone(), ..CloudRules::default() };
    let mut simulated = SimulatedCloud::default();
    for (bin, (cores, gib)) in uses.iter().enumerate() {
        let p = used(bin as i64 * 300, *cores, *gib, &now);
        if let Some(Decision::Act(action)) = planning.step(rules, &p, &"p".into()) {
            assert_eq!(violations(&action), Vec::<String>::new());
            let result = simulated.apply(&cloud, &format!("a{bin}").into(), &action);
            assert_eq!(result.after, action.desired, "the cloud takes it: {:?}", result.outcome);
            now = action.desired.clone();
            actions.push(*action);
        }
    }
    actions
}

#[test]
fn count_and_type_come_in_one_action_that_names_what_else_there_was() {
    let prices = types(&LIST);
    let start = of(&prices, "g2", 4);
    let actions = story(&rules(prices), &start, &[(3.0, 4.0); 400]);
    let last = actions.last().expect("it is changed");
    assert_eq!((last.mechanism, last.desired.instance_type.as_deref()), (Mechanism::InstanceType, Some("c4")));
    assert_eq!(last.desired.replicas, 1, "4 cores and 8 GiB for .16: {:?}", last.desired);
    assert_eq!(&*last.policy, "cost");
    let choice = last.reasons.iter().find(|r| &*r.rule == "cost.choice").expect("it says why");
    assert!(choice.text.contains("at 0.16 an hour") && choice.text.contains("others are"), "{}", choice.text);
    assert!(actions.len() <= 4, "{actions:#?}");
}

#[test]
fn what_could_be_had_is_listed_by_price_and_one_of_it_is_chosen() {
    let rules = rules(types(&LIST));
    let start = of(&rules.sizing.prices, "g2", 2);
    let mut planning = Planning::default();
    for bin in 0..4 {
        let p = used(bin * 300, 9.0, 12.0, &start);
        let (decision, grounds) = planning.step_seen(&rules, &p, &"p".into(), Grounds::of).expect("it is new");
        let to_have = match &decision {
            Decision::Act(action) => Some(&action.desired),
            Decision::Hold(_) => grounds.planned.as_ref(),
        };
        let chosen = grounds.by_price.iter().filter(|alternative| alternative.is_chosen);
        let chosen: Vec<Option<&Capacity>> = chosen.map(|alternative| Some(&alternative.priced.capacity)).collect();
        assert_eq!(chosen, [to_have], "{decision:?}");
        let prices: Vec<f64> = grounds.by_price.iter().filter_map(|a| a.priced.price_per_h).collect();
        assert!(prices.is_sorted() && prices.len() >= 2, "{:?}", grounds.by_price);
        assert!(!grounds.by_rule.is_empty(), "what CPU is planned by is told as well");
    }
}

#[test]
fn a_surge_is_answered_by_more_of_the_same_and_takes_nothing_away() {
    let prices = types(&LIST);
    let start = of(&prices, "g2", 2);
    let surge = [vec![(3.0, 12.0); 10], vec![(9.0, 12.0); 3]].concat();
    let actions = story(&rules(prices), &start, &surge);
    let last = actions.last().expect("it grows");
    assert_eq!(last.verdict, Verdict::ScaleOut);
    assert!(last.desired.cpu_cores() >= 9.0 / 0.95 - 1e-9 && last.desired.memory_bytes() >= start.memory_bytes());
}

#[test]
fn a_stated_rate_asks_for_replicas_whatever_their_type() {
    let mut rules = rules(types(&LIST));
    rules.rates = vec![RateRule { kpi: KpiName::new(REQUESTS_PER_S), per_replica: PerReplica::Stated(100.0) }];
    let start = of(&rules.sizing.prices, "g2", 3);
    let mut p = used(0, 1.0, 4.0, &start);
    p.resources.push(forecast(REQUESTS_PER_S, 590.0, 0.05));
    p.resources[2].last = Some(590.0);
    let decision = Planning::default().step(&rules, &p, &"p".into());
    let Some(Decision::Act(action)) = decision else { panic!("{decision:?}") };
    assert!(action.desired.replicas >= 7, "590 / 100 / .95: {:?}", action.desired);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A closed loop: once the lead time has passed, the capacity is no less than live use then demanded.
    #[test]
    fn capacity_by_price_is_never_below_the_floor_once_the_lead_time_has_passed(
        prices in list(), lead_steps in 1usize..4, saving in prop::sample::select(vec![0.0, 0.1]),
        demands in prop::collection::vec((0.0f64..1.0, 0.0f64..1.0, prop::bool::weighted(0.9)), 20..120),
    ) {
        let mut prices = prices;
        prices.instance_types[0].is_available = true;
        let mut rules = rules(prices);
        rules.policy = Cost { switch_saving_min: saving, ..Cost::default() }.into();
        rules.guardrails.bounds = Bounds { replicas_max: u32::MAX, ..Bounds::default() };
        rules.guardrails.capped_from = 0.0;
        rules.forecast.lead_time_s = lead_steps as u32 * 300;
        let start = rules.sizing.prices.instance_types[0].capacity(4);
        let (mut planning, mut orders) = (Planning::default(), Vec::<(usize, Action)>::new());
        let (mut cores, mut gib, mut peak) = (4.0f64, 10.0f64, 0.0f64);
        let (mut served, mut demanded) = (Vec::new(), Vec::new());
        for (i, (cpu, memory, is_quiet)) in demands.iter().enumerate() {
            cores = if *is_quiet { cores * (0.9 + 0.2 * cpu) } else { 40.0 * cpu };
            gib = (gib * (0.95 + 0.1 * memory)).min(100.0);
            peak = peak.max(gib * GIB);
            let serving = orders.iter().rev().find(|(from, _)| *from <= i).map_or(&start, |(_, action)| &action.desired).clone();
            let p = used(i as i64 * 300, cores, gib, &serving);
            served.push(serving);
            demanded.push((cores, gib));
            if let Some(Decision::Act(action)) = planning.step(&rules, &p, &"p".into()) {
                prop_assert_eq!(violations(&action), Vec::<String>::new());
                let least = peak.min(action.current.memory_bytes());
                prop_assert!(action.desired.memory_bytes() >= least * (1.0 - 1e-9), "memory below its peak");
                orders.push((i + lead_steps, *action));
            }
        }
        for (i, (cores, gib)) in demanded.iter().enumerate() {
            let Some(capacity) = served.get(i + lead_steps) else { break };
            let floor = cores / rules.guardrails.floor_utilisation;
            prop_assert!(capacity.cpu_cores() >= floor * (1.0 - 1e-6), "{} cores of {} at bin {}", capacity.cpu_cores(), floor, i);
            let memory = gib * GIB / rules.guardrails.floor_utilisation;
            prop_assert!(capacity.memory_bytes() >= memory * (1.0 - 1e-6), "memory at bin {}", i);
        }
    }
}
