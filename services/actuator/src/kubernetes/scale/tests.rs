//! What comes next, case by case.

use super::*;
use crate::kubernetes::autoscaler::Kind;
use crate::kubernetes::testing::{NOW, RULES, aim, deployment, facts, reshaped, set_by, target, withdrawal};
use serde_json::Value;

fn step(object: &Value, aim: &Aim) -> Step {
    next(&facts(object), RULES, aim, NOW)
}

fn with(mut object: Value, change: impl FnOnce(&mut Value)) -> Value {
    change(&mut object);
    object
}

fn sent(step: Step) -> Request {
    match step {
        Step::Send(request) => request,
        other => panic!("{other:?} sends nothing"),
    }
}

fn words(step: Step) -> String {
    match step {
        Step::Done(ActionOutcome::Failed { why, .. } | ActionOutcome::Superseded { why }) => why,
        Step::Wait { why, .. } => why,
        other => panic!("{other:?} has no words"),
    }
}

const APPLIED: Step = Step::Done(ActionOutcome::Applied { effective_at: NOW });

#[test]
fn the_request_has_the_objects_version_and_the_actions_name() {
    let aim = aim(3, 5);
    let request = sent(step(&deployment(3), &aim));
    let path = format!("/apis/apps/v1/namespaces/shop/deployments/web/scale?fieldManager=prescale-{}", aim.order.id());
    assert_eq!((request.method, request.path), (Method::Put, path));
    assert_eq!(request.body["metadata"]["resourceVersion"], "77");
    assert_eq!(request.body["metadata"]["uid"], "u-1");
    assert_eq!(request.body["spec"]["replicas"], 5);
}

#[test]
fn what_it_asks_for_is_waited_for_until_it_serves() {
    let aim = aim(3, 5);
    assert_eq!(step(&deployment(5), &aim), APPLIED, "it is so already");
    let unready = with(deployment(5), |object| object["status"]["readyReplicas"] = 4.into());
    assert_eq!(words(step(&unready, &aim)), "4 of 5 replicas are ready");
    let unseen = with(deployment(5), |object| object["metadata"]["generation"] = 5.into());
    assert!(words(step(&unseen, &aim)).contains("controller has not seen"));
    let over_quota = with(unready, |object| {
        object["status"]["conditions"] =
            serde_json::json!([{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]);
    });
    assert!(words(step(&over_quota, &aim)).ends_with("are ready: exceeded quota"));
    let down = crate::kubernetes::testing::aim(5, 3);
    let leaving = with(deployment(3), |object| object["status"]["replicas"] = 5.into());
    assert_eq!(words(step(&leaving, &down)), "5 replicas are still there");
    let unready = with(deployment(3), |object| object["status"]["readyReplicas"] = 2.into());
    assert_eq!(step(&unready, &down), APPLIED, "what takes away waits for nothing to come");
}

#[test]
fn only_who_asks_for_it_is_changed_and_within_its_bounds() {
    let cases: [(&str, Value, &str); 6] = [
        ("prescale.io/enabled", "false".into(), "is \"false\""),
        ("prescale.io/enabled", Value::Null, "has no label or annotation prescale.io/enabled"),
        ("prescale.io/replicas-max", "4".into(), "5 replicas: its annotation prescale.io/replicas-max is \"4\""),
        ("prescale.io/replicas-max", "many".into(), "is \"many\""),
        ("prescale.io/replicas-min", "6".into(), "replicas-min is \"6\""),
        ("prescale.io/replicas-max", "5".into(), ""),
    ];
    for (name, value, expected) in cases {
        let object = with(deployment(3), |object| object["metadata"]["annotations"][name] = value);
        match step(&object, &aim(3, 5)) {
            Step::Send(_) => assert_eq!(expected, ""),
            step => {
                let words = words(step);
                assert!(words.contains(expected) && !expected.is_empty(), "{words}");
            }
        }
    }
    let off = with(deployment(3), |object| object["metadata"]["labels"]["prescale.io/enabled"] = "false".into());
    assert!(words(step(&off, &aim(3, 5))).contains("is \"false\""), "the label goes before the annotation");
    let bare = with(deployment(3), |object| object["metadata"]["annotations"] = Value::Null);
    let labelled = with(bare.clone(), |object| object["metadata"]["labels"]["prescale.io/enabled"] = "true".into());
    sent(step(&labelled, &aim(3, 5)));
    let all = Rules { requires_annotation: false, ..RULES };
    sent(next(&facts(&bare), all, &aim(3, 5), NOW));
}

#[test]
fn what_is_being_deleted_or_was_turned_off_is_left_alone() {
    let deleted = with(deployment(3), |object| object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into());
    assert!(words(step(&deleted, &aim(3, 5))).contains("being deleted"));
    assert!(words(step(&deployment(0), &aim(3, 5))).contains("turned it off"));
}

#[test]
fn a_rollout_holds_up_what_takes_away_alone_and_a_pause_holds_up_nothing() {
    let rolling = with(deployment(4), |object| object["status"]["updatedReplicas"] = 1.into());
    assert!(matches!(step(&rolling, &aim(4, 2)), Step::Wait { .. }));
    sent(step(&rolling, &aim(4, 6)));
    let paused = with(deployment(4), |object| object["spec"]["paused"] = true.into());
    sent(step(&paused, &aim(4, 6)));
    let unseen = with(deployment(4), |object| object["metadata"]["generation"] = 5.into());
    assert!(words(step(&unseen, &aim(4, 2))).contains("its controller has not seen"));
    sent(step(&unseen, &aim(4, 6)));
}

#[test]
fn a_count_that_is_left_out_is_none_and_what_is_meant_to_stay_is_no_rollout() {
    let begins = |strategy: &str, value: Value| {
        with(deployment(4), |object| {
            object["status"]["updatedReplicas"] = Value::Null;
            object["spec"][strategy] = value;
        })
    };
    let rolling = serde_json::json!({"type": "RollingUpdate"});
    assert!(matches!(step(&begins("strategy", rolling.clone()), &aim(4, 2)), Step::Wait { .. }));
    assert!(matches!(step(&begins("updateStrategy", rolling), &aim(4, 2)), Step::Wait { .. }));
    let partition = serde_json::json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}});
    for leaves_some in [partition, serde_json::json!({"type": "OnDelete"})] {
        sent(step(&begins("updateStrategy", leaves_some), &aim(4, 2)));
    }
    sent(step(&begins("template", Value::Null), &aim(4, 2)));
}

