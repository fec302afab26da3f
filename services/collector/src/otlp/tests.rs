//! The receiver over real HTTP and gRPC: what comes onto the log, and what is refused, and how.

use super::*;
use crate::config::Config;
use crate::receiver::gzip::tests::{packed, packed_zeros};
use crate::testing::{Mishap, Mishappen, TestBus};
use axum::body::Bytes;
use axum::http::{HeaderMap, Request};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prescale_bus::Bus;
use prescale_chassis::Secret;
use prescale_chassis::stage::decode_record;
use prescale_contracts::topics;
use prescale_domain::point::Point;
use prost::Message as _;
use std::path::Path;
use tls::{Authority, connected, gets_in};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

mod tls;

const PRESET: &str = r#"
about = ""
workload = "{vm}"
platform = "openstack"
[kpis.cpu_cores_used]
query = "q"
[[series.cpu_cores_used]]
metric = "system.cpu.time"
without = { state = ["idle"] }
total = true
[[series.memory_bytes]]
metric = "system.memory.usage"
only = { state = ["used"] }
[[series.requests_per_s]]
metric = "http.server.request.duration_count"
total = true
"#;
const AT_S: u64 = 1_700_000_000;
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");
const GZIP: (&str, &str) = ("content-encoding", "gzip");

/// Lets `ask` ask a receiver with this configuration at its URL.
fn receiving(bus: &dyn Bus, folder: &Path, config: OtlpConfig, ask: impl FnOnce(&str)) {
    let preset = folder.join("preset.toml");
    std::fs::write(&preset, PRESET).unwrap();
    let (listen, preset) = ("127.0.0.1:0".to_owned(), preset.display().to_string());
    let otlp = OtlpConfig { listen, preset, ..config };
    receiver::testing::receiving(bus, &Config { otlp, ..Config::default() }, run, ask);
}

fn attribute((key, value): (&str, &str)) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn number(state: &str, at_s: u64, value: Number) -> NumberDataPoint {
    NumberDataPoint {
        attributes: vec![attribute(("state", state))],
        start_time_unix_nano: 1_000_000_000,
        time_unix_nano: at_s * 1_000_000_000,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

/// The metrics of one machine.
fn of_machine(attributes: &[(&str, &str)], metrics: Vec<(&str, Data)>) -> ExportMetricsServiceRequest {
    let metrics = metrics.into_iter();
    let metrics =
        metrics.map(|(name, data)| Metric { name: name.to_owned(), data: Some(data), ..Metric::default() }).collect();
    let attributes = attributes.iter().copied().map(attribute).collect();
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_metrics: vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }],
            ..ResourceMetrics::default()
        }],
    }
}

fn memory(machine: &str, at_s: u64) -> ExportMetricsServiceRequest {
    let data_points = vec![number("used", at_s, Number::AsInt(5)), number("free", at_s, Number::AsInt(7))];
    of_machine(&[("vm", machine)], vec![("system.memory.usage", Data::Gauge(Gauge { data_points }))])
}

/// What was said to a request.
#[derive(Debug, PartialEq)]
struct Said {
    /// Of HTTP, or of gRPC.
    status: u16,
    /// Data points that were refused, where it was a partial success.
    refused: Option<i64>,
    /// Whether it can come again.
    can_come_again: bool,
}

fn taken() -> Said {
    Said { status: 200, refused: None, can_come_again: false }
}

fn refused(status: u16, can_come_again: bool) -> Said {
    Said { status, refused: None, can_come_again }
}

fn partial(body: &[u8]) -> Option<i64> {
    let answer = ExportMetricsServiceResponse::decode(body).unwrap();
    answer.partial_success.map(|partial| {
        assert!(!partial.error_message.is_empty());
        partial.rejected_data_points
    })
}

/// Posts over HTTP; what is said, and the body.
fn posted(url: &str, headers: &[(&str, &str)], body: &[u8]) -> (Said, Vec<u8>) {
    let config = ureq::Agent::config_builder().proxy(None).http_status_as_error(false).build();
    let mut request = ureq::Agent::from(config).post(format!("{url}{}", http::PATH));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut answer = request.send(body).unwrap();
    let said = refused(answer.status().as_u16(), answer.headers().contains_key("retry-after"));
    (said, answer.body_mut().read_to_vec().unwrap())
}

