//! What must hold of decisions whatever the predictions are.

use super::fixtures::{capacity, forecast, prediction, threshold_rules};
use super::sizing::round_up;
use super::*;
use crate::action::{Action, Mechanism, Verdict};
use crate::guardrail::{Bounds, Step};
use crate::kpi::{CPU_CORES_USED, MEMORY_BYTES};
use crate::prediction::Prediction;
use crate::resource::Resource;
use crate::sample::{Capacity, Platform};
use proptest::prelude::*;

fn bounds() -> impl Strategy<Value = Bounds> {
    (1u32..5, 0u32..20, 0.0f64..8.0, prop::option::of(0.0f64..60.0)).prop_map(|(low, more, cores, more_cores)| Bounds {
        replicas_min: low,
        replicas_max: low + more,
        cpu_cores_min: cores,
        cpu_cores_max: more_cores.map(|m| cores + m + 0.1),
        ..Bounds::default()
    })
}

fn rules() -> impl Strategy<Value = Rules> {
    let mechanism = prop_oneof![Just(Mechanism::Replicas), Just(Mechanism::Limits), Just(Mechanism::InstanceType)];
    let step = (0.05f64..2.0, 0.05f64..1.0, prop::option::of(1u32..5)).prop_map(|(out, inward, n)| Step {
        share_max_out: out,
        share_max_in: inward,
        replicas_max: n,
    });
    (mechanism, bounds(), step, 0u32..10, 0u32..1200, 0u32..4000, any::<bool>()).prop_map(
        |(mechanism, bounds, step, budget, out, inward, threshold)| {
            let mut rules = if threshold { threshold_rules() } else { Rules::default() };
            rules.sizing.mechanism = Some(mechanism);
            rules.guardrails.bounds = bounds;
            rules.guardrails.step = step;
            rules.guardrails.pace.changes_per_day_max = budget;
            rules.guardrails.pace.cooldown_out_s = out;
            rules.guardrails.pace.cooldown_in_s = inward;
            rules
        },
    )
}

/// Predictions in order of time. Capacity is what was last asked for when `follows`, else stays.
fn story(steps: &[(u32, f64, f64, f64)], rules: &Rules, follows: bool, platform: Platform) -> (Vec<Action>, Planning) {
    let (mut planning, mut actions, mut at_s) = (Planning::default(), Vec::<Action>::new(), 0i64);
    for (wait_s, cores, gib, width) in steps {
        at_s += i64::from(*wait_s);
        let p = one(at_s, (*cores, *gib, *width), platform, actions.last().filter(|_| follows));
        if let Some(Decision::Act(action)) = planning.step(rules, &p, &format!("p{at_s}").into()) {
            actions.push(*action);
        }
    }
    (actions, planning)
}

fn one(at_s: i64, (cores, gib, width): (f64, f64, f64), platform: Platform, last: Option<&Action>) -> Prediction {
    let mut p = prediction("w", at_s, cores, gib, 4);
    p.resources =
        vec![forecast(CPU_CORES_USED, cores, width), forecast(MEMORY_BYTES, gib * super::fixtures::GIB, width)];
    p.platform = platform;
    if let Some(last) = last {
        p.capacity = Some(last.desired.clone());
    }
    p
}

fn steps() -> impl Strategy<Value = Vec<(u32, f64, f64, f64)>> {
    prop::collection::vec((60u32..3000, 0.0f64..60.0, 0.0f64..200.0, 0.0f64..0.3), 1..120)
}

fn platform() -> impl Strategy<Value = Platform> {
    prop_oneof![Just(Platform::SIMULATED), Just(Platform::OBSERVED_ONLY), Just(Platform::KUBERNETES)]
}

/// What is missing at an instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Gap {
    None,
    Cpu,
    Memory,
    Both,
    /// All of the sample, so that nothing is decided.
    Sample,
}

impl Gap {
    pub(crate) fn has_cpu(self) -> bool {
        matches!(self, Self::None | Self::Memory)
    }

    pub(crate) fn has_memory(self) -> bool {
        matches!(self, Self::None | Self::Cpu)
    }
}

