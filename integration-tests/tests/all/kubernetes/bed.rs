//! What the other tests rest on: rights are asked for, effects are counted, and the proxy does what its script says.

use super::{account, deployment, user};
use integration_tests::kubernetes::Cluster;
use integration_tests::kubernetes::faults::{Fault, Proxy};
use integration_tests::processes::until;
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn rights_are_asked_for_and_effects_are_counted() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace();
    cluster.apply(&deployment(&namespace, "web", 2));
    let token = account(cluster, &namespace, "scaler", &json!([]));
    let scale = format!("/apis/apps/v1/namespaces/{namespace}/deployments/web/scale");
    let replicas = |n: u32| json!({ "spec": { "replicas": n } });
    assert_eq!(cluster.ask_as(&token, "PATCH", &scale, &replicas(3)).0, 403);
    let rule = json!([{ "apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["patch"] }]);
    account(cluster, &namespace, "scaler", &rule);
    // The authorizer hears of it by a watch.
    until("the right", || cluster.ask_as(&token, "PATCH", &format!("{scale}?dryRun=All"), &replicas(9)).0 == 200);
    assert_eq!(cluster.ask_as(&token, "PATCH", &scale, &replicas(3)).1["spec"]["replicas"], 3);
    assert_eq!(cluster.ask_as("nobody's", "GET", &scale, &Value::Null).0, 401);
    let scaler = user(&namespace, "scaler");
    let of_scaler: Vec<_> = cluster.audited().into_iter().filter(|event| event.user == scaler).collect();
    let effects: Vec<_> = of_scaler.iter().filter(|event| event.is_effect()).collect();
    let [effect] = effects.as_slice() else { panic!("{of_scaler:?}") };
    assert_eq!((&*effect.verb, &*effect.resource, &*effect.name), ("patch", "deployments/scale", "web"));
    assert_eq!((&effect.namespace, &effect.body["spec"]["replicas"]), (&namespace, &json!(3)));
    assert!(of_scaler.iter().any(|event| event.is_dry_run && event.status == 200), "{of_scaler:?}");
    assert!(of_scaler.iter().any(|event| event.status == 403), "{of_scaler:?}");
}

#[test]
fn the_proxy_makes_the_mistakes_of_its_script_and_no_others() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace();
    cluster.apply(&deployment(&namespace, "web", 2));
    let proxy = Proxy::before(cluster);
    let scale = format!("/apis/apps/v1/namespaces/{namespace}/deployments/web/scale");
    let replicas = || cluster.done("GET", &scale, &Value::Null)["spec"]["replicas"].as_u64().expect("a number");
    let patch = |n: u32| proxy_answer(cluster, &proxy, &scale, n);
    let throttled = Fault::Refused { status: 429, retry_after_s: Some(7) };
    let faults = [throttled, Fault::Passed, Fault::AnsweredAfter { status: 504 }, Fault::Silent, Fault::SilentAfter];
    proxy.script(|seen| seen.is_write() && seen.path.ends_with("/scale"), &faults);
    assert_eq!((patch(3), replicas()), (Some((429, Some("7".to_owned()))), 2));
    assert_eq!((patch(4), replicas()), (Some((200, None)), 4));
    assert_eq!((patch(5), replicas()), (Some((504, None)), 5));
    assert_eq!((patch(6), replicas()), (None, 5));
    assert_eq!((patch(7), replicas()), (None, 7));
    assert!(proxy.is_played());
    assert_eq!((patch(8), replicas()), (Some((200, None)), 8));
    assert_eq!(proxy.seen().iter().filter(|seen| seen.is_write()).count(), 6);
}

/// Status and `Retry-After` of what comes back through the proxy; `None` where nothing does.
fn proxy_answer(cluster: &Cluster, proxy: &Proxy, path: &str, replicas: u32) -> Option<(u16, Option<String>)> {
    let agent = cluster.agent(Some(Duration::from_secs(3)));
    let body = json!({ "spec": { "replicas": replicas } }).to_string();
    let answer = agent
        .patch(format!("{}{path}", proxy.url()))
        .header("Authorization", cluster.authorization())
        .header("Content-Type", "application/merge-patch+json")
        .send(body)
        .ok()?;
    let retry_after = answer.headers().get("Retry-After").and_then(|value| value.to_str().ok());
    Some((answer.status().as_u16(), retry_after.map(str::to_owned)))
}
