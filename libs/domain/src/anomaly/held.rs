//! Small p-values are held to what they say: that 1 in 100 is below .01, and 1 in 1,000 below .001.
//!
//! A fitted tail says so of scores that keep their distribution. Those of a workload drift, and follow from each other. So
//! the two p-values are found which so many are in truth below, and are called .01 and .001: each is raised by a step when
//! one is below it, and lowered by its share of the step when none is, which keeps the share whatever the scores do
//! (adaptive conformal inference: Gibbs and Candès 2021; as the control of a quantile: Angelopoulos, Candès and Tibshirani
//! 2023, "Conformal PID Control"). What is between follows in logarithms.
//!
//! An anomaly must not make itself usual: of a run of p-values below .001 the first ones count, and then none until it has
//! lasted for hours.

use super::P_VALUE_MIN;
use bitcode::{Decode, Encode};

/// The p-values whose shares are held.
const LEVELS: [f64; 2] = [0.01, 0.001];

/// P-values from this on stay what they are.
const HELD_BELOW: f64 = 0.05;

/// Surprises (logarithms of 1/p) that are called [`LEVELS`] at first. They are a little more than those of the levels, since
/// of a young workload's tail little is known.
const FIRST: [f64; 2] = [4.7, 7.6];

/// Steps of the surprises.
const STEPS: [f64; 2] = [0.07, 0.6];

/// Of a run, so many closes count, and those after so many.
const RUN_COUNTS: u8 = 6;
const RUN_LASTS: u8 = 72;

/// Bounds of the surprises: how far each is above the one before at least, and how far it goes. What is rarer still than the
/// last is an anomaly, however many there were.
const APART: [f64; 2] = [0.3, 0.7];
const MOST: [f64; 2] = [16.5, 18.0];

/// What is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct Held {
    /// How far the surprise that is called each of [`LEVELS`] is from the first one.
    moved: [f32; 2],
    /// Closes in a row that were below the last level.
    run: u8,
}

impl Held {
    /// The p-value as it is called, by what came before; and learns from it.
    pub(super) fn hold(&mut self, p_value: f64) -> f64 {
        let surprise = surprise_of(p_value.clamp(P_VALUE_MIN, 1.0));
        let bounds = [0, 1].map(|level| FIRST[level] + f64::from(self.moved[level]));
        self.learn(surprise, bounds);
        libm::exp(-called(surprise, bounds)).clamp(P_VALUE_MIN, 1.0)
    }

    fn learn(&mut self, surprise: f64, bounds: [f64; 2]) {
        self.run = if surprise > bounds[1] { self.run.saturating_add(1) } else { 0 };
        if self.run > RUN_COUNTS && self.run <= RUN_LASTS {
            return;
        }
        let mut least = surprise_of(HELD_BELOW);
        for (level, bound) in bounds.into_iter().enumerate() {
            let is_beyond = f64::from(u8::from(surprise > bound));
            let moved = bound + STEPS[level] * (is_beyond - LEVELS[level]);
            let bound = moved.max(least + APART[level]).min(MOST[level]);
            self.moved[level] = (bound - FIRST[level]) as f32;
            least = bound;
        }
    }
}

fn surprise_of(p_value: f64) -> f64 {
    -libm::log(p_value)
}

/// The surprise where those of the bounds are called [`LEVELS`].
fn called(surprise: f64, bounds: [f64; 2]) -> f64 {
    let mut from = (surprise_of(HELD_BELOW), surprise_of(HELD_BELOW));
    if surprise <= from.0 {
        return surprise;
    }
    for (bound, level) in bounds.into_iter().zip(LEVELS) {
        let to = (bound, surprise_of(level));
        if surprise <= to.0 {
            return from.1 + (to.1 - from.1) * (surprise - from.0) / (to.0 - from.0);
        }
        from = to;
    }
    from.1 + (surprise - from.0) * from.1 / from.0.max(from.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng as _;
    use rand_distr::{Distribution as _, Exp1};

    /// Shares below 1 in 100 and 1 in 1,000 of so many p-values, whose surprises are as if `times` too great.
    fn shares(times: f64, lasts: usize) -> [f64; 2] {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut held = Held::default();
        let mut surprise = 0.0;
        let p_values: Vec<f64> = (0..400_000)
            .map(|nth| {
                if nth % lasts == 0 {
                    let exponential: f64 = Exp1.sample(&mut random);
                    surprise = times * exponential;
                }
                held.hold(libm::exp(-surprise))
            })
            .collect();
        LEVELS.map(|level| p_values.iter().filter(|p| **p < level).count() as f64 / p_values.len() as f64)
    }

    #[test]
    fn shares_are_what_the_levels_say_also_where_the_tail_was_wrong_and_what_comes_lasts() {
        for (times, lasts) in [(1.0, 1), (1.4, 1), (0.8, 1), (1.4, 4)] {
            let [hundredth, thousandth] = shares(times, lasts);
            assert!((0.0085..0.0115).contains(&hundredth), "{times} {lasts}: {hundredth}");
            assert!((0.0007..0.0013).contains(&thousandth), "{times} {lasts}: {thousandth}");
        }
    }

    #[test]
    fn an_anomaly_stays_one_for_hours_and_what_lasts_ends_to_be_one() {
        let mut held = Held::default();
        (0..2000).for_each(|_| {
            held.hold(0.3);
        });
        assert!((0..RUN_LASTS).all(|_| held.hold(1e-5) < 1e-3));
        assert!((0..100).any(|_| held.hold(1e-5) > 1e-3), "{held:?}");
    }

    /// By the same rule in numpy.
    #[test]
    fn it_is_what_numpy_makes_of_it() {
        let mut held = Held::default();
        let surprises: Vec<f64> =
            (0..400).map(|t| -libm::log(held.hold(10f64.powf(-(1.0 + f64::from(t * 7 % 11) / 2.0))))).collect();
        let golden = [
            (0, core::f64::consts::LN_10),
            (6, 9.3100888),
            (12, 6.8080994),
            (100, 5.3114229),
            (250, 3.0787748),
            (399, 6.5192441),
        ];
        for (t, expected) in golden {
            assert!((surprises[t] - expected).abs() < 1e-3, "{t}: {} and {expected}", surprises[t]);
        }
    }

    proptest! {
        #[test]
        fn they_stay_p_values_in_their_order(past in prop::collection::vec(0.0f64..=1.0, 0..300), mut pair in prop::array::uniform2(0.0f64..20.0)) {
            let mut held = Held::default();
            for p_value in past {
                prop_assert!((P_VALUE_MIN..=1.0).contains(&held.hold(p_value * p_value * p_value)));
            }
            pair.sort_by(f64::total_cmp);
            let [more, less] = pair.map(|surprise| {
                let mut copy = held;
                copy.hold(libm::exp(-surprise))
            });
            prop_assert!(more >= less, "{} and {}", more, less);
        }
    }
}
