//! The p-value of a score among a workload's own earlier ones.
//!
//! Up to a high quantile it follows from the score's rank (conformal: Vovk, Gammerman, Shafer 2005), of which a sketch of
//! three quantiles is kept, moved by stochastic approximation (Robbins and Monro 1951). Beyond it follows from the excesses
//! over that quantile, which have a generalised Pareto distribution (Pickands 1975; online as in Siffer and others 2017,
//! "Anomaly Detection in Streams with Extreme Value Theory"), fitted by its moments (Hosking and Wallis 1987).
//!
//! From a score that is rare less is learnt: what is usual stays what it was before an anomaly, and yet what lasts for
//! good is usual in the end. What that, drift, and scores that follow from each other do to small p-values is held in
//! check by [`Held`].

use super::held::Held;
use super::{ANOMALY_P_MAX, P_VALUE_MIN};
use bitcode::{Decode, Encode};

/// Scores before which there is no p-value.
pub(super) const SCORES_MIN: u32 = 288;

/// Scores before which there are no excesses: the quantiles have to settle first.
const SETTLED_AFTER: u32 = 100;

/// Scores that are looked back on: two weeks of bins of 300 s.
const MEMORY: u32 = 4032;

/// Excesses that are looked back on.
const EXCESSES: f32 = 200.0;

/// The quantiles that are kept.
const LEVELS: [f64; 3] = [0.5, 0.8, 0.95];

/// A quantile moves as if there had been so many scores at least.
const STEPS_MIN: u32 = 50;

/// A score with a p-value below [`ANOMALY_P_MAX`] counts for so much.
const RARE_WEIGHT: f64 = 0.1;

/// Bounds of the tail's shape. It is never lighter than this, since the rarest scores count for less.
const SHAPE: (f64, f64) = (0.2, 0.5);

/// Once so many excesses are known, one counts as so many times their mean at most.
const EXCESSES_KNOWN: f32 = 20.0;
const EXCESS_MAX: f64 = 8.0;

/// Of the scores' spread, the least that excesses have on average.
const EXCESS_MIN: f64 = 0.1;

/// What is kept of earlier scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct PastScores {
    seen: u32,
    /// The quantiles of [`LEVELS`].
    quantiles: [f32; 3],
    /// Mean absolute deviation from the median.
    spread: f32,
    /// Share of the scores above the last quantile.
    above: f32,
    /// Excesses over it, as far as they count; their mean and mean square.
    excesses: f32,
    excess: f32,
    excess_square: f32,
    held: Held,
}

impl PastScores {
    /// Gives the p-value of a score, and learns from it. `None` while there are too few.
    pub(super) fn push(&mut self, score: f64) -> Option<f64> {
        let p_value = (self.seen >= SCORES_MIN).then(|| self.p_value(score));
        self.learn(score, if p_value.is_some_and(|p| p < ANOMALY_P_MAX) { RARE_WEIGHT } else { 1.0 });
        p_value.map(|p_value| self.held.hold(p_value))
    }

    fn p_value(&self, score: f64) -> f64 {
        let [half, upper, bound] = self.quantiles.map(f64::from);
        let above = f64::from(self.above);
        let between = |from: (f64, f64), to: (f64, f64)| {
            let way = if to.0 > from.0 { (score - from.0) / (to.0 - from.0) } else { 1.0 };
            from.1 + (to.1 - from.1) * way.clamp(0.0, 1.0)
        };
        let [of_half, of_upper, _] = LEVELS.map(|level| 1.0 - level);
        let p_value = if score > bound {
            above * self.beyond(score - bound)
        } else if score > upper {
            between((upper, of_upper), (bound, above.min(of_upper)))
        } else if score > half {
            between((half, of_half), (upper, of_upper))
        } else {
            between((half - 2.0 * f64::from(self.spread), 1.0), (half, of_half))
        };
        p_value.clamp(P_VALUE_MIN, 1.0)
    }

    /// Share of the excesses that are greater.
    fn beyond(&self, excess: f64) -> f64 {
        let (mean, square) = (f64::from(self.excess), f64::from(self.excess_square));
        let variance = square - mean * mean;
        let shape = if variance > 0.0 { 0.5 * (1.0 - mean * mean / variance) } else { SHAPE.0 };
        let shape = shape.clamp(SHAPE.0, SHAPE.1);
        let mean = mean.max(EXCESS_MIN * f64::from(self.spread)).max(f64::from(f32::EPSILON));
        let scale = mean * (1.0 - shape);
        libm::exp(-libm::log1p(shape * excess / scale) / shape)
    }

