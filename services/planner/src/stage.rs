//! The planner as a stage of the bus.

use prescale_bus::{Reach, StageFailure, StateSchema};
use prescale_chassis::{Input, Outgoing, Reply, TypedStage, TypedStageFactory};
use prescale_contracts::topics;
use prescale_domain::evaluation::Terms;
use prescale_domain::governor::{Fleets, Proposed, Proposer};
use prescale_domain::prediction::Prediction;
use prescale_domain::workload::WorkloadId;
use std::sync::Arc;

/// Name of the stage.
pub const NAME: &str = "planner";
/// Reason under which predictions are counted that change nothing, and with which no hour of their workload is over.
pub const HOLD: &str = "hold";
/// Reason under which predictions are counted that are not newer than the last of the workload.
pub const STALE: &str = prescale_chassis::audit::STALE;

/// Layout of the state; goes up when it changes.
const STATE_LAYOUT: u32 = 11;

/// What rules are tried with is halved in a week, for the prices in two.
const REMEMBERED: Reach = Reach { what: "what the rules that are tried have come to", records_s: 14 * 86_400 };

/// Makes the stage's instances.
///
/// The terms do not shape the state: what was published under earlier rules stays published, and a snapshot knows of it.
/// Where decisions have to be made again under other rules, they are forgotten afterwards: nobody may have published
/// them.
pub struct Factory {
    terms: Arc<Terms>,
    fleets: Arc<Fleets>,
}

/// The stage on one partition.
pub struct PlannerStage {
    terms: Arc<Terms>,
    fleets: Arc<Fleets>,
    partition: u32,
    proposer: Proposer,
}

impl Factory {
    /// Of checked terms and fleets.
    pub fn new(terms: Arc<Terms>, fleets: Arc<Fleets>) -> Self {
        Self { terms, fleets }
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
            .made_under_all_of("checksum of the rules and prices", &self.terms)
            .made_under_all_of("checksum of the fleets", &self.fleets)
            .to_string()
    }

    fn reach(&self) -> Vec<Reach> {
        vec![REMEMBERED]
    }

    fn create(&self, partition: u32) -> PlannerStage {
        let (terms, fleets) = (Arc::clone(&self.terms), Arc::clone(&self.fleets));
        PlannerStage { terms, fleets, partition, proposer: Proposer::default() }
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
        let desk = (self.terms.as_ref(), self.fleets.as_ref(), self.partition);
        let Some(proposed) = self.proposer.step(desk, prediction, (&envelope.id, envelope.as_of)) else {
            return Ok(Reply::Drop(STALE));
        };
        let Proposed { outcomes, said } = proposed;
        if outcomes.is_empty() && said.is_empty() {
            return Ok(Reply::Drop(HOLD));
        }
        // One numbering for both, and first what is kept longer, so that retention leaves no gap.
        let mut ordinals = 0..;
        let told = outcomes.iter().zip(ordinals.by_ref());
        let told = told.map(|(outcome, i)| Outgoing::following(envelope, NAME, i, &[topics::OUTCOMES], outcome));
        let mut outgoing = told.collect::<Result<Vec<_>, _>>()?;
        for (record, i) in said.iter().zip(ordinals) {
            let workload = &prediction.workload;
            outgoing.push(Outgoing::following_key(envelope, NAME, workload, i, &[topics::PROPOSALS], record)?);
        }
        Ok(Reply::Emit(outgoing))
    }
}

#[cfg(test)]
mod outcome_tests;
#[cfg(test)]
mod tests;
