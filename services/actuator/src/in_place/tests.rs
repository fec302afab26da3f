//! Pods of a model cluster are sized in place, whatever the kubelet says.

use super::config::{OnStuck, ResizeConfig, TemplateRule};
use super::settled;
use super::testing::{Cluster, NOW_S, container, wanted};
use crate::drive::step::Step;
use prescale_contracts::rfc3339;
use prescale_domain::action::ActionOutcome;
use prescale_domain::time::EventTime;
use proptest::prelude::*;
use serde_json::{Value, json};

fn rules(on_stuck: OnStuck, template: TemplateRule) -> ResizeConfig {
    ResizeConfig { on_stuck, template, ..ResizeConfig::default() }
}

fn defaults() -> ResizeConfig {
    ResizeConfig::default()
}

fn one() -> Value {
    json!([container("app", 500, 512)])
}

fn applied() -> Step {
    Step::Done(ActionOutcome::Applied { effective_at: EventTime::from_s(NOW_S) })
}

fn failure(step: &Step) -> &str {
    let Step::Done(ActionOutcome::Failed { why, .. }) = step else { panic!("{step:?}") };
    why
}

fn limits(object: &Value) -> &Value {
    object
        .pointer("/spec/template/spec/containers/0/resources/limits")
        .unwrap_or_else(|| object.pointer("/spec/containers/0/resources/limits").expect("a pod or a template"))
}

fn pending(reason: &str, since_s: i64) -> Value {
    let since = rfc3339(EventTime::from_s(NOW_S).plus_s(since_s));
    let pending = json!({"type": "PodResizePending", "status": "True", "reason": reason, "message": "no room",
        "lastTransitionTime": since});
    json!({"status": {"conditions": [{"type": "Ready", "status": "True"}, pending]}})
}

#[test]
fn all_pods_come_to_the_size_and_the_template_follows_without_a_rollout() {
    let mut cluster = Cluster::new("Deployment", 3, &one());
    let (end, sent) = cluster.drive(wanted(750, 1024), &defaults(), "a1");
    assert_eq!(end, applied());
    let pods = ["pods/web-0/resize", "pods/web-1/resize", "pods/web-2/resize"];
    assert_eq!(sent[..3], pods);
    assert_eq!(sent[3..], ["deployments/web", "replicasets/web-1", "deployments/web"]);
    let size = json!({"cpu": "750m", "memory": "1Gi"});
    for object in [cluster.pod(0), cluster.pod(2), cluster.workload(), cluster.set("web-1")] {
        assert_eq!(limits(object), &size);
    }
    let workload = cluster.workload();
    assert!(workload["spec"]["paused"].is_null() && workload["metadata"]["annotations"] == json!({}), "{workload}");
    assert_eq!(cluster.drive(wanted(750, 1024), &defaults(), "a2"), (applied(), vec![]), "it is so already");
}

#[test]
fn what_was_changed_has_to_be_seen_before_the_deployment_is_resumed() {
    let mut cluster = Cluster::new("Deployment", 1, &one());
    cluster.drive(wanted(750, 512), &rules(OnStuck::GiveUp, TemplateRule::Leave), "a1");
    assert_eq!(limits(cluster.workload())["cpu"], "500m", "it is left");
    for unseen in ["paused", "the ReplicaSet's template"] {
        let Step::Send(request) = cluster.next(wanted(750, 512), &defaults(), "a1") else { panic!("{unseen}") };
        cluster.take(&request);
        let step = cluster.next(wanted(750, 512), &defaults(), "a1");
        assert!(matches!(&step, Step::Wait { why, .. } if why.contains(unseen)), "{step:?}");
        cluster.settle();
    }
    assert_eq!(cluster.workload()["metadata"]["annotations"]["prescale.io/paused-for"], "a1");
    assert_eq!(cluster.drive(wanted(750, 512), &defaults(), "a1"), (applied(), vec!["deployments/web".to_owned()]));
}

