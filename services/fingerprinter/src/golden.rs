//! Features of generated series against numpy and scipy: `goldens/windows.py` made the numbers.

use crate::config::Config;
use crate::partition::tests::{enveloped, fingerprints};
use crate::partition::{Enveloped, Partition};
use prescale_domain::fingerprint::{Fingerprint, Season, WindowFeatures};
use prescale_domain::kpi::{Kpi, KpiKind, KpiName};
use prescale_domain::window::log_histogram::RELATIVE_ERROR_MAX;
use serde_json::Value;
use std::f64::consts::TAU;
use std::sync::Arc;

const STEP_S: i64 = 60;
const START_S: i64 = 1_700_000_100;
const COUNT: i64 = 15 * 1440 + 1;
/// Relative tolerance of what is made of numbers of 16 bits, or kept as such.
const OF_16_BITS: f64 = 1e-4;

fn noise(bin: i64, salt: u64) -> f64 {
    let modulus = 1u64 << 31;
    let mixed = bin as u64 * salt % modulus;
    ((mixed * 1_103_515_245 + 12_345) % modulus) as f64 / modulus as f64
}

fn wave(t: i64, period: i64, phase: f64) -> f64 {
    (TAU * (t % period) as f64 / period as f64 + phase).cos()
}

fn value(name: &str, i: i64, bin: i64) -> f64 {
    let t = bin * STEP_S;
    match name {
        "cpu" => {
            let seasons = 1.5 * wave(t, 86_400, 0.4) + 0.5 * wave(t, 3600, 2.0) + 0.3 * wave(t, 604_800, -1.0);
            3.0 + seasons + 0.4 * noise(bin, 2_654_435_761)
        }
        "memory" => 8e9 + 2e4 * i as f64 + 3e8 * wave(t, 43_200, 1.0) + 1e8 * noise(bin, 40_503),
        _ => {
            let active = if noise(bin, 65_539) > 0.3 { 1.0 } else { 0.0 };
            1e4 * (noise(bin, 69_069) * 1000.0).floor().powi(2) * active
        }
    }
}

fn samples() -> Vec<Enveloped> {
    let kept =
        |i: i64, bin: i64, salt: u64, every: i64| (noise(bin, salt) * 1e6).floor() as i64 % every != 0 || i > COUNT - 3;
    let kpis = [("cpu", 16_807), ("memory", 69_621), ("disk", 39_373)];
    let unit: Arc<str> = "1".into();
    (0..COUNT)
        .map(|i| (i, START_S / STEP_S + i))
        .filter(|(i, bin)| kept(*i, *bin, 48_271, 97))
        .map(|(i, bin)| {
            let kpi = |(name, salt): (&str, u64)| Kpi {
                name: KpiName::new(name),
                kind: KpiKind::Gauge,
                unit: Arc::clone(&unit),
                value: kept(i, bin, salt, 23).then(|| value(name, i, bin)),
            };
            enveloped("vm-1", bin * STEP_S, 60, kpis.map(kpi).to_vec())
        })
        .collect()
}

fn last_fingerprint() -> Fingerprint {
    let mut partition = Partition::new(Arc::new(Config::default().settings().unwrap())).unwrap();
    let mut samples = samples();
    let newest = samples.split_off(samples.len() - 1);
    for part in samples.chunks(700) {
        partition.apply(part.to_vec()).unwrap();
    }
    partition.tell_next();
    fingerprints(partition.apply(newest).unwrap()).remove(0).1
}

fn near(what: &str, got: Option<f64>, wanted: &Value, tolerance: f64) {
    match (got, wanted.as_f64()) {
        (Some(got), Some(wanted)) => {
            // Features have 32 bits.
            let tolerance = tolerance + f64::from(f32::EPSILON) * wanted.abs();
            assert!((got - wanted).abs() <= tolerance, "{what}: {got} for {wanted}, tolerance {tolerance}");
        }
        (got, wanted) => assert_eq!(got, wanted, "{what}"),
    }
}

