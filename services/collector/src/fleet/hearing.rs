//! Hearing of the results of actions, each once and in the order of its partition.

use crate::retry::BusRetry;
use anyhow::{Context as _, Result};
use prescale_bus::{Bus, CaughtUp, ConsumedRecord, ReadFrom, RecordReader};
use prescale_chassis::stage::decode_record;
use prescale_contracts::topics;
use prescale_domain::action::ActionResult;
use std::time::{Duration, Instant};

const PAGE_RECORDS: usize = 1000;
const WAIT: Duration = Duration::from_millis(50);
/// A reader that is silent for so long has given out all that can be seen, whatever the log's end.
const SILENCE: Duration = Duration::from_secs(1);
/// A group that nobody is in: a fleet asks with it for the ends of the log alone.
pub(super) const FEEDBACK_GROUP: &str = "collector-feedback";

/// The offset after the last record that was heard, by partition.
pub(crate) type Heard = Vec<i64>;

/// An ear for topic `action-results`.
pub(crate) struct Ear {
    reader: Box<dyn RecordReader>,
    heard: Heard,
    /// Ends of the log up to which all was heard, by partition.
    complete: Heard,
}

impl Ear {
    /// Listens from after what was heard.
    ///
    /// # Errors
    /// When the topic is missing or the bus cannot be reached.
    pub(crate) fn open(bus: &dyn Bus, retry: &BusRetry, heard: Heard) -> Result<Option<Self>> {
        let reader = retry.run(|| bus.reader(topics::ACTION_RESULTS, ReadFrom::Earliest));
        let reader = reader.context("the generated fleet cannot hear of the results of actions")?;
        Ok(reader.map(|reader| Self { reader, heard, complete: Heard::new() }))
    }

    /// The offset after the last record that was heard, by partition.
    pub(crate) fn heard(&self) -> &Heard {
        &self.heard
    }

    /// Hears everything that is on the topic now; false when the shutdown comes first.
    ///
    /// The end of a log is no proof that there is a record before it: on Kafka a transaction's
    /// marker takes the last offset, and an aborted one leaves records that nobody sees. So where
    /// the reader says that it has caught up, one offset may be left over, and any number after
    /// a silence.
    ///
    /// # Errors
    /// When the bus cannot be read.
    pub(crate) fn hear_all(
        &mut self,
        bus: &dyn Bus,
        retry: &BusRetry,
        mut each: impl FnMut(ActionResult),
    ) -> Result<bool> {
        let ends =
            retry.run(|| bus.lag(FEEDBACK_GROUP, topics::ACTION_RESULTS)).context("cannot see the ends of the log")?;
        let Some(ends) = ends else { return Ok(false) };
        let ends: Heard = ends.iter().map(|lag| lag.end).collect();
        let mut last_heard = Instant::now();
        while self.left(&ends) > 0 {
            let Some((heard, caught_up)) = self.poll(retry, WAIT, &mut each)? else { return Ok(false) };
            if heard > 0 {
                last_heard = Instant::now();
            }
            let all_but_markers = caught_up == CaughtUp::Yes && self.left(&ends) <= 1;
            if all_but_markers || caught_up == CaughtUp::Yes && last_heard.elapsed() > SILENCE {
                break;
            }
        }
        self.complete = ends;
        Ok(!retry.shutdown().is_cancelled())
    }

    /// Hears what is there at this moment; false when the shutdown comes first.
    ///
    /// # Errors
    /// When the bus cannot be read.
    pub(crate) fn hear_now(&mut self, retry: &BusRetry, mut each: impl FnMut(ActionResult)) -> Result<bool> {
        loop {
            match self.poll(retry, Duration::ZERO, &mut each)? {
                None => return Ok(false),
                Some((PAGE_RECORDS.., _)) => {}
                Some(_) => return Ok(!retry.shutdown().is_cancelled()),
            }
        }
    }

    /// Most offsets that are left to hear in any partition.
    fn left(&self, ends: &[i64]) -> i64 {
        let of_partition = |(partition, end): (usize, &i64)| {
            let known = self.complete.get(partition) == Some(end);
            if known { 0 } else { end - self.heard.get(partition).copied().unwrap_or(0) }
        };
        ends.iter().enumerate().map(of_partition).max().unwrap_or(0)
    }

    fn poll(
        &mut self,
        retry: &BusRetry,
        wait: Duration,
        each: &mut impl FnMut(ActionResult),
    ) -> Result<Option<(usize, CaughtUp)>> {
        let Self { reader, heard, .. } = self;
        let polled = retry.run(|| reader.poll(PAGE_RECORDS, wait)).context("cannot read the results of actions")?;
        let Some((records, caught_up)) = polled else { return Ok(None) };
        let count = records.len();
        for record in &records {
            if !is_new(heard, record) {
                continue;
            }
            match decode_record::<ActionResult>(record) {
                Ok(input) => each(input.value),
                Err(why) => tracing::warn!(
                    partition = record.partition,
                    offset = record.offset,
                    "a result of an action cannot be read and is left out: {why}"
                ),
            }
        }
        Ok(Some((count, caught_up)))
    }
}

/// Whether a record was not heard before; it is from now on.
fn is_new(heard: &mut Heard, record: &ConsumedRecord) -> bool {
    let partition = record.partition as usize;
    if heard.len() <= partition {
        heard.resize(partition + 1, 0);
    }
    let is_new = record.offset >= heard[partition];
    heard[partition] = heard[partition].max(record.offset + 1);
    is_new
}

#[cfg(test)]
#[path = "hearing_tests.rs"]
mod tests;
