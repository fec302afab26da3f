//! The contracts between Prescale's services and with other teams: the topic table, Avro in
//! Confluent framing, and the headers of each record.
//!
//! This is the one place where domain values become Avro and JSON. It must not know the bus.

mod codec;
pub mod contract;
pub mod envelope;
pub mod error;
pub mod event_types;
pub mod interchange;
mod json;
mod mirror;
mod names;
mod positional;
mod registry;
mod rfc3339;
pub mod topics;
mod wire;
mod worth;

#[cfg(test)]
mod forecast_score_tests;
#[cfg(test)]
mod outcome_tests;
#[cfg(test)]
mod record_tests;
#[cfg(test)]
mod refusal_tests;
#[cfg(test)]
mod schema_tests;

pub use contract::Contract;
pub use envelope::Envelope;
pub use error::ContractError;
pub use json::record_json;
pub use rfc3339::{parse as parse_rfc3339, text as rfc3339};
pub use worth::worth_json;
