//! The chart's rights are those that are needed: each of them is used, and without any one of them something that the
//! actuator is for does not work.

use super::controlled::resizing;
use super::world::{World, asked_by};
use super::{autoscalers, deployment, scaled};
use bus_tests::repository;
use integration_tests::actuators::{now, replicas};
use integration_tests::kubernetes::Cluster;
use integration_tests::processes::until;
use prescale_domain::action::{Action, ActionOutcome};
use prescale_domain::workload::WorkloadId;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::sync::Arc;

/// The longest that an action is tried for which a right is missing.
const VALID_S: i64 = 20;
/// Parts of the chart's file that replicas need, with the lease's, which goes without saying.
const PARTS: [&str; 4] = ["look", "scale", "autoscalers", "lease"];

/// Parts that sizing needs, with the lease's.
const SIZING: [&str; 3] = ["look", "size", "lease"];
/// Kinds of what is sized.
const SIZED: [&str; 3] = ["Deployment", "ReplicaSet", "StatefulSet"];

/// Status where there is no such kind: who may ask for what is used hears of no metrics server.
const ABSENT: Range<u16> = 404..405;
/// Statuses of what was allowed and of what was not.
const USED: Range<u16> = 200..300;
pub(super) const FORBIDDEN: Range<u16> = 403..404;

/// API group, resource and verb.
pub(super) type Right = (String, String, String);

/// All that the chart's file has for these parts.
pub(super) fn rights(parts: &[&'static str]) -> Vec<(&'static str, Right)> {
    let text = fs::read_to_string(repository().join("infra/chart/prescale/files/rights.json")).expect("it is there");
    let file: Value = serde_json::from_str(&text).expect("it is JSON");
    let of_rule = |rule: &Value| {
        let texts = |field: &str| -> Vec<String> {
            let texts = rule[field].as_array().expect("a list").iter().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        };
        let (groups, resources, verbs) = (texts("apiGroups"), texts("resources"), texts("verbs"));
        let mut rights: Vec<Right> = Vec::new();
        for (group, resource) in groups.iter().flat_map(|group| resources.iter().map(move |r| (group, r))) {
            rights.extend(verbs.iter().map(|verb| (group.clone(), resource.clone(), verb.clone())));
        }
        rights
    };
    let of_part = |part: &'static str| {
        let rules = file[part].as_array().expect("a list of rules").clone();
        rules.into_iter().flat_map(move |rule| of_rule(&rule)).map(move |right| (part, right))
    };
    parts.iter().copied().flat_map(of_part).collect()
}

/// A world in which all parts of the chart's rights are needed.
fn world() -> World {
    let world = World::new(&PARTS[..3], "autoscaler = \"raise-min\"\ncall_deadline_s = 5\n");
    let (cluster, namespace) = (world.cluster, &world.namespace);
    for kind in ["ReplicaSet", "StatefulSet"] {
        cluster.apply(&scaled(kind, namespace, "plain", 2));
    }
    for name in ["plain", "hpa", "keda"] {
        cluster.apply(&deployment(namespace, name, 2));
    }
    cluster.apply(&autoscalers::horizontal(namespace, "hpa", 1));
    let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "keda" });
    cluster.apply(&json!({
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": { "namespace": namespace, "name": "keda" },
        "spec": { "scaleTargetRef": target, "minReplicaCount": 1, "maxReplicaCount": 10 },
    }));
    world
}

/// Makes KEDA's kind, without KEDA.
fn make_scaled_objects(cluster: &Cluster) {
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    cluster.define(("keda.sh", "v1alpha1"), ("ScaledObject", "scaledobjects"), &schema);
}

/// Tells of all workloads of the world that they are to grow; the actions' ids.
fn tell_all(world: &mut World) -> Vec<Arc<str>> {
    let workloads = ["Deployment/plain", "ReplicaSet/plain", "StatefulSet/plain", "Deployment/hpa", "Deployment/keda"];
    let tell = |workload: &str| {
        let name = format!("{}/{workload}", world.namespace);
        let action = replicas(&world.namespace, "any", 2, 3);
        let workload = WorkloadId::new(&name).expect("a name");
        world.actuators.tell(&Action { workload, valid_until: now().plus_s(VALID_S), ..action })
    };
    workloads.into_iter().map(tell).collect()
}

/// Sets the rights to these, in place of the chart's.
fn allow<'a>(world: &World, is_lease: bool, rights: impl Iterator<Item = &'a Right>) {
    let name = if is_lease { format!("{}-lease", world.namespace) } else { world.namespace.clone() };
    world.cluster.apply(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": { "namespace": world.namespace, "name": name },
        "rules": rules(rights),
    }));
}

/// The rules of a role that gives these rights.
pub(super) fn rules<'a>(rights: impl Iterator<Item = &'a Right>) -> Vec<Value> {
    let rule =
        |(group, resource, verb): &Right| json!({ "apiGroups": [group], "resources": [resource], "verbs": [verb] });
    rights.map(rule).collect()
}

/// Waits until the server knows that a user may do this in a namespace, or with none everywhere, or may not; it hears of
/// roles by a watch.
pub(super) fn until_known(cluster: &Cluster, user: &str, namespace: &str, right: &Right, is_allowed: bool) {
    let (group, resource, verb) = right;
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let attributes = json!({
        "namespace": namespace,
        "group": group,
        "resource": resource,
        "subresource": subresource,
        "name": "prescale-actuator",
        "verb": verb,
    });
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": { "user": user, "resourceAttributes": attributes },
    });
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    until("the server to know of a right", || cluster.done("POST", path, &review)["status"]["allowed"] == is_allowed);
}

