//! A transactional producer and its one operation: write these records and move these positions,
//! or neither.
//!
//! A transaction is over when its end was seen in the log, not when the broker says so: the next
//! one of the same producer ends, with its own outcome, whatever the one before left open. A
//! producer whose last transaction was not seen to end is never used again; [`super::settle`] says
//! what is done with what it left.

use super::attempt::Attempt;
use super::port::{GroupInput, Kafka, Place, Producer};
use super::provenance::Position;
use crate::crash_point::CrashPoint;
use crate::dlq::dlq_topic;
use crate::error::BusError;
use crate::step::{Placement, Write};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Why a transaction did not take effect, as far as is known.
pub(crate) enum TransactionFailure {
    /// It was aborted: nothing took effect, and the producer is usable.
    Aborted(String),
    /// It was aborted, and the producer must be destroyed: of some records it never learned whether they arrived.
    /// librdkafka (2.12) gives their sequence numbers to the records that come next, and the broker takes those for
    /// the ones that it has: it says where they lie, and does not write them.
    Spent(String),
    /// A record cannot be written, now or later. It was aborted.
    Refused(BusError),
    /// Another producer has taken over the transactional id, or the broker gave the transaction up.
    Fenced(String, Box<Unsettled>),
    /// Whether it took effect is not known; the producer must be destroyed.
    Unknown(String, Box<Unsettled>),
}

impl TransactionFailure {
    /// As an error, for those who have no use for what the transaction left.
    pub(crate) fn into_error(self, context: String) -> BusError {
        match self {
            Self::Refused(error) => error,
            Self::Aborted(message) | Self::Spent(message) | Self::Fenced(message, _) | Self::Unknown(message, _) => {
                BusError::Backend { context, message, retryable: true }
            }
        }
    }
}

/// How far a transaction came, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// The broker was never asked to commit it, so it did not take effect.
    Written,
    /// The broker was asked to commit it.
    CommitAsked,
    /// It took effect in part, so it must in whole.
    Committed,
}

/// A transaction whose end was not seen in the log.
pub(crate) struct Unsettled {
    pub(crate) records: Vec<Located<'static>>,
    /// Where each of the records lies, as far as is known.
    pub(crate) offsets: Vec<Option<i64>>,
    pub(crate) positions: BTreeMap<u32, Position>,
    pub(crate) reached: Reached,
}

impl Unsettled {
    /// Whether it may have taken effect, in part or in whole.
    pub(crate) fn may_be_committed(&self) -> bool {
        self.reached != Reached::Written
    }
}

/// A record with its partition.
#[derive(Clone)]
pub(crate) struct Located<'a> {
    pub(crate) write: Cow<'a, Write>,
    pub(crate) place: Place,
}

impl Located<'_> {
    pub(crate) fn into_owned(self) -> Located<'static> {
        Located { write: Cow::Owned(self.write.into_owned()), place: self.place }
    }
}

/// Looks up where records go.
pub(crate) fn locate<'a>(kafka: &impl Kafka, writes: &'a [Write]) -> Result<Vec<Located<'a>>, BusError> {
    writes
        .iter()
        .map(|write| {
            let partition = write.partition(kafka.partitions(&write.topic)?);
            Ok(Located { write: Cow::Borrowed(write), place: Place { topic: write.topic.clone(), partition } })
        })
        .collect()
}

/// New positions, with the right to move them.
pub(crate) struct Moves<'a, M> {
    pub(crate) positions: &'a BTreeMap<u32, Position>,
    pub(crate) membership: &'a M,
}

/// A transactional producer that has fenced those before it.
pub(crate) struct Transactional<K: Kafka> {
    pub(crate) producer: K::Producer,
    /// Bound on one call.
    pub(crate) timeout: Duration,
    pub(crate) group: Option<GroupInput>,
}

impl<K: Kafka> Transactional<K> {
    /// Writes the records and moves the group's positions in one transaction, and sees it end.
    pub(crate) fn commit(
        &self,
        kafka: &K,
        records: &[Located<'_>],
        moves: Option<Moves<'_, K::Membership>>,
    ) -> Result<(), TransactionFailure> {
        let attempt = Attempt { of: self, kafka, records, moves };
        attempt.write()?;
        self.producer.commit().map_err(|e| attempt.lost(&e, Reached::CommitAsked))?;
        CrashPoint::KafkaCommitted.pass();
        attempt.see_commit().map_err(|e| attempt.unknown(e.to_string(), Reached::CommitAsked))?;
        CrashPoint::KafkaCommitSeen.pass();
        Ok(())
    }

    /// Commits the position of a group without members on partition 0 of a topic, and nothing else.
    pub(crate) fn commit_position(
        &self,
        kafka: &K,
        group: &str,
        topic: &str,
        offset: i64,
    ) -> Result<(), TransactionFailure> {
        let attempt = Attempt { of: self, kafka, records: &[], moves: None };
        let membership = kafka.membership_of_none(group).map_err(|e| attempt.cut(e.to_string()))?;
        attempt.begin()?;
        let position = Position { offset, ..Position::default() };
        self.producer
            .send_positions(topic, &BTreeMap::from([(0, position)]), &membership)
            .map_err(|e| attempt.lost(&e, Reached::Written))?;
        self.producer.commit().map_err(|e| attempt.lost(&e, Reached::CommitAsked))
    }

    /// Ends without effect whatever earlier producers of this id left open in these places and groups: a transaction
    /// that goes there too is aborted.
    pub(crate) fn close(
        &self,
        kafka: &K,
        places: &BTreeSet<Place>,
        groups: &[GroupInput],
    ) -> Result<(), TransactionFailure> {
        if places.is_empty() && groups.is_empty() {
            return Ok(());
        }
        let writes: Vec<Write> = places.iter().map(Write::visit).collect();
        let records: Vec<Located<'_>> = places
            .iter()
            .zip(&writes)
            .map(|(place, write)| Located { write: Cow::Borrowed(write), place: place.clone() })
            .collect();
        let attempt = Attempt { of: self, kafka, records: &records, moves: None };
        attempt.begin()?;
        attempt.send_all()?;
        for GroupInput { group, topic } in groups {
            let membership = kafka.membership_of_none(group).map_err(|e| attempt.cut(e.to_string()))?;
            let unread = dlq_topic(topic);
            self.producer
                .send_positions(&unread, &BTreeMap::from([(0, Position::default())]), &membership)
                .map_err(|e| attempt.not_moved(&e, group, &unread))?;
        }
        attempt.deliver_all()?;
        attempt.abort()?;
        for GroupInput { group, topic } in groups {
            kafka
                .stable_positions(group, &dlq_topic(topic), &[0], self.timeout * 2)
                .map_err(|e| attempt.cut(e.to_string()))?;
        }
        Ok(())
    }
}

impl Write {
    /// A record that is written only to be aborted.
    fn visit(place: &Place) -> Self {
        Self {
            topic: place.topic.clone(),
            placement: Placement::LikeInput(place.partition),
            key: Some(b"prescale-settling".to_vec()),
            value: None,
            headers: Vec::new(),
        }
    }
}
