//! The account at the end of a replay: what became of every row.

use super::rendered::{Rendered, Series};
use crate::account::{StageAccount, account as read_account, table};
use anyhow::{Result, bail};
use prescale_bus::Bus;
use prescale_chassis::Context;
use prescale_chassis::audit::WAITING;
use prescale_collector::ReplayReport;
use prescale_domain::resource::Resource;
use std::fmt::{self, Display, Write};
use tokio_util::sync::CancellationToken;

/// Gauges of records that wait in a stage's state.
const GAUGES: [(&str, &str); 2] = [
    (prescale_fingerprinter::stage::NAME, "prescale_fingerprinter_held"),
    (prescale_governor::stage::NAME, "prescale_governor_waiting"),
];

/// The account as text. `counted` are this process's metrics, which are held against what the log says.
///
/// # Errors
/// When the bus cannot be read, something was lost, made up or written twice, or a row is not accounted for; the
/// account so far is in the error.
pub(super) fn account(
    bus: &dyn Bus,
    context: &Context,
    report: &ReplayReport,
    counted: &Rendered,
    stop: &CancellationToken,
) -> Result<String> {
    let accounts = read_account(bus, context, stop)?;
    let dropped: u64 = report.rows_dropped.values().sum();
    let mut text = format!("\n{}{}", of_rows(report), table(&accounts));
    let mut gaps = Vec::new();
    if report.rows_read != report.samples_written + report.rows_joined + dropped {
        gaps.push("rows read are not samples written, rows joined to them and rows dropped".to_owned());
    }
    if report.samples_written == 0 {
        gaps.push("no row became a sample, so nothing was replayed".to_owned());
    }
    let (sinks, stages): (Vec<_>, Vec<_>) = accounts.iter().partition(|account| account.is_sink);
    for stage in stages {
        let records_in = counted.sum("prescale_stage_records_in_total", &[("stage", &stage.stage)]);
        let is_all_of_this_run = records_in == stage.read + stage.others;
        gaps.extend(gaps_of(stage, is_all_of_this_run.then(|| explained(stage, counted))));
    }
    for sink in sinks {
        let archived = Archived::of(sink, counted);
        writeln!(text, "{archived}")?;
        gaps.extend(archived.gap());
    }
    text += &left_out(counted);
    if gaps.is_empty() {
        text += "every row is accounted for\n";
        return Ok(text);
    }
    bail!("{text}not accounted for: {}", gaps.join("; "))
}

/// What became of the rows, and what was left out of them.
fn of_rows(report: &ReplayReport) -> String {
    let dropped: u64 = report.rows_dropped.values().sum();
    let joined = match report.rows_joined {
        0 => String::new(),
        n => format!(" + {n} joined to samples of the same workload and instant"),
    };
    let mut text = format!(
        "{} rows read = {} samples written{joined} + {dropped} dropped{}\n",
        report.rows_read,
        report.samples_written,
        reasons(report.rows_dropped.iter().map(|(reason, n)| (*reason, *n)))
    );
    if report.rows_differing > 0 {
        text += &format!(
            "{} rows held other values than a row before of the same workload and instant, which was used: if two \
             monitoring servers wrote them, filter one; if they are parts of the workload, add them up first; if they \
             are other KPIs, map each, as in cpu=case when name = 'cpu_cores' then value end\n",
            report.rows_differing
        );
    }
    report.notes.iter().fold(text, |text, note| text + note + "\n")
}

/// How many records without output a stage has counted, under the reasons that the log knows as well.
fn explained(stage: &StageAccount, counted: &Rendered) -> u64 {
    let drops = counted.series("prescale_stage_dropped_total", &[("stage", &stage.stage)]);
    let is_known = |drop: &&Series| stage.counted.contains(&drop.label("reason"));
    let dropped: u64 = drops.iter().filter(is_known).map(|drop| drop.value).sum();
    let gauge = GAUGES.iter().find(|(of, _)| *of == stage.stage && stage.counted.contains(&WAITING));
    dropped + gauge.map_or(0, |(_, gauge)| counted.sum(gauge, &[]))
}

/// What does not add up in a stage. `explained` is how many records without output it has counted, where its counters
/// cover all that it has read.
fn gaps_of(stage: &StageAccount, explained: Option<u64>) -> Vec<String> {
    let mut gaps = stage.faults();
    if stage.unread > 0 {
        gaps.push(format!("{} has not come to {} records", stage.stage, stage.unread));
    }
    let logged = stage.counted_without_output();
    if let Some(explained) = explained.filter(|n| *n != logged) {
        gaps.push(format!("{} left {logged} records without output, of which it counted {explained}", stage.stage));
    }
    gaps
}

