//! What a value needs to be a record of a topic.

use crate::error::ContractError;
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;

/// A value that is a record of a topic.
pub trait Contract: Sized {
    /// Topic of the records.
    const TOPIC: &'static str;
    /// CloudEvents type: the full name of the Avro record.
    const EVENT_TYPE: &'static str;

    /// CloudEvents type of this record, where a topic has records of several types.
    fn event_type(&self) -> &'static str {
        Self::EVENT_TYPE
    }

    /// Which workload, group, fleet or scope it is about; also the record's key.
    fn workload(&self) -> &WorkloadId;

    /// Its instant in event time.
    fn at(&self) -> EventTime;

    /// The stream that a record without CloudEvents headers came from; `None` where the topic takes none without
    /// ([`crate::topics::takes_foreign`]).
    fn foreign_source(&self) -> Option<&SourceName> {
        None
    }

    /// As Avro in Confluent framing, under the topic's newest schema.
    ///
    /// # Errors
    /// When a field breaks the contract: a number that is not finite, an empty name, an interval
    /// that does not follow from its quantiles; the error names the field.
    fn encode(&self) -> Result<Vec<u8>, ContractError>;

    /// From Avro in Confluent framing under any listed schema of the topic.
    ///
    /// # Errors
    /// When the bytes are not framed, the schema is unknown or another topic's, the datum does not
    /// follow its schema, or a field breaks the contract.
    fn decode(framed: &[u8]) -> Result<Self, ContractError>;
}
