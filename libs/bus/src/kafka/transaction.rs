//! A transactional producer and its one operation: write these records and move these positions,
//! or neither.
//!
//! After a call whose outcome is not known the producer must be destroyed; a new one under the
//! same id makes the broker finish or abort what the old one left (KIP-447, KIP-360; librdkafka
//! has no client side of KIP-890).

use super::cluster::{Cluster, backend, raw};
use super::messages::Reporting;
use crate::error::BusError;
use crate::step::Write;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use std::time::{Duration, Instant};

/// Why a transaction did not take effect, as far as is known.
#[derive(Debug)]
pub(super) enum TransactionFailure {
    /// It was aborted: nothing took effect, and the producer is usable.
    Aborted(String),
    /// A record cannot be written, now or later. It was aborted.
    Refused(BusError),
    /// Another producer has taken over the transactional id, or the broker gave the transaction up.
    Fenced(String),
    /// Whether it took effect is not known; the producer must be destroyed.
    Unknown(String),
}

/// Records with their partitions.
pub(super) struct Located<'a> {
    pub(super) write: &'a Write,
    pub(super) topic: String,
    pub(super) partition: u32,
}

/// Looks up where records go.
pub(super) fn locate<'a>(cluster: &Cluster, writes: &'a [Write]) -> Result<Vec<Located<'a>>, BusError> {
    writes
        .iter()
        .map(|write| {
            let partition = write.partition(cluster.partitions(&write.topic)?);
            Ok(Located { write, topic: cluster.options.prefixed(&write.topic), partition })
        })
        .collect()
}

/// A transactional producer that has fenced those before it.
pub(super) struct Transactional {
    producer: ThreadedProducer<Reporting>,
    timeout: Duration,
}

impl Transactional {
    /// Makes the producer and fences earlier ones of the same id; their open transactions are
    /// aborted before this returns.
    pub(super) fn start(cluster: &Cluster, transactional_id: &str) -> Result<Self, BusError> {
        let context = || format!("cannot start the transactional producer {transactional_id:?}");
        let producer: ThreadedProducer<Reporting> = cluster
            .options
            .producer(transactional_id)
            .create_with_context(Reporting)
            .map_err(|e| backend(context(), &e))?;
        let timeout = cluster.options.transaction_timeout();
        producer.init_transactions(timeout * 2).map_err(|e| backend(context(), &e))?;
        Ok(Self { producer, timeout })
    }

    /// Writes the records and moves the group's positions in one transaction.
    pub(super) fn commit(
        &self,
        records: &[Located<'_>],
        positions: Option<(&TopicPartitionList, &ConsumerGroupMetadata)>,
    ) -> Result<(), TransactionFailure> {
        self.producer.begin_transaction().map_err(|e| self.failed("begin", &e))?;
        for record in records {
            self.send(record)?;
        }
        if let Some((offsets, metadata)) = positions {
            self.producer
                .send_offsets_to_transaction(offsets, metadata, self.timeout)
                .map_err(|e| self.failed("move the position in", &e))?;
        }
        self.producer.commit_transaction(self.timeout).map_err(|e| self.failed("commit", &e))
    }

    fn send(&self, record: &Located<'_>) -> Result<(), TransactionFailure> {
        let Located { write, topic, partition } = record;
        let headers =
            write.headers.iter().fold(OwnedHeaders::new_with_capacity(write.headers.len()), |headers, header| {
                headers.insert(Header { key: &header.name, value: Some(&header.value) })
            });
        let mut message: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).partition(raw(*partition)).headers(headers);
        message.key = write.key.as_deref();
        message.payload = write.value.as_deref();
        let deadline = Instant::now() + self.timeout;
        loop {
            match self.producer.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), unsent))
                    if Instant::now() < deadline =>
                {
                    message = unsent;
                    self.producer.poll(Duration::from_millis(20));
                }
                Err((error, _)) => {
                    let refused = backend(format!("cannot write to {topic}/{partition}"), &error);
                    return Err(match self.abort() {
                        Ok(()) => TransactionFailure::Refused(refused),
                        Err(failure) => failure,
                    });
                }
            }
        }
    }

    fn abort(&self) -> Result<(), TransactionFailure> {
        self.producer.abort_transaction(self.timeout).map_err(|e| match self.fenced(&e) {
            Some(fenced) => fenced,
            None => TransactionFailure::Unknown(format!("cannot abort the transaction: {e}")),
        })
    }

    fn fenced(&self, error: &KafkaError) -> Option<TransactionFailure> {
        use RDKafkaErrorCode::{Fenced, FencedInstanceId, InvalidProducerEpoch, ProducerFenced};
        let fatal = self.producer.client().fatal_error().map(|(code, _)| code);
        [error.rdkafka_error_code(), fatal]
            .into_iter()
            .flatten()
            .any(|code| matches!(code, Fenced | ProducerFenced | InvalidProducerEpoch | FencedInstanceId))
            .then(|| TransactionFailure::Fenced(error.to_string()))
    }

    fn failed(&self, doing: &str, error: &KafkaError) -> TransactionFailure {
        let message = format!("cannot {doing} the transaction: {error}");
        if let Some(fenced) = self.fenced(error) {
            return fenced;
        }
        match error {
            KafkaError::Transaction(inner) if inner.txn_requires_abort() => match self.abort() {
                Ok(()) => TransactionFailure::Aborted(message),
                Err(failure) => failure,
            },
            _ => TransactionFailure::Unknown(message),
        }
    }
}
