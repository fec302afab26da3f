//! The account at the end of a replay: what became of every row.

use super::rendered::{Rendered, Series};
use crate::account::{SinkAccount, StageAccount, account as read_account, sink_accounts, table};
use anyhow::{Result, bail};
use prescale_bus::Bus;
use prescale_chassis::{Context, StageInput};
use prescale_collector::ReplayReport;
use prescale_domain::policy::Resource;
use std::fmt::{self, Display, Write};
use tokio_util::sync::CancellationToken;

const GOVERNOR: &str = prescale_governor::stage::NAME;

/// The account as text. `counted` are this process's metrics, which know the reasons of drops; beside the replay's
/// report the stages that are accounted for and the archiver's.
///
/// # Errors
/// When the bus cannot be read, something was written twice, or a row is not accounted for; the
/// account so far is in the error.
pub(super) fn account(
    bus: &dyn Bus,
    context: &Context,
    (report, stages, sinks): (&ReplayReport, &[StageInput], &[StageInput]),
    counted: &Rendered,
    stop: &CancellationToken,
) -> Result<String> {
    let accounts = read_account(bus, |stage| context.group(stage), stages, stop)?;
    let dropped: u64 = report.rows_dropped.values().sum();
    let mut text = format!(
        "\n{} rows read = {} samples written + {dropped} dropped{}\n{}",
        report.rows_read,
        report.samples_written,
        reasons(report.rows_dropped.iter().map(|(reason, n)| (*reason, *n))),
        table(&accounts)
    );
    let waiting = |stage: &str| match stage {
        "fingerprinter" => counted.sum("prescale_fingerprinter_held", &[]),
        GOVERNOR => counted.sum("prescale_governor_waiting", &[]),
        _ => 0,
    };
    let mut gaps = Vec::new();
    if report.rows_read != report.samples_written + dropped {
        gaps.push("rows read are not samples written and rows dropped".to_owned());
    }
    for stage in &accounts {
        let drops = counted.series("prescale_stage_dropped_total", &[("stage", &stage.stage)]);
        let waiting = waiting(&stage.stage);
        let drops = if stage.stage == GOVERNOR { of_proposals(drops) } else { drops };
        let by_reason = drops.iter().map(|s: &Series| (s.label("reason"), s.value));
        let by_reason = by_reason.chain((waiting > 0).then_some(("waiting for an earlier one", waiting)));
        writeln!(text, "{}: without output{}", stage.stage, reasons(by_reason.clone()))?;
        let is_all_of_this_run =
            counted.sum("prescale_stage_records_in_total", &[("stage", &stage.stage)]) == stage.read + stage.others;
        gaps.extend(gaps_of(stage, is_all_of_this_run.then(|| by_reason.map(|(_, n)| n).sum())));
    }
    for sink in sink_accounts(bus, |stage| context.group(stage), sinks, stop)? {
        let archived = Archived::of(&sink, counted);
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

/// The drops of the governor that are proposals': all other records of its topic are dropped under other reasons.
fn of_proposals(drops: Vec<Series>) -> Vec<Series> {
    drops.into_iter().filter(|drop| drop.label("reason") == prescale_governor::stage::STALE).collect()
}

/// What does not add up in a stage. `explained` is how many records without output the counters
/// explain, where they cover all that the stage has read.
fn gaps_of(stage: &StageAccount, explained: Option<u64>) -> Vec<String> {
    let mut gaps = Vec::new();
    if stage.repeated_outputs > 0 {
        gaps.push(format!("{} wrote {} outputs twice", stage.stage, stage.repeated_outputs));
    }
    if stage.unread > 0 {
        gaps.push(format!("{} has not come to {} records", stage.stage, stage.unread));
    }
    if let Some(explained) = explained.filter(|n| *n != stage.without_output) {
        gaps.push(format!(
            "{} left {} records without output, of which {explained} have a reason",
            stage.stage, stage.without_output
        ));
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
    sink: &'a SinkAccount,
    /// Those that its store has, as this process counted.
    taken: u64,
    /// Those left out, by reason.
    dropped: Vec<Series>,
    /// Whether this process read all of them, so that its counts say what became of each.
    is_all_of_this_run: bool,
}

impl<'a> Archived<'a> {
    fn of(sink: &'a SinkAccount, counted: &Rendered) -> Self {
        let stage = [("stage", sink.stage.as_str())];
        Self {
            sink,
            taken: counted.sum("prescale_archiver_records_taken_total", &stage),
            dropped: counted.series("prescale_stage_dropped_total", &stage),
            is_all_of_this_run: counted.sum("prescale_stage_records_in_total", &stage) == sink.read,
        }
    }

    /// What does not add up.
    fn gap(&self) -> Option<String> {
        let SinkAccount { stage, read, unread } = self.sink;
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
        let SinkAccount { stage, read, .. } = self.sink;
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
    fn what_does_not_add_up_is_named() {
        let sound = StageAccount { stage: "planner".into(), read: 10, without_output: 4, ..StageAccount::default() };
        assert!(gaps_of(&sound, Some(4)).is_empty() && gaps_of(&sound, None).is_empty());
        assert!(gaps_of(&sound, Some(3))[0].contains("of which 3 have a reason"));
        let twice = StageAccount { repeated_outputs: 1, unread: 2, ..sound };
        assert_eq!(gaps_of(&twice, None).len(), 2);
    }

    #[test]
    fn what_is_not_archived_is_a_gap() {
        let sink = SinkAccount { stage: "archiver-parquet-predictions".into(), read: 10, unread: 0 };
        let counted = |taken: u64, dropped: u64, read: u64| {
            let stage = "stage=\"archiver-parquet-predictions\"";
            Rendered::parse(&format!(
                "prescale_archiver_records_taken_total{{{stage}}} {taken}\n\
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
        let behind = SinkAccount { unread: 4, ..sink };
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