#[test]
fn it_never_goes_the_other_way_than_was_decided() {
    assert!(words(step(&deployment(9), &aim(3, 5))).contains("9 replicas already"));
    assert!(words(step(&deployment(1), &aim(5, 3))).contains("1 replicas by now"));
    sent(step(&deployment(9), &reshaped(&aim(3, 5))));
}

#[test]
fn after_an_answer_that_never_came_it_is_known_whether_it_took_effect() {
    let mut again = aim(3, 5);
    again.sent_from = Some(facts(&deployment(3)).object.mark());
    sent(step(&deployment(3), &again));
    let other_version = with(deployment(3), |object| object["metadata"]["resourceVersion"] = "78".into());
    assert_eq!(sent(step(&other_version, &again)).body["metadata"]["resourceVersion"], "78", "its status has changed");
    let own = with(deployment(5), |object| set_by(object, &manager(&again.order)));
    assert!(standing(&facts(&own), &again).is_taken);
    assert_eq!(step(&own, &again), APPLIED);
    let others = with(deployment(4), |object| set_by(object, "kubectl-scale"));
    assert!(!standing(&facts(&others), &again).is_taken);
    assert!(words(step(&others, &again)).contains("set to 4 replicas by kubectl-scale"));
}

#[test]
fn where_the_server_does_not_keep_who_sets_the_number_each_change_counts() {
    let nobody = |generation: i64| {
        with(deployment(3), |object| {
            object["metadata"]["managedFields"] = Value::Null;
            object["metadata"]["generation"] = generation.into();
            object["status"]["observedGeneration"] = generation.into();
        })
    };
    let mut again = aim(3, 5);
    again.sent_from = Some(facts(&nobody(4)).object.mark());
    sent(step(&nobody(4), &again));
    assert!(words(step(&nobody(6), &again)).contains("meanwhile"), "it took effect and was undone");
}

