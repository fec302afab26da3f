//! Ends of logs and positions of groups, as clients are told them: those that see only what is committed are told
//! stable ones.

use super::cluster::{Cluster, Inspector, raw};
use super::failure::backend;
use super::protocol::port::Place;
use super::protocol::provenance::{Position, Provenance};
use crate::error::BusError;
use crate::wait::asked_again;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

impl Cluster {
    /// Asks until there is an answer. A client that once heard that a partition has no leader takes
    /// that for the answer from then on, so before it is asked again it looks the topics up anew.
    pub(super) fn ends_seen_by(
        &self,
        client: &Inspector,
        places: &BTreeSet<Place>,
    ) -> Result<BTreeMap<Place, i64>, BusError> {
        asked_again(self.options.request_timeout, || {
            self.ask_ends(client, places).inspect_err(|_| self.look_up(client, places.iter().map(|p| &*p.topic)))
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

    fn ask_ends(&self, client: &Inspector, places: &BTreeSet<Place>) -> Result<BTreeMap<Place, i64>, BusError> {
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
        places.iter().map(|place| Ok((place.clone(), end_of(place)?))).collect()
    }

    /// A group's positions on partitions of a topic, without those that it has none on.
    pub(super) fn positions_seen_by(
        &self,
        inspector: &Inspector,
        group: &str,
        topic: &str,
        partitions: &[u32],
        at_most: Duration,
    ) -> Result<BTreeMap<u32, Position>, BusError> {
        let failed = |e: &KafkaError| self.positions_error(group, topic, e);
        let name = self.options.prefixed(topic);
        let mut asked = TopicPartitionList::new();
        for partition in partitions {
            asked.add_partition(&name, raw(*partition));
        }
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
