//! A topic as others have it: with any number of partitions, written by a plain producer without keys, headers and
//! transactions.

use crate::conformance::fixture::until;
use prescale_bus::kafka::{KafkaBus, KafkaOptions};
use prescale_bus::{Bus, Cleanup, TopicSpec};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const CALL_TIMEOUT: Duration = Duration::from_secs(30);
const RETENTION_MS: i64 = 86_400_000;

/// A topic of others.
pub struct PlainTopic {
    servers: String,
    name: String,
    producer: BaseProducer,
}

impl PlainTopic {
    /// Makes the topic.
    ///
    /// # Panics
    /// When the cluster does not answer.
    pub fn make(servers: &str, name: &str, partitions: u32) -> Self {
        let options = KafkaOptions { bootstrap_servers: servers.to_owned(), ..KafkaOptions::default() };
        let cleanup = Cleanup::Delete { retention_ms: RETENTION_MS };
        let spec = TopicSpec { name: name.to_owned(), partitions, replication: 1, cleanup };
        let bus = KafkaBus::connect(options).expect("the cluster answers");
        bus.ensure_topics(&[spec]).expect("the topic is made");
        let producer = Self::client(servers).create().expect("a producer is made");
        Self { servers: servers.to_owned(), name: name.to_owned(), producer }
    }

    fn client(servers: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", servers).set("topic.metadata.refresh.interval.ms", "500");
        config
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives it more partitions, `partitions` in all.
    ///
    /// # Panics
    /// When the cluster refuses.
    pub fn grow(&self, partitions: usize) {
        let admin: AdminClient<DefaultClientContext> = Self::client(&self.servers).create().expect("a client is made");
        let (asked, options) = ([NewPartitions::new(&self.name, partitions)], AdminOptions::new());
        let mut answered = pin!(admin.create_partitions(&asked, &options));
        let mut context = Context::from_waker(Waker::noop());
        let results = until("the partitions to be added", || match answered.as_mut().poll(&mut context) {
            Poll::Ready(results) => Some(results.expect("the cluster answers")),
            Poll::Pending => None,
        });
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }

    /// Writes these messages to these partitions, and is back when they are there.
    ///
    /// # Panics
    /// When the cluster does not take them.
    pub fn write(&self, messages: impl IntoIterator<Item = (i32, String)>) {
        for (partition, message) in messages {
            until("room for a message", || {
                let record: BaseRecord<'_, (), str> =
                    BaseRecord::to(&self.name).partition(partition).payload(message.as_str());
                let sent = self.producer.send(record);
                self.producer.poll(Duration::ZERO);
                sent.is_ok().then_some(())
            });
        }
        self.producer.flush(CALL_TIMEOUT).expect("the messages are written");
    }
}
