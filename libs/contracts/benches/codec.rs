//! Records a second on one core through each codec: fingerprints of 8 KPIs, with features and with the newest
//! values alone, and predictions.
//!
//! `cargo bench -p prescale-contracts`

use prescale_contracts::Contract;
use prescale_domain::calibration::drift::DriftState;
use prescale_domain::calibration::{LOWER, NOMINAL_COVERAGE, UPPER};
use prescale_domain::fingerprint::{Fingerprint, KpiFingerprint, Season, WindowFeatures, Windows};
use prescale_domain::kpi::KpiName;
use prescale_domain::prediction::{HorizonForecast, Interval, Prediction, Reading, ResourceForecast};
use prescale_domain::quantiles::Quantiles;
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::hint::black_box;
use std::time::{Duration, Instant};

const KPIS: usize = 8;
const AT_LEAST: Duration = Duration::from_secs(2);

fn window() -> WindowFeatures {
    let season = |period_s| Season { period_s, amplitude: 1.5, phase_rad: 0.25, strength: 0.6 };
    let x = Some(1.25);
    WindowFeatures {
        count: 10_080,
        missing_share: 0.01,
        mean: x,
        std_dev: x,
        min: x,
        max: x,
        p50: x,
        p90: x,
        p95: x,
        p99: x,
        trend_per_h: x,
        trend_std_err: x,
        trend_r2: x,
        top_seasons: vec![season(43_200.0); 3],
        season_1h: Some(season(3600.0)),
        season_24h: Some(season(86_400.0)),
        season_7d: Some(season(604_800.0)),
        acf_1h: x,
        acf_24h: x,
        acf_7d: x,
        burstiness: x,
        extra: Default::default(),
    }
}

fn capacity() -> Option<Capacity> {
    Some(Capacity { replicas: 3, cpu_cores_per_replica: 2.0, memory_bytes_per_replica: 4e9, instance_type: None })
}

fn workload() -> WorkloadId {
    WorkloadId::new("fleet-web-003").expect("a good name")
}

fn fingerprint() -> Fingerprint {
    let kpi = |i| KpiFingerprint {
        name: KpiName::new(&format!("kpi_number_{i}_bytes_per_s")),
        unit: "By/s".into(),
        last: Some(2.5),
        windows: Windows::boxed(window(), window()),
    };
    Fingerprint {
        workload: workload(),
        source: SourceName::new("fleet:demo").expect("a name"),
        at: EventTime::from_s(1_767_225_600),
        step_s: 60,
        short_window_s: 3600,
        long_window_s: 604_800,
        feature_schema_hash: "0123456789abcdef".into(),
        kpis: (0..KPIS).map(kpi).collect(),
        capacity: capacity(),
        anomaly: None,
        platform: Platform::SIMULATED,
    }
}

/// One made between the closes of bins.
fn newest_values() -> Fingerprint {
    let mut fingerprint = fingerprint();
    fingerprint.kpis.iter_mut().for_each(|kpi| kpi.windows = None);
    fingerprint
}

fn prediction() -> Prediction {
    let quantiles = Quantiles::rearranged([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]).expect("finite numbers");
    let interval = Interval {
        nominal_coverage: NOMINAL_COVERAGE,
        lower: quantiles.values()[LOWER],
        upper: quantiles.values()[UPPER],
        trailing_coverage: Some(0.9),
        scored: 240,
    };
    let horizon = |horizon_s| HorizonForecast {
        horizon_s,
        value: quantiles,
        maximum: quantiles,
        value_interval: interval,
        maximum_interval: interval,
    };
    let resource = |name: &str| ResourceForecast {
        resource: KpiName::new(name),
        unit: "1".into(),
        last: Some(4.0),
        model: "gru".into(),
        model_version: "1".into(),
        drift: Some(DriftState::Stable),
        started_from: Vec::new(),
        horizons: [300, 900, 3600].map(horizon).to_vec(),
    };
    let made_at = EventTime::from_s(1_767_225_600);
    let reading = |before_s: i64| Reading {
        at: made_at.plus_s(-before_s),
        resources: vec![Some(4.0), Some(4e9)],
        signals: Vec::new(),
    };
    Prediction {
        workload: workload(),
        source: SourceName::new("fleet:demo").expect("a name"),
        made_at,
        step_s: 60,
        resources: vec![resource("cpu_cores_used"), resource("memory_bytes")],
        signals: Vec::new(),
        earlier: [240, 180, 120, 60].map(reading).to_vec(),
        capacity: capacity(),
        anomaly: None,
        platform: Platform::SIMULATED,
    }
}

fn per_s(mut work: impl FnMut()) -> f64 {
    let began = Instant::now();
    let mut done = 0u32;
    while began.elapsed() < AT_LEAST {
        for _ in 0..100 {
            work();
        }
        done += 100;
    }
    f64::from(done) / began.elapsed().as_secs_f64()
}

fn report<C: Contract>(name: &str, value: &C) {
    let framed = value.encode().expect("the value keeps its contract");
    assert!(C::decode(&framed).is_ok(), "the bytes read back");
    let encode = per_s(|| drop(black_box(black_box(value).encode())));
    let decode = per_s(|| drop(black_box(C::decode(black_box(&framed)))));
    println!("{name:<13} {:>6} bytes {encode:>9.0} encoded/s {decode:>9.0} decoded/s", framed.len());
}

fn main() {
    report("fingerprint", &fingerprint());
    report("newest values", &newest_values());
    report("prediction", &prediction());
}
