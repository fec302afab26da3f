//! Drift: the forecasts of a series lose clearly more than they used to, and what is done about it.
//!
//! The test is Page and Hinkley's (Page 1954, "Continuous Inspection Schemes"; on the loss of a model
//! as in Gama and others 2014, "A Survey on Concept Drift Adaptation"), on the pinball loss in units of its own
//! mean: what it exceeds the mean by, less a tolerance, is summed up and never goes below 0. Each time that the
//! sum passes its bound one more thing is done: intervals are widened, then the series' own correction is begun
//! anew, then seasonal naive forecasts, if it is any better. Meanwhile the mean is that of before. A day without an
//! alarm ends it.

use super::Spread;
use bitcode::{Decode, Encode};

/// Half-life of a loss in the mean that others are compared with, in bins: two days.
pub const BASELINE_HALF_LIFE_BINS: f32 = 576.0;

/// Scored bins before which the mean says too little: a day, for losses have seasons too.
pub const BASELINE_BINS_MIN: u16 = 288;

/// A loss is compared with at least so much of the demand's size.
pub const BASELINE_MIN: f32 = 1e-3;

/// What a loss may exceed the mean by before it counts, in means.
pub const TOLERANCE: f32 = 1.0;

/// No bin counts as more than so many means: an alarm takes at least an hour.
pub const RATIO_MAX: f32 = 4.0;

/// The sum at which there is an alarm.
pub const THRESHOLD: f32 = 24.0;

/// Scored bins without an alarm after which drift is over.
pub const CALM_BINS: u16 = 288;

/// What widened intervals are drawn out by on either side.
pub const WIDENING: f32 = 1.5;

/// What drift of a series has led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum DriftState {
    /// Nothing.
    #[default]
    Stable,
    /// Intervals are wider by [`WIDENING`].
    Widened,
    /// That, and the series' own correction was begun anew.
    Reset,
    /// That, and seasonal naive forecasts in place of the family whose turn it is.
    FallenBack,
}

impl DriftState {
    /// Its name in metrics and texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Widened => "widened",
            Self::Reset => "reset",
            Self::FallenBack => "fallen-back",
        }
    }

    /// What intervals are drawn out by.
    pub fn spread(self) -> Spread {
        match self {
            Self::Stable => Spread::NONE,
            Self::Widened | Self::Reset | Self::FallenBack => Spread { lower: WIDENING, upper: WIDENING },
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Stable => Self::Widened,
            Self::Widened => Self::Reset,
            Self::Reset | Self::FallenBack => Self::FallenBack,
        }
    }
}

/// The drift of one series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub struct Drift {
    state: DriftState,
    /// Exponentially weighted sums of losses and of weights.
    loss: f32,
    weight: f32,
    /// Losses in them.
    learnt: u16,
    excess: f32,
    calm_bins: u16,
}

impl Drift {
    /// What it has led to so far.
    pub fn state(&self) -> DriftState {
        self.state
    }

    /// Ends it: what it was about is over, and the mean is learnt anew.
    pub fn end(&mut self) {
        *self = Self::default();
    }

    /// Takes in the loss of one bin, in units of the demand's size. Gives the state that an alarm led to;
    /// `last` is the furthest that there is. With an alarm there the mean is learnt anew: what is lost then
    /// is what is to be expected.
    pub fn push(&mut self, loss: f64, last: DriftState) -> Option<DriftState> {
        let loss = loss as f32;
        if !loss.is_finite() {
            return None;
        }
        if self.learnt < BASELINE_BINS_MIN {
            self.learn(loss);
        } else {
            let mean = (self.loss / self.weight).max(BASELINE_MIN);
            let ratio = (loss / mean).min(RATIO_MAX);
            self.excess = (self.excess + ratio - 1.0 - TOLERANCE).max(0.0);
            if self.state == DriftState::Stable {
                self.learn(ratio * mean);
            }
        }
        if self.excess > THRESHOLD {
            let state = self.state.next().min(last);
            let learnt = if state == last { Self::default() } else { *self };
            *self = Self { state, excess: 0.0, calm_bins: 0, ..learnt };
            return Some(state);
        }
        self.calm_bins = self.calm_bins.saturating_add(1);
        if self.calm_bins >= CALM_BINS {
            self.state = DriftState::Stable;
        }
        None
    }

