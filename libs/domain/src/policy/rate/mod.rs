//! Sizing by an application's rates, such as requests a second: how much of it a replica serves, stated or learnt from
//! the workload's own history, and so how many replicas the planned rate needs.
//!
//! It must not know who measures the rate, nor which KPIs are rates: the rules name them.

pub mod judge;
pub mod learn;
pub mod watch;

#[cfg(test)]
mod tests;

pub use learn::Learner;
pub use watch::{RateView, Rates};

use crate::kpi::KpiName;

/// How a workload is sized by a rate.
#[derive(Clone, Debug, PartialEq)]
pub struct RateRule {
    /// The KPI, a quantity per second over all replicas.
    pub kpi: KpiName,
    /// How much of it one replica serves.
    pub per_replica: PerReplica,
}

/// How much of a rate one replica serves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PerReplica {
    /// So much, in the KPI's unit.
    Stated(f64),
    /// As much as its CPU is enough for, by what a unit of the rate has taken.
    Learnt {
        /// Share of a replica's CPU that may be used.
        utilisation: f64,
    },
}
