//! A source on Kafka: its position is a record of a compacted topic, in the same transaction as
//! the records.
//!
//! Whoever opens a source writes the position anew under the next generation, and so owns it. A
//! fenced producer alone says little: the broker also fences one whose transaction was open for too
//! long, as when the broker itself was down. What the log says of a source is believed once nothing
//! before its end is open: the open transaction of another source hides what comes behind it.

use super::ends::{await_settled, open_places};
use super::log::CommittedLog;
use super::port::{Kafka, Place};
use super::settle::{Settling, settle_at_last};
use super::transaction::Transactional;
use super::unsettled::{Located, TransactionFailure, Unsettled, locate};
use crate::bus::Source;
use crate::error::BusError;
use crate::framing::{put_bytes, take_array, take_bytes};
use crate::kafka::names::SOURCE_POSITIONS;
use crate::record::OutputRecord;
use crate::write::{Placement, Write};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a source looks whether a topic has got partitions.
const COUNTED_EVERY: Duration = Duration::from_secs(5);

/// Where a source stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Counts who opened it.
    generation: u64,
    /// Counts the appends, so that it can be told whether one with unknown outcome took effect.
    sequence: u64,
    /// Partitions of each topic that it has written, as they were when it first did.
    topics: BTreeMap<String, u32>,
    pub(crate) position: Option<Vec<u8>>,
}

impl Standing {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.generation.to_be_bytes().to_vec();
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(u32::try_from(self.topics.len()).unwrap_or(u32::MAX).to_be_bytes());
        for (topic, partitions) in &self.topics {
            put_bytes(&mut bytes, topic.as_bytes());
            bytes.extend(partitions.to_be_bytes());
        }
        if let Some(position) = &self.position {
            bytes.push(1);
            bytes.extend_from_slice(position);
        }
        bytes
    }

    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let generation = u64::from_be_bytes(take_array(&mut bytes)?);
        let sequence = u64::from_be_bytes(take_array(&mut bytes)?);
        let mut topics = BTreeMap::new();
        for _ in 0..u32::from_be_bytes(take_array(&mut bytes)?) {
            let topic = String::from_utf8(take_bytes(&mut bytes)?.to_vec()).ok()?;
            topics.insert(topic, u32::from_be_bytes(take_array(&mut bytes)?));
        }
        let position = bytes.split_first().map(|(_, position)| position.to_vec());
        Some(Self { generation, sequence, topics, position })
    }
}

pub(crate) struct KafkaSource<K: Kafka> {
    kafka: Arc<K>,
    id: String,
    /// None after a call whose outcome is not known, until a new one has settled it.
    producer: Option<Transactional<K>>,
    unsettled: Option<Unsettled>,
    /// Where its transactions may have gone.
    scope: BTreeSet<Place>,
    fenced: bool,
    standing: Standing,
    /// When the partitions of its topics were counted last.
    counted: Instant,
}

impl<K: Kafka> KafkaSource<K> {
    pub(crate) fn open(kafka: Arc<K>, id: &str) -> Result<Self, BusError> {
        let scope = kafka.places(SOURCE_POSITIONS)?;
        let counted = kafka.now();
        let mut source = Self {
            kafka,
            id: id.to_owned(),
            producer: None,
            unsettled: None,
            scope,
            fenced: false,
            standing: Standing::default(),
            counted,
        };
        source.own()?;
        Ok(source)
    }

    /// Makes the source this one's. Whether the claim took effect is only believed of a commit
    /// that was seen, since another opener may have made the same claim.
    fn own(&mut self) -> Result<(), BusError> {
        let deadline = self.kafka.now() + self.kafka.options().request_timeout * 3;
        loop {
            let producer = self.settled()?;
            let mut claimed = self.stored()?;
            claimed.generation += 1;
            let claim = [self.standing_record(&claimed)];
            let failure = match producer.commit(&self.kafka, &locate(&*self.kafka, &claim)?, None) {
                Ok(()) => {
                    self.standing = claimed;
                    self.producer = Some(producer);
                    return Ok(());
                }
                Err(failure) => failure,
            };
            let error = self.keep(failure);
            if self.kafka.now() > deadline {
                return Err(error);
            }
        }
    }

