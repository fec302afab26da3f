//! Records on their way into a topic, and where they go.

use crate::partitioner::partition_of;
use crate::record::{Header, OutputRecord};
use std::sync::Arc;

/// How the partition of a record to be written is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// From its key.
    ByKey,
    /// As the record that it came from.
    LikeInput(u32),
}

/// A record on its way into a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) topic: Arc<str>,
    pub(crate) placement: Placement,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<Header>,
}

impl Write {
    /// The partition, in a topic of so many.
    pub(crate) fn partition(&self, partitions: u32) -> u32 {
        match self.placement {
            Placement::ByKey => partition_of(self.key.as_deref().unwrap_or_default(), partitions),
            Placement::LikeInput(partition) => partition % partitions.max(1),
        }
    }
}

impl From<OutputRecord> for Write {
    fn from(record: OutputRecord) -> Self {
        let OutputRecord { topic, key, value, headers } = record;
        Self { topic, placement: Placement::ByKey, key: Some(key), value, headers }
    }
}
