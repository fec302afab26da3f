//! ARIMA with orders chosen by the series: p, q ≤ 3 by AICc, d ≤ 1 by the KPSS test (Hyndman and
//! Khandakar 2008, see [`fit`]), about the curve of a day where there is one ([`curve`]). Parameters by
//! exact maximum likelihood ([`state_space`]).
//!
//! Once a day the parameters are fitted anew from the last ones, and once a week the orders are chosen
//! anew; between that a bin is one step of the Kalman filter. Quantiles of a value are normal with the
//! variance of the ψ weights, which the state space form sums up; those of a maximum follow from Clark's
//! moments.
//!
//! State: three days of bins, at most [`STATE_HEAP_BYTES_MAX`] on the heap.

mod curve;
mod fit;
mod kpss;
mod state_space;

use self::curve::Curve;
use self::fit::{Fit, Orders, PARAMETERS_MAX};
use self::state_space::{Arima as Model, Expected, STATES};
use crate::forecast::demand::{ClosedBin, DemandSeries};
use crate::forecast::greatest::{Normal, Step, at_horizons, greatest_of};
use crate::forecast::history::History;
use crate::forecast::refits::{self, Refits};
use crate::forecast::{DAY_BINS, Family, Forecaster, HorizonQuantiles};
use bitcode::{Decode, Encode};

const HISTORY_BINS: usize = 3 * DAY_BINS;

/// Most bytes that the state of one series takes on the heap.
pub const STATE_HEAP_BYTES_MAX: usize = HISTORY_BINS * size_of::<f32>() + size_of::<Fitted>();

/// Bins before the orders are chosen for the first time: a day.
const FIRST_BINS: u64 = DAY_BINS as u64;

/// Refits after which the orders are chosen anew.
const SEARCH_EVERY: u8 = 7;

/// Share of the series' greatest magnitude below which its standard deviation is rounding.
const SPREAD_SHARE_MIN: f64 = 1e-6;

/// The family `arima`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arima;

/// What is remembered of one series.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Filtered {
    history: History<HISTORY_BINS>,
    refits: Refits,
    /// Refits until the orders are chosen anew.
    until_search: u8,
    /// `None` before the first fit.
    fitted: Option<Box<Fitted>>,
}

/// A model with its parameters, and where its filter stands after the closed bins.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct Fitted {
    orders: Orders,
    free: [f64; PARAMETERS_MAX],
    model: Model,
    curve: Curve,
    /// Variance of the innovations.
    variance: f64,
    expected: Expected,
}

impl Filtered {
    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.history.heap_bytes() + self.fitted.as_ref().map_or(0, |_| size_of::<Fitted>())
    }

    fn refit(&mut self, last_bin: i64) {
        if 2 * self.history.measured() < self.history.len() {
            return;
        }
        let known = self.fitted.as_deref().filter(|_| self.until_search > 0);
        if let Some(fitted) = Fitted::of(&self.history, last_bin, known) {
            self.until_search = if known.is_some() { self.until_search - 1 } else { SEARCH_EVERY - 1 };
            self.fitted = Some(Box::new(fitted));
        }
    }
}

impl Fitted {
    /// Of the history, with the orders of `known` or a search for them.
    fn of(history: &History<HISTORY_BINS>, last_bin: i64, known: Option<&Self>) -> Option<Self> {
        let first_bin = last_bin + 1 - history.len() as i64;
        let series: Vec<Option<f64>> = history.iter().collect();
        let curve = Curve::of(&series, first_bin);
        let rest: Vec<Option<f64>> =
            (first_bin..).zip(&series).map(|(bin, value)| value.map(|v| v - curve.at(bin))).collect();
        let Fit { orders, free, model, likelihood } = if is_constant(&series, &rest) {
            fit::constant(&rest)
        } else {
            match known {
                Some(known) => fit::fit(known.orders, &known.free[..known.orders.parameters()], &rest),
                None => fit::search(&rest),
            }
        }?;
        let count = likelihood.count as f64;
        let variance = likelihood.variance * count / (count - orders.parameters() as f64 - 1.0);
        let mut all_free = [0.0; PARAMETERS_MAX];
        all_free[..free.len()].copy_from_slice(&free);
        let fitted = Self { orders, free: all_free, model, curve, variance, expected: likelihood.expected };
        variance.is_finite().then_some(fitted)
    }

    fn advance(&mut self, closed: &ClosedBin) {
        let rest = closed.value.map(|value| value - self.curve.at(closed.bin));
        self.expected.advance(&self.model, rest);
    }

    /// Values and maxima of the bins from `first_bin` on, which is the one that is expected next.
    fn path(&self, first_bin: i64, bins: usize) -> Vec<Step> {
        let (model, Expected { mut mean, mut covariance }) = (&self.model, self.expected);
        let mut greatest: Option<Normal<STATES>> = None;
        let mut steps = Vec::with_capacity(bins);
        for bin in (first_bin..).take(bins) {
            let with_value = model.with_value(&covariance);
            let own = Normal {
                mean: model.value(&mean) + self.curve.at(bin),
                variance: self.variance * model.value(&with_value),
                with: model.carried(&with_value).map(|c| self.variance * c),
            };
            let reached = match greatest {
                None => own,
                Some(before) => {
                    let carried = Normal { with: model.carried(&before.with), ..before };
                    greatest_of(&carried, &own, model.value(&before.with))
                }
            };
            greatest = Some(reached);
            steps.push(Step::new(&own, &reached));
            mean = model.carried(&mean);
            covariance = model.carried_covariance(&covariance);
        }
        steps
    }
}

/// Whether nothing but rounding is left of a series.
fn is_constant(series: &[Option<f64>], rest: &[Option<f64>]) -> bool {
    let greatest = |of: &[Option<f64>]| of.iter().flatten().fold(0.0, |most: f64, v| most.max(v.abs()));
    greatest(rest) <= SPREAD_SHARE_MIN * greatest(series)
}

impl Forecaster for Arima {
    type State = Filtered;

    fn family(&self) -> Family {
        Family::Arima
    }

    fn bins_needed(&self) -> u64 {
        refits::bins_needed(FIRST_BINS)
    }

    fn close(&self, state: &mut Filtered, demand: &DemandSeries, closed: &ClosedBin) {
        state.history.push(demand.learnt(closed));
        if let Some(fitted) = &mut state.fitted {
            fitted.advance(closed);
        }
        if state.refits.are_due(demand, state.history.len(), FIRST_BINS) {
            state.refit(closed.bin);
        }
    }

    fn forecast(
        &self,
        state: &Filtered,
        demand: &DemandSeries,
        horizons_bins: &[usize],
    ) -> Option<Vec<HorizonQuantiles>> {
        if demand.bins() < self.bins_needed() {
            return None;
        }
        let (open, mut fitted) = (demand.open()?, *state.fitted.as_deref()?);
        fitted.advance(&open);
        at_horizons(&fitted.path(open.bin + 1, horizons_bins.iter().copied().max()?), horizons_bins)
    }
}

#[cfg(test)]
mod tests;
