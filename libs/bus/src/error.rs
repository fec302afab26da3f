//! What can go wrong on the bus.

/// A failure of the bus, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// A topic is missing; topics are never made as a side effect.
    #[error("topic {topic:?} does not exist: run `prescale topics apply`")]
    UnknownTopic {
        /// The topic.
        topic: String,
    },
    /// The topic exists with other settings than asked for.
    #[error(
        "topic {topic:?} has {found} partitions, {wanted} are configured: partition counts cannot change under a running pipeline; set [bus] partitions = {found} or start with new topics"
    )]
    PartitionMismatch {
        /// The topic.
        topic: String,
        /// As it is.
        found: u32,
        /// As configured.
        wanted: u32,
    },
    /// The storage or broker failed.
    #[error("{context}: {message}")]
    Backend {
        /// What was being done, to what.
        context: String,
        /// The backend's words.
        message: String,
        /// Whether trying again can help.
        retryable: bool,
    },
    /// Another instance took over.
    #[error(
        "stage {stage} was fenced: another instance with the same id is running; stop one, or give each its own [bus.kafka] instance_id"
    )]
    Fenced {
        /// The stage.
        stage: String,
    },
    /// The stage itself failed.
    #[error("stage {stage} failed at {topic}/{partition}@{offset}: {message}")]
    Stage {
        /// The stage.
        stage: String,
        /// Input topic.
        topic: String,
        /// Partition.
        partition: u32,
        /// Offset of the batch's first record.
        offset: i64,
        /// The stage's words.
        message: String,
    },
}
