//! The trace as the steps that every contender takes. Forecasts are made once for all of them, by as many predictors
//! side by side as the bus has partitions.

use super::Stamped;
use crate::lanes::enveloped;
use anyhow::{Context as _, Result, anyhow, ensure};
use glob::Pattern;
use prescale_bus::partitioner::partition_of;
use prescale_domain::kpi::{CPU_CORES_USED, Kpi, MEMORY_BYTES};
use prescale_domain::outcome::Surges;
use prescale_domain::prediction::{Prediction, ResourceForecast};
use prescale_domain::sample::{Capacity, Sample};
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use prescale_predictor::partition::{Fate, Partition};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

/// One step of one workload, as every contender meets it.
pub(super) struct Step {
    /// Number of the workload.
    pub workload: usize,
    /// Its partition of the bus.
    pub partition: u32,
    /// The sample's own instant, as predictions bear it.
    pub at: EventTime,
    /// First instant of the step.
    pub begin: EventTime,
    /// Its end, at which it is known.
    pub end: EventTime,
    /// Length, in seconds.
    pub step_s: u32,
    /// Mean demand, in cores; `None` where it is missing.
    pub demand: Option<f64>,
    /// The capacity that the trace says, in cores.
    pub bought: Option<f64>,
    /// The memory that the trace says it has, in bytes.
    pub bought_memory_bytes: Option<f64>,
    /// Use of memory, in bytes.
    pub memory_bytes: Option<f64>,
    /// Whether a surge begins with it.
    pub is_surge: bool,
    /// The predictor's prediction, where it made one of this sample; with no forecasts the last value alone.
    pub prediction: Option<Prediction>,
    /// The same by the naive forecast.
    pub naive: Option<Prediction>,
}

/// Makes steps of samples.
pub(super) struct Course {
    stamped: Stamped,
    wanted: Option<Pattern>,
    /// Whether predictions are to be made, of the last value alone, where the predictor does not run.
    has_planner: bool,
    memory: Memory,
    /// By partition.
    forecasters: Vec<Forecaster>,
    workloads: BTreeMap<WorkloadId, usize>,
    /// By number of the workload.
    series: Vec<Series>,
}

/// Whether use of memory is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// Nobody sizes it.
    Unneeded,
    /// It is sized.
    Needed,
    /// It is sized, and the trace has it.
    There,
}

/// The predictors of one partition, where they run.
pub(super) struct Forecaster {
    pub predictor: Option<Partition>,
    pub naive: Option<Partition>,
}

struct Series {
    last_at: EventTime,
    surges: Surges,
}

/// What is forecast as of a sample: by the predictor, and by the last value.
type Made = (Option<Prediction>, Option<Prediction>);

impl Course {
    /// Over the forecasters of each partition.
    pub(super) fn new(
        stamped: Stamped,
        wanted: Option<Pattern>,
        has_planner: bool,
        memory: Memory,
        forecasters: Vec<Forecaster>,
    ) -> Self {
        let (workloads, series) = (BTreeMap::new(), Vec::new());
        Self { stamped, wanted, has_planner, memory, forecasters, workloads, series }
    }

    /// The workloads by their number.
    pub(super) fn workloads(self) -> Vec<WorkloadId> {
        let mut workloads: Vec<_> = self.workloads.into_iter().collect();
        workloads.sort_by_key(|(_, number)| *number);
        workloads.into_iter().map(|(workload, _)| workload).collect()
    }

    /// The steps of samples that follow those before.
    ///
    /// # Errors
    /// When a predictor fails, or memory is sized and the first samples have none.
    pub(super) fn steps(&mut self, mut samples: Vec<Sample>) -> Result<Vec<Step>> {
        let wanted = &self.wanted;
        samples.retain(|sample| wanted.as_ref().is_none_or(|p| p.matches(sample.workload.as_str())));
        if self.memory == Memory::Needed && !samples.is_empty() {
            ensure!(
                samples.iter().any(|sample| kpi_of(sample, MEMORY_BYTES).is_some()),
                "a policy that chooses instance types sizes CPU and memory together, and the trace has no use of memory: map \
                 it (--map ...,memory=EXPRESSION), or leave such policies out"
            );
            self.memory = Memory::There;
        }
        let partitions = self.forecasters.len() as u32;
        let partition = |sample: &Sample| partition_of(sample.workload.as_str().as_bytes(), partitions);
        let of: Vec<u32> = samples.iter().map(partition).collect();
        let made = self.forecasts(&samples, &of)?;
        let steps = samples.iter().zip(of).zip(made);
        Ok(steps.filter_map(|((sample, partition), made)| self.step(sample, partition, made)).collect())
    }

