//! The simulated cloud's answers.

use super::*;
use crate::policy::fixtures::{GIB, action, capacity, workload};
use proptest::prelude::*;

fn apply(cloud: &mut SimulatedCloud, rules: &CloudRules, id: &str, action: &Action) -> ActionResult {
    cloud.apply(rules, &id.into(), action)
}

fn effective_s(result: &ActionResult) -> i64 {
    match &result.outcome {
        ActionOutcome::Applied { effective_at } => effective_at.as_ms() / 1000,
        other => panic!("not applied: {other:?}"),
    }
}

fn replicas_at(cloud: &SimulatedCloud, s: i64) -> u32 {
    cloud.capacity_at(&workload("w"), EventTime::from_s(s)).expect("is known").replicas
}

#[test]
fn each_mechanism_takes_its_time() {
    let rules = CloudRules::default();
    let mut cloud = SimulatedCloud::default();
    let out = apply(&mut cloud, &rules, "a", &action("w", 1000, 4, 6));
    assert_eq!(effective_s(&out), 1120);
    assert_eq!((replicas_at(&cloud, 1119), replicas_at(&cloud, 1120)), (4, 6));
    assert_eq!((out.before, out.after.replicas), (capacity(4), 6));
    let lower = apply(&mut cloud, &rules, "b", &action("w", 2000, 6, 3));
    assert_eq!((effective_s(&lower), replicas_at(&cloud, 2000)), (2000, 3));
    let mut limits = action("w", 3000, 3, 3);
    (limits.mechanism, limits.desired.cpu_cores_per_replica) = (Mechanism::Limits, 3.0);
    assert_eq!(effective_s(&apply(&mut cloud, &rules, "c", &limits)), 3010);
    let mut larger = action("w", 4000, 3, 3);
    (larger.current, larger.mechanism) = (limits.desired, Mechanism::InstanceType);
    larger.desired = rules.prices.instance_type("general-4").expect("is listed").capacity(3);
    let result = apply(&mut cloud, &rules, "d", &larger);
    assert_eq!(effective_s(&result), 4300);
    assert!((result.price_per_h.expect("is listed") - 0.6).abs() < 1e-12);
}

#[test]
fn vms_that_boot_already_are_not_booted_again() {
    let rules = CloudRules::default();
    let mut cloud = SimulatedCloud::default();
    apply(&mut cloud, &rules, "a", &action("w", 0, 4, 8));
    assert_eq!(effective_s(&apply(&mut cloud, &rules, "b", &action("w", 60, 4, 10))), 180);
    assert_eq!(
        (replicas_at(&cloud, 120), replicas_at(&cloud, 180)),
        (8, 10),
        "the first four come when they would have"
    );
    let fewer = apply(&mut cloud, &rules, "c", &action("w", 90, 4, 6));
    assert_eq!((effective_s(&fewer), replicas_at(&cloud, 500)), (120, 6), "of those that boot, two are enough");
}

#[test]
fn a_capacity_changed_by_others_is_taken_as_it_is() {
    let rules = CloudRules::default();
    let mut cloud = SimulatedCloud::default();
    apply(&mut cloud, &rules, "a", &action("w", 0, 4, 6));
    let mut resized = action("w", 1000, 5, 7);
    (resized.current.cpu_cores_per_replica, resized.desired.cpu_cores_per_replica) = (8.0, 8.0);
    assert_eq!(apply(&mut cloud, &rules, "b", &resized).before, resized.current);
}

#[test]
fn void_actions_are_superseded() {
    let rules = CloudRules::default();
    let mut cloud = SimulatedCloud::default();
    apply(&mut cloud, &rules, "a", &action("w", 1000, 4, 6));
    for (id, late) in [("b", action("w", 900, 4, 5)), ("c", action("w", 1000, 4, 5))] {
        let result = apply(&mut cloud, &rules, id, &late);
        assert!(matches!(result.outcome, ActionOutcome::Superseded { .. }), "{result:?}");
        assert_eq!(result.before, result.after);
    }
    let expired = Action { valid_until: EventTime::from_s(2000), ..action("w", 2000, 6, 9) };
    assert!(matches!(apply(&mut cloud, &rules, "d", &expired).outcome, ActionOutcome::Superseded { .. }));
    assert_eq!(replicas_at(&cloud, 9999), 6);
}

#[test]
fn the_quota_counts_what_serves_boots_and_drains() {
    let rules = CloudRules { cpu_cores_quota: Some(24.0), ..CloudRules::default() };
    let mut cloud = SimulatedCloud::default();
    effective_s(&apply(&mut cloud, &rules, "a", &action("v", 0, 4, 8)));
    let refused = apply(&mut cloud, &rules, "b", &action("w", 10, 2, 5));
    assert!(
        matches!(&refused.outcome, ActionOutcome::Failed { why, retryable: true } if why.contains("26.00 cores")),
        "{refused:?}"
    );
    effective_s(&apply(&mut cloud, &rules, "c", &action("w", 20, 2, 4)));
    effective_s(&apply(&mut cloud, &rules, "d", &action("v", 1000, 8, 4)));
    let draining = apply(&mut cloud, &rules, "e", &action("w", 1010, 4, 8));
    assert!(matches!(draining.outcome, ActionOutcome::Failed { retryable: true, .. }), "{draining:?}");
    effective_s(&apply(&mut cloud, &rules, "f", &action("w", 1030, 4, 8)));
}

