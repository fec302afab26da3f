//! What holds of a whole fleet, whatever its planner decided about one workload: how many may change
//! within a time, how many may shrink, that nothing shrinks while most of the fleet is gone, and the
//! orders of operators.
//!
//! A planner sees one partition of a fleet. It writes what it would do and what it sees of its part, and
//! a governor, which hears all of a fleet in one order, rules on it. It must not know how a change is
//! decided on, nor who carries it out.

mod books;
mod census;
mod core;
mod fleet;
pub mod fleets;
pub mod orders;
pub mod proposer;
pub mod rules;
mod ruling;
pub mod sightings;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod loop_properties;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use core::{Governor, Heard};
pub use fleets::Fleets;
pub use orders::{Effect, Order, Orders, Scope, ScopeError};
pub use proposer::{Proposed, Proposer};
pub use rules::GovernorRules;
pub use ruling::Ruling;
pub use sightings::Sightings;

use crate::action::Action;
use crate::time::EventTime;
use crate::workload::WorkloadId;
use bitcode::{Decode, Encode};
use std::sync::Arc;

/// Keys of orders are this and a number that leads to the partition that they are for.
pub const ORDER_KEY: &str = "order#";

/// What a planner would do.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Proposal {
    /// The action, as the planner would have it.
    pub action: Action,
    /// Whether live use demands it: then neither share nor budget holds it, and it waits for nobody.
    pub demanded: bool,
    /// Partition of the workload in topic `predictions`.
    pub partition: u32,
}

/// What one planner sees of its part of a fleet, once in a bin of 300 s: after the last of those that
/// reported in the bin before have reported, or else with the first prediction of a later bin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct View {
    /// Partition of the workloads in topic `predictions`.
    pub partition: u32,
    /// How far the fleet had come; its bin is the view's.
    pub at: EventTime,
    /// How far it had come with the prediction with which it is told; not before `at`.
    pub told_at: EventTime,
    /// Workloads that reported within the last hour, or within 36 of their own steps where that is longer.
    pub known: u32,
    /// Those of them that reported within the last bin and a step, or within 3 of their own steps.
    pub present: u32,
    /// Those of them that are present and lost a KPI that they had within the last day.
    pub lost_kpi: u32,
    /// The longest sampling step among those present, in seconds.
    pub step_s: u32,
}

/// A proposal that was not admitted, and why.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Held {
    /// Whose capacity.
    pub workload: WorkloadId,
    /// Instant of the decision.
    pub decided_at: EventTime,
    /// `ce_id` of the proposal.
    pub proposal_id: Arc<str>,
    /// Rule that held it, such as `governor.paused`.
    pub rule: Arc<str>,
    /// What the rule found, with its numbers.
    pub why: String,
}

/// What a record of topic `proposals` says.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Said {
    /// What a planner would do.
    Proposal(Box<Proposal>),
    /// What a planner sees.
    View(View),
    /// What an operator orders, or the governor's repetition of it.
    Order(Order),
    /// What the governor held.
    Held(Held),
}

/// A record of topic `proposals`.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetRecord {
    /// The fleet; of an order any name that leads to the partition that it is for.
    pub key: WorkloadId,
    /// What it says.
    pub said: Said,
}

impl FleetRecord {
    /// Its instant in event time.
    pub fn at(&self) -> EventTime {
        match &self.said {
            Said::Proposal(proposal) => proposal.action.decided_at,
            Said::View(view) => view.told_at,
            Said::Order(order) => order.at,
            Said::Held(held) => held.decided_at,
        }
    }
}

/// A record of topic `control`: the newest order for a scope.
#[derive(Clone, Debug, PartialEq)]
pub struct StandingOrder {
    /// The order; its scope is the record's key. One that resumes says that nothing stands.
    pub order: Order,
}
