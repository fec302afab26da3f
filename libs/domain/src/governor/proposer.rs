//! What one partition of the planner says: to the governor what it would do, and between that the views of the bins that
//! end before and after it; to everyone what the hours that are over were worth.

use super::{FleetRecord, Fleets, Proposal, Said, Sightings};
use crate::evaluation::{Evaluated, Evaluation, Outcome, Terms};
use crate::policy::Decision;
use crate::prediction::Prediction;
use crate::time::EventTime;
use crate::workload::WorkloadId;
use bitcode::{Decode, Encode};
use std::sync::Arc;

/// All that a partition of the planner remembers.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Proposer {
    evaluation: Evaluation,
    sightings: Sightings,
}

/// What follows from a prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposed {
    /// The workload's hours that are over with it, in their order.
    pub outcomes: Vec<Outcome>,
    /// What the governor is told, in its order.
    pub said: Vec<FleetRecord>,
}

impl Proposer {
    /// What follows from a prediction of this id; `None` when it is not newer than the last one of its workload. `as_of`
    /// is how far its source had come when its turn came, not before it was made.
    pub fn step(
        &mut self,
        (terms, fleets, partition): (&Terms, &Fleets, u32),
        prediction: &Prediction,
        (id, as_of): (&Arc<str>, EventTime),
    ) -> Option<Proposed> {
        let Evaluated { decision, outcomes } = self.evaluation.step(terms, prediction, id)?;
        let fleet = fleets.of(&prediction.workload, &prediction.source);
        let before = self.sightings.before(&fleet, partition, as_of).map(Said::View);
        let proposed = match decision {
            Decision::Hold(_) => None,
            Decision::Act(action) => {
                let demanded = action.follows_from_live_use();
                Some(Said::Proposal(Box::new(Proposal { action: *action, demanded, partition })))
            }
        };
        let after = self.sightings.after(&fleet, partition, (prediction, as_of)).map(Said::View);
        let said = [before, proposed, after].into_iter().flatten();
        let said = said.map(|said| FleetRecord { key: fleet.clone(), said }).collect();
        Some(Proposed { outcomes, said })
    }

    /// As [`Evaluation::copy_workload`]; what is seen of the fleets is not copied.
    pub fn copy_workload(&mut self, from: &WorkloadId, to: &WorkloadId) {
        self.evaluation.copy_workload(from, to);
    }

    /// As [`Evaluation::forget_published`].
    pub fn forget_published(&mut self) {
        self.evaluation.forget_published();
    }

    /// As [`Evaluation::workload_bytes`].
    pub fn workload_bytes(&self, workload: &WorkloadId) -> Option<usize> {
        self.evaluation.workload_bytes(workload)
    }

    /// Workloads that are remembered, in the order in which they came.
    pub fn workloads(&self) -> impl Iterator<Item = &WorkloadId> {
        self.evaluation.workloads()
    }
}
