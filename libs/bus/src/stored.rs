//! What lies stored of a stage's states, looked at from outside: nothing is opened, made or moved that a stage has.

use crate::state_schema::StateSchema;

/// What is stored of a group's state of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredState {
    /// The partition.
    pub partition: u32,
    /// What its snapshot was made by; the reason where that cannot be read, `None` where there is no snapshot.
    pub schema: Option<Result<StateSchema, String>>,
    /// What the log has to make it again from; `None` where that cannot be seen from here.
    pub log: Option<KeptLog>,
}

/// What the log has of a partition, and how far a group is with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptLog {
    /// The oldest offset kept.
    pub oldest: i64,
    /// When the oldest record kept was appended, in milliseconds since the Unix epoch; `None` without one.
    pub oldest_appended_at_ms: Option<i64>,
    /// When the newest record was.
    pub newest_appended_at_ms: Option<i64>,
    /// Next offset that the group will read.
    pub position: i64,
}

impl KeptLog {
    /// How many records a state is made again from.
    pub fn records(&self) -> u64 {
        u64::try_from(self.position - self.oldest).unwrap_or(0)
    }

    /// The time that what is kept spans, in seconds.
    pub fn span_s(&self) -> u64 {
        let span_ms =
            self.newest_appended_at_ms.zip(self.oldest_appended_at_ms).map(|(newest, oldest)| newest - oldest);
        u64::try_from(span_ms.unwrap_or(0) / 1000).unwrap_or(0)
    }

    /// Whether records are gone that the state followed from.
    pub fn has_lost_some(&self) -> bool {
        self.oldest > 0
    }
}
