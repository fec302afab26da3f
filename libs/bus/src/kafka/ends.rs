//! Where logs end: all that was written, and how far of it is settled. Must not know why one asks.
//!
//! A log's stable end lies before the first record of the oldest transaction whose marker is not in
//! the log yet. It tells what readers can see, and it is the only word that counts: a broker says
//! that a transaction is over before its markers are written, and may lose them
//! ([`super::settle`]).

use super::cluster::{Cluster, Inspector, READERS, backend, raw};
use super::provenance::{Position, Provenance};
use crate::error::BusError;
use crate::wait::{Pauses, asked_again};
use rdkafka::consumer::{Consumer, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One partition of one topic, under the topic's logical name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) topic: Arc<str>,
    pub(super) partition: u32,
}

impl Cluster {
    /// All partitions of a topic.
    pub(super) fn places(&self, topic: &str) -> Result<BTreeSet<Place>, BusError> {
        let topic: Arc<str> = Arc::from(topic);
        let partitions = self.partitions(&topic)?;
        Ok((0..partitions).map(|partition| Place { topic: Arc::clone(&topic), partition }).collect())
    }

    /// Offset that the next record of each place will get.
    fn ends<'p>(&self, places: impl IntoIterator<Item = &'p Place>) -> Result<BTreeMap<Place, i64>, BusError> {
        let inspector = self.inspector(READERS)?;
        self.ends_seen_by(&inspector, places)
    }

    /// Offset up to which each place is settled.
    pub(super) fn stable_ends<'p>(
        &self,
        places: impl IntoIterator<Item = &'p Place>,
    ) -> Result<BTreeMap<Place, i64>, BusError> {
        let inspector = self.committed_inspector(READERS)?;
        self.ends_seen_by(&inspector, places)
    }

    /// Asks until there is an answer. A client that once heard that a partition has no leader takes
    /// that for the answer from then on, so before it is asked again it looks the topics up anew.
    fn ends_seen_by<'p>(
        &self,
        client: &Inspector,
        places: impl IntoIterator<Item = &'p Place>,
    ) -> Result<BTreeMap<Place, i64>, BusError> {
        let places: Vec<&Place> = places.into_iter().collect();
        asked_again(self.options.request_timeout, || {
            self.ask_ends(client, &places).inspect_err(|_| self.look_up(client, places.iter().map(|p| &*p.topic)))
        })
    }

    /// Makes the client learn the leaders of these topics, if the cluster answers.
    pub(super) fn look_up<'t>(&self, client: &Inspector, topics: impl Iterator<Item = &'t str>) {
        let topics: BTreeSet<&str> = topics.collect();
        for topic in topics {
            if let Err(error) = client.fetch_metadata(Some(&self.options.prefixed(topic)), self.options.request_timeout)
            {
                tracing::debug!(%error, %topic, "cannot look up the leaders");
            }
        }
    }

    fn ask_ends(&self, client: &Inspector, places: &[&Place]) -> Result<BTreeMap<Place, i64>, BusError> {
        const CONTEXT: &str = "cannot read the ends of logs";
        if places.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut asked = TopicPartitionList::new();
        for Place { topic, partition } in places {
            asked
                .add_partition_offset(&self.options.prefixed(topic), raw(*partition), Offset::End)
                .map_err(|e| backend(CONTEXT, &e))?;
        }
        let found = client.offsets_for_times(asked, self.options.request_timeout).map_err(|e| backend(CONTEXT, &e))?;
        let end_of = |place: &Place| {
            let element = found.find_partition(&self.options.prefixed(&place.topic), raw(place.partition));
            if let Some(element) = &element {
                element.error().map_err(|e| backend(CONTEXT, &e))?;
            }
            match element.map(|e| e.offset()) {
                Some(Offset::Offset(end)) => Ok(end),
                _ => Err(BusError::Backend {
                    context: CONTEXT.to_owned(),
                    message: format!("Kafka does not tell the end of {}/{}", place.topic, place.partition),
                    retryable: true,
                }),
            }
        };
        places.iter().map(|place| Ok(((*place).clone(), end_of(place)?))).collect()
    }

    /// Those of the places that hold records of a transaction that has not ended.
    pub(super) fn open_places(&self, places: &BTreeSet<Place>) -> Result<BTreeSet<Place>, BusError> {
        let stable = self.stable_ends(places)?;
        let ends = self.ends(places)?;
        Ok(ends.into_iter().filter(|(place, end)| stable[place] < *end).map(|(place, _)| place).collect())
    }

    /// Waits until everything that is now in these places is settled.
    pub(super) fn await_settled(&self, places: &BTreeSet<Place>, at_most: Duration) -> Result<(), BusError> {
        let ends = self.ends(places)?;
        self.await_stable_ends(&ends, at_most)
    }

    /// Waits until the stable ends have come to these ends.
    ///
    /// # Errors
    /// When they have not within `at_most`, or the ends could not be read at the last try.
    pub(super) fn await_stable_ends(&self, ends: &BTreeMap<Place, i64>, at_most: Duration) -> Result<(), BusError> {
        let deadline = Instant::now() + at_most;
        let mut open: BTreeSet<&Place> = ends.keys().collect();
        let mut pauses = Pauses::default();
        loop {
            let stable = self.stable_ends(open.iter().copied());
            if let Ok(stable) = &stable {
                open.retain(|place| stable[*place] < ends[*place]);
            }
            let Some(Place { topic, partition }) = open.first() else { return Ok(()) };
            if Instant::now() >= deadline {
                let first = Place { topic: Arc::clone(topic), partition: *partition };
                let stable = stable?[&first];
                return Err(BusError::Backend {
                    context: format!("{topic}/{partition} is not settled up to {}", ends[&first]),
                    message: format!(
                        "a transaction is open at {stable}; if it stays so its producer is gone: `kafka-transactions.sh find-hanging` names it, `abort` ends it"
                    ),
                    retryable: true,
                });
            }
            pauses.pause();
        }
    }

    /// What moves a group's positions without being its member. Nothing checks that right, so it is
    /// only for positions that an open transaction holds, or that no member has.
    pub(super) fn metadata_of_no_member(&self, group: &str) -> Result<Arc<ConsumerGroupMetadata>, BusError> {
        self.committed_inspector(group)?.group_metadata().map(Arc::new).ok_or_else(|| BusError::Backend {
            context: format!("cannot move the positions of group {group}"),
            message: "the consumer has no group metadata".to_owned(),
            retryable: true,
        })
    }

    /// A group's positions; one that waits for an open transaction is waited for. Partitions without
    /// a position are left out.
    pub(super) fn stable_positions(
        &self,
        group: &str,
        topic: &str,
        partitions: impl IntoIterator<Item = u32>,
        at_most: Duration,
    ) -> Result<BTreeMap<u32, Position>, BusError> {
        let failed = |e: &KafkaError| self.positions_error(group, topic, e);
        let name = self.options.prefixed(topic);
        let mut asked = TopicPartitionList::new();
        for partition in partitions {
            asked.add_partition(&name, raw(partition));
        }
        let inspector = self.committed_inspector(group)?;
        let found = inspector.committed_offsets(asked, at_most).map_err(|e| failed(&inspector.context().cause(e)))?;
        let mut positions = BTreeMap::new();
        for element in found.elements() {
            element.error().map_err(|e| failed(&e))?;
            if let (Ok(partition), Offset::Offset(offset)) = (u32::try_from(element.partition()), element.offset()) {
                let provenance = Provenance::decode(element.metadata());
                positions.insert(partition, Position { offset, provenance });
            }
        }
        Ok(positions)
    }
}