/// `tolerance` is in units of `scale`.
fn near_season(what: &str, got: Option<&Season>, wanted: &Value, (scale, tolerance): (f64, f64)) {
    let Some(wanted) = wanted.as_array() else {
        return assert_eq!(got, None, "{what}");
    };
    let got = got.unwrap_or_else(|| panic!("{what} is missing"));
    let period_s = wanted[0].as_f64().unwrap();
    let amplitude = wanted[1].as_f64().unwrap();
    near(&format!("{what} period"), Some(got.period_s), &wanted[0], 1e-6 * period_s);
    near(&format!("{what} amplitude"), Some(got.amplitude), &wanted[1], tolerance * scale);
    near(&format!("{what} strength"), Some(got.strength), &wanted[3], tolerance);
    let turned = (got.phase_rad - wanted[2].as_f64().unwrap() + 3.0 * TAU / 2.0).rem_euclid(TAU) - TAU / 2.0;
    assert!(turned.abs() <= tolerance * (scale / amplitude).max(1.0), "{what} phase: {turned} off");
}

fn check(what: &str, got: &WindowFeatures, wanted: &Value) {
    assert_eq!(Some(got.count), wanted["count"].as_u64(), "{what} count");
    let scale = wanted["std_dev"].as_f64().unwrap();
    let size = scale.max(wanted["mean"].as_f64().unwrap().abs());
    let days_h = if what.ends_with("short") { 0.3 } else { 48.0 };
    for (name, got, tolerance) in [
        ("missing_share", Some(got.missing_share), 1e-12),
        ("mean", got.mean, 1e-6 * scale),
        ("std_dev", got.std_dev, 1e-6 * scale),
        ("min", got.min, 0.0),
        ("max", got.max, 0.0),
        ("trend_per_h", got.trend_per_h, 1e-6 * scale / days_h),
        ("trend_std_err", got.trend_std_err, 1e-6 * scale / days_h),
        ("trend_r2", got.trend_r2, 1e-6),
        ("burstiness", got.burstiness, 1e-6),
        ("acf_1h", got.acf_1h, OF_16_BITS),
        ("acf_24h", got.acf_24h, OF_16_BITS),
        ("acf_7d", got.acf_7d, OF_16_BITS),
    ] {
        near(&format!("{what} {name}"), got, &wanted[name], tolerance);
    }
    for (name, got) in [("p50", got.p50), ("p90", got.p90), ("p95", got.p95), ("p99", got.p99)] {
        let exact = wanted[name].as_f64().unwrap();
        near(&format!("{what} {name}"), got, &wanted[name], RELATIVE_ERROR_MAX * exact.abs() + 1e-9 * size);
    }
    let of_rhythm = (scale, OF_16_BITS);
    let of_hour = (scale, if what.ends_with("short") { 1e-6 } else { OF_16_BITS });
    near_season(&format!("{what} 1 h"), got.season_1h.as_ref(), &wanted["season_1h"], of_hour);
    near_season(&format!("{what} 24 h"), got.season_24h.as_ref(), &wanted["season_24h"], of_rhythm);
    near_season(&format!("{what} 7 d"), got.season_7d.as_ref(), &wanted["season_7d"], of_rhythm);
    let top = wanted["top_seasons"].as_array().unwrap();
    assert_eq!(got.top_seasons.len(), top.len(), "{what} top seasons");
    for (got, wanted) in got.top_seasons.iter().zip(top) {
        near_season(&format!("{what} top"), Some(got), wanted, of_rhythm);
    }
}

#[test]
fn features_are_those_of_numpy_and_scipy() {
    let golden: Value = serde_json::from_str(include_str!("../goldens/windows.json")).unwrap();
    let fingerprint = last_fingerprint();
    assert_eq!(fingerprint.at.as_ms() / 1000, START_S + (COUNT - 1) * STEP_S);
    assert_eq!(fingerprint.kpis.len(), 3);
    for kpi in &fingerprint.kpis {
        let wanted = &golden[kpi.name.as_str()];
        let windows = kpi.windows.as_deref().expect("the last sample closes a bin");
        check(&format!("{} short", kpi.name), &windows.short, &wanted["short"]);
        check(&format!("{} long", kpi.name), &windows.long, &wanted["long"]);
        let bin = START_S / STEP_S + COUNT - 1;
        assert_eq!(kpi.last, Some(value(kpi.name.as_str(), COUNT - 1, bin)));
    }
}
