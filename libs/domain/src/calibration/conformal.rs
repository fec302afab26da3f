//! Split conformal calibration of one kind of forecast, shared by the workloads of a partition.
//!
//! A score says how far the truth was from the median, on one side, in units of the raw interval's
//! half-width on that side; normalised conformity scores as in Vovk, Gammerman, Shafer, "Algorithmic
//! Learning in a Random World" (2005), each side for itself as in Romano, Patterson, Candès 2019,
//! "Conformalized Quantile Regression", with the newest scores only, for demand drifts.

use super::{FACTOR_MAX, FACTOR_MIN, LOWER, LOWER_LEVEL, Spread, UPPER};
use crate::forecast::capped::Truth;
use crate::quantiles::{MEDIAN, Quantiles};
use bitcode::{Decode, Encode};

/// Scores held on each side: the newest ones.
pub const POOL_SCORES_MAX: usize = 2048;

/// Fewest scores that a factor is made of; before, it is 1.
pub const POOL_SCORES_MIN: u64 = 200;

/// The factors are made anew each time that so many scores have come.
pub const RENEWED_EVERY: u64 = 32;

/// The interval of a raw forecast.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
pub struct RawInterval {
    /// The 5 % quantile, in the unit of the demand.
    pub lower: f32,
    /// The median.
    pub median: f32,
    /// The 95 % quantile.
    pub upper: f32,
}

impl RawInterval {
    /// Of a forecast's quantiles.
    pub fn of(quantiles: &Quantiles) -> Self {
        let values = quantiles.values().map(|v| v as f32);
        Self { lower: values[LOWER], median: values[MEDIAN], upper: values[UPPER] }
    }
}

/// How far a truth was below and above the median; negative on the side where it was not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// (median - truth) / (median - lower).
    pub lower: f32,
    /// (truth - median) / (upper - median).
    pub upper: f32,
}

impl Scores {
    /// Of a truth. `None` where the interval has no width on a side, and of a truth that is a lower bound.
    pub fn of(interval: &RawInterval, truth: Truth) -> Option<Self> {
        let truth = Some(truth.value).filter(|_| !truth.is_bound())?;
        let [lower, median, upper] = [interval.lower, interval.median, interval.upper].map(f64::from);
        let scores = Self {
            lower: ((median - truth) / (median - lower)) as f32,
            upper: ((truth - median) / (upper - median)) as f32,
        };
        (median > lower && upper > median && scores.lower.is_finite() && scores.upper.is_finite()).then_some(scores)
    }
}

/// The newest scores of one kind of forecast, and the factors that they ask for.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct ScorePool {
    lower: Vec<f32>,
    upper: Vec<f32>,
    scored: u64,
}

impl ScorePool {
    /// Adds a forecast's scores. Gives the factors where they are due to be made anew, which depends
    /// on nothing but how many scores there have been.
    pub fn push(&mut self, scores: Scores) -> Option<Spread> {
        let place = (self.scored % POOL_SCORES_MAX as u64) as usize;
        for (held, score) in [(&mut self.lower, scores.lower), (&mut self.upper, scores.upper)] {
            if held.len() < POOL_SCORES_MAX {
                held.push(score);
            } else {
                held[place] = score;
            }
        }
        self.scored += 1;
        let is_due = self.scored >= POOL_SCORES_MIN && self.scored.is_multiple_of(RENEWED_EVERY);
        is_due.then(|| Spread { lower: factor(&self.lower), upper: factor(&self.upper) })
    }

    /// Scores seen so far.
    pub fn scored(&self) -> u64 {
        self.scored
    }
}

