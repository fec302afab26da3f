//! Reading a dead letter queue from its oldest letter to its end as of the start of the reading, so
//! that what comes meanwhile does not prolong it.

use super::ranges::{replayed_by, source_of};
use super::{DeadLetter, dlq_topic};
use crate::bus::{Bus, CaughtUp, ReadFrom, RecordReader};
use crate::error::BusError;
use crate::record::ConsumedRecord;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const PAGE_RECORDS: usize = 500;
const WAIT: Duration = Duration::from_millis(500);
/// The end of a topic is asked for as of a group; one that never was has no position.
const NO_GROUP: &str = "prescale-dlq";

pub(super) struct Walk {
    reader: Box<dyn RecordReader>,
    /// By partition, where to stop.
    pub(super) ends: BTreeMap<u32, i64>,
    /// By partition, offset behind the last record seen.
    seen: BTreeMap<u32, i64>,
    is_over: bool,
}

impl Walk {
    pub(super) fn begin(bus: &dyn Bus, dlq: &str) -> Result<Self, BusError> {
        let ends = bus.lag(NO_GROUP, dlq)?.into_iter().map(|lag| (lag.partition, lag.end)).collect();
        Ok(Self { reader: bus.reader(dlq, ReadFrom::Earliest)?, ends, seen: BTreeMap::new(), is_over: false })
    }

    /// Some more records, each with the offset behind the one before it in its partition; `None` at
    /// the end.
    pub(super) fn page(&mut self) -> Result<Option<Vec<(i64, ConsumedRecord)>>, BusError> {
        if self.is_over {
            return Ok(None);
        }
        let (records, caught_up) = self.reader.poll(PAGE_RECORDS, WAIT)?;
        let mut page = Vec::with_capacity(records.len());
        for record in records {
            let behind = self.seen.insert(record.partition, record.offset + 1).unwrap_or(0);
            if self.ends.get(&record.partition).is_some_and(|end| record.offset < *end) {
                page.push((behind, record));
            }
        }
        let is_through = |(partition, end): (&u32, &i64)| self.seen.get(partition).copied().unwrap_or(0) >= *end;
        self.is_over = caught_up == CaughtUp::Yes || self.ends.iter().all(is_through);
        Ok(Some(page))
    }
}

/// Calls `take` with each letter of the topic's queue, up to its end as of now, and whether it was
/// replayed. Stops early with `shutdown`.
///
/// # Errors
/// When the queue is missing or the bus cannot be read.
pub fn each_letter(
    bus: &dyn Bus,
    topic: &str,
    shutdown: &CancellationToken,
    mut take: impl FnMut(DeadLetter, bool),
) -> Result<(), BusError> {
    let dlq = dlq_topic(topic);
    let mut walk = Walk::begin(bus, &dlq)?;
    let replayed = replayed_by(&dlq, bus.source_position(&source_of(&dlq))?)?;
    while !shutdown.is_cancelled()
        && let Some(page) = walk.page()?
    {
        for (_, record) in page {
            let was_replayed = replayed.contains(record.partition, record.offset);
            take(DeadLetter::of(record), was_replayed);
        }
    }
    Ok(())
}
