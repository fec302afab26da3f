//! The score pools of a partition: one each for family, resource, horizon and statistic.
//!
//! A pool holds the scores of one version of its family, the newest that was scored. Nothing is known of how a new
//! version misses, so until there are scores enough of its own, what was learnt of the one before holds, drawn out as
//! drift does it.

use super::conformal::{ScorePool, Scores};
use super::drift::DriftState;
use super::{Spread, Statistic};
use crate::forecast::Family;
use bitcode::{Decode, Encode};
use std::sync::Arc;

/// Which forecasts share a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolKey {
    /// What made them.
    pub family: Family,
    /// Which version of it; a later one has a greater number.
    pub version: i64,
    /// Index of the resource among those that are forecast.
    pub resource: usize,
    /// Index of the horizon.
    pub horizon: usize,
    /// What of the horizon.
    pub statistic: Statistic,
}

/// The pools of one partition. Their memory is bounded: 4 bytes for each of
/// [`super::conformal::POOL_SCORES_MAX`] scores, two sides, a pool.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Pools {
    resources: usize,
    horizons: usize,
    pools: Vec<ScorePool>,
    factors: Arc<Vec<Factors>>,
}

/// What a pool asks for.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct Factors {
    /// Of which version.
    version: i64,
    spread: Spread,
}

/// The factors of all pools as of one moment; what is scored later does not change them.
#[derive(Clone, Debug, PartialEq)]
pub struct Spreads {
    resources: usize,
    horizons: usize,
    factors: Arc<Vec<Factors>>,
}

impl Factors {
    /// Nothing is learnt yet, of any version.
    const NONE: Self = Self { version: i64::MIN, spread: Spread::NONE };

    /// The factors for a version.
    fn of(self, version: i64) -> Spread {
        if version <= self.version { self.spread } else { self.drawn_out() }
    }

    /// What holds for a version that nothing is known of; where nothing is learnt there is nothing to draw out.
    fn drawn_out(self) -> Spread {
        if self.spread == Spread::NONE { self.spread } else { self.spread.by(DriftState::Widened.spread()) }
    }
}

impl Pools {
    /// Empty pools for so many resources and horizons.
    pub fn new(resources: usize, horizons: usize) -> Self {
        let count = Family::ALL.len() * resources * horizons * Statistic::ALL.len();
        let factors = Arc::new(vec![Factors::NONE; count]);
        Self { resources, horizons, pools: vec![ScorePool::default(); count], factors }
    }

    /// Those of other resources and horizons: each has the pools of the one that was in that place, or none yet.
    #[must_use]
    pub fn rearranged(&self, resources: &[Option<usize>], horizons: &[Option<usize>]) -> Self {
        let mut pools = Self::new(resources.len(), horizons.len());
        let factors = Arc::make_mut(&mut pools.factors);
        for (family, statistic) in Family::ALL.into_iter().flat_map(|f| Statistic::ALL.map(|s| (f, s))) {
            for (resource, resource_before) in known(resources) {
                for (horizon, horizon_before) in known(horizons) {
                    let now = PoolKey { family, version: 0, resource, horizon, statistic };
                    let before = PoolKey { resource: resource_before, horizon: horizon_before, ..now };
                    let to = place(now, resources.len(), horizons.len());
                    let from = place(before, self.resources, self.horizons);
                    pools.pools[to].clone_from(&self.pools[from]);
                    factors[to] = self.factors[from];
                }
            }
        }
        pools
    }

    /// Adds a forecast's scores; those of an earlier version than the newest that was scored say nothing any more.
    pub fn push(&mut self, key: PoolKey, scores: Scores) {
        let place = place(key, self.resources, self.horizons);
        let factors = self.factors[place];
        if key.version < factors.version {
            return;
        }
        if key.version > factors.version {
            self.pools[place] = ScorePool::default();
            let spread = factors.of(key.version);
            Arc::make_mut(&mut self.factors)[place] = Factors { version: key.version, spread };
        }
        if let Some(renewed) = self.pools[place].push(scores) {
            Arc::make_mut(&mut self.factors)[place].spread = renewed;
        }
    }

    /// Takes what a family's pools hold for that of an earlier version than `version`, with which the family begins
    /// anew: of another model, whatever its number was.
    pub fn begin_anew(&mut self, family: Family, version: i64) {
        let factors = Arc::make_mut(&mut self.factors);
        for resource in 0..self.resources {
            for (horizon, statistic) in (0..self.horizons).flat_map(|h| Statistic::ALL.map(|s| (h, s))) {
                let key = PoolKey { family, version, resource, horizon, statistic };
                let place = place(key, self.resources, self.horizons);
                self.pools[place] = ScorePool::default();
                factors[place] = Factors { version, spread: factors[place].drawn_out() };
            }
        }
    }

    /// The factors as of now.
    pub fn spreads(&self) -> Spreads {
        Spreads { resources: self.resources, horizons: self.horizons, factors: Arc::clone(&self.factors) }
    }
}

impl Spreads {
    /// The factors of one pool, for the key's version.
    pub fn of(&self, key: PoolKey) -> Spread {
        self.factors[place(key, self.resources, self.horizons)].of(key.version)
    }
}

/// Those that were somewhere before, each with where.
fn known(places: &[Option<usize>]) -> impl Iterator<Item = (usize, usize)> {
    places.iter().enumerate().filter_map(|(now, before)| Some((now, (*before)?)))
}

