//! Forecasts of one resource of a group: the sum of its members', calibrated by what the group then needed.

use super::ResourceSum;
use super::sum::{Correlation, QuantileSum};
use crate::calibration::drift::DriftState;
use crate::calibration::series::SeriesCalibration;
use crate::calibration::{Spread, Statistic};
use crate::forecast::demand::{DemandSeries, Due};
use crate::forecast::{GRID_STEP_S, HORIZON_BINS_MAX, HorizonQuantiles};
use crate::kpi::KpiName;
use crate::prediction::{HorizonForecast, ResourceForecast};
use crate::quantiles::Quantiles;
use crate::time::EventTime;
use bitcode::{Decode, Encode};
use std::collections::VecDeque;
use std::sync::Arc;

/// Name of the model, as predictions carry it.
pub const MODEL: &str = "sum-of-members";

/// Its version; goes up when its numbers change.
pub const MODEL_VERSION: &str = "1";

/// A sum whose truth is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct Pending {
    horizon: usize,
    due_bin: i64,
    value: QuantileSum,
}

/// What is remembered of one resource of a group.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct GroupSeries {
    horizons_s: Vec<u32>,
    demand: DemandSeries,
    calibration: SeriesCalibration<()>,
    /// By horizon.
    correlations: Vec<Correlation>,
    pending: VecDeque<Pending>,
}

impl GroupSeries {
    /// Goes on to `bin` with the sum as of it, and makes the forecast. Bins must ascend. `None` when there is
    /// no horizon that all members have, or a number is not finite.
    pub fn forecast(&mut self, bin: i64, resource: &KpiName, sum: &ResourceSum) -> Option<ResourceForecast> {
        let sums = common_horizons(sum);
        let horizons_s: Vec<u32> = sums.iter().map(|(horizon_s, _)| *horizon_s).collect();
        let bins: Vec<usize> = horizons_s.iter().map(|horizon_s| (horizon_s / GRID_STEP_S) as usize).collect();
        if horizons_s.is_empty() || !sum.last.is_finite() {
            return None;
        }
        let at = EventTime::of_bin(bin, GRID_STEP_S);
        match self.demand.due(at) {
            Due::Close(bins_passed) if horizons_s == self.horizons_s => self.close(&bins, bins_passed, sum.closed),
            Due::Nothing => return None,
            Due::Close(_) | Due::Start => self.start(at, &horizons_s, &bins, sum.last),
        }
        let both = sums.iter().enumerate().map(|(horizon, (_, sum))| {
            let correlation = self.correlations[horizon].estimate();
            let value = sum.value.around(sum.value.median, correlation)?;
            let maximum = sum.maximum.around(sum.value.median + sum.rise.with(correlation), correlation)?;
            let calibrated = |raw: &Quantiles, statistic| {
                self.calibration.calibrated(raw, Spread::NONE, horizon, statistic).map(|q| self.within_reach(q))
            };
            let published = HorizonQuantiles {
                value: calibrated(&value, Statistic::Value)?,
                maximum: calibrated(&maximum, Statistic::Maximum)?,
            };
            Some((HorizonQuantiles { value, maximum }, published))
        });
        let both = both.collect::<Option<Vec<_>>>()?;
        self.calibration.made(bin, (), &both);
        for (horizon, ((_, sum), bins)) in sums.iter().zip(&bins).enumerate() {
            self.pending.push_back(Pending { horizon, due_bin: bin + *bins as i64, value: sum.value });
        }
        let horizons = horizons_s.iter().zip(&both).enumerate();
        Some(ResourceForecast {
            resource: resource.clone(),
            unit: Arc::clone(&sum.unit),
            last: Some(sum.last),
            model: MODEL.into(),
            model_version: MODEL_VERSION.into(),
            drift: Some(self.calibration.drift()),
            started_from: Vec::new(),
            horizons: horizons.map(|(i, (horizon_s, (_, made)))| self.published(i, *horizon_s, made)).collect(),
        })
    }

    fn start(&mut self, at: EventTime, horizons_s: &[u32], bins: &[usize], value: f64) {
        *self = Self { horizons_s: horizons_s.to_vec(), ..Self::default() };
        self.correlations = vec![Correlation::default(); bins.len()];
        self.demand.start(at, value);
        self.calibration.start(bins);
    }

    /// Closes so many bins; `closed` is the demand in the last of them.
    fn close(&mut self, bins: &[usize], bins_passed: u32, closed: Option<f64>) {
        for nth in 1..=bins_passed {
            if nth == bins_passed {
                closed.into_iter().for_each(|value| self.demand.add(value));
            }
            self.learn_correlation();
            // Drift of the sum is for its members to mend.
            self.calibration.close(bins, &self.demand, DriftState::Reset, |_, _| ());
            self.demand.close();
        }
    }

    fn learn_correlation(&mut self) {
        let Some(open) = self.demand.open() else { return };
        self.pending.retain(|pending| {
            if let (true, Some(truth)) = (pending.due_bin == open.bin, open.value) {
                self.correlations[pending.horizon].push(&pending.value, truth - pending.value.median);
            }
            pending.due_bin > open.bin
        });
    }

    fn within_reach(&self, quantiles: Quantiles) -> Quantiles {
        if self.demand.is_non_negative() { quantiles.at_least(0.0) } else { quantiles }
    }

    fn published(&self, horizon: usize, horizon_s: u32, made: &HorizonQuantiles) -> HorizonForecast {
        HorizonForecast {
            horizon_s,
            value: made.value,
            maximum: made.maximum,
            value_interval: self.calibration.interval(horizon, Statistic::Value, &made.value),
            maximum_interval: self.calibration.interval(horizon, Statistic::Maximum, &made.maximum),
        }
    }
}

/// The horizons that all forecasts of the resource have, and that the grid has.
fn common_horizons(sum: &ResourceSum) -> Vec<(u32, super::HorizonSum)> {
    let forecasts_max = sum.horizons.values().map(|sum| sum.forecasts).max();
    let is_on_grid = |horizon_s: u32| {
        horizon_s.is_multiple_of(GRID_STEP_S) && (1..=HORIZON_BINS_MAX).contains(&((horizon_s / GRID_STEP_S) as usize))
    };
    let common = sum.horizons.iter().filter(|(h, sum)| is_on_grid(**h) && Some(sum.forecasts) == forecasts_max);
    common.map(|(horizon_s, sum)| (*horizon_s, *sum)).collect()
}

#[cfg(test)]
mod tests;
