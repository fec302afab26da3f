//! One transaction under way, call by call, and what a failed call means.
//!
//! The commit of librdkafka may fail as one that "requires an abort" although the broker has
//! committed already. So after a commit was asked for, every failure means that the outcome is not
//! known; before that, none can have committed anything.

use super::ends::{await_settled, await_stable_ends};
use super::port::{CallFailed, GroupInput, Kafka, Place, Producer};
use super::provenance::Position;
use super::unsettled::{Located, Reached, TransactionFailure, Unsettled};
use crate::crash_point::CrashPoint;
use crate::error::BusError;
use crate::kafka::acls::{Acl, Operation};
use crate::kafka::failure::{backend, backend_needing, is_denied};
use rdkafka::error::KafkaError;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// New positions, with the right to move them.
pub(crate) struct Moves<'a, M> {
    pub(crate) positions: &'a BTreeMap<u32, Position>,
    pub(crate) membership: &'a M,
}

/// One transaction under way.
pub(crate) struct Attempt<'t, K: Kafka> {
    pub(crate) producer: &'t K::Producer,
    /// Bound on one call.
    pub(crate) timeout: Duration,
    /// The group whose positions move.
    pub(crate) group: Option<&'t GroupInput>,
    pub(crate) kafka: &'t K,
    pub(crate) records: &'t [Located<'t>],
    pub(crate) moves: Option<Moves<'t, K::Membership>>,
}

