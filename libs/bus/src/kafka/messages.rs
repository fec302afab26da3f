//! Reading committed records of given partitions, part of no group.
//!
//! A leader that has just taken over may for a moment serve less than is committed: it learns late
//! how far its predecessor's word went. What it then says is the end is not believed before the end
//! that was asked for: missing a committed record would lose or repeat others.

use super::access::{Access, backend_needing, is_denied};
use super::acls::{Acl, Operation};
use super::cluster::{Cluster, READERS, backend, raw};
use super::options::ConsumerUse;
use crate::error::BusError;
use crate::record::{ConsumedRecord, Header};
use crate::wait::asked_again;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A message as the bus has it, under the topic's logical name.
pub(super) fn consumed(topic: &Arc<str>, message: &BorrowedMessage<'_>) -> ConsumedRecord {
    let headers = message.headers().map(|headers| {
        let header = |h: rdkafka::message::Header<'_, &[u8]>| Header {
            name: h.key.to_owned(),
            value: h.value.unwrap_or_default().to_vec(),
        };
        headers.iter().map(header).collect()
    });
    ConsumedRecord {
        topic: Arc::clone(topic),
        partition: u32::try_from(message.partition()).unwrap_or_default(),
        offset: message.offset(),
        appended_at_ms: message.timestamp().to_millis().unwrap_or_default(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
    }
}

/// Whether the connection mends such an error by itself.
pub(super) fn passes_by_itself(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::CoordinatorLoadInProgress
                | RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::RequestTimedOut
        )
    )
}

/// Logs an error of a client, as loudly as it deserves.
pub(super) fn report(error: &KafkaError, reason: &str) {
    if passes_by_itself(error) || error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
        tracing::debug!(%error, reason, "Kafka client");
    } else {
        tracing::warn!(%error, reason, "Kafka client");
    }
}

/// Context of the clients that need no callbacks of their own.
pub(super) struct Reporting {
    access: Arc<Access>,
    asked_for_token: AtomicBool,
    /// What was refused for want of a right since it was last asked for.
    denied: Mutex<Option<RDKafkaErrorCode>>,
}

impl Reporting {
    pub(super) fn new(access: &Arc<Access>) -> Self {
        Self { access: Arc::clone(access), asked_for_token: AtomicBool::new(false), denied: Mutex::default() }
    }

    /// Takes in what the client said when it was polled. It says only once that it has no right to know
    /// a coordinator, and goes on asking, so the call that needs it only runs out of time.
    pub(super) fn polled(&self, error: &KafkaError) {
        if let Some(code) = error.rdkafka_error_code().filter(|code| is_denied(*code)) {
            *self.denied.lock().unwrap_or_else(PoisonError::into_inner) = Some(code);
        }
    }

