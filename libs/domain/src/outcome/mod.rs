//! What capacity was worth: demand held against it, in time short, demand unmet, capacity to spare, changes and
//! surges.
//!
//! Demand and capacity are in one resource's unit. Who decides is of no concern here: a policy, one of the
//! simple rules that policies are compared with ([`rules`]), or nobody.

pub mod closed_loop;
pub mod foresight;
pub mod grain;
pub mod rules;
pub mod surge;
pub mod tally;

#[cfg(test)]
mod properties;

pub use closed_loop::ClosedLoop;
pub use grain::in_grains;
pub use rules::{Seen, SizingRule};
pub use surge::Surges;
pub use tally::Tally;
