//! What the protocol asks of Kafka, call by call. librdkafka answers in production
//! ([`crate::kafka::cluster`]), a model of Kafka under a seeded scheduler in the simulation.

use super::log::CommittedLog;
use super::provenance::Position;
use crate::bus::Lag;
use crate::error::BusError;
use crate::kafka::options::KafkaOptions;
use crate::record::ConsumedRecord;
use crate::snapshot::Loaded;
use crate::state_schema::StateSchema;
use crate::wait::Pauses;
use crate::write::Write;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// One partition of one topic, under the topic's logical name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: u32,
}

/// The group whose positions a stage's transactions move, and the topic that it reads.
#[derive(Clone)]
pub(crate) struct GroupInput {
    pub(crate) group: String,
    pub(crate) topic: String,
}

/// A call of a producer that failed. Whether it took effect is not known.
#[derive(Debug)]
pub(crate) struct CallFailed {
    pub(crate) error: KafkaError,
    /// Another producer has the transactional id, or the broker has given the transaction up.
    pub(crate) is_fenced: bool,
    /// The client says that the transaction can be aborted, and the producer used on.
    pub(crate) requires_abort: bool,
}

impl CallFailed {
    pub(crate) fn code(&self) -> Option<RDKafkaErrorCode> {
        self.error.rdkafka_error_code()
    }
}

/// A transactional producer that has fenced those before it.
pub(crate) trait Producer {
    /// The right of a group's member to move its positions.
    type Membership;

    /// Begins a transaction of so many records.
    fn begin(&self, records: usize) -> Result<(), CallFailed>;

    /// Hands over the record with this index; it is delivered some time before [`Self::flush`] returns.
    fn send(&self, index: usize, place: &Place, write: &Write) -> Result<(), CallFailed>;

    /// Makes a group's positions on a topic part of the transaction.
    fn send_positions(
        &self,
        topic: &str,
        positions: &BTreeMap<u32, Position>,
        membership: &Self::Membership,
    ) -> Result<(), CallFailed>;

    /// Waits until the fate of all records is known.
    fn flush(&self) -> Result<(), CallFailed>;

    /// The offset of each record, by index, as far as the broker has told it.
    fn offsets(&self) -> Vec<Option<i64>>;

    fn commit(&self) -> Result<(), CallFailed>;

    fn abort(&self) -> Result<(), CallFailed>;

    /// What made the open transaction fail, if something did.
    fn cause(&self) -> Option<KafkaError>;
}

/// What a member of a group is told.
pub(crate) enum MemberEvent<M> {
    /// A committed record of a partition that this instance has.
    Record(ConsumedRecord),
    /// The end of a partition's committed records.
    End(u32),
    /// This instance now has the partition, and reads it from here on.
    Assigned(u32, Position),
    /// It no longer has the partition.
    Revoked(u32),
    /// In this rebalance it keeps the partition, at which the group stands here.
    Kept {
        partition: u32,
        position: i64,
        /// It gives up others, and the client joins once more by itself so that they go to somebody. Who ends it before
        /// that leaves them to nobody.
        rejoins: bool,
    },
    /// The rebalance is over. What a transaction needs from now on to move the group's positions: it carries the
    /// generation, so that a member that was left behind cannot.
    Joined(M),
    /// The connection must be made anew.
    Broken(String),
    /// A right is missing.
    Denied(BusError),
    /// Another instance has taken this one's name.
    Fenced,
}

/// A member of a stage's group.
pub(crate) trait Member {
    /// The right to move the group's positions.
    type Membership;

    /// The next event, if one comes within `wait`.
    fn poll(&self, wait: Duration) -> Option<MemberEvent<Self::Membership>>;

    /// The next event of those that the last rebalances brought.
    fn told(&self) -> Option<MemberEvent<Self::Membership>>;
}

/// Keeps snapshots of partitions' states.
pub(crate) trait Snapshots {
    /// Stores the state after all records before `offset`, which must be committed.
    fn store(&self, partition: u32, offset: i64, state: &[u8]) -> std::io::Result<()>;

