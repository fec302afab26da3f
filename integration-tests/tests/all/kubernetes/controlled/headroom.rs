//! Room on nodes for what an autoscaler will add, where controllers and scheduler are real.

use crate::kubernetes::autoscalers::horizontal;
use crate::kubernetes::deployment;
use crate::kubernetes::world::World;
use integration_tests::actuators::replicas;
use integration_tests::kubernetes::Cluster;
use integration_tests::kubernetes::controllers::CORES;
use integration_tests::processes::until;
use prescale_domain::action::ActionOutcome;
use serde_json::{Value, json};
use std::sync::Arc;

const ROOM: &str = "prescale-deployment-web";

/// Makes the kind of the cluster autoscaler's buffers, as its API has it.
fn make_buffers(cluster: &Cluster) {
    let text = json!({ "type": "string" });
    let count = json!({ "type": "integer", "format": "int32", "minimum": 0 });
    let reference = json!({
        "type": "object",
        "required": ["kind", "name"],
        "properties": { "apiGroup": text, "kind": text, "name": text },
    });
    let spec = json!({
        "type": "object",
        "properties": {
            "provisioningStrategy": text,
            "scalableRef": reference,
            "replicas": count,
            "percentage": count,
        },
    });
    let schema = json!({ "type": "object", "properties": { "spec": spec } });
    cluster.define(("autoscaling.x-k8s.io", "v1beta1"), ("CapacityBuffer", "capacitybuffers"), &schema);
}

/// A Deployment of two replicas that an autoscaler owns, and an action that takes it to five.
fn told(world: &mut World, object: &Value) -> Arc<str> {
    world.cluster.apply(object);
    world.cluster.apply(&horizontal(&world.namespace, "web", 2));
    world.until_ready("web");
    world.start();
    world.actuators.tell(&replicas(&world.namespace, "web", 2, 5))
}

/// The autoscaler adds what is missing.
fn adds(world: &World) {
    world.cluster.apply(&horizontal(&world.namespace, "web", 5));
}

/// The room has gone, the replicas are there, and they were the autoscaler's to add.
fn assert_made_way(world: &World, id: &str, path: &str) {
    let outcome = world.actuators.result(id).outcome;
    assert!(matches!(outcome, ActionOutcome::Applied { .. }), "{outcome:?}");
    assert_eq!(world.cluster.ask("GET", path, &Value::Null).0, 404, "it is not needed any more");
    assert_eq!((world.replicas("web"), world.effects_on("web").len()), (5, 0));
    let of_room = world.asked().into_iter().filter(|event| event.is_effect() && event.name == ROOM);
    let verbs: Vec<String> = of_room.map(|event| event.verb).collect();
    assert_eq!((verbs.first().map(String::as_str), verbs.last().map(String::as_str)), (Some("create"), Some("delete")));
}

#[test]
fn a_buffer_is_there_until_the_autoscaler_has_added_what_is_missing() {
    make_buffers(Cluster::controlled());
    let mut world = World::controlled(&["look", "buffer"], "node_headroom = \"buffer\"");
    let object = deployment(&world.namespace, "web", 2);
    let id = told(&mut world, &object);
    let path = format!("/apis/autoscaling.x-k8s.io/v1beta1/namespaces/{}/capacitybuffers/{ROOM}", world.namespace);
    until("a buffer", || world.cluster.ask("GET", &path, &Value::Null).0 == 200);
    let spec = world.get(&path)["spec"].clone();
    assert_eq!((&spec["replicas"], &spec["scalableRef"]["name"]), (&json!(3), &json!("web")), "{spec}");
    adds(&world);
    assert_made_way(&world, &id, &path);
}

#[test]
fn placeholders_keep_room_and_make_way_for_what_the_autoscaler_adds() {
    let mut world = World::controlled(&["look", "placeholders"], "node_headroom = \"placeholder\"");
    world.cluster.apply(&json!({
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": { "name": "prescale-placeholder" },
        "value": -10,
    }));
    // A node of its own that has room for the five, which ask for half a core each, and for no sixth.
    let node = format!("node-of-{}", world.namespace);
    world.cluster.apply(&json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": node,
            "annotations": { "kwok.x-k8s.io/node": "fake", CORES: "2500m" },
            "labels": { "pool": world.namespace },
        },
        "spec": { "taints": [{ "key": "pool", "value": world.namespace, "effect": "NoSchedule" }] },
    }));
    let mut object = deployment(&world.namespace, "web", 2);
    object["spec"]["template"]["spec"]["nodeSelector"] = json!({ "pool": world.namespace });
    object["spec"]["template"]["spec"]["tolerations"] = json!([{ "key": "pool", "operator": "Exists" }]);
    let id = told(&mut world, &object);
    let path = world.path(ROOM);
    until("placeholders", || {
        let (status, found) = world.cluster.ask("GET", &path, &Value::Null);
        status == 200 && found["status"]["readyReplicas"] == 3
    });
    assert_eq!(world.get(&path)["spec"]["template"]["spec"]["nodeSelector"]["pool"], json!(world.namespace));
    adds(&world);
    // The node is full, so what is added has to take their room.
    world.until_ready("web");
    assert_made_way(&world, &id, &path);
}
