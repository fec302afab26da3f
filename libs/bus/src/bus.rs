//! The bus as services see it. Object-safe, blocking: each stage and source has a thread of its own.

use crate::error::BusError;
use crate::record::{ConsumedRecord, OutputRecord};
use crate::stage::StageFactory;
use crate::topic::TopicSpec;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How far a consumer group is behind, on one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: u32,
    /// Next offset that the group will read.
    pub position: i64,
    /// Offset that the next record written will get.
    pub end: i64,
}

impl Lag {
    /// Offsets between position and end; 0 when the group has read everything.
    pub fn behind(&self) -> u64 {
        u64::try_from(self.end - self.position).unwrap_or(0)
    }
}

/// Settings of one running stage.
#[derive(Clone, Debug)]
pub struct StageOptions {
    /// Consumer group.
    pub group: String,
    /// Most records given to `Stage::apply` at a time.
    pub batch_records_max: usize,
    /// A snapshot of a partition's state is taken after so many records, and on a clean stop.
    pub snapshot_every_records: u64,
}

impl StageOptions {
    /// So many records since the last snapshot make the next one due.
    pub(crate) fn snapshot_due_records(&self) -> u64 {
        self.snapshot_every_records.max(1)
    }
}

/// Where a reader starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// The oldest record kept.
    Earliest,
    /// Only what comes from now on.
    Latest,
    /// So many records before the end, in each partition.
    Back(u64),
    /// The record at this offset of each partition, or the oldest kept behind it; a partition that is not named is read
    /// from its oldest record on. Where a partition ends before that, with what comes from now on: then
    /// [`RecordReader::reached`] tells that it begins before the offset.
    Offsets(BTreeMap<u32, i64>),
}

/// Whether a read reached the end of the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaughtUp {
    /// There was nothing more at that moment, in any partition.
    Yes,
    /// There may be more.
    No,
}

/// Writes records together with the source's own position, atomically: after a crash a source
/// goes on from [`Source::position`], with nothing lost and nothing repeated.
pub trait Source: Send {
    /// The position stored with the last records that were written, if any.
    ///
    /// # Errors
    /// When the bus cannot be read.
    fn position(&mut self) -> Result<Option<Vec<u8>>, BusError>;

    /// Writes all records and the new position, or nothing.
    ///
    /// # Errors
    /// When the bus refuses. Where that is not known to be before it took effect, [`Self::position`] tells, so ask for
    /// that before you append the same records again.
    fn append(&mut self, records: Vec<OutputRecord>, position: &[u8]) -> Result<(), BusError>;
}

/// Reads a topic without being part of a group (console, CLI, fleet feedback).
pub trait RecordReader: Send {
    /// Up to `records_max` records, waiting at most `wait` for the first; partitions are
    /// interleaved, each in order. Only committed records are seen.
    ///
    /// # Errors
    /// When the bus cannot be read.
    fn poll(&mut self, records_max: usize, wait: Duration) -> Result<(Vec<ConsumedRecord>, CaughtUp), BusError>;

    /// Offsets up to which it has given out all that can be seen, by partition: past what nobody sees (markers, what was
    /// aborted or is gone), never past a transaction that is open. The last one that there can be where it does not read
    /// the partition.
    ///
    /// # Errors
    /// When the bus cannot be read.
    fn reached(&self) -> Result<Vec<i64>, BusError>;
}

/// A message bus. Both backends pass one conformance suite.
pub trait Bus: Send + Sync {
    /// Makes the topics that are missing.
    ///
    /// # Errors
    /// When one exists with another number of partitions, or the bus refuses.
    fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<(), BusError>;

    /// Names and partition counts of the topics that exist, by name.
    ///
    /// # Errors
    /// When the bus cannot be read.
    fn topics(&self) -> Result<Vec<(String, u32)>, BusError>;

    /// Runs a stage until `shutdown`; then finishes the step under way, takes a snapshot and
    /// returns. Blocks the calling thread.
    ///
    /// # Errors
    /// When the stage fails, a topic is missing, or the bus is lost beyond what retrying mends.
    fn run_stage(
        &self,
        factory: Arc<dyn StageFactory>,
        options: &StageOptions,
        shutdown: &CancellationToken,
    ) -> Result<(), BusError>;

    /// Opens a source; `id` names it for good.
    ///
    /// # Errors
    /// When the bus cannot be reached.
    fn source(&self, id: &str) -> Result<Box<dyn Source>, BusError>;

    /// The position of a source, looked at without opening it where the backend can: opening it
    /// would take it from whoever writes.
    ///
    /// # Errors
    /// When the bus cannot be read.
    fn source_position(&self, id: &str) -> Result<Option<Vec<u8>>, BusError> {
        self.source(id)?.position()
    }

    /// Opens a reader over all partitions of one topic.
    ///
    /// # Errors
    /// When the topic is missing or the bus cannot be reached.
    fn reader(&self, topic: &str, from: ReadFrom) -> Result<Box<dyn RecordReader>, BusError>;

    /// Opens a reader over one partition of one topic; there is nothing in one that the topic does not have.
    ///
    /// # Errors
    /// When the topic is missing or the bus cannot be reached.
    fn partition_reader(&self, topic: &str, partition: u32, from: ReadFrom) -> Result<Box<dyn RecordReader>, BusError>;

    /// Lag of a group on a topic, one entry a partition. When a stage has read everything its
    /// lag is exactly 0, also where the log holds transaction markers.
    ///
    /// # Errors
    /// When the bus cannot be read or the topic is missing.
    fn lag(&self, group: &str, topic: &str) -> Result<Vec<Lag>, BusError>;
}
