//! The bus on Apache Kafka, through librdkafka.
//!
//! A step is one transaction: outputs and the group's positions. Because librdkafka lacks the
//! client side of KIP-890, nothing rests on a transaction whose outcome is not known: the producer
//! is destroyed, a new one fences it, and the stage starts again from what is committed. And because
//! a broker that was killed may lose the end of a transaction that it acknowledged, none is believed
//! before its end was seen in the log; [`protocol::settle`] repairs what is left.

mod access;
pub mod acls;
mod cluster;
mod cluster_port;
mod ends;
mod failure;
mod foreign;
mod in_turn;
mod log;
mod member;
mod messages;
#[cfg(test)]
mod mock_tests;
mod names;
mod options;
mod producer;
mod protocol;
mod reader;
pub mod security;
mod snapshot_file;
mod token;

pub use foreign::ForeignTopic;
pub use options::KafkaOptions;
pub use snapshot_file::stored_states;

use crate::bus::{Bus, Lag, ReadFrom, RecordReader, Source, StageOptions};
use crate::error::BusError;
use crate::stage::StageFactory;
use crate::topic::TopicSpec;
use cluster::Cluster;
use protocol::port::Kafka as _;
use protocol::session::Running;
use protocol::source::{self, KafkaSource};
use std::cell::Cell;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The Kafka bus.
///
/// Static membership: a stage that stops keeps its partitions until the session timeout, so that a
/// restart under the same `instance_id` goes on without a rebalance.
pub struct KafkaBus {
    cluster: Arc<Cluster>,
}

impl KafkaBus {
    /// Connects to the cluster.
    ///
    /// # Errors
    /// When it cannot be reached, it refuses the login, or an option is not one that librdkafka
    /// knows.
    pub fn connect(options: KafkaOptions) -> Result<Self, BusError> {
        if options.security.shows_its_login() {
            tracing::warn!(
                "the login to Kafka goes over the network as it is: set [bus.kafka.security] protocol = \"sasl_ssl\""
            );
        }
        Ok(Self { cluster: Arc::new(Cluster::connect(options)?) })
    }

    fn explained<T>(&self, result: Result<T, BusError>) -> Result<T, BusError> {
        result.map_err(|error| self.cluster.explain(error))
    }
}

impl Bus for KafkaBus {
    fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<(), BusError> {
        self.explained(self.cluster.ensure_topics(topics))
    }

    fn topics(&self) -> Result<Vec<(String, u32)>, BusError> {
        self.explained(self.cluster.topics())
    }

    fn run_stage(
        &self,
        factory: Arc<dyn StageFactory>,
        options: &StageOptions,
        shutdown: &CancellationToken,
    ) -> Result<(), BusError> {
        let (factory, claim) = (factory.as_ref(), Cell::new(None));
        protocol::run_sessions(&Running { kafka: &*self.cluster, factory, options, shutdown, claim })
    }

    fn source(&self, id: &str) -> Result<Box<dyn Source>, BusError> {
        let source = self.explained(KafkaSource::open(Arc::clone(&self.cluster), id))?;
        Ok(Box::new(source))
    }

    fn source_position(&self, id: &str) -> Result<Option<Vec<u8>>, BusError> {
        self.explained(source::position(&*self.cluster, id))
    }

    fn reader(&self, topic: &str, from: ReadFrom) -> Result<Box<dyn RecordReader>, BusError> {
        let reader = self.explained(reader::KafkaReader::open(&self.cluster, topic, None, from))?;
        Ok(Box::new(reader))
    }

    fn partition_reader(&self, topic: &str, partition: u32, from: ReadFrom) -> Result<Box<dyn RecordReader>, BusError> {
        let reader = self.explained(reader::KafkaReader::open(&self.cluster, topic, Some(partition), from))?;
        Ok(Box::new(reader))
    }

    fn lag(&self, group: &str, topic: &str) -> Result<Vec<Lag>, BusError> {
        self.explained(self.cluster.lag(group, topic))
    }
}
