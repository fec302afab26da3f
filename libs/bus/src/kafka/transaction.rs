//! A transactional producer and its one operation: write these records and move these positions,
//! or neither.
//!
//! A transaction is over when its end was seen in the log, not when the broker says so: the next
//! one of the same producer ends, with its own outcome, whatever the one before left open. A
//! producer whose last transaction was not seen to end is never used again; [`super::settle`] says
//! what is done with what it left.

use super::access::{Access, backend_needing};
use super::acls::{Acl, Operation};
use super::attempt::{Attempt, positions_list};
use super::cluster::{Cluster, backend};
use super::ends::Place;
use super::messages::report;
use super::provenance::Position;
use crate::crash_point::CrashPoint;
use crate::error::BusError;
use crate::step::{Placement, Write};
use rdkafka::TopicPartitionList;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// A call that is so much over its own bound will not come back.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(2);

/// Why a transaction did not take effect, as far as is known.
pub(super) enum TransactionFailure {
    /// It was aborted: nothing took effect, and the producer is usable.
    Aborted(String),
    /// A record cannot be written, now or later. It was aborted.
    Refused(BusError),
    /// Another producer has taken over the transactional id, or the broker gave the transaction up.
    Fenced(String, Box<Unsettled>),
    /// Whether it took effect is not known; the producer must be destroyed.
    Unknown(String, Box<Unsettled>),
}

/// How far a transaction came, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// The broker was never asked to commit it, so it did not take effect.
    Written,
    /// The broker was asked to commit it.
    CommitAsked,
    /// It took effect in part, so it must in whole.
    Committed,
}

/// A transaction whose end was not seen in the log.
pub(super) struct Unsettled {
    pub(super) records: Vec<Located<'static>>,
    /// Where each of the records lies, as far as is known.
    pub(super) offsets: Vec<Option<i64>>,
    pub(super) positions: BTreeMap<u32, Position>,
    pub(super) reached: Reached,
}

/// A record with its partition.
#[derive(Clone)]
pub(super) struct Located<'a> {
    pub(super) write: Cow<'a, Write>,
    pub(super) place: Place,
}

impl Located<'_> {
    pub(super) fn into_owned(self) -> Located<'static> {
        Located { write: Cow::Owned(self.write.into_owned()), place: self.place }
    }
}

/// Looks up where records go.
pub(super) fn locate<'a>(cluster: &Cluster, writes: &'a [Write]) -> Result<Vec<Located<'a>>, BusError> {
    writes
        .iter()
        .map(|write| {
            let partition = write.partition(cluster.partitions(&write.topic)?);
            Ok(Located { write: Cow::Borrowed(write), place: Place { topic: write.topic.clone(), partition } })
        })
        .collect()
}

/// The group whose positions a stage's transactions move, and the topic that it reads.
#[derive(Clone)]
pub(super) struct GroupInput {
    pub(super) group: String,
    pub(super) topic: String,
}

/// New positions, with the right to move them.
#[derive(Clone, Copy)]
pub(super) struct Moves<'a> {
    pub(super) positions: &'a BTreeMap<u32, Position>,
    pub(super) metadata: &'a Arc<ConsumerGroupMetadata>,
}

/// Where the records of the transaction under way lie, as the broker reports it.
pub(super) struct Deliveries {
    offsets: Mutex<Vec<Option<i64>>>,
    access: Arc<Access>,
}

impl Deliveries {
    fn places(&self) -> MutexGuard<'_, Vec<Option<i64>>> {
        self.offsets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn expect(&self, records: usize) {
        *self.places() = vec![None; records];
    }

    pub(super) fn offsets(&self) -> Vec<Option<i64>> {
        self.places().clone()
    }
}

impl ClientContext for Deliveries {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn error(&self, error: KafkaError, reason: &str) {
        report(&error, reason);
        self.access.heard(&error, reason);
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.access.token()
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        if let Ok(message) = result
            && message.offset() >= 0
            && let Some(offset) = self.places().get_mut(index)
        {
            *offset = Some(message.offset());
        }
    }
}

/// A transactional producer that has fenced those before it.
pub(super) struct Transactional {
    pub(super) producer: Arc<ThreadedProducer<Deliveries>>,
    /// Bound on one call.
    pub(super) timeout: Duration,
    pub(super) group: Option<GroupInput>,
}

impl Transactional {
    /// Makes the producer and fences earlier ones of the same id; the broker has ended their
    /// transactions when this returns, whether or not that can be seen in the log.
    pub(super) fn start(
        cluster: &Cluster,
        transactional_id: &str,
        group: Option<GroupInput>,
    ) -> Result<Self, BusError> {
        let context = || format!("cannot start the transactional producer {transactional_id:?}");
        let producer: ThreadedProducer<Deliveries> = cluster
            .options
            .producer(transactional_id)
            .create_with_context(Deliveries { offsets: Mutex::default(), access: Arc::clone(&cluster.access) })
            .map_err(|e| backend(context(), &e))?;
        let timeout = cluster.options.transaction_timeout();
        let needed = [Acl::transactional_id(Operation::Write, transactional_id.to_owned(), false)];
        producer.init_transactions(timeout * 2).map_err(|e| backend_needing(context(), &e, &needed))?;
        Ok(Self { producer: Arc::new(producer), timeout, group })
    }

