//! The first stage: predictions in, a part for each group of whose members the partition has some.

use crate::config::Groups;
use bitcode::{Decode, Encode};
use prescale_bus::{StageFailure, StateSchema};
use prescale_chassis::{Input, Outgoing, Reply, TypedStage, TypedStageFactory};
use prescale_contracts::topics;
use prescale_domain::forecast::GRID_STEP_S;
use prescale_domain::group::members::Members;
use prescale_domain::group::{GroupName, GroupPart};
use prescale_domain::prediction::Prediction;
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Name of the stage.
pub const NAME: &str = "grouper";
/// Reason under which predictions are counted of workloads that are in no group.
pub const NO_GROUP: &str = "no_group";

/// Layout of the state; goes up when it changes.
const STATE_LAYOUT: u32 = 2;

/// Makes the stage's instances.
///
/// The groups do not shape the state. Members that a group does not hold any more count as silent ones do, and a group
/// that is gone ends as one does whose members are all silent, so that its sums end with the records that say so.
pub struct Factory {
    groups: Arc<Groups>,
}

/// The stage on one partition.
pub struct PartsStage {
    groups: Arc<Groups>,
    partition: u32,
    state: State,
}

/// All that a partition remembers.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
struct State {
    /// By group.
    members: BTreeMap<GroupName, Members>,
    /// By source the newest bin.
    newest_bins: BTreeMap<SourceName, i64>,
}

impl Factory {
    /// Of these groups.
    pub fn new(groups: Arc<Groups>) -> Self {
        Self { groups }
    }
}

impl TypedStageFactory for Factory {
    type Stage = PartsStage;

    fn name(&self) -> &'static str {
        NAME
    }

    fn output_topics(&self) -> Vec<&'static str> {
        crate::STAGES[0].outputs.to_vec()
    }

    fn state_schema(&self) -> String {
        StateSchema::of(NAME, STATE_LAYOUT).made_under("groups", &self.groups).to_string()
    }

    fn create(&self, partition: u32) -> PartsStage {
        PartsStage { groups: Arc::clone(&self.groups), partition, state: State::default() }
    }

    fn restore(&self, partition: u32, snapshot: &[u8]) -> Result<PartsStage, String> {
        let state = bitcode::decode(snapshot).map_err(|e| format!("it is no state of the grouper: {e}"))?;
        Ok(PartsStage { state, ..self.create(partition) })
    }
}

impl TypedStage for PartsStage {
    type In = Prediction;

    fn apply(&mut self, batch: Vec<Input<Prediction>>) -> Result<Vec<Reply>, StageFailure> {
        batch.iter().map(|input| self.reply(input)).collect()
    }

    fn snapshot(&self) -> Vec<u8> {
        bitcode::encode(&self.state)
    }
}

impl PartsStage {
    fn reply(&mut self, input: &Input<Prediction>) -> Result<Reply, StageFailure> {
        let prediction = &input.value;
        let mut parts = self.hear(&prediction.source, prediction.made_at);
        let groups = Arc::clone(&self.groups);
        let mut of = groups.of(&prediction.workload, &prediction.source).peekable();
        if parts.is_empty() && of.peek().is_none() {
            return Ok(Reply::Drop(NO_GROUP));
        }
        for group in of {
            let members = self.state.members.entry(group.clone()).or_default();
            parts.extend(members.take(group, self.partition, prediction));
        }
        let outgoing = |(ordinal, part): (usize, &GroupPart)| {
            Outgoing::following(&input.envelope, NAME, ordinal as u32, &[topics::GROUP_PARTS], part)
        };
        Ok(Reply::Emit(parts.iter().enumerate().map(outgoing).collect::<Result<_, _>>()?))
    }

    /// Moves the source's clock; with each bin, the groups whose members here have become silent end.
    fn hear(&mut self, source: &SourceName, at: EventTime) -> Vec<GroupPart> {
        let bin = at.bin(GRID_STEP_S);
        if self.state.newest_bins.get(source).is_some_and(|newest| bin <= *newest) {
            return Vec::new();
        }
        self.state.newest_bins.insert(source.clone(), bin);
        let mut parts = Vec::new();
        let partition = self.partition;
        self.state.members.retain(|group, members| match members.hear(group, partition, source, at) {
            Some(last) => {
                parts.extend(last);
                false
            }
            None => true,
        });
        parts
    }
}