/// Values that cannot be, and were left out: how many of which KPI, and where they are no accident.
fn left_out(counted: &Rendered) -> String {
    let mut text = String::new();
    for resource in Resource::ALL {
        let kpi = [("kpi", resource.kpi())];
        let by_reason = counted.series("prescale_fingerprinter_values_put_aside_total", &kpi);
        let count: u64 = by_reason.iter().map(|s| s.value).sum();
        if count > 0 {
            let by_reason = by_reason.iter().map(|s| (s.label("reason"), s.value));
            text +=
                &format!("{count} values of {} left out, since they cannot be{}\n", resource.kpi(), reasons(by_reason));
        }
        if let Some((times, workloads)) = lasting_excess(counted, resource.kpi()) {
            text += &format!(
                "{}: {workloads} {} used about {times} times (median) their capacity for an hour and longer: a likely \
                 error of its unit or of the mapping, so nothing was decided for them\n",
                resource.kpi(),
                if workloads == 1 { "workload" } else { "workloads" }
            );
        }
    }
    text
}

/// How many times their capacity the workloads in lasting excess used of a KPI, and how many they are: the median of
/// the partitions' medians, each as often as it has workloads.
fn lasting_excess(counted: &Rendered, kpi: &str) -> Option<(u64, u64)> {
    let workloads = counted.series("prescale_fingerprinter_excess_workloads", &[("kpi", kpi)]);
    let times_in =
        |partition: &str| counted.sum("prescale_fingerprinter_excess_times", &[("kpi", kpi), ("partition", partition)]);
    let mut medians: Vec<(u64, u64)> =
        workloads.iter().filter(|s| s.value > 0).map(|s| (times_in(s.label("partition")), s.value)).collect();
    medians.sort_unstable();
    let total: u64 = medians.iter().map(|(_, workloads)| workloads).sum();
    let mut up_to = 0;
    let middle = medians.iter().find(|(_, workloads)| {
        up_to += workloads;
        2 * up_to >= total
    });
    middle.map(|(times, _)| (*times, total))
}

/// What became of the records that one of the archiver's stages has read.
struct Archived<'a> {
    sink: &'a StageAccount,
    /// Those that its store has, as this process counted.
    taken: u64,
    /// Those left out, by reason.
    dropped: Vec<Series>,
    /// Whether this process read all of them, so that its counts say what became of each.
    is_all_of_this_run: bool,
}

impl<'a> Archived<'a> {
    fn of(sink: &'a StageAccount, counted: &Rendered) -> Self {
        let stage = [("stage", sink.stage.as_str())];
        Self {
            sink,
            taken: counted.sum("prescale_sink_records_taken_total", &stage),
            dropped: counted.series("prescale_stage_dropped_total", &stage),
            is_all_of_this_run: counted.sum("prescale_stage_records_in_total", &stage) == sink.read,
        }
    }

    /// What does not add up.
    fn gap(&self) -> Option<String> {
        let StageAccount { stage, read, unread, .. } = self.sink;
        let dropped: u64 = self.dropped.iter().map(|s| s.value).sum();
        if *unread > 0 {
            return Some(format!("{stage} has not come to {unread} records"));
        }
        (self.is_all_of_this_run && self.taken + dropped < *read).then(|| {
            format!("{stage} read {read} records, of which {} are archived and {dropped} left out", self.taken)
        })
    }
}

impl Display for Archived<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StageAccount { stage, read, .. } = self.sink;
        if !self.is_all_of_this_run {
            return write!(f, "{stage}: {read} records read, some of them by an earlier run");
        }
        let dropped = reasons(self.dropped.iter().map(|s| (s.label("reason"), s.value)));
        write!(f, "{stage}: {read} records read = {} archived + left out{dropped}", self.taken)
    }
}

