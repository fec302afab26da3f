//! One transaction under way, call by call, and what a failed call means.
//!
//! The commit of librdkafka may fail as one that "requires an abort" although the broker has
//! committed already. So after a commit was asked for, every failure means that the outcome is not
//! known; before that, none can have committed anything.

use super::access::{backend_needing, is_denied};
use super::acls::{Acl, Operation};
use super::cluster::{Cluster, backend, raw};
use super::ends::Place;
use super::provenance::Position;
use super::transaction::{GroupInput, Located, Moves, Reached, TransactionFailure, Transactional, Unsettled};
use crate::crash_point::CrashPoint;
use crate::error::BusError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Positions as a list that a transaction takes.
pub(super) fn positions_list(
    cluster: &Cluster,
    topic: &str,
    positions: &BTreeMap<u32, Position>,
) -> Result<TopicPartitionList, KafkaError> {
    let name = cluster.options.prefixed(topic);
    let mut list = TopicPartitionList::new();
    for (partition, Position { offset, provenance }) in positions {
        let mut element = list.add_partition(&name, raw(*partition));
        element.set_offset(Offset::Offset(*offset))?;
        element.set_metadata(provenance.encode());
    }
    Ok(list)
}

/// One transaction under way.
pub(super) struct Attempt<'t> {
    pub(super) of: &'t Transactional,
    pub(super) cluster: &'t Cluster,
    pub(super) records: &'t [Located<'t>],
    pub(super) moves: Option<Moves<'t>>,
}

