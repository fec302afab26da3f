//! Tests of [`super`]: what a trace and pushed points tell of themselves.

use super::*;
use prescale_domain::kpi::KpiKind;
use prescale_domain::point::{AddUp, Measured};
use prescale_domain::sample::Platform;
use prescale_domain::workload::WorkloadId;

fn of_text(text: &str, map: &str) -> Preview {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trace.csv");
    std::fs::write(&file, text).unwrap();
    let mapping = crate::Mapping::parse(map).unwrap();
    of_trace(&ReplayConfig { file, mapping, ..ReplayConfig::default() }).unwrap()
}

fn whats(preview: &Preview) -> Vec<&str> {
    preview.findings.iter().map(|finding| finding.what.as_str()).collect()
}

/// Thirty minutes of two VMs.
fn trace(row: impl Fn(i64, &str) -> String) -> String {
    let header = "t,vm,cpu,mem,cores,size\n".to_owned();
    (0..30)
        .flat_map(|minute| ["a", "b"].map(|vm| (minute, vm)))
        .fold(header, |text, (minute, vm)| format!("{text}{},{vm},{}\n", 1_700_000_040 + 60 * minute, row(minute, vm)))
}

const MAP: &str = "entity=vm,time=t,cpu=cpu,memory=mem,cpu_capacity=cores,memory_capacity=size";

#[test]
fn a_trace_that_is_well_is_told_without_findings() {
    let preview =
        of_text(&trace(|minute, _| format!("{}.5,{},4.0,8000000000", minute % 3, 2_000_000_000 + minute % 7)), MAP);
    assert_eq!(preview.findings, []);
    assert_eq!((preview.workloads, preview.workloads_with_capacity), (2, 2));
    assert_eq!(preview.examples, ["a", "b"]);
    assert_eq!(preview.history_from.as_deref(), Some("2023-11-14T22:14:00Z"));
    let cpu = &preview.kpis[0];
    assert_eq!((cpu.name.as_str(), cpu.unit.as_str(), cpu.workloads), ("cpu_cores_used", "cores", 2));
    assert_eq!((cpu.present_share, cpu.values), (1.0, Some([0.5, 1.5, 2.5])));
    assert!(preview.looked_at.starts_with("60 of 60 rows"), "{}", preview.looked_at);
}

#[test]
fn what_looks_wrong_in_a_trace_is_said_with_what_to_do() {
    let text = trace(|minute, vm| {
        let size = if vm == "a" { "4.0,8000000000" } else { "," };
        format!("{},{},{size}", 400 + minute, 512 + minute % 7)
    });
    let preview = of_text(&text, MAP);
    let mut whats = whats(&preview);
    whats.retain(|what| !what.starts_with("column "));
    assert_eq!(
        whats,
        [
            "cpu_cores_used: the values of 2 of 2 workloads only ever grow: a counter?",
            "cpu_cores_used: 1 workloads use up to 107 times their capacity: another unit?",
            "memory_bytes: at most 518 bytes: another unit?",
            "the capacity of 1 of 2 workloads is not known",
        ]
    );
    assert!(preview.findings.iter().all(|finding| !finding.remedy.is_empty()));
}

#[test]
fn rows_that_cannot_be_read_are_findings() {
    let text = trace(|minute, _| format!("{}.5,{},4.0,8000000000", minute % 3, 2_000_000_000 + minute % 7));
    let preview = of_text(&format!("{text}1700000040,,1.5,2000000000,4.0,8000000000\n"), MAP);
    let [what] = whats(&preview)[..] else { panic!("{:?}", preview.findings) };
    assert!(what.starts_with("1 rows no_workload: ") && what.contains("the workload's column"), "{what}");
}

/// The points of workload `web`: at each minute `values` of as many series.
fn points(values: &[(&str, Option<f64>)]) -> Vec<Point> {
    let point = |minute: i64, nth: usize, measured: &str, value: Option<f64>| Point {
        workload: WorkloadId::new("web").unwrap(),
        source: SourceName::new("remote-write:main").unwrap(),
        at: EventTime::from_s(1_700_000_040 + 60 * minute),
        step_s: 60,
        series: format!("{nth}").into(),
        measured: Measured::of_name(measured.into()),
        kind: KpiKind::Gauge,
        unit: "By".into(),
        is_total: false,
        add_up: AddUp::Sum,
        value,
        platform: Platform::OBSERVED_ONLY,
    };
    let of = |minute| {
        let all = values.iter().enumerate();
        all.map(move |(nth, (measured, value))| point(minute, nth, measured, *value)).collect::<Vec<_>>()
    };
    (0..10).flat_map(of).collect()
}

#[test]
fn pushed_points_are_told_by_source_with_what_is_missing_and_late() {
    let settings = AssemblySettings { lateness_s: 60, ahead_s: 300, carried_s: 300 };
    let mut pushed = Pushed::new(settings);
    let points = points(&[("memory_bytes", Some(1e9)), ("memory_bytes", Some(2e9))]);
    let late = Point { series: "late".into(), ..points[0].clone() };
    points.iter().chain([&late]).for_each(|point| pushed.take(point));
    let told = pushed.told(Some("node")).unwrap();
    let [preview] = &told[..] else { panic!("{told:?}") };
    assert_eq!((preview.source.as_str(), preview.preset.as_str(), preview.workloads), ("remote-write:main", "node", 1));
    assert_eq!((preview.kpis[0].series_max, preview.kpis[0].values), (3, Some([3e9, 3e9, 3e9])));
    let whats = whats(preview);
    for what in ["cpu_cores_used: no points", "capacity.memory_bytes: no points", "1 of 21 points came too late"] {
        assert!(whats.contains(&what), "{whats:?}");
    }
    assert!(!whats.contains(&"memory_bytes: no points"), "{whats:?}");
    let cpu = preview.findings.iter().find(|finding| finding.what == "cpu_cores_used: no points").unwrap();
    assert!(cpu.remedy.contains("node_cpu_seconds_total"), "{cpu:?}");
    assert!(Pushed::new(settings).told(Some("nodes")).is_err());
}
