//! Raising an autoscaler's least number and giving it back.

use super::*;
use crate::drive::driver::Aim;
use crate::kubernetes::testing::{aim, target, with_action, withdrawal};
use prescale_domain::time::EventTime;

fn list(spec: &Value, annotations: &Value) -> Value {
    json!({"items": [
        {"metadata": {"name": "other", "resourceVersion": "1"}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "other"}}},
        {"metadata": {"name": "web", "resourceVersion": "9", "annotations": annotations}, "spec": spec},
    ]})
}

fn hpa(min: u32, annotations: &Value) -> Autoscaler {
    let spec = json!({
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": min, "maxReplicas": 9,
    });
    Autoscaler::of(Kind::HorizontalPodAutoscaler, &list(&spec, annotations), &target()).unwrap()
}

/// As the server has it after a request.
fn after(step: Option<Step>) -> Autoscaler {
    let Some(Step::Send(request)) = step else { panic!("{step:?} sends nothing") };
    assert_eq!(request.body["metadata"]["resourceVersion"], "9");
    let min = count(&request.body["spec"]["minReplicas"]).unwrap();
    hpa(min, &request.body["metadata"]["annotations"])
}

fn later(of: &Aim, to: u32) -> Aim {
    let mut aim = with_action(of, |action| {
        action.decided_at = EventTime::from_s(2000);
        action.desired.replicas = to;
    });
    let mut order = Order::clone(&aim.order);
    order.envelope.id = format!("later-{to}").into();
    aim.order = Arc::new(order);
    aim
}

#[test]
fn it_is_found_by_its_target_and_keda_has_fields_of_its_own() {
    assert_eq!(hpa(2, &Value::Null).name(), "HorizontalPodAutoscaler web");
    let spec = json!({"scaleTargetRef": {"name": "web"}});
    let keda = Autoscaler::of(Kind::ScaledObject, &list(&spec, &Value::Null), &target()).unwrap();
    assert_eq!((keda.min, keda.max), (0, 100), "a reference without a kind is to a Deployment");
    let Some(Step::Send(request)) = raised(&keda, &aim(3, 5).order) else { panic!("it is not raised") };
    assert_eq!(request.path, "/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects/web");
    assert_eq!(request.body["spec"]["minReplicaCount"], 5);
    let elsewhere = json!({"scaleTargetRef": {"kind": "StatefulSet", "name": "web"}});
    assert_eq!(Autoscaler::of(Kind::ScaledObject, &list(&elsewhere, &Value::Null), &target()), None);
}

#[test]
fn it_is_known_whether_it_goes_by_what_pods_request() {
    let resource = |kind: &str| json!({"metrics": [{"type": "Resource", "resource": {"target": {"type": kind}}}]});
    let container = json!({"metrics": [{"containerResource": {"target": {"type": "Utilization"}}}]});
    let external = json!({"metrics": [{"type": "External", "external": {"target": {"type": "AverageValue"}}}]});
    let of_hpa = |spec: &Value| goes_by_requests(Kind::HorizontalPodAutoscaler, spec);
    assert!(of_hpa(&resource("Utilization")) && of_hpa(&container) && of_hpa(&json!({})));
    assert!(!of_hpa(&resource("AverageValue")) && !of_hpa(&external));
    let of_keda = |trigger: Value| goes_by_requests(Kind::ScaledObject, &json!({"triggers": [trigger]}));
    assert!(of_keda(json!({"type": "cpu"})) && of_keda(json!({"type": "memory", "metricType": "Utilization"})));
    assert!(!of_keda(json!({"type": "cpu", "metricType": "AverageValue"})) && !of_keda(json!({"type": "kafka"})));
}

#[test]
fn it_is_raised_further_raised_and_given_back_to_what_it_was() {
    let first = aim(3, 5);
    let up = after(raised(&hpa(2, &Value::Null), &first.order));
    assert_eq!((up.min, up.own_min(), up.bears(&first.order)), (5, 2, true));
    assert_eq!(raised(&up, &first.order), None, "it has been told");
    let second = later(&first, 7);
    let further = after(raised(&up, &second.order));
    assert_eq!((further.min, further.own_min(), further.bears(&first.order)), (7, 2, false));
    let down = after(raised(&further, &later(&first, 2).order));
    assert_eq!((down.min, down.is_raised()), (2, false));
    assert_eq!(raised(&down, &later(&first, 1).order), None, "it never goes below its own");
}

#[test]
fn it_never_goes_beyond_what_it_allows_nor_against_who_has_set_it_since() {
    let order = aim(3, 10).order;
    let most = after(raised(&hpa(2, &Value::Null), &order));
    assert_eq!((most.min, most.own_min(), raised(&most, &order)), (9, 2, None));
    let why = most.falls_short(&order).unwrap();
    assert!(why.contains("allows 9 of the 10 replicas") && why.contains("raise its maxReplicas"), "{why}");
    assert_eq!(most.falls_short(&aim(3, 9).order), None);
    let first = aim(3, 5);
    let mut meddled = after(raised(&hpa(2, &Value::Null), &first.order));
    meddled.min = 3;
    assert!(matches!(raised(&meddled, &first.order), Some(Step::Done(ActionOutcome::Superseded { .. }))));
}

#[test]
fn a_withdrawal_gives_back_what_its_action_has_raised_and_nothing_else() {
    let first = aim(3, 5);
    let up = after(raised(&hpa(2, &Value::Null), &first.order));
    let back = after(Some(given_back(&up, &withdrawal(&first).order, "paused".to_owned())));
    assert_eq!((back.min, back.is_raised()), (2, false));
    let other = withdrawal(&later(&first, 6));
    for (autoscaler, withdrawn) in [(&up, &other), (&back, &withdrawal(&first))] {
        let step = given_back(autoscaler, &withdrawn.order, "paused".to_owned());
        assert_eq!(step, Step::Done(ActionOutcome::Superseded { why: "paused".to_owned() }));
    }
}