impl<K: Kafka> Attempt<'_, K> {
    /// Everything up to the commit. A commit is only asked for when it is known where each record
    /// lies, so that it can be told afterwards whether the commit took effect.
    pub(crate) fn write(&self) -> Result<(), TransactionFailure> {
        CrashPoint::KafkaReady.pass();
        self.begin()?;
        CrashPoint::KafkaBegun.pass();
        self.send_all()?;
        CrashPoint::KafkaProduced.pass();
        if let (Some(Moves { positions, membership }), Some(group)) = (&self.moves, self.group) {
            self.producer
                .send_positions(&group.topic, positions, membership)
                .map_err(|e| self.failed("move the position in", &e))?;
            CrashPoint::KafkaPositionsSent.pass();
        }
        self.deliver_all()?;
        CrashPoint::KafkaDelivered.pass();
        Ok(())
    }

    /// Waits until it is known where each record lies.
    pub(crate) fn deliver_all(&self) -> Result<(), TransactionFailure> {
        self.producer.flush().map_err(|e| self.lost(&e, Reached::Written))?;
        if !self.has_undelivered() {
            return Ok(());
        }
        Err(match self.denied_cause() {
            Some(denied) => self.refused(denied),
            None => self.aborted("not all records were delivered".to_owned()),
        })
    }

    fn has_undelivered(&self) -> bool {
        self.producer.offsets().contains(&None)
    }

    pub(crate) fn begin(&self) -> Result<(), TransactionFailure> {
        self.producer.begin(self.records.len()).map_err(|e| self.lost(&e, Reached::Written))
    }

    pub(crate) fn send_all(&self) -> Result<(), TransactionFailure> {
        self.records.iter().enumerate().try_for_each(|(index, record)| self.send(index, record))
    }

    fn send(&self, index: usize, Located { write, place }: &Located<'_>) -> Result<(), TransactionFailure> {
        let Err(failed) = self.producer.send(index, place, write) else { return Ok(()) };
        if let Some(denied) = self.denied_cause() {
            return Err(self.refused(denied));
        }
        let topic = self.kafka.options().prefixed(&place.topic);
        let refused = backend(format!("cannot write to {topic}/{}", place.partition), &failed.error);
        self.abort()?;
        Err(TransactionFailure::Refused(refused))
    }

    /// The failure of a transaction that can be aborted.
    fn aborted(&self, why: String) -> TransactionFailure {
        match self.abort() {
            Ok(()) if self.has_undelivered() => TransactionFailure::Spent(why),
            Ok(()) => TransactionFailure::Aborted(why),
            Err(failure) => failure,
        }
    }

    /// Aborts the transaction and sees it end.
    pub(crate) fn abort(&self) -> Result<(), TransactionFailure> {
        self.producer.abort().map_err(|e| self.lost(&e, Reached::Written))?;
        let places = self.records.iter().map(|r| r.place.clone()).collect();
        await_settled(self.kafka, &places, self.timeout * 2)
            .and_then(|()| self.stable_positions().map(drop))
            .map_err(|e| self.cut(e.to_string()))
    }

    /// Waits until the log shows the commit, in every place and in the group.
    pub(crate) fn see_commit(&self) -> Result<(), BusError> {
        let mut ends: BTreeMap<Place, i64> = BTreeMap::new();
        for (record, offset) in self.records.iter().zip(self.producer.offsets()) {
            let end = offset.unwrap_or_default() + 1;
            ends.entry(record.place.clone()).and_modify(|known| *known = end.max(*known)).or_insert(end);
        }
        await_stable_ends(self.kafka, &ends, self.timeout * 2)?;
        let Some(Moves { positions: wanted, .. }) = &self.moves else { return Ok(()) };
        let found = self.stable_positions()?;
        let is_moved = |(partition, wanted): (&u32, &Position)| {
            found.get(partition).is_some_and(|found| found.provenance.includes(&wanted.provenance))
        };
        if wanted.iter().all(is_moved) {
            return Ok(());
        }
        Err(BusError::Backend {
            context: "the group's positions are not where the transaction moved them".to_owned(),
            message: format!("they are {found:?}, not {wanted:?}"),
            retryable: true,
        })
    }

    /// The group's positions where this transaction moves them, when no transaction holds them.
    fn stable_positions(&self) -> Result<BTreeMap<u32, Position>, BusError> {
        let (Some(Moves { positions, .. }), Some(group)) = (&self.moves, self.group) else {
            return Ok(BTreeMap::new());
        };
        let partitions: Vec<u32> = positions.keys().copied().collect();
        self.kafka.stable_positions(&group.group, &group.topic, &partitions, self.timeout * 2)
    }

    fn left(&self, reached: Reached) -> Box<Unsettled> {
        Box::new(Unsettled {
            records: self.records.iter().cloned().map(Located::into_owned).collect(),
            offsets: self.producer.offsets(),
            positions: self.moves.as_ref().map(|moves| moves.positions.clone()).unwrap_or_default(),
            reached,
        })
    }

    pub(crate) fn unknown(&self, why: String, reached: Reached) -> TransactionFailure {
        TransactionFailure::Unknown(why, self.left(reached))
    }

    /// It was not committed, and was not seen to end.
    pub(crate) fn cut(&self, why: String) -> TransactionFailure {
        self.unknown(why, Reached::Written)
    }

    /// The failure of a call after which the producer is not used any more.
    pub(crate) fn lost(&self, failed: &CallFailed, reached: Reached) -> TransactionFailure {
        let why = format!("the transaction was cut short ({reached:?}): {}", failed.error);
        if failed.is_fenced { TransactionFailure::Fenced(why, self.left(reached)) } else { self.unknown(why, reached) }
    }

    /// The missing right that made the transaction fail, if that is why it did. What made it fail is
    /// told to whoever asks the producer for something that it cannot do now.
    pub(crate) fn denied_cause(&self) -> Option<BusError> {
        let cause = self.producer.cause()?;
        self.denied("write to Kafka", &cause)
    }

    /// The error for want of a right, if that is what it is.
    fn denied(&self, doing: &str, error: &KafkaError) -> Option<BusError> {
        error.rdkafka_error_code().filter(|code| is_denied(*code))?;
        let name = |logical: &str| self.kafka.options().prefixed(logical);
        let offsets = self.producer.offsets();
        let unwritten: BTreeSet<&str> =
            self.records.iter().zip(&offsets).filter(|(_, o)| o.is_none()).map(|(r, _)| &*r.place.topic).collect();
        let mut needed: Vec<Acl> = unwritten.iter().map(|t| Acl::topic(Operation::Write, name(t))).collect();
        if let Some(GroupInput { group, topic }) = self.group {
            needed.push(Acl::group(Operation::Read, name(group)));
            needed.push(Acl::topic(Operation::Read, name(topic)));
        }
        Some(backend_needing(format!("cannot {doing}"), error, &needed))
    }

    /// The failure of a transaction that will never be let through. Where it may not have begun for
    /// the broker it cannot be aborted, and the next producer of this id ends what is left of it.
    pub(crate) fn refused(&self, error: BusError) -> TransactionFailure {
        let _ = self.abort();
        TransactionFailure::Refused(error)
    }

    /// The failure of moving a group's position on a topic that it does not read.
    pub(crate) fn not_moved(&self, failed: &CallFailed, group: &str, topic: &str) -> TransactionFailure {
        if !failed.code().is_some_and(is_denied) {
            return self.lost(failed, Reached::Written);
        }
        let name = |logical: &str| self.kafka.options().prefixed(logical);
        let needed = [Acl::group(Operation::Read, name(group)), Acl::topic(Operation::Read, name(topic))];
        self.refused(backend_needing(format!("cannot move the positions of group {group}"), &failed.error, &needed))
    }

    /// The failure of a call before the commit, after which the producer may be usable.
    fn failed(&self, doing: &str, failed: &CallFailed) -> TransactionFailure {
        if let Some(denied) = self.denied(&format!("{doing} the transaction"), &failed.error) {
            return self.refused(denied);
        }
        if !failed.requires_abort {
            return self.lost(failed, Reached::Written);
        }
        self.aborted(format!("cannot {doing} the transaction: {}", failed.error))
    }
}