fn posted_protobuf(url: &str, request: &ExportMetricsServiceRequest) -> Said {
    let (said, body) = posted(url, &[PROTOBUF], &request.encode_to_vec());
    if said.status == 200 { Said { refused: partial(&body), ..said } } else { said }
}

/// Calls over gRPC, with the message packed or not; the status is that of gRPC, with 200 for 0.
fn called(url: &str, headers: &[(&str, &str)], is_packed: bool, message: &[u8]) -> Said {
    runtime().block_on(async {
        let connection = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
        said(exchanged(connection, url, headers, framed(is_packed, message)).await)
    })
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn framed(is_packed: bool, message: &[u8]) -> Bytes {
    let mut framed = vec![u8::from(is_packed)];
    framed.extend((message.len() as u32).to_be_bytes());
    framed.extend(message);
    framed.into()
}

/// What trailers and a body say.
fn said((headers, body): (HeaderMap, Vec<u8>)) -> Said {
    let status: u16 = headers["grpc-status"].to_str().unwrap().parse().unwrap();
    if status == 0 {
        assert_eq!((body[0], u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize), (0, body.len() - 5));
        return Said { refused: partial(&body[5..]), ..taken() };
    }
    assert!(headers.contains_key("grpc-message"));
    refused(status, headers.contains_key("grpc-status-details-bin"))
}

/// The trailers of a call over a connection, which are its headers where nothing else comes, and its body.
async fn exchanged(
    connection: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    url: &str,
    headers: &[(&str, &str)],
    framed: Bytes,
) -> (HeaderMap, Vec<u8>) {
    let (client, connection) = h2::client::handshake(connection).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::post(format!("{url}{}", grpc::PATH));
    for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")].iter().chain(headers) {
        request = request.header(*name, *value);
    }
    let mut client = client.ready().await.unwrap();
    let (response, mut sending) = client.send_request(request.body(()).unwrap(), false).unwrap();
    sending.send_data(framed, true).unwrap();
    let (head, mut receiving) = response.await.unwrap().into_parts();
    assert_eq!(head.status.as_u16(), 200);
    assert_eq!(head.headers["content-type"], "application/grpc");
    let mut body = Vec::new();
    while let Some(data) = receiving.data().await {
        body.extend(data.unwrap());
    }
    (receiving.trailers().await.unwrap().unwrap_or(head.headers), body)
}

fn points(test: &TestBus) -> Vec<(String, Point)> {
    let records = test.records(topics::RAW_POINTS);
    let id = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    records
        .iter()
        .map(|record| (id(record.header("ce_id").unwrap()), decode_record::<Point>(record).unwrap().value))
        .collect()
}

#[test]
fn every_protocol_and_form_comes_to_the_same_records() {
    let test = TestBus::new();
    let json = format!(
        r#"{{"resourceMetrics": [{{"resource": {{"attributes": [{{"key": "vm", "value": {{"stringValue": "a"}}}}]}},
        "scopeMetrics": [{{"metrics": [{{"name": "system.memory.usage", "unit": "By", "sum": {{
        "aggregationTemporality": 2, "isMonotonic": false, "dataPoints": [{{
        "attributes": [{{"key": "state", "value": {{"stringValue": "used"}}}}],
        "startTimeUnixNano": "1000000000", "timeUnixNano": "{AT_S}000000000", "asInt": "5"}}]}}}}]}}]}}]}}"#
    );
    let config = OtlpConfig { tenant: "shop".to_owned(), ..OtlpConfig::default() };
    receiving(test.bus.as_ref(), test.folder.path(), config, |url| {
        let message = memory("a", AT_S).encode_to_vec();
        assert_eq!(posted(url, &[PROTOBUF], &message), (taken(), Vec::new()));
        assert_eq!(posted(url, &[PROTOBUF, GZIP], &packed(&message)), (taken(), Vec::new()));
        assert_eq!(posted(url, &[JSON], json.as_bytes()), (taken(), b"{}".to_vec()));
        assert_eq!(posted(url, &[JSON, GZIP], &packed(json.as_bytes())).0, taken());
        assert_eq!(called(url, &[], false, &message), taken());
        assert_eq!(called(url, &[("grpc-encoding", "gzip")], true, &packed(&message)), taken());
    });
    let points = points(&test);
    assert_eq!(points.len(), 6);
    assert!(points.iter().all(|point| *point == points[0]), "{points:?}");
    let point = &points[0].1;
    assert_eq!((point.value, point.at.as_ms(), point.is_total), (Some(5.0), AT_S as i64 * 1000, false));
    assert_eq!((point.workload.as_str(), point.source.as_str()), ("a", "otlp:main/shop"));
}

