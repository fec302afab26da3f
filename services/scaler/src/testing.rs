//! What tests share: forecasts, actions, and a reader of Prometheus' text format.

use crate::forecasts::Forecast;
use crate::message::ScaledObjectRef;
use prescale_domain::action::{Action, Mechanism, Reason, Verdict};
use prescale_domain::calibration::NOMINAL_COVERAGE;
use prescale_domain::kpi::{CPU_CORES_USED, KpiName, MEMORY_BYTES};
use prescale_domain::prediction::{HorizonForecast, Interval, Prediction, ResourceForecast};
use prescale_domain::quantiles::Quantiles;
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::collections::BTreeMap;
use std::path::Path;

const NOW_S: i64 = 1_700_000_100;
const GIB: f64 = 1_073_741_824.0;

pub(crate) fn id(name: &str) -> WorkloadId {
    WorkloadId::new(name).unwrap()
}

pub(crate) fn at(minutes: i64) -> EventTime {
    EventTime::from_s(NOW_S + 60 * minutes)
}

fn capacity(replicas: u32) -> Capacity {
    Capacity { replicas, cpu_cores_per_replica: 2.0, memory_bytes_per_replica: 4.0 * GIB, instance_type: None }
}

fn horizon(horizon_s: u32, demand: f64) -> HorizonForecast {
    let quantiles = |scale: f64| {
        let values = [0.7, 0.75, 0.9, 1.0, 1.1, 1.25, 1.3, 1.5];
        Quantiles::rearranged(values.map(|share| share * scale * demand)).unwrap()
    };
    let (value, maximum) = (quantiles(1.0), quantiles(1.0 + f64::from(horizon_s) / 7_200.0));
    let interval = |of: &Quantiles| Interval {
        nominal_coverage: NOMINAL_COVERAGE,
        lower: of.at(0.05),
        upper: of.at(0.95),
        trailing_coverage: None,
        scored: 0,
    };
    let (value_interval, maximum_interval) = (interval(&value), interval(&maximum));
    HorizonForecast { horizon_s, value, maximum, value_interval, maximum_interval }
}

/// A prediction of a workload that needs about so many cores, and has two replicas of two.
pub(crate) fn prediction(name: &str, made_at: EventTime, cores: f64) -> Prediction {
    let resource = |name: &str, unit: &str, demand: f64| ResourceForecast {
        resource: KpiName::new(name),
        unit: unit.into(),
        last: Some(demand),
        model: "last-value".into(),
        model_version: "1".into(),
        drift: None,
        started_from: Vec::new(),
        horizons: [300, 900, 3_600].map(|horizon_s| horizon(horizon_s, demand)).to_vec(),
    };
    Prediction {
        workload: id(name),
        source: SourceName::new("prometheus:test").unwrap(),
        made_at,
        step_s: 60,
        resources: vec![resource(CPU_CORES_USED, "cores", cores), resource(MEMORY_BYTES, "By", cores * GIB)],
        signals: Vec::new(),
        earlier: Vec::new(),
        capacity: Some(capacity(2)),
        platform: Platform::KUBERNETES,
        anomaly: None,
    }
}

/// What is kept of [`prediction`].
pub(crate) fn forecast(name: &str, made_at: EventTime, cores: f64) -> (WorkloadId, Forecast) {
    Forecast::of(prediction(name, made_at, cores))
}

pub(crate) fn reason() -> Reason {
    Reason { rule: "test".into(), text: "It is a test.".to_owned() }
}

/// An action that is valid for ten minutes.
pub(crate) fn action(name: &str, decided_at: EventTime, replicas: u32) -> Action {
    Action {
        workload: id(name),
        decided_at,
        valid_until: decided_at.plus_s(600),
        prediction_id: "p".into(),
        policy: "threshold".into(),
        verdict: Verdict::ScaleOut,
        current: capacity(2),
        desired: capacity(replicas),
        mechanism: Mechanism::Replicas,
        dry_run: true,
        evidence: Vec::new(),
        reasons: vec![reason()],
        platform: Platform::KUBERNETES,
    }
}

/// ScaledObject `web` in namespace `shop`, with the metadata of its trigger.
pub(crate) fn scaled_object(metadata: &[(&str, &str)]) -> ScaledObjectRef {
    let metadata = metadata.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
    ScaledObjectRef { name: "web".to_owned(), namespace: "shop".to_owned(), scaler_metadata: metadata.collect() }
}

/// The series of a metric: labels and value.
pub(crate) type SeriesOf = Vec<(BTreeMap<String, String>, f64)>;

/// Labels and values of each metric in Prometheus' text format; whatever that does not allow is a panic.
pub(crate) fn parsed(text: &str) -> BTreeMap<String, SeriesOf> {
    let mut series = BTreeMap::<String, Vec<_>>::new();
    let mut declared = Vec::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let (word, rest) = comment.split_once(' ').unwrap();
            let (name, _) = rest.split_once(' ').unwrap();
            if word == "TYPE" {
                assert!(!declared.contains(&name), "{name} is declared twice");
                declared.push(name);
            }
            continue;
        }
        let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap());
        assert_eq!(declared.last(), Some(&name), "each metric's series stand together");
        let (labels, value) = match rest.strip_prefix('{') {
            Some(labels) => labels_of(labels),
            None => (BTreeMap::new(), rest),
        };
        let value = value.strip_prefix(' ').unwrap().parse().unwrap();
        let of_metric = series.entry(name.to_owned()).or_default();
        assert!(of_metric.iter().all(|(known, _)| *known != labels), "{line} is there twice");
        of_metric.push((labels, value));
    }
    series
}

/// The labels up to the brace that ends them, and what follows.
fn labels_of(mut text: &str) -> (BTreeMap<String, String>, &str) {
    let mut labels = BTreeMap::new();
    loop {
        let (name, rest) = text.split_once("=\"").unwrap();
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
        let (mut value, mut chars) = (String::new(), rest.char_indices());
        let end = loop {
            match chars.next().unwrap() {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next().unwrap().1 {
                    'n' => '\n',
                    escaped => escaped,
                }),
                (_, plain) => value.push(plain),
            }
        };
        assert_eq!(labels.insert(name.to_owned(), value), None, "{name} is there twice");
        match rest[end + 1..].strip_prefix(',') {
            Some(more) => text = more,
            None => return (labels, rest[end + 1..].strip_prefix('}').unwrap()),
        }
    }
}

/// A file of the repository.
pub(crate) fn repository_file(name: &str) -> String {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    std::fs::read_to_string(Path::new(&package).join("../..").join(name)).unwrap()
}