fn place(key: PoolKey, resources: usize, horizons: usize) -> usize {
    let kind = key.family as usize * resources + key.resource;
    (kind * horizons + key.horizon) * Statistic::ALL.len() + key.statistic as usize
}

#[cfg(test)]
mod tests {
    use super::super::conformal::POOL_SCORES_MIN;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_kind_of_forecast_has_a_pool_of_its_own() {
        let mut places = BTreeSet::new();
        for family in Family::ALL {
            for (resource, horizon) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
                for statistic in Statistic::ALL {
                    places.insert(place(PoolKey { family, version: 0, resource, horizon, statistic }, 2, 3));
                }
            }
        }
        assert_eq!(places, (0..Family::ALL.len() * 12).collect());
    }

    #[test]
    fn factors_that_were_taken_stay_as_they_were() {
        let key = PoolKey { family: Family::Gru, version: 0, resource: 1, horizon: 2, statistic: Statistic::Maximum };
        let other = PoolKey { resource: 0, ..key };
        let mut pools = Pools::new(2, 3);
        let before = pools.spreads();
        (0..POOL_SCORES_MIN + 31).for_each(|_| pools.push(key, Scores { lower: 3.0, upper: 2.0 }));
        assert_eq!(before.of(key), Spread::NONE);
        assert_eq!(pools.spreads().of(key), Spread { lower: 3.0, upper: 2.0 });
        assert_eq!(pools.spreads().of(other), Spread::NONE);
        let restored: Pools = bitcode::decode(&bitcode::encode(&pools)).unwrap();
        assert_eq!(restored, pools);
        let moved = pools.rearranged(&[None, None, Some(1)], &[Some(2), None]);
        let at = |resource, horizon| moved.spreads().of(PoolKey { resource, horizon, ..key });
        assert_eq!([at(2, 0), at(2, 1), at(0, 0)], [Spread { lower: 3.0, upper: 2.0 }, Spread::NONE, Spread::NONE]);
        assert_eq!(moved.rearranged(&[None, Some(2)], &[None, None, Some(0)]), pools);
    }

    #[test]
    fn a_later_version_goes_by_the_one_before_drawn_out_until_it_has_scores_of_its_own() {
        let of =
            |version| PoolKey { family: Family::Lstm, version, resource: 0, horizon: 0, statistic: Statistic::Value };
        let (before, next) = (of(i64::MIN), of(40));
        let mut pools = Pools::new(1, 1);
        assert_eq!(pools.spreads().of(next), Spread::NONE, "nothing is learnt that could be drawn out");
        (0..POOL_SCORES_MIN + 31).for_each(|_| pools.push(before, Scores { lower: 4.0, upper: 0.8 }));
        let drawn_out = Spread { lower: 6.0, upper: 0.8 * 1.5 };
        let spreads = pools.spreads();
        assert_eq!((spreads.of(before), spreads.of(next)), (Spread { lower: 4.0, upper: 0.8 }, drawn_out));
        let own = Scores { lower: 0.5, upper: 2.0 };
        (0..POOL_SCORES_MIN - 1).for_each(|_| pools.push(next, own));
        assert_eq!(pools.spreads().of(next), drawn_out, "it has too few scores of its own");
        (0..1000).for_each(|_| pools.push(before, Scores { lower: 9.0, upper: 9.0 }));
        assert_eq!(pools.spreads().of(next), drawn_out, "the one before says nothing any more");
        let mut restored: Pools = bitcode::decode(&bitcode::encode(&pools)).unwrap();
        for pools in [&mut pools, &mut restored] {
            (0..32).for_each(|_| pools.push(next, own));
            assert_eq!(pools.spreads().of(next), Spread { lower: 0.5, upper: 2.0 });
        }
        assert_eq!(pools, restored);
    }

    #[test]
    fn another_model_under_the_same_number_has_no_scores_of_the_one_before() {
        let of = |family| PoolKey { family, version: i64::MIN, resource: 0, horizon: 1, statistic: Statistic::Maximum };
        let (key, other) = (of(Family::Lstm), of(Family::Svr));
        let mut pools = Pools::new(1, 2);
        let learnt = Scores { lower: 4.0, upper: 0.8 };
        (0..POOL_SCORES_MIN + 31).for_each(|_| [key, other].into_iter().for_each(|key| pools.push(key, learnt)));
        pools.begin_anew(Family::Lstm, i64::MIN);
        let drawn_out = Spread { lower: 6.0, upper: 0.8 * 1.5 };
        assert_eq!(pools.spreads().of(key), drawn_out);
        assert_eq!(pools.spreads().of(other), Spread { lower: 4.0, upper: 0.8 }, "another family's");
        assert_eq!(pools.spreads().of(PoolKey { horizon: 0, ..key }), Spread::NONE);
        let own = Scores { lower: 0.5, upper: 2.0 };
        (0..POOL_SCORES_MIN - 1).for_each(|_| pools.push(key, own));
        assert_eq!(pools.spreads().of(key), drawn_out, "it has too few scores of its own");
        (0..32).for_each(|_| pools.push(key, own));
        assert_eq!(pools.spreads().of(key), Spread { lower: 0.5, upper: 2.0 });
    }
}