/// The ⌈(n + 1)(1 - α/2)⌉-th smallest score: a side that is drawn out to it holds a new truth with
/// at least that probability, were the scores exchangeable.
fn factor(scores: &[f32]) -> f32 {
    let rank = ((scores.len() + 1) as f64 * (1.0 - LOWER_LEVEL)).ceil() as usize;
    if rank > scores.len() {
        return 1.0;
    }
    let mut scores = scores.to_vec();
    let (_, factor, _) = scores.select_nth_unstable_by(rank - 1, f32::total_cmp);
    f64::from(*factor).clamp(FACTOR_MIN, FACTOR_MAX) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};

    #[test]
    fn scores_are_in_units_of_the_half_widths() {
        let interval = RawInterval { lower: 2.0, median: 4.0, upper: 5.0 };
        assert_eq!(Scores::of(&interval, Truth::seen(1.0)), Some(Scores { lower: 1.5, upper: -3.0 }));
        assert_eq!(Scores::of(&interval, Truth::seen(6.0)), Some(Scores { lower: -1.0, upper: 2.0 }));
        assert_eq!(Scores::of(&RawInterval { lower: 4.0, ..interval }, Truth::seen(1.0)), None);
        assert_eq!(Scores::of(&interval, Truth::seen(f64::NAN)), None);
        assert_eq!(Scores::of(&interval, Truth { value: 3.0, seen_up_to: Some(3.0) }), None);
    }

    #[test]
    fn the_factor_is_the_finite_sample_quantile() {
        // 19 scores: the ⌈20 · 0.95⌉ = 19th. 18 do not do.
        let scores: Vec<f32> = (1..=19u8).map(f32::from).collect();
        assert_eq!(factor(&scores), 19.0);
        assert_eq!(factor(&scores[..18]), 1.0);
        let scores: Vec<f32> = (0..199u8).rev().map(|i| f32::from(i) / 16.0).collect();
        assert_eq!(factor(&scores), 189.0 / 16.0);
    }

    /// Raw intervals that are half as wide as they should be, and lean: the spread sets them right.
    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut pool = ScorePool::default();
        let mut spread = Spread::NONE;
        let (mut below, mut above, mut judged) = (0u32, 0u32, 0u32);
        for i in 0..40_000u32 {
            let size = 1.0 + f64::from(i % 7);
            let noise: f64 = StandardNormal.sample(&mut rng);
            let truth = 10.0 + size * noise;
            let interval = RawInterval {
                lower: (10.0 - 0.8 * size) as f32,
                median: (10.0 + 0.1 * size) as f32,
                upper: (10.0 + 3.0 * size) as f32,
            };
            if i >= 5000 {
                let median = f64::from(interval.median);
                let lower = median - f64::from(spread.lower) * (median - f64::from(interval.lower));
                let upper = median + f64::from(spread.upper) * (f64::from(interval.upper) - median);
                below += u32::from(truth < lower);
                above += u32::from(truth > upper);
                judged += 1;
            }
            spread = pool.push(Scores::of(&interval, Truth::seen(truth)).unwrap()).unwrap_or(spread);
        }
        for missed in [below, above] {
            let share = f64::from(missed) / f64::from(judged);
            assert!((share - LOWER_LEVEL).abs() < 0.006, "{share}");
        }
    }

    proptest! {
        #[test]
        fn factors_come_at_counts_alone_and_survive_a_restart(
            scores in proptest::collection::vec((-5.0f32..5.0, -5.0f32..5.0), 0..600),
            cut in 0usize..600,
        ) {
            let mut whole = ScorePool::default();
            let mut cut_up = ScorePool::default();
            for (i, (lower, upper)) in scores.iter().enumerate() {
                if i == cut {
                    cut_up = bitcode::decode(&bitcode::encode(&cut_up)).unwrap();
                }
                let scores = Scores { lower: *lower, upper: *upper };
                let renewed = whole.push(scores);
                prop_assert_eq!(cut_up.push(scores), renewed);
                let count = i as u64 + 1;
                prop_assert_eq!(renewed.is_some(), count >= POOL_SCORES_MIN && count.is_multiple_of(RENEWED_EVERY));
            }
            prop_assert_eq!(whole, cut_up);
        }
    }
}
