//! From a prediction to an immutable plan: a policy says what capacity the demand needs, sizing
//! turns that into what the mechanism can make, guardrails restrain it, and the plan carries its
//! whole reasoning.
//!
//! It must not know who carries a plan out, nor what time it is: the instant of a decision is the
//! instant that its prediction was made for.

pub mod check;
pub mod choose;
pub mod cost;
pub mod decide;
pub mod explain;
mod floor;
pub mod grounds;
pub mod lead;
pub mod live;
mod market;
pub mod outlook;
pub mod planning;
pub mod proactive;
pub mod proposal;
pub mod rate;
pub mod rule_book;
pub mod rules;
pub mod sizing;
mod stated_bounds;
pub mod threshold;

#[cfg(test)]
mod decide_tests;
#[cfg(test)]
mod explain_tests;
#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod fleet_tests;
#[cfg(test)]
pub(crate) mod properties;
#[cfg(test)]
mod reading_tests;
#[cfg(test)]
mod stated_bounds_tests;
#[cfg(test)]
mod strain_tests;
#[cfg(test)]
mod throttling_tests;

pub use check::violations;
pub use cost::Cost;
pub use decide::{Decision, Facts, decide};
pub use explain::{explain, explain_change, explain_hold};
pub use grounds::Grounds;
pub use outlook::{ForecastChoice, Target};
pub use planning::Planning;
pub use proactive::Proactive;
pub use rate::{PerReplica, RateRule};
pub use rule_book::{RuleBook, RulesFor};
pub use rules::interface::{AnyPolicy, Chooser, Policy};
pub use rules::{DryRun, Rules, RulesError};
pub use sizing::{InstanceType, Sizing};
pub use threshold::Threshold;