    /// Writes the records and moves the group's positions in one transaction, and sees it end.
    pub(super) fn commit(
        &self,
        cluster: &Cluster,
        records: &[Located<'_>],
        moves: Option<Moves<'_>>,
    ) -> Result<(), TransactionFailure> {
        let attempt = Attempt { of: self, cluster, records, moves };
        attempt.write()?;
        self.producer.commit_transaction(self.timeout).map_err(|e| attempt.lost(&e, Reached::CommitAsked))?;
        CrashPoint::KafkaCommitted.pass();
        attempt.see_commit().map_err(|e| attempt.unknown(e.to_string(), Reached::CommitAsked))?;
        CrashPoint::KafkaCommitSeen.pass();
        Ok(())
    }

    /// Makes positions part of the open transaction. librdkafka may never come back from this: when
    /// the connection to the group's coordinator ends at the wrong moment it forgets the call. So it
    /// is made on a thread of its own, which is left behind then, and the producer with it.
    pub(super) fn send_offsets(
        &self,
        positions: TopicPartitionList,
        metadata: &Arc<ConsumerGroupMetadata>,
    ) -> Result<(), KafkaError> {
        let (producer, metadata, timeout) = (Arc::clone(&self.producer), Arc::clone(metadata), self.timeout);
        let (done, outcome) = sync_channel(1);
        let call = move || {
            let result = producer.send_offsets_to_transaction(&positions, metadata.as_ref(), timeout);
            drop(producer);
            drop(done.send(result));
        };
        let forgotten = || KafkaError::MessageProduction(RDKafkaErrorCode::OperationTimedOut);
        thread::Builder::new().name("bus-positions".to_owned()).spawn(call).map_err(|_| forgotten())?;
        outcome.recv_timeout(timeout + FORGOTTEN_AFTER).unwrap_or_else(|_| Err(forgotten()))
    }

    /// Commits the position of a group without members on partition 0 of a topic, and nothing else.
    pub(super) fn commit_position(
        &self,
        cluster: &Cluster,
        group: &str,
        topic: &str,
        offset: i64,
    ) -> Result<(), TransactionFailure> {
        let attempt = Attempt { of: self, cluster, records: &[], moves: None };
        let metadata = cluster.metadata_of_no_member(group).map_err(|e| attempt.cut(e.to_string()))?;
        attempt.begin()?;
        positions_list(cluster, topic, &BTreeMap::from([(0, Position { offset, ..Position::default() })]))
            .and_then(|list| self.send_offsets(list, &metadata))
            .map_err(|e| attempt.lost(&e, Reached::Written))?;
        self.producer.commit_transaction(self.timeout).map_err(|e| attempt.lost(&e, Reached::CommitAsked))
    }

    /// Ends without effect whatever earlier producers of this id left open in these places, and in
    /// the group when it is told to: a transaction that goes there too is aborted.
    pub(super) fn close(
        &self,
        cluster: &Cluster,
        places: &BTreeSet<Place>,
        with_group: bool,
    ) -> Result<(), TransactionFailure> {
        let group = self.group.as_ref().filter(|_| with_group);
        if places.is_empty() && group.is_none() {
            return Ok(());
        }
        let writes: Vec<Write> = places.iter().map(Write::visit).collect();
        let records: Vec<Located<'_>> = places
            .iter()
            .zip(&writes)
            .map(|(place, write)| Located { write: Cow::Borrowed(write), place: place.clone() })
            .collect();
        let attempt = Attempt { of: self, cluster, records: &records, moves: None };
        attempt.begin()?;
        attempt.send_all()?;
        if let Some(GroupInput { group, topic }) = group {
            let metadata = cluster.metadata_of_no_member(group).map_err(|e| attempt.cut(e.to_string()))?;
            let visited =
                positions_list(cluster, &crate::dlq::dlq_topic(topic), &BTreeMap::from([(0, Position::default())]));
            visited
                .and_then(|visited| self.send_offsets(visited, &metadata))
                .map_err(|e| attempt.not_moved(&e, group, &crate::dlq::dlq_topic(topic)))?;
        }
        self.producer.flush(self.timeout).map_err(|e| attempt.lost(&e, Reached::Written))?;
        if let Some(denied) = attempt.denied_cause() {
            return Err(attempt.refused(denied));
        }
        attempt.abort()?;
        if let Some(GroupInput { group, topic }) = group {
            cluster
                .stable_positions(group, &crate::dlq::dlq_topic(topic), [0], self.timeout * 2)
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
