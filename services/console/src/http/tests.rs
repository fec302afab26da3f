//! The routes over a real socket, apart from any bus.

use super::*;
use crate::view::{Bounds, Fact, View};
use prescale_chassis::Secret;
use prescale_domain::sample::{Platform, Sample};
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

fn serve(runtime: &tokio::runtime::Runtime, token: &str) -> (SocketAddr, Arc<Shared>) {
    let shared = Arc::new(Shared::new(View::new(Bounds { workloads_max: 10, points_max: 100 })));
    let door = Door { token: Secret::new(token), is_tls: false };
    let app = router(Server::new(shared.clone(), door), HealthRegistry::default(), Metrics::install().ok());
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move { axum::serve(listener, app).await });
    (address, shared)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn get(address: SocketAddr, path: &str, headers: &str) -> (u16, String, String) {
    ask(address, &format!("GET {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n"))
}

/// Sends an order; the status and what the error says.
fn order(address: SocketAddr, headers: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let head = format!("POST /api/orders HTTP/1.1\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    let (status, _, answer) = ask(address, &(head + body));
    let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{status} {answer:?}: {error}"));
    (status, answer["error"].as_str().unwrap().to_owned())
}

fn ask(address: SocketAddr, request: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_ascii_lowercase(), body.to_owned())
}

const LOCAL: &str = "Host: 127.0.0.1:8080\r\n";
const JSON: &str = "Content-Type: application/json\r\n";
const PAUSE: &str = r#"{"scope":"all","effect":"pause","why":"a release"}"#;

#[test]
fn every_answer_has_the_policy_and_the_page_is_whole() {
    let runtime = runtime();
    let (address, _) = serve(&runtime, "");
    for path in ["/", "/app.js", "/style.css", "/api/fleet", "/api/nothing", "/nothing", "/livez", "/metrics"] {
        let (_, head, _) = get(address, path, LOCAL);
        assert!(head.contains("content-security-policy: default-src 'none'; script-src 'self';"), "{path}: {head}");
        assert!(head.contains("x-content-type-options: nosniff"), "{path}");
    }
    let (status, head, page) = get(address, "/", LOCAL);
    assert!(status == 200 && head.contains("text/html"));
    for file in ["style.css", "theme.js", "app.js", "icon.svg"] {
        assert!(page.contains(file));
        assert_eq!(get(address, &format!("/{file}"), LOCAL).0, 200, "{file}");
    }
    assert!(!page.contains("<style") && !page.contains("onclick"), "nothing inline");
}

#[test]
fn an_unknown_workload_is_404_with_an_error_that_says_so() {
    let runtime = runtime();
    let (address, shared) = serve(&runtime, "");
    let (status, head, body) = get(address, "/api/workloads/web-1", LOCAL);
    assert!(status == 404 && head.contains("application/json"));
    let error: Value = serde_json::from_str(&body).unwrap();
    assert!(error["error"].as_str().unwrap().contains("web-1"));
    let sample = Sample {
        workload: WorkloadId::new("host:a/b").unwrap(),
        source: SourceName::new("host:a").unwrap(),
        at: EventTime::from_s(60),
        step_s: 60,
        kpis: vec![],
        capacity: None,
        platform: Platform::OBSERVED_ONLY,
    };
    shared.view().take(Fact::Sample(sample), 100_000);
    let (status, _, body) = get(address, "/api/workloads/host%3Aa%2Fb", LOCAL);
    assert_eq!(status, 200, "{body}");
    let version = serde_json::from_str::<Value>(&body).unwrap()["version"].as_str().unwrap().to_owned();
    assert_eq!(get(address, &format!("/api/workloads/host%3Aa%2Fb?since={version}"), LOCAL).0, 204);
    let fleet: Value = serde_json::from_str(&get(address, "/api/fleet", LOCAL).2).unwrap();
    assert_eq!(fleet["rows"][0]["id"], "host:a/b");
    let since = fleet["version"].as_str().unwrap();
    assert_eq!(get(address, &format!("/api/fleet?since={since}"), LOCAL).0, 204);
    assert_eq!(get(address, "/api/fleet?since=other.7", LOCAL).0, 200);
}

#[test]
fn groups_are_listed_and_one_that_is_unknown_is_404() {
    let runtime = runtime();
    let (address, _) = serve(&runtime, "");
    let (status, _, body) = get(address, "/api/groups", LOCAL);
    assert!(status == 200 && body.contains("\"groups\":[]"), "{status} {body}");
    let (status, _, body) = get(address, "/api/groups/all", LOCAL);
    assert!(status == 404 && body.contains("no forecast of group"), "{status} {body}");
}

