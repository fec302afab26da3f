//! The receiver over real HTTP: what comes onto the log, what is counted, and what is refused with which status.

use super::wire::Version;
use super::wire::tests::{Written, written};
use super::*;
use crate::config::Config;
use crate::testing::{Mishap, Mishappen, TestBus};
use prescale_bus::{Bus, ConsumedRecord};
use prescale_chassis::Secret;
use prescale_chassis::stage::decode_record;
use prescale_contracts::topics;
use prescale_domain::point::Point;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const AT_MS: i64 = 1_700_000_000_000;

/// Lets `ask` ask a receiver with this configuration at its URL.
fn receiving(bus: &dyn Bus, config: RemoteWriteConfig, ask: impl FnOnce(&str)) {
    let remote_write = RemoteWriteConfig { listen: "127.0.0.1:0".to_owned(), ..config };
    receiver::testing::receiving(bus, &Config { remote_write, ..Config::default() }, run, ask);
}

/// What was said to a request.
#[derive(Debug, PartialEq)]
struct Said {
    status: u16,
    /// Samples, histograms and exemplars that are written.
    written: [String; 3],
    has_retry_after: bool,
}

fn said(status: u16, samples: u64, has_retry_after: bool) -> Said {
    Said { status, written: [samples.to_string(), "0".to_owned(), "0".to_owned()], has_retry_after }
}

/// As it is said in version 1.0, which knows no counts.
fn said_uncounted(status: u16) -> Said {
    Said { status, written: Default::default(), has_retry_after: false }
}

