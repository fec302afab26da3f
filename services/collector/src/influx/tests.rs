//! The receiver over real HTTP: what comes onto the log, and what is said, as Telegraf asks.

use super::*;
use crate::config::Config;
use crate::receiver::gzip::tests::packed;
use crate::receiver::testing::receiving;
use crate::testing::{Mishap, Mishappen, TestBus};
use prescale_bus::Bus;
use prescale_chassis::Secret;
use prescale_chassis::stage::decode_record;
use prescale_contracts::topics;
use prescale_domain::point::Point;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const PRESET: &str = "about = \"\"\nworkload = \"{host}\"\nplatform = \"openstack\"\n[kpis.memory_bytes]\nquery = \"q\"\n\
                      [[series.memory_bytes]]\nmetric = \"mem_used\"\n";
const LINE: &str = "mem,host=a used=5i 1700000000000000000\n";

/// Lets `ask` ask a receiver with this token at its URL.
fn asked(test: &TestBus, bus: &dyn Bus, token: &str, ask: impl FnOnce(&str)) {
    let preset = test.folder.path().join("preset.toml");
    std::fs::write(&preset, PRESET).unwrap();
    let influx = InfluxConfig {
        listen: "127.0.0.1:0".to_owned(),
        token: Secret::new(token),
        preset: preset.display().to_string(),
        series_max: 1,
        request_bytes_max: 1000,
        ..InfluxConfig::default()
    };
    receiving(bus, &Config { influx, ..Config::default() }, run, ask);
}

/// Status, body, and whether it is said when to try again.
type Said = (u16, String, bool);

