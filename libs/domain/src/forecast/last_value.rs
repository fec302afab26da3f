//! The last value goes on, with the errors that this made over the last day of the series itself
//! (Hyndman and Athanasopoulos, "Forecasting: Principles and Practice", 3rd ed., 5.2 and 5.5).

use crate::forecast::demand::{ClosedBin, DemandSeries};
use crate::forecast::residuals::{empirical, random_walk};
use crate::forecast::{DAY_BINS, Family, Forecaster, HorizonQuantiles, maxima_of};

/// The family `last-value`: always of use, and nothing to remember.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastValue;

/// The bins of the last day, and which of them had samples.
struct Day {
    values: [f64; DAY_BINS],
    present: [bool; DAY_BINS],
    count: usize,
}

impl Day {
    fn of(demand: &DemandSeries) -> Self {
        let mut day = Self { values: [0.0; DAY_BINS], present: [false; DAY_BINS], count: 0 };
        day.count = demand.recent(&mut day.values);
        demand.recent_present(&mut day.present);
        day
    }

    fn values(&self) -> impl Iterator<Item = Option<f64>> {
        let bins = self.values[..self.count].iter().zip(&self.present);
        bins.map(|(value, present)| present.then_some(*value))
    }

    /// Truths `bins_ahead` bins after each bin less that bin, where both are known.
    fn errors_of_value(&self, bins_ahead: usize, into: &mut Vec<f64>) {
        into.clear();
        into.extend(self.values().zip(self.values().skip(bins_ahead)).filter_map(|(from, to)| Some(to? - from?)));
    }

    fn errors_of_maximum(&self, bins_ahead: usize, into: &mut Vec<f64>) {
        into.clear();
        let after: Vec<Option<f64>> = self.values().skip(1).collect();
        let maxima = maxima_of(&after, bins_ahead);
        into.extend(self.values().zip(maxima).filter_map(|(from, greatest)| Some(greatest? - from?)));
    }
}

impl Forecaster for LastValue {
    type State = ();

    fn family(&self) -> Family {
        Family::LastValue
    }

    fn bins_needed(&self) -> u64 {
        1
    }

    fn close(&self, _state: &mut (), _demand: &DemandSeries, _closed: &ClosedBin) {}

    fn forecast(&self, _state: &(), demand: &DemandSeries, horizons_bins: &[usize]) -> Option<Vec<HorizonQuantiles>> {
        demand.open()?;
        let (day, scale, point) = (Day::of(demand), demand.scale(None), demand.filled());
        let (mut errors_1, mut errors) = (Vec::with_capacity(DAY_BINS), Vec::with_capacity(DAY_BINS));
        day.errors_of_value(1, &mut errors_1);
        let quantiles = |bins: usize, errors: &mut Vec<f64>| {
            empirical(point, errors).or_else(|| random_walk(point, &errors_1, bins, scale))
        };
        let at = |bins: &usize| {
            day.errors_of_value(*bins, &mut errors);
            let value = quantiles(*bins, &mut errors)?;
            day.errors_of_maximum(*bins, &mut errors);
            Some(HorizonQuantiles { value, maximum: quantiles(*bins, &mut errors)? })
        };
        horizons_bins.iter().map(at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::testing::{series, wave};

    #[test]
    fn quantiles_are_those_of_the_last_days_errors() {
        // A saw-tooth of 4 bins: 0 1 2 3 0 1 2 3 …; errors one bin ahead are 1 1 1 -3.
        let demand = series((0..400).map(|t| Some(f64::from(t % 4))));
        let got = LastValue.forecast(&(), &demand, &[1, 2, 4]).unwrap();
        assert_eq!(got[0].value.values(), &[0.0, 0.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0]);
        assert_eq!(got[0].maximum, got[0].value);
        // Two ahead: 2 2 -2 -2; the maximum of two: 2 2 1 -2.
        assert_eq!(got[1].value.values()[0], 1.0);
        assert_eq!((got[1].maximum.values()[0], got[1].maximum.values()[7]), (1.0, 5.0));
        // The maximum of four is 3 whatever came before.
        assert_eq!(got[2].maximum.values()[0], 3.0);
        assert_eq!(got[2].value.values()[7], 3.0);
    }

    #[test]
    fn bins_without_samples_make_no_errors() {
        let demand = series((0..300).map(|t| (t % 2 == 0).then_some(f64::from(t))));
        let got = LastValue.forecast(&(), &demand, &[1, 2]).unwrap();
        // No bin has a neighbour, so one bin ahead nothing is known; two ahead each error is 2.
        assert!(got[0].value.values()[6] > 298.0 + 0.1 * 298.0 / 2.0);
        assert_eq!(got[1].value.values(), &[300.0; 8]);
    }

    #[test]
    fn a_young_series_has_wide_quantiles_that_grow_with_the_horizon() {
        let demand = series((0..5).map(|t| wave(t, 0.1)));
        let got = LastValue.forecast(&(), &demand, &[1, 4]).unwrap();
        let width = |q: &HorizonQuantiles| q.value.values()[6] - q.value.values()[0];
        assert!(width(&got[0]) > 0.0);
        assert!((width(&got[1]) / width(&got[0]) - 2.0).abs() < 1e-9);
        assert_eq!(LastValue.forecast(&(), &DemandSeries::default(), &[1]), None);
    }
}
