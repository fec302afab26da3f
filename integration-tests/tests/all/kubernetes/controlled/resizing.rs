//! Pods that are sized in place where controllers are real and kwok plays the kubelets, but for what the test answers in
//! their place.

use crate::kubernetes::deployment;
use crate::kubernetes::world::World;
use integration_tests::actuators::{now, replicas};
use integration_tests::kubernetes::controllers::UNANSWERED;
use integration_tests::kubernetes::faults::Fault;
use integration_tests::processes::until;
use prescale_contracts::rfc3339;
use prescale_domain::action::{Action, ActionOutcome, ActionResult, Mechanism, Verdict};
use prescale_domain::sample::Capacity;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const PARTS: [&str; 2] = ["look", "size"];
const MIB: f64 = 1_048_576.0;
/// A node without room is given up after 300 s: so long ago the actions here were decided.
const AGO_S: i64 = 400;

/// An action that gives each of so many replicas of a Deployment so many cores and MiB, where it has 1 and 512.
pub(in crate::kubernetes) fn size(world: &World, name: &str, count: u32, cpu_cores: f64, mib: f64) -> Action {
    let action = replicas(&world.namespace, name, count, count);
    let memory_bytes_per_replica = mib * MIB;
    let desired = Capacity { cpu_cores_per_replica: cpu_cores, memory_bytes_per_replica, ..action.desired.clone() };
    Action { verdict: Verdict::ScaleOut, mechanism: Mechanism::Limits, desired, ..action }
}

/// What each container asks for after `size` with 1.5 cores and 768 MiB.
fn grown() -> Value {
    json!({ "limits": { "cpu": "1500m", "memory": "768Mi" }, "requests": { "cpu": "750m", "memory": "384Mi" } })
}

fn plain() -> Value {
    json!({ "limits": { "cpu": "1", "memory": "512Mi" }, "requests": { "cpu": "500m", "memory": "256Mi" } })
}

/// A Deployment whose pods' resizes the test answers.
fn unanswered(world: &World, name: &str, count: u32) -> Value {
    let mut object = deployment(&world.namespace, name, count);
    object["spec"]["template"]["metadata"]["labels"][UNANSWERED] = json!("true");
    object
}

fn resources(pod: &Value) -> &Value {
    &pod["spec"]["containers"][0]["resources"]
}

fn uids(pods: &[Value]) -> BTreeSet<String> {
    pods.iter().map(|pod| pod["metadata"]["uid"].as_str().expect("a uid").to_owned()).collect()
}

/// ReplicaSets of a Deployment.
fn sets(world: &World, name: &str) -> usize {
    let path = format!("/apis/apps/v1/namespaces/{}/replicasets?labelSelector=app%3D{name}", world.namespace);
    world.get(&path)["items"].as_array().expect("a list").len()
}

/// How often pods were asked to be resized, by the server's audit log.
fn resizes(world: &World) -> usize {
    world.asked().iter().filter(|event| event.is_effect() && event.resource == "pods/resize").count()
}

fn is_applied(result: &ActionResult) -> bool {
    matches!(result.outcome, ActionOutcome::Applied { .. })
}

fn failure(result: &ActionResult) -> &str {
    let ActionOutcome::Failed { why, .. } = &result.outcome else { panic!("{result:?}") };
    why
}

/// Waits until the pods of a Deployment are there, and it is as it was asked for.
fn made(world: &World, object: &Value, name: &str) -> BTreeSet<String> {
    world.cluster.apply(object);
    world.until_ready(name);
    uids(&world.pods(name))
}

/// The first pod that asks for more than it has, once there is one.
fn asking(world: &World, name: &str) -> Value {
    let mut found = None;
    until("a pod to ask for more", || {
        found = world.pods(name).into_iter().find(|pod| *resources(pod) == grown());
        found.is_some()
    });
    found.expect("it was found")
}

/// Says in the kubelet's place that a pod's resize is pending.
fn pend(world: &World, pod: &Value, reason: &str) {
    let since = rfc3339(now().plus_s(1 - AGO_S));
    let pending = json!({
        "type": "PodResizePending",
        "status": "True",
        "reason": reason,
        "message": "by the test",
        "lastTransitionTime": since,
    });
    let mut conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.push(pending);
    let status = json!({ "conditions": conditions, "observedGeneration": pod["metadata"]["generation"] });
    let name = pod["metadata"]["name"].as_str().expect("a name");
    let path = format!("/api/v1/namespaces/{}/pods/{name}/status", world.namespace);
    world.cluster.done("PATCH", &path, &json!({ "status": status }));
}

