//! The evaluator as a stage of the bus.

use prescale_bus::{Reach, StageFailure, StateSchema};
use prescale_chassis::{Input, Outgoing, Reply, TypedStage, TypedStageFactory};
use prescale_contracts::topics;
use prescale_domain::evaluation::{Evaluation, Terms};
use prescale_domain::prediction::Prediction;
use prescale_domain::workload::WorkloadId;
use std::sync::Arc;

/// Name of the stage.
pub const NAME: &str = "evaluator";
/// Reason under which predictions are counted with which no hour of their workload is over.
pub const OPEN_HOUR: &str = "open_hour";
/// Reason under which predictions are counted that are not newer than the last of the workload.
pub const STALE: &str = prescale_chassis::audit::STALE;

/// Layout of the state; goes up when it changes.
const STATE_LAYOUT: u32 = 6;

/// Makes the stage's instances.
///
/// The terms do not shape the state: what was decided under earlier rules stays decided, as it does for the planner, and
/// what had to be decided again under other rules is forgotten, as there.
pub struct Factory {
    terms: Arc<Terms>,
}

/// The stage on one partition.
pub struct EvaluatorStage {
    terms: Arc<Terms>,
    evaluation: Evaluation,
}

impl Factory {
    /// Of checked terms.
    pub fn new(terms: Arc<Terms>) -> Self {
        Self { terms }
    }
}

impl TypedStageFactory for Factory {
    type Stage = EvaluatorStage;

    fn name(&self) -> &'static str {
        NAME
    }

    fn output_topics(&self) -> Vec<&'static str> {
        crate::STAGE.outputs.to_vec()
    }

    fn state_schema(&self) -> String {
        StateSchema::of(NAME, STATE_LAYOUT)
            .made_under_all_of("checksum of the rules and prices", &self.terms)
            .to_string()
    }

    fn reach(&self) -> Vec<Reach> {
        vec![prescale_planner::stage::REMEMBERED]
    }

    fn create(&self, _partition: u32) -> EvaluatorStage {
        EvaluatorStage { terms: Arc::clone(&self.terms), evaluation: Evaluation::default() }
    }

    fn restore(&self, partition: u32, snapshot: &[u8]) -> Result<EvaluatorStage, String> {
        let evaluation = bitcode::decode(snapshot).map_err(|e| format!("it is no state of the evaluator: {e}"))?;
        Ok(EvaluatorStage { evaluation, ..self.create(partition) })
    }
}

impl TypedStage for EvaluatorStage {
    type In = Prediction;

    fn apply(&mut self, batch: Vec<Input<Prediction>>) -> Result<Vec<Reply>, StageFailure> {
        batch.iter().map(|input| self.reply(input)).collect()
    }

    fn snapshot(&self) -> Vec<u8> {
        bitcode::encode(&self.evaluation)
    }

    fn repeated_under_other_terms(&mut self) {
        self.evaluation.forget_published();
    }
}

impl EvaluatorStage {
    /// As [`Evaluation::copy_workload`].
    pub fn copy_workload(&mut self, from: &WorkloadId, to: &WorkloadId) {
        self.evaluation.copy_workload(from, to);
    }

    /// As [`Evaluation::workload_bytes`].
    pub fn workload_bytes(&self, workload: &WorkloadId) -> Option<usize> {
        self.evaluation.workload_bytes(workload)
    }

    fn reply(&mut self, input: &Input<Prediction>) -> Result<Reply, StageFailure> {
        let Input { envelope, value: prediction } = input;
        let Some(evaluated) = self.evaluation.step(&self.terms, prediction, &envelope.id) else {
            return Ok(Reply::Drop(STALE));
        };
        if evaluated.outcomes.is_empty() {
            return Ok(Reply::Drop(OPEN_HOUR));
        }
        let outgoing = |(ordinal, outcome)| Outgoing::following(envelope, NAME, ordinal, &[topics::OUTCOMES], outcome);
        Ok(Reply::Emit((0..).zip(&evaluated.outcomes).map(outgoing).collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests;
