//! The planner as a stage of the bus.

use prescale_bus::{Reach, StageFailure, StateSchema};
use prescale_chassis::{Input, Outgoing, Reply, TypedStage, TypedStageFactory};
use prescale_contracts::topics;
use prescale_domain::governor::{FleetRecord, Fleets, Proposer};
use prescale_domain::policy::RuleBook;
use prescale_domain::prediction::Prediction;
use prescale_domain::workload::WorkloadId;
use std::sync::Arc;

/// Name of the stage.
pub const NAME: &str = "planner";
/// Reason under which predictions are counted that change nothing.
pub const HOLD: &str = "hold";
/// Reason under which predictions are counted that are not newer than the last of the workload.
pub const STALE: &str = prescale_chassis::audit::STALE;

/// Layout of the state; goes up when it changes.
const STATE_LAYOUT: u32 = 8;

/// What rules are tried with is halved in a week, for the prices in two.
pub const REMEMBERED: Reach = Reach { what: "what the rules that are tried have come to", records_s: 14 * 86_400 };

/// Makes the stage's instances.
///
/// The rules do not shape the state: what was published under earlier rules stays published, and a snapshot knows of it.
/// Where decisions have to be made again under other rules, they are forgotten afterwards: nobody may have published
/// them.
pub struct Factory {
    rules: Arc<RuleBook>,
    fleets: Arc<Fleets>,
}

/// The stage on one partition.
pub struct PlannerStage {
    rules: Arc<RuleBook>,
    fleets: Arc<Fleets>,
    partition: u32,
    proposer: Proposer,
}

impl Factory {
    /// Of checked rules and fleets.
    pub fn new(rules: Arc<RuleBook>, fleets: Arc<Fleets>) -> Self {
        Self { rules, fleets }
    }
}

impl TypedStageFactory for Factory {
    type Stage = PlannerStage;

    fn name(&self) -> &'static str {
        NAME
    }

    fn output_topics(&self) -> Vec<&'static str> {
        crate::STAGE.outputs.to_vec()
    }

    fn state_schema(&self) -> String {
        StateSchema::of(NAME, STATE_LAYOUT)
            .made_under_all_of("checksum of the rules", &self.rules)
            .made_under_all_of("checksum of the fleets", &self.fleets)
            .to_string()
    }

    fn reach(&self) -> Vec<Reach> {
        vec![REMEMBERED]
    }

    fn create(&self, partition: u32) -> PlannerStage {
        let (rules, fleets) = (Arc::clone(&self.rules), Arc::clone(&self.fleets));
        PlannerStage { rules, fleets, partition, proposer: Proposer::default() }
    }

    fn restore(&self, partition: u32, snapshot: &[u8]) -> Result<PlannerStage, String> {
        let proposer = bitcode::decode(snapshot).map_err(|e| format!("it is no state of the planner: {e}"))?;
        Ok(PlannerStage { proposer, ..self.create(partition) })
    }
}

impl TypedStage for PlannerStage {
    type In = Prediction;

    fn apply(&mut self, batch: Vec<Input<Prediction>>) -> Result<Vec<Reply>, StageFailure> {
        batch.iter().map(|input| self.reply(input)).collect()
    }

    fn snapshot(&self) -> Vec<u8> {
        bitcode::encode(&self.proposer)
    }

    fn repeated_under_other_terms(&mut self) {
        self.proposer.forget_published();
    }
}

impl PlannerStage {
    /// As [`Proposer::copy_workload`].
    pub fn copy_workload(&mut self, from: &WorkloadId, to: &WorkloadId) {
        self.proposer.copy_workload(from, to);
    }

    /// As [`Proposer::workload_bytes`].
    pub fn workload_bytes(&self, workload: &WorkloadId) -> Option<usize> {
        self.proposer.workload_bytes(workload)
    }

    fn reply(&mut self, input: &Input<Prediction>) -> Result<Reply, StageFailure> {
        let Input { envelope, value: prediction } = input;
        let desk = (self.rules.as_ref(), self.fleets.as_ref(), self.partition);
        let Some(said) = self.proposer.step(desk, prediction, (&envelope.id, envelope.as_of)) else {
            return Ok(Reply::Drop(STALE));
        };
        if said.is_empty() {
            return Ok(Reply::Drop(HOLD));
        }
        let outgoing = |(ordinal, record): (usize, &FleetRecord)| {
            let (workload, ordinal) = (&prediction.workload, ordinal as u32);
            Outgoing::following_key(envelope, NAME, workload, ordinal, &[topics::PROPOSALS], record)
        };
        Ok(Reply::Emit(said.iter().enumerate().map(outgoing).collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests;
