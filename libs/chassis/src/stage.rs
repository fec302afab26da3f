//! Typed stages: a pure function over domain values becomes a stage of the bus. Decoding,
//! envelopes, encoding and the rejection of what cannot be decoded are the same for every service.

use metrics::{gauge, histogram};
use prescale_bus::{
    ConsumedRecord, Header, Outcome, OutputRecord, Reach, Rejection, Stage, StageFactory, StageFailure,
};
use prescale_contracts::envelope::{Position, is_foreign};
use prescale_contracts::{Contract, ContractError, Envelope, topics};
use prescale_domain::workload::WorkloadId;
use std::sync::Arc;
use std::time::Instant;

/// Code under which records that cannot be decoded are rejected.
pub const UNDECODABLE: &str = "undecodable";

/// One decoded input record.
#[derive(Clone, Debug, PartialEq)]
pub struct Input<T> {
    /// Its headers.
    pub envelope: Envelope,
    /// Its value.
    pub value: T,
}

/// What became of one input. The set is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was used; these follow from it (none when it only changed the state).
    Emit(Vec<Outgoing>),
    /// It was put aside on purpose and is counted under this reason.
    Drop(&'static str),
    /// It could not be used and goes to the dead letter queue.
    Reject(Rejection),
}

/// One value on its way out: the same bytes and headers to one topic or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    records: Vec<OutputRecord>,
}

impl Outgoing {
    /// The value number `ordinal` that `stage` makes of the record with envelope `parent`, to each
    /// of `topics`.
    ///
    /// # Errors
    /// When the value breaks its contract: a defect of the stage, so the step fails.
    pub fn following<C: Contract>(
        parent: &Envelope,
        stage: &str,
        ordinal: u32,
        topics: &[&str],
        value: &C,
    ) -> Result<Self, StageFailure> {
        Self::following_key(parent, stage, value.workload(), ordinal, topics, value)
    }

    /// As [`Outgoing::following`], of a value with another key than the record that it follows from, which has
    /// `key`. So whoever has that record can work out the id.
    ///
    /// # Errors
    /// As [`Outgoing::following`].
    pub fn following_key<C: Contract>(
        parent: &Envelope,
        stage: &str,
        key: &WorkloadId,
        ordinal: u32,
        topics: &[&str],
        value: &C,
    ) -> Result<Self, StageFailure> {
        let envelope = parent.following(stage, value.event_type(), key, value.at(), ordinal);
        Self::with(&envelope, stage, topics, value)
    }

    /// A value that `stage` makes of several records, to each of `topics`; it begins a trace of its own. The
    /// same stage, key, instant and `position` always give the same id.
    ///
    /// # Errors
    /// As [`Outgoing::following`].
    pub fn root<C: Contract>(stage: &str, position: &str, topics: &[&str], value: &C) -> Result<Self, StageFailure> {
        Self::with(
            &Envelope::root(stage, value.event_type(), value.workload(), value.at(), position),
            stage,
            topics,
            value,
        )
    }

    fn with<C: Contract>(envelope: &Envelope, stage: &str, topics: &[&str], value: &C) -> Result<Self, StageFailure> {
        let bytes = value.encode().map_err(|e| StageFailure { message: format!("{stage} made a bad record: {e}") })?;
        let mut records = Vec::with_capacity(topics.len());
        if let Some((first, others)) = topics.split_first() {
            records.push(record(envelope, first, value, bytes));
            for topic in others {
                records.push(OutputRecord { topic: Arc::from(*topic), ..records[0].clone() });
            }
        }
        Ok(Self { records })
    }

    /// The records, one a topic.
    pub fn records(&self) -> &[OutputRecord] {
        &self.records
    }
}

/// A record of `topic` for a source to append.
///
/// # Errors
/// When the value breaks its contract.
pub fn output_record<C: Contract>(envelope: &Envelope, topic: &str, value: &C) -> Result<OutputRecord, ContractError> {
    Ok(record(envelope, topic, value, value.encode()?))
}

