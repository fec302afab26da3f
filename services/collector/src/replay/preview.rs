//! What a trace would be read as, before it is.

use super::read::read_samples;
use crate::config::ReplayConfig;
use crate::preview::{Preview, Samples, finding};
use anyhow::Result;
use prescale_contracts::rfc3339;
use std::ops::ControlFlow;

/// So many samples are looked at.
const SAMPLES_MAX: u64 = 2_000_000;

/// Looks at a trace, at two million samples of it at most. Blocks; call it outside of any async runtime.
///
/// # Errors
/// When the file cannot be read or the mapping cannot be used, with the key.
pub fn of_trace(config: &ReplayConfig) -> Result<Preview> {
    let (mut samples, mut extent) = (Samples::default(), None);
    let opened = |found| extent = Some(found);
    let report = read_samples(config, opened, |batch| {
        batch.iter().for_each(|sample| samples.take(sample));
        if samples.count() < SAMPLES_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let rows = extent.map_or(report.rows_read, |extent| extent.rows.max(report.rows_read));
    let looked_at = match report.last_at.map(rfc3339) {
        Some(until) => format!("{} of {rows} rows, until {until}", report.rows_read),
        None => format!("{} of {rows} rows", report.rows_read),
    };
    let mut preview = samples.told(&config.file.display().to_string(), looked_at);
    let remedy = "see that this is meant; otherwise change the mapping (--map), or the file";
    preview.findings.extend(report.notes.into_iter().map(|note| finding(note, remedy.to_owned())));
    if report.rows_differing > 0 {
        preview.findings.push(finding(
            format!(
                "{} rows have another value than a row before them of one workload and instant",
                report.rows_differing
            ),
            "the first is used: filter the others, or map a workload's name that tells them apart".to_owned(),
        ));
    }
    if let Some(extent) = extent.filter(|extent| extent.has_jitter) {
        preview.findings.push(finding(
            format!("instants jitter about a step of {} s", extent.step_s),
            "they are put on a grid of that step: set [collector.replay] step_s if it is another".to_owned(),
        ));
    }
    if report.samples_written == 0 {
        preview.findings.push(finding(
            "no row became a sample".to_owned(),
            "look at the mapping (--map), and at --from and --to".to_owned(),
        ));
    }
    Ok(preview)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        (0..30).flat_map(|minute| ["a", "b"].map(|vm| (minute, vm))).fold(header, |text, (minute, vm)| {
            format!("{text}{},{vm},{}\n", 1_700_000_040 + 60 * minute, row(minute, vm))
        })
    }

    const MAP: &str = "entity=vm,time=t,cpu=cpu,memory=mem,cpu_capacity=cores,memory_capacity=size";

    #[test]
    fn a_trace_that_is_well_is_told_without_findings() {
        let preview =
            of_text(&trace(|minute, _| format!("{}.5,{},4.0,8000000000", minute % 3, 2_000_000_000 + minute % 7)), MAP);
        assert_eq!(preview.findings, []);
        assert_eq!((preview.workloads, preview.workloads_with_capacity), (2, 2));
        assert_eq!(preview.examples, ["a", "b"]);
        assert_eq!(preview.history_from.as_deref(), Some("2023-11-14T22:14:00.000Z"));
        let cpu = &preview.kpis[0];
        assert_eq!((cpu.name.as_str(), cpu.unit.as_str(), cpu.workloads), ("cpu_cores_used", "cores", 2));
        assert_eq!((cpu.present_share, cpu.values), (1.0, Some([0.5, 1.5, 2.5])));
        assert!(preview.looked_at.starts_with("60 of 60 rows"), "{}", preview.looked_at);
    }

    #[test]
    fn a_few_values_that_cannot_be_are_no_error_of_unit() {
        let text = trace(|minute, _| {
            let cpu = if minute == 7 { "18446744073709551591".to_owned() } else { format!("{}.5", minute % 3) };
            format!("{cpu},{},4.0,8000000000", 2_000_000_000 + minute % 7)
        });
        let preview = of_text(&text, MAP);
        let wanted = "cpu_cores_used: 2 values are above 10 times the capacity, and the others are not";
        assert!(whats(&preview).contains(&wanted), "{:?}", preview.findings);
        assert!(!whats(&preview).iter().any(|what| what.contains("another unit")), "{:?}", preview.findings);
        let negative = of_text(&trace(|minute, _| format!("-{}.5,{},4.0,8000000000", minute % 3, 2_000_000_000)), MAP);
        assert_eq!(whats(&negative), ["cpu_cores_used: 2 workloads have values below zero"]);
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
}
