//! Deployments whose number of replicas an autoscaler owns.

use super::deployment;
use super::world::World;
use integration_tests::actuators::replicas;
use prescale_domain::action::{Action, ActionOutcome, Reason};
use serde_json::{Value, json};

/// A HorizontalPodAutoscaler of the Deployment of the same name.
pub(super) fn horizontal(namespace: &str, name: &str, least: u32) -> Value {
    let metric = json!({
        "type": "Resource",
        "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 70 } },
    });
    json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": { "namespace": namespace, "name": name },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name },
            "minReplicas": least,
            "maxReplicas": 10,
            "metrics": [metric],
        },
    })
}

#[test]
fn what_an_autoscaler_owns_is_left_to_it() {
    let mut world = World::new(&["look", "scale"], "");
    world.cluster.apply(&deployment(&world.namespace, "web", 2));
    world.cluster.apply(&horizontal(&world.namespace, "web", 1));
    world.start();
    let id = world.actuators.tell(&replicas(&world.namespace, "web", 2, 4));
    let outcome = world.actuators.result(&id).outcome;
    let ActionOutcome::Failed { why, .. } = &outcome else { panic!("{outcome:?}") };
    assert!(why.contains("HorizontalPodAutoscaler web owns"), "{why}");
    assert_eq!((world.replicas("web"), world.effects_on("web").len()), (2, 0));
}

#[test]
fn where_it_is_asked_for_an_autoscalers_least_number_is_raised_and_given_back() {
    let mut world = World::new(&["look", "autoscalers"], "autoscaler = \"raise-min\"");
    world.cluster.apply(&deployment(&world.namespace, "web", 2));
    world.cluster.apply(&horizontal(&world.namespace, "web", 2));
    let path = format!("/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers/web", world.namespace);
    let least = |world: &World| world.cluster.done("GET", &path, &Value::Null)["spec"]["minReplicas"].clone();
    world.start();
    let grown = replicas(&world.namespace, "web", 2, 6);
    let id = world.actuators.tell(&grown);
    let outcome = world.actuators.result(&id).outcome;
    assert!(matches!(outcome, ActionOutcome::Applied { .. }), "{outcome:?}");
    assert_eq!((least(&world), world.replicas("web")), (json!(6), 6));
    let shrunk = Action { decided_at: grown.decided_at.plus_s(1), ..replicas(&world.namespace, "web", 6, 3) };
    let id = world.actuators.tell(&shrunk);
    let outcome = world.actuators.result(&id).outcome;
    assert!(matches!(outcome, ActionOutcome::Applied { .. }), "{outcome:?}");
    assert_eq!((least(&world), world.replicas("web")), (json!(3), 6), "the rest is the autoscaler's to decide");
    let why = Reason { rule: "governor.paused".into(), text: "paused".into() };
    let id = world.actuators.tell(&shrunk.withdrawn(why));
    let outcome = world.actuators.result(&id).outcome;
    assert!(matches!(outcome, ActionOutcome::Superseded { .. }), "{outcome:?}");
    assert_eq!(least(&world), json!(2), "it has its own again");
    assert_eq!(world.effects_on("web").len(), 3);
    world.actuators.terminate_all();
}

mod controlled {
    use super::*;

    #[test]
    fn a_real_autoscaler_does_what_its_raised_least_number_says_as_far_as_it_allows() {
        let mut world = World::controlled(&["look", "autoscalers"], "autoscaler = \"raise-min\"");
        let object = deployment(&world.namespace, "web", 2);
        world.cluster.apply(&object);
        world.cluster.apply(&horizontal(&world.namespace, "web", 2));
        world.until_ready("web");
        let path = format!("/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers/web", world.namespace);
        world.start();
        let grown = replicas(&world.namespace, "web", 2, 6);
        let id = world.actuators.tell(&grown);
        let outcome = world.actuators.result(&id).outcome;
        assert!(matches!(outcome, ActionOutcome::Applied { .. }), "{outcome:?}");
        assert_eq!((world.replicas("web"), world.pods("web").len()), (6, 6));
        let beyond = Action { decided_at: grown.decided_at.plus_s(1), ..replicas(&world.namespace, "web", 6, 12) };
        let id = world.actuators.tell(&beyond);
        let outcome = world.actuators.result(&id).outcome;
        let ActionOutcome::Failed { why, .. } = &outcome else { panic!("{outcome:?}") };
        assert!(why.contains("allows 10 of the 12 replicas"), "{why}");
        assert_eq!((world.replicas("web"), world.pods("web").len()), (10, 10));
        let why = Reason { rule: "governor.paused".into(), text: "paused".into() };
        let id = world.actuators.tell(&beyond.withdrawn(why));
        let outcome = world.actuators.result(&id).outcome;
        assert!(matches!(outcome, ActionOutcome::Superseded { .. }), "{outcome:?}");
        let found = world.get(&path);
        assert_eq!(found["spec"]["minReplicas"], 2, "it has its own again");
        assert!(found["metadata"]["annotations"]["prescale.io/min-before"].is_null(), "{found}");
        let scaled = world.asked().into_iter().filter(|event| event.is_effect() && event.resource.ends_with("/scale"));
        assert_eq!((scaled.count(), world.effects_on("web").len()), (0, 3), "the number itself is the autoscaler's");
    }
}
