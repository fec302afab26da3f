//! `prescale anomalies`: how unusual each workload of a trace was, bin by bin, as the fingerprinter would have said it.
//!
//! The windows and the detector are the fingerprinter's own code. Its admission (order, lateness, values that cannot be) and
//! the predictor's part, by how much forecasts were off, are not in it.

#[cfg(test)]
mod tests;

use crate::lanes;
use crate::settings::Settings;
use anyhow::{Context as _, Result, ensure};
use prescale_collector::ReplayReport;
use prescale_collector::config::ReplayConfig;
use prescale_collector::replay::read::TraceExtent;
use prescale_contracts::rfc3339;
use prescale_domain::anomaly::{ANOMALY_P_MAX, Found};
use prescale_domain::sample::Sample;
use prescale_domain::time::EventTime;
use prescale_domain::window::WindowSettings;
use prescale_domain::window::workload_windows::{GridSample, KpiTable};
use prescale_domain::workload::WorkloadId;
use prescale_fingerprinter::followed::{Followed, Scratch};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Workloads that the table shows.
const SHOWN: usize = 20;

/// What is to be scored.
#[derive(Clone, Debug)]
pub struct Request {
    /// The trace, its mapping and range.
    pub trace: ReplayConfig,
    /// File for the scores of all bins, as CSV.
    pub scores: Option<PathBuf>,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// File of the trace.
    pub trace: String,
    /// Rows read.
    pub rows_read: u64,
    /// Rows that were no samples, by reason.
    pub rows_dropped: BTreeMap<&'static str, u64>,
    /// Bins with a p-value.
    pub bins: u64,
    /// Of them those with a p-value below [`ANOMALY_P_MAX`].
    pub anomalous: u64,
    /// Each workload, the most unusual one first.
    pub workloads: Vec<WorkloadReport>,
}

/// What was found of one workload.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkloadReport {
    /// Its name.
    pub workload: String,
    /// Bins with a p-value.
    pub bins: u64,
    /// Of them those with a p-value below [`ANOMALY_P_MAX`].
    pub anomalous: u64,
    /// The least p-value; `None` where the trace is too short for any.
    pub p_value_min: Option<f64>,
    /// When that was.
    pub at: Option<String>,
    /// The KPIs to blame then, the first most.
    pub kpis: Vec<String>,
}

/// A row of the file of scores: a workload at the close of a bin.
#[derive(Serialize)]
struct Row<'a> {
    workload: &'a str,
    at: String,
    score: f64,
    p_value: Option<f64>,
    /// With a space between them.
    kpis: String,
}

/// Reads the trace and scores every bin of every workload.
///
/// # Errors
/// When the configuration, the mapping or the trace cannot be used, or the scores cannot be written.
pub fn anomalies(settings: &Settings, request: &Request) -> Result<Report> {
    let windows = settings.fingerprinter.settings()?.windows;
    let lanes_count = settings.bus.partitions.max(1);
    let lanes = |_: &TraceExtent| Ok((0..lanes_count).map(|_| Lane::new(windows)).collect());
    let (scored, read): (Vec<BTreeMap<WorkloadId, Scores>>, ReplayReport) =
        lanes::run(&request.trace, lanes, |samples, count| Ok(lanes::by_partition(samples, count)))?;
    let scored: BTreeMap<WorkloadId, Scores> = scored.into_iter().flatten().collect();
    ensure!(
        scored.values().any(|scores| !scores.bins.is_empty()),
        "nothing was scored: the trace has {} samples; a workload needs two bins of 300 s with a KPI",
        read.samples_written
    );
    if let Some(file) = &request.scores {
        write(file, &scored)?;
    }
    Ok(Report::of(&request.trace.file, &read, &scored))
}

/// The bins of one workload, and the names that its KPIs have.
#[derive(Default)]
struct Scores {
    bins: Vec<(EventTime, Found)>,
    names: BTreeMap<u32, String>,
}

impl Scores {
    fn kpis(&self, found: &Found) -> Vec<String> {
        found.blamed.iter().filter_map(|number| self.names.get(number).cloned()).collect()
    }

    fn report(&self, workload: &WorkloadId) -> WorkloadReport {
        let known = || self.bins.iter().filter_map(|(at, found)| Some((found.p_value?, at, found)));
        let least = known().min_by(|a, b| a.0.total_cmp(&b.0));
        WorkloadReport {
            workload: workload.as_str().to_owned(),
            bins: known().count() as u64,
            anomalous: known().filter(|(p_value, ..)| *p_value < ANOMALY_P_MAX).count() as u64,
            p_value_min: least.map(|(p_value, ..)| p_value),
            at: least.map(|(_, at, _)| rfc3339(*at)),
            kpis: least.map(|(.., found)| self.kpis(found)).unwrap_or_default(),
        }
    }
}