#[test]
fn what_cannot_be_asked_of_a_decision_is_400_and_says_what_can() {
    let runtime = runtime();
    let (address, _) = serve(&runtime, "");
    for (query, remedy) in [
        ("at=yesterday", "give an instant such as 2026-03-01T12:00:00Z"),
        ("at=", "give an instant such as 2026-03-01T12:00:00Z"),
        ("at=2026-02-30T00:00:00Z", "2026-02-30T00:00:00Z"),
        ("format=xml", "expected `json` or `text`"),
    ] {
        let (status, head, body) = get(address, &format!("/api/workloads/web-1/explanation?{query}"), LOCAL);
        assert!(status == 400 && head.contains("application/json"), "{query}: {status} {head}");
        let error: Value = serde_json::from_str(&body).unwrap();
        assert!(error["error"].as_str().unwrap().contains(remedy), "{query}: {error}");
    }
    let without_a_bus = get(address, "/api/workloads/web-1/explanation?at=2026-03-01T12:00:00Z", LOCAL);
    assert_eq!(without_a_bus.0, 503);
}

#[test]
fn without_a_token_only_this_machines_names_are_answered() {
    let runtime = runtime();
    let (address, _) = serve(&runtime, "");
    assert_eq!(get(address, "/api/fleet", "Host: evil.example\r\n").0, 421);
    assert_eq!(get(address, "/", "Host: evil.example\r\n").0, 421);
    assert_eq!(get(address, "/api/fleet", "Host: localhost:9\r\n").0, 200);
}

#[test]
fn with_a_token_the_json_and_metrics_ask_for_it() {
    let runtime = runtime();
    let (address, _) = serve(&runtime, "swordfish");
    let host = "Host: console.example\r\n";
    assert_eq!(get(address, "/", host).0, 200, "the page asks for the token itself");
    assert_eq!(get(address, "/livez", host).0, 200);
    for path in ["/api/fleet", "/api/pipeline", "/metrics"] {
        assert_eq!(get(address, path, host).0, 401, "{path}");
        assert_eq!(get(address, path, &format!("{host}Authorization: Bearer swordfisk\r\n")).0, 401);
        assert_eq!(get(address, path, &format!("{host}Authorization: Bearer swordfish\r\n")).0, 200);
    }
}

#[test]
fn an_order_of_a_page_elsewhere_is_refused() {
    let runtime = runtime();
    let (address, _) = serve(&runtime, "");
    for origin in ["http://evil.example", "null", "http://127.0.0.1:9", "http://127.0.0.1:8080.evil.example"] {
        let (status, error) = order(address, &format!("{LOCAL}{JSON}Origin: {origin}\r\n"), PAUSE);
        assert_eq!(status, 403, "{origin}: {error}");
        assert!(error.contains("this console's own page"), "{error}");
    }
    // A page elsewhere whose name leads to this machine.
    let rebound = "Host: evil.example:8080\r\nOrigin: http://evil.example:8080\r\n";
    assert_eq!(order(address, &format!("{rebound}{JSON}"), PAUSE).0, 421);
    // What a page may send elsewhere without being asked for leave.
    for sent in ["", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n"] {
        let (status, error) = order(address, &format!("{LOCAL}{sent}"), PAUSE);
        assert_eq!(status, 415, "{sent:?}: {error}");
    }
    let own = format!("{LOCAL}{JSON}Origin: http://127.0.0.1:8080\r\n");
    assert_eq!(order(address, &own, PAUSE).0, 503, "it gets as far as the bus, which is not there");
}

#[test]
fn an_order_needs_the_token_where_there_is_one() {
    let runtime = runtime();
    let (address, _) = serve(&runtime, "swordfish");
    let headers = |token: &str| format!("Host: console.example\r\n{JSON}{token}");
    assert_eq!(order(address, &headers(""), PAUSE).0, 401);
    assert_eq!(order(address, &headers("Authorization: Bearer swordfisk\r\n"), PAUSE).0, 401);
    assert_eq!(order(address, &headers("Authorization: Bearer swordfish\r\n"), PAUSE).0, 503);
}

#[test]
fn what_is_no_order_is_refused_and_says_why() {
    let runtime = runtime();
    let (address, _) = serve(&runtime, "");
    for (body, wanted, remedy) in [
        ("pause everything", 400, "JSON"),
        (r#"{"effect":"pause"}"#, 422, "missing field `scope`"),
        (r#"{"scope":"all"}"#, 422, "missing field `effect`"),
        (r#"{"scope":"all","effect":"stop"}"#, 422, "expected one of `pause`, `pause-scale-in`, `resume`"),
        (r#"{"scope":"all","effect":"pause","why":7}"#, 422, "why"),
        (r#"{"scope":"web-1","effect":"pause"}"#, 400, "give all, fleet:NAME or workload:NAME"),
        (r#"{"scope":"fleet:","effect":"resume"}"#, 400, "give all, fleet:NAME or workload:NAME"),
        (r#"{"scope":"","effect":"pause"}"#, 400, "give all, fleet:NAME or workload:NAME"),
        // Why may be left out.
        (r#"{"scope":"workload:web-1","effect":"pause-scale-in"}"#, 503, "no bus"),
    ] {
        let (status, error) = order(address, &format!("{LOCAL}{JSON}"), body);
        assert!(status == wanted && error.contains(remedy), "{body}: {status} {error}");
    }
}
