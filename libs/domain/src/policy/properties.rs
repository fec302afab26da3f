//! What must hold of decisions whatever the predictions are.

use super::fixtures::{forecast, prediction, threshold_rules};
use super::*;
use crate::action::{Action, Mechanism, Verdict};
use crate::guardrail::{Bounds, Step};
use crate::kpi::{CPU_CORES_USED, MEMORY_BYTES};
use crate::prediction::Prediction;
use crate::sample::Platform;
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
    prop_oneof![Just(Platform::Simulated), Just(Platform::ObservedOnly), Just(Platform::Kubernetes)]
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

    #[test]
    fn no_step_is_longer_than_allowed(rules in rules(), steps in steps()) {
        let mut rules = rules;
        rules.guardrails.bounds = Bounds { replicas_max: u32::MAX, ..Bounds::default() };
        let limit = &rules.guardrails.step;
        for action in story(&steps, &rules, true, Platform::Simulated).0 {
            let (now, new) = (&action.current, &action.desired);
            let share = (new.cpu_cores() - now.cpu_cores()) / now.cpu_cores();
            let one_grain = match action.mechanism {
                Mechanism::Replicas => 1.0 / f64::from(now.replicas),
                Mechanism::Limits => rules.sizing.cpu_cores_grain / now.cpu_cores_per_replica,
                Mechanism::InstanceType => 0.0,
            };
            prop_assert!(share <= limit.share_max_out.max(one_grain) + 1e-9, "{share}");
            prop_assert!(-share <= limit.share_max_in.max(one_grain) + 1e-9, "{share}");
            if let Some(most) = limit.replicas_max {
                prop_assert!(new.replicas.abs_diff(now.replicas) <= most);
            }
        }
    }

    #[test]
    fn nothing_shrinks_once_the_flap_budget_is_spent_and_cooldowns_hold(rules in rules(), steps in steps()) {
        let pace = &rules.guardrails.pace;
        let (actions, _) = story(&steps, &rules, true, Platform::Simulated);
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

    /// A closed loop: what is decided serves a lead time later. Once it has passed, the capacity is no less than what
    /// live use then demanded, whatever the policy and the pace, unless a bound forbids it; and memory is never set
    /// below its peak.
    #[test]
    fn capacity_is_never_below_the_floor_once_the_lead_time_has_passed(
        rules in rules(), lead_steps in 1usize..4,
        demands in prop::collection::vec((0.0f64..1.0, 0.0f64..1.0, prop::bool::weighted(0.9)), 20..150),
    ) {
        let mut rules = rules;
        rules.sizing.mechanism = Some(Mechanism::Limits);
        rules.guardrails.bounds = Bounds::default();
        rules.forecast.lead_time_s = lead_steps as u32 * 300;
        rules.guardrails.capped_from = 0.0;
        let (mut planning, mut orders) = (Planning::default(), Vec::<(usize, Action)>::new());
        let (mut cores, mut gib) = (4.0f64, 10.0f64);
        let mut peak: f64 = 0.0;
        let mut served = Vec::new();
        let mut demanded = Vec::new();
        for (i, (cpu, memory, is_quiet)) in demands.iter().enumerate() {
            cores = if *is_quiet { cores * (0.9 + 0.2 * cpu) } else { 40.0 * cpu };
            gib = (gib * (0.95 + 0.1 * memory)).min(100.0);
            let serving = orders.iter().rev().find(|(from, _)| *from <= i).map(|(_, action)| action.desired.clone());
            let mut p = one(i as i64 * 300, (cores, gib, 0.05), Platform::Simulated, None);
            p.step_s = 300;
            p.resources[0].last = Some(cores);
            p.resources[1].last = Some(gib * super::fixtures::GIB);
            if let Some(serving) = serving {
                p.capacity = Some(serving);
            }
            served.push(p.capacity.clone().expect("it has one"));
            demanded.push((cores, gib));
            peak = peak.max(gib * super::fixtures::GIB);
            if let Some(Decision::Act(action)) = planning.step(&rules, &p, &"p".into()) {
                if action.verdict != Verdict::ScaleOut {
                    let least = peak.min(action.current.memory_bytes());
                    prop_assert!(action.desired.memory_bytes() >= least * (1.0 - 1e-9), "memory below its peak");
                }
                orders.push((i + lead_steps, *action));
            }
        }
        for (i, (cores, gib)) in demanded.iter().enumerate() {
            let Some(capacity) = served.get(i + lead_steps) else { break };
            let floor = cores / rules.guardrails.floor_utilisation;
            prop_assert!(capacity.cpu_cores() >= floor * (1.0 - 1e-6), "{} cores of {} at bin {}", capacity.cpu_cores(), floor, i);
            let memory = gib * super::fixtures::GIB / rules.guardrails.floor_utilisation;
            prop_assert!(capacity.memory_bytes() >= memory * (1.0 - 1e-6), "memory at bin {}", i);
        }
    }

    #[test]
    fn decisions_repeat_and_a_kept_history_goes_on_as_if_never_stopped(
        rules in rules(), steps in steps(), follows: bool, cut in 0usize..120,
    ) {
        let (actions, planning) = story(&steps, &rules, follows, Platform::Simulated);
        prop_assert_eq!(&story(&steps, &rules, follows, Platform::Simulated).0, &actions);
        let (mut resumed, mut again, mut at_s) = (Planning::default(), Vec::<Action>::new(), 0i64);
        for (i, (wait_s, cores, gib, width)) in steps.iter().enumerate() {
            if i == cut {
                resumed = bitcode::decode(&bitcode::encode(&resumed)).expect("a state decodes");
            }
            at_s += i64::from(*wait_s);
            let p = one(at_s, (*cores, *gib, *width), Platform::Simulated, again.last().filter(|_| follows));
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
