//! Whatever others send, reading it ends, in bounded memory; and what is sound is read as it was written.

use bolero::check;
use prescale_collector::formats::json::{InstantScale, each_of_adapter, each_of_telegraf};
use prescale_collector::formats::line_protocol::{Precision, each_value, lines};
use prescale_collector::formats::mapped::JsonMapping;
use prescale_collector::untrusted::{Untrusted, is_preset};
use prescale_domain::time::EventTime;
use prescale_fuzz::{Numbers, changed};
use std::sync::Mutex;

const LINES: &[u8] = b"# a comment\ncpu,cpu=cpu-total,host=vm\\ 1 usage_idle=98.5,n=3i,big=5u,up=t,say=\"a \\\"b\\\"\nc\" 1700000000000000000\n\
                       mem,host=b used=1e3 1700000000000000000\n";
const TELEGRAF: &[u8] = b"{\"metrics\":[{\"fields\":{\"usage\":1.5,\"up\":true,\"v\":\"1\"},\"name\":\"cpu\",\"tags\":{\"host\":\"a\"},\"timestamp\":1458229140}]}";
const ADAPTED: &[u8] = b"{\"timestamp\":\"1970-01-01T00:00:00Z\",\"value\":\"9876543210\",\"name\":\"up\",\"labels\":{\"__name__\":\"up\",\"a\":\"b\"}}";
const MAPPED: &[u8] = b"[{\"ns\":\"shop\",\"pod\":7,\"ts\":5000,\"cpu\":{\"pct\":\"50\"},\"limits\":[4,64]},{\"ns\":\"a\",\"pod\":\"b\",\"ts\":\"1970-01-01T00:00:01Z\",\"mem\":null}]";

/// Numbers of lines go up, and a series has its metric and a finite number.
fn any_lines(message: &[u8]) {
    let mut last = 0;
    for (number, line) in lines(message) {
        assert!(number > last, "{number} after {last}");
        last = number;
        let Ok(line) = line else { continue };
        assert!(!line.fields.is_empty() && line.fields.len() <= message.len());
        each_value(&line, Precision::Nanoseconds, 0, |value| {
            assert_eq!(value.labels[0].0, "__name__");
            assert!(value.value.is_finite());
        });
    }
}

#[test]
fn any_line_protocol() {
    check!().for_each(any_lines);
}

#[test]
fn changed_line_protocol() {
    check!().with_type::<Vec<Numbers>>().for_each(|changes| any_lines(&changed(LINES, changes)));
}

fn any_json(message: &[u8]) {
    let ms = InstantScale { per_s: 1000, before_1970_s: 0 };
    let mut values = 0;
    let _ = each_of_telegraf(message, ms, |_| values += 1);
    let _ = each_of_adapter(message, |_| values += 1);
    assert!(values <= message.len());
}

#[test]
fn any_json_of_others() {
    check!().for_each(any_json);
}

#[test]
fn changed_json_of_others() {
    check!().with_type::<(bool, Vec<Numbers>)>().for_each(|(is_telegrafs, changes)| {
        any_json(&changed(if *is_telegrafs { TELEGRAF } else { ADAPTED }, changes));
    });
}

fn mapping() -> JsonMapping {
    let kpis = [("cpu_cores_used", "/cpu/pct * 0.04"), ("memory_bytes", "/mem")];
    JsonMapping {
        workload: "{/ns}/{/pod}".to_owned(),
        instant: "/ts".to_owned(),
        instant_unit: "ms".to_owned(),
        cpu_capacity: "/limits/0".to_owned(),
        memory_capacity: "/limits/1".to_owned(),
        kpis: kpis.map(|(name, place)| (name.to_owned(), place.to_owned())).into(),
        ..JsonMapping::default()
    }
}

#[test]
fn any_message_by_a_mapping() {
    let mapped = mapping().checked().expect("it makes sense");
    check!().with_type::<Vec<Numbers>>().for_each(|changes| {
        let message = changed(MAPPED, changes);
        if let Ok(rows) = mapped.rows(&message) {
            assert!(rows.rows.iter().all(|row| !row.kpis.is_empty()));
        }
    });
}

