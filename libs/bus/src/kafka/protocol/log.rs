//! Reading committed records of given partitions, part of no group.
//!
//! A leader that has just taken over may for a moment serve less than is committed: it learns late
//! how far its predecessor's word went. What it then says is the end is not believed before the end
//! that was asked for: missing a committed record would lose or repeat others.

use crate::error::BusError;
use crate::record::ConsumedRecord;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// An end that lies before the one that was asked for is asked for again after this long without a record, and
/// believed when it comes again: compaction and retention leave such gaps. Silence alone tells nothing; it may
/// be the network's.
const GAP_AFTER: Duration = Duration::from_secs(2);

/// What was heard of an end that lies before the one that was asked for.
enum EarlyEnd {
    Unheard,
    HeardAt(Instant),
    AskedAgain,
}

/// One event of a log.
pub(crate) enum LogEvent {
    /// A committed record.
    Record(ConsumedRecord),
    /// The end of the partition's committed records.
    End(u32),
}

/// Committed records of some partitions of one topic.
pub(crate) trait CommittedLog {
    /// The topic's logical name.
    fn topic(&self) -> &str;

    fn now(&self) -> Instant;

    /// Bound on one request.
    fn request_timeout(&self) -> Duration;

    /// Lets the client do what it does when it is polled (renew its token). Nothing must be assigned.
    ///
    /// # Errors
    /// When a right is missing.
    fn tend(&self) -> Result<(), BusError>;

    /// Reads these partitions from these offsets from now on, and no others.
    fn assign(&self, from: &BTreeMap<u32, i64>) -> Result<(), BusError>;

    /// The next event, if one comes within `wait`.
    fn poll(&self, wait: Duration) -> Result<Option<LogEvent>, BusError>;

    /// Oldest offset, and end of the committed records, of a partition.
    fn bounds(&self, partition: u32) -> Result<(i64, i64), BusError>;

    /// Offset up to which an assigned partition was read, markers included, if anything was.
    fn position(&self, partition: u32) -> Result<Option<i64>, BusError>;

    /// Whether the record at this offset is committed. The partition must be settled up to behind it.
    fn holds(&self, partition: u32, offset: i64) -> Result<bool, BusError> {
        let mut found = false;
        self.each_until(partition, offset, offset + 1, |_| {
            found = true;
            Ok(())
        })?;
        Ok(found)
    }

    /// Hands over a partition's records from `from` up to `until`, in order.
    fn each_until(
        &self,
        partition: u32,
        from: i64,
        until: i64,
        mut each: impl FnMut(ConsumedRecord) -> Result<(), BusError>,
    ) -> Result<(), BusError> {
        let from = from.max(self.bounds(partition)?.0);
        if from >= until {
            return Ok(());
        }
        self.assign(&BTreeMap::from([(partition, from)]))?;
        let mut heard = self.now();
        let mut early_end = EarlyEnd::Unheard;
        loop {
            match self.poll(Duration::from_millis(100))? {
                Some(LogEvent::Record(record)) if record.offset < until => {
                    early_end = EarlyEnd::Unheard;
                    each(record)?;
                }
                Some(LogEvent::Record(_)) => break,
                Some(LogEvent::End(ended)) if ended == partition => {
                    if self.reached(partition, from)? >= until || matches!(early_end, EarlyEnd::AskedAgain) {
                        break;
                    }
                    early_end = EarlyEnd::HeardAt(self.now());
                }
                Some(LogEvent::End(_)) => {}
                None => {
                    if matches!(early_end, EarlyEnd::HeardAt(at) if self.now() - at > GAP_AFTER) {
                        self.assign(&BTreeMap::from([(partition, self.reached(partition, from)?)]))?;
                        early_end = EarlyEnd::AskedAgain;
                    }
                    if self.now() - heard > self.request_timeout() * 3 {
                        let context = format!("cannot read {}/{partition} from {from} to {until}", self.topic());
                        let message = "Kafka sends nothing".to_owned();
                        return Err(BusError::Backend { context, message, retryable: true });
                    }
                    continue;
                }
            }
            heard = self.now();
        }
        self.assign(&BTreeMap::new())
    }

    /// Offset up to which a partition was read, markers included; `from` when nothing was.
    fn reached(&self, partition: u32, from: i64) -> Result<i64, BusError> {
        Ok(self.position(partition)?.map_or(from, |reached| reached.max(from)))
    }

    /// Of these positions, those with nothing but transaction markers up to the end of the
    /// committed records; with that end.
    ///
    /// The end is asked for first and the log read after that, so that a record written in
    /// between is either seen, or lies behind the end that is returned.
    fn ends_behind_markers(&self, positions: &BTreeMap<u32, i64>) -> Result<BTreeMap<u32, i64>, BusError> {
        let mut ends = BTreeMap::new();
        for (partition, position) in positions {
            let (_, end) = self.bounds(*partition)?;
            if end > *position {
                ends.insert(*partition, end);
            }
        }
        if ends.is_empty() {
            return Ok(ends);
        }
        self.assign(&ends.keys().map(|p| (*p, positions[p])).collect())?;
        let deadline = self.now() + GAP_AFTER;
        let mut open: Vec<u32> = ends.keys().copied().collect();
        while !open.is_empty() && self.now() < deadline {
            match self.poll(Duration::from_millis(100))? {
                Some(LogEvent::Record(record)) => {
                    if ends.get(&record.partition).is_some_and(|end| record.offset < *end) {
                        ends.remove(&record.partition);
                    }
                    open.retain(|p| *p != record.partition);
                }
                Some(LogEvent::End(partition)) => {
                    if let (Some(end), Some(from)) = (ends.get(&partition), positions.get(&partition))
                        && self.reached(partition, *from)? >= *end
                    {
                        open.retain(|p| *p != partition);
                    }
                }
                None => {}
            }
        }
        ends.retain(|partition, _| !open.contains(partition));
        self.assign(&BTreeMap::new())?;
        Ok(ends)
    }
}
