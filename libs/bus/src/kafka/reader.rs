//! A reader of a Kafka topic that is part of no group.

use super::cluster::Cluster;
use super::log::ClientLog;
use super::protocol::log::{CommittedLog, LogEvent};
use crate::bus::{CaughtUp, ReadFrom, RecordReader};
use crate::error::BusError;
use crate::record::ConsumedRecord;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub(super) struct KafkaReader {
    log: ClientLog,
    /// Offset that it began with, by partition; `None` where nothing of it is to be read.
    starts: Vec<Option<i64>>,
    /// By partition, whether its end was reached and nothing came since, or nothing of it is to be read.
    ended: Vec<bool>,
}

impl KafkaReader {
    /// Over all partitions, or over `only` one.
    pub(super) fn open(cluster: &Cluster, topic: &str, only: Option<u32>, from: ReadFrom) -> Result<Self, BusError> {
        let is_read = |partition: &u32| only.is_none_or(|only| only == *partition);
        let partitions = cluster.look_up_partitions(topic)?;
        let log = ClientLog::open(cluster, topic)?;
        let starts: BTreeMap<u32, i64> = (0..partitions)
            .filter(is_read)
            .map(|partition| {
                let (oldest, end) = cluster.bounds(topic, partition)?;
                let start = match &from {
                    ReadFrom::Earliest => oldest,
                    ReadFrom::Latest => end,
                    ReadFrom::Back(count) => end.saturating_sub(i64::try_from(*count).unwrap_or(i64::MAX)).max(oldest),
                    ReadFrom::Offsets(offsets) => {
                        offsets.get(&partition).map_or(oldest, |offset| (*offset).min(end).max(oldest))
                    }
                };
                Ok((partition, start))
            })
            .collect::<Result<_, BusError>>()?;
        log.assign(&starts)?;
        let starts: Vec<Option<i64>> = (0..partitions).map(|partition| starts.get(&partition).copied()).collect();
        Ok(Self { log, ended: starts.iter().map(Option::is_none).collect(), starts })
    }
}

impl RecordReader for KafkaReader {
    fn poll(&mut self, records_max: usize, wait: Duration) -> Result<(Vec<ConsumedRecord>, CaughtUp), BusError> {
        let deadline = Instant::now() + wait;
        let mut records = Vec::new();
        while records.len() < records_max {
            let left = match records.len() {
                0 => deadline.saturating_duration_since(Instant::now()),
                _ => Duration::ZERO,
            };
            match self.log.poll(left)? {
                Some(LogEvent::Record(record)) => {
                    if let Some(ended) = self.ended.get_mut(record.partition as usize) {
                        *ended = false;
                    }
                    records.push(record);
                }
                Some(LogEvent::End(partition)) => {
                    if let Some(ended) = self.ended.get_mut(partition as usize) {
                        *ended = true;
                    }
                }
                None if !records.is_empty() || Instant::now() >= deadline => break,
                None => {}
            }
        }
        let caught_up = records.len() < records_max && self.ended.iter().all(|ended| *ended);
        Ok((records, if caught_up { CaughtUp::Yes } else { CaughtUp::No }))
    }

    fn reached(&self) -> Result<Vec<i64>, BusError> {
        let of_partition = |(partition, start): (u32, &Option<i64>)| match start {
            None => Ok(i64::MAX),
            Some(start) => self.log.reached(partition, *start),
        };
        (0..).zip(&self.starts).map(of_partition).collect()
    }
}
