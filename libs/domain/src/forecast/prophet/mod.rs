//! Prophet (Taylor and Letham 2018, "Forecasting at scale", The American Statistician 72(1)): a trend
//! that bends at changepoints plus the curves of a day (10 Fourier pairs) and, once there are two
//! weeks, of a week (3 pairs), fitted once a day by the greatest posterior density ([`posterior`]).
//! Between that nothing but the history changes: the model knows the time and not the last values.
//!
//! Values scatter about the curve as normal noise, plus what changes of the trend to come may add. The
//! bins are taken for independent, so the maximum's distribution is the product of theirs.
//!
//! State: two weeks of bins and at most 78 coefficients and times, at most [`STATE_HEAP_BYTES_MAX`] on
//! the heap.

mod curve;
mod posterior;

use self::curve::{COEFFICIENTS_MAX, Curve};
use crate::forecast::demand::{ClosedBin, DemandSeries};
use crate::forecast::greatest::normal_cdf;
use crate::forecast::history::History;
use crate::forecast::refits::{self, Refits};
use crate::forecast::residuals::{NORMAL_QUANTILES, normal};
use crate::forecast::{DAY_BINS, Family, Forecaster, HorizonQuantiles, TWO_WEEKS_BINS};
use crate::quantiles::{QUANTILE_LEVELS, Quantiles};
use bitcode::{Decode, Encode};

/// Most bytes that the state of one series takes on the heap.
pub const STATE_HEAP_BYTES_MAX: usize =
    TWO_WEEKS_BINS * size_of::<f32>() + 2 * COEFFICIENTS_MAX * size_of::<f64>() + size_of::<Curve>();

/// Bins before the curve is fitted for the first time: two days.
const FIRST_BINS: u64 = 2 * DAY_BINS as u64;

/// Halvings of the interval that a quantile of the maximum lies in.
const HALVINGS: usize = 20;

/// The family `prophet`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prophet;

/// What is remembered of one series.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Remembered {
    history: History<TWO_WEEKS_BINS>,
    refits: Refits,
    /// `None` before the first fit.
    curve: Option<Box<Curve>>,
}

impl Remembered {
    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        let curve = self.curve.as_ref().map_or(0, |curve| size_of::<Curve>() + curve.heap_bytes());
        self.history.heap_bytes() + curve
    }

    fn refit(&mut self, last_bin: i64) {
        let first_bin = last_bin + 1 - self.history.len() as i64;
        let measured: Vec<(i64, f64)> =
            (first_bin..).zip(self.history.iter()).filter_map(|(bin, value)| Some((bin, value?))).collect();
        if 2 * measured.len() < self.history.len() {
            return;
        }
        if let Some(curve) = Curve::of(&measured, self.history.len() == TWO_WEEKS_BINS) {
            self.curve = Some(Box::new(curve));
        }
    }
}

/// Mean and standard deviation of one bin.
#[derive(Clone, Copy)]
struct Bin {
    mean: f64,
    std_dev: f64,
}

/// The quantile of the greatest of independent normal bins at the level of that index: between the
/// greatest of the single ones' quantiles and that of as many equal bins as there are.
fn greatest_quantile(bins: &[Bin], index: usize) -> f64 {
    let level = QUANTILE_LEVELS[index];
    let at = |z: f64| bins.iter().map(|bin| bin.mean + z * bin.std_dev).fold(f64::NEG_INFINITY, f64::max);
    // Beyond this z all of even 72 bins lie below with more than 99 %.
    const Z_MAX: f64 = 4.5;
    let (mut lower, mut upper) = (NORMAL_QUANTILES[index], Z_MAX);
    for _ in 0..HALVINGS {
        let z = 0.5 * (lower + upper);
        let value = at(z);
        let below = |bin: &Bin| if bin.std_dev > 0.0 { normal_cdf((value - bin.mean) / bin.std_dev) } else { 1.0 };
        if bins.iter().map(below).product::<f64>() < level {
            lower = z;
        } else {
            upper = z;
        }
    }
    at(upper)
}

impl Forecaster for Prophet {
    type State = Remembered;

    fn family(&self) -> Family {
        Family::Prophet
    }

    fn bins_needed(&self) -> u64 {
        refits::bins_needed(FIRST_BINS)
    }

    fn close(&self, state: &mut Remembered, demand: &DemandSeries, closed: &ClosedBin) {
        state.history.push(demand.learnt(closed));
        if state.refits.are_due(demand, state.history.len(), FIRST_BINS) {
            state.refit(closed.bin);
        }
    }

    fn forecast(
        &self,
        state: &Remembered,
        demand: &DemandSeries,
        horizons_bins: &[usize],
    ) -> Option<Vec<HorizonQuantiles>> {
        if demand.bins() < self.bins_needed() {
            return None;
        }
        let (open, curve) = (demand.open()?, state.curve.as_deref()?);
        let bin = |bin: i64| {
            let variance = curve.noise * curve.noise + curve.trend_variance(bin);
            Bin { mean: curve.at(bin), std_dev: variance.sqrt() }
        };
        let bins: Vec<Bin> = (open.bin + 1..).take(horizons_bins.iter().copied().max()?).map(bin).collect();
        let at = |horizon: &usize| {
            let bins = &bins[..*horizon];
            let last = bins.last()?;
            Some(HorizonQuantiles {
                value: normal(last.mean, last.std_dev)?,
                maximum: Quantiles::rearranged(std::array::from_fn(|index| greatest_quantile(bins, index)))?,
            })
        };
        horizons_bins.iter().map(at).collect()
    }
}

#[cfg(test)]
mod tests;
