//! All fleets of one partition of the governor, and the orders that stand.

use super::fleet::{Bench, Fleet};
use super::orders::{Order, Orders};
use super::rules::GovernorRules;
use super::ruling::Ruling;
use super::{Proposal, View};
use crate::time::EventTime;
use crate::workload::WorkloadId;
use bitcode::{Decode, Encode};
use std::collections::BTreeMap;

/// Standing orders are repeated once in so long, in seconds of event time.
const REPEAT_EVERY_S: i64 = 86_400;

/// What a partition of the governor remembers. A proposal's tag `T` says where it came from.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Governor<T> {
    fleets: BTreeMap<WorkloadId, Fleet<T>>,
    orders: Orders,
    newest_at: Option<EventTime>,
    repeated_at: Option<EventTime>,
}

/// What became of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard<T> {
    /// It was used: these rulings follow, and these orders are to be repeated.
    Used {
        /// In their order.
        rulings: Vec<Ruling<T>>,
        /// Marked as repetitions; for every partition.
        repeat: Vec<Order>,
    },
    /// It brings nothing new.
    Stale,
}

impl<T> Default for Governor<T> {
    fn default() -> Self {
        Self { fleets: BTreeMap::new(), orders: Orders::default(), newest_at: None, repeated_at: None }
    }
}

impl<T: Clone> Governor<T> {
    /// Takes a proposal in; `as_of` is how far its source had come when it was made. `partitions` is how many the topic
    /// of the predictions has.
    pub fn propose(
        &mut self,
        rules: &GovernorRules,
        partitions: u32,
        fleet: &WorkloadId,
        (tag, proposal): (T, Proposal),
        as_of: EventTime,
    ) -> Heard<T> {
        let at = proposal.action.decided_at;
        let bench = Bench { rules, partitions, orders: &self.orders, fleet };
        let rulings = self.fleets.entry(fleet.clone()).or_default().propose(&bench, (tag, proposal), as_of);
        self.used(at, rulings)
    }

    /// Takes a view in.
    pub fn view(&mut self, rules: &GovernorRules, partitions: u32, fleet: &WorkloadId, view: &View) -> Heard<T> {
        let bench = Bench { rules, partitions, orders: &self.orders, fleet };
        let rulings = self.fleets.entry(fleet.clone()).or_default().view(&bench, view);
        self.used(view.at, rulings)
    }

    /// Takes an order in: from now on it counts. What it holds and may not have been carried out yet is withdrawn, and
    /// what live use demands goes out where nothing holds it any more.
    pub fn order(&mut self, order: &Order) -> Heard<T> {
        if order.is_repetition {
            self.repeated_at = self.newest_at;
        }
        if !self.orders.take(order) {
            return Heard::Stale;
        }
        let mut rulings = Vec::new();
        for (name, fleet) in &mut self.fleets {
            rulings.extend(fleet.withdraw(name, order));
            rulings.extend(fleet.release(name, &self.orders, order));
        }
        Heard::Used { rulings, repeat: Vec::new() }
    }

    /// Orders that hold something now.
    pub fn standing(&self) -> impl Iterator<Item = &Order> {
        self.orders.standing()
    }

    /// Proposals that were not ruled on yet.
    pub fn pending(&self) -> usize {
        self.fleets.values().map(Fleet::pending).sum()
    }

    fn used(&mut self, at: EventTime, rulings: Option<Vec<Ruling<T>>>) -> Heard<T> {
        let Some(rulings) = rulings else { return Heard::Stale };
        let now = self.newest_at.map_or(at, |newest| newest.max(at));
        self.newest_at = Some(now);
        let last = *self.repeated_at.get_or_insert(now);
        if now < last.plus_s(REPEAT_EVERY_S) {
            return Heard::Used { rulings, repeat: Vec::new() };
        }
        self.repeated_at = Some(now);
        let repeat = self.orders.standing().map(|order| Order { is_repetition: true, ..order.clone() }).collect();
        Heard::Used { rulings, repeat }
    }
}