#[test]
fn all_pods_come_to_their_size_none_is_replaced_and_a_later_rollout_keeps_it() {
    let mut world = World::controlled(&PARTS, "[actuator.kubernetes.resize]\npods_share_max = 0.5\n");
    let object = deployment(&world.namespace, "web", 4);
    let before = made(&world, &object, "web");
    world.start();
    let action = size(&world, "web", 4, 1.5, 768.0);
    let id = world.actuators.tell(&action);
    let result = world.actuators.result(&id);
    assert!(is_applied(&result), "{result:?}");
    let pods = world.pods("web");
    for pod in &pods {
        assert_eq!(*resources(pod), grown());
        assert_eq!(pod["status"]["containerStatuses"][0]["allocatedResources"], grown()["requests"]);
    }
    assert_eq!((uids(&pods), resizes(&world), sets(&world, "web")), (before.clone(), 4, 1), "none was replaced");
    let found = world.get(&world.path("web"));
    assert_eq!(*resources(&found["spec"]["template"]), grown(), "the template has followed");
    assert!(found["spec"]["paused"].is_null(), "{found}");
    assert!(found["metadata"]["annotations"]["prescale.io/paused-for"].is_null(), "{found}");
    let restart = json!({ "kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z" });
    let rollout = json!({ "spec": { "replicas": 5, "template": { "metadata": { "annotations": restart } } } });
    world.cluster.done("PATCH", &world.path("web"), &rollout);
    world.until_ready("web");
    let pods = world.pods("web");
    assert_eq!((pods.len(), sets(&world, "web")), (5, 2));
    assert!(pods.iter().all(|pod| *resources(pod) == grown()), "a rollout does not take it back: {pods:?}");
    assert!(uids(&pods).is_disjoint(&before));
}

#[test]
fn what_a_node_has_no_room_for_is_taken_back_after_its_time() {
    let mut world = World::controlled(&PARTS, "");
    let object = unanswered(&world, "web", 2);
    let before = made(&world, &object, "web");
    world.start();
    let action = size(&world, "web", 2, 1.5, 768.0);
    let id = world.actuators.tell(&Action { decided_at: now().plus_s(-AGO_S), ..action });
    pend(&world, &asking(&world, "web"), "Deferred");
    let result = world.actuators.result(&id);
    assert!(failure(&result).contains("has had no room for it for 300 s: by the test"), "{result:?}");
    let pods = world.pods("web");
    assert!(pods.iter().all(|pod| *resources(pod) == plain()), "{pods:?}");
    assert_eq!((uids(&pods), resizes(&world)), (before, 2), "one was asked for more, and then no more");
    let found = world.get(&world.path("web"));
    assert_eq!(*resources(&found["spec"]["template"]), plain());
}

#[test]
fn what_can_never_be_is_asked_for_once() {
    let mut world = World::controlled(&PARTS, "");
    made(&world, &unanswered(&world, "web", 2), "web");
    world.start();
    let first = size(&world, "web", 2, 1.5, 768.0);
    let second = Action { decided_at: first.decided_at.plus_s(1), ..first.clone() };
    for (nth, action) in [first, second].into_iter().enumerate() {
        let id = world.actuators.tell(&action);
        if nth == 0 {
            pend(&world, &asking(&world, "web"), "Infeasible");
        }
        let result = world.actuators.result(&id);
        assert!(failure(&result).contains("can never give it that: by the test"), "{result:?}");
    }
    assert_eq!(resizes(&world), 1);
}

#[test]
fn what_can_never_be_in_place_is_rolled_out_where_that_is_asked_for() {
    let mut world = World::controlled(&PARTS, "[actuator.kubernetes.resize]\non_stuck = \"rollout\"\n");
    let object = unanswered(&world, "web", 2);
    let before = made(&world, &object, "web");
    world.start();
    let action = size(&world, "web", 2, 1.5, 768.0);
    let id = world.actuators.tell(&action);
    pend(&world, &asking(&world, "web"), "Infeasible");
    let result = world.actuators.result(&id);
    assert!(is_applied(&result), "{result:?}");
    let pods = world.pods("web");
    assert!(pods.iter().all(|pod| *resources(pod) == grown()), "{pods:?}");
    assert!(uids(&pods).is_disjoint(&before) && sets(&world, "web") == 2);
}

#[test]
fn a_memory_limit_does_not_go_down_where_nobody_says_what_is_used() {
    let mut world = World::controlled(&PARTS, "");
    let object = deployment(&world.namespace, "web", 1);
    made(&world, &object, "web");
    world.start();
    let action = Action { verdict: Verdict::ScaleIn, ..size(&world, "web", 1, 1.0, 256.0) };
    let id = world.actuators.tell(&action);
    let result = world.actuators.result(&id);
    assert!(failure(&result).contains("nobody says what it uses"), "{result:?}");
    assert_eq!((resizes(&world), resources(&world.pods("web")[0])), (0, &plain()));
}

#[test]
fn a_deployment_whose_actuator_is_killed_while_it_is_paused_is_resumed() {
    let mut world = World::controlled(&PARTS, "");
    let object = deployment(&world.namespace, "web", 1);
    let before = made(&world, &object, "web");
    let path = world.path("web");
    world.proxy.script(move |seen| seen.is_write() && seen.path == path, &[Fault::SilentAfter]);
    world.start();
    let action = size(&world, "web", 1, 1.5, 768.0);
    let id = world.actuators.tell(&action);
    until("the Deployment to be paused", || world.get(&world.path("web"))["spec"]["paused"] == true);
    world.actuators.kill_oldest();
    world.start();
    let result = world.actuators.result(&id);
    assert!(is_applied(&result), "{result:?}");
    let found = world.get(&world.path("web"));
    assert!(found["spec"]["paused"].is_null() && *resources(&found["spec"]["template"]) == grown(), "{found}");
    let pods = world.pods("web");
    assert_eq!((uids(&pods), resizes(&world), sets(&world, "web")), (before, 1, 1));
}