#[test]
fn totals_and_their_ends_come_onto_the_log_and_what_no_rule_means_is_left_out() {
    let test = TestBus::new();
    let ended = NumberDataPoint { flags: 1, value: None, ..number("user", AT_S + 60, Number::AsInt(0)) };
    let data_points =
        vec![number("user", AT_S, Number::AsDouble(2.5)), number("idle", AT_S, Number::AsDouble(9.0)), ended];
    let sum =
        Sum { data_points, aggregation_temporality: AggregationTemporality::Cumulative.into(), is_monotonic: true };
    let of_requests = HistogramDataPoint {
        start_time_unix_nano: (AT_S - 10) * 1_000_000_000,
        time_unix_nano: AT_S * 1_000_000_000,
        count: 3,
        sum: Some(0.5),
        ..HistogramDataPoint::default()
    };
    let histogram = |temporality: AggregationTemporality| {
        Data::Histogram(Histogram {
            data_points: vec![of_requests.clone()],
            aggregation_temporality: temporality.into(),
        })
    };
    let metrics = vec![
        ("system.cpu.time", Data::Sum(sum)),
        ("http.server.request.duration", histogram(AggregationTemporality::Delta)),
        ("other", histogram(AggregationTemporality::Cumulative)),
    ];
    receiving(test.bus.as_ref(), test.folder.path(), OtlpConfig::default(), |url| {
        assert_eq!(posted_protobuf(url, &of_machine(&[("vm", "a")], metrics)), taken());
    });
    let mut said: Vec<_> = points(&test)
        .into_iter()
        .map(|(_, point)| (point.measured.name().to_owned(), point.at.as_ms() - AT_S as i64 * 1000, point.value))
        .collect();
    said.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    let wanted = [
        ("cpu_cores_used", 0, Some(2.5)),
        ("cpu_cores_used", 60_000, None),
        // A delta begins at zero.
        ("requests_per_s", -9_999, Some(0.0)),
        ("requests_per_s", 0, Some(3.0)),
    ];
    assert_eq!(said, wanted.map(|(name, at_ms, value)| (name.to_owned(), at_ms, value)));
}

#[test]
fn a_partial_success_says_how_many_were_refused_and_the_rest_is_written() {
    let test = TestBus::new();
    let mut request = memory("a", AT_S);
    request.resource_metrics.extend(memory("", AT_S).resource_metrics);
    // It has no instant.
    request.resource_metrics.extend(memory("b", 0).resource_metrics);
    let partly = Said { refused: Some(3), ..taken() };
    receiving(test.bus.as_ref(), test.folder.path(), OtlpConfig::default(), |url| {
        assert_eq!(posted_protobuf(url, &request), partly);
        assert_eq!(called(url, &[], false, &request.encode_to_vec()), partly);
        let (_, body) = posted(url, &[JSON], &serde_json::to_vec(&request).unwrap());
        let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(answer["partialSuccess"]["rejectedDataPoints"], "3");
        assert!(answer["partialSuccess"]["errorMessage"].as_str().unwrap().contains("vm"));
    });
    assert_eq!(points(&test).len(), 3);
}

#[test]
fn what_is_too_large_after_it_is_unpacked_is_refused_for_good() {
    let test = TestBus::new();
    let config = OtlpConfig { request_bytes_max: 1 << 20, ..OtlpConfig::default() };
    receiving(test.bus.as_ref(), test.folder.path(), config, |url| {
        let bomb = packed_zeros(1 << 28);
        assert!(bomb.len() < 1 << 20, "the body itself would be let in");
        for form in [PROTOBUF, JSON] {
            assert_eq!(posted(url, &[form, GZIP], &bomb).0, refused(413, false));
        }
        assert_eq!(called(url, &[("grpc-encoding", "gzip")], true, &bomb), refused(8, false));
        assert_eq!(posted_protobuf(url, &memory("a", AT_S)), taken());
    });
    assert_eq!(points(&test).len(), 1);
}

