//! What is taken off a series before ARIMA sees it: its mean, and where it helps the curve of a day as
//! a few Fourier terms (dynamic harmonic regression: Hyndman and Athanasopoulos, "Forecasting: Principles
//! and Practice", 3rd ed., 10.5; here by least squares ahead of the ARIMA).

use crate::forecast::DAY_BINS;
use crate::forecast::least_squares::{NormalEquations, dot};
use bitcode::{Decode, Encode};
use std::f64::consts::TAU;

/// Pairs of sine and cosine.
const HARMONICS: usize = 4;

const TERMS: usize = 1 + 2 * HARMONICS;

/// The curve must leave less than this share of the variance of a day that it was not fitted to.
const SHARE_LEFT_MAX: f64 = 0.9;

/// A mean and the curve of a day about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct Curve {
    terms: [f64; TERMS],
}

impl Curve {
    /// Of the bins from `first_bin` on, of which some were measured.
    pub(super) fn of(series: &[Option<f64>], first_bin: i64) -> Self {
        let flat = Self::flat(series);
        if Self::holds_a_day_ahead(series, first_bin) { Self::fitted(series, first_bin).unwrap_or(flat) } else { flat }
    }

    pub(super) fn at(&self, bin: i64) -> f64 {
        dot(&self.terms, &regressors(bin))
    }

    /// The mean alone.
    fn flat(series: &[Option<f64>]) -> Self {
        let (sum, count) = series.iter().flatten().fold((0.0, 0.0), |(sum, count), v| (sum + v, count + 1.0));
        let mut terms = [0.0; TERMS];
        terms[0] = sum / f64::max(count, 1.0);
        Self { terms }
    }

    fn fitted(series: &[Option<f64>], first_bin: i64) -> Option<Self> {
        let mut equations = NormalEquations::new(TERMS);
        for (bin, value) in (first_bin..).zip(series) {
            value.iter().for_each(|value| equations.add(&regressors(bin), *value));
        }
        Some(Self { terms: equations.solved(&[0.0; TERMS])?.try_into().ok()? })
    }

    /// Whether the curve fitted to all but the last day takes off some of the variance of the last one.
    fn holds_a_day_ahead(series: &[Option<f64>], first_bin: i64) -> bool {
        let Some(days) = series.len().checked_sub(DAY_BINS).filter(|before| *before >= DAY_BINS) else { return false };
        let (before, last) = series.split_at(days);
        let Some(curve) = Self::fitted(before, first_bin) else { return false };
        let about = |curve: &Self| {
            let bins = (first_bin + days as i64..).zip(last);
            let rest: Vec<f64> = bins.filter_map(|(bin, value)| Some((*value)? - curve.at(bin))).collect();
            let mean = rest.iter().sum::<f64>() / rest.len() as f64;
            rest.iter().map(|v| (v - mean).powi(2)).sum::<f64>()
        };
        about(&curve) < SHARE_LEFT_MAX * about(&Self::default())
    }
}

fn regressors(bin: i64) -> [f64; TERMS] {
    let turn = TAU * bin.rem_euclid(DAY_BINS as i64) as f64 / DAY_BINS as f64;
    let mut regressors = [1.0; TERMS];
    for (order, pair) in (1u8..).zip(regressors[1..].chunks_exact_mut(2)) {
        let (sin, cos) = (f64::from(order) * turn).sin_cos();
        pair.copy_from_slice(&[sin, cos]);
    }
    regressors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::testing::{noise_of, wave};

    #[test]
    fn a_day_is_taken_off_where_it_comes_again() {
        let daily: Vec<_> = (0..700).map(|t| if t % 5 == 0 { None } else { wave(t, 0.1) }).collect();
        let curve = Curve::of(&daily, 288 * 1000);
        for bin in 0..400 {
            assert!((curve.at(bin) - wave(bin, 0.0).unwrap()).abs() < 0.05);
        }
        let level: Vec<_> = (0..700).map(|t| Some(2.0 + noise_of(t))).collect();
        let curve = Curve::of(&level, 0);
        assert!(curve.terms[1..].iter().all(|term| *term == 0.0) && (curve.terms[0] - 2.0).abs() < 0.1);
        assert_eq!(Curve::of(&daily[..500], 0).at(3), Curve::of(&daily[..500], 0).at(77));
    }
}
