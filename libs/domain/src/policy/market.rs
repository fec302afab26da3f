//! Which workloads share prices: those of one source whose rules have the same aim, each measure of demand apart.
//!
//! An aim that is new to a source begins with what the source's workloads came to under the one that has most behind it,
//! so that a change of the configuration does not begin at nothing.

use super::proactive::{Aim, Prices};
use crate::kpi::KpiName;
use crate::stream::silence::SourceNumber;
use bitcode::{Decode, Encode};
use std::collections::BTreeMap;

/// A market.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub(super) struct Market {
    source: SourceNumber,
    /// What is sized: a rate by its name; `None` for CPU.
    rate: Option<KpiName>,
    /// As [`Aim::key`] says.
    aim: [u64; 4],
}

impl Market {
    pub(super) fn of_cpu(source: SourceNumber, aim: &Aim) -> Self {
        Self { source, rate: None, aim: aim.key() }
    }

    /// The one of a rate beside it.
    pub(super) fn of_rate(&self, rate: &KpiName) -> Self {
        Self { rate: Some(rate.clone()), ..self.clone() }
    }
}

/// The prices of each market.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct Markets(BTreeMap<Market, Prices>);

impl Markets {
    /// The prices of a market.
    pub(super) fn of(&mut self, market: &Market) -> &mut Prices {
        let begins = if self.0.contains_key(market) { None } else { self.largest_beside(market).cloned() };
        self.0.entry(market.clone()).or_insert_with(|| begins.unwrap_or_default())
    }

    fn largest_beside(&self, market: &Market) -> Option<&Prices> {
        let is_beside = |other: &Market| other.source == market.source && other.rate == market.rate;
        let beside = self.0.iter().filter(|(other, _)| is_beside(other)).map(|(_, prices)| prices);
        beside.max_by(|a, b| a.bins().total_cmp(&b.bins()))
    }

    /// Forgets the markets of a source with an aim that none of `in_use`, the markets of all workloads, has any more.
    pub(super) fn forget_unused<'a>(&mut self, source: SourceNumber, in_use: impl Iterator<Item = &'a Market>) {
        let aims: std::collections::BTreeSet<[u64; 4]> = in_use.filter(|m| m.source == source).map(|m| m.aim).collect();
        if !aims.is_empty() {
            self.0.retain(|market, _| market.source != source || aims.contains(&market.aim));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::proactive::{BinDemand, Budget, RULES, Weights, Worth};
    use crate::source::SourceName;
    use crate::stream::silence::Sources;
    use crate::time::EventTime;

    fn source(name: &str) -> SourceNumber {
        let mut sources = Sources::default();
        let mut of = |name: &str| sources.observe(&SourceName::new(name).unwrap(), EventTime::from_s(0)).source;
        of("first");
        of(name)
    }

    fn take_in(prices: &mut Prices, bins: usize) {
        for _ in 0..bins {
            let by_rule = [Worth::of_bin(BinDemand::seen(1.0), 2.0, false); RULES.len()];
            let reactive = Worth::of_bin(BinDemand::seen(1.0), 1.5, false);
            let selected = [0u8; crate::policy::proactive::prices::WEIGHTS];
            let closed = crate::policy::proactive::prices::SeriesBin {
                demand: 1.0,
                reactive,
                by_rule: &by_rule,
                selected: &selected,
            };
            prices.take_in(&closed);
        }
    }

    #[test]
    fn an_aim_that_is_new_begins_with_what_the_source_has_and_then_goes_its_own_way() {
        let (one, other) = (Aim::default(), Aim::Share(Budget::of_time(0.01)));
        let mut markets = Markets::default();
        take_in(markets.of(&Market::of_cpu(source("a"), &one)), 5);
        assert_eq!(markets.of(&Market::of_cpu(source("a"), &other)).bins(), 5.0);
        take_in(markets.of(&Market::of_cpu(source("a"), &other)), 2);
        assert_eq!(markets.of(&Market::of_cpu(source("a"), &one)).bins(), 5.0);
        assert_eq!(markets.of(&Market::of_cpu(source("first"), &other)).bins(), 0.0, "another source");
        let third = Market::of_cpu(source("a"), &Aim::Weighted(Weights { short: 1.0, unmet: 1.0, changes: 1.0 }));
        assert_eq!(markets.of(&third).bins(), 7.0, "what has most behind it");
    }

    #[test]
    fn aims_that_nobody_has_any_more_are_forgotten() {
        let market = |name: &str, share: f64| Market::of_cpu(source(name), &Aim::Share(Budget::of_time(share)));
        let mut markets = Markets::default();
        for m in [market("a", 0.1), market("a", 0.2), market("first", 0.1)] {
            markets.of(&m);
        }
        markets.forget_unused(source("a"), [market("a", 0.2)].iter());
        assert_eq!(markets.0.keys().cloned().collect::<Vec<_>>(), [market("first", 0.1), market("a", 0.2)]);
        markets.forget_unused(source("first"), [].iter());
        assert_eq!(markets.0.len(), 2, "of a source that fell silent they stay");
    }
}
