//! The workloads of one lane: forecasts are made once a sample, and every contender gets them.

use super::Stamped;
use super::contender::{Contender, Outcome, Step};
use crate::lanes::{self, enveloped};
use anyhow::{Context as _, Result};
use glob::Pattern;
use prescale_domain::kpi::{CPU_CORES_USED, Kpi};
use prescale_domain::outcome::{Surges, Tally};
use prescale_domain::prediction::{Prediction, ResourceForecast};
use prescale_domain::sample::{Capacity, Sample};
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use prescale_predictor::partition::{Fate, Partition};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Samples that the predictor gets at once.
const BATCH_MAX: usize = 2048;

/// What all lanes go by.
pub(super) struct Shared {
    pub stamped: Stamped,
    pub scored_from: EventTime,
    pub workloads: Option<Pattern>,
}

/// Every contender on the workloads of one lane.
pub(super) struct Lane {
    shared: Shared,
    predictor: Option<Partition>,
    naive: Option<Partition>,
    /// Whether predictions are to be made, of the last value alone, where the predictor does not run.
    has_planner: bool,
    pub(super) contenders: Vec<Contender>,
    waiting: Vec<Sample>,
    workloads: BTreeMap<WorkloadId, usize>,
    /// By number of the workload.
    series: Vec<Series>,
}

struct Series {
    last_at: EventTime,
    surges: Surges,
}

/// Everything that the contenders of a lane came to.
pub(super) struct LaneOutcome {
    /// The workloads by their number.
    pub workloads: Vec<WorkloadId>,
    /// By contender.
    pub outcomes: Vec<Outcome>,
}

impl LaneOutcome {
    /// Whether anything counted.
    pub(super) fn is_scored(&self) -> bool {
        self.outcomes.iter().flat_map(|outcome| &outcome.tallies).any(|tally: &Tally| tally.hours > 0.0)
    }
}

impl lanes::Lane for Lane {
    type Outcome = LaneOutcome;

    fn take(&mut self, samples: Vec<Sample>) -> Result<()> {
        let Shared { workloads, .. } = &self.shared;
        let is_wanted = |sample: &Sample| workloads.as_ref().is_none_or(|p| p.matches(sample.workload.as_str()));
        self.waiting.extend(samples.into_iter().filter(is_wanted));
        if self.waiting.len() >= BATCH_MAX { self.run() } else { Ok(()) }
    }

    fn finish(mut self) -> Result<LaneOutcome> {
        self.run()?;
        let mut workloads: Vec<_> = self.workloads.into_iter().collect();
        workloads.sort_by_key(|(_, number)| *number);
        Ok(LaneOutcome {
            workloads: workloads.into_iter().map(|(workload, _)| workload).collect(),
            outcomes: self.contenders.into_iter().map(Contender::finish).collect(),
        })
    }
}

impl Lane {
    pub(super) fn new(
        shared: Shared,
        predictor: Option<Partition>,
        naive: Option<Partition>,
        has_planner: bool,
        contenders: Vec<Contender>,
    ) -> Self {
        let (waiting, series) = (Vec::new(), Vec::new());
        Self { shared, predictor, naive, has_planner, contenders, waiting, workloads: BTreeMap::new(), series }
    }

    /// Works through the samples that wait.
    pub(super) fn run(&mut self) -> Result<()> {
        let samples = std::mem::take(&mut self.waiting);
        let naive = predictions(&mut self.naive, &samples)?;
        let mut made = predictions(&mut self.predictor, &samples)?;
        if self.predictor.is_none() && self.has_planner {
            made = samples.iter().map(of_last_value).collect();
        }
        for (i, sample) in samples.iter().enumerate() {
            self.one(sample, made.get(i).and_then(Option::as_ref), naive.get(i).and_then(Option::as_ref));
        }
        Ok(())
    }

    fn one(&mut self, sample: &Sample, prediction: Option<&Prediction>, naive: Option<&Prediction>) {
        let (begin, end) = self.shared.stamped.step(sample.at, sample.step_s);
        let known = self.workloads.len();
        let workload = *self.workloads.entry(sample.workload.clone()).or_insert(known);
        if workload == known {
            self.series.push(Series { last_at: begin, surges: Surges::default() });
        } else if begin <= self.series[workload].last_at {
            return;
        }
        let series = &mut self.series[workload];
        series.last_at = begin;
        let demand = cpu_of(sample).and_then(|kpi| kpi.value);
        let step = Step {
            workload,
            begin,
            end,
            step_s: sample.step_s,
            demand,
            bought: sample.capacity.as_ref().map(Capacity::cpu_cores),
            is_scored: begin >= self.shared.scored_from,
            is_surge: demand.is_some_and(|demand| series.surges.begins(begin, sample.step_s, demand)),
            prediction,
            naive,
        };
        self.contenders.iter_mut().for_each(|contender| contender.take(&step));
    }
}

fn cpu_of(sample: &Sample) -> Option<&Kpi> {
    sample.kpis.iter().find(|kpi| kpi.name.as_str() == CPU_CORES_USED)
}

/// The predictions that follow from the samples, one each; none at all without a predictor.
fn predictions(predictor: &mut Option<Partition>, samples: &[Sample]) -> Result<Vec<Option<Prediction>>> {
    let Some(partition) = predictor else { return Ok(Vec::new()) };
    let fates = partition.apply(samples.iter().map(enveloped).collect()).context("the predictor failed")?;
    let prediction = |fate| match fate {
        Fate::Predicted(_, prediction) => Some(prediction),
        Fate::TakenIn | Fate::Dropped(_) => None,
    };
    Ok(fates.into_iter().map(prediction).collect())
}

/// A prediction without any forecast.
fn of_last_value(sample: &Sample) -> Option<Prediction> {
    let cpu = cpu_of(sample)?;
    let resource = ResourceForecast {
        resource: cpu.name.clone(),
        unit: Arc::clone(&cpu.unit),
        last: cpu.value,
        model: "none".into(),
        model_version: "0".into(),
        drift: None,
        started_from: Vec::new(),
        horizons: Vec::new(),
    };
    Some(Prediction {
        workload: sample.workload.clone(),
        source: Arc::clone(&sample.source),
        made_at: sample.at,
        step_s: sample.step_s,
        resources: vec![resource],
        capacity: sample.capacity.clone(),
        signals: Vec::new(),
        platform: sample.platform,
    })
}