fn reasons<T: Display>(by_reason: impl Iterator<Item = (T, u64)>) -> String {
    let parts: Vec<String> = by_reason.map(|(reason, n)| format!("{n} {reason}")).collect();
    if parts.is_empty() { ": none".to_owned() } else { format!(": {}", parts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_were_joined_doubled_or_left_out_are_told() {
        let report = ReplayReport {
            rows_read: 7,
            samples_written: 2,
            rows_joined: 2,
            rows_differing: 1,
            rows_dropped: [("doubled", 3)].into(),
            notes: vec!["column \"cpu\": 1 of 7 values left out".to_owned()],
            ..ReplayReport::default()
        };
        let text = of_rows(&report);
        assert!(text.starts_with("7 rows read = 2 samples written + 2 joined to samples"), "{text}");
        assert!(text.contains("+ 3 dropped: 3 doubled\n1 rows held other values"), "{text}");
        assert!(text.ends_with("column \"cpu\": 1 of 7 values left out\n"), "{text}");
    }

    #[test]
    fn what_does_not_add_up_is_named() {
        let sound = StageAccount {
            stage: "planner".into(),
            read: 10,
            without_output: 4,
            reasons: [("hold", 3), ("stale", 1)].into(),
            counted: vec!["hold", "stale"],
            ..StageAccount::default()
        };
        assert!(gaps_of(&sound, Some(4)).is_empty() && gaps_of(&sound, None).is_empty());
        assert!(gaps_of(&sound, Some(3))[0].contains("of which it counted 3"));
        let twice = StageAccount { repeated_outputs: 1, unread: 2, ..sound };
        assert_eq!(gaps_of(&twice, None).len(), 2);
    }

    #[test]
    fn what_a_stage_counted_is_held_against_the_same_reasons_of_the_log() {
        let counted = Rendered::parse(
            "prescale_stage_dropped_total{stage=\"governor\",reason=\"stale\"} 2\n\
             prescale_stage_dropped_total{stage=\"governor\",reason=\"paused\"} 7\n\
             prescale_governor_waiting{partition=\"0\"} 3\n",
        );
        let governor = |counted| StageAccount { stage: "governor".into(), counted, ..StageAccount::default() };
        assert_eq!(explained(&governor(vec!["stale", WAITING]), &counted), 5);
        assert_eq!(explained(&governor(vec!["stale"]), &counted), 2);
        assert_eq!(explained(&governor(Vec::new()), &counted), 0);
    }

    #[test]
    fn what_is_not_archived_is_a_gap() {
        let sink = StageAccount { stage: "archiver-parquet-predictions".into(), read: 10, ..StageAccount::default() };
        let counted = |taken: u64, dropped: u64, read: u64| {
            let stage = "stage=\"archiver-parquet-predictions\"";
            Rendered::parse(&format!(
                "prescale_sink_records_taken_total{{{stage}}} {taken}\n\
                 prescale_stage_dropped_total{{{stage},reason=\"undecodable\"}} {dropped}\n\
                 prescale_stage_records_in_total{{{stage}}} {read}\n"
            ))
        };
        let sound = counted(9, 1, 10);
        assert_eq!(Archived::of(&sink, &sound).gap(), None);
        assert_eq!(
            Archived::of(&sink, &sound).to_string(),
            "archiver-parquet-predictions: 10 records read = 9 archived + left out: 1 undecodable"
        );
        assert!(Archived::of(&sink, &counted(8, 1, 10)).gap().unwrap().contains("8 are archived and 1 left out"));
        assert_eq!(Archived::of(&sink, &counted(3, 0, 3)).gap(), None, "an earlier run archived the others");
        let behind = StageAccount { unread: 4, ..sink };
        assert!(Archived::of(&behind, &sound).gap().unwrap().contains("has not come to 4 records"));
    }

    #[test]
    fn what_cannot_be_is_told_with_kpi_factor_and_workloads() {
        let excess = |partition: u32, workloads: u32, times: f64| {
            let labels = format!("{{kpi=\"memory_bytes\",partition=\"{partition}\"}}");
            format!(
                "prescale_fingerprinter_excess_workloads{labels} {workloads}\n\
                 prescale_fingerprinter_excess_times{labels} {times}\n"
            )
        };
        let put_aside =
            "prescale_fingerprinter_values_put_aside_total{kpi=\"memory_bytes\",reason=\"above_capacity\"} 9\n";
        let metrics = put_aside.to_owned() + &excess(0, 1, 12.0) + &excess(1, 0, 0.0) + &excess(3, 2, 51.7);
        assert_eq!(
            left_out(&Rendered::parse(&metrics)),
            "9 values of memory_bytes left out, since they cannot be: 9 above_capacity\n\
             memory_bytes: 3 workloads used about 51 times (median) their capacity for an hour and longer: a likely \
             error of its unit or of the mapping, so nothing was decided for them\n"
        );
        assert_eq!(left_out(&Rendered::parse("")), "");
    }
}
