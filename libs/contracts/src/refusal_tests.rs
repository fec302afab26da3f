//! What is refused, and by which name; framing.

use crate::contract::Contract;
use crate::error::ContractError;
use crate::json::record_json;
use crate::record_tests::interval_of;
use prescale_domain::anomaly::AnomalyScore;
use prescale_domain::calibration::drift::DriftState;
use prescale_domain::fingerprint::{Fingerprint, KpiFingerprint, Season, WindowFeatures, Windows};
use prescale_domain::group::{GroupName, GroupPrediction, MemberCount};
use prescale_domain::kpi::{CPU_CORES_USED, Kpi, KpiKind, KpiName, MEMORY_BYTES};
use prescale_domain::point::{AddUp, Measured, Point};
use prescale_domain::prediction::{HorizonForecast, Interval, Prediction, Reading, ResourceForecast, Signal};
use prescale_domain::quantiles::Quantiles;
use prescale_domain::sample::{Capacity, Platform, Sample};
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::collections::BTreeMap;

fn a_sample() -> Sample {
    Sample {
        workload: WorkloadId::new("web-1").unwrap(),
        source: SourceName::new("fleet:test").unwrap(),
        at: EventTime::from_s(60),
        step_s: 60,
        kpis: vec![kpi(CPU_CORES_USED, Some(1.5)), kpi(MEMORY_BYTES, None)],
        capacity: None,
        platform: Platform::SIMULATED,
    }
}

fn kpi(name: &str, value: Option<f64>) -> Kpi {
    Kpi { name: KpiName::new(name), kind: KpiKind::Gauge, unit: "1".into(), value }
}

fn a_prediction() -> Prediction {
    let quantiles = Quantiles::rearranged([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0]).unwrap();
    let interval = interval_of(&quantiles, None, 0);
    Prediction {
        workload: WorkloadId::new("web-1").unwrap(),
        source: SourceName::new("fleet:test").unwrap(),
        made_at: EventTime::from_s(60),
        step_s: 60,
        resources: vec![ResourceForecast {
            resource: KpiName::new(CPU_CORES_USED),
            unit: "cores".into(),
            last: None,
            model: "last-value".into(),
            model_version: "1".into(),
            drift: Some(DriftState::Stable),
            started_from: Vec::new(),
            horizons: vec![HorizonForecast {
                horizon_s: 300,
                value: quantiles,
                maximum: quantiles,
                value_interval: interval,
                maximum_interval: interval,
            }],
        }],
        signals: Vec::new(),
        earlier: Vec::new(),
        capacity: None,
        anomaly: None,
        platform: Platform::SIMULATED,
    }
}

#[track_caller]
fn refused<C: Contract + std::fmt::Debug>(value: &C, named: &str) {
    match value.encode() {
        Err(ContractError::Invalid { field, workload, .. }) => {
            assert_eq!((field.as_str(), workload.as_str()), (named, "web-1"))
        }
        other => panic!("{named} must be refused: {other:?}"),
    }
}

#[test]
fn a_point_is_finite_and_a_running_total_is_never_below_zero() {
    let point = Point {
        workload: WorkloadId::new("web-1").unwrap(),
        source: SourceName::new("remote-write:test").unwrap(),
        at: EventTime::from_s(60),
        step_s: 60,
        series: "a".into(),
        measured: Measured::of_name(CPU_CORES_USED.into()),
        kind: KpiKind::Gauge,
        unit: "cores".into(),
        is_total: true,
        add_up: AddUp::Sum,
        value: Some(1.0),
        platform: Platform::KUBERNETES,
    };
    assert!(point.encode().is_ok());
    refused(&Point { value: Some(-1.0), ..point.clone() }, "value");
    refused(&Point { value: Some(f64::NAN), is_total: false, ..point.clone() }, "value");
    refused(&Point { step_s: 0, ..point.clone() }, "step_s");
    refused(&Point { measured: Measured::of_name("".into()), ..point.clone() }, "measured");
    refused(&Point { kind: KpiKind::Counter, ..point.clone() }, "kind");
    assert!(Point { value: Some(-1.0), is_total: false, ..point }.encode().is_ok());
}

#[test]
fn a_number_that_is_not_finite_is_refused_by_name() {
    for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        refused(&Sample { kpis: vec![kpi("a", None), kpi("b", Some(wrong))], ..a_sample() }, "kpis[1].value");
        let capacity =
            Capacity { replicas: 1, cpu_cores_per_replica: wrong, memory_bytes_per_replica: 0.0, instance_type: None };
        refused(&Sample { capacity: Some(capacity), ..a_sample() }, "capacity.cpu_cores_per_replica");
        let mut prediction = a_prediction();
        prediction.resources[0].horizons[0].maximum_interval.upper = wrong;
        refused(&prediction, "resources[0].horizons[0].maximum_interval.upper");
        refused(&fingerprint_with(|f| f.trend_r2 = Some(wrong)), "kpis[0].windows.long.trend_r2");
        refused(
            &fingerprint_with(|f| f.extra = BTreeMap::from([("ratio".to_owned(), Some(wrong))])),
            "kpis[0].windows.long.extra.ratio",
        );
        let reading = Reading { at: EventTime::from_s(0), resources: vec![Some(wrong)], signals: Vec::new() };
        refused(&Prediction { earlier: vec![reading], ..a_prediction() }, "earlier[0].resources[0]");
    }
}

