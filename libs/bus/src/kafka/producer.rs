//! The transactional producer, through librdkafka.

use super::access::Access;
use super::acls::{Acl, Operation};
use super::cluster::{Cluster, raw};
use super::failure::{backend, backend_needing};
use super::messages::report;
use super::options::KafkaOptions;
use super::protocol::port::{CallFailed, Place, Producer};
use super::protocol::provenance::Position;
use crate::error::BusError;
use crate::wait::answered_within;
use crate::write::Write;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A call that is so much over its own bound will not come back.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(2);

/// Where the records of the transaction under way lie, as the broker reports it.
struct Deliveries {
    offsets: Mutex<Vec<Option<i64>>>,
    access: Arc<Access>,
}

impl Deliveries {
    fn places(&self) -> MutexGuard<'_, Vec<Option<i64>>> {
        self.offsets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expect(&self, records: usize) {
        *self.places() = vec![None; records];
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

/// A producer of the client library.
pub(super) struct ClientProducer {
    producer: Arc<ThreadedProducer<Deliveries>>,
    options: KafkaOptions,
    /// Bound on one call.
    timeout: Duration,
}

impl ClientProducer {
    pub(super) fn start(cluster: &Cluster, transactional_id: &str) -> Result<Self, BusError> {
        let context = || format!("cannot start the transactional producer {transactional_id:?}");
        let producer: ThreadedProducer<Deliveries> = cluster
            .options
            .producer(transactional_id)
            .create_with_context(Deliveries { offsets: Mutex::default(), access: Arc::clone(&cluster.access) })
            .map_err(|e| backend(context(), &e))?;
        let timeout = cluster.options.transaction_timeout();
        let needed = [Acl::transactional_id(Operation::Write, transactional_id.to_owned(), false)];
        producer.init_transactions(timeout * 2).map_err(|e| backend_needing(context(), &e, &needed))?;
        Ok(Self { producer: Arc::new(producer), options: cluster.options.clone(), timeout })
    }

    fn checked<T>(&self, result: KafkaResult<T>) -> Result<T, CallFailed> {
        result.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: KafkaError) -> CallFailed {
        use RDKafkaErrorCode::{Fenced, FencedInstanceId, InvalidProducerEpoch, ProducerFenced};
        let fatal = self.producer.client().fatal_error().map(|(code, _)| code);
        let is_fenced = [error.rdkafka_error_code(), fatal]
            .into_iter()
            .flatten()
            .any(|code| matches!(code, Fenced | ProducerFenced | InvalidProducerEpoch | FencedInstanceId));
        let requires_abort = matches!(&error, KafkaError::Transaction(inner) if inner.txn_requires_abort());
        CallFailed { error, is_fenced, requires_abort }
    }

    fn positions_list(&self, topic: &str, positions: &BTreeMap<u32, Position>) -> KafkaResult<TopicPartitionList> {
        let name = self.options.prefixed(topic);
        let mut list = TopicPartitionList::new();
        for (partition, Position { offset, provenance }) in positions {
            let mut element = list.add_partition(&name, raw(*partition));
            element.set_offset(Offset::Offset(*offset))?;
            element.set_metadata(provenance.encode());
        }
        Ok(list)
    }

    /// librdkafka may never come back from this: when the connection to the group's coordinator ends at the wrong
    /// moment it forgets the call. So it is made on a thread of its own, which is left behind then, and the
    /// producer with it.
    fn send_list(&self, positions: TopicPartitionList, membership: &Arc<ConsumerGroupMetadata>) -> KafkaResult<()> {
        let (producer, membership, timeout) = (Arc::clone(&self.producer), Arc::clone(membership), self.timeout);
        let call = move || {
            let result = producer.send_offsets_to_transaction(&positions, membership.as_ref(), timeout);
            drop(producer);
            result
        };
        answered_within(timeout + FORGOTTEN_AFTER, "bus-positions", call)
            .unwrap_or(Err(KafkaError::MessageProduction(RDKafkaErrorCode::OperationTimedOut)))
    }
}

impl Producer for ClientProducer {
    type Membership = Arc<ConsumerGroupMetadata>;

    fn begin(&self, records: usize) -> Result<(), CallFailed> {
        self.producer.context().expect(records);
        self.checked(self.producer.begin_transaction())
    }

    fn send(&self, index: usize, place: &Place, write: &Write) -> Result<(), CallFailed> {
        let headers =
            write.headers.iter().fold(OwnedHeaders::new_with_capacity(write.headers.len()), |headers, header| {
                headers.insert(Header { key: &header.name, value: Some(header.value.as_slice()) })
            });
        let topic = self.options.prefixed(&place.topic);
        let mut message: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(&topic, index).partition(raw(place.partition)).headers(headers);
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
                Err((error, _)) => return Err(self.failed(error)),
            }
        }
    }

    fn send_positions(
        &self,
        topic: &str,
        positions: &BTreeMap<u32, Position>,
        membership: &Self::Membership,
    ) -> Result<(), CallFailed> {
        self.checked(self.positions_list(topic, positions).and_then(|list| self.send_list(list, membership)))
    }

    fn flush(&self) -> Result<(), CallFailed> {
        self.checked(self.producer.flush(self.timeout))
    }

    fn offsets(&self) -> Vec<Option<i64>> {
        self.producer.context().places().clone()
    }

    fn commit(&self) -> Result<(), CallFailed> {
        self.checked(self.producer.commit_transaction(self.timeout))
    }

    fn abort(&self) -> Result<(), CallFailed> {
        self.checked(self.producer.abort_transaction(self.timeout))
    }

    /// What made it fail is told to whoever asks the producer for something that it cannot do now.
    fn cause(&self) -> Option<KafkaError> {
        self.producer.begin_transaction().err()
    }
}