#[test]
fn a_share_of_the_pods_is_resized_at_a_time() {
    let mut cluster = Cluster::new("StatefulSet", 8, &one());
    cluster.held.extend((0..8).map(|number| format!("web-{number}")));
    let (end, sent) = cluster.drive(wanted(600, 512), &defaults(), "a1");
    assert_eq!(sent, ["pods/web-0/resize", "pods/web-1/resize"]);
    assert!(matches!(&end, Step::Wait { why, .. } if why.contains("2 of 8 pods")), "{end:?}");
    cluster.held.clear();
    cluster.settle();
    let (end, sent) = cluster.drive(wanted(600, 512), &defaults(), "a1");
    assert_eq!((end, sent.len()), (applied(), 6), "its template would replace pods, and is left");
}

#[test]
fn a_template_that_waits_follows_as_it_is() {
    let mut cluster = Cluster::new("StatefulSet", 1, &one());
    let path = cluster.workload_path();
    cluster.change(&path, &json!({"spec": {"updateStrategy": {"type": "OnDelete"}}}));
    let (end, sent) = cluster.drive(wanted(250, 512), &defaults(), "a1");
    assert_eq!((end, sent), (applied(), vec!["pods/web-0/resize".to_owned(), "statefulsets/web".to_owned()]));
    assert_eq!(limits(cluster.workload())["cpu"], "250m");
}

#[test]
fn a_container_that_is_restarted_counts_until_its_pod_is_ready() {
    let mut app = container("app", 500, 512);
    app["resizePolicy"] = json!([{"resourceName": "memory", "restartPolicy": "RestartContainer"}]);
    let mut cluster = Cluster::new("StatefulSet", 2, &json!([app]));
    cluster.change_pod(1, &json!({"status": {"conditions": []}}));
    let (end, sent) = cluster.drive(wanted(500, 256), &defaults(), "a1");
    assert!(matches!(end, Step::Wait { .. }) && sent.is_empty(), "another pod does not serve: {sent:?}");
    let (end, sent) = cluster.drive(wanted(600, 512), &defaults(), "a2");
    assert_eq!(sent, ["pods/web-0/resize", "pods/web-1/resize"], "more CPU restarts nothing");
    assert!(matches!(&end, Step::Wait { why, .. } if why.contains("1 of 2 pods")), "{end:?}");
}

#[test]
fn a_resize_that_is_deferred_for_long_is_taken_back_and_given_up() {
    let mut cluster = Cluster::new("Deployment", 2, &one());
    cluster.held.extend(["web-0".to_owned(), "web-1".to_owned()]);
    cluster.drive(wanted(900, 512), &defaults(), "a1");
    cluster.change_pod(0, &pending("Deferred", -299));
    let (end, sent) = cluster.drive(wanted(900, 512), &defaults(), "a1");
    assert!(matches!(end, Step::Wait { .. }) && sent.is_empty());
    cluster.change_pod(0, &pending("Deferred", -300));
    let (end, sent) = cluster.drive(wanted(900, 512), &defaults(), "a1");
    assert_eq!(sent, ["deployments/web", "pods/web-0/resize"]);
    assert!(failure(&end).contains("pod web-0 has had no room for it for 300 s: no room"), "{end:?}");
    assert_eq!(limits(cluster.pod(0)), &json!({"cpu": "500m", "memory": "512Mi"}));
    assert_eq!(limits(cluster.pod(1))["cpu"], "500m", "it was not begun with");
    assert!(cluster.workload()["spec"]["paused"].is_null());
}

#[test]
fn what_can_never_be_is_asked_for_once() {
    let mut cluster = Cluster::new("Deployment", 1, &one());
    cluster.held.insert("web-0".to_owned());
    cluster.drive(wanted(900, 512), &defaults(), "a1");
    cluster.change_pod(0, &pending("Infeasible", 0));
    for action_id in ["a1", "a2"] {
        let (end, sent) = cluster.drive(wanted(900, 512), &defaults(), action_id);
        assert_eq!(sent, ["deployments/web"], "it says that it was given up, and by which action");
        assert!(failure(&end).contains("can never give it that"), "{end:?}");
    }
    let Step::Send(request) = cluster.next(wanted(600, 512), &defaults(), "a3") else { panic!("nothing sent") };
    assert!(request.path.ends_with("pods/web-0/resize"), "less may be feasible");
    cluster.take(&request);
    let step = cluster.next(wanted(600, 512), &defaults(), "a3");
    assert!(matches!(step, Step::Wait { .. }), "what the kubelet says is of what was asked for before: {step:?}");
}

