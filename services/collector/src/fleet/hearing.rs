//! Hearing of the results of actions, each once and in the order of its partition.

use anyhow::{Context as _, Result};
use prescale_bus::{Bus, ConsumedRecord, ReadFrom, RecordReader};
use prescale_chassis::BusRetry;
use prescale_chassis::stage::decode_record;
use prescale_contracts::topics;
use prescale_domain::action::ActionResult;
use std::time::{Duration, Instant};

const PAGE_RECORDS: usize = 1000;
const WAIT: Duration = Duration::from_millis(50);
/// A transaction that is open for so long is told of.
const WARN_AFTER: Duration = Duration::from_secs(10);
/// A group that nobody is in: a fleet asks with it for the ends of the log alone.
pub(super) const FEEDBACK_GROUP: &str = "collector-feedback";

/// The offset after the last record that was heard, by partition.
pub(crate) type Heard = Vec<i64>;

/// An ear for topic `action-results`.
pub(crate) struct Ear {
    reader: Box<dyn RecordReader>,
    heard: Heard,
}

impl Ear {
    /// Listens from after what was heard.
    ///
    /// # Errors
    /// When the topic is missing or the bus cannot be reached.
    pub(crate) fn open(bus: &dyn Bus, retry: &BusRetry, heard: Heard) -> Result<Option<Self>> {
        let reader = retry.run(|| bus.reader(topics::ACTION_RESULTS, ReadFrom::Earliest));
        let reader = reader.context("the generated fleet cannot hear of the results of actions")?;
        Ok(reader.map(|reader| Self { reader, heard }))
    }

    /// The offset after the last record that was heard, by partition.
    pub(crate) fn heard(&self) -> &Heard {
        &self.heard
    }

    /// Hears everything that is on the topic now; false when the shutdown comes first.
    ///
    /// That a stage has moved on is no proof that what it wrote can be seen: Kafka shows a group's new position before
    /// the last marker of the transaction is written. So what is on the topic now, open transactions included, is
    /// waited for.
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
        let mut warn_at = Some(Instant::now() + WARN_AFTER);
        loop {
            let Self { reader, .. } = self;
            let reached = retry.run(|| reader.reached()).context("cannot see how far the results are read")?;
            let Some(reached) = reached else { return Ok(false) };
            if ends.iter().zip(&reached).all(|(end, reached)| reached >= end) {
                return Ok(!retry.shutdown().is_cancelled());
            }
            if retry.shutdown().is_cancelled() || self.poll(retry, WAIT, &mut each)?.is_none() {
                return Ok(false);
            }
            if warn_at.is_some_and(|at| Instant::now() >= at) {
                warn_at = None;
                tracing::warn!(?ends, ?reached, "the fleet waits for a transaction with results of actions to end");
            }
        }
    }

    /// Hears what is there at this moment; false when the shutdown comes first.
    ///
    /// # Errors
    /// When the bus cannot be read.
    pub(crate) fn hear_now(&mut self, retry: &BusRetry, mut each: impl FnMut(ActionResult)) -> Result<bool> {
        loop {
            match self.poll(retry, Duration::ZERO, &mut each)? {
                None => return Ok(false),
                Some(PAGE_RECORDS..) => {}
                Some(_) => return Ok(!retry.shutdown().is_cancelled()),
            }
        }
    }

    /// How many records came; `None` when the shutdown comes first.
    fn poll(&mut self, retry: &BusRetry, wait: Duration, each: &mut impl FnMut(ActionResult)) -> Result<Option<usize>> {
        let Self { reader, heard } = self;
        let polled = retry.run(|| reader.poll(PAGE_RECORDS, wait)).context("cannot read the results of actions")?;
        let Some((records, _)) = polled else { return Ok(None) };
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
        Ok(Some(count))
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
