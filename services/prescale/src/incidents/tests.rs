//! A short cut of the generated fleet, and a made-up trace.

use super::*;
use prescale_collector::Mapping;
use std::fmt::Write as _;
use std::fs;

/// As configured, but with forecasts that need no models.
fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.predictor.models = vec!["seasonal-naive".to_owned(), "last-value".to_owned()];
    settings
}

fn request(source: Source, warm_up_days: u32) -> Request {
    Request { source, warm_up_days, sweep: false }
}

#[test]
fn what_happens_to_a_fleet_is_found_soon_and_little_else_is_told() {
    let generated = Generated { workloads: 60, days: 12, seed: 5, incident_every_s: 3 * 3600 };
    let report = incidents(&settings(), &request(Source::Generated(generated), 7)).unwrap();
    println!("{}", report.table());
    let configured = &report.lines[0];
    let found = configured.found.as_ref().unwrap();
    assert!(report.kinds.len() >= 20 && found.happened >= 25, "{}", report.table());
    assert!(found.recall >= 0.9, "{}", report.table());
    assert!(found.delay_bins.is_some_and(|bins| bins <= 3.0), "{}", report.table());
    assert!(found.incidents_each < 1.5, "{}", report.table());
    // Of 300 workload-days of ordinary behaviour. One in 1,000 is the aim, and is not reached.
    assert!(configured.incidents_per_1000 * report.workload_days / 1000.0 <= 5.0, "{}", report.table());
    assert!(configured.incidents_per_1000 <= configured.anomalies_per_1000, "{}", report.table());
}

#[test]
fn a_trace_has_rates_and_rules_that_ask_for_less_tell_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("vm,ts,used\n");
    for bin in 0..288 * 5 {
        let day = f64::from(bin % 288) / 288.0;
        let value = 3.0 + (std::f64::consts::TAU * day).sin() + 0.1 * f64::from(bin * 7919 % 13);
        let broken = if (1300..1330).contains(&bin) { 25.0 } else { 0.0 };
        let _ = writeln!(text, "a,{},{}", 1_700_006_400 + 300 * bin, value + broken);
        let _ = writeln!(text, "b,{},{value}", 1_700_006_400 + 300 * bin);
    }
    let file = folder.path().join("trace.csv");
    fs::write(&file, text).unwrap();
    let mapping = Mapping::parse("entity=vm,time=ts,cpu=used").unwrap();
    let trace = ReplayConfig { file, mapping, ..ReplayConfig::default() };
    let request = Request { sweep: true, ..request(Source::Trace(Box::new(trace)), 2) };
    let report = incidents(&settings(), &request).unwrap();
    println!("{}", report.table());
    assert!(report.kinds.is_empty() && report.lines.iter().all(|line| line.found.is_none()));
    assert!((4.0..6.1).contains(&report.workload_days), "{}", report.workload_days);
    let rate = |name: &str| {
        let is_it = |line: &&Line| line.rules.starts_with(name);
        report.lines.iter().find(is_it).unwrap().anomalies_per_1000
    };
    assert!(rate("1 of 1 at 1e-3") >= rate("1 of 1 at 1e-5"));
    assert!(rate("1 of 1 at 1e-3") > 0.0, "{}", report.table());
}
