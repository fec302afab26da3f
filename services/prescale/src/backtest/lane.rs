//! The workloads of one lane: forecasts wait for their truth, and are scored where every contender made one.

use super::contender::Contender;
use super::textbook::Forecasts;
use super::unusual::Unusual;
use crate::lanes;
use anyhow::Result;
use prescale_domain::calibration::Statistic;
use prescale_domain::forecast::{DAY_BINS, GRID_STEP_S, HorizonQuantiles};
use prescale_domain::sample::Sample;
use prescale_domain::score::tally::Tally;
use prescale_domain::workload::WorkloadId;
use prescale_predictor::config::Settings;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Samples that the contenders get at once.
const BATCH_MAX: usize = 2048;

/// Everything that the contenders of a lane came to.
#[derive(Default)]
pub(super) struct LaneScores {
    /// By workload and resource (its index).
    pub series: BTreeMap<(WorkloadId, usize), SeriesScores>,
}

/// What one series came to.
#[derive(Clone, Default)]
pub(super) struct SeriesScores {
    /// Per horizon, statistic and contender.
    pub tallies: Vec<[Vec<Tally>; 2]>,
    /// By horizon, statistic and day, per contender: sums of the deciles' losses.
    pub days: BTreeMap<(usize, usize, i64), Vec<f64>>,
    /// Sum and number of the differences of neighbouring days' bins: the scale of MASE.
    pub seasonal_error: (f64, u64),
}

/// Every contender on the workloads of one lane.
pub(super) struct Lane {
    settings: Arc<Settings>,
    contenders: Vec<Contender>,
    warm_up_bins: u32,
    every_bins: u32,
    waiting: Vec<Sample>,
    unusual: Unusual,
    series: BTreeMap<WorkloadId, Vec<Series>>,
    scores: LaneScores,
}

/// A bin and what was forecast as of it, by contender.
struct Origin {
    bin: i64,
    made: Vec<Option<Vec<HorizonQuantiles>>>,
}

#[derive(Default)]
struct Series {
    begun: Option<i64>,
    open: i64,
    sum: f64,
    count: u32,
    /// Closed bins that had samples, of a day and an horizon.
    truths: VecDeque<(i64, f64)>,
    /// As of the open bin.
    newest: Option<Origin>,
    pending: VecDeque<Origin>,
}

impl lanes::Lane for Lane {
    type Hand = Vec<Sample>;
    type Outcome = LaneScores;

    fn take(&mut self, samples: Vec<Sample>) -> Result<()> {
        self.waiting.extend(samples);
        if self.waiting.len() >= BATCH_MAX { self.run() } else { Ok(()) }
    }

    fn finish(mut self) -> Result<LaneScores> {
        self.run()?;
        Ok(self.scores)
    }
}

impl Lane {
    pub(super) fn new(settings: Arc<Settings>, contenders: Vec<Contender>, warm_up_bins: u32, every_bins: u32) -> Self {
        Self {
            settings,
            contenders,
            warm_up_bins,
            every_bins,
            waiting: Vec::new(),
            unusual: Unusual::default(),
            series: BTreeMap::new(),
            scores: LaneScores::default(),
        }
    }

    fn run(&mut self) -> Result<()> {
        let samples = std::mem::take(&mut self.waiting);
        let anomalies: Vec<_> = samples.iter().map(|sample| self.unusual.take(sample)).collect();
        let contenders = self.contenders.iter_mut();
        let made = contenders.map(|contender| contender.take(&samples, &anomalies)).collect::<Result<Vec<_>>>()?;
        let mut made: Vec<_> = made.into_iter().map(Vec::into_iter).collect();
        for sample in &samples {
            let of_sample: Vec<Forecasts> = made.iter_mut().filter_map(Iterator::next).collect();
            self.one(sample, of_sample);
        }
        Ok(())
    }