fn record<C: Contract>(envelope: &Envelope, topic: &str, value: &C, bytes: Vec<u8>) -> OutputRecord {
    let header = |(name, value): (&'static str, Arc<str>)| Header { name: name.into(), value: value.into() };
    OutputRecord {
        topic: topic.into(),
        key: value.workload().as_str().as_bytes().to_vec(),
        value: Some(bytes),
        headers: envelope.headers().into_iter().map(header).collect(),
    }
}

/// Where a record lies, if it is one of a producer that sets no CloudEvents headers, on a topic that takes such.
pub fn foreign_position(record: &ConsumedRecord) -> Option<Position<'_>> {
    let is_taken = topics::takes_foreign(&record.topic) && is_foreign(record.headers.iter().map(|h| h.name.as_str()));
    is_taken.then_some(Position { topic: &record.topic, partition: record.partition, offset: record.offset })
}

/// A record's own id and its trace's: those that its headers say, and of a foreign one what its place gives.
///
/// # Errors
/// When a header is missing or wrong.
pub fn ids_of(record: &ConsumedRecord) -> Result<(Arc<str>, Arc<str>), ContractError> {
    if let Some(position) = foreign_position(record) {
        let id: Arc<str> = position.id().into();
        return Ok((Arc::clone(&id), id));
    }
    let envelope = from_headers(record)?;
    let trace_id = envelope.trace_id().into();
    Ok((envelope.id, trace_id))
}

fn from_headers(record: &ConsumedRecord) -> Result<Envelope, ContractError> {
    Envelope::from_headers(record.headers.iter().map(|h| (h.name.as_str(), h.value.as_slice())))
}

fn envelope_of<C: Contract>(record: &ConsumedRecord, value: &C) -> Result<Envelope, ContractError> {
    match (foreign_position(record), value.foreign_source()) {
        (Some(position), Some(source)) => Ok(Envelope::foreign(position, source, value.event_type(), value.at())),
        _ => from_headers(record),
    }
}

/// Decodes a record of a contract's topic with its headers. What a foreign record's headers do not say follows from
/// its value and its place.
///
/// # Errors
/// When the record has no value, a header is missing or wrong, the bytes cannot be decoded, or the
/// key is not the workload's id.
pub fn decode_record<C: Contract>(record: &ConsumedRecord) -> Result<Input<C>, String> {
    let bytes = record.value.as_deref().ok_or("the record has no value: tombstones have no meaning on this topic")?;
    let value = C::decode(bytes).map_err(|e| e.to_string())?;
    let envelope = envelope_of(record, &value).map_err(|e| e.to_string())?;
    let workload = value.workload().as_str();
    if record.key.as_deref() != Some(workload.as_bytes()) {
        let key = record.key.as_deref().map(String::from_utf8_lossy);
        return Err(format!("key {key:?} is not the workload id {workload:?}: use the workload id as the key"));
    }
    Ok(Input { envelope, value })
}

/// One partition's worth of a stage, over decoded values. The rules are those of
/// [`prescale_bus::Stage`].
pub trait TypedStage: Send {
    /// What it reads.
    type In: Contract;

    /// Applies inputs in order; one reply an input, in the same order.
    ///
    /// # Errors
    /// When the stage cannot go on; nothing of the batch then takes effect.
    fn apply(&mut self, batch: Vec<Input<Self::In>>) -> Result<Vec<Reply>, StageFailure>;

    /// The state as bytes that [`TypedStageFactory::restore`] takes.
    fn snapshot(&self) -> Vec<u8>;

    /// As [`Stage::repeated_under_other_terms`].
    fn repeated_under_other_terms(&mut self) {}
}

/// Makes a typed stage's instances. The input topic is that of the stage's contract.
pub trait TypedStageFactory: Send + Sync {
    /// The stage.
    type Stage: TypedStage + 'static;

    /// Name of the stage.
    fn name(&self) -> &'static str;

    /// Topics that the stage may write.
    fn output_topics(&self) -> Vec<&'static str>;

    /// As [`StageFactory::state_schema`].
    fn state_schema(&self) -> String;

    /// As [`StageFactory::reach`].
    fn reach(&self) -> Vec<Reach> {
        Vec::new()
    }

