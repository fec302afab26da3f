//! A reader of the embedded log that is part of no group.

use super::failure::backend;
use super::log::{self, Cursor};
use super::store::{Store, Topic};
use crate::bus::{CaughtUp, ReadFrom, RecordReader};
use crate::error::BusError;
use crate::record::ConsumedRecord;
use rusqlite::Connection;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) struct EmbeddedReader {
    store: Arc<Store>,
    connection: Connection,
    topic: Topic,
    /// Next offset to read, by partition; the last one that there can be where nothing is to be read.
    positions: Vec<i64>,
    /// By partition.
    cursors: Vec<Cursor>,
    /// Partition that the next poll begins with, so that none starves.
    first: usize,
}

impl EmbeddedReader {
    /// Over all partitions, or over `only` one.
    pub(super) fn open(store: Arc<Store>, topic: &str, only: Option<u32>, from: ReadFrom) -> Result<Self, BusError> {
        let topic = store.topic(topic)?;
        let connection = store.reader()?;
        let positions = start(&connection, &topic, only, &from)
            .map_err(|e| backend(&format!("cannot find the start of topic {:?}", topic.name), &e))?;
        let cursors = positions.iter().map(|_| Cursor::default()).collect();
        Ok(Self { store, connection, topic, positions, cursors, first: 0 })
    }

    fn read(&mut self, records_max: usize) -> rusqlite::Result<(Vec<ConsumedRecord>, CaughtUp)> {
        let ends = log::ends(&self.connection, &self.topic)?;
        let count = self.positions.len();
        let behind = self.positions.iter().zip(&ends).filter(|(position, end)| position < end).count();
        let share = records_max.div_ceil(behind.max(1));
        let mut records = Vec::new();
        for turn in 0..count {
            let p = (self.first + turn) % count;
            let room = share.min(records_max - records.len());
            if room == 0 || self.positions[p] >= ends[p] {
                continue;
            }
            let partition = u32::try_from(p).unwrap_or(u32::MAX);
            let page = self.cursors[p].page(&self.connection, (&self.topic, partition), self.positions[p], room)?;
            self.positions[p] = page.last().map_or(ends[p], |r| r.offset + 1);
            records.extend(page);
        }
        self.first = (self.first + 1) % count.max(1);
        let caught_up = self.positions.iter().zip(&ends).all(|(position, end)| position >= end);
        Ok((records, if caught_up { CaughtUp::Yes } else { CaughtUp::No }))
    }
}

fn start(connection: &Connection, topic: &Topic, only: Option<u32>, from: &ReadFrom) -> rusqlite::Result<Vec<i64>> {
    let ends = log::ends(connection, topic)?;
    ends.into_iter()
        .zip(0..)
        .map(|(end, partition)| match from {
            _ if only.is_some_and(|only| only != partition) => Ok(i64::MAX),
            ReadFrom::Latest => Ok(end),
            ReadFrom::Earliest => log::oldest_from(connection, topic, partition, 0),
            ReadFrom::Back(count) => {
                let from = end.saturating_sub(i64::try_from(*count).unwrap_or(i64::MAX)).max(0);
                log::oldest_from(connection, topic, partition, from)
            }
            ReadFrom::Offsets(offsets) => {
                let from = offsets.get(&partition).map_or(0, |offset| (*offset).clamp(0, end));
                log::oldest_from(connection, topic, partition, from)
            }
        })
        .collect()
}

impl RecordReader for EmbeddedReader {
    fn poll(&mut self, records_max: usize, wait: Duration) -> Result<(Vec<ConsumedRecord>, CaughtUp), BusError> {
        let deadline = Instant::now() + wait;
        loop {
            let seen = self.topic.grew.times();
            let (records, caught_up) =
                self.read(records_max).map_err(|e| backend(&format!("cannot read topic {:?}", self.topic.name), &e))?;
            let left = deadline.saturating_duration_since(Instant::now());
            if !records.is_empty() || left.is_zero() {
                return Ok((records, caught_up));
            }
            self.topic.grew.wait_past(seen, left.min(self.store.options.poll_interval));
        }
    }

    fn reached(&self) -> Result<Vec<i64>, BusError> {
        Ok(self.positions.clone())
    }
}
