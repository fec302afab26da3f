//! The routes over a real socket.

use super::*;
use std::io::{Read, Write};
use std::net::TcpStream;

fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn listening(listen: &str) -> TelemetryConfig {
    TelemetryConfig { listen: listen.to_owned(), ..TelemetryConfig::default() }
}

#[test]
fn health_and_metrics_are_served() {
    let (health, shutdown) = (HealthRegistry::default(), CancellationToken::new());
    let metrics = Metrics::install().unwrap();
    let server = TelemetryServer::start(&listening("127.0.0.1:0"), health.clone(), metrics, &shutdown).unwrap();
    let at = server.address();

    let planner = health.component("planner");
    let actuator = health.component("actuator");
    planner.ready();
    actuator.failed("cloud unreachable");
    assert_eq!(get(at, "/readyz"), (503, "actuator: cloud unreachable\n".to_owned()));
    assert_eq!(get(at, "/livez"), (200, "ok\n".to_owned()));
    actuator.ready();
    assert_eq!(get(at, "/readyz"), (200, "ok\n".to_owned()));
    metrics::counter!("prescale_http_test_total").increment(1);
    let (status, text) = get(at, "/metrics");
    assert_eq!(status, 200);
    assert!(text.contains("prescale_http_test_total 1"), "{text}");
    assert_eq!(get(at, "/nothing").0, 404);

    shutdown.cancel();
    server.join();
    assert!(TcpStream::connect(at).is_err());
}

#[test]
fn a_taken_address_is_an_error_that_names_the_key() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = TelemetryServer::start(
        &listening(&address),
        HealthRegistry::default(),
        Metrics::install().unwrap(),
        &CancellationToken::new(),
    )
    .unwrap_err();
    assert!(error.to_string().contains("[telemetry] listen"), "{error}");
}
