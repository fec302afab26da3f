//! What was found, as figures and as a table.

use super::truth::{Finding, Truth, count, false_incidents};
use super::{Outcome, Told};
use prescale_domain::fleet::IncidentKind;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// All that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Days of workloads that had a score and count; of a generated fleet, those to which nothing happened.
    pub workload_days: f64,
    /// By each of the rules; as configured first.
    pub lines: Vec<Line>,
    /// By kind, as configured; empty for a trace.
    pub kinds: Vec<KindRow>,
}

/// What alarm rules come to.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Which.
    pub rules: String,
    /// Anomalies of single workloads in 1,000 workload-days; of a generated fleet, to which nothing happens.
    pub anomalies_per_1000: f64,
    /// Incidents, which is after grouping, likewise.
    pub incidents_per_1000: f64,
    /// How well incidents find what happens; `None` for a trace.
    pub found: Option<Found>,
}

/// How well incidents find what happens.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// How often something happened.
    pub happened: usize,
    /// Share of it that was told of.
    pub recall: f64,
    /// The same of the kind with the least.
    pub recall_least: f64,
    /// Median bins of 300 s from the beginning until it was told, of what was.
    pub delay_bins: Option<f64>,
    /// Incidents for one that was found; 1 is best.
    pub incidents_each: f64,
    /// Incidents about nothing that happened, in 1,000 workload-days, while other things happen.
    pub false_per_1000: f64,
}

/// What happened of one kind.
#[derive(Clone, Debug, Serialize)]
pub struct KindRow {
    /// Its name.
    pub kind: &'static str,
    /// How often.
    pub happened: usize,
    /// How often it was found.
    pub found: usize,
    /// Median bins of 300 s until then.
    pub delay_bins: Option<f64>,
}

impl Report {
    pub(super) fn of_trace(names: &[&str], outcome: &Outcome) -> Self {
        let line = |(name, told): (&&str, &Told)| line(name, outcome, told, None);
        let lines = names.iter().zip(&outcome.told).map(line).collect();
        Self { workload_days: outcome.workload_days, lines, kinds: Vec::new() }
    }

    /// Of a run to which nothing happened, and one to which that happened.
    pub(super) fn of_fleet(names: &[&str], (ordinary, injected): (&Outcome, &Outcome), truths: &[Truth]) -> Self {
        let findings =
            |told: &Told| -> Vec<Finding> { truths.iter().map(|truth| truth.found(&told.incidents)).collect() };
        let lines = names.iter().zip(ordinary.told.iter().zip(&injected.told)).map(|(name, (plain, told))| {
            let false_incidents = false_incidents(&told.incidents, truths);
            let false_per_1000 = per_1000(false_incidents, injected.workload_days);
            line(name, ordinary, plain, Some(found(&findings(told), false_per_1000)))
        });
        let lines = lines.collect();
        let kinds = injected.told.first().map_or_else(Vec::new, |told| kinds(&findings(told)));
        Self { workload_days: ordinary.workload_days, lines, kinds }
    }

    /// For reading.
    pub fn table(&self) -> String {
        let mut text = format!("{:.0} workload-days count; rates are for 1,000 of them.\n\n", self.workload_days);
        if !self.kinds.is_empty() {
            let _ = writeln!(text, "{:<20} {:>9} {:>6} {:>11}", "kind", "happened", "found", "delay, bins");
            for row in &self.kinds {
                let delay = number(row.delay_bins);
                let _ = writeln!(text, "{:<20} {:>9} {:>6} {delay:>11}", row.kind, row.happened, row.found);
            }
            text.push('\n');
        }
        let width = self.lines.iter().map(|line| line.rules.len()).max().unwrap_or(0);
        let _ = write!(text, "{:<width$} {:>10} {:>10}", "rules", "anomalies", "incidents");
        if self.lines.iter().any(|line| line.found.is_some()) {
            let _ = write!(text, " {:>7} {:>7} {:>11} {:>6} {:>6}", "recall", "least", "delay, bins", "each", "false");
        }
        text.push('\n');
        for Line { rules, anomalies_per_1000, incidents_per_1000, found } in &self.lines {
            let _ = write!(text, "{rules:<width$} {anomalies_per_1000:>10.2} {incidents_per_1000:>10.2}");
            if let Some(Found { recall, recall_least, delay_bins, incidents_each, false_per_1000, .. }) = found {
                let delay = number(*delay_bins);
                let _ = write!(
                    text,
                    " {recall:>7.2} {recall_least:>7.2} {delay:>11} {incidents_each:>6.2} {false_per_1000:>6.2}"
                );
            }
            text.push('\n');
        }
        text
    }
}

fn line(name: &str, outcome: &Outcome, told: &Told, found: Option<Found>) -> Line {
    let anomalies: BTreeSet<_> = told.anomalies.iter().map(|told| &told.anomaly.anomaly_id).collect();
    Line {
        rules: name.to_owned(),
        anomalies_per_1000: per_1000(anomalies.len(), outcome.workload_days),
        incidents_per_1000: per_1000(count(&told.incidents), outcome.workload_days),
        found,
    }
}

fn found(findings: &[Finding], false_per_1000: f64) -> Found {
    let hits = findings.iter().filter(|finding| finding.delay_bins.is_some()).count();
    let incidents: usize = findings.iter().map(|finding| finding.incidents).sum();
    let least = kinds(findings).iter().map(|row| share(row.found, row.happened)).fold(1.0, f64::min);
    Found {
        happened: findings.len(),
        recall: share(hits, findings.len()),
        recall_least: least,
        delay_bins: median(findings.iter().filter_map(|finding| finding.delay_bins).collect()),
        incidents_each: share(incidents, hits),
        false_per_1000,
    }
}

/// By kind, those that happened.
fn kinds(findings: &[Finding]) -> Vec<KindRow> {
    let row = |kind: IncidentKind| {
        let own = || findings.iter().filter(|finding| finding.kind == kind);
        let delays: Vec<f64> = own().filter_map(|finding| finding.delay_bins).collect();
        KindRow { kind: kind.name(), happened: own().count(), found: delays.len(), delay_bins: median(delays) }
    };
    IncidentKind::ALL.map(row).into_iter().filter(|row| row.happened > 0).collect()
}

fn share(of: usize, all: usize) -> f64 {
    of as f64 / all.max(1) as f64
}

fn per_1000(count: usize, workload_days: f64) -> f64 {
    if workload_days > 0.0 { 1000.0 * count as f64 / workload_days } else { 0.0 }
}

fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied()
}

fn number(number: Option<f64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| format!("{number:.0}"))
}