    /// What the stored snapshot was made by, whether or not it can be used, or without one the last that was put aside;
    /// `None` where none says so.
    fn made_by(&self, partition: u32) -> Option<StateSchema>;

    /// What `restore` makes of the stored snapshot. One that is ahead of `committed`, or bad otherwise, is put aside.
    fn load<T>(&self, partition: u32, committed: i64, restore: impl FnOnce(&[u8]) -> Result<T, String>) -> Loaded<T>;
}

/// A cluster, with the clock and the disk of the instance that asks it.
pub(crate) trait Kafka {
    type Membership: Clone;
    type Producer: Producer<Membership = Self::Membership>;
    type Member: Member<Membership = Self::Membership>;
    type Log: CommittedLog;
    type Snapshots: Snapshots;

    fn options(&self) -> &KafkaOptions;

    fn now(&self) -> Instant;

    /// Milliseconds since the Unix epoch.
    fn unix_ms(&self) -> i64;

    fn pause(&self, pauses: &mut Pauses);

    /// Waits until `shutdown` or for `at_most`; tells whether it was the shutdown.
    fn cancelled_within(&self, shutdown: &CancellationToken, at_most: Duration) -> bool;

    /// An error with what is known of its cause from the connections.
    fn explain(&self, error: BusError) -> BusError;

    /// As [`Self::explain`].
    fn explain_text(&self, text: String) -> String;

    /// Number of partitions of a topic.
    ///
    /// # Errors
    /// When there is no such topic.
    fn partitions(&self, topic: &str) -> Result<u32, BusError>;

    /// As [`Self::partitions`], without what was learned earlier.
    fn partitions_now(&self, topic: &str) -> Result<u32, BusError>;

    /// Offset that the next record of each place will get.
    fn ends(&self, places: &BTreeSet<Place>) -> Result<BTreeMap<Place, i64>, BusError>;

    /// Offset up to which each place is settled.
    fn stable_ends(&self, places: &BTreeSet<Place>) -> Result<BTreeMap<Place, i64>, BusError>;

    /// A group's positions; one that waits for an open transaction is waited for. Partitions without
    /// a position are left out.
    fn stable_positions(
        &self,
        group: &str,
        topic: &str,
        partitions: &[u32],
        at_most: Duration,
    ) -> Result<BTreeMap<u32, Position>, BusError>;

    /// A group's positions as they are moved now, whatever open transactions hold. Partitions without a position are
    /// left out.
    fn positions(&self, group: &str, topic: &str, partitions: &[u32]) -> Result<BTreeMap<u32, Position>, BusError>;

    /// What moves a group's positions without being its member. Nothing checks that right, so it is
    /// only for positions that an open transaction holds, or that no member has.
    fn membership_of_none(&self, group: &str) -> Result<Self::Membership, BusError>;

    /// Lag of a group, counted against everything written, records of open transactions included.
    fn lag(&self, group: &str, topic: &str) -> Result<Vec<Lag>, BusError>;

    /// Makes a producer and fences earlier ones of the same id; the broker has ended their
    /// transactions when this returns, whether or not that can be seen in the log.
    fn producer(&self, transactional_id: &str) -> Result<Self::Producer, BusError>;

    fn join(&self, group: &str, topic: &str) -> Result<Self::Member, BusError>;

    fn open_log(&self, topic: &str) -> Result<Self::Log, BusError>;

    /// Where this instance keeps the snapshots of a stage.
    fn snapshots(&self, group: &str, topic: &str, state_schema: String) -> Result<Self::Snapshots, BusError>;

    /// Makes the group share its partitions out again.
    fn share_out_again(&self, group: &str, topic: &str) -> Result<(), BusError>;

    /// All partitions of a topic.
    fn places(&self, topic: &str) -> Result<BTreeSet<Place>, BusError> {
        let topic: Arc<str> = Arc::from(topic);
        let partitions = self.partitions(&topic)?;
        Ok((0..partitions).map(|partition| Place { topic: Arc::clone(&topic), partition }).collect())
    }
}
