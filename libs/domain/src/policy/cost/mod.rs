//! The policy `cost`: what `proactive` plans for CPU and memory, from the instance types, and in the count, that cost
//! least. Count and size are chosen together, so that nothing is done twice for one demand.
//!
//! It must not know how demand is planned, nor what the cloud calls its types.

pub mod choose;
pub(super) mod plan;

#[cfg(test)]
mod tests;

pub use choose::{Offer, Wanted, choose};

use super::proactive::Proactive;

/// Settings of the policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// How demand is planned, and so at what risk.
    pub plan: Proactive,
    /// Another instance type is taken only where it saves at least this share of what the present one would cost.
    pub switch_saving_min: f64,
}

impl Default for Cost {
    fn default() -> Self {
        Self { plan: Proactive::default(), switch_saving_min: 0.1 }
    }
}