#[test]
fn a_number_too_large_for_32_bits_is_refused_by_name() {
    refused(&fingerprint_with(|f| f.mean = Some(1e39)), "kpis[0].windows.long.mean");
    refused(&fingerprint_with(|f| f.mean = Some(-1e300)), "kpis[0].windows.long.mean");
    let season = Season { period_s: 86_400.0, amplitude: 1e39, phase_rad: 0.0, strength: 0.0 };
    refused(&fingerprint_with(|f| f.season_24h = Some(season)), "kpis[0].windows.long.season_24h.amplitude");
    refused(&fingerprint_with(|f| f.top_seasons = vec![season]), "kpis[0].windows.long.top_seasons[0].amplitude");
    let mut prediction = a_prediction();
    let values = prediction.resources[0].horizons[0].value.values();
    let quantiles = Quantiles::rearranged(values.map(|v| if v == 1.0 { 1e39 } else { v })).unwrap();
    prediction.resources[0].horizons[0].value = quantiles;
    refused(&prediction, "resources[0].horizons[0].value.p99");
    assert!(fingerprint_with(|f| f.mean = Some(1e38)).encode().is_ok());
}

fn fingerprint_with(change: impl FnOnce(&mut WindowFeatures)) -> Fingerprint {
    let mut long = WindowFeatures::default();
    change(&mut long);
    Fingerprint {
        workload: WorkloadId::new("web-1").unwrap(),
        source: SourceName::new("fleet:test").unwrap(),
        at: EventTime::from_s(60),
        step_s: 60,
        short_window_s: 3600,
        long_window_s: 604_800,
        feature_schema_hash: "0123456789abcdef".into(),
        kpis: vec![KpiFingerprint {
            name: KpiName::new("a"),
            unit: "1".into(),
            last: None,
            windows: Windows::boxed(WindowFeatures::default(), long),
        }],
        capacity: None,
        anomaly: None,
        platform: Platform::OBSERVED_ONLY,
    }
}

#[test]
fn broken_rules_are_refused_by_name() {
    refused(&Sample { step_s: 0, ..a_sample() }, "step_s");
    refused(&Sample { at: EventTime::from_ms(i64::MAX), ..a_sample() }, "at");
    refused(&Sample { kpis: vec![kpi("a", None), kpi("a", None)], ..a_sample() }, "kpis[1].name");
    refused(&Sample { kpis: vec![kpi("", None)], ..a_sample() }, "kpis[0].name");
    refused(&Prediction { resources: Vec::new(), ..a_prediction() }, "resources");
    let anomaly = |p_value: f32, kpi: &str| Some(AnomalyScore { p_value, kpis: vec![KpiName::new(kpi)] });
    refused(&Prediction { anomaly: anomaly(1.5, "a"), ..a_prediction() }, "anomaly.p_value");
    refused(&Fingerprint { anomaly: anomaly(0.5, ""), ..fingerprint_with(|_| ()) }, "anomaly.kpis[0]");
    let signal = |name: &str, last| Signal {
        name: KpiName::new(name),
        unit: "ms".into(),
        last,
        short_mean: None,
        long_p95: None,
    };
    let twice = vec![signal("latency_ms", None), signal("latency_ms", None)];
    refused(&Prediction { signals: twice, ..a_prediction() }, "signals[1].name");
    refused(&Prediction { signals: vec![signal("latency_ms", Some(f64::NAN))], ..a_prediction() }, "signals[0].last");
    let mut twice = a_prediction();
    twice.resources.push(twice.resources[0].clone());
    refused(&twice, "resources[1].resource");
    let mut now = a_prediction();
    now.resources[0].horizons[0].horizon_s = 0;
    refused(&now, "resources[0].horizons[0].horizon_s");
    let mut some = fingerprint_with(|_| {});
    some.kpis.push(KpiFingerprint { name: KpiName::new("b"), windows: None, ..some.kpis[0].clone() });
    refused(&some, "kpis[1].windows");
}

#[test]
fn a_platform_that_is_no_name_is_refused_by_name() {
    let mut bytes = a_sample().encode().unwrap();
    assert!(bytes.ends_with(b"simulated"));
    let first = bytes.len() - "simulated".len();
    bytes[first] = b'S';
    match Sample::decode(&bytes) {
        Err(ContractError::Invalid { field, .. }) => assert_eq!(field, "platform"),
        other => panic!("it must be refused: {other:?}"),
    }
}

