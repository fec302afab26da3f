//! What was a day ago comes again, with the errors that this made over the last day (Hyndman and
//! Athanasopoulos, "Forecasting: Principles and Practice", 3rd ed., 5.2 and 5.5).
//!
//! State: the day before the last one, at most [`STATE_HEAP_BYTES_MAX`] on the heap.

use crate::forecast::day_ring::DayRing;
use crate::forecast::demand::{ClosedBin, DemandSeries};
use crate::forecast::residuals::{ERRORS_MIN, empirical};
use crate::forecast::{DAY_BINS, Family, Forecaster, HorizonQuantiles, maxima_of};
use bitcode::{Decode, Encode};

/// Most bytes that the state of one series takes on the heap.
pub const STATE_HEAP_BYTES_MAX: usize = DAY_BINS * size_of::<u16>();

/// The family `seasonal-naive`, its season being a day. Of use once there are
/// [`ERRORS_MIN`] errors to tell how far it is off.
#[derive(Clone, Copy, Debug, Default)]
pub struct SeasonalNaive;

/// The bins that fell out of the demand's day.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct DayBefore(DayRing);

impl DayBefore {
    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }
}

/// Bins with the ones a day before them, the open one last; `None` where there was no sample.
struct Pairs {
    now: Vec<Option<f64>>,
    before: Vec<Option<f64>>,
}

impl Pairs {
    fn of(day: &[f64; DAY_BINS], demand: &DemandSeries, state: &DayBefore) -> Self {
        let (mut present, mut before) = ([false; DAY_BINS], [0.0; DAY_BINS]);
        demand.recent_present(&mut present);
        let closed = state.0.newest(&mut before[..DAY_BINS - 1]);
        let mut before_present = [false; DAY_BINS];
        state.0.newest_measured(&mut before_present[..DAY_BINS - 1]);
        if let Some((value, measured)) = demand.day_ago() {
            (before[closed], before_present[closed]) = (value, measured);
        }
        let measured = |(value, present): (&f64, &bool)| if *present { Some(*value) } else { None };
        let first = DAY_BINS - 1 - closed;
        Self {
            now: day[first..].iter().zip(&present[first..]).map(measured).collect(),
            before: before[..=closed].iter().zip(&before_present).map(measured).collect(),
        }
    }

    /// Quantiles of the errors that the maximum over `bins` bins a day ago made for that over the same
    /// bins a day later, around `point`.
    fn quantiles(&self, point: f64, bins: usize) -> Option<crate::quantiles::Quantiles> {
        let pairs = maxima_of(&self.now, bins).into_iter().zip(maxima_of(&self.before, bins));
        let mut errors: Vec<f64> = pairs.filter_map(|(now, before)| Some(now? - before?)).collect();
        empirical(point, &mut errors)
    }
}

impl Forecaster for SeasonalNaive {
    type State = DayBefore;

    fn family(&self) -> Family {
        Family::SeasonalNaive
    }

    fn bins_needed(&self) -> u64 {
        (DAY_BINS + ERRORS_MIN) as u64
    }

    fn close(&self, state: &mut DayBefore, demand: &DemandSeries, _closed: &ClosedBin) {
        if let Some((value, measured)) = demand.day_ago() {
            state.0.push(value, measured);
        }
    }

    fn forecast(
        &self,
        state: &DayBefore,
        demand: &DemandSeries,
        horizons_bins: &[usize],
    ) -> Option<Vec<HorizonQuantiles>> {
        let mut day = [0.0; DAY_BINS];
        if demand.recent(&mut day) < DAY_BINS {
            return None;
        }
        let pairs = Pairs::of(&day, demand, state);
        let at = |bins: &usize| {
            let greatest = day[..*bins].iter().copied().fold(f64::NEG_INFINITY, f64::max);
            Some(HorizonQuantiles {
                value: pairs.quantiles(day[bins - 1], 1)?,
                maximum: pairs.quantiles(greatest, *bins)?,
            })
        };
        horizons_bins.iter().map(at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::testing::{run, wave};

    #[test]
    fn the_point_is_a_day_before_the_target() {
        let values: Vec<f64> = (0..1000).map(|t| wave(t, 0.0).unwrap()).collect();
        let (demand, state) = run(&SeasonalNaive, values.iter().copied().map(Some));
        let got = SeasonalNaive.forecast(&state, &demand, &[1, 12]).unwrap();
        // A wave of exactly a day: a day ago tells all, as far as bins of 16 bits do.
        for (i, bins) in [1, 12].into_iter().enumerate() {
            let wanted = values[999 + bins - DAY_BINS];
            let greatest = values[1000 - DAY_BINS..][..bins].iter().copied().fold(f64::MIN, f64::max);
            for q in got[i].value.values() {
                assert!((q - wanted).abs() < 2e-4, "{q} {wanted}");
            }
            assert!((got[i].maximum.median() - greatest).abs() < 2e-4);
        }
    }

    #[test]
    fn the_quantiles_are_those_of_the_errors_against_the_day_before() {
        // Each day is 10 above the one before it, and every third bin of it is 3 more.
        let level = |t: i64| (t / 288 * 10) as f64 + if t % 3 == 0 { (t / 288 * 3) as f64 } else { 0.0 };
        let (demand, state) = run(&SeasonalNaive, (0..864).map(|t| Some(level(t))));
        let got = SeasonalNaive.forecast(&state, &demand, &[1, 3]).unwrap();
        // Errors of the value: 10, or 13 every third bin. Of the maximum of three: always 13.
        let point = level(864 - 288);
        assert_eq!(got[0].value.values(), &[10.0, 10.0, 10.0, 10.0, 13.0, 13.0, 13.0, 13.0].map(|e| e + point));
        assert_eq!(got[1].maximum.values(), &[point + 13.0; 8]);
    }

    #[test]
    fn it_is_of_use_with_enough_errors() {
        let needed = SeasonalNaive.bins_needed() as i64;
        let (demand, state) = run(&SeasonalNaive, (0..needed).map(|t| wave(t, 0.3)));
        assert!(SeasonalNaive.forecast(&state, &demand, &[1]).is_some());
        assert_eq!(SeasonalNaive.forecast(&state, &demand, &[72]), None);
        assert_eq!(SeasonalNaive.forecast(&DayBefore::default(), &demand, &[1]), None);
        let (demand, state) = run(&SeasonalNaive, (0..needed - 2).map(|t| wave(t, 0.3)));
        assert_eq!(SeasonalNaive.forecast(&state, &demand, &[1]), None);
        assert!(state.heap_bytes() <= STATE_HEAP_BYTES_MAX);
    }
}
