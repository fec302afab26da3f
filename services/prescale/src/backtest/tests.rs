//! A backtest of a small generated trace, from the file to the report.

use super::*;
use prescale_collector::Mapping;
use prescale_domain::forecast::DAY_BINS;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Three days of two workloads: a ramp within the day that is one higher each day, so that the value a
/// day ago is off by exactly one. A row without a workload and one that is missing are in it.
fn ramp(folder: &Path) -> PathBuf {
    let mut text = String::from("vm,ts,used\n");
    for bin in 0..3 * DAY_BINS {
        let value = (bin % DAY_BINS) as f64 / 8.0 + (bin / DAY_BINS) as f64 + 1.0;
        let ts = 1_700_000_100 + 300 * bin;
        if bin != 2 * DAY_BINS + 30 {
            let _ = writeln!(text, "a,{ts},{value}");
        }
        let _ = writeln!(text, "b,{ts},{}", 10.0 * value);
    }
    text += ",1700000100,5\n";
    let file = folder.join("trace.csv");
    fs::write(&file, text).unwrap();
    file
}

fn request(file: &Path, report: Option<PathBuf>) -> Request {
    Request {
        trace: ReplayConfig {
            file: file.to_owned(),
            mapping: Mapping::parse("entity=vm,time=ts,cpu=used").unwrap(),
            ..ReplayConfig::default()
        },
        families: vec!["seasonal-naive".to_owned(), "last-value".to_owned()],
        kpis: vec!["cpu_cores_used".to_owned()],
        warm_up_bins: 2 * DAY_BINS as u32,
        every_bins: 1,
        block_days: 1,
        is_of_anomalies: false,
        report,
    }
}

#[test]
fn every_contender_is_scored_on_the_same_forecasts() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report");
    let report = backtest(&Settings::default(), &request(&ramp(folder.path()), Some(out.clone()))).unwrap();
    assert_eq!(report.rows_read, 6 * DAY_BINS as u64);
    assert_eq!(report.rows_dropped.values().sum::<u64>(), 1);
    assert_eq!(report.contenders, [AS_CONFIGURED, "seasonal-naive", "last-value", textbook::NAME]);
    for horizon_s in [300, 900, 3600] {
        let of = |contender: &str, statistic: &str| {
            let is_it =
                |f: &&report::Figures| f.contender == contender && f.horizon_s == horizon_s && f.statistic == statistic;
            report.figures.iter().find(is_it).unwrap()
        };
        // Origins of day 3 whose truth is in it, of two workloads, one with a bin missing: as origin and as
        // target. A maximum is missing where any of its bins is.
        let bins = u64::from(horizon_s / 300);
        assert_eq!(of(AS_CONFIGURED, "value").scored, 2 * (DAY_BINS as u64 - bins - 1) - 2, "{horizon_s}");
        assert_eq!(of(AS_CONFIGURED, "maximum").scored, 2 * (DAY_BINS as u64 - bins - 1) - 1 - bins, "{horizon_s}");
        for contender in &report.contenders {
            assert_eq!(of(contender, "value").scored, of(AS_CONFIGURED, "value").scored);
        }
        let textbook = of(textbook::NAME, "value");
        assert!((textbook.mase.unwrap() - 1.0).abs() < 1e-9, "{:?}", textbook.mase);
        assert!((textbook.relative[textbook::NAME].scaled - 1.0).abs() < 1e-12);
        assert!(of("last-value", "value").relative[textbook::NAME].scaled < 1.0 || horizon_s == 3600);
    }
    let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(json["figures"].as_array().unwrap().len(), report.figures.len());
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("cpu_cores_used") && !page.contains("<script"), "{page}");
    assert!(report.table().contains(textbook::NAME));
}

/// Five days of a workload that does the same each day but for an hour of the fourth, in which it does ten times as much.
#[test]
fn an_incident_that_is_left_out_is_not_expected_to_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("vm,ts,used\n");
    for bin in 0..5 * DAY_BINS {
        let noise = (bin * 7919 % 31) as f64 / 31.0;
        let usual = 10.0 + (bin % DAY_BINS) as f64 / 50.0 + noise;
        let incident = 3 * DAY_BINS + 100..3 * DAY_BINS + 112;
        let value = if incident.contains(&bin) { 10.0 * usual } else { usual };
        let _ = writeln!(text, "a,{},{value}", 1_700_006_400 + 300 * bin);
    }
    let file = folder.path().join("incident.csv");
    fs::write(&file, text).unwrap();
    let mut settings = Settings::default();
    settings.predictor.models = vec!["seasonal-naive".to_owned(), "last-value".to_owned()];
    settings.predictor.choice = Choice::Order;
    let of_last_day = Request {
        families: vec!["last-value".to_owned()],
        is_of_anomalies: true,
        warm_up_bins: 4 * DAY_BINS as u32,
        ..request(&file, None)
    };
    let report = backtest(&settings, &of_last_day).unwrap();
    let [left_out, learnt] = ANOMALIES.map(|(name, _)| {
        let of = |f: &&report::Figures| f.contender == name && f.horizon_s == 300 && f.statistic == "value";
        report.figures.iter().find(of).unwrap().scaled_crps
    });
    assert!(left_out < 0.5 * learnt, "{left_out} and {learnt}");
}

#[test]
fn the_same_trace_gives_the_same_report() {
    let folder = tempfile::tempdir().unwrap();
    let request = request(&ramp(folder.path()), None);
    let text = || serde_json::to_string(&backtest(&Settings::default(), &request).unwrap()).unwrap();
    assert_eq!(text(), text());
}

#[test]
fn what_cannot_be_tested_is_an_error_that_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = ramp(folder.path());
    let failure = |change: fn(&mut Request)| {
        let mut request = request(&file, None);
        change(&mut request);
        format!("{:#}", backtest(&Settings::default(), &request).unwrap_err())
    };
    let short = failure(|r| r.warm_up_bins = 5000);
    assert!(short.contains("nothing was scored") && short.contains("5000 bins"), "{short}");
    let other = failure(|r| r.kpis = vec!["queries_per_s".to_owned()]);
    assert!(other.contains("queries_per_s"), "{other}");
    let family = failure(|r| r.families = vec!["oracle".to_owned()]);
    assert!(family.contains("\"oracle\", which nobody knows"), "{family}");
}