    fn learn(&mut self, score: f64, weight: f64) {
        if self.seen == 0 {
            self.quantiles = [score as f32; 3];
        }
        let share = weight / f64::from((self.seen + 1).min(MEMORY));
        let deviation = (score - f64::from(self.quantiles[0])).abs();
        self.spread += (share * (deviation - f64::from(self.spread))) as f32;
        if self.seen >= SETTLED_AFTER {
            self.learn_excess(score, weight);
        }
        let step = weight * f64::from(self.spread) / f64::from(self.seen.clamp(STEPS_MIN, MEMORY));
        let mut least = f32::MIN;
        for (quantile, level) in self.quantiles.iter_mut().zip(LEVELS) {
            let is_above = if score > f64::from(*quantile) { 1.0 } else { 0.0 };
            let by = step * (is_above - (1.0 - level)) / (1.0 - level);
            *quantile = ((f64::from(*quantile) + by) as f32).max(least);
            least = *quantile;
        }
        self.seen = (self.seen + 1).min(MEMORY);
    }

    fn learn_excess(&mut self, score: f64, weight: f64) {
        let bound = f64::from(self.quantiles[2]);
        let is_above = score > bound;
        let share = weight / f64::from(self.seen + 1 - SETTLED_AFTER);
        self.above += (share * (f64::from(u8::from(is_above)) - f64::from(self.above))) as f32;
        if !is_above {
            return;
        }
        let mean = f64::from(self.excess);
        let most = if self.excesses > EXCESSES_KNOWN { EXCESS_MAX * mean } else { f64::MAX };
        let excess = (score - bound).min(most);
        self.excesses = (self.excesses + weight as f32).min(EXCESSES);
        let share = weight / f64::from(self.excesses);
        self.excess += (share * (excess - mean)) as f32;
        self.excess_square += (share * (excess * excess - f64::from(self.excess_square))) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng as _;
    use rand_distr::{Distribution, Exp1, Normal};

    /// Share of p-values below the level among scores that keep their distribution.
    fn share_below(level: f64, mut score: impl FnMut() -> f64) -> f64 {
        let mut past = PastScores::default();
        let p_values: Vec<f64> = (0..200_000).filter_map(|_| past.push(score())).collect();
        p_values.iter().filter(|p| **p < level).count() as f64 / p_values.len() as f64
    }

    #[test]
    fn one_in_a_thousand_is_about_one_in_a_thousand() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let normal = Normal::new(3.0, 0.5).unwrap();
        let of_normal = share_below(1e-3, || normal.sample(&mut random));
        let of_exponential = share_below(1e-3, || Exp1.sample(&mut random));
        let is_near = |share: f64| (7e-4..1.3e-3).contains(&share);
        assert!(is_near(of_normal) && is_near(of_exponential), "{of_normal} and {of_exponential}");
        for level in [0.5, 0.2, 0.05, 0.01] {
            let share = share_below(level, || normal.sample(&mut random));
            assert!((share / level - 1.0).abs() < 0.05, "{share} below {level}");
        }
    }

    #[test]
    fn an_anomaly_does_not_make_the_next_one_usual_but_what_lasts_is() {
        let mut random = ChaCha8Rng::seed_from_u64(8);
        let normal = Normal::new(3.0, 0.5).unwrap();
        let mut past = PastScores::default();
        assert!((0..SCORES_MIN).all(|_| past.push(normal.sample(&mut random)).is_none()), "it is young");
        (0..2000).for_each(|_| {
            past.push(normal.sample(&mut random));
        });
        assert!((0..50).all(|_| past.push(9.0).is_some_and(|p| p < ANOMALY_P_MAX)));
        (0..500).for_each(|_| {
            past.push(normal.sample(&mut random));
        });
        assert!(past.push(9.0).is_some_and(|p| p < ANOMALY_P_MAX));
        let lasting: Vec<bool> = (0..20_000).map(|_| past.push(9.0).is_some_and(|p| p < ANOMALY_P_MAX)).collect();
        assert!(!lasting[19_999]);
    }

    #[test]
    fn scores_that_never_change_are_usual() {
        let mut past = PastScores::default();
        let p_values: Vec<f64> = (0..2000).filter_map(|_| past.push(0.0)).collect();
        assert!(p_values.iter().all(|p| *p >= 0.05), "{p_values:?}");
        assert!(past.push(1.0).is_some_and(|p| (P_VALUE_MIN..ANOMALY_P_MAX).contains(&p)));
    }
}