fn sent(url: &str, headers: &[(&str, &str)], body: &[u8]) -> Said {
    let config = ureq::Agent::config_builder().proxy(None).http_status_as_error(false).build();
    let mut request = ureq::Agent::from(config).post(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send(body).unwrap();
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let written = ["samples", "histograms", "exemplars"]
        .map(|what| header(&format!("x-prometheus-remote-write-{what}-written")).unwrap_or_default());
    Said { status: answer.status().as_u16(), written, has_retry_after: header("retry-after").is_some() }
}

fn headers(version: Version) -> [(&'static str, &'static str); 2] {
    let content_type = match version {
        Version::One => "application/x-protobuf",
        Version::Two => "application/x-protobuf;proto=io.prometheus.write.v2.Request",
    };
    [("content-encoding", "snappy"), ("content-type", content_type)]
}

fn snappy(message: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(message).unwrap()
}

fn pushed(url: &str, version: Version, all: &[Written]) -> Said {
    sent(url, &headers(version), &snappy(&written(version, all)))
}

/// The memory of machines, each with these samples.
fn memory(machines: &[&str], samples: &[(i64, f64)]) -> Vec<Written> {
    let series = |machine: &&str| {
        let labels = [("__name__", "node_memory_MemAvailable_bytes"), ("instance", *machine)];
        (labels.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(), samples.to_vec())
    };
    machines.iter().map(series).collect()
}

fn points(records: &[ConsumedRecord]) -> Vec<Point> {
    records.iter().map(|record| decode_record::<Point>(record).unwrap().value).collect()
}

#[test]
fn both_versions_come_onto_the_log_and_again_as_the_same_records() {
    let test = TestBus::new();
    let stale = f64::from_bits(0x7ff0_0000_0000_0002);
    let all = memory(&["a"], &[(AT_MS, 5.0), (AT_MS + 1000, stale)]);
    let config = RemoteWriteConfig { tenant: "shop".to_owned(), ..RemoteWriteConfig::default() };
    receiving(test.bus.as_ref(), config, |url| {
        assert_eq!(pushed(url, Version::One, &all), said_uncounted(204));
        assert_eq!(pushed(url, Version::Two, &all), said(204, 2, false));
        let other = vec![("__name__".to_owned(), "up".to_owned())];
        assert_eq!(pushed(url, Version::Two, &[(other, vec![(AT_MS, 1.0)])]), said(204, 0, false), "nobody's");
    });
    let records = test.records(topics::RAW_POINTS);
    let points = points(&records);
    assert_eq!(points.iter().map(|point| point.value).collect::<Vec<_>>(), [Some(-5.0), None, Some(-5.0), None]);
    assert!(points.iter().all(|point| point.source.as_str() == "remote-write:main/shop"));
    let ids: Vec<_> = records.iter().map(|record| record.header("ce_id").unwrap().to_vec()).collect();
    assert_eq!(ids[..2], ids[2..]);
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn what_cannot_be_taken_is_refused_by_status_and_the_rest_is_written() {
    let test = TestBus::new();
    let config = RemoteWriteConfig { series_max: 2, request_bytes_max: 1 << 20, ..RemoteWriteConfig::default() };
    receiving(test.bus.as_ref(), config, |url| {
        let good = memory(&["a"], &[(AT_MS, 5.0)]);
        let nameless = (vec![("instance".to_owned(), "a".to_owned())], vec![(AT_MS, 1.0)]);
        let some: Vec<Written> = good.iter().cloned().chain([nameless]).collect();
        assert_eq!(pushed(url, Version::Two, &some), said(400, 1, false));
        assert_eq!(pushed(url, Version::Two, &memory(&["a", "b", "c"], &[(AT_MS + 1, 1.0)])), said(429, 2, true));
        let both: Vec<Written> = memory(&["d"], &[(AT_MS, 5.0)]).into_iter().chain(some).collect();
        assert_eq!(pushed(url, Version::Two, &both), said(429, 1, true), "what can come again is said first");
        let snappy_one = headers(Version::One);
        let large = snappy(&vec![0; (1 << 20) + 1]);
        assert_eq!(sent(url, &snappy_one, &large), said(413, 0, false));
        // They say to have 3 GB and 10 GB.
        for bomb in [[0x80, 0xbc, 0xc1, 0x96, 0x0b], [0x80, 0xc8, 0xaf, 0xa0, 0x25]] {
            assert_eq!(sent(url, &snappy_one, &bomb), said(413, 0, false));
        }
        assert_eq!(sent(url, &snappy_one, b"no snappy"), said(400, 0, false));
        assert_eq!(sent(url, &snappy_one, &snappy(&[10, 200])), said(400, 0, false));
        let body = snappy(&written(Version::One, &good));
        assert_eq!(sent(url, &snappy_one[1..], &body), said(415, 0, false));
        let other_type = [snappy_one[0], ("content-type", "application/json")];
        assert_eq!(sent(url, &other_type, &body), said(415, 0, false));
    });
    assert_eq!(test.records(topics::RAW_POINTS).len(), 4);
}

#[test]
fn points_of_a_request_come_by_their_instants() {
    let test = TestBus::new();
    let cpu = |cpu: &str| {
        let labels = [("__name__", "node_cpu_seconds_total"), ("cpu", cpu), ("instance", "a"), ("mode", "user")];
        let samples = vec![(AT_MS, 1.0), (AT_MS + 600_000, 2.0)];
        (labels.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(), samples)
    };
    receiving(test.bus.as_ref(), RemoteWriteConfig::default(), |url| {
        assert_eq!(pushed(url, Version::Two, &[cpu("0"), cpu("1")]), said(204, 4, false));
    });
    let instants: Vec<i64> = points(&test.records(topics::RAW_POINTS)).iter().map(|p| p.at.as_ms() - AT_MS).collect();
    assert_eq!(instants, [0, 0, 600_000, 600_000]);
}

#[test]
fn a_replica_that_is_not_taken_is_told_that_nothing_is_wrong_and_nothing_was_written() {
    let test = TestBus::new();
    receiving(test.bus.as_ref(), RemoteWriteConfig::default(), |url| {
        let of = |replica: &str| {
            let mut all = memory(&["a"], &[(AT_MS, 5.0)]);
            let labels = [("cluster", "eu"), ("__replica__", replica)];
            all[0].0.extend(labels.map(|(name, value)| (name.to_owned(), value.to_owned())));
            all
        };
        assert_eq!(pushed(url, Version::Two, &of("one")), said(204, 1, false));
        assert_eq!(pushed(url, Version::Two, &of("two")), said(202, 0, false));
        assert_eq!(pushed(url, Version::Two, &of("one")), said(204, 1, false));
    });
    assert_eq!(test.records(topics::RAW_POINTS).len(), 2);
}

#[test]
fn only_those_with_the_token_get_in() {
    let test = TestBus::new();
    let config = RemoteWriteConfig { token: Secret::new("swordfish"), ..RemoteWriteConfig::default() };
    receiving(test.bus.as_ref(), config, |url| {
        let body = snappy(&written(Version::Two, &memory(&["a"], &[(AT_MS, 5.0)])));
        let [encoding, kind] = headers(Version::Two);
        assert_eq!(sent(url, &[encoding, kind], &body), said(401, 0, false));
        assert_eq!(sent(url, &[encoding, kind, ("authorization", "Bearer marlin")], &body), said(401, 0, false));
        assert_eq!(sent(url, &[encoding, kind, ("authorization", "Bearer swordfish")], &body), said(204, 1, false));
    });
    assert_eq!(test.records(topics::RAW_POINTS).len(), 1);
}

#[test]
fn a_log_that_takes_nothing_is_said_and_what_it_took_is_acknowledged() {
    for (mishap, first) in [(Mishap::FailBefore, said(503, 0, true)), (Mishap::FailAfter, said(204, 1, false))] {
        let test = TestBus::new();
        let bus: Arc<dyn Bus> = Arc::new(Mishappen::new(&test.bus, 0, mishap, &CancellationToken::new()));
        receiving(bus.as_ref(), RemoteWriteConfig::default(), |url| {
            assert_eq!(pushed(url, Version::Two, &memory(&["a"], &[(AT_MS, 5.0)])), first);
            assert_eq!(pushed(url, Version::Two, &memory(&["a"], &[(AT_MS + 1000, 5.0)])), said(204, 1, false));
        });
        assert_eq!(test.records(topics::RAW_POINTS).len(), if mishap == Mishap::FailAfter { 2 } else { 1 });
    }
}

#[test]
fn a_preset_that_says_nothing_of_pushed_series_is_refused() {
    let config = RemoteWriteConfig {
        listen: "127.0.0.1:0".to_owned(),
        preset: "kubernetes".to_owned(),
        ..RemoteWriteConfig::default()
    };
    assert!(check(&config).unwrap_err().to_string().contains("nothing of pushed series"));
}
