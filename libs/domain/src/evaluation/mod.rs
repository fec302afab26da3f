//! What decisions were worth, workload by workload and hour by hour: the capacity as it was, the plan (a dry run's
//! too) and the reactive rule, each held against the demand of CPU that came.
//!
//! It follows predictions and the decisions on them ([`crate::policy::Planning`]), and reckons what each capacity was worth
//! as replays do ([`crate::outcome`]). It must not know who carries decisions out, nor what was held on the way there.

mod account;
pub mod outcome;
mod partition;
pub mod sums;
pub mod wording;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod fleet_tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use outcome::{Outcome, Pricing, Terms};
pub use partition::{Evaluated, Evaluation};
pub use sums::{Sums, Week, Worth};