impl Attempt<'_> {
    /// Everything up to the commit. A commit is only asked for when it is known where each record
    /// lies, so that it can be told afterwards whether the commit took effect.
    pub(super) fn write(&self) -> Result<(), TransactionFailure> {
        CrashPoint::KafkaReady.pass();
        self.begin()?;
        CrashPoint::KafkaBegun.pass();
        self.send_all()?;
        CrashPoint::KafkaProduced.pass();
        if let (Some(Moves { positions, metadata }), Some(group)) = (self.moves, &self.of.group) {
            positions_list(self.cluster, &group.topic, positions)
                .and_then(|list| self.of.send_offsets(list, metadata))
                .map_err(|e| self.failed("move the position in", &e))?;
            CrashPoint::KafkaPositionsSent.pass();
        }
        self.of.producer.flush(self.of.timeout).map_err(|e| self.lost(&e, Reached::Written))?;
        if self.of.producer.context().offsets().contains(&None) {
            return Err(self.not_delivered());
        }
        CrashPoint::KafkaDelivered.pass();
        Ok(())
    }

    /// The failure of a transaction of which not all records were delivered.
    fn not_delivered(&self) -> TransactionFailure {
        match self.denied_cause() {
            Some(denied) => self.refused(denied),
            None => match self.abort() {
                Ok(()) => TransactionFailure::Aborted("not all records were delivered".to_owned()),
                Err(failure) => failure,
            },
        }
    }

    pub(super) fn begin(&self) -> Result<(), TransactionFailure> {
        self.of.producer.context().expect(self.records.len());
        self.of.producer.begin_transaction().map_err(|e| self.lost(&e, Reached::Written))
    }

    pub(super) fn send_all(&self) -> Result<(), TransactionFailure> {
        self.records.iter().enumerate().try_for_each(|(index, record)| self.send(index, record))
    }

    fn send(&self, index: usize, record: &Located<'_>) -> Result<(), TransactionFailure> {
        let Located { write, place } = record;
        let headers =
            write.headers.iter().fold(OwnedHeaders::new_with_capacity(write.headers.len()), |headers, header| {
                headers.insert(Header { key: &header.name, value: Some(&header.value) })
            });
        let topic = self.cluster.options.prefixed(&place.topic);
        let mut message: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(&topic, index).partition(raw(place.partition)).headers(headers);
        message.key = write.key.as_deref();
        message.payload = write.value.as_deref();
        let deadline = Instant::now() + self.of.timeout;
        loop {
            match self.of.producer.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), unsent))
                    if Instant::now() < deadline =>
                {
                    message = unsent;
                    self.of.producer.poll(Duration::from_millis(20));
                }
                Err((error, _)) => {
                    if let Some(denied) = self.denied_cause() {
                        return Err(self.refused(denied));
                    }
                    let refused = backend(format!("cannot write to {}/{}", topic, place.partition), &error);
                    self.abort()?;
                    return Err(TransactionFailure::Refused(refused));
                }
            }
        }
    }

    /// Aborts the transaction and sees it end.
    pub(super) fn abort(&self) -> Result<(), TransactionFailure> {
        self.of.producer.abort_transaction(self.of.timeout).map_err(|e| self.lost(&e, Reached::Written))?;
        let places = self.records.iter().map(|r| r.place.clone()).collect();
        self.cluster
            .await_settled(&places, self.of.timeout * 2)
            .and_then(|()| self.stable_positions().map(drop))
            .map_err(|e| self.cut(e.to_string()))
    }

    /// Waits until the log shows the commit, in every place and in the group.
    pub(super) fn see_commit(&self) -> Result<(), BusError> {
        let mut ends: BTreeMap<Place, i64> = BTreeMap::new();
        for (record, offset) in self.records.iter().zip(self.of.producer.context().offsets()) {
            let end = offset.unwrap_or_default() + 1;
            ends.entry(record.place.clone()).and_modify(|known| *known = end.max(*known)).or_insert(end);
        }
        self.cluster.await_stable_ends(&ends, self.of.timeout * 2)?;
        let Some(Moves { positions: wanted, .. }) = self.moves else { return Ok(()) };
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
        let (Some(Moves { positions, .. }), Some(group)) = (self.moves, &self.of.group) else {
            return Ok(BTreeMap::new());
        };
        self.cluster.stable_positions(&group.group, &group.topic, positions.keys().copied(), self.of.timeout * 2)
    }

    fn left(&self, reached: Reached) -> Box<Unsettled> {
        Box::new(Unsettled {
            records: self.records.iter().cloned().map(Located::into_owned).collect(),
            offsets: self.of.producer.context().offsets(),
            positions: self.moves.map(|moves| moves.positions.clone()).unwrap_or_default(),
            reached,
        })
    }

    pub(super) fn unknown(&self, why: String, reached: Reached) -> TransactionFailure {
        TransactionFailure::Unknown(why, self.left(reached))
    }

    /// It was not committed, and was not seen to end.
    pub(super) fn cut(&self, why: String) -> TransactionFailure {
        self.unknown(why, Reached::Written)
    }

    /// The failure of a call after which the producer is not used any more.
    pub(super) fn lost(&self, error: &KafkaError, reached: Reached) -> TransactionFailure {
        use RDKafkaErrorCode::{Fenced, FencedInstanceId, InvalidProducerEpoch, ProducerFenced};
        let fatal = self.of.producer.client().fatal_error().map(|(code, _)| code);
        let fenced = [error.rdkafka_error_code(), fatal]
            .into_iter()
            .flatten()
            .any(|code| matches!(code, Fenced | ProducerFenced | InvalidProducerEpoch | FencedInstanceId));
        let why = format!("the transaction was cut short ({reached:?}): {error}");
        if fenced { TransactionFailure::Fenced(why, self.left(reached)) } else { self.unknown(why, reached) }
    }

    /// The missing right that made the transaction fail, if that is why it did. What made it fail is
    /// told to whoever asks the producer for something that it cannot do now.
    pub(super) fn denied_cause(&self) -> Option<BusError> {
        let cause = self.of.producer.begin_transaction().err()?;
        self.denied("write to Kafka", &cause)
    }

    /// The error for want of a right, if that is what it is.
    fn denied(&self, doing: &str, error: &KafkaError) -> Option<BusError> {
        error.rdkafka_error_code().filter(|code| is_denied(*code))?;
        let name = |logical: &str| self.cluster.options.prefixed(logical);
        let offsets = self.of.producer.context().offsets();
        let unwritten: BTreeSet<&str> =
            self.records.iter().zip(&offsets).filter(|(_, o)| o.is_none()).map(|(r, _)| &*r.place.topic).collect();
        let mut needed: Vec<Acl> = unwritten.iter().map(|t| Acl::topic(Operation::Write, name(t))).collect();
        if let Some(GroupInput { group, topic }) = &self.of.group {
            needed.push(Acl::group(Operation::Read, name(group)));
            needed.push(Acl::topic(Operation::Read, name(topic)));
        }
        Some(backend_needing(format!("cannot {doing}"), error, &needed))
    }

    /// The failure of a transaction that will never be let through. Where it may not have begun for
    /// the broker it cannot be aborted, and the next producer of this id ends what is left of it.
    pub(super) fn refused(&self, error: BusError) -> TransactionFailure {
        let _ = self.abort();
        TransactionFailure::Refused(error)
    }

    /// The failure of moving a group's position on a topic that it does not read.
    pub(super) fn not_moved(&self, error: &KafkaError, group: &str, topic: &str) -> TransactionFailure {
        if !error.rdkafka_error_code().is_some_and(is_denied) {
            return self.lost(error, Reached::Written);
        }
        let name = |logical: &str| self.cluster.options.prefixed(logical);
        let needed = [Acl::group(Operation::Read, name(group)), Acl::topic(Operation::Read, name(topic))];
        self.refused(backend_needing(format!("cannot move the positions of group {group}"), error, &needed))
    }

    /// The failure of a call before the commit, after which the producer may be usable.
    fn failed(&self, doing: &str, error: &KafkaError) -> TransactionFailure {
        if let Some(denied) = self.denied(&format!("{doing} the transaction"), error) {
            return self.refused(denied);
        }
        match error {
            KafkaError::Transaction(inner) if inner.txn_requires_abort() => match self.abort() {
                Ok(()) => TransactionFailure::Aborted(format!("cannot {doing} the transaction: {error}")),
                Err(failure) => failure,
            },
            _ => self.lost(error, Reached::Written),
        }
    }
}
