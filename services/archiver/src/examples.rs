//! Records for the tests of this crate.

use prescale_domain::calibration::drift::DriftState;
use prescale_domain::fingerprint::{Fingerprint, KpiFingerprint, Season, WindowFeatures, Windows};
use prescale_domain::group::{GroupName, GroupPrediction, MemberCount};
use prescale_domain::kpi::{CPU_CORES_USED, KpiName};
use prescale_domain::prediction::{HorizonForecast, Interval, Prediction, ResourceForecast};
use prescale_domain::quantiles::Quantiles;
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;

fn capacity() -> Option<Capacity> {
    Some(Capacity { replicas: 3, cpu_cores_per_replica: 2.0, memory_bytes_per_replica: 4e9, instance_type: None })
}

/// A fingerprint with one resource and one KPI whose value is missing.
pub(crate) fn fingerprint(workload: &str, at_s: i64) -> Fingerprint {
    let day = Season { period_s: 86_400.0, amplitude: 1.5, phase_rad: -0.5, strength: 0.75 };
    let short = WindowFeatures { count: 60, mean: Some(2.5), p95: Some(3.5), ..WindowFeatures::default() };
    let long = WindowFeatures {
        count: 10_080,
        mean: Some(2.25),
        p99: Some(5.0),
        burstiness: Some(-0.5),
        season_24h: Some(day),
        top_seasons: vec![day],
        extra: [("peak_to_mean".to_owned(), Some(1.5)), ("undefined".to_owned(), None)].into(),
        ..WindowFeatures::default()
    };
    let kpi = |name: &str, unit: &str, last| KpiFingerprint {
        name: KpiName::new(name),
        unit: unit.into(),
        last,
        windows: Windows::boxed(short.clone(), long.clone()),
    };
    Fingerprint {
        workload: WorkloadId::new(workload).unwrap(),
        source: SourceName::new("fleet:demo").unwrap(),
        at: EventTime::from_s(at_s),
        step_s: 60,
        short_window_s: 3600,
        long_window_s: 604_800,
        feature_schema_hash: "0123456789abcdef".into(),
        kpis: vec![kpi(CPU_CORES_USED, "cores", Some(2.75)), kpi("latency_ms", "ms", None)],
        capacity: capacity(),
        anomaly: None,
        platform: Platform::SIMULATED,
    }
}

/// That of [`fingerprint`] as one made between the closes of bins.
pub(crate) fn newest_values(workload: &str, at_s: i64) -> Fingerprint {
    let mut fingerprint = fingerprint(workload, at_s);
    fingerprint.kpis.iter_mut().for_each(|kpi| kpi.windows = None);
    fingerprint
}

/// That of [`prediction`], of a group of ten, one of them silent.
pub(crate) fn group_prediction(group: &str, at_s: i64) -> GroupPrediction {
    let Prediction { made_at, resources, .. } = prediction(group, at_s);
    let group = GroupName::new(group).unwrap();
    GroupPrediction { group, made_at, members: MemberCount { reported: 9, carried: 1 }, resources }
}

/// A prediction of one resource at one horizon.
pub(crate) fn prediction(workload: &str, at_s: i64) -> Prediction {
    let quantiles = |from: f64| Quantiles::rearranged(std::array::from_fn(|i| from + i as f64)).unwrap();
    let interval = |lower: f64, trailing_coverage| Interval {
        nominal_coverage: 0.9,
        lower,
        upper: lower + 6.0,
        trailing_coverage,
        scored: 240,
    };
    Prediction {
        workload: WorkloadId::new(workload).unwrap(),
        source: SourceName::new("fleet:demo").unwrap(),
        made_at: EventTime::from_s(at_s),
        step_s: 60,
        resources: vec![ResourceForecast {
            resource: KpiName::new(CPU_CORES_USED),
            unit: "cores".into(),
            last: Some(2.5),
            model: "gru".into(),
            model_version: "1".into(),
            drift: Some(DriftState::Stable),
            started_from: Vec::new(),
            horizons: vec![HorizonForecast {
                horizon_s: 300,
                value: quantiles(1.0),
                maximum: quantiles(2.0),
                value_interval: interval(1.0, Some(0.91)),
                maximum_interval: interval(2.0, None),
            }],
        }],
        signals: Vec::new(),
        earlier: Vec::new(),
        capacity: capacity(),
        anomaly: None,
        platform: Platform::SIMULATED,
    }
}
