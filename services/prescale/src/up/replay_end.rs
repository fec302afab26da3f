//! The account at the end of a replay: what became of every row.

use super::rendered::{Rendered, Series};
use crate::account::{StageAccount, account as read_account, table};
use anyhow::{Result, bail};
use prescale_bus::Bus;
use prescale_chassis::Context;
use prescale_collector::ReplayReport;
use std::fmt::{Display, Write};
use tokio_util::sync::CancellationToken;

const GOVERNOR: &str = prescale_governor::stage::NAME;

/// The account as text. `counted` are this process's metrics, which know the reasons of drops.
///
/// # Errors
/// When the bus cannot be read, something was written twice, or a row is not accounted for; the
/// account so far is in the error.
pub(super) fn account(
    bus: &dyn Bus,
    context: &Context,
    report: &ReplayReport,
    counted: &Rendered,
    stop: &CancellationToken,
) -> Result<String> {
    let accounts = read_account(bus, |stage| context.group(stage), stop)?;
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
}