    /// The refusal that it heard of since it was last asked, if any.
    fn take_denied(&self) -> Option<RDKafkaErrorCode> {
        self.denied.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Why a call of the client failed: a refusal that it heard of since, or the call's own error.
    pub(super) fn cause(&self, error: KafkaError) -> KafkaError {
        self.take_denied().map_or(error, KafkaError::OffsetFetch)
    }
}

impl ClientContext for Reporting {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn error(&self, error: KafkaError, reason: &str) {
        report(&error, reason);
        self.access.heard(&error, reason);
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.asked_for_token.store(true, Ordering::Relaxed);
        self.access.token()
    }
}

impl ConsumerContext for Reporting {}

impl ProducerContext for Reporting {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// An end that lies before the one that was asked for is asked for again after this long without a record, and
/// believed when it comes again: compaction and retention leave such gaps. Silence alone tells nothing; it may
/// be the network's.
const GAP_AFTER: Duration = Duration::from_secs(2);

/// What was heard of an end that lies before the one that was asked for.
enum EarlyEnd {
    Unheard,
    HeardAt(Instant),
    AskedAgain,
}

/// One event of a log.
pub(super) enum LogEvent {
    /// A committed record.
    Record(ConsumedRecord),
    /// The end of the partition's committed records.
    End(u32),
}

/// A client gets its first token when it is polled; without one its calls only wait.
const TOKEN_WITHIN: Duration = Duration::from_secs(1);

/// Committed records of some partitions of one topic.
pub(super) struct CommittedLog {
    consumer: BaseConsumer<Reporting>,
    topic: Arc<str>,
    name: String,
    needed: [Acl; 2],
    request_timeout: Duration,
}

impl CommittedLog {
    pub(super) fn open(cluster: &Cluster, topic: &str) -> Result<Self, BusError> {
        let options = &cluster.options;
        let config = options.consumer(&options.prefixed(READERS), ConsumerUse::Committed);
        let consumer: BaseConsumer<Reporting> = config
            .create_with_context(Reporting::new(&cluster.access))
            .map_err(|e| backend(format!("cannot make a reader of {topic:?}"), &e))?;
        if cluster.access.has_token() {
            let deadline = Instant::now() + TOKEN_WITHIN;
            while !consumer.context().asked_for_token.load(Ordering::Relaxed) && Instant::now() < deadline {
                if let Some(Err(error)) = consumer.poll(Duration::from_millis(10)) {
                    consumer.context().polled(&error);
                }
            }
        }
        let needed = [
            Acl::topic(Operation::Read, options.prefixed(topic)),
            Acl::group(Operation::Describe, options.prefixed(READERS)),
        ];
        let (topic, name) = (Arc::from(topic), options.prefixed(topic));
        Ok(Self { consumer, topic, name, needed, request_timeout: options.request_timeout })
    }

    /// Lets the client do what it does when it is polled (renew its token). Nothing must be assigned.
    ///
    /// # Errors
    /// When a right is missing.
    pub(super) fn tend(&self) -> Result<(), BusError> {
        let context = self.consumer.context();
        if let Some(Err(error)) = self.consumer.poll(Duration::ZERO) {
            context.polled(&error);
        }
        match context.take_denied() {
            Some(code) => Err(self.error(&KafkaError::MessageConsumption(code))),
            None => Ok(()),
        }
    }

    fn error(&self, error: &KafkaError) -> BusError {
        let error = backend_needing(format!("cannot read topic {:?}", self.topic), error, &self.needed);
        self.consumer.context().access.explain(error)
    }

    /// Reads these partitions from these offsets from now on, and no others.
    pub(super) fn assign(&self, from: impl IntoIterator<Item = (u32, i64)>) -> Result<(), BusError> {
        let mut partitions = TopicPartitionList::new();
        for (partition, offset) in from {
            partitions
                .add_partition_offset(&self.name, raw(partition), Offset::Offset(offset))
                .map_err(|e| self.error(&e))?;
        }
        self.consumer.assign(&partitions).map_err(|e| self.error(&e))
    }

    /// The next event, if one comes within `wait`.
    pub(super) fn poll(&self, wait: Duration) -> Result<Option<LogEvent>, BusError> {
        match self.consumer.poll(wait) {
            None => Ok(None),
            Some(Ok(message)) => Ok(Some(LogEvent::Record(consumed(&self.topic, &message)))),
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                Ok(Some(LogEvent::End(u32::try_from(partition).unwrap_or_default())))
            }
            Some(Err(error)) if passes_by_itself(&error) => Ok(None),
            Some(Err(error)) => Err(self.error(&error)),
        }
    }

    /// Oldest offset, and end of the committed records, of a partition.
    pub(super) fn bounds(&self, partition: u32) -> Result<(i64, i64), BusError> {
        asked_again(self.request_timeout, || {
            self.consumer.fetch_watermarks(&self.name, raw(partition), self.request_timeout).map_err(|e| {
                // Only looking the topic up makes the client learn of new leaders.
                drop(self.consumer.fetch_metadata(Some(&self.name), self.request_timeout));
                self.error(&e)
            })
        })
    }

