//! `prescale backtest`: every forecaster over a trace as it would have run, and how well it did.
//!
//! Rolling origin: at each bin of the grid every contender forecasts from what it had seen by then, and
//! is scored when the truth is known. The contenders are the predictor's own code, not a copy of it.
//! Workloads are dealt to lanes as a bus deals them to partitions; a lane is a thread's work.

mod contender;
mod html;
mod lane;
mod plots;
mod report;
#[cfg(test)]
mod tests;
mod textbook;
mod unusual;

use crate::lanes;
use crate::settings::Settings;
use crate::write_report;
use anyhow::{Result, ensure};
use contender::Contender;
use lane::{Lane, LaneScores};
use prescale_collector::ReplayReport;
use prescale_collector::config::ReplayConfig;
use prescale_collector::replay::read::TraceExtent;
use prescale_domain::forecast::Family;
use prescale_predictor::config::{Choice, Settings as PredictorSettings};
use prescale_predictor::registry::Registry;
pub use report::Report;
use std::path::PathBuf;
use std::sync::Arc;

/// What is to be tested on what.
#[derive(Clone, Debug)]
pub struct Request {
    /// The trace, its mapping and range.
    pub trace: ReplayConfig,
    /// Families to be tested, each as the only one beside last value; empty for all that need no model
    /// folder.
    pub families: Vec<String>,
    /// KPIs to be forecast; empty for the predictor's configured resources.
    pub kpis: Vec<String>,
    /// Bins of a series, from its beginning, that are not scored.
    pub warm_up_bins: u32,
    /// Only each so-manieth bin is scored.
    pub every_bins: u32,
    /// Length of the bootstrap's blocks, in days.
    pub block_days: u32,
    /// Whether the predictor as it is configured runs twice: with anomalies left out of what is learnt, and with them in it.
    pub is_of_anomalies: bool,
    /// Folder for `report.json` and `report.html`.
    pub report: Option<PathBuf>,
}

/// Name of the row that runs the predictor as it is configured.
pub const AS_CONFIGURED: &str = "as-configured";

/// Names of the rows that run it with anomalies left out of what is learnt, and with them in it.
pub const ANOMALIES: [(&str, bool); 2] = [("anomalies-left-out", true), ("anomalies-learnt", false)];

/// Reads the trace and scores every contender.
///
/// # Errors
/// When the configuration, the mapping or the trace cannot be used, or the report cannot be written.
pub fn backtest(settings: &Settings, request: &Request) -> Result<Report> {
    let plan = Plan::of(settings, request)?;
    let lanes_count = settings.bus.partitions.max(1);
    let lanes = |_: &TraceExtent| Ok((0..lanes_count).map(|_| plan.lane(request)).collect());
    let (scores, read): (Vec<LaneScores>, ReplayReport) =
        lanes::run(&request.trace, lanes, |samples, count| Ok(lanes::by_partition(samples, count)))?;
    ensure!(
        scores.iter().any(|lane| !lane.series.is_empty()),
        "nothing was scored: the trace has {} samples; it needs more than {} bins of 300 s of at least one of {:?}",
        read.samples_written,
        request.warm_up_bins,
        plan.kpis
    );
    let report = Report::of(&plan, request, &read, scores);
    if let Some(folder) = &request.report {
        write_report(folder, &report, &html::page(&report)?)?;
    }
    Ok(report)
}

/// The contenders (at least one row, the first as configured), and what they share.
struct Plan {
    rows: Vec<(String, Arc<Registry>)>,
    kpis: Vec<String>,
    horizons_s: Vec<u32>,
}

impl Plan {
    fn of(settings: &Settings, request: &Request) -> Result<Self> {
        let mut config = settings.predictor.clone();
        if !request.kpis.is_empty() {
            config.resources.clone_from(&request.kpis);
        }
        let configured = Arc::new(config.settings()?);
        let names: Vec<String> = match request.families.as_slice() {
            [] => configured.models.iter().map(|family| family.name().to_owned()).collect(),
            named => named.to_vec(),
        };
        let open = |settings: &Arc<PredictorSettings>| Registry::open(Arc::clone(settings)).map(Arc::new);
        let mut rows = vec![(AS_CONFIGURED.to_owned(), open(&configured)?)];
        for (name, leave_out_anomalies) in ANOMALIES.into_iter().filter(|_| request.is_of_anomalies) {
            let settings = PredictorSettings { leave_out_anomalies, ..(*configured).clone() };
            rows.push((name.to_owned(), open(&Arc::new(settings))?));
        }
        for name in names {
            config.models = vec![name.clone(), Family::LastValue.name().to_owned()];
            config.models.dedup();
            config.choice = Choice::Order;
            rows.push((name, open(&Arc::new(config.settings()?))?));
        }
        ensure!(request.every_bins > 0, "--every: at least one bin of 300 s");
        ensure!(request.block_days > 0, "--block-days: at least one day");
        Ok(Self {
            rows,
            kpis: configured.resources.iter().map(|name| name.as_str().to_owned()).collect(),
            horizons_s: configured.horizons_s.clone(),
        })
    }

    fn lane(&self, request: &Request) -> Lane {
        let settings = self.rows[0].1.settings();
        let predictors = self.rows.iter().map(|(_, models)| Contender::predictor(models));
        let contenders = predictors.chain([Contender::textbook(settings)]).collect();
        Lane::new(Arc::clone(settings), contenders, request.warm_up_bins, request.every_bins)
    }

    /// Names of the rows, in the order of a lane's contenders.
    fn names(&self) -> Vec<String> {
        self.rows.iter().map(|(name, _)| name.clone()).chain([textbook::NAME.to_owned()]).collect()
    }
}
