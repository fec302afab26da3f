//! Forecasts of several as of one bin, until it is known what each of them lost. `W` says whose they are.

use super::HorizonQuantiles;
use super::capped::Truth;
use super::demand::DemandSeries;
use crate::calibration::Statistic;
use crate::calibration::series::{Made, MadeOfBoth};
use bitcode::{Decode, Encode};

/// A forecast of one horizon, raw and as it would be published.
pub type Both = (HorizonQuantiles, HorizonQuantiles);

/// Those of one.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(crate) struct Entry<W> {
    pub(crate) who: W,
    /// One a horizon, the longest first.
    forecasts: Vec<MadeOfBoth>,
    loss: f64,
    scored: u32,
}

/// Those of all.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(crate) struct Round<W> {
    /// The bin as of which they were made.
    pub(crate) bin: i64,
    pub(crate) entries: Vec<Entry<W>>,
}

impl<W: Copy> Round<W> {
    /// Of forecasts, one a horizon.
    pub(crate) fn of(bin: i64, forecasts: &[(W, Vec<Both>)]) -> Self {
        let entry = |(who, both): &(W, Vec<Both>)| Entry {
            who: *who,
            forecasts: both.iter().rev().map(|(raw, published)| MadeOfBoth::new(raw, published)).collect(),
            loss: 0.0,
            scored: 0,
        };
        Self { bin, entries: forecasts.iter().map(entry).collect() }
    }

    /// Closes a bin, which is still the open one of `demand`: scores what was forecast for it, by what is published, and
    /// hands each out with horizon (its index), statistic and truth. Whether the round is through.
    pub(crate) fn close(
        &mut self,
        horizons_bins: &[usize],
        demand: &DemandSeries,
        mut scored: impl FnMut((W, usize, Statistic), &Made, Truth),
    ) -> bool {
        let Some(closed) = demand.open() else { return false };
        let ahead = closed.bin - self.bin;
        let due = horizons_bins.iter().position(|bins| *bins as i64 == ahead);
        if let (Some(horizon), Some(truth)) = (due, demand.truth()) {
            let truths = [Some(truth), demand.greatest_truth(horizons_bins[horizon])];
            for entry in &mut self.entries {
                let Some(forecasts) = entry.of_horizon(horizon, horizons_bins.len()) else { continue };
                for (statistic, truth) in Statistic::ALL.into_iter().zip(truths) {
                    let Some(truth) = truth else { continue };
                    let made = forecasts.of(statistic);
                    entry.loss += made.loss(truth);
                    entry.scored += 1;
                    scored((entry.who, horizon, statistic), &made, truth);
                }
            }
        }
        let to_come = horizons_bins.iter().filter(|bins| **bins as i64 > ahead).count();
        self.entries.iter_mut().for_each(|entry| entry.keep(to_come));
        horizons_bins.last().is_none_or(|longest| ahead >= *longest as i64)
    }

    /// Whether another one can begin with the bin: this one is as long as the longest horizon.
    pub(crate) fn is_over_with(&self, bin: i64, horizons_bins: &[usize]) -> bool {
        bin > self.bin + horizons_bins.last().copied().unwrap_or(1) as i64
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let of = |entry: &Entry<W>| size_of::<Entry<W>>() + entry.forecasts.capacity() * size_of::<MadeOfBoth>();
        self.entries.iter().map(of).sum()
    }
}

impl<W> Entry<W> {
    /// Mean pinball loss over levels, horizons and statistics, in the unit of the demand; `None` where nothing was scored.
    pub(crate) fn mean_loss(&self) -> Option<f32> {
        let mean = (self.loss / f64::from(self.scored)) as f32;
        mean.is_finite().then_some(mean)
    }

    /// Of a horizon (its index) of so many, ascending.
    fn of_horizon(&self, horizon: usize, horizons: usize) -> Option<MadeOfBoth> {
        self.forecasts.get(horizons.checked_sub(horizon + 1)?).copied()
    }

    /// Keeps the forecasts of so many horizons, the longest ones, in no more memory than they need.
    fn keep(&mut self, horizons: usize) {
        if self.forecasts.len() > horizons {
            self.forecasts.truncate(horizons);
            self.forecasts.shrink_to_fit();
        }
    }
}
