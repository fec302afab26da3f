//! What a stage of the pipeline is to the bus: a pure function of (state, input records) to
//! (state, output records), one instance a partition.

use crate::record::{ConsumedRecord, OutputRecord};
use std::sync::Arc;

/// Why a record was rejected: it goes to `<topic>.dlq` as it came, with this in its headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Short stable name for counting, such as `undecodable` or `late`.
    pub code: &'static str,
    /// What was wrong with what, and what to do.
    pub message: String,
}

/// The stage cannot go on: the step is undone and its position stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StageFailure {
    /// What happened, to what, and what to do.
    pub message: String,
}

/// What became of one input record. The set is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was used; these records follow from it (none when it only changed the state).
    Emit(Vec<OutputRecord>),
    /// It was put aside on purpose and is counted under this reason (`duplicate`, `stale`).
    Drop(&'static str),
    /// It could not be used and goes to the dead letter queue.
    Reject(Rejection),
}

/// One partition's worth of a stage. Calls are made by one thread in log order.
///
/// It must be deterministic: the same records in the same order give the same outcomes, however
/// they are cut into batches.
pub trait Stage: Send {
    /// Applies records of one partition, in order.
    ///
    /// Returns one outcome a record, in the same order.
    ///
    /// # Errors
    /// When the stage cannot go on; nothing of the batch then takes effect.
    fn apply(&mut self, batch: &[ConsumedRecord]) -> Result<Vec<Outcome>, StageFailure>;

    /// The state as bytes that [`StageFactory::restore`] takes.
    fn snapshot(&self) -> Vec<u8>;

    /// Told when the state was restored with records that were applied a second time, under other settings than the
    /// first time: what was decided on the way need not be what was decided, and published, then. It comes before
    /// anything new is applied.
    fn repeated_under_other_terms(&mut self) {}
}

/// How far back something reaches that a stage remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// What it is.
    pub what: &'static str,
    /// The time that the records span which it follows from, in seconds.
    pub records_s: u64,
}

/// Makes the stage's instances.
pub trait StageFactory: Send + Sync {
    /// Name of the stage; also the consumer group's, less the installation's prefix.
    fn name(&self) -> &'static str;

    /// Topic that the stage reads.
    fn input_topic(&self) -> Arc<str>;

    /// Topics that the stage may write.
    fn output_topics(&self) -> Vec<Arc<str>>;

    /// The text of a [`crate::StateSchema`]: the state's layout and whatever of the configuration shapes it or led to
    /// it. A snapshot of another shape is put aside.
    fn state_schema(&self) -> String;

    /// What the state remembers that reaches far back: where the log has less, it cannot be made again whole.
    fn reach(&self) -> Vec<Reach> {
        Vec::new()
    }

    /// Whether instances keep state that follows from the log. One that keeps none is begun anew at
    /// the committed position: no snapshots are taken, and nothing is applied a second time.
    fn keeps_state(&self) -> bool {
        true
    }

    /// An empty instance for a partition.
    fn create(&self, partition: u32) -> Box<dyn Stage>;

    /// An instance as it was when the snapshot was taken.
    ///
    /// # Errors
    /// With the reason when the bytes are no snapshot of this stage.
    fn restore(&self, partition: u32, snapshot: &[u8]) -> Result<Box<dyn Stage>, String>;
}