    /// A new producer; what the last one left is settled.
    fn settled(&mut self) -> Result<Transactional<K>, BusError> {
        let settling = Settling {
            kafka: &*self.kafka,
            transactional_id: self.kafka.options().transactional_id("source", &self.id),
            group: None,
            claims: None,
            scope: self.scope.clone(),
        };
        settling.settle(&mut self.unsettled)
    }

    /// Where the source stands by the log, when nothing in it is open.
    fn stored(&self) -> Result<Standing, BusError> {
        let at_most = self.kafka.options().transaction_timeout() * 2;
        await_settled(&*self.kafka, &BTreeSet::from([home(&*self.kafka, &self.id)?]), at_most)?;
        seen(&*self.kafka, &self.id)
    }

    /// Goes on after a call whose outcome was not known: settles it and reads back where the source
    /// stands, unless another has it by now.
    fn resume(&mut self) -> Result<(), BusError> {
        if self.producer.is_some() || self.fenced {
            return Ok(());
        }
        self.check_owner(&seen(&*self.kafka, &self.id)?)?;
        let producer = self.settled()?;
        let stored = self.stored()?;
        self.check_owner(&stored)?;
        self.standing = stored;
        self.producer = Some(producer);
        Ok(())
    }

    fn check_owner(&mut self, stored: &Standing) -> Result<(), BusError> {
        if stored.generation > self.standing.generation {
            self.fenced = true;
            return Err(self.fenced());
        }
        Ok(())
    }

    fn fenced(&self) -> BusError {
        BusError::Fenced { stage: self.id.clone() }
    }

    /// The failure as an error; what it left is kept to be settled.
    fn keep(&mut self, failure: TransactionFailure) -> BusError {
        let message = match failure {
            TransactionFailure::Aborted(message) => message,
            TransactionFailure::Spent(message) => {
                self.producer = None;
                message
            }
            TransactionFailure::Refused(error) => {
                self.producer = None;
                return error;
            }
            TransactionFailure::Fenced(message, left) | TransactionFailure::Unknown(message, left) => {
                self.unsettled = Some(*left);
                self.producer = None;
                message
            }
        };
        BusError::Backend { context: format!("source {:?} cannot write", self.id), message, retryable: true }
    }

    fn standing_record(&self, standing: &Standing) -> Write {
        Write {
            topic: SOURCE_POSITIONS.into(),
            placement: Placement::ByKey,
            key: Some(self.id.clone().into_bytes()),
            value: Some(standing.encode()),
            headers: Vec::new(),
        }
    }

