//! What a transaction is to write, and what is known of one that did not come to its end.

use super::port::{Kafka, Place};
use super::provenance::Position;
use crate::error::BusError;
use crate::write::Write;
use std::borrow::Cow;
use std::collections::BTreeMap;

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
