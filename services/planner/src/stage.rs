//! The planner as a stage of the bus.

use bitcode::{Decode, Encode};
use prescale_bus::StageFailure;
use prescale_chassis::{Input, Outgoing, Reply, TypedStage, TypedStageFactory};
use prescale_contracts::topics;
use prescale_domain::action::{Action, Verdict};
use prescale_domain::governor::{FleetRecord, Fleets, Proposal, Said, Sightings, follows_from_live_use};
use prescale_domain::guardrail::History;
use prescale_domain::policy::{Decision, Resource, Rules, step};
use prescale_domain::prediction::Prediction;
use prescale_domain::stream::silence::{Observed, SourceNumber, Sources};
use prescale_domain::workload::WorkloadId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Name of the stage.
pub const NAME: &str = "planner";
/// Reason under which predictions are counted that change nothing.
pub const HOLD: &str = "hold";
/// Reason under which predictions are counted that are not newer than the last of the workload.
pub const STALE: &str = "stale";

/// From this share of the capacity on live use demands an increase.
const NEARLY_USED_UP: f64 = 0.95;

/// Layout of the state; goes up when it changes.
const STATE_LAYOUT: u32 = 2;

/// Makes the stage's instances.
///
/// The rules are no part of the state's schema: what was published under earlier rules stays
/// published, and a snapshot knows of it.
pub struct Factory {
    rules: Arc<Rules>,
    fleets: Arc<Fleets>,
}

/// The stage on one partition.
pub struct PlannerStage {
    rules: Arc<Rules>,
    fleets: Arc<Fleets>,
    partition: u32,
    state: State,
}

/// All that a partition remembers.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
struct State {
    workloads: BTreeMap<WorkloadId, Known>,
    sources: Sources,
    sightings: Sightings,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Known {
    source: SourceNumber,
    history: History,
}

impl Factory {
    /// Of checked rules and fleets.
    pub fn new(rules: Arc<Rules>, fleets: Arc<Fleets>) -> Self {
        Self { rules, fleets }
    }
}

impl TypedStageFactory for Factory {
    type Stage = PlannerStage;

    fn name(&self) -> &'static str {
        NAME
    }

    fn output_topics(&self) -> Vec<&'static str> {
        vec![topics::PROPOSALS]
    }

    fn state_schema(&self) -> String {
        format!("{NAME} {STATE_LAYOUT}")
    }

    fn create(&self, partition: u32) -> PlannerStage {
        let (rules, fleets) = (Arc::clone(&self.rules), Arc::clone(&self.fleets));
        PlannerStage { rules, fleets, partition, state: State::default() }
    }

    fn restore(&self, partition: u32, snapshot: &[u8]) -> Result<PlannerStage, String> {
        let state = bitcode::decode(snapshot).map_err(|e| format!("it is no state of the planner: {e}"))?;
        Ok(PlannerStage { state, ..self.create(partition) })
    }
}

impl TypedStage for PlannerStage {
    type In = Prediction;

    fn apply(&mut self, batch: Vec<Input<Prediction>>) -> Result<Vec<Reply>, StageFailure> {
        batch.iter().map(|input| self.reply(input)).collect()
    }

    fn snapshot(&self) -> Vec<u8> {
        bitcode::encode(&self.state)
    }
}

impl PlannerStage {
    fn reply(&mut self, input: &Input<Prediction>) -> Result<Reply, StageFailure> {
        let Input { envelope, value: prediction } = input;
        let observed = self.state.sources.observe(&prediction.source, prediction.made_at);
        self.forget_silent(observed);
        let source = observed.source;
        let new = || Known { source, history: History::default() };
        let known = self.state.workloads.entry(prediction.workload.clone()).or_insert_with(new);
        known.source = source;
        let Some(decision) = step(&self.rules, &mut known.history, prediction, &envelope.id) else {
            return Ok(Reply::Drop(STALE));
        };
        let said = self.said(prediction, decision);
        if said.is_empty() {
            return Ok(Reply::Drop(HOLD));
        }
        let outgoing = |(ordinal, record): (usize, &FleetRecord)| {
            let (workload, ordinal) = (&prediction.workload, ordinal as u32);
            Outgoing::following_key(envelope, NAME, workload, ordinal, &[topics::PROPOSALS], record)
        };
        Ok(Reply::Emit(said.iter().enumerate().map(outgoing).collect::<Result<_, _>>()?))
    }

    /// What the governor is to hear: the proposal, between the views of the bins that end before and after it.
    fn said(&mut self, prediction: &Prediction, decision: Decision) -> Vec<FleetRecord> {
        let fleet = self.fleets.of(&prediction.workload, &prediction.source);
        let (partition, sightings) = (self.partition, &mut self.state.sightings);
        let before = sightings.before(&fleet, partition, prediction.made_at).map(Said::View);
        let proposed = match decision {
            Decision::Hold(_) => None,
            Decision::Act(action) => {
                let demanded = is_demanded(&action, prediction);
                Some(Said::Proposal(Box::new(Proposal { action: *action, demanded, partition })))
            }
        };
        let after = sightings.after(&fleet, partition, prediction).map(Said::View);
        let said = [before, proposed, after].into_iter().flatten();
        said.map(|said| FleetRecord { key: fleet.clone(), said }).collect()
    }

    fn forget_silent(&mut self, Observed { source, forget_before }: Observed) {
        let Some(before) = forget_before else { return };
        let is_silent = |k: &Known| k.source == source && k.history.made_at.is_none_or(|at| at < before);
        self.state.workloads.retain(|_, known| !is_silent(known));
    }
}

/// Whether live use demands an action: its reasons say so, or it is an increase while nearly all is in use.
fn is_demanded(action: &Action, prediction: &Prediction) -> bool {
    let is_nearly_used_up = || {
        prediction.resources.iter().any(|forecast| {
            let capacity = Resource::of_kpi(forecast.resource.as_str()).map(|resource| resource.of(&action.current));
            forecast.last.zip(capacity).is_some_and(|(last, capacity)| last >= NEARLY_USED_UP * capacity)
        })
    };
    follows_from_live_use(action) || action.verdict == Verdict::ScaleOut && is_nearly_used_up()
}

#[cfg(test)]
mod tests;