fn sent(url: &str, headers: &[(&str, &str)], body: &[u8]) -> Said {
    let config = ureq::Agent::config_builder().proxy(None).http_status_as_error(false).build();
    let mut request = ureq::Agent::from(config).post(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut answer = request.send(body).unwrap();
    let (status, retries) = (answer.status().as_u16(), answer.headers().contains_key("retry-after"));
    (status, answer.body_mut().read_to_string().unwrap(), retries)
}

fn written() -> Said {
    (204, String::new(), false)
}

fn points(test: &TestBus) -> Vec<Point> {
    test.records(topics::RAW_POINTS).iter().map(|record| decode_record::<Point>(record).unwrap().value).collect()
}

#[test]
fn both_versions_come_onto_the_log_and_again_as_the_same_points() {
    let test = TestBus::new();
    asked(&test, test.bus.as_ref(), "", |url| {
        assert_eq!(sent(&format!("{url}/write?db=telegraf&rp="), &[], LINE.as_bytes()), written());
        let by_gzip = [("content-encoding", "gzip")];
        let url_2 = format!("{url}/api/v2/write?org=o&bucket=b&precision=s");
        assert_eq!(sent(&url_2, &by_gzip, &packed(b"mem,host=a used=5i 1700000000\n")), written());
        assert_eq!(sent(&url_2, &[], b"# nothing\n"), written());
    });
    let points = points(&test);
    assert_eq!(points.len(), 2);
    assert_eq!(points[0], points[1]);
    assert_eq!((points[0].workload.as_str(), points[0].source.as_str()), ("a", "influx:main"));
    assert_eq!((points[0].at.as_ms(), points[0].value), (1_700_000_000_000, Some(5.0)));
}

#[test]
fn who_is_refused_while_still_sending_hears_why() {
    let test = TestBus::new();
    asked(&test, test.bus.as_ref(), "sesame", |url| {
        let (url, large) = (format!("{url}/write?db=telegraf"), vec![b'#'; 16 << 20]);
        for _ in 0..5 {
            assert_eq!(sent(&url, &[], &large).0, 401);
            assert_eq!(sent(&url, &[("authorization", "Token sesame")], &large).0, 413);
        }
    });
    assert!(points(&test).is_empty());
}

#[test]
fn bad_lines_are_told_and_the_others_are_written() {
    let test = TestBus::new();
    asked(&test, test.bus.as_ref(), "", |url| {
        let body = format!("mem,host=a used=much\n{LINE}");
        let (status, said, _) = sent(&format!("{url}/write?db=t"), &[], body.as_bytes());
        assert_eq!(status, 400);
        assert!(said.starts_with("{\"error\":\"partial write: unable to parse line 1: "), "{said}");
        let (status, said, _) = sent(&format!("{url}/api/v2/write"), &[], body.as_bytes());
        assert_eq!(status, 400);
        assert!(said.contains("\"code\":\"invalid\"") && said.contains("partial write"), "{said}");
        let (status, said, retries) =
            sent(&format!("{url}/write"), &[], format!("{body}mem,host=b used=5 1700000000000000000\n").as_bytes());
        assert_eq!((status, retries), (429, true), "what can come again is said first: {said}");
    });
    assert_eq!(points(&test).len(), 3);
}

#[test]
fn what_is_no_request_is_refused_by_its_status() {
    let test = TestBus::new();
    asked(&test, test.bus.as_ref(), "", |url| {
        let write = format!("{url}/write?db=t");
        let status = |headers: &[(&str, &str)], body: &[u8]| sent(&write, headers, body).0;
        assert_eq!(status(&[], "\n".repeat(2000).as_bytes()), 413);
        let large = packed("\n".repeat(50_000).as_bytes());
        assert!(large.len() < 1000, "{}", large.len());
        assert_eq!(status(&[("content-encoding", "gzip")], &large), 413);
        assert_eq!(status(&[("content-encoding", "gzip")], LINE.as_bytes()), 400);
        assert_eq!(status(&[("content-encoding", "br")], LINE.as_bytes()), 415);
        assert_eq!(sent(&format!("{write}&precision=d"), &[], LINE.as_bytes()).0, 400);
    });
    assert!(points(&test).is_empty());
}

#[test]
fn only_those_with_the_token_get_in_by_any_way_of_saying_it() {
    let test = TestBus::new();
    asked(&test, test.bus.as_ref(), "swordfish", |url| {
        let (write, write_2) = (format!("{url}/write?db=t"), format!("{url}/api/v2/write?bucket=b"));
        let by = |authorization: &'static str| sent(&write_2, &[("authorization", authorization)], LINE.as_bytes());
        for let_in in ["Token swordfish", "Bearer swordfish", "token u:swordfish", "Basic dTpzd29yZGZpc2g="] {
            assert_eq!(by(let_in), written(), "{let_in}");
        }
        assert_eq!(sent(&format!("{write}&u=u&p=swordfish"), &[], LINE.as_bytes()), written());
        for kept_out in ["Token marlin", "Basic !", "Digest swordfish"] {
            assert_eq!(by(kept_out).0, 401, "{kept_out}");
        }
        assert_eq!(sent(&write, &[], LINE.as_bytes()).0, 401);
        assert_eq!(sent(&format!("{url}/query?q=CREATE+DATABASE+t"), &[], b"").0, 401);
    });
    assert_eq!(points(&test).len(), 5);
}

#[test]
fn telegraf_finds_what_it_asks_for_before_it_writes() {
    let test = TestBus::new();
    asked(&test, test.bus.as_ref(), "", |url| {
        let create = sent(&format!("{url}/query"), &[], b"q=CREATE+DATABASE+%22telegraf%22");
        assert_eq!(create, (200, "{\"results\":[{\"statement_id\":0}]}".to_owned(), false));
        assert_eq!(sent(&format!("{url}/query?q=SHOW+DATABASES"), &[], b"").0, 400);
        let config = ureq::Agent::config_builder().proxy(None).build();
        let agent = ureq::Agent::from(config);
        let ping = agent.get(format!("{url}/ping")).call().unwrap();
        assert_eq!(ping.status().as_u16(), 204);
        assert!(ping.headers().contains_key("x-influxdb-version"));
        let health = agent.get(format!("{url}/health")).call().unwrap().body_mut().read_to_string().unwrap();
        assert!(health.contains("\"status\":\"pass\""), "{health}");
    });
}

#[test]
fn a_log_that_takes_nothing_is_said() {
    let test = TestBus::new();
    let bus: Arc<dyn Bus> = Arc::new(Mishappen::new(&test.bus, 0, Mishap::FailBefore, &CancellationToken::new()));
    asked(&test, bus.as_ref(), "", |url| {
        let write = format!("{url}/api/v2/write");
        let (status, said, retries) = sent(&write, &[], LINE.as_bytes());
        assert_eq!((status, retries), (503, true));
        assert!(said.contains("\"code\":\"unavailable\""), "{said}");
        assert_eq!(sent(&write, &[], LINE.as_bytes()), written());
    });
    assert_eq!(points(&test).len(), 1);
}
