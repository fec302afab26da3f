//! What a topic is to have: partitions and clean-up.

/// How a topic gets rid of old records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleanup {
    /// Records older than this are deleted.
    Delete {
        /// Age, in milliseconds.
        retention_ms: i64,
    },
    /// The newest record of each key is kept.
    Compact,
}

/// A topic to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Name.
    pub name: String,
    /// Number of partitions, at least 1.
    pub partitions: u32,
    /// Copies of each partition; the embedded bus ignores it.
    pub replication: u16,
    /// Clean-up.
    pub cleanup: Cleanup,
}