#[test]
fn any_mapping() {
    check!().with_type::<(String, String, String, String)>().for_each(|(each, workload, instant, kpi)| {
        let mapping = JsonMapping {
            each: each.clone(),
            workload: workload.clone(),
            instant: instant.clone(),
            kpis: [("cpu_cores_used".to_owned(), kpi.clone())].into(),
            ..JsonMapping::default()
        };
        if let Ok(mapped) = mapping.checked() {
            let _ = mapped.rows(MAPPED);
        }
    });
}

/// A message of remote write 1.0 with a series of two samples, one of them of a metric that the preset means.
const WRITTEN: &[u8] =
    b"\x0a\x4c\x0a\x2a\x0a\x08__name__\x12\x1enode_memory_MemAvailable_bytes\x0a\x0d\x0a\x08instance\x12\x01a\
                         \x12\x0d\x09\x00\x00\x00\x00\x00\x00\x14\x40\x10\xd0\x86\x03\x12\x00";

#[test]
fn any_remote_write() {
    let untrusted = Mutex::new(Untrusted::new("node", EventTime::from_s(1000)).expect("the preset ships"));
    check!().with_type::<(bool, bool, Vec<u8>, Vec<Numbers>)>().for_each(|(is_two, is_any, bytes, changes)| {
        let message = if *is_any { bytes.clone() } else { changed(WRITTEN, changes) };
        let points = untrusted.lock().expect("nobody panicked").remote_write(*is_two, &message);
        assert!(points.is_none_or(|points| points <= message.len()), "{points:?}");
    });
}

#[test]
fn any_otlp() {
    let untrusted = Mutex::new(Untrusted::new("node", EventTime::from_s(1000)).expect("the preset ships"));
    check!().with_type::<(bool, Vec<u8>)>().for_each(|(is_json, message)| {
        let _ = untrusted.lock().expect("nobody panicked").otlp(*is_json, message);
    });
}

/// A message of OTLP with a point that the preset means, and one of a running total.
const METRICS: &[u8] = br#"{"resourceMetrics":[{"resource":{"attributes":[{"key":"host.name","value":{"stringValue":"a"}}]},"scopeMetrics":[{"metrics":[
    {"name":"system.memory.usage","gauge":{"dataPoints":[{"attributes":[{"key":"state","value":{"stringValue":"used"}}],"timeUnixNano":"900000000000","asInt":"5"}]}},
    {"name":"system.cpu.time","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"attributes":[{"key":"state","value":{"stringValue":"user"}}],"timeUnixNano":"900000000000","asDouble":1.5}]}}]}]}]}"#;

#[test]
fn changed_otlp() {
    let untrusted = Mutex::new(Untrusted::new("otel-host", EventTime::from_s(1000)).expect("the preset ships"));
    check!().with_type::<Vec<Numbers>>().for_each(|changes| {
        let _ = untrusted.lock().expect("nobody panicked").otlp(true, &changed(METRICS, changes));
    });
}

const PRESET: &[u8] = b"about = \"\"\nworkload = [\"{ns}/{vm}\", \"{host.name}\"]\nplatform = \"openstack\"\nown = \"$query * $up\"\n\
                        [definitions]\nup = \"up > 0\"\n[kpis.cpu_cores_used]\nquery = \"rate(a[$window]) * $up\"\nunit = \"millicores\"\n\
                        [capacity]\ncpu_cores = \"c\"\nmemory_bytes = \"m\"\n[[series.memory_bytes]]\nmetric = \"m\"\n\
                        only = { state = [\"us*\"] }\ntimes = -1.0\n";

#[test]
fn any_preset() {
    assert!(is_preset(&String::from_utf8_lossy(PRESET), "requests", "q"), "it is sound");
    check!().with_type::<(Vec<Numbers>, String, String)>().for_each(|(changes, name, query)| {
        let _ = is_preset(&String::from_utf8_lossy(&changed(PRESET, changes)), name, query);
    });
}
