//! A reader whose records have our ids. While the registry does not answer, records under an id that
//! is not known are held back, and with them what lies behind them.

use super::ids::{Ids, Judgement};
use prescale_bus::dlq::topic_of_dlq;
use prescale_bus::{BusError, CaughtUp, ConsumedRecord, RecordReader, cancelled_within};
use prescale_contracts::interchange::{schema_id, without_schema};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

pub(super) struct RegistryReader {
    inner: Box<dyn RecordReader>,
    ids: Arc<Ids>,
    /// Whose schemas the records have; a dead letter has its topic's.
    topic: String,
    held: VecDeque<ConsumedRecord>,
    caught_up: CaughtUp,
    ask_again: Option<Instant>,
    shutdown: CancellationToken,
}

impl RegistryReader {
    pub(super) fn new(inner: Box<dyn RecordReader>, ids: Arc<Ids>, topic: &str, shutdown: CancellationToken) -> Self {
        let topic = topic_of_dlq(topic).unwrap_or(topic).to_owned();
        Self { inner, ids, topic, held: VecDeque::new(), caught_up: CaughtUp::No, ask_again: None, shutdown }
    }

    /// The record under our ids; where that cannot be, marked as one without a schema.
    fn own(&self, record: &ConsumedRecord) -> Result<ConsumedRecord, String> {
        let Some((value, id)) = record.value.as_deref().and_then(|v| Some((v, schema_id(v)?))) else {
            return Ok(record.clone());
        };
        let own = match self.ids.judge(&self.topic, id)? {
            Judgement::Readable(reading) => reading.to_own(value).ok(),
            Judgement::Unusable(_) | Judgement::Absent => None,
        };
        let value = own.unwrap_or_else(|| without_schema(value.to_vec()));
        Ok(ConsumedRecord { value: Some(value), ..record.clone() })
    }

    fn release(&mut self, records_max: usize) -> Vec<ConsumedRecord> {
        let mut released = Vec::new();
        while released.len() < records_max
            && let Some(record) = self.held.front()
        {
            match self.own(record) {
                Ok(own) => {
                    released.push(own);
                    self.held.pop_front();
                    self.ask_again = None;
                }
                Err(why) => {
                    tracing::warn!(topic = self.topic, why, "reading waits for the schema registry");
                    self.ask_again = Some(Instant::now() + ASK_AGAIN_AFTER);
                    break;
                }
            }
        }
        released
    }
}

impl RecordReader for RegistryReader {
    fn poll(&mut self, records_max: usize, wait: Duration) -> Result<(Vec<ConsumedRecord>, CaughtUp), BusError> {
        if let Some(at) = self.ask_again {
            let left = at.saturating_duration_since(Instant::now());
            if left > wait {
                cancelled_within(&self.shutdown, wait);
                return Ok((Vec::new(), CaughtUp::No));
            }
            cancelled_within(&self.shutdown, left);
        }
        if self.held.is_empty() {
            let (records, caught_up) = self.inner.poll(records_max, wait)?;
            self.held.extend(records);
            self.caught_up = caught_up;
        }
        let released = self.release(records_max);
        Ok((released, if self.held.is_empty() { self.caught_up } else { CaughtUp::No }))
    }

    fn reached(&self) -> Result<Vec<i64>, BusError> {
        let mut reached = self.inner.reached()?;
        for held in &self.held {
            if let Some(offset) = reached.get_mut(held.partition as usize) {
                *offset = held.offset.min(*offset);
            }
        }
        Ok(reached)
    }
}