#[test]
fn what_cannot_be_read_is_refused() {
    let test = TestBus::new();
    receiving(test.bus.as_ref(), test.folder.path(), OtlpConfig::default(), |url| {
        let message = memory("a", AT_S).encode_to_vec();
        let cut = &message[..message.len() - 1];
        assert_eq!(posted(url, &[PROTOBUF], cut).0, refused(400, false));
        assert_eq!(posted(url, &[PROTOBUF, GZIP], &message).0, refused(400, false));
        assert_eq!(posted(url, &[JSON], b"{\"resourceMetrics\": 1}").0, refused(400, false));
        assert_eq!(posted(url, &[("content-type", "text/plain")], &message).0, refused(415, false));
        assert_eq!(posted(url, &[PROTOBUF, ("content-encoding", "zstd")], &message).0, refused(415, false));
        assert_eq!(called(url, &[], false, cut), refused(3, false));
        assert_eq!(called(url, &[], true, &packed(&message)), refused(3, false));
        assert_eq!(called(url, &[("grpc-encoding", "zstd")], true, &message), refused(12, false));
    });
    assert!(points(&test).is_empty());
}

#[test]
fn only_those_with_the_token_get_in() {
    let test = TestBus::new();
    let config = OtlpConfig { token: Secret::new("swordfish"), ..OtlpConfig::default() };
    receiving(test.bus.as_ref(), test.folder.path(), config, |url| {
        let (message, good) = (memory("a", AT_S).encode_to_vec(), ("authorization", "Bearer swordfish"));
        let bad: [&[(&str, &str)]; 2] = [&[], &[("authorization", "Bearer marlin")]];
        for bad in bad {
            assert_eq!(posted(url, &[&[PROTOBUF][..], bad].concat(), &message).0, refused(401, false));
            assert_eq!(called(url, bad, false, &message), refused(16, false));
        }
        assert_eq!(posted(url, &[PROTOBUF, good], &message).0, taken());
        assert_eq!(called(url, &[good], false, &message), taken());
    });
    assert_eq!(points(&test).len(), 2);
}

#[test]
fn grpc_over_tls_comes_onto_the_log_and_only_clients_with_a_certificate_get_in() {
    let test = TestBus::new();
    let (authority, stranger) = (Authority::new(), Authority::new());
    let config = OtlpConfig { tls: authority.serves(test.folder.path()), ..OtlpConfig::default() };
    receiving(test.bus.as_ref(), test.folder.path(), config, |url| {
        runtime().block_on(async {
            let connection = connected(url, &authority, Some(authority.signs())).await.unwrap();
            assert_eq!(connection.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            let message = memory("a", AT_S).encode_to_vec();
            assert_eq!(said(exchanged(connection, url, &[], framed(false, &message)).await), taken());
            assert!(gets_in(url, &authority, Some(authority.signs())).await);
            for own in [None, Some(stranger.signs())] {
                assert!(!gets_in(url, &authority, own).await);
            }
        });
    });
    assert_eq!(points(&test).len(), 1);
}

#[test]
fn where_there_is_no_room_it_is_said_when_to_try_again() {
    let test = TestBus::new();
    let bus: Arc<dyn Bus> = Arc::new(Mishappen::new(&test.bus, 1, Mishap::FailBefore, &CancellationToken::new()));
    let config = OtlpConfig { series_max: 1, ..OtlpConfig::default() };
    receiving(bus.as_ref(), test.folder.path(), config, |url| {
        let (a, b) = (memory("a", AT_S).encode_to_vec(), memory("b", AT_S));
        assert_eq!(called(url, &[], false, &a), taken());
        assert_eq!(called(url, &[], false, &a), refused(8, true), "the log takes nothing now");
        assert_eq!(called(url, &[], false, &a), taken());
        assert_eq!(posted_protobuf(url, &b), refused(429, true), "it is one series too many");
        assert_eq!(called(url, &[], false, &b.encode_to_vec()), refused(8, true));
    });
    assert_eq!(points(&test).len(), 2);
}
