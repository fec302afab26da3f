//! A fitted curve of Prophet's on the grid: a trend that bends at changepoints, and Fourier terms of a
//! day and a week.

use super::posterior::{Greatest, TREND_COLUMNS, greatest};
use crate::forecast::least_squares::NormalEquations;
use crate::forecast::{DAY_BINS, WEEK_BINS};
use bitcode::{Decode, Encode};
use std::f64::consts::TAU;

/// Fourier pairs of the day and of the week.
const DAY_ORDER: usize = 10;
const WEEK_ORDER: usize = 3;

/// Changepoints, evenly over the first 80 % of the bins that have samples.
const CHANGES: usize = 25;
const CHANGES_SHARE: f64 = 0.8;

/// Most coefficients of a curve.
pub(super) const COEFFICIENTS_MAX: usize = TREND_COLUMNS + CHANGES + 2 * (DAY_ORDER + WEEK_ORDER);

/// Added to the mean size of a change, as the package does.
const CHANGE_SIZE_MIN: f64 = 1e-8;

/// Sines and cosines of the day and the week at a bin, with the phases of the epoch.
fn season_columns(bin: i64, has_week: bool) -> impl Iterator<Item = f64> {
    let pairs = move |period: usize, order: usize| {
        let turn = TAU * bin.rem_euclid(period as i64) as f64 / period as f64;
        (1..=order).flat_map(move |nth| {
            let (sin, cos) = (nth as f64 * turn).sin_cos();
            [sin, cos]
        })
    };
    pairs(DAY_BINS, DAY_ORDER).chain(pairs(WEEK_BINS, if has_week { WEEK_ORDER } else { 0 }))
}

/// The curve and how far values scatter about it.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct Curve {
    /// Bin at time 0.
    first_bin: i64,
    /// Bins from there to time 1.
    span_bins: f64,
    /// Magnitude that 1 stands for; 0 where all is.
    unit: f64,
    /// Times of the changepoints.
    changes_at: Vec<f64>,
    has_week: bool,
    /// m, k, δ and β.
    coefficients: Vec<f64>,
    /// σ, in the unit of the values.
    pub(super) noise: f64,
}

impl Curve {
    /// Of bins that were measured, ascending, at least 2. `None` when a number is not finite.
    pub(super) fn of(measured: &[(i64, f64)], has_week: bool) -> Option<Self> {
        let ((first_bin, _), (last_bin, _)) = (*measured.first()?, *measured.last()?);
        let unit = measured.iter().fold(0.0, |most: f64, (_, value)| most.max(value.abs()));
        let mut curve =
            Self { first_bin, span_bins: (last_bin - first_bin).max(1) as f64, unit, has_week, ..Self::default() };
        curve.changes_at = curve.changepoints(measured);
        let columns = curve.columns(first_bin).count();
        let (mut data, mut row) = (NormalEquations::new(columns), Vec::with_capacity(columns));
        for (bin, value) in measured {
            row.clear();
            row.extend(curve.columns(*bin));
            data.add(&row, if unit > 0.0 { value / unit } else { 0.0 });
        }
        let Greatest { coefficients, noise } = greatest(&data, columns, curve.changes_at.len())?;
        (curve.coefficients, curve.noise) = (coefficients, noise * curve.unit);
        Some(curve)
    }

    /// The curve at a bin.
    pub(super) fn at(&self, bin: i64) -> f64 {
        let terms = self.columns(bin).zip(&self.coefficients);
        self.unit * terms.map(|(column, coefficient)| column * coefficient).sum::<f64>()
    }

    /// Variance that changes of the trend to come add at a bin: changes as often and as large as in the
    /// history, Laplace distributed, each growing from its instant on. Their number is Poisson with as
    /// many in the span ahead as in one as long of the history.
    pub(super) fn trend_variance(&self, bin: i64) -> f64 {
        let changes = &self.coefficients[TREND_COLUMNS..][..self.changes_at.len()];
        let size = changes.iter().map(|change| change.abs()).sum::<f64>() / changes.len().max(1) as f64;
        let ahead = (self.time(bin) - 1.0).max(0.0);
        // Rate × E δ² × ∫ (ahead - s)² ds, with E δ² = 2 size².
        let scaled = changes.len() as f64 * 2.0 * (size + CHANGE_SIZE_MIN).powi(2) * ahead.powi(3) / 3.0;
        scaled * self.unit * self.unit
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        (self.changes_at.capacity() + self.coefficients.capacity()) * size_of::<f64>()
    }

    fn time(&self, bin: i64) -> f64 {
        (bin - self.first_bin) as f64 / self.span_bins
    }

    fn changepoints(&self, measured: &[(i64, f64)]) -> Vec<f64> {
        let reach = (CHANGES_SHARE * measured.len() as f64).floor() as usize;
        let changes = CHANGES.min(reach.saturating_sub(1));
        let place = |nth: usize| (nth as f64 * (reach - 1) as f64 / changes as f64).round_ties_even() as usize;
        (1..=changes).map(|nth| self.time(measured[place(nth)].0)).collect()
    }

    fn columns(&self, bin: i64) -> impl Iterator<Item = f64> {
        let time = self.time(bin);
        let changes = self.changes_at.iter().map(move |at| (time - at).max(0.0));
        [1.0, time].into_iter().chain(changes).chain(season_columns(bin, self.has_week))
    }
}