/// What somebody has asked for with an answer among these.
pub(super) fn asked(cluster: &Cluster, user: &str, statuses: &Range<u16>) -> BTreeSet<Right> {
    let answered = asked_by(cluster, user).into_iter().filter(|event| statuses.contains(&event.status));
    answered.map(|event| (event.group, event.resource, event.verb)).collect()
}

#[test]
fn each_right_that_replicas_take_is_used_and_needed_and_none_is_lacking() {
    make_scaled_objects(Cluster::shared());
    let rights = rights(&PARTS);
    let mut whole = world();
    rights.iter().for_each(|(_, right)| until_known(whole.cluster, &whole.user, &whole.namespace, right, true));
    whole.start();
    for id in tell_all(&mut whole) {
        let result = whole.actuators.result(&id);
        assert!(matches!(result.outcome, ActionOutcome::Applied { .. }), "{result:?}");
    }
    // It gives the lease back.
    whole.actuators.terminate_all();
    let all: BTreeSet<Right> = rights.iter().map(|(_, right)| right.clone()).collect();
    assert_eq!(asked(whole.cluster, &whole.user, &USED), all, "what is used is what there is");
    assert_eq!(asked(whole.cluster, &whole.user, &FORBIDDEN), BTreeSet::new());
    let rights = &rights;
    std::thread::scope(|scope| {
        for lacking in rights {
            scope.spawn(move || lacks(rights, lacking));
        }
    });
}

/// Fails where everything works without this one.
fn lacks(rights: &[(&'static str, Right)], lacking: &(&'static str, Right)) {
    let (part, right) = lacking;
    let mut world = world();
    let is_lease = *part == "lease";
    let others = rights.iter().filter(|(part, other)| (*part == "lease") == is_lease && other != right);
    allow(&world, is_lease, others.map(|(_, right)| right));
    until_known(world.cluster, &world.user, &world.namespace, right, false);
    world.start();
    let ids = tell_all(&mut world);
    until(&format!("{right:?} to be missed"), || asked(world.cluster, &world.user, &FORBIDDEN).contains(right));
    if is_lease {
        return;
    }
    let outcomes: Vec<ActionOutcome> = ids.iter().map(|id| world.actuators.result(id).outcome).collect();
    let applied = outcomes.iter().filter(|outcome| matches!(outcome, ActionOutcome::Applied { .. })).count();
    assert!(applied < ids.len(), "all is done without {right:?}");
}

mod controlled {
    use super::*;

    /// A world with something of each kind whose pods are sized and whose template follows.
    fn sizing_world() -> World {
        let world = World::controlled(&SIZING[..2], "call_deadline_s = 5");
        for kind in SIZED {
            let mut object = scaled(kind, &world.namespace, &kind.to_lowercase(), 1);
            if kind == "StatefulSet" {
                object["spec"]["updateStrategy"] = json!({ "type": "OnDelete" });
            }
            world.cluster.apply(&object);
        }
        let is_ready = |pod: &Value| pod["status"]["phase"] == "Running";
        until("the pods", || SIZED.iter().all(|kind| world.pods(&kind.to_lowercase()).iter().any(is_ready)));
        world
    }

    /// Tells of all of them that they are to grow; the actions' ids.
    fn size_all(world: &mut World) -> Vec<Arc<str>> {
        let size = |kind: &str| {
            let name = kind.to_lowercase();
            let workload = WorkloadId::new(&format!("{}/{kind}/{name}", world.namespace)).expect("a name");
            let action = Action { workload, ..resizing::size(world, &name, 1, 1.5, 768.0) };
            world.actuators.tell(&action)
        };
        SIZED.into_iter().map(size).collect()
    }

    #[test]
    fn each_right_that_sizing_takes_is_used_and_none_is_lacking() {
        make_scaled_objects(Cluster::controlled());
        let rights = rights(&SIZING);
        let mut whole = sizing_world();
        rights.iter().for_each(|(_, right)| until_known(whole.cluster, &whole.user, &whole.namespace, right, true));
        whole.start();
        for id in size_all(&mut whole) {
            let result = whole.actuators.result(&id);
            assert!(matches!(result.outcome, ActionOutcome::Applied { .. }), "{result:?}");
        }
        whole.actuators.terminate_all();
        let all: BTreeSet<Right> = rights.iter().map(|(_, right)| right.clone()).collect();
        let used: BTreeSet<Right> =
            [USED, ABSENT].iter().flat_map(|statuses| asked(whole.cluster, &whole.user, statuses)).collect();
        assert_eq!(used, all, "what is used is what there is");
        assert_eq!(asked(whole.cluster, &whole.user, &FORBIDDEN), BTreeSet::new());
        let of_sizing: Vec<&Right> =
            rights.iter().filter(|(part, _)| *part != "lease").map(|(_, right)| right).collect();
        let of_sizing = &of_sizing;
        std::thread::scope(|scope| {
            for lacking in of_sizing {
                scope.spawn(move || is_missed(of_sizing, lacking));
            }
        });
    }

    /// Fails where this one is not asked for, or everything is changed without it that takes it.
    fn is_missed(rights: &[&Right], lacking: &Right) {
        let mut world = sizing_world();
        allow(&world, false, rights.iter().copied().filter(|right| *right != lacking));
        until_known(world.cluster, &world.user, &world.namespace, lacking, false);
        world.start();
        let ids = size_all(&mut world);
        until(&format!("{lacking:?} to be missed"), || asked(world.cluster, &world.user, &FORBIDDEN).contains(lacking));
        if lacking.2 == "patch" {
            let has_failed = |id: &Arc<str>| matches!(world.actuators.result(id).outcome, ActionOutcome::Failed { .. });
            assert!(ids.iter().any(has_failed), "all is done without {lacking:?}");
        }
    }
}
