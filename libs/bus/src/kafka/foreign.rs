//! A topic of others, on any cluster and with any number of partitions, read from offsets that the caller keeps. It is part
//! of no group and writes nothing.

use super::KafkaOptions;
use super::cluster::Cluster;
use super::in_turn::{InTurn, bytes_of};
use super::log::ClientLog;
use super::protocol::log::CommittedLog;
use crate::error::BusError;
use crate::record::ConsumedRecord;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A partition of which nothing is heard is waited for so long; then the others go on.
const PATIENCE: Duration = Duration::from_secs(10);
/// Records that are given at a time come to about so many bytes at most.
const GIVEN_BYTES_MAX: usize = 16 << 20;

/// A topic of others. Only committed records are seen.
pub struct ForeignTopic {
    cluster: Cluster,
    log: ClientLog,
    topic: String,
    turn: InTurn,
    /// Since when a partition has said nothing while another has records.
    waits_since: Option<Instant>,
}

impl ForeignTopic {
    /// Connects to the cluster. Nothing is read before [`Self::read_from`].
    ///
    /// # Errors
    /// When the cluster cannot be reached, or an option is not one that librdkafka knows.
    pub fn connect(options: KafkaOptions, topic: &str) -> Result<Self, BusError> {
        let cluster = Cluster::connect(options)?;
        let log = ClientLog::open(&cluster, topic)?;
        Ok(Self { cluster, log, topic: topic.to_owned(), turn: InTurn::of(0..0), waits_since: None })
    }

    /// How many partitions it has now.
    ///
    /// # Errors
    /// When it does not exist, or the cluster cannot be asked.
    pub fn partitions(&self) -> Result<u32, BusError> {
        self.cluster.look_up_partitions(&self.topic).map_err(|error| match error {
            BusError::UnknownTopic { topic } => BusError::Backend {
                context: format!("topic {topic:?} at {}", self.cluster.options.bootstrap_servers),
                message: "it does not exist there".to_owned(),
                retryable: true,
            },
            other => self.cluster.access.explain(other),
        })
    }

    /// The oldest offset that a partition still has, and the one that its next record will get.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub fn bounds(&self, partition: u32) -> Result<(i64, i64), BusError> {
        self.log.bounds(partition)
    }

    /// Reads these partitions from these offsets on, and no others; what was read and not given out is forgotten.
    ///
    /// # Errors
    /// When the client refuses.
    pub fn read_from(&mut self, next: &BTreeMap<u32, i64>) -> Result<(), BusError> {
        self.turn = InTurn::of(next.keys().copied());
        self.waits_since = None;
        self.log.assign(next)
    }

    /// Up to `records_max` records, fewer where they are large, waiting at most `wait` for the first: each partition in order,
    /// and all by when they were written, as far as is known.
    ///
    /// # Errors
    /// When the cluster cannot be read. Call [`Self::read_from`] then.
    pub fn poll(&mut self, records_max: usize, wait: Duration) -> Result<Vec<ConsumedRecord>, BusError> {
        let deadline = Instant::now() + wait;
        let (mut records, mut given_bytes) = (Vec::new(), 0);
        while records.len() < records_max && given_bytes < GIVEN_BYTES_MAX {
            if self.may_give()
                && let Some((record, goes_on)) = self.turn.give()
            {
                if goes_on {
                    self.log.hold(record.partition, false)?;
                }
                given_bytes += bytes_of(&record);
                records.push(record);
                continue;
            }
            let left = match records.len() {
                0 => deadline.saturating_duration_since(Instant::now()),
                _ => Duration::ZERO,
            };
            match self.log.poll(left)? {
                Some(event) => {
                    if let Some(partition) = self.turn.take(event) {
                        self.log.hold(partition, true)?;
                    }
                }
                None if !records.is_empty() || Instant::now() >= deadline => break,
                None => {}
            }
        }
        Ok(records)
    }

    fn may_give(&mut self) -> bool {
        if self.turn.is_known() {
            self.waits_since = None;
            return true;
        }
        self.waits_since.get_or_insert_with(Instant::now).elapsed() >= PATIENCE
    }
}