pub(crate) fn gap() -> impl Strategy<Value = Gap> {
    prop_oneof![
        20 => Just(Gap::None),
        1 => Just(Gap::Cpu),
        1 => Just(Gap::Memory),
        1 => Just(Gap::Both),
        1 => Just(Gap::Sample),
    ]
}

/// Rules of every policy whose actions are carried out, or are dry runs that somebody follows.
pub(crate) fn followed_rules() -> impl Strategy<Value = Rules> {
    let mechanism = prop_oneof![Just(Mechanism::Replicas), Just(Mechanism::Limits)];
    let capped_from = prop_oneof![Just(0.0), Just(0.97)];
    (rules(), mechanism, capped_from, any::<bool>(), prop::bool::weighted(0.3)).prop_map(
        |(mut rules, mechanism, capped_from, dry_run, by_cost)| {
            if by_cost {
                rules.policy = Cost::default().into();
            }
            rules.sizing.mechanism = Some(mechanism);
            rules.guardrails.bounds = Bounds { replicas_max: 100_000, ..Bounds::default() };
            rules.guardrails.capped_from = capped_from;
            rules.dry_run.simulated = dry_run;
            rules.learns_lead_time = false;
            rules
        },
    )
}

/// A workload whose capacity is what was asked for last, the lead time of the rules ago, be it by a dry run.
struct ClosedLoop<'a> {
    rules: &'a Rules,
    platform: Platform,
    step_s: u32,
    planning: Planning,
    /// What was asked for, with the instant that it serves from, in seconds.
    orders: Vec<(i64, Action)>,
}

impl<'a> ClosedLoop<'a> {
    fn new(rules: &'a Rules, platform: Platform, step_s: u32) -> Self {
        Self { rules, platform, step_s, planning: Planning::default(), orders: Vec::new() }
    }

    /// The capacity that serves at an instant.
    fn serves(&self, at_s: i64) -> Capacity {
        let newest = self.orders.iter().rev().find(|(from_s, _)| *from_s <= at_s);
        newest.map_or_else(|| capacity(4), |(_, action)| action.desired.clone())
    }

    /// Decides about a use of cores and GiB, where they are known; the forecast is of `expected` cores and GiB.
    fn step(&mut self, at_s: i64, expected: (f64, f64), used: (Option<f64>, Option<f64>)) -> Decision {
        let mut p = one(at_s, (expected.0, expected.1, 0.05), self.platform, None);
        p.step_s = self.step_s;
        p.capacity = Some(self.serves(at_s));
        p.resources[0].last = used.0;
        p.resources[1].last = used.1.map(|gib| gib * super::fixtures::GIB);
        let decision = self.planning.step(self.rules, &p, &"p".into()).expect("it is newer than all before");
        if let Decision::Act(action) = &decision {
            self.orders.push((at_s + i64::from(self.rules.forecast.lead_time_s), (**action).clone()));
        }
        decision
    }
}

/// Whether a decision says that a surge is not answered yet.
pub(crate) fn waits(decision: &Decision) -> bool {
    let reasons = match decision {
        Decision::Act(action) => &action.reasons,
        Decision::Hold(reasons) => reasons,
    };
    reasons.iter().any(|reason| &*reason.rule == "surge.waits")
}

/// What was measured last at an instant, and whether the decision on it waits for the surge to last.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    cores: f64,
    gib: f64,
    waits: bool,
}

