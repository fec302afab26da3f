//! What an input would be read as, before anything is: workloads, KPIs found and missing, capacities, the length of the
//! history, and what looks wrong, each with what to do. Here what all inputs have in common, and what samples alone tell,
//! be they of a trace or made of points that were pushed.

use crate::config::ReplayConfig;
use crate::prometheus::preset::Preset;
use crate::replay::read::read_samples;
use anyhow::Result;
use prescale_contracts::rfc3339;
use prescale_domain::point::Point;
use prescale_domain::source::SourceName;
use prescale_domain::stream::assembly::{Assembly, AssemblySettings, Taken};
use prescale_domain::time::EventTime;
use samples::Samples;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

mod samples;

#[cfg(test)]
mod tests;

/// Workloads shown by name.
pub(crate) const SHOWN_MAX: usize = 5;
/// Use above so many times the capacity is likelier to be an error of unit.
pub(crate) const EXCESS: f64 = 10.0;
/// Values of so many instants that only ever grow are likelier to be a counter's.
pub(crate) const COUNTER_VALUES_MIN: usize = 20;
/// So many samples of a trace are looked at.
const SAMPLES_MAX: u64 = 2_000_000;

/// What an input would be read as.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Preview {
    /// Name of the source.
    pub source: String,
    /// Preset that says what is asked; empty where none does.
    pub preset: String,
    /// What was looked at.
    pub looked_at: String,
    /// How many workloads there are.
    pub workloads: usize,
    /// Some of them by name.
    pub examples: Vec<String>,
    /// How many of them have a capacity.
    pub workloads_with_capacity: usize,
    /// The oldest instant within what is to be read at which there is something (RFC 3339).
    pub history_from: Option<String>,
    /// KPIs in the input's order.
    pub kpis: Vec<KpiPreview>,
    /// What looks wrong.
    pub findings: Vec<Finding>,
}

/// One KPI of a preview.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KpiPreview {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// How many workloads have it.
    pub workloads: usize,
    /// Most series that became one, over the workloads; 1 where that is not known.
    pub series_max: u32,
    /// Share of the instants that have a value, over the workloads that have it, 0 to 1.
    pub present_share: f64,
    /// Least, mean and greatest value; `None` where there is none.
    pub values: Option<[f64; 3]>,
}

/// What looks wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was seen.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

pub(crate) fn finding(what: String, remedy: String) -> Finding {
    Finding { what, remedy }
}

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

/// Points that were pushed, as samples are made of them.
pub struct Pushed {
    settings: AssemblySettings,
    sources: BTreeMap<SourceName, OfSource>,
}

/// Those of one source.
#[derive(Default)]
struct OfSource {
    assembly: Assembly,
    samples: Samples,
    points: u64,
    late: u64,
    ahead: u64,
    measured: BTreeSet<String>,
    /// What series of a workload measure the same, by their names.
    series: BTreeMap<(String, String), BTreeSet<String>>,
    first: Option<EventTime>,
}

impl Pushed {
    /// With these settings of the assembler.
    pub fn new(settings: AssemblySettings) -> Self {
        Self { settings, sources: BTreeMap::new() }
    }

    /// Takes a point, in the order of the log.
    pub fn take(&mut self, point: &Point) {
        let of = self.sources.entry(point.source.clone()).or_default();
        let mut made = Vec::new();
        match of.assembly.offer(&self.settings, point, &mut made) {
            Taken::Late => of.late += 1,
            Taken::FromTheFuture => of.ahead += 1,
            Taken::Kept | Taken::Duplicate | Taken::Passed => {}
        }
        made.iter().for_each(|sample| of.samples.take(sample));
        of.points += 1;
        of.first = Some(of.first.map_or(point.at, |first| first.min(point.at)));
        let measured = point.measured.name().to_owned();
        of.series.entry((measured.clone(), point.workload.to_string())).or_default().insert(point.series.to_string());
        of.measured.insert(measured);
    }

    /// What each source's points come to, for a preset that says what is to be pushed, where one is given.
    ///
    /// # Errors
    /// When there is no such preset.
    pub fn told(self, preset: Option<&str>) -> Result<Vec<Preview>> {
        let rules = match preset {
            Some(name) => Preset::load("collector.remote_write", name)?.pushed,
            None => Vec::new(),
        };
        let mut wanted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for rule in &rules {
            wanted.entry(rule.measured.name()).or_default().push(&rule.metric);
        }
        let told = |(source, of): (SourceName, OfSource)| of.told(&source, preset.unwrap_or_default(), &wanted);
        Ok(self.sources.into_iter().map(told).collect())
    }
}

impl OfSource {
    fn told(self, source: &SourceName, preset: &str, wanted: &BTreeMap<&str, Vec<&str>>) -> Preview {
        let looked_at = format!("{} points on the log", self.points);
        let mut preview = self.samples.told(source.as_str(), looked_at);
        preset.clone_into(&mut preview.preset);
        preview.history_from = self.first.map(rfc3339);
        for kpi in &mut preview.kpis {
            let of_kpi = self.series.iter().filter(|((measured, _), _)| *measured == kpi.name);
            kpi.series_max = of_kpi.map(|(_, series)| series.len() as u32).max().unwrap_or(1);
        }
        for (name, metrics) in wanted.iter().filter(|(name, _)| !self.measured.contains(**name)) {
            preview.findings.push(finding(
                format!("{name}: no points"),
                format!("is it sent? The preset takes it from: {}", metrics.join(", ")),
            ));
        }
        if self.late > 0 {
            preview.findings.push(finding(
                format!("{} of {} points came too late", self.late, self.points),
                "raise [assembler] lateness_s, or give senders that lag a name or a tenant of their own".to_owned(),
            ));
        }
        if self.ahead > 0 {
            preview.findings.push(finding(
                format!("{} of {} points are far ahead of all others", self.ahead, self.points),
                "check the senders' clocks".to_owned(),
            ));
        }
        preview
    }
}