#[test]
fn a_resize_that_is_stuck_goes_on_to_a_rollout_where_that_is_asked_for() {
    let rollout = rules(OnStuck::Rollout, TemplateRule::Follow);
    let mut cluster = Cluster::new("Deployment", 1, &one());
    cluster.held.insert("web-0".to_owned());
    cluster.drive(wanted(900, 512), &rollout, "a1");
    let making = json!({"type": "PodResizeInProgress", "status": "True", "message": "busy",
        "lastTransitionTime": rfc3339(EventTime::from_s(NOW_S - 3600))});
    cluster.change_pod(0, &json!({"status": {"conditions": [making]}}));
    let (end, sent) = cluster.drive(wanted(900, 512), &rollout, "a1");
    assert_eq!(sent, ["deployments/web"]);
    assert!(matches!(&end, Step::Wait { why, .. } if why.contains("1 of 1 pods")), "{end:?}");
    assert_eq!(limits(cluster.workload())["cpu"], "900m");
    let path = cluster.workload_path();
    let failed = json!({"type": "Progressing", "status": "False", "message": "too long"});
    cluster.change(&path, &json!({"status": {"conditions": [failed]}}));
    cluster.settle();
    assert!(failure(&cluster.drive(wanted(900, 512), &rollout, "a1").0).ends_with("that failed: too long"));
    cluster.change(&path, &json!({"status": {"conditions": []}}));
    cluster.held.clear();
    cluster.change_pod(0, &json!({"status": {"conditions": []}}));
    cluster.settle();
    assert_eq!(cluster.drive(wanted(900, 512), &rollout, "a1").0, applied(), "a new pod has it");
}

#[test]
fn what_cannot_be_sized_is_refused_before_anything_is_sent() {
    let refused = |cluster: &mut Cluster, mib: u64| {
        let (end, sent) = cluster.drive(wanted(500, mib), &defaults(), "a1");
        assert!(sent.is_empty(), "{sent:?}");
        failure(&end).to_owned()
    };
    let mut asks_for_nothing = Cluster::new("Deployment", 1, &json!([{"name": "app"}]));
    assert!(refused(&mut asks_for_nothing, 512).contains("BestEffort"));
    let mut in_use = Cluster::new("Deployment", 1, &one());
    in_use.metrics = json!({"items": [{"metadata": {"name": "web-0"},
        "containers": [{"name": "app", "usage": {"cpu": "5n", "memory": "300Mi"}}]}]});
    let why = refused(&mut in_use, 256);
    assert!(why.contains("web-0") && why.contains("app uses 314572800 bytes"), "{why}");
    assert_eq!(in_use.drive(wanted(500, 300), &defaults(), "a1").0, applied());
    let mut of_pod = Cluster::new("Deployment", 1, &one());
    of_pod.change_pod(0, &json!({"spec": {"resources": {"limits": {"cpu": "1"}}}}));
    assert!(refused(&mut of_pod, 600).contains("resources of its own"));
    let mut burstable = container("app", 500, 512);
    burstable["resources"]["requests"]["cpu"] = json!("499m");
    burstable["resources"]["requests"]["memory"] = json!("511Mi");
    let mut class = Cluster::new("Deployment", 1, &json!([burstable]));
    let (end, _) = class.drive(wanted(1, 1), &defaults(), "a1");
    assert!(failure(&end).contains("class of service"), "rounding would make it Guaranteed: {end:?}");
}