/// Cores of the least capacity of that kind that covers the greatest use (cores and bytes) with room to spare.
fn covering_cores(rules: &Rules, action: &Action, greatest: (f64, f64)) -> f64 {
    let (now, n) = (&action.current, f64::from(action.current.replicas));
    let of_full = |used: f64| used / rules.guardrails.floor_utilisation;
    let (cores, bytes) = (of_full(greatest.0), of_full(greatest.1));
    match action.mechanism {
        Mechanism::Replicas => {
            let whole = |amount: f64, per: f64| round_up(amount / per, 1.0);
            let replicas = whole(cores, now.cpu_cores_per_replica).max(whole(bytes, now.memory_bytes_per_replica));
            replicas * now.cpu_cores_per_replica
        }
        Mechanism::Limits => n * round_up(cores / n, rules.sizing.cpu_cores_grain),
        Mechanism::InstanceType => cores,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_action_leaves_its_bounds_or_contradicts_itself(
        rules in rules(), steps in steps(), follows: bool, platform in platform(),
    ) {
        prop_assume!(rules.validate().is_ok());
        let bounds = rules.guardrails.bounds.clone();
        for action in story(&steps, &rules, follows, platform).0 {
            prop_assert_eq!(violations(&action), Vec::<String>::new());
            let (now, new) = (&action.current, &action.desired);
            let most = bounds.cpu_cores_max.unwrap_or(f64::INFINITY) * (1.0 + 1e-9);
            match action.verdict {
                Verdict::ScaleOut => {
                    prop_assert!(new.replicas == now.replicas || new.replicas <= bounds.replicas_max);
                    prop_assert!(new.cpu_cores() == now.cpu_cores() || new.cpu_cores() <= most);
                }
                _ => {
                    prop_assert!(new.replicas == now.replicas || new.replicas >= bounds.replicas_min);
                    let least = bounds.cpu_cores_min.min(now.cpu_cores()) * (1.0 - 1e-9);
                    prop_assert!(new.cpu_cores() >= least);
                }
            }
        }
    }

    /// What is decided and remembered is the same whether or not someone is told why; who is, is told all of it.
    #[test]
    fn whether_it_is_told_why_changes_no_decision(
        rules in followed_rules(), steps in steps(), follows: bool, platform in platform(),
    ) {
        let (mut silent, mut telling, mut last) = (Planning::default(), Planning::default(), None::<Action>);
        let (mut at_s, id) = (0, "p".into());
        for (wait_s, cores, gib, width) in steps {
            at_s += i64::from(wait_s);
            let mut p = one(at_s, (cores, gib, width), platform, last.as_ref().filter(|_| follows));
            (p.resources[0].last, p.resources[1].last) = (Some(cores), Some(gib * super::fixtures::GIB));
            let decided = silent.step(&rules, &p, &id).expect("it is newer than all before");
            let (told, ()) = telling.step_seen(&rules, &p, &id, |_, _, _| ()).expect("it is newer than all before");
            match told {
                Decision::Act(action) => {
                    prop_assert_eq!(&decided, &Decision::Act(action.clone()));
                    last = Some(*action);
                }
                Decision::Hold(reasons) => {
                    prop_assert!(matches!(decided, Decision::Hold(_)), "{decided:?}");
                    prop_assert!(!reasons.is_empty() && reasons.iter().all(|reason| !reason.text.is_empty()));
                }
            }
        }
        prop_assert_eq!(silent, telling);
    }

    /// Whatever is forecast, and however little may change.
    #[test]
    fn a_stated_minimum_is_met_by_the_first_decision(
        rules in rules(), replicas_min in 5u32..40, (cores, gib, width) in (0.0f64..60.0, 0.0f64..200.0, 0.0f64..0.3),
        platform in platform(),
    ) {
        let mut rules = rules;
        rules.sizing.mechanism = Some(Mechanism::Replicas);
        rules.guardrails.bounds = Bounds { replicas_min, replicas_max: 40, ..Bounds::default() };
        let action = super::decide_tests::acted(super::decide_tests::decide_first(
            &rules, &one(0, (cores, gib, width), platform, None),
        ));
        prop_assert_eq!(violations(&action), Vec::<String>::new());
        prop_assert!((replicas_min..=40).contains(&action.desired.replicas), "{}", action.desired.replicas);
        prop_assert!(!action.follows_from_live_use());
    }

    /// An increase that live use does not demand goes as far as the step allows, or, where the policy looks back, to
    /// what covers the greatest use of the last 7 days, in whole replicas or grains. It is never by more replicas than
    /// the step allows.
    #[test]
    fn no_step_is_longer_than_allowed(
        rules in rules(), steps in steps(), shares in prop::collection::vec((0.0f64..0.94, 0.0f64..0.94), 120),
    ) {
        let mut rules = rules;
        rules.guardrails.bounds = Bounds { replicas_max: u32::MAX, ..Bounds::default() };
        let limit = &rules.guardrails.step;
        let looks_back = rules.policy.plan().is_some();
        let (mut planning, mut has) = (Planning::default(), capacity(4));
        let (mut at_s, mut greatest) = (0i64, (0.0f64, 0.0f64));
        // All of it lies within 7 days.
        for ((wait_s, cores, gib, width), (cpu, memory)) in steps.iter().zip(shares) {
            at_s += i64::from(*wait_s);
            let mut p = one(at_s, (*cores, *gib, *width), Platform::SIMULATED, None);
            let used = (cpu * has.cpu_cores(), memory * has.memory_bytes());
            greatest = (greatest.0.max(used.0), greatest.1.max(used.1));
            (p.resources[0].last, p.resources[1].last) = (Some(used.0), Some(used.1));
            p.capacity = Some(has.clone());
            let Some(Decision::Act(action)) = planning.step(&rules, &p, &"p".into()) else { continue };
            let (now, new) = (&action.current, &action.desired);
            let share = (new.cpu_cores() - now.cpu_cores()) / now.cpu_cores();
            let one_grain = match action.mechanism {
                Mechanism::Replicas => 1.0 / f64::from(now.replicas),
                Mechanism::Limits => rules.sizing.cpu_cores_grain / now.cpu_cores_per_replica,
                Mechanism::InstanceType => 0.0,
            };
            let seen = if looks_back { covering_cores(&rules, &action, greatest) } else { 0.0 };
            let most = now.cpu_cores() * (1.0 + limit.share_max_out.max(one_grain));
            prop_assert!(new.cpu_cores() <= most.max(seen) * (1.0 + 1e-9), "{share}, {seen} cores were seen");
            prop_assert!(-share <= limit.share_max_in.max(one_grain) + 1e-9, "{share}");
            if let Some(most) = limit.replicas_max {
                prop_assert!(new.replicas.abs_diff(now.replicas) <= most);
            }
            has = action.desired.clone();
        }
    }

    #[test]
    fn nothing_shrinks_once_the_flap_budget_is_spent_and_cooldowns_hold(rules in rules(), steps in steps()) {
        let pace = &rules.guardrails.pace;
        let (actions, _) = story(&steps, &rules, true, Platform::SIMULATED);
        for (i, action) in actions.iter().enumerate() {
            let ago_s = |a: &Action| (action.decided_at.as_ms() - a.decided_at.as_ms()) / 1000;
            let earlier = &actions[..i];
            if action.verdict == Verdict::ScaleOut {
                let last = earlier.iter().rev().find(|a| a.verdict == Verdict::ScaleOut);
                prop_assert!(last.is_none_or(|last| ago_s(last) >= i64::from(pace.cooldown_out_s)));
            } else {
                prop_assert!(earlier.last().is_none_or(|last| ago_s(last) >= i64::from(pace.cooldown_in_s)));
                let within_a_day = earlier.iter().filter(|a| ago_s(a) < 86_400).count();
                prop_assert!(within_a_day < pace.changes_per_day_max as usize);
            }
        }
    }

    /// A closed loop: what is decided serves a lead time later, dry run or not. Once the lead time has passed, the
    /// capacity is no less than what the use that was measured last demanded, whatever the policy, the mechanism and
    /// the pace, in gaps too; and memory is never set below its peak. Bounds and price list allow all of it here.
    ///
    /// One thing is exempt: the CPU of an instant whose decision says that it waits for the surge to last
    /// (`surge.waits`), and of gaps right behind such an instant, for which it is the last one. It may not wait for
    /// longer at a stretch than `surge_s` or the lead time, whichever is longer. Memory never waits.
    #[test]
    fn capacity_is_never_below_the_floor_once_the_lead_time_has_passed(
        rules in followed_rules(), step_s in prop_oneof![Just(60u32), Just(300)], lead_steps in 1usize..4,
        demands in prop::collection::vec((0.0f64..1.0, 0.0f64..1.0, prop::bool::weighted(0.9), gap()), 20..150),
    ) {
        let mut rules = rules;
        rules.forecast.lead_time_s = lead_steps as u32 * step_s;
        let longest_wait_s = i64::from(rules.guardrails.surge_s.max(rules.forecast.lead_time_s));
        let is_capped = rules.guardrails.capped_from > 0.0;
        let mut run = ClosedLoop::new(&rules, Platform::SIMULATED, step_s);
        let (mut wants, mut gib, mut peak) = (4.0f64, 10.0f64, 0.0f64);
        let (mut measured, mut waiting_since) = (vec![Measured::default()], None);
        for (i, (cpu, memory, is_quiet, gap)) in demands.iter().enumerate() {
            let at_s = i as i64 * i64::from(step_s);
            wants = if *is_quiet { (wants * (0.9 + 0.2 * cpu)).min(100.0) } else { 40.0 * cpu };
            gib = (gib * (0.95 + 0.1 * memory)).min(100.0);
            let used = if is_capped { wants.min(run.serves(at_s).cpu_cores()) } else { wants };
            let mut newest = *measured.last().expect("one at least");
            if gap.has_memory() {
                newest.gib = gib;
                peak = peak.max(gib * super::fixtures::GIB);
            }
            if *gap != Gap::Sample {
                let seen = (gap.has_cpu().then_some(used), gap.has_memory().then_some(gib));
                let decision = run.step(at_s, (used, gib), seen);
                if let Decision::Act(action) = &decision
                    && action.verdict != Verdict::ScaleOut
                {
                    let least = peak.min(action.current.memory_bytes());
                    prop_assert!(action.desired.memory_bytes() >= least * (1.0 - 1e-9), "memory below its peak");
                }
                if gap.has_cpu() {
                    (newest.cores, newest.waits) = (used, waits(&decision));
                }
            }
            waiting_since = waiting_since.or(Some(at_s)).filter(|_| newest.waits && gap.has_cpu());
            if let Some(since_s) = waiting_since {
                let waited_s = at_s - since_s + i64::from(step_s);
                prop_assert!(waited_s <= longest_wait_s, "it waits on and on, since {since_s} s");
            }
            measured.push(newest);
        }
        for (i, newest) in measured.into_iter().skip(1).enumerate() {
            let has = run.serves((i + lead_steps) as i64 * i64::from(step_s));
            let floor = newest.cores / rules.guardrails.floor_utilisation;
            let is_enough = has.cpu_cores() >= floor * (1.0 - 1e-6);
            prop_assert!(is_enough || newest.waits, "{} cores of {} for instant {}", has.cpu_cores(), floor, i);
            let memory = newest.gib * super::fixtures::GIB / rules.guardrails.floor_utilisation;
            prop_assert!(has.memory_bytes() >= memory * (1.0 - 1e-6), "memory for instant {}", i);
        }
    }

    /// Saturated in every other sample and low in between: a surge that is over each time before it has lasted, and a
    /// workload that is short all the same.
    #[test]
    fn what_is_saturated_in_every_other_sample_is_given_more(
        saturated in 0.975f64..1.0, low in 0.0f64..0.8,
        platform in prop_oneof![Just(Platform::SIMULATED), Just(Platform::OBSERVED_ONLY)],
    ) {
        let rules = Rules::default();
        let until_s = i64::from(rules.forecast.lead_time_s) + 600;
        let mut run = ClosedLoop::new(&rules, platform, 60);
        let first = run.serves(0).cpu_cores();
        for minute in 0..=until_s / 60 {
            let serves = run.serves(minute * 60).cpu_cores();
            let share = if minute % 2 == 0 { saturated } else { low };
            run.step(minute * 60, (serves, 10.0), (Some(share * serves), Some(10.0)));
        }
        let has = run.serves(until_s).cpu_cores();
        prop_assert!(has > first, "{has} cores after {until_s} s, {first} at first");
    }

    /// Of a demand no more is seen than what served its step. Whatever rose and fell before, what is short has twice as
    /// much after each lead time and step, until it has enough, and none of it is taken away for what was seen of less.
    #[test]
    fn growth_out_of_a_shortage_doubles_whatever_shrank_before(
        before in prop::collection::vec(0.5f64..12.0, 10..80), wants in 15.0f64..100.0, lead_steps in 1i64..4,
    ) {
        let mut rules = Rules { learns_lead_time: false, ..threshold_rules() };
        rules.sizing.mechanism = Some(Mechanism::Limits);
        rules.forecast.resources = vec![Resource::Cpu];
        rules.forecast.lead_time_s = lead_steps as u32 * 300;
        let pace = &mut rules.guardrails.pace;
        (pace.cooldown_in_s, pace.warm_up_s, pace.changes_per_day_max) = (0, 0, 10_000);
        let mut run = ClosedLoop::new(&rules, Platform::SIMULATED, 300);
        let serves = |run: &ClosedLoop<'_>, step: i64| run.serves(step * 300).cpu_cores();
        let rises = before.len() as i64;
        for step in 0..rises + 60 {
            let demand = before.get(step as usize).copied().unwrap_or(wants);
            let served = serves(&run, step - 1);
            let used = demand.min(served);
            let decision = run.step(step * 300, (used, 10.0), (Some(used), Some(10.0)));
            if let Decision::Act(action) = decision {
                let is_capped = used >= 0.97 * served;
                prop_assert!(!is_capped || action.verdict == Verdict::ScaleOut, "step {}: {:?}", step, action);
            }
        }
        let least = (rises - 1..=rises + lead_steps).map(|step| serves(&run, step)).fold(f64::INFINITY, f64::min);
        let doublings = (wants / least).log2().ceil().max(0.0) as i64;
        let by = rises + lead_steps + (doublings + 1) * (lead_steps + 1);
        let has = serves(&run, by);
        prop_assert!(has >= wants, "{} cores of {} in step {}, {} at first", has, wants, by - rises, least);
    }

    #[test]
    fn decisions_repeat_and_a_kept_history_goes_on_as_if_never_stopped(
        rules in rules(), steps in steps(), follows: bool, cut in 0usize..120,
    ) {
        let (actions, planning) = story(&steps, &rules, follows, Platform::SIMULATED);
        prop_assert_eq!(&story(&steps, &rules, follows, Platform::SIMULATED).0, &actions);
        let (mut resumed, mut again, mut at_s) = (Planning::default(), Vec::<Action>::new(), 0i64);
        for (i, (wait_s, cores, gib, width)) in steps.iter().enumerate() {
            if i == cut {
                resumed = bitcode::decode(&bitcode::encode(&resumed)).expect("a state decodes");
            }
            at_s += i64::from(*wait_s);
            let p = one(at_s, (*cores, *gib, *width), Platform::SIMULATED, again.last().filter(|_| follows));
            if let Some(Decision::Act(action)) = resumed.step(&rules, &p, &format!("p{at_s}").into()) {
                again.push(*action);
            }
        }
        prop_assert_eq!(again, actions);
        prop_assert!(resumed == planning);
    }

    /// The design's rule evaluated on its own, with nothing in the way: CPU only, whole replicas.
    #[test]
    fn without_restraints_the_decision_is_the_formula(cores in 0.01f64..200.0, width in 0.0f64..0.3, replicas in 1u32..40) {
        let mut rules = threshold_rules();
        rules.forecast.resources = vec![Resource::Cpu];
        rules.guardrails.bounds.replicas_max = u32::MAX;
        rules.guardrails.step = Step { share_max_out: 1e6, share_max_in: 1.0, replicas_max: None };
        let mut p = prediction("w", 0, cores, 1.0, replicas);
        p.resources[0] = forecast(CPU_CORES_USED, cores, width);
        let capacity = f64::from(replicas) * 2.0;
        let interval = p.resources[0].horizons[1].maximum_interval;
        let w = (interval.upper - interval.lower) / (2.0 * cores);
        let median = p.resources[0].horizons[1].maximum.median();
        let wanted = if (median > capacity * 1.2 && w < 0.15) || median < capacity * 0.8 {
            ((median * 1.1 / 2.0) * (1.0 - 1e-9)).ceil() as u32
        } else {
            replicas
        };
        let found = match Planning::default().step(&rules, &p, &"p".into()) {
            Some(Decision::Act(action)) => action.desired.replicas,
            _ => replicas,
        };
        prop_assert_eq!(found, wanted);
    }
}
