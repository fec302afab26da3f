//! One step of a stage, up to its commit: apply a batch, turn the outcomes into records to write,
//! and count them. What both backends share of it.

use crate::dlq::{dead_letter, dlq_topic};
use crate::error::BusError;
use crate::record::ConsumedRecord;
use crate::stage::{Outcome, Stage, StageFactory};
use crate::write::Write;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

/// What one step did, to be counted once it is committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    read: u64,
    written: u64,
    dropped: BTreeMap<&'static str, u64>,
    rejected: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Adds the step to the metrics.
    pub(crate) fn count(&self, stage: &'static str) {
        metrics::counter!("prescale_stage_records_in_total", "stage" => stage).increment(self.read);
        metrics::counter!("prescale_stage_records_out_total", "stage" => stage).increment(self.written);
        for (reason, n) in &self.dropped {
            metrics::counter!("prescale_stage_dropped_total", "stage" => stage, "reason" => *reason).increment(*n);
        }
        for (code, n) in &self.rejected {
            metrics::counter!("prescale_stage_rejected_total", "stage" => stage, "code" => *code).increment(*n);
        }
    }
}

/// A stage's names, as a step needs them.
#[derive(Clone, Debug)]
pub(crate) struct StepContext {
    pub(crate) stage: &'static str,
    pub(crate) input: Arc<str>,
    outputs: BTreeSet<Arc<str>>,
}

impl StepContext {
    pub(crate) fn new(factory: &dyn StageFactory) -> Self {
        let outputs = factory.output_topics().into_iter().collect();
        Self { stage: factory.name(), input: factory.input_topic(), outputs }
    }

    /// Topics that must exist before the stage starts: those it writes, and its dead letters'.
    pub(crate) fn topics_written(&self) -> Vec<String> {
        self.outputs.iter().map(|t| t.to_string()).chain([dlq_topic(&self.input)]).collect()
    }

    /// Applies a batch of one partition; returns the records to write, in order.
    ///
    /// # Errors
    /// When the stage fails or breaks its contract.
    pub(crate) fn apply(
        &self,
        stage: &mut dyn Stage,
        batch: &[ConsumedRecord],
    ) -> Result<(Vec<Write>, Tally), BusError> {
        let started = Instant::now();
        let outcomes = stage.apply(batch).map_err(|failure| self.failed(batch, failure.message))?;
        metrics::histogram!("prescale_stage_step_seconds", "stage" => self.stage)
            .record(started.elapsed().as_secs_f64());
        if outcomes.len() != batch.len() {
            let message = format!("it returned {} outcomes for {} records", outcomes.len(), batch.len());
            return Err(self.failed(batch, message));
        }
        let mut writes = Vec::with_capacity(batch.len());
        let mut tally = Tally { read: batch.len() as u64, ..Tally::default() };
        for (record, outcome) in batch.iter().zip(outcomes) {
            match outcome {
                Outcome::Emit(records) => {
                    for record in &records {
                        if !self.outputs.contains(&record.topic) {
                            let message =
                                format!("it wrote to {:?}, which its output topics do not name", record.topic);
                            return Err(self.failed(batch, message));
                        }
                    }
                    tally.written += records.len() as u64;
                    writes.extend(records.into_iter().map(Write::from));
                }
                Outcome::Drop(reason) => *tally.dropped.entry(reason).or_default() += 1,
                Outcome::Reject(rejection) => {
                    *tally.rejected.entry(rejection.code).or_default() += 1;
                    writes.push(dead_letter(self.stage, record, &rejection));
                }
            }
        }
        Ok((writes, tally))
    }

    fn failed(&self, batch: &[ConsumedRecord], message: String) -> BusError {
        BusError::Stage {
            stage: self.stage.to_owned(),
            topic: self.input.to_string(),
            partition: batch.first().map_or(0, |r| r.partition),
            offset: batch.first().map_or(0, |r| r.offset),
            message,
        }
    }
}