    /// Whether the record at this offset is committed. The partition must be settled up to behind it.
    pub(super) fn holds(&self, partition: u32, offset: i64) -> Result<bool, BusError> {
        let mut found = false;
        self.each_until(partition, offset, offset + 1, |_| {
            found = true;
            Ok(())
        })?;
        Ok(found)
    }

    /// Hands over a partition's records from `from` up to `until`, in order.
    pub(super) fn each_until(
        &self,
        partition: u32,
        from: i64,
        until: i64,
        mut each: impl FnMut(ConsumedRecord) -> Result<(), BusError>,
    ) -> Result<(), BusError> {
        let from = from.max(self.bounds(partition)?.0);
        if from >= until {
            return Ok(());
        }
        self.assign([(partition, from)])?;
        let mut heard = Instant::now();
        let mut early_end = EarlyEnd::Unheard;
        loop {
            match self.poll(Duration::from_millis(100))? {
                Some(LogEvent::Record(record)) if record.offset < until => {
                    early_end = EarlyEnd::Unheard;
                    each(record)?;
                }
                Some(LogEvent::Record(_)) => break,
                Some(LogEvent::End(ended)) if ended == partition => {
                    if self.reached(partition, from)? >= until || matches!(early_end, EarlyEnd::AskedAgain) {
                        break;
                    }
                    early_end = EarlyEnd::HeardAt(Instant::now());
                }
                Some(LogEvent::End(_)) => {}
                None => {
                    if matches!(early_end, EarlyEnd::HeardAt(at) if at.elapsed() > GAP_AFTER) {
                        self.assign([(partition, self.reached(partition, from)?)])?;
                        early_end = EarlyEnd::AskedAgain;
                    }
                    if heard.elapsed() > self.request_timeout * 3 {
                        let context = format!("cannot read {}/{partition} from {from} to {until}", self.topic);
                        let message = "Kafka sends nothing".to_owned();
                        return Err(BusError::Backend { context, message, retryable: true });
                    }
                    continue;
                }
            }
            heard = Instant::now();
        }
        self.assign([])
    }

    /// Offset up to which a partition was read, markers included; `from` when nothing was.
    fn reached(&self, partition: u32, from: i64) -> Result<i64, BusError> {
        let positions = self.consumer.position().map_err(|e| self.error(&e))?;
        match positions.find_partition(&self.name, raw(partition)).map(|element| element.offset()) {
            Some(Offset::Offset(reached)) => Ok(reached.max(from)),
            _ => Ok(from),
        }
    }

    /// Of these positions, those with nothing but transaction markers up to the end of the
    /// committed records; with that end.
    ///
    /// The end is asked for first and the log read after that, so that a record written in
    /// between is either seen, or lies behind the end that is returned.
    pub(super) fn ends_behind_markers(&self, positions: &BTreeMap<u32, i64>) -> Result<BTreeMap<u32, i64>, BusError> {
        let mut ends = BTreeMap::new();
        for (partition, position) in positions {
            let (_, end) = self.bounds(*partition)?;
            if end > *position {
                ends.insert(*partition, end);
            }
        }
        if ends.is_empty() {
            return Ok(ends);
        }
        self.assign(ends.keys().map(|p| (*p, positions[p])))?;
        let deadline = Instant::now() + GAP_AFTER;
        let mut open: Vec<u32> = ends.keys().copied().collect();
        while !open.is_empty() && Instant::now() < deadline {
            match self.poll(Duration::from_millis(100))? {
                Some(LogEvent::Record(record)) => {
                    if ends.get(&record.partition).is_some_and(|end| record.offset < *end) {
                        ends.remove(&record.partition);
                    }
                    open.retain(|p| *p != record.partition);
                }
                Some(LogEvent::End(partition)) => {
                    if let (Some(end), Some(from)) = (ends.get(&partition), positions.get(&partition))
                        && self.reached(partition, *from)? >= *end
                    {
                        open.retain(|p| *p != partition);
                    }
                }
                None => {}
            }
        }
        ends.retain(|partition, _| !open.contains(partition));
        self.assign([])?;
        Ok(ends)
    }
}