#[test]
fn where_use_is_not_measured_a_memory_limit_goes_down_as_far_as_the_action_itself_expects() {
    let mut cluster = Cluster::new("Deployment", 1, &one());
    for (expected, words) in [(None, "nobody says what it uses"), (Some(300 << 20), "314572800 bytes of memory")] {
        cluster.memory_bytes_expected = expected;
        let (end, sent) = cluster.drive(wanted(500, 256), &defaults(), "a1");
        assert!(sent.is_empty() && failure(&end).contains(words), "{end:?}");
        assert!(failure(&end).contains("container app of pod web-0"), "{end:?}");
    }
    cluster.metrics = json!({"items": [{"metadata": {"name": "web-0"},
        "containers": [{"name": "app", "usage": {"cpu": "5n", "memory": "200Mi"}}]}]});
    assert_eq!(cluster.drive(wanted(500, 256), &defaults(), "a1").0, applied(), "what is measured counts");
    cluster.metrics = Value::Null;
    assert_eq!(cluster.drive(wanted(500, 300), &defaults(), "a2").0, applied(), "more is no danger");
    cluster.memory_bytes_expected = Some(280 << 20);
    assert_eq!(cluster.drive(wanted(500, 280), &defaults(), "a3").0, applied());
}

#[test]
fn pods_that_are_over_on_no_node_or_of_somebody_else_are_left_alone() {
    let mut cluster = Cluster::new("Deployment", 4, &one());
    cluster.change_pod(3, &json!({"metadata": {"ownerReferences": [{"controller": true, "uid": "other"}]}}));
    cluster.change_pod(0, &json!({"status": {"phase": "Failed"}}));
    cluster.change_pod(1, &json!({"spec": {"nodeName": null}}));
    let (end, sent) = cluster.drive(wanted(600, 512), &rules(OnStuck::GiveUp, TemplateRule::Leave), "a1");
    assert_eq!((end, sent), (applied(), vec!["pods/web-2/resize".to_owned()]));
    cluster.change_pod(2, &json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}));
    let (end, _) = cluster.drive(wanted(600, 512), &defaults(), "a1");
    assert!(matches!(&end, Step::Wait { why, .. } if why.contains("on a node")), "{end:?}");
}

#[test]
fn the_named_containers_have_the_change_in_pods_and_template() {
    let mut cluster = Cluster::new("Deployment", 1, &json!([container("app", 500, 512), container("proxy", 100, 128)]));
    let annotations = json!({"kubectl.kubernetes.io/default-container": "app"});
    cluster.change_pod(0, &json!({"metadata": {"annotations": annotations}}));
    let (end, _) = cluster.drive(wanted(1100, 1152), &defaults(), "a1");
    assert_eq!(end, applied());
    let of = |object: &Value, path: &str| object.pointer(path).unwrap().clone();
    for (object, containers) in
        [(cluster.pod(0), "/spec/containers"), (cluster.workload(), "/spec/template/spec/containers")]
    {
        assert_eq!(of(object, &format!("{containers}/0/resources/limits")), json!({"cpu": "1", "memory": "1Gi"}));
        assert_eq!(of(object, &format!("{containers}/1/resources/limits/cpu")), "100m");
    }
}

#[test]
fn a_template_that_would_replace_pods_is_left() {
    let mut twin = Cluster::new("Deployment", 1, &one());
    let template =
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container("app", 600, 512)]}});
    twin.add_set("web-0", "2025-01-01T00:00:00Z", 0, &template);
    twin.settle();
    let (end, sent) = twin.drive(wanted(600, 512), &defaults(), "a1");
    assert_eq!((end, sent.len()), (applied(), 1), "the controller would go back to the older one");
    let mut paused = Cluster::new("Deployment", 1, &one());
    let path = paused.workload_path();
    paused.change(&path, &json!({"spec": {"paused": true}}));
    paused.settle();
    let (end, sent) = paused.drive(wanted(600, 512), &defaults(), "a1");
    assert_eq!((end, sent.len()), (applied(), 1), "somebody else has paused it");
    assert_eq!(paused.workload()["spec"]["paused"], true);
}

