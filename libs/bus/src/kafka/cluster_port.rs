//! The cluster as the protocol asks it, through the clients of librdkafka.

use super::cluster::{Cluster, raw};
use super::log::ClientLog;
use super::member::{ClientMember, share_out_again};
use super::names::READERS;
use super::options::KafkaOptions;
use super::producer::ClientProducer;
use super::protocol::port::{Kafka, Place};
use super::protocol::provenance::Position;
use super::snapshot_file::SnapshotFiles;
use crate::bus::Lag;
use crate::error::BusError;
use crate::wait::{Pauses, cancelled_within};
use rdkafka::consumer::{Consumer, ConsumerGroupMetadata};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

impl Kafka for Cluster {
    type Membership = Arc<ConsumerGroupMetadata>;
    type Producer = ClientProducer;
    type Member = ClientMember;
    type Log = ClientLog;
    type Snapshots = SnapshotFiles;

    fn options(&self) -> &KafkaOptions {
        &self.options
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn unix_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or_default()
    }

    fn pause(&self, pauses: &mut Pauses) {
        pauses.pause();
    }

    fn cancelled_within(&self, shutdown: &CancellationToken, at_most: Duration) -> bool {
        cancelled_within(shutdown, at_most)
    }

    fn explain(&self, error: BusError) -> BusError {
        self.access.explain(error)
    }

    fn explain_text(&self, text: String) -> String {
        self.access.explain_text(text)
    }

    fn partitions(&self, topic: &str) -> Result<u32, BusError> {
        self.known_partitions(topic)
    }

    fn partitions_now(&self, topic: &str) -> Result<u32, BusError> {
        self.look_up_partitions(topic)
    }

    fn ends(&self, places: &BTreeSet<Place>) -> Result<BTreeMap<Place, i64>, BusError> {
        self.ends_seen_by(&*self.inspector(READERS)?, places)
    }

    fn stable_ends(&self, places: &BTreeSet<Place>) -> Result<BTreeMap<Place, i64>, BusError> {
        self.ends_seen_by(&*self.committed_inspector(READERS)?, places)
    }

    fn stable_positions(
        &self,
        group: &str,
        topic: &str,
        partitions: &[u32],
        at_most: Duration,
    ) -> Result<BTreeMap<u32, Position>, BusError> {
        self.positions_seen_by(&*self.committed_inspector(group)?, group, topic, partitions, at_most)
    }

    fn positions(&self, group: &str, topic: &str, partitions: &[u32]) -> Result<BTreeMap<u32, Position>, BusError> {
        let at_most = self.options.request_timeout;
        self.positions_seen_by(&*self.inspector(group)?, group, topic, partitions, at_most)
    }

    fn membership_of_none(&self, group: &str) -> Result<Self::Membership, BusError> {
        self.committed_inspector(group)?.group_metadata().map(Arc::new).ok_or_else(|| BusError::Backend {
            context: format!("cannot move the positions of group {group}"),
            message: "the consumer has no group metadata".to_owned(),
            retryable: true,
        })
    }

    /// At rest nothing is open, and the lag is exactly 0.
    fn lag(&self, group: &str, topic: &str) -> Result<Vec<Lag>, BusError> {
        let partitions = self.look_up_partitions(topic)?;
        let name = self.options.prefixed(topic);
        let mut asked = TopicPartitionList::new();
        for partition in 0..partitions {
            asked.add_partition(&name, raw(partition));
        }
        let committed = self
            .inspector(group)?
            .committed_offsets(asked, self.options.request_timeout)
            .map_err(|e| self.positions_error(group, topic, &e))?;
        (0..partitions)
            .map(|partition| {
                let (oldest, end) = self.bounds(topic, partition)?;
                let position = match committed.find_partition(&name, raw(partition)).map(|e| e.offset()) {
                    Some(Offset::Offset(position)) => position,
                    _ => oldest,
                };
                Ok(Lag { topic: topic.to_owned(), partition, position, end })
            })
            .collect()
    }

    fn producer(&self, transactional_id: &str) -> Result<Self::Producer, BusError> {
        ClientProducer::start(self, transactional_id)
    }

    fn join(&self, group: &str, topic: &str) -> Result<Self::Member, BusError> {
        ClientMember::join(self, group, topic)
    }

    fn open_log(&self, topic: &str) -> Result<Self::Log, BusError> {
        ClientLog::open(self, topic)
    }

    fn snapshots(&self, group: &str, topic: &str, state_schema: String) -> Result<Self::Snapshots, BusError> {
        let (id, group, topic) = (self.cluster_id()?, self.options.prefixed(group), self.options.prefixed(topic));
        Ok(SnapshotFiles::new(&self.options.state_dir, &id, &group, &topic, state_schema))
    }

    fn share_out_again(&self, group: &str, topic: &str) -> Result<(), BusError> {
        share_out_again(self, group, topic)
    }
}
