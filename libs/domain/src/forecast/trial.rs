//! A version of a family on trial: what it loses on one series beside the version in use, on forecasts as of the same bins.
//!
//! Both are scored as the models make their forecasts, before calibration: that knows how the one in use misses, and not yet
//! how the other does.

use super::HorizonQuantiles;
use super::demand::DemandSeries;
use super::round::{Both, Round};
use bitcode::{Decode, Encode};

/// Whose forecasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
enum Side {
    InUse,
    Candidate,
}

/// What is kept of the trial on one series.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Trial {
    round: Option<Round<Side>>,
    /// Rounds that are through and were not told yet.
    rounds: u8,
    /// What was lost in them, by [`Side`].
    lost: [f32; 2],
}

/// What both lost in the same rounds: mean pinball losses over quantile levels, horizons and statistics, in the unit of the
/// demand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrialLosses {
    /// Rounds, at least 1.
    pub rounds: u32,
    /// Of the version in use.
    pub in_use: f64,
    /// Of the candidate.
    pub candidate: f64,
}

impl Trial {
    /// Whether a round can begin with the bin: no other is under way.
    pub fn is_due(&self, bin: i64, horizons_bins: &[usize]) -> bool {
        self.round.as_ref().is_none_or(|round| round.is_over_with(bin, horizons_bins))
    }

    /// Begins a round as of `bin` with the forecasts of both, one a horizon.
    pub fn begin(&mut self, bin: i64, in_use: &[HorizonQuantiles], candidate: &[HorizonQuantiles]) {
        let raw = |forecasts: &[HorizonQuantiles]| -> Vec<Both> { forecasts.iter().map(|one| (*one, *one)).collect() };
        self.round = Some(Round::of(bin, &[(Side::InUse, raw(in_use)), (Side::Candidate, raw(candidate))]));
    }

    /// Closes a bin, which is still the open one of `demand`.
    pub fn close(&mut self, horizons_bins: &[usize], demand: &DemandSeries) {
        let is_through = self.round.as_mut().is_some_and(|round| round.close(horizons_bins, demand, |_, _, _| ()));
        if !is_through {
            return;
        }
        let Some(round) = self.round.take() else { return };
        let [in_use, candidate] = [Side::InUse, Side::Candidate]
            .map(|side| round.entries.iter().find(|entry| entry.who == side).and_then(|entry| entry.mean_loss()));
        if let (Some(in_use), Some(candidate), true) = (in_use, candidate, self.rounds < u8::MAX) {
            self.rounds += 1;
            self.lost = [self.lost[0] + in_use, self.lost[1] + candidate];
        }
    }

    /// Takes out what was lost since it was told before; `None` where no round is through, and where it is no number.
    pub fn take(&mut self) -> Option<TrialLosses> {
        let (rounds, lost) = (std::mem::take(&mut self.rounds), std::mem::take(&mut self.lost));
        let [in_use, candidate] = lost.map(|lost| f64::from(lost / f32::from(rounds)));
        let is_told = rounds > 0 && in_use.is_finite() && candidate.is_finite();
        is_told.then_some(TrialLosses { rounds: rounds.into(), in_use, candidate })
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.round.as_ref().map_or(0, Round::heap_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::GRID_STEP_S;
    use crate::quantiles::{LEVELS, QUANTILE_LEVELS, Quantiles};
    use crate::score::pinball_loss;
    use crate::time::EventTime;
    use proptest::prelude::*;

    const HORIZONS: [usize; 2] = [1, 3];

    fn around(median: f64) -> HorizonQuantiles {
        let quantiles = Quantiles::rearranged(QUANTILE_LEVELS.map(|level| median + 2.0 * (level - 0.5))).unwrap();
        HorizonQuantiles { value: quantiles, maximum: quantiles }
    }

    fn loss(median: f64, truth: f64) -> f64 {
        let of_level = |level: f64| pinball_loss(level, median + 2.0 * (level - 0.5), truth);
        QUANTILE_LEVELS.map(of_level).iter().sum::<f64>() / LEVELS as f64
    }

    proptest! {
        #[test]
        fn both_are_scored_on_the_same_bins(
            values in proptest::collection::vec(-40i8..40, 8..60),
            medians in (-40i8..40, -40i8..40),
        ) {
            let (mut demand, mut trial, mut wanted) = (DemandSeries::default(), Trial::default(), [0.0; 2]);
            let medians = [f64::from(medians.0), f64::from(medians.1)];
            demand.start(EventTime::of_bin(0, GRID_STEP_S), values[0].into());
            let (mut rounds, mut begun) = (0, 0);
            for (bin, value) in values.iter().enumerate() {
                if trial.is_due(bin as i64, &HORIZONS) {
                    trial.begin(bin as i64, &[around(medians[0]); 2], &[around(medians[1]); 2]);
                    begun = bin;
                }
                trial.close(&HORIZONS, &demand);
                if bin == begun + HORIZONS[1] {
                    rounds += 1;
                    let truths = &values[begun + 1..=bin];
                    let greatest = truths.iter().copied().max().unwrap();
                    for (wanted, median) in wanted.iter_mut().zip(medians) {
                        let of = |truth: i8| loss(median, truth.into());
                        *wanted += (2.0 * of(truths[0]) + of(*value) + of(greatest)) / 4.0;
                    }
                }
                demand.close();
                values.get(bin + 1).into_iter().for_each(|next| demand.add((*next).into()));
                trial = bitcode::decode(&bitcode::encode(&trial)).unwrap();
            }
            let told = trial.take().unwrap();
            prop_assert_eq!((told.rounds, trial.take()), (rounds, None));
            for (got, wanted) in [told.in_use, told.candidate].into_iter().zip(wanted) {
                let wanted = wanted / f64::from(rounds);
                prop_assert!((got - wanted).abs() < 0.02, "{got} instead of {wanted}");
            }
        }
    }
}