#[test]
fn an_autoscaler_owns_the_replicas_of_its_target() {
    let list = serde_json::json!({"items": [{
        "metadata": {"name": "web", "resourceVersion": "9"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 9},
    }]});
    let autoscaler = Autoscaler::of(Kind::HorizontalPodAutoscaler, &list, &target());
    let owned = Facts { autoscaler, ..facts(&deployment(3)) };
    assert!(words(next(&owned, RULES, &aim(3, 5), NOW)).contains("HorizontalPodAutoscaler web owns"));
    assert_eq!(next(&owned, RULES, &aim(2, 3), NOW), APPLIED, "it has what it should have");
    let raises = Rules { autoscaler: AutoscalerMode::RaiseMin, ..RULES };
    assert_eq!(sent(next(&owned, raises, &aim(3, 5), NOW)).body["spec"]["minReplicas"], 5);
    let mut again = aim(3, 5);
    again.sent_from = Some(standing(&owned, &again).mark);
    sent(next(&owned, raises, &again, NOW));
    let beyond = aim(3, 12);
    assert_eq!(sent(next(&owned, raises, &beyond, NOW)).body["spec"]["minReplicas"], 9);
    let at_most = with(list.clone(), |list| {
        list["items"][0]["spec"]["minReplicas"] = 9.into();
        list["items"][0]["metadata"]["annotations"] = serde_json::json!({"prescale.io/min-before": "1"});
    });
    let autoscaler = Autoscaler::of(Kind::HorizontalPodAutoscaler, &at_most, &target());
    let raised = |replicas| Facts { autoscaler: autoscaler.clone(), ..facts(&deployment(replicas)) };
    assert_eq!(words(next(&raised(8), raises, &beyond, NOW)), "8 of 9 replicas are ready");
    assert!(words(next(&raised(9), raises, &beyond, NOW)).contains("allows 9 of the 12 replicas"));
    let mut undone = list;
    undone["items"][0]["metadata"]["managedFields"] =
        serde_json::json!([{"manager": "argo", "time": "now", "fieldsV1": {"f:spec": {"f:minReplicas": {}}}}]);
    let autoscaler = Autoscaler::of(Kind::HorizontalPodAutoscaler, &undone, &target());
    let undone = Facts { autoscaler, ..owned };
    assert!(words(next(&undone, raises, &again, NOW)).contains("changed by somebody else"));
}

#[test]
fn room_is_asked_for_where_an_autoscaler_is_left_alone_and_goes_with_the_need() {
    let list = serde_json::json!({"items": [{
        "metadata": {"name": "web", "resourceVersion": "9"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
    }]});
    let autoscaler = || Autoscaler::of(Kind::HorizontalPodAutoscaler, &list, &target());
    let room = |object: Option<&Value>| Some(Headroom::by_buffer(&target(), &deployment(3), "v1alpha1").seen(object));
    let owned = |replicas: u32, kept: Option<&Value>| Facts {
        autoscaler: autoscaler(),
        headroom: room(kept),
        ..facts(&deployment(replicas))
    };
    let request = sent(next(&owned(3, None), RULES, &aim(3, 5), NOW));
    assert_eq!((request.method, &request.body["spec"]["replicas"]), (Method::Post, &serde_json::json!(2)));
    let mut kept = request.body;
    kept["metadata"]["resourceVersion"] = "1".into();
    let is_removed = |facts: &Facts, aim: &Aim| matches!(next(facts, RULES, aim, NOW), Step::TidyUp(request) if request.method == Method::Delete);
    assert!(words(next(&owned(3, Some(&kept)), RULES, &aim(3, 5), NOW)).contains("room on nodes for 2 further"));
    assert!(is_removed(&owned(5, Some(&kept)), &aim(3, 5)), "the autoscaler has added them");
    assert!(is_removed(&owned(3, Some(&kept)), &withdrawal(&aim(3, 5))));
    let alone = Facts { autoscaler: None, ..owned(3, Some(&kept)) };
    assert!(is_removed(&alone, &aim(3, 5)), "the replicas ask for their nodes themselves");
    let mut again = aim(3, 5);
    again.sent_from = Some("before".into());
    assert!(
        words(next(&owned(3, None), RULES, &again, NOW)).contains("owns the number of replicas"),
        "its time is over"
    );
}

#[test]
fn a_withdrawal_changes_nothing_where_there_is_nothing_to_give_back() {
    assert_eq!(words(step(&deployment(3), &withdrawal(&aim(3, 5)))), "paused");
}

#[test]
fn a_kind_that_does_not_say_what_is_ready_is_ready_with_what_there_is() {
    let object = serde_json::json!({
        "metadata": {"uid": "u", "resourceVersion": "1", "annotations": {"prescale.io/enabled": "true"}},
        "spec": {},
    });
    let scale = serde_json::json!({"spec": {"replicas": 5}, "status": {"replicas": 4}});
    let object = with(object, |object| object["spec"]["strategy"] = serde_json::json!({"canary": {}}));
    let read = Object::of(&object, Some(&scale)).unwrap();
    assert_eq!((read.replicas, read.existing, read.ready, read.is_rolling_out), (5, 4, 4, false));
    assert!(Object::of(&object, None).unwrap_err().contains("without a number of replicas"));
}
