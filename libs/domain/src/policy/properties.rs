//! What must hold of decisions whatever the predictions are.

use super::fixtures::{forecast, prediction};
use super::*;
use crate::action::{Action, Mechanism, Verdict};
use crate::guardrail::{Bounds, History, Step};
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
    (mechanism, bounds(), step, 0u32..10, 0u32..1200, 0u32..4000).prop_map(
        |(mechanism, bounds, step, budget, out, inward)| {
            let mut rules = Rules::default();
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
fn story(steps: &[(u32, f64, f64, f64)], rules: &Rules, follows: bool, platform: Platform) -> (Vec<Action>, History) {
    let (mut history, mut actions, mut at_s) = (History::default(), Vec::<Action>::new(), 0i64);
    for (wait_s, cores, gib, width) in steps {
        at_s += i64::from(*wait_s);
        let p = one(at_s, (*cores, *gib, *width), platform, actions.last().filter(|_| follows));
        if let Some(Decision::Act(action)) = step(rules, &mut history, &p, &format!("p{at_s}").into()) {
            actions.push(*action);
        }
    }
    (actions, history)
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
    fn no_step_is_longer_than_allowed(rules in rules(), steps in steps(), follows: bool) {
        let mut rules = rules;
        rules.guardrails.bounds = Bounds { replicas_max: u32::MAX, ..Bounds::default() };
        let limit = &rules.guardrails.step;
        for action in story(&steps, &rules, follows, Platform::Simulated).0 {
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
    fn the_flap_budget_holds_over_any_24_hours(rules in rules(), steps in steps(), follows: bool, platform in platform()) {
        let (actions, _) = story(&steps, &rules, follows, platform);
        let changes: Vec<i64> = actions
            .iter()
            .filter(|a| a.reasons.iter().all(|r| &*r.rule != "plan.renewal"))
            .map(|a| a.decided_at.as_ms())
            .collect();
        for (i, first) in changes.iter().enumerate() {
            let within = changes[i..].iter().filter(|t| **t < first + 86_400_000).count();
            prop_assert!(within <= rules.guardrails.pace.changes_per_day_max as usize);
        }
        prop_assert!(platform == Platform::ObservedOnly || rules.dry_run.on(platform) || changes.len() == actions.len());
    }

    #[test]
    fn cooldowns_hold(rules in rules(), steps in steps(), follows: bool) {
        let (actions, _) = story(&steps, &rules, follows, Platform::Simulated);
        for (i, action) in actions.iter().enumerate() {
            let earlier = &actions[..i];
            let since = |last: Option<&Action>| {
                last.map_or(i64::MAX, |l| (action.decided_at.as_ms() - l.decided_at.as_ms()) / 1000)
            };
            let pace = &rules.guardrails.pace;
            match action.verdict {
                Verdict::ScaleOut => {
                    let last = earlier.iter().rev().find(|a| a.verdict == Verdict::ScaleOut);
                    prop_assert!(since(last) >= i64::from(pace.cooldown_out_s));
                }
                _ => prop_assert!(since(earlier.last()) >= i64::from(pace.cooldown_in_s)),
            }
        }
    }

    #[test]
    fn decisions_repeat_and_a_kept_history_goes_on_as_if_never_stopped(
        rules in rules(), steps in steps(), follows: bool, cut in 0usize..120,
    ) {
        let (actions, history) = story(&steps, &rules, follows, Platform::Simulated);
        prop_assert_eq!(&story(&steps, &rules, follows, Platform::Simulated).0, &actions);
        let (mut resumed, mut again, mut at_s) = (History::default(), Vec::<Action>::new(), 0i64);
        for (i, (wait_s, cores, gib, width)) in steps.iter().enumerate() {
            if i == cut {
                resumed = bitcode::decode(&bitcode::encode(&resumed)).expect("a history decodes");
            }
            at_s += i64::from(*wait_s);
            let p = one(at_s, (*cores, *gib, *width), Platform::Simulated, again.last().filter(|_| follows));
            if let Some(Decision::Act(action)) = step(&rules, &mut resumed, &p, &format!("p{at_s}").into()) {
                again.push(*action);
            }
        }
        prop_assert_eq!(again, actions);
        prop_assert_eq!(resumed, history);
    }

    /// The design's rule evaluated on its own, with nothing in the way: CPU only, whole replicas.
    #[test]
    fn without_restraints_the_decision_is_the_formula(cores in 0.01f64..200.0, width in 0.0f64..0.3, replicas in 1u32..40) {
        let mut rules = Rules::default();
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
        let found = match step(&rules, &mut History::default(), &p, &"p".into()) {
            Some(Decision::Act(action)) => action.desired.replicas,
            _ => replicas,
        };
        prop_assert_eq!(found, wanted);
    }
}
