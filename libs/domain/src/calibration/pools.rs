//! The score pools of a partition: one each for family, resource, horizon and statistic.

use super::conformal::{ScorePool, Scores};
use super::{Spread, Statistic};
use crate::forecast::Family;
use bitcode::{Decode, Encode};
use std::sync::Arc;

/// Which forecasts share a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolKey {
    /// What made them.
    pub family: Family,
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
    spreads: Arc<Vec<Spread>>,
}

/// The factors of all pools as of one moment; what is scored later does not change them.
#[derive(Clone, Debug, PartialEq)]
pub struct Spreads {
    resources: usize,
    horizons: usize,
    spreads: Arc<Vec<Spread>>,
}

impl Pools {
    /// Empty pools for so many resources and horizons.
    pub fn new(resources: usize, horizons: usize) -> Self {
        let count = Family::ALL.len() * resources * horizons * Statistic::ALL.len();
        let spreads = Arc::new(vec![Spread::NONE; count]);
        Self { resources, horizons, pools: vec![ScorePool::default(); count], spreads }
    }

    /// Those of other resources and horizons: each has the pools of the one that was in that place, or none yet.
    #[must_use]
    pub fn rearranged(&self, resources: &[Option<usize>], horizons: &[Option<usize>]) -> Self {
        let mut pools = Self::new(resources.len(), horizons.len());
        let spreads = Arc::make_mut(&mut pools.spreads);
        for (family, statistic) in Family::ALL.into_iter().flat_map(|f| Statistic::ALL.map(|s| (f, s))) {
            for (resource, resource_before) in known(resources) {
                for (horizon, horizon_before) in known(horizons) {
                    let now = PoolKey { family, resource, horizon, statistic };
                    let before = PoolKey { resource: resource_before, horizon: horizon_before, ..now };
                    let to = place(now, resources.len(), horizons.len());
                    let from = place(before, self.resources, self.horizons);
                    pools.pools[to].clone_from(&self.pools[from]);
                    spreads[to] = self.spreads[from];
                }
            }
        }
        pools
    }

    /// Adds a forecast's scores.
    pub fn push(&mut self, key: PoolKey, scores: Scores) {
        let place = place(key, self.resources, self.horizons);
        if let Some(renewed) = self.pools[place].push(scores) {
            Arc::make_mut(&mut self.spreads)[place] = renewed;
        }
    }

    /// The factors as of now.
    pub fn spreads(&self) -> Spreads {
        Spreads { resources: self.resources, horizons: self.horizons, spreads: Arc::clone(&self.spreads) }
    }
}

impl Spreads {
    /// The factors of one pool.
    pub fn of(&self, key: PoolKey) -> Spread {
        self.spreads[place(key, self.resources, self.horizons)]
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
                    places.insert(place(PoolKey { family, resource, horizon, statistic }, 2, 3));
                }
            }
        }
        assert_eq!(places, (0..Family::ALL.len() * 12).collect());
    }

    #[test]
    fn factors_that_were_taken_stay_as_they_were() {
        let key = PoolKey { family: Family::Gru, resource: 1, horizon: 2, statistic: Statistic::Maximum };
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
}
