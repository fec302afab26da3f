//! A stage between records under the registry's ids: what it is given has our ids, what it gives out
//! gets the registry's. A record that cannot be judged yet is waited for; dead letters keep the bytes
//! that came, since the bus takes them from what it read.

use super::ids::{Ids, Judgement, Waited, Waiter, unknown_schema};
use super::known::Place;
use crate::stage::UNDECODABLE;
use prescale_bus::{ConsumedRecord, Outcome, OutputRecord, Reach, Rejection, Stage, StageFactory, StageFailure};
use prescale_contracts::interchange::{schema_id, with_schema_id};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;

/// Ids by topic written.
pub(super) type Written = BTreeMap<Arc<str>, u32>;

pub(super) struct RegistryFactory {
    inner: Arc<dyn StageFactory>,
    ids: Arc<Ids>,
    written: Arc<Written>,
    shutdown: CancellationToken,
    /// Set when a stage stopped waiting because of the shutdown.
    gave_up: Arc<AtomicBool>,
}

impl RegistryFactory {
    pub(super) fn new(
        inner: Arc<dyn StageFactory>,
        ids: Arc<Ids>,
        written: Written,
        shutdown: CancellationToken,
    ) -> Self {
        Self { inner, ids, written: Arc::new(written), shutdown, gave_up: Arc::default() }
    }

    /// Whether one of the stages was told to stop while it waited for a schema, so that its step failed.
    pub(super) fn gave_up(&self) -> bool {
        self.gave_up.load(Ordering::Acquire)
    }

    fn wrapped(&self, partition: u32, inner: Box<dyn Stage>) -> Box<dyn Stage> {
        Box::new(RegistryStage {
            inner,
            place: (self.inner.input_topic().to_string(), partition),
            waiter: self.ids.waiter(&format!("{}/{partition}", self.inner.name())),
            ids: Arc::clone(&self.ids),
            written: Arc::clone(&self.written),
            shutdown: self.shutdown.clone(),
            gave_up: Arc::clone(&self.gave_up),
        })
    }
}

impl StageFactory for RegistryFactory {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn input_topic(&self) -> Arc<str> {
        self.inner.input_topic()
    }

    fn output_topics(&self) -> Vec<Arc<str>> {
        self.inner.output_topics()
    }

    fn state_schema(&self) -> String {
        self.inner.state_schema()
    }

    fn reach(&self) -> Vec<Reach> {
        self.inner.reach()
    }

    fn keeps_state(&self) -> bool {
        self.inner.keeps_state()
    }

    fn create(&self, partition: u32) -> Box<dyn Stage> {
        self.wrapped(partition, self.inner.create(partition))
    }

    fn restore(&self, partition: u32, snapshot: &[u8]) -> Result<Box<dyn Stage>, String> {
        Ok(self.wrapped(partition, self.inner.restore(partition, snapshot)?))
    }
}

struct RegistryStage {
    inner: Box<dyn Stage>,
    place: Place,
    waiter: Waiter,
    ids: Arc<Ids>,
    written: Arc<Written>,
    shutdown: CancellationToken,
    gave_up: Arc<AtomicBool>,
}

impl Stage for RegistryStage {
    fn apply(&mut self, batch: &[ConsumedRecord]) -> Result<Vec<Outcome>, StageFailure> {
        let mut refused = Vec::with_capacity(batch.len());
        let mut readable = Vec::with_capacity(batch.len());
        let mut absent = BTreeMap::new();
        for record in batch {
            match self.own(record, &mut absent)? {
                Ok(own) => {
                    readable.push(own);
                    refused.push(None);
                }
                Err(rejection) => refused.push(Some(Outcome::Reject(rejection))),
            }
        }
        if !absent.is_empty() {
            self.keep(&absent)?;
        }
        let expected = readable.len();
        let replies = if readable.is_empty() { Vec::new() } else { self.inner.apply(&readable)? };
        if replies.len() != expected {
            let message = format!("it returned {} outcomes for {expected} records", replies.len());
            return Err(StageFailure { message });
        }
        let mut replies = replies.into_iter().map(|outcome| written_under(&self.written, outcome));
        Ok(refused.into_iter().filter_map(|outcome| outcome.or_else(|| replies.next())).collect())
    }

    fn snapshot(&self) -> Vec<u8> {
        self.inner.snapshot()
    }

    fn repeated_under_other_terms(&mut self) {
        self.inner.repeated_under_other_terms();
    }
}

impl RegistryStage {
    /// The record under our ids, or why it is rejected.
    fn own(
        &self,
        record: &ConsumedRecord,
        absent: &mut BTreeMap<u32, i64>,
    ) -> Result<Result<ConsumedRecord, Rejection>, StageFailure> {
        // What is in no framing the stage rejects itself.
        let Some((value, id)) = record.value.as_deref().and_then(|v| Some((v, schema_id(v)?))) else {
            return Ok(Ok(record.clone()));
        };
        if self.ids.was_absent(&self.place, id, record.offset) {
            return Ok(Err(unknown_schema(id)));
        }
        match self.judged(id)? {
            Judgement::Readable(reading) => Ok(match reading.to_own(value) {
                Ok(value) => Ok(ConsumedRecord { value: Some(value), ..record.clone() }),
                Err(error) => Err(Rejection { code: UNDECODABLE, message: error.to_string() }),
            }),
            Judgement::Unusable(rejection) => Ok(Err(rejection)),
            Judgement::Absent => {
                absent.insert(id, record.offset);
                Ok(Err(unknown_schema(id)))
            }
        }
    }

    fn judged(&self, id: u32) -> Result<Judgement, StageFailure> {
        match self.waiter.until(&self.shutdown, || self.ids.judge(&self.place.0, id)) {
            Waited::For(judgement) => Ok(judgement),
            Waited::Shutdown => {
                self.gave_up.store(true, Ordering::Release);
                Err(StageFailure { message: "stopped while it waited for a schema".to_owned() })
            }
        }
    }

    fn keep(&self, absent: &BTreeMap<u32, i64>) -> Result<(), StageFailure> {
        self.ids.keep_absent(&self.place, absent).map_err(|e| StageFailure {
            message: format!("cannot keep in the state folder which schemas the registry did not have: {e}"),
        })
    }
}

fn written_under(written: &Written, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Emit(records) => Outcome::Emit(records.into_iter().map(|r| under(written, r)).collect()),
        other => other,
    }
}

/// The record under the registry's id of its topic.
pub(super) fn under(written: &Written, record: OutputRecord) -> OutputRecord {
    match written.get(&record.topic) {
        Some(id) => OutputRecord { value: record.value.map(|value| with_schema_id(value, *id)), ..record },
        None => record,
    }
}
