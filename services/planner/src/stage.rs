//! The planner as a stage of the bus.

use prescale_bus::StageFailure;
use prescale_chassis::{Input, Outgoing, Reply, TypedStage, TypedStageFactory};
use prescale_contracts::topics;
use prescale_domain::policy::{Decision, Planning, Rules};
use prescale_domain::prediction::Prediction;
use std::sync::Arc;

/// Name of the stage.
pub const NAME: &str = "planner";
/// Reason under which predictions are counted that change nothing.
pub const HOLD: &str = "hold";
/// Reason under which predictions are counted that are not newer than the last of the workload.
pub const STALE: &str = "stale";

/// Layout of the state; goes up when it changes.
const STATE_LAYOUT: u32 = 2;

/// Makes the stage's instances.
///
/// The rules are no part of the state's schema: what was published under earlier rules stays
/// published, and a snapshot knows of it.
pub struct Factory {
    rules: Arc<Rules>,
}

/// The stage on one partition.
pub struct PlannerStage {
    rules: Arc<Rules>,
    planning: Planning,
}

impl Factory {
    /// Of checked rules.
    pub fn new(rules: Arc<Rules>) -> Self {
        Self { rules }
    }
}

impl TypedStageFactory for Factory {
    type Stage = PlannerStage;

    fn name(&self) -> &'static str {
        NAME
    }

    fn output_topics(&self) -> Vec<&'static str> {
        vec![topics::ACTIONS]
    }

    fn state_schema(&self) -> String {
        format!("{NAME} {STATE_LAYOUT}")
    }

    fn create(&self, _partition: u32) -> PlannerStage {
        PlannerStage { rules: Arc::clone(&self.rules), planning: Planning::default() }
    }

    fn restore(&self, _partition: u32, snapshot: &[u8]) -> Result<PlannerStage, String> {
        let planning = bitcode::decode(snapshot).map_err(|e| format!("it is no state of the planner: {e}"))?;
        Ok(PlannerStage { rules: Arc::clone(&self.rules), planning })
    }
}

impl TypedStage for PlannerStage {
    type In = Prediction;

    fn apply(&mut self, batch: Vec<Input<Prediction>>) -> Result<Vec<Reply>, StageFailure> {
        batch.iter().map(|input| self.reply(input)).collect()
    }

    fn snapshot(&self) -> Vec<u8> {
        bitcode::encode(&self.planning)
    }
}

impl PlannerStage {
    fn reply(&mut self, input: &Input<Prediction>) -> Result<Reply, StageFailure> {
        let Input { envelope, value: prediction } = input;
        match self.planning.step(&self.rules, prediction, &envelope.id) {
            None => Ok(Reply::Drop(STALE)),
            Some(Decision::Hold(_)) => Ok(Reply::Drop(HOLD)),
            Some(Decision::Act(action)) => {
                let outgoing = Outgoing::following(envelope, NAME, 0, &[topics::ACTIONS], action.as_ref())?;
                Ok(Reply::Emit(vec![outgoing]))
            }
        }
    }
}

#[cfg(test)]
mod tests;
