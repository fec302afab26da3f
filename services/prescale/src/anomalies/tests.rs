//! The scores of a small generated trace, from the file to the file.

use super::*;
use prescale_collector::Mapping;
use std::fmt::Write as _;
use std::fs;

const DAY_BINS: i64 = 288;
const OFF_AT: i64 = 5 * DAY_BINS + 100;

/// Six days of two workloads with two KPIs that move together; in one of them they part for half an hour.
fn trace(folder: &Path) -> PathBuf {
    let mut text = String::from("vm,ts,used,asked\n");
    for bin in 0..6 * DAY_BINS {
        let ts = 1_700_006_400 + 300 * bin;
        let noise = |salt: i64| ((bin * 7919 + salt * 104_729) % 1009) as f64 / 1009.0;
        let load = 2.0 + (std::f64::consts::TAU * bin as f64 / DAY_BINS as f64).sin() + noise(1);
        let asked = 50.0 * load + 5.0 * noise(2);
        let is_off = (OFF_AT..OFF_AT + 6).contains(&bin);
        let _ = writeln!(text, "a,{ts},{load},{}", if is_off { 2.0 * asked } else { asked });
        let _ = writeln!(text, "b,{ts},{},{asked}", 3.0 * load + noise(3));
    }
    let file = folder.join("trace.csv");
    fs::write(&file, text).unwrap();
    file
}

fn scored(partitions: u32) -> (Report, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    settings.bus.partitions = partitions;
    let scores = folder.path().join("scores.csv");
    let request = Request {
        trace: ReplayConfig {
            file: trace(folder.path()),
            mapping: Mapping::parse("entity=vm,time=ts,cpu=used,requests=asked").unwrap(),
            ..ReplayConfig::default()
        },
        scores: Some(scores.clone()),
    };
    let report = anomalies(&settings, &request).unwrap();
    (report, fs::read_to_string(scores).unwrap())
}

#[test]
fn what_is_off_stands_first_with_the_kpi_to_blame() {
    let (report, scores) = scored(2);
    assert_eq!(report.rows_read, 12 * DAY_BINS as u64);
    let [first, second] = &*report.workloads else { panic!("{report:?}") };
    assert_eq!((&*first.workload, &*first.kpis[0]), ("a", "requests_per_s"));
    assert!(first.p_value_min.is_some_and(|p| p < ANOMALY_P_MAX) && first.anomalous > 0, "{first:?}");
    let at = first.at.clone().unwrap();
    let off = |bin: i64| rfc3339(EventTime::from_s(1_700_006_400 + 300 * bin));
    assert!((off(OFF_AT)..off(OFF_AT + 24)).contains(&at), "{at}");
    assert!(second.p_value_min > first.p_value_min, "{second:?}");
    assert!(report.table().contains("requests_per_s"), "{}", report.table());

    let lines: Vec<&str> = scores.lines().collect();
    assert_eq!(lines[0], "workload,at,score,p_value,kpis");
    // Of the first bin nothing is known.
    assert_eq!(lines.len() - 1, 2 * (6 * DAY_BINS as usize - 1));
    let with_p_value = lines[1..].iter().filter(|line| !line.split(',').nth(3).unwrap().is_empty()).count();
    assert_eq!(with_p_value as u64, report.bins);
}

#[test]
fn it_is_the_same_however_the_workloads_are_dealt() {
    let ((one, one_scores), (other, other_scores)) = (scored(1), scored(3));
    assert_eq!(one.workloads, other.workloads);
    assert_eq!(one_scores, other_scores);
}