    fn learn(&mut self, loss: f32) {
        let keep = libm::exp2f(-1.0 / BASELINE_HALF_LIFE_BINS);
        (self.loss, self.weight) = (keep * self.loss + loss, keep * self.weight + 1.0);
        self.learnt = self.learnt.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;
    use rand_distr::{Distribution, Exp1};

    const LAST: DriftState = DriftState::FallenBack;

    /// The alarms with the bins after which they came.
    fn alarms(drift: &mut Drift, losses: impl IntoIterator<Item = f64>) -> Vec<(usize, DriftState)> {
        losses.into_iter().enumerate().filter_map(|(bin, loss)| Some((bin, drift.push(loss, LAST)?))).collect()
    }

    #[test]
    fn what_lasts_leads_from_one_thing_to_the_next_and_ends_after_a_day() {
        let mut drift = Drift::default();
        assert_eq!(alarms(&mut drift, vec![0.1; 1000]), []);
        // Three times the mean, by one mean above the tolerance: more than 24 bins each, for the first some more
        // since the mean goes up meanwhile.
        let got = alarms(&mut drift, vec![0.3; 94]);
        assert_eq!(got, [(27, DriftState::Widened), (60, DriftState::Reset), (93, DriftState::FallenBack)]);
        // It is what is to be expected now.
        assert_eq!(alarms(&mut drift, vec![0.3; usize::from(CALM_BINS) - 1]), []);
        assert_eq!(drift.state(), DriftState::FallenBack);
        assert_eq!(alarms(&mut drift, vec![0.3; 1000]), []);
        assert_eq!(drift.state(), DriftState::Stable);
    }

    #[test]
    fn what_passes_widens_and_no_more() {
        let mut drift = Drift::default();
        alarms(&mut drift, vec![0.1; 1000]);
        assert_eq!(alarms(&mut drift, vec![5.0; 14]), [(12, DriftState::Widened)]);
        assert_eq!(alarms(&mut drift, vec![0.1; usize::from(CALM_BINS) - 2]), []);
        assert_eq!(drift.state(), DriftState::Widened);
        assert_eq!(alarms(&mut drift, vec![0.1; 1]), []);
        assert_eq!(drift.state(), DriftState::Stable);
    }

    #[test]
    fn the_last_thing_that_can_be_done_is_done_again() {
        let mut drift = Drift::default();
        let mut push = |loss| drift.push(loss, DriftState::Reset);
        assert!((0..1000).all(|_| push(0.1).is_none()));
        let led_to: Vec<_> = (0..61).filter_map(|_| push(0.3)).collect();
        assert_eq!(led_to, [DriftState::Widened, DriftState::Reset]);
        assert!((0..288).all(|_| push(0.3).is_none()), "the mean is learnt");
        let led_to: Vec<_> = (0..20).filter_map(|_| push(3.0)).collect();
        assert_eq!(led_to, [DriftState::Widened]);
    }

    /// Losses as they are, most of them small and some large: not one alarm in a year.
    #[test]
    fn noise_is_no_drift() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut exponential = || -> f64 { Exp1.sample(&mut rng) };
        let mut drift = Drift::default();
        assert_eq!(alarms(&mut drift, (0..365 * 288).map(|_| exponential())), []);
    }

    #[test]
    fn a_series_without_losses_has_no_drift_by_a_little_one() {
        let mut drift = Drift::default();
        alarms(&mut drift, vec![0.0; 1000]);
        assert_eq!(alarms(&mut drift, vec![1.9e-3; 1000]), []);
        assert_eq!(alarms(&mut drift, [f64::NAN, f64::INFINITY]), []);
        assert_eq!(alarms(&mut drift, vec![0.1; 13]).len(), 1);
    }

    proptest! {
        #[test]
        fn states_come_in_their_order(losses in proptest::collection::vec(0.0f64..3.0, 300..3000)) {
            let mut drift = Drift::default();
            let mut before = drift.state();
            for loss in losses {
                let alarm = drift.push(loss * loss * loss, LAST);
                let after = drift.state();
                prop_assert_eq!(alarm.is_some(), after > before || alarm == Some(LAST));
                prop_assert!(alarm.is_none_or(|alarm| alarm == before.next()));
                prop_assert!(after >= before || after == DriftState::Stable);
                before = after;
            }
        }
    }
}