/// Readers make it anew, so it must not be another.
#[test]
fn what_does_not_follow_as_readers_will_take_it_to_is_refused_by_name() {
    fn of_value(change: impl FnOnce(&mut Interval)) -> Prediction {
        let mut prediction = a_prediction();
        change(&mut prediction.resources[0].horizons[0].value_interval);
        prediction
    }
    refused(&of_value(|i| i.lower = -0.1), "resources[0].horizons[0].value_interval.lower");
    refused(&of_value(|i| i.upper = 1.0), "resources[0].horizons[0].value_interval.upper");
    refused(&of_value(|i| i.nominal_coverage = 0.8), "resources[0].horizons[0].value_interval.nominal_coverage");
    let Prediction { made_at, resources, .. } = of_value(|i| i.upper = 1.0);
    let group = GroupName::new("web-1").unwrap();
    let of_group = GroupPrediction { group, made_at, members: MemberCount { reported: 1, carried: 0 }, resources };
    refused(&of_group, "resources[0].horizons[0].value_interval.upper");
    let week = Season { period_s: 604_800.0, amplitude: 1.0, phase_rad: 0.0, strength: 0.5 };
    assert!(fingerprint_with(|f| f.season_7d = Some(week)).encode().is_ok());
    refused(&fingerprint_with(|f| f.season_24h = Some(week)), "kpis[0].windows.long.season_24h.period_s");
}

#[test]
fn earlier_readings_are_as_long_as_the_prediction_and_before_it() {
    let reading = |at_s, resources: usize, signals: usize| Reading {
        at: EventTime::from_s(at_s),
        resources: vec![Some(1.0); resources],
        signals: vec![None; signals],
    };
    let with = |earlier: Vec<Reading>| Prediction { earlier, ..a_prediction() };
    assert!(with(vec![reading(-60, 1, 0), reading(0, 1, 0)]).encode().is_ok());
    refused(&with(vec![reading(0, 1, 0), reading(30, 2, 0)]), "earlier[1].resources");
    refused(&with(vec![reading(0, 1, 1)]), "earlier[0].signals");
    refused(&with(vec![reading(0, 1, 0), reading(60, 1, 0)]), "earlier[1].at");
    refused(&with(vec![reading(0, 1, 0), reading(0, 1, 0)]), "earlier[1].at");
}

/// The framed sample with a piece of its bytes replaced by another of any length.
fn spliced(from: &[u8], to: &[u8]) -> Vec<u8> {
    let framed = a_sample().encode().unwrap();
    let at = framed.windows(from.len()).position(|w| w == from).expect("the piece is there");
    [&framed[..at], to, &framed[at + from.len()..]].concat()
}

#[test]
fn a_reader_refuses_what_a_writer_should_have() {
    let message = |framed: &[u8]| Sample::decode(framed).unwrap_err().to_string();
    // Avro writes a text's length zigzag: 5 bytes as 0x0a, none as 0x00.
    let no_workload = spliced(b"\x0aweb-1", b"\x00");
    assert_eq!(
        message(&no_workload),
        "Sample of workload \"\": workload: the name is empty: every workload, group and source needs one"
    );
    // 10 bytes as 0x14.
    let no_source = spliced(b"\x14fleet:test", b"\x00");
    assert!(message(&no_source).contains("source: the name is empty"), "{}", message(&no_source));
    let no_number = spliced(&1.5f64.to_le_bytes(), &f64::NAN.to_le_bytes());
    assert!(message(&no_number).contains("kpis[0].value: NaN is not a finite number"));
    let twice = spliced(b"\x18memory_bytes", b"\x1ccpu_cores_used");
    assert!(message(&twice).contains("\"cpu_cores_used\" appears twice"));
    let negative_step = spliced(b"\x78\x04", b"\x77\x04");
    assert!(message(&negative_step).contains("step_s: -60 is not within"), "{}", message(&negative_step));
}

#[test]
fn framing_and_ids_are_checked() {
    let framed = a_sample().encode().unwrap();
    assert_eq!(framed[..5], [0, 0, 0, 0, 1]);
    assert_eq!(Sample::decode(b""), Err(ContractError::NotFramed { bytes: 0 }));
    assert_eq!(Sample::decode(b"{\"json\": 1}"), Err(ContractError::NotFramed { bytes: 11 }));
    assert_eq!(Sample::decode(&[0, 0, 0, 9, 9]), Err(ContractError::UnknownSchema { id: 2313 }));
    let wrong = Prediction::decode(&framed).unwrap_err().to_string();
    assert!(wrong.contains("raw-kpis-value") && wrong.contains("predictions-value"), "{wrong}");
    let longer = [framed.clone(), vec![0]].concat();
    assert!(Sample::decode(&longer).unwrap_err().to_string().contains("1 bytes are left over"));
    assert!(matches!(record_json("nothing", &framed), Err(ContractError::UnknownTopic { .. })));
}

#[test]
fn both_prediction_topics_read_the_same_bytes() {
    let framed = a_prediction().encode().unwrap();
    let json = record_json("predictions-latest", &framed).unwrap();
    assert_eq!(json, record_json("predictions", &framed).unwrap());
    assert_eq!(json["resources"][0]["horizons"][0]["value"]["p99"], 1.0);
    assert_eq!(json["resources"][0]["horizons"][0]["value"]["p10"], 0.1, "in few digits");
    assert_eq!(json["made_at"], 60_000);
}
