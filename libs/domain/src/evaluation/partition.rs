//! One partition's decisions, and each workload's account of what they are worth.

use super::account::Account;
use super::outcome::{Outcome, Terms};
use crate::policy::{Decision, Planning};
use crate::prediction::Prediction;
use crate::slots::Slots;
use crate::stream::silence::{Observed, SourceNumber, Sources};
use crate::workload::WorkloadId;
use bitcode::{Decode, Encode};
use std::sync::Arc;

/// One partition's decisions and accounts. It is a function of the predictions in their order and of the terms.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Evaluation {
    planning: Planning,
    sources: Sources,
    pub(super) workloads: Slots<Kept>,
}

/// What is kept of a workload.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) struct Kept {
    source: SourceNumber,
    pub(super) account: Account,
}

/// What a prediction led to.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// What is decided on it.
    pub decision: Decision,
    /// The workload's hours that are over with it, in their order.
    pub outcomes: Vec<Outcome>,
}

impl Evaluation {
    /// Takes a prediction in. `None` when it is not newer than the last one of its workload.
    pub fn step(&mut self, terms: &Terms, prediction: &Prediction, prediction_id: &Arc<str>) -> Option<Evaluated> {
        let observed = self.sources.observe(&prediction.source, prediction.made_at);
        self.forget_silent(observed);
        let decision = self.planning.step(&terms.rules, prediction, prediction_id)?;
        let source = observed.source;
        let new = || Kept { source, account: Account::new(prediction.made_at) };
        let kept = self.workloads.get_or_insert_with(&prediction.workload, new);
        kept.source = source;
        let lead_time_s = self.planning.lead_time_s(&terms.rules, prediction);
        let own = terms.of(&prediction.workload, &prediction.source, lead_time_s);
        let outcomes = kept.account.take(&own, prediction, &decision);
        Some(Evaluated { decision, outcomes })
    }

    /// As [`Planning::copy_workload`], with the workload's account.
    pub fn copy_workload(&mut self, from: &WorkloadId, to: &WorkloadId) {
        self.planning.copy_workload(from, to);
        if let Some(kept) = self.workloads.get(from).cloned() {
            self.workloads.insert(to, kept);
        }
    }

    /// As [`Planning::forget_published`]; plans go on from the capacity that there is. What has come of the open hours
    /// stays.
    pub fn forget_published(&mut self) {
        self.planning.forget_published();
        self.workloads.values_mut().for_each(|kept| kept.account.forget_plan());
    }

    /// As [`Planning::workloads`].
    pub fn workloads(&self) -> impl Iterator<Item = &WorkloadId> {
        self.planning.workloads()
    }

    /// Bytes that a workload takes, without what the allocator adds.
    pub fn workload_bytes(&self, workload: &WorkloadId) -> Option<usize> {
        let kept = self.workloads.get(workload)?;
        let account = Slots::<Kept>::bytes_each() + kept.account.heap_bytes();
        Some(self.planning.workload_bytes(workload)? + account)
    }

    fn forget_silent(&mut self, Observed { source, forget_before }: Observed) {
        let Some(before) = forget_before else { return };
        self.workloads.retain(|_, kept| kept.source != source || kept.account.newest_at >= before);
    }
}