#[test]
fn a_deployment_that_was_paused_is_resumed_whatever_came_between() {
    let paused = || {
        let mut cluster = Cluster::new("Deployment", 1, &one());
        cluster.drive(wanted(600, 512), &rules(OnStuck::GiveUp, TemplateRule::Leave), "a1");
        let Step::Send(request) = cluster.next(wanted(600, 512), &defaults(), "a1") else { panic!("nothing sent") };
        cluster.take(&request);
        cluster.settle();
        assert_eq!(cluster.workload()["spec"]["paused"], true);
        cluster
    };
    let is_resumed = |cluster: &Cluster| {
        let workload = cluster.workload();
        workload["spec"]["paused"].is_null() && workload["metadata"]["annotations"]["prescale.io/paused-for"].is_null()
    };
    let mut withdrawn = paused();
    let Some(Step::TidyUp(request)) = settled(&withdrawn.look(), wanted(600, 512)) else { panic!("nothing sent") };
    withdrawn.take(&request);
    assert!(is_resumed(&withdrawn) && settled(&withdrawn.look(), wanted(600, 512)).is_none());
    assert_eq!(limits(withdrawn.workload()), limits(withdrawn.set("web-1")));
    let mut another = paused();
    let path = another.workload_path();
    another
        .change(&path, &json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "web:2"}]}}}}));
    another.settle();
    another.drive(wanted(600, 512), &defaults(), "a1");
    assert!(is_resumed(&another), "its new template is rolled out");
    let mut later = paused();
    let (end, _) = later.drive(wanted(700, 512), &defaults(), "a2");
    assert!(end == applied() && is_resumed(&later));
    assert_eq!(
        (&limits(later.workload())["cpu"], &limits(later.set("web-1"))["cpu"]),
        (&json!("700m"), &json!("700m"))
    );
    let mut resumed = paused();
    let path = resumed.workload_path();
    resumed.change(&path, &json!({"spec": {"paused": null}}));
    resumed.settle();
    assert!(resumed.drive(wanted(600, 512), &defaults(), "a1").0 == applied() && is_resumed(&resumed));
}

#[test]
fn what_a_withdrawn_action_waits_for_is_taken_back() {
    let mut cluster = Cluster::new("StatefulSet", 1, &one());
    cluster.held.insert("web-0".to_owned());
    cluster.drive(wanted(900, 512), &defaults(), "a1");
    assert!(settled(&cluster.look(), wanted(900, 512)).is_none(), "it may be granted at any moment");
    cluster.change_pod(0, &pending("Deferred", 0));
    assert!(settled(&cluster.look(), wanted(800, 512)).is_none(), "it waits for what somebody else asks for");
    let Some(Step::TidyUp(request)) = settled(&cluster.look(), wanted(900, 512)) else { panic!("nothing sent") };
    cluster.take(&request);
    assert_eq!(limits(cluster.pod(0))["cpu"], "500m");
    assert!(settled(&cluster.look(), wanted(900, 512)).is_none());
}

proptest! {
    #[test]
    fn whatever_containers_have_they_come_to_what_is_wanted(
        sizes in prop::collection::vec((50..4000_u64, 64..4096_u64), 1..4),
        pods in 1..5_usize,
        cpu_millis in 50..20_000_u64,
        mib in 64..20_000_u64,
    ) {
        let containers = sizes.iter().enumerate().map(|(n, (millis, mib))| container(&format!("c{n}"), *millis, *mib));
        let mut cluster = Cluster::new("Deployment", pods, &containers.collect());
        let (end, sent) = cluster.drive(wanted(cpu_millis, mib), &defaults(), "a1");
        prop_assert_eq!(end, applied());
        prop_assert!(sent.len() <= pods + 3);
        prop_assert_eq!(cluster.drive(wanted(cpu_millis, mib), &defaults(), "a2"), (applied(), vec![]));
        prop_assert_eq!(limits(cluster.workload()), limits(cluster.set("web-1")));
    }
}