/// The workloads of one lane.
struct Lane {
    windows: WindowSettings,
    kpis: KpiTable,
    scratch: Scratch,
    workloads: BTreeMap<WorkloadId, (Followed, Scores)>,
}

impl Lane {
    fn new(windows: WindowSettings) -> Self {
        Self { windows, kpis: KpiTable::default(), scratch: Scratch::default(), workloads: BTreeMap::new() }
    }

    fn one(&mut self, sample: &Sample) {
        let (followed, scores) = self.workloads.entry(sample.workload.clone()).or_default();
        let (step_s, at) = (sample.step_s, sample.at);
        let on_grid = GridSample { step_s, bin: at.bin(step_s), at, kpis: &sample.kpis };
        if !followed.record(&self.windows, on_grid, &mut self.kpis, &mut self.scratch) {
            return;
        }
        let Some(found) = followed.score(at, step_s) else { return };
        for number in &found.blamed {
            if let Some(kpi) = self.kpis.get(*number) {
                scores.names.entry(*number).or_insert_with(|| kpi.name.as_str().to_owned());
            }
        }
        scores.bins.push((at, found));
    }
}

impl lanes::Lane for Lane {
    type Hand = Vec<Sample>;
    type Outcome = BTreeMap<WorkloadId, Scores>;

    fn take(&mut self, samples: Vec<Sample>) -> Result<()> {
        samples.iter().for_each(|sample| self.one(sample));
        Ok(())
    }

    fn finish(self) -> Result<Self::Outcome> {
        Ok(self.workloads.into_iter().map(|(workload, (_, scores))| (workload, scores)).collect())
    }
}

fn write(file: &Path, scored: &BTreeMap<WorkloadId, Scores>) -> Result<()> {
    let cannot = || format!("cannot write {}", file.display());
    let mut writer = csv::Writer::from_path(file).with_context(cannot)?;
    for (workload, scores) in scored {
        for (at, found) in &scores.bins {
            let kpis = scores.kpis(found).join(" ");
            let Found { score, p_value, .. } = *found;
            let row = Row { workload: workload.as_str(), at: rfc3339(*at), score, p_value, kpis };
            writer.serialize(row).with_context(cannot)?;
        }
    }
    writer.flush().with_context(cannot)
}

impl Report {
    fn of(file: &Path, read: &ReplayReport, scored: &BTreeMap<WorkloadId, Scores>) -> Self {
        let mut workloads: Vec<WorkloadReport> =
            scored.iter().map(|(workload, scores)| scores.report(workload)).collect();
        let least = |one: &WorkloadReport| one.p_value_min.unwrap_or(f64::INFINITY);
        workloads.sort_by(|a, b| least(a).total_cmp(&least(b)));
        Self {
            trace: file.display().to_string(),
            rows_read: read.rows_read,
            rows_dropped: read.rows_dropped.clone(),
            bins: workloads.iter().map(|one| one.bins).sum(),
            anomalous: workloads.iter().map(|one| one.anomalous).sum(),
            workloads,
        }
    }

    /// The most unusual workloads as a table.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{} workloads, {} bins with a p-value, {} below {ANOMALY_P_MAX}",
            self.workloads.len(),
            self.bins,
            self.anomalous
        );
        if self.bins > 0 {
            text += &format!(": {:.2} of 1,000", 1e3 * self.anomalous as f64 / self.bins as f64);
        }
        text +=
            &format!("\n\n{:<32} {:>8} {:>9} {:>9}  {:<25} KPIs\n", "workload", "bins", "anomalous", "least p", "at");
        for one in self.workloads.iter().take(SHOWN) {
            let least = one.p_value_min.map_or("-".to_owned(), |p_value| format!("{p_value:.1e}"));
            let at = one.at.as_deref().unwrap_or("-");
            let (workload, bins, anomalous, kpis) = (&one.workload, one.bins, one.anomalous, one.kpis.join(", "));
            text += &format!("{workload:<32} {bins:>8} {anomalous:>9} {least:>9}  {at:<25} {kpis}\n");
        }
        if self.workloads.len() > SHOWN {
            text += &format!("and {} more (--format json has all)\n", self.workloads.len() - SHOWN);
        }
        text
    }
}