    /// What is forecast as of each sample, of the partition that `of` says.
    fn forecasts(&mut self, samples: &[Sample], of: &[u32]) -> Result<Vec<Made>> {
        let mut made: Vec<Made> = samples.iter().map(|_| (None, None)).collect();
        let runs = |forecaster: &Forecaster| forecaster.predictor.is_some() || forecaster.naive.is_some();
        let has_predictor = self.forecasters.iter().any(|forecaster| forecaster.predictor.is_some());
        if self.forecasters.iter().any(runs) {
            let by_partition = thread::scope(|scope| {
                let work = |(partition, forecaster)| {
                    let own = samples.iter().zip(of).filter(move |(_, of)| **of == partition);
                    scope.spawn(move || Forecaster::take(forecaster, own.map(|(sample, _)| sample).collect()))
                };
                let workers: Vec<_> = (0..).zip(&mut self.forecasters).map(work).collect();
                let join =
                    |worker: thread::ScopedJoinHandle<'_, _>| worker.join().map_err(|_| anyhow!("it panicked"))?;
                workers.into_iter().map(join).collect::<Result<Vec<_>>>()
            });
            let mut by_partition: Vec<_> =
                by_partition.context("the predictor failed")?.into_iter().map(Vec::into_iter).collect();
            for (slot, partition) in made.iter_mut().zip(of) {
                *slot = by_partition[*partition as usize].next().unwrap_or_default();
            }
        }
        if !has_predictor && self.has_planner {
            made.iter_mut().zip(samples).for_each(|(slot, sample)| slot.0 = of_last_value(sample, self.memory));
        }
        Ok(made)
    }

    /// `None` for a sample that is not newer than the last one of its workload.
    fn step(&mut self, sample: &Sample, partition: u32, (prediction, naive): Made) -> Option<Step> {
        let (begin, end) = self.stamped.step(sample.at, sample.step_s);
        let known = self.workloads.len();
        let workload = *self.workloads.entry(sample.workload.clone()).or_insert(known);
        if workload == known {
            self.series.push(Series { last_at: begin, surges: Surges::default() });
        } else if begin <= self.series[workload].last_at {
            return None;
        }
        let series = &mut self.series[workload];
        series.last_at = begin;
        let value = |name: &str| kpi_of(sample, name).and_then(|kpi| kpi.value);
        let demand = value(CPU_CORES_USED);
        Some(Step {
            workload,
            partition,
            at: sample.at,
            begin,
            end,
            step_s: sample.step_s,
            demand,
            bought: sample.capacity.as_ref().map(Capacity::cpu_cores),
            bought_memory_bytes: sample.capacity.as_ref().map(Capacity::memory_bytes),
            memory_bytes: value(MEMORY_BYTES),
            is_surge: demand.is_some_and(|demand| series.surges.begins(begin, sample.step_s, demand)),
            prediction,
            naive,
        })
    }
}

impl Forecaster {
    fn take(&mut self, samples: Vec<&Sample>) -> Result<Vec<Made>> {
        let mut made: Vec<Made> = samples.iter().map(|_| (None, None)).collect();
        let own = predictions(self.predictor.as_mut(), &samples)?;
        made.iter_mut().zip(own).for_each(|(slot, prediction)| slot.0 = prediction);
        let naive = predictions(self.naive.as_mut(), &samples)?;
        made.iter_mut().zip(naive).for_each(|(slot, prediction)| slot.1 = prediction);
        Ok(made)
    }
}

fn kpi_of<'a>(sample: &'a Sample, name: &str) -> Option<&'a Kpi> {
    sample.kpis.iter().find(|kpi| kpi.name.as_str() == name)
}

/// What follows from each of the samples, a prediction or none; nothing at all without a predictor.
fn predictions(predictor: Option<&mut Partition>, samples: &[&Sample]) -> Result<Vec<Option<Prediction>>> {
    let Some(partition) = predictor else { return Ok(Vec::new()) };
    let fates = partition.apply(samples.iter().map(|sample| enveloped(sample)).collect())?;
    let prediction = |fate| match fate {
        Fate::Predicted(_, prediction) => Some(*prediction),
        Fate::TakenIn | Fate::Dropped(_) => None,
    };
    Ok(fates.into_iter().map(prediction).collect())
}

/// A prediction without any forecast, where there is something to predict.
fn of_last_value(sample: &Sample, memory: Memory) -> Option<Prediction> {
    let memory = if memory == Memory::Unneeded { None } else { kpi_of(sample, MEMORY_BYTES) };
    let resource = |kpi: &Kpi| ResourceForecast {
        resource: kpi.name.clone(),
        unit: Arc::clone(&kpi.unit),
        last: kpi.value,
        model: "none".into(),
        model_version: "0".into(),
        drift: None,
        started_from: Vec::new(),
        horizons: Vec::new(),
    };
    let resources: Vec<_> = kpi_of(sample, CPU_CORES_USED).into_iter().chain(memory).map(resource).collect();
    (!resources.is_empty()).then(|| Prediction {
        workload: sample.workload.clone(),
        source: sample.source.clone(),
        made_at: sample.at,
        step_s: sample.step_s,
        resources,
        capacity: sample.capacity.clone(),
        signals: Vec::new(),
        earlier: Vec::new(),
        anomaly: None,
        platform: sample.platform,
    })
}
