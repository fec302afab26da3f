//! The bus on Apache Kafka, through librdkafka.
//!
//! A step is one transaction: outputs and the group's positions. Because librdkafka lacks the
//! client side of KIP-890, nothing rests on a transaction whose outcome is not known: the producer
//! is destroyed, a new one fences it, and the stage starts again from what is committed. And because
//! a broker that was killed may lose the end of a transaction that it acknowledged, none is believed
//! before its end was seen in the log; [`settle`] repairs what is left.

mod access;
pub mod acls;
mod attempt;
mod claim;
mod cluster;
mod ends;
mod member;
mod messages;
#[cfg(test)]
mod mock_tests;
mod options;
mod provenance;
mod reader;
pub mod security;
mod session;
mod settle;
mod snapshot_file;
mod source;
mod token;
mod transaction;

pub use options::KafkaOptions;

use crate::bus::{Bus, Lag, ReadFrom, RecordReader, Source, StageOptions};
use crate::error::BusError;
use crate::stage::StageFactory;
use crate::topic::TopicSpec;
use crate::wait::cancelled_within;
use cluster::Cluster;
use session::{Running, Session, SessionEnd};
use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};
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
        result.map_err(|error| self.cluster.access.explain(error))
    }
}

/// Runs sessions until the shutdown, one after the other.
fn run_sessions(running: &Running<'_>) -> Result<(), BusError> {
    const FIRST_PAUSE: Duration = Duration::from_millis(100);
    let stage = running.factory.name();
    let mut last_progress = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut unsettled = None;
    loop {
        let end = match Session::start(running, &mut unsettled) {
            Err(error) => SessionEnd::from(error),
            Ok(mut session) => {
                let end = session.run();
                unsettled = session.unsettled.take();
                if session.steps > 0 {
                    last_progress = Instant::now();
                    pause = FIRST_PAUSE;
                }
                match end {
                    Ok(()) => return Ok(()),
                    Err(end) => end,
                }
            }
        };
        let access = &running.cluster.access;
        let why = match end {
            SessionEnd::Failed(error) => return Err(access.explain(error)),
            SessionEnd::Reconnect(why) => access.explain_text(why),
        };
        if last_progress.elapsed() > running.cluster.options.retry_for {
            let context = format!("stage {stage} cannot work on Kafka");
            return Err(BusError::Backend { context, message: why, retryable: true });
        }
        metrics::counter!("prescale_bus_reconnects_total", "stage" => stage).increment(1);
        tracing::warn!(stage, why, "connecting anew and starting from what is committed");
        if cancelled_within(running.shutdown, pause) {
            return Ok(());
        }
        pause = (pause * 2).min(Duration::from_secs(5));
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
        run_sessions(&Running { cluster: &self.cluster, factory, options, shutdown, claim })
    }

    fn source(&self, id: &str) -> Result<Box<dyn Source>, BusError> {
        let source = self.explained(source::KafkaSource::open(Arc::clone(&self.cluster), id))?;
        Ok(Box::new(source))
    }

    fn source_position(&self, id: &str) -> Result<Option<Vec<u8>>, BusError> {
        self.explained(source::position(&self.cluster, id))
    }

    fn reader(&self, topic: &str, from: ReadFrom) -> Result<Box<dyn RecordReader>, BusError> {
        let reader = self.explained(reader::KafkaReader::open(&self.cluster, topic, from))?;
        Ok(Box::new(reader))
    }

    fn lag(&self, group: &str, topic: &str) -> Result<Vec<Lag>, BusError> {
        self.explained(self.cluster.lag(group, topic))
    }
}
