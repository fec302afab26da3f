//! What can be wrong with a record.

/// A record that does not keep its contract, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// A field breaks a rule of the contract.
    #[error("{record} of workload {workload:?}: {field}: {problem}")]
    Invalid {
        /// Kind of record, such as `Sample`.
        record: &'static str,
        /// Its workload id, as it came.
        workload: String,
        /// Path of the field, such as `kpis[3].value`.
        field: String,
        /// What is wrong and what is allowed.
        problem: String,
    },
    /// The bytes have no Confluent framing.
    #[error(
        "a record of {bytes} bytes does not begin with magic byte 0x00 and a 4-byte schema id: write it as Avro in Confluent framing"
    )]
    NotFramed {
        /// Length of the record.
        bytes: usize,
    },
    /// The schema id is not in `schemas/ids.json`.
    #[error(
        "schema id {id} is not in the table of this build (schemas/ids.json): upgrade this service, or have the producer use a listed id"
    )]
    UnknownSchema {
        /// The id.
        id: u32,
    },
    /// The schema registry has no schema under the id, or none that can be used.
    #[error("the schema registry has no usable schema under id {id}: register the producer's schema")]
    NotInRegistry {
        /// The id.
        id: u32,
    },
    /// A schema of the schema registry cannot be read by.
    #[error("a schema under which records of subject {subject} came cannot be used: {message}")]
    WriterSchema {
        /// Subject of the topic.
        subject: String,
        /// What is wrong with it.
        message: String,
    },
    /// The schema belongs to another topic.
    #[error(
        "schema id {id} belongs to subject {found}, the topic's subject is {wanted}: the producer wrote to the wrong topic"
    )]
    WrongSubject {
        /// The id.
        id: u32,
        /// Subject of that id.
        found: String,
        /// Subject of the topic.
        wanted: String,
    },
    /// The datum does not follow its schema.
    #[error("a record of subject {subject} (schema id {id}) does not follow its schema: {message}")]
    Datum {
        /// Subject.
        subject: String,
        /// Schema id.
        id: u32,
        /// The decoder's or encoder's words.
        message: String,
    },
    /// The topic is not in the topic table.
    #[error("topic {topic:?} is none of Prescale's: `prescale topics plan` lists them")]
    UnknownTopic {
        /// The topic.
        topic: String,
    },
    /// A CloudEvents or trace header is missing or wrong.
    #[error("header {name}: {problem}")]
    Header {
        /// Name of the header.
        name: &'static str,
        /// What is wrong and what is expected.
        problem: String,
    },
}