    /// An empty instance for a partition.
    fn create(&self, partition: u32) -> Self::Stage;

    /// An instance as it was when the snapshot was taken.
    ///
    /// # Errors
    /// With the reason when the bytes are no snapshot of this stage.
    fn restore(&self, partition: u32, snapshot: &[u8]) -> Result<Self::Stage, String>;
}

/// A typed stage as the bus runs it.
pub fn stage_factory<F: TypedStageFactory + 'static>(factory: F) -> Arc<dyn StageFactory> {
    Arc::new(FactoryAdapter(factory))
}

struct FactoryAdapter<F>(F);

impl<F: TypedStageFactory> FactoryAdapter<F> {
    fn adapt(&self, partition: u32, inner: F::Stage) -> Box<dyn Stage> {
        Box::new(StageAdapter { name: self.0.name(), partition: partition.to_string(), inner })
    }
}

impl<F: TypedStageFactory + 'static> StageFactory for FactoryAdapter<F> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn input_topic(&self) -> Arc<str> {
        <<F::Stage as TypedStage>::In as Contract>::TOPIC.into()
    }

    fn output_topics(&self) -> Vec<Arc<str>> {
        self.0.output_topics().into_iter().map(Arc::from).collect()
    }

    fn state_schema(&self) -> String {
        self.0.state_schema()
    }

    fn reach(&self) -> Vec<Reach> {
        self.0.reach()
    }

    fn create(&self, partition: u32) -> Box<dyn Stage> {
        self.adapt(partition, self.0.create(partition))
    }

    fn restore(&self, partition: u32, snapshot: &[u8]) -> Result<Box<dyn Stage>, String> {
        Ok(self.adapt(partition, self.0.restore(partition, snapshot)?))
    }
}

struct StageAdapter<S> {
    name: &'static str,
    partition: String,
    inner: S,
}

impl<S: TypedStage> Stage for StageAdapter<S> {
    fn apply(&mut self, batch: &[ConsumedRecord]) -> Result<Vec<Outcome>, StageFailure> {
        let began = Instant::now();
        let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(batch.len());
        let mut inputs = Vec::with_capacity(batch.len());
        for record in batch {
            match decode_record::<S::In>(record) {
                Ok(input) => {
                    inputs.push(input);
                    outcomes.push(None);
                }
                Err(message) => outcomes.push(Some(Outcome::Reject(Rejection { code: UNDECODABLE, message }))),
            }
        }
        let newest_ms = inputs.iter().map(|i| i.value.at().as_ms()).max();
        let expected = inputs.len();
        let replies = if inputs.is_empty() { Vec::new() } else { self.inner.apply(inputs)? };
        if replies.len() != expected {
            let message = format!("stage {} gave {} replies to {expected} inputs", self.name, replies.len());
            return Err(StageFailure { message });
        }
        self.measure(began, newest_ms);
        let mut replies = replies.into_iter().map(outcome_of);
        Ok(outcomes.into_iter().filter_map(|o| o.or_else(|| replies.next())).collect())
    }

    fn snapshot(&self) -> Vec<u8> {
        self.inner.snapshot()
    }

    fn repeated_under_other_terms(&mut self) {
        self.inner.repeated_under_other_terms();
    }
}

impl<S> StageAdapter<S> {
    fn measure(&self, began: Instant, newest_ms: Option<i64>) {
        histogram!("prescale_stage_apply_seconds", "stage" => self.name).record(began.elapsed().as_secs_f64());
        if let Some(ms) = newest_ms {
            gauge!("prescale_stage_event_time_seconds", "stage" => self.name, "partition" => self.partition.clone())
                .set(ms as f64 / 1000.0);
        }
    }
}

fn outcome_of(reply: Reply) -> Outcome {
    match reply {
        Reply::Emit(outgoing) => Outcome::Emit(outgoing.into_iter().flat_map(|o| o.records).collect()),
        Reply::Drop(reason) => Outcome::Drop(reason),
        Reply::Reject(rejection) => Outcome::Reject(rejection),
    }
}

#[cfg(test)]
mod tests;
