//! A source on Kafka: its position is a record of a compacted topic, in the same transaction as
//! the records.

use super::cluster::{Cluster, SOURCE_POSITIONS};
use super::messages::CommittedLog;
use super::transaction::{TransactionFailure, Transactional, locate};
use crate::bus::Source;
use crate::error::BusError;
use crate::record::OutputRecord;
use crate::step::{Placement, Write};
use std::sync::Arc;

pub(super) struct KafkaSource {
    cluster: Arc<Cluster>,
    id: String,
    /// None after a call whose outcome is not known, until a new one has settled it.
    producer: Option<Transactional>,
    fenced: bool,
    /// Counts the appends, so that it can be told whether one with unknown outcome took effect.
    sequence: u64,
    position: Option<Vec<u8>>,
}

impl KafkaSource {
    pub(super) fn open(cluster: Arc<Cluster>, id: &str) -> Result<Self, BusError> {
        let mut source =
            Self { cluster, id: id.to_owned(), producer: None, fenced: false, sequence: 0, position: None };
        source.settle()?;
        Ok(source)
    }

    /// Makes a new producer, which finishes or aborts what the last one left, and reads back where
    /// the source stands.
    fn settle(&mut self) -> Result<&Transactional, BusError> {
        let transactional_id = self.cluster.options.transactional_id("source", &self.id);
        let producer = Transactional::start(&self.cluster, &transactional_id)?;
        let partitions = self.cluster.partitions(SOURCE_POSITIONS)?;
        let partition = crate::partitioner::partition_of(self.id.as_bytes(), partitions);
        let log = CommittedLog::open(&self.cluster, SOURCE_POSITIONS)?;
        let end = log.bounds(partition)?.1;
        let (mut sequence, mut position) = (0, None);
        log.each_until(partition, 0, end, |record| {
            let stored = record.value.as_deref().and_then(<[u8]>::split_first_chunk::<8>);
            if record.key.as_deref() == Some(self.id.as_bytes())
                && let Some((count, bytes)) = stored
            {
                sequence = u64::from_be_bytes(*count);
                position = Some(bytes.to_vec());
            }
            Ok(())
        })?;
        (self.sequence, self.position) = (sequence, position);
        Ok(self.producer.insert(producer))
    }

    fn fenced(&self) -> BusError {
        BusError::Fenced { stage: self.id.clone() }
    }

    fn position_record(&self, position: &[u8]) -> Write {
        let mut value = (self.sequence + 1).to_be_bytes().to_vec();
        value.extend_from_slice(position);
        Write {
            topic: SOURCE_POSITIONS.into(),
            placement: Placement::ByKey,
            key: Some(self.id.clone().into_bytes()),
            value: Some(value),
            headers: Vec::new(),
        }
    }
}

impl Source for KafkaSource {
    fn position(&mut self) -> Result<Option<Vec<u8>>, BusError> {
        if self.producer.is_none() && !self.fenced {
            self.settle()?;
        }
        Ok(self.position.clone())
    }

    fn append(&mut self, records: Vec<OutputRecord>, position: &[u8]) -> Result<(), BusError> {
        if self.fenced {
            return Err(self.fenced());
        }
        if self.producer.is_none() {
            self.settle()?;
        }
        let next = self.sequence + 1;
        let mut writes: Vec<Write> = records.into_iter().map(Write::from).collect();
        writes.push(self.position_record(position));
        let located = locate(&self.cluster, &writes)?;
        let Some(producer) = &self.producer else { return Err(self.fenced()) };
        let failure = match producer.commit(&located, None) {
            Ok(()) => {
                self.sequence = next;
                self.position = Some(position.to_vec());
                return Ok(());
            }
            Err(failure) => failure,
        };
        let context = format!("source {:?} cannot write", self.id);
        match failure {
            TransactionFailure::Refused(error) => Err(error),
            TransactionFailure::Aborted(message) => Err(BusError::Backend { context, message, retryable: true }),
            TransactionFailure::Fenced(_) => {
                self.fenced = true;
                self.producer = None;
                Err(self.fenced())
            }
            TransactionFailure::Unknown(message) => {
                self.producer = None;
                self.settle()?;
                if self.sequence == next {
                    return Ok(());
                }
                Err(BusError::Backend { context, message, retryable: true })
            }
        }
    }
}