    fn one(&mut self, sample: &Sample, mut made: Vec<Forecasts>) {
        let bin = sample.at.bin(GRID_STEP_S);
        let resources = self.settings.resources.len();
        let series = self
            .series
            .entry(sample.workload.clone())
            .or_insert_with(|| std::iter::repeat_with(Series::default).take(resources).collect());
        for (resource, name) in self.settings.resources.iter().enumerate() {
            let Some(value) = sample.kpis.iter().find(|kpi| kpi.name == *name).and_then(|kpi| kpi.value) else {
                continue;
            };
            let series = &mut series[resource];
            if bin > series.open {
                if let Some(closed) = series.close(&self.settings.horizons_bins) {
                    let key = (sample.workload.clone(), resource);
                    score(series, closed, &self.settings.horizons_bins, self.contenders.len(), key, &mut self.scores);
                }
                series.open = bin;
            }
            let begun = *series.begun.get_or_insert(bin);
            series.sum += value;
            series.count += 1;
            let made = made.iter_mut().map(|forecasts| forecasts[resource].take()).collect::<Vec<_>>();
            let is_scored =
                bin - begun >= i64::from(self.warm_up_bins) && bin.rem_euclid(i64::from(self.every_bins)) == 0;
            series.newest = is_scored.then_some(Origin { bin, made });
        }
    }
}

impl Series {
    /// Closes the open bin; it and its mean, when it had samples.
    fn close(&mut self, horizons_bins: &[usize]) -> Option<(i64, f64)> {
        self.pending.extend(self.newest.take().filter(|origin| origin.made.iter().all(Option::is_some)));
        let closed = (self.count > 0).then(|| (self.open, self.sum / f64::from(self.count)))?;
        (self.sum, self.count) = (0.0, 0);
        self.truths.push_back(closed);
        let longest = horizons_bins.last().copied().unwrap_or(1) as i64;
        let is_old = |bin: i64, reach: i64| bin < closed.0 - reach;
        while self.truths.front().is_some_and(|(bin, _)| is_old(*bin, DAY_BINS as i64 + longest)) {
            self.truths.pop_front();
        }
        while self.pending.front().is_some_and(|origin| is_old(origin.bin, longest)) {
            self.pending.pop_front();
        }
        Some(closed)
    }

    fn truth(&self, bin: i64) -> Option<f64> {
        let place = self.truths.binary_search_by_key(&bin, |(bin, _)| *bin).ok()?;
        Some(self.truths[place].1)
    }

    /// Greatest of the bins up to `last`; `None` where one is missing.
    fn maximum(&self, last: i64, bins: usize) -> Option<f64> {
        (0..bins as i64).map(|back| self.truth(last - back)).try_fold(f64::MIN, |most, truth| Some(most.max(truth?)))
    }
}

/// Scores what was forecast for the bin that was just closed.
fn score(
    series: &Series,
    (bin, truth): (i64, f64),
    horizons_bins: &[usize],
    contenders: usize,
    (workload, resource): (WorkloadId, usize),
    scores: &mut LaneScores,
) {
    let placed = |(horizon, bins): (usize, &usize)| {
        let origin = bin - *bins as i64;
        let place = series.pending.binary_search_by_key(&origin, |origin| origin.bin).ok()?;
        Some((horizon, *bins, &series.pending[place].made))
    };
    let due: Vec<_> = horizons_bins.iter().enumerate().filter_map(placed).collect();
    if due.is_empty() {
        return;
    }
    let of_series = scores.series.entry((workload, resource)).or_default();
    of_series
        .tallies
        .resize_with(horizons_bins.len(), || [vec![Tally::default(); contenders], vec![Tally::default(); contenders]]);
    for (horizon, bins, made) in due {
        let truths = [(Statistic::Value, Some(truth)), (Statistic::Maximum, series.maximum(bin, bins))];
        for (statistic, truth) in truths {
            let Some(truth) = truth else { continue };
            let day = of_series
                .days
                .entry((horizon, statistic as usize, bin.div_euclid(DAY_BINS as i64)))
                .or_insert_with(|| vec![0.0; contenders]);
            let made = made.iter().flatten();
            let tallies = of_series.tallies[horizon][statistic as usize].iter_mut();
            for ((made, tally), day) in made.zip(tallies).zip(day) {
                let Some(made) = made.get(horizon) else { continue };
                let before = tally.decile_loss;
                tally.push(made.of(statistic), truth);
                *day += tally.decile_loss - before;
            }
        }
    }
    if let Some(before) = series.truth(bin - DAY_BINS as i64) {
        of_series.seasonal_error.0 += (truth - before).abs();
        of_series.seasonal_error.1 += 1;
    }
}