    /// Takes the places of topics that are new to this source into its scope. What an earlier one
    /// of its name left open there is ended first.
    fn widen(&mut self, records: &[Located<'_>]) -> Result<(), BusError> {
        let topics: BTreeSet<&Arc<str>> =
            records.iter().filter(|r| !self.scope.contains(&r.place)).map(|r| &r.place.topic).collect();
        let mut new = BTreeSet::new();
        for topic in topics {
            self.check_partitions(topic)?;
            new.extend(self.kafka.places(topic)?);
        }
        if new.is_empty() {
            return Ok(());
        }
        let open = !open_places(&*self.kafka, &new)?.is_empty();
        self.scope.extend(new);
        if open {
            self.producer = None;
            self.resume()?;
        }
        Ok(())
    }

    /// Refuses a topic that has got partitions since it was first written, by this one or by one before it under its
    /// name: a key would go on in another one than that which holds what came before.
    fn check_partitions(&self, topic: &Arc<str>) -> Result<(), BusError> {
        let in_scope = self.scope.iter().filter(|place| place.topic == *topic).count();
        let wanted = match u32::try_from(in_scope).unwrap_or(u32::MAX) {
            0 => self.standing.topics.get(&**topic).copied(),
            in_scope => Some(in_scope),
        };
        let found = self.kafka.partitions_now(topic)?;
        match wanted {
            Some(wanted) if wanted != found => {
                Err(BusError::PartitionMismatch { topic: topic.to_string(), found, wanted })
            }
            _ => Ok(()),
        }
    }

    fn count_partitions(&mut self) -> Result<(), BusError> {
        if self.kafka.now() - self.counted >= COUNTED_EVERY {
            let topics: BTreeSet<&Arc<str>> = self.scope.iter().map(|place| &place.topic).collect();
            topics.into_iter().try_for_each(|topic| self.check_partitions(topic))?;
            self.counted = self.kafka.now();
        }
        Ok(())
    }

    /// As [`Source::append`].
    pub(crate) fn write(&mut self, records: Vec<OutputRecord>, position: &[u8]) -> Result<(), BusError> {
        if self.fenced {
            return Err(self.fenced());
        }
        self.resume()?;
        self.count_partitions()?;
        let Standing { generation, sequence, .. } = self.standing;
        let mut topics = self.standing.topics.clone();
        let written: BTreeSet<&Arc<str>> = records.iter().map(|record| &record.topic).collect();
        for topic in written.into_iter().filter(|topic| !self.standing.topics.contains_key(&***topic)) {
            topics.insert(topic.to_string(), self.kafka.partitions(topic)?);
        }
        let next = Standing { generation, sequence: sequence + 1, topics, position: Some(position.to_vec()) };
        let mut writes: Vec<Write> = records.into_iter().map(Write::from).collect();
        writes.push(self.standing_record(&next));
        let located = locate(&*self.kafka, &writes)?;
        self.widen(&located)?;
        let Some(producer) = &self.producer else { return Err(self.fenced()) };
        let failure = match producer.commit(&self.kafka, &located, None) {
            Ok(()) => {
                self.standing = next;
                return Ok(());
            }
            Err(failure) => failure,
        };
        let error = self.keep(failure);
        self.resume()?;
        if self.standing.sequence == next.sequence { Ok(()) } else { Err(error) }
    }

    /// As [`Source::position`].
    pub(crate) fn stands_at(&mut self) -> Result<Option<Vec<u8>>, BusError> {
        self.resume()?;
        Ok(self.standing.position.clone())
    }
}

impl<K: Kafka> Drop for KafkaSource<K> {
    fn drop(&mut self) {
        let is_needed = !self.fenced && self.unsettled.as_ref().is_some_and(Unsettled::may_be_committed);
        if !is_needed || std::thread::panicking() {
            return;
        }
        let kafka = Arc::clone(&self.kafka);
        if let Err(error) = settle_at_last(&*kafka, || self.resume()) {
            tracing::error!(source = self.id, %error, "what was written last may stay in the log in part");
        }
    }
}

/// The partition in which a source's standing is.
fn home(kafka: &impl Kafka, id: &str) -> Result<Place, BusError> {
    let partitions = kafka.partitions(SOURCE_POSITIONS)?;
    let partition = crate::partitioner::partition_of(id.as_bytes(), partitions);
    Ok(Place { topic: SOURCE_POSITIONS.into(), partition })
}

/// Where a source stands by what can be seen of the log now.
fn seen(kafka: &impl Kafka, id: &str) -> Result<Standing, BusError> {
    let partition = home(kafka, id)?.partition;
    let log = kafka.open_log(SOURCE_POSITIONS)?;
    let end = log.bounds(partition)?.1;
    let mut standing = Standing::default();
    log.each_until(partition, 0, end, |record| {
        if record.key.as_deref() == Some(id.as_bytes())
            && let Some(stored) = record.value.as_deref().and_then(Standing::decode)
        {
            standing = stored;
        }
        Ok(())
    })?;
    Ok(standing)
}

/// The position of a source, whoever has it open.
pub(crate) fn position(kafka: &impl Kafka, id: &str) -> Result<Option<Vec<u8>>, BusError> {
    Ok(seen(kafka, id)?.position)
}

impl<K: Kafka> Source for KafkaSource<K>
where
    Self: Send,
{
    fn position(&mut self) -> Result<Option<Vec<u8>>, BusError> {
        self.stands_at().map_err(|error| self.kafka.explain(error))
    }

    fn append(&mut self, records: Vec<OutputRecord>, position: &[u8]) -> Result<(), BusError> {
        self.write(records, position).map_err(|error| self.kafka.explain(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_comes_back_and_an_empty_position_is_a_position() {
        for position in [None, Some(vec![]), Some(b"ten".to_vec())] {
            for topics in [vec![], vec![("in".to_owned(), 4), ("out".to_owned(), 12)]] {
                let topics = BTreeMap::from_iter(topics);
                let standing = Standing { generation: 3, sequence: 7, topics, position: position.clone() };
                assert_eq!(Standing::decode(&standing.encode()), Some(standing));
            }
        }
        assert_eq!(Standing::decode(b"short"), None);
    }
}