#[test]
fn what_the_mechanism_cannot_do_is_refused_for_good() {
    let rules = CloudRules::default();
    let mut other_size = action("w", 0, 4, 6);
    other_size.desired.memory_bytes_per_replica = 1.0 * GIB;
    let mut unlisted = action("w", 0, 4, 4);
    (unlisted.mechanism, unlisted.desired.instance_type) = (Mechanism::InstanceType, Some("giant".into()));
    let mut mismatched = unlisted.clone();
    mismatched.desired.instance_type = Some("general-4".into());
    let mut taken = unlisted.clone();
    taken.desired = rules.prices.instance_type("general-4").expect("is listed").capacity(6);
    assert!(matches!(
        apply(&mut SimulatedCloud::default(), &rules, "a", &taken).outcome,
        ActionOutcome::Applied { .. }
    ));
    let mut scarce = rules.clone();
    scarce.prices.instance_types.iter_mut().for_each(|t| t.is_available = false);
    let refused = apply(&mut SimulatedCloud::default(), &scarce, "a", &taken);
    assert!(matches!(refused.outcome, ActionOutcome::Failed { retryable: false, .. }), "{refused:?}");
    let refused = apply(&mut SimulatedCloud::default(), &rules, "a", &mismatched);
    let ActionOutcome::Failed { why, .. } = &refused.outcome else { panic!("{refused:?}") };
    assert_eq!(why, "instance type \"general-4\" has 4 cores and 16 GiB, not what is asked for");
    for impossible in [other_size, unlisted, mismatched] {
        let result = apply(&mut SimulatedCloud::default(), &rules, "a", &impossible);
        assert!(matches!(result.outcome, ActionOutcome::Failed { retryable: false, .. }), "{result:?}");
        assert_eq!(result.before, result.after);
    }
}

#[test]
fn failures_come_at_about_their_probability_and_repeat() {
    let rules = CloudRules { failure_probability: 0.3, seed: 7, ..CloudRules::default() };
    let failed = |seed: u64| {
        let rules = CloudRules { seed, ..rules.clone() };
        (0..2000)
            .map(|i| apply(&mut SimulatedCloud::default(), &rules, &format!("id-{i}"), &action("w", 0, 4, 6)))
            .map(|r| matches!(r.outcome, ActionOutcome::Failed { retryable: true, .. }))
            .collect::<Vec<_>>()
    };
    let share = failed(7).iter().filter(|f| **f).count() as f64 / 2000.0;
    assert!((share - 0.3).abs() < 0.04, "{share} of the requests failed");
    assert_eq!(failed(7), failed(7));
    assert_ne!(failed(7), failed(8));
}

proptest! {
    #[test]
    fn capacity_holds_from_its_instant_ids_count_once_and_a_snapshot_goes_on(
        steps in prop::collection::vec((0u8..3, 1i64..400, 1u32..12, 1u32..12), 1..40), cut in 0usize..40,
    ) {
        let rules = CloudRules { failure_probability: 0.1, cpu_cores_quota: Some(50.0), ..CloudRules::default() };
        let (mut cloud, mut resumed) = (SimulatedCloud::default(), SimulatedCloud::default());
        let mut at_s = 0;
        for (i, (name, wait_s, from, to)) in steps.into_iter().enumerate() {
            at_s += wait_s;
            let action = action(&format!("w{name}"), at_s, from, to);
            let result = apply(&mut cloud, &rules, &format!("id-{i}"), &action);
            let seen = |cloud: &SimulatedCloud, at| cloud.capacity_at(&action.workload, at).cloned();
            if let ActionOutcome::Applied { effective_at } = result.outcome {
                prop_assert!(effective_at >= action.decided_at);
                prop_assert_eq!(seen(&cloud, effective_at), Some(action.desired.clone()));
                prop_assert_eq!(&result.after, &action.desired);
            } else {
                prop_assert_eq!(&result.after, &result.before);
            }
            let before = cloud.clone();
            prop_assert_eq!(&apply(&mut cloud, &rules, &format!("id-{i}"), &action), &result);
            prop_assert_eq!(&cloud, &before);
            if i == cut {
                resumed = bitcode::decode(&bitcode::encode(&resumed)).expect("a cloud decodes");
            }
            prop_assert_eq!(apply(&mut resumed, &rules, &format!("id-{i}"), &action), result);
        }
        prop_assert_eq!(resumed, cloud);
    }
}
