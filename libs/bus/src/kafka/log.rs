//! Committed records of given partitions, through librdkafka.

use super::acls::{Acl, Operation};
use super::cluster::{Cluster, raw};
use super::failure::{backend, backend_needing};
use super::messages::{Reporting, consumed, passes_by_itself};
use super::names::READERS;
use super::options::ConsumerUse;
use super::protocol::log::{CommittedLog, LogEvent};
use crate::error::BusError;
use crate::wait::asked_again;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A client gets its first token when it is polled; without one its calls only wait.
const TOKEN_WITHIN: Duration = Duration::from_secs(1);

/// Committed records of some partitions of one topic, read by a client of their own.
pub(super) struct ClientLog {
    consumer: BaseConsumer<Reporting>,
    topic: Arc<str>,
    name: String,
    needed: [Acl; 2],
    request_timeout: Duration,
}

impl ClientLog {
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

    /// Stops reading one of the partitions, or goes on with it where it stopped.
    pub(super) fn hold(&self, partition: u32, is_held: bool) -> Result<(), BusError> {
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition(&self.name, raw(partition));
        let held = if is_held { self.consumer.pause(&partitions) } else { self.consumer.resume(&partitions) };
        held.map_err(|e| self.error(&e))
    }

    fn error(&self, error: &KafkaError) -> BusError {
        let error = backend_needing(format!("cannot read topic {:?}", self.topic), error, &self.needed);
        self.consumer.context().access.explain(error)
    }
}

impl CommittedLog for ClientLog {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    fn tend(&self) -> Result<(), BusError> {
        let context = self.consumer.context();
        if let Some(Err(error)) = self.consumer.poll(Duration::ZERO) {
            context.polled(&error);
        }
        match context.take_denied() {
            Some(code) => Err(self.error(&KafkaError::MessageConsumption(code))),
            None => Ok(()),
        }
    }

    fn assign(&self, from: &BTreeMap<u32, i64>) -> Result<(), BusError> {
        let mut partitions = TopicPartitionList::new();
        for (partition, offset) in from {
            partitions
                .add_partition_offset(&self.name, raw(*partition), Offset::Offset(*offset))
                .map_err(|e| self.error(&e))?;
        }
        self.consumer.assign(&partitions).map_err(|e| self.error(&e))
    }

    fn poll(&self, wait: Duration) -> Result<Option<LogEvent>, BusError> {
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

    fn bounds(&self, partition: u32) -> Result<(i64, i64), BusError> {
        asked_again(self.request_timeout, || {
            self.consumer.fetch_watermarks(&self.name, raw(partition), self.request_timeout).map_err(|e| {
                // Only looking the topic up makes the client learn of new leaders.
                drop(self.consumer.fetch_metadata(Some(&self.name), self.request_timeout));
                self.error(&e)
            })
        })
    }

    fn position(&self, partition: u32) -> Result<Option<i64>, BusError> {
        let positions = self.consumer.position().map_err(|e| self.error(&e))?;
        match positions.find_partition(&self.name, raw(partition)).map(|element| element.offset()) {
            Some(Offset::Offset(reached)) => Ok(Some(reached)),
            _ => Ok(None),
        }
    }
}
