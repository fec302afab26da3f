//! The second stage: the parts of all partitions in, a group's predictions out.

use bitcode::{Decode, Encode};
use prescale_bus::{Reach, StageFailure, StateSchema};
use prescale_chassis::{Input, Outgoing, Reply, TypedStage, TypedStageFactory};
use prescale_contracts::topics;
use prescale_domain::group::join::{Join, Joined};
use prescale_domain::group::series::MODEL_VERSION;
use prescale_domain::group::{GroupName, GroupPart};
use prescale_domain::stream::silence::FORGET_AFTER_S;
use prescale_domain::time::EventTime;
use std::collections::BTreeMap;

/// Name of the stage.
pub const NAME: &str = "group-forecaster";
/// Reason under which parts are counted of bins that were over.
pub const LATE: &str = "late";

/// Layout of the state; goes up when it changes.
const STATE_LAYOUT: u32 = 2;

/// Makes the stage's instances.
pub struct Factory {
    patience_bins: i64,
}

/// The stage on one partition.
pub struct ForecasterStage {
    patience_bins: i64,
    state: State,
}

/// All that a partition remembers.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
struct State {
    groups: BTreeMap<GroupName, Join>,
}

impl Factory {
    /// A bin waits for a partition that is behind by no more than `patience_bins`.
    pub fn new(patience_bins: i64) -> Self {
        Self { patience_bins }
    }
}

impl TypedStageFactory for Factory {
    type Stage = ForecasterStage;

    fn name(&self) -> &'static str {
        NAME
    }

    fn output_topics(&self) -> Vec<&'static str> {
        crate::STAGES[1].outputs.to_vec()
    }

    fn state_schema(&self) -> String {
        StateSchema::of(NAME, STATE_LAYOUT)
            .shaped_by("version of the model", MODEL_VERSION)
            .made_under("patience in bins", self.patience_bins)
            .to_string()
    }

    fn reach(&self) -> Vec<Reach> {
        vec![Reach { what: "what forecasts of groups are corrected by", records_s: 14 * 86_400 }]
    }

    fn create(&self, _partition: u32) -> ForecasterStage {
        ForecasterStage { patience_bins: self.patience_bins, state: State::default() }
    }

    fn restore(&self, _partition: u32, snapshot: &[u8]) -> Result<ForecasterStage, String> {
        let state = bitcode::decode(snapshot).map_err(|e| format!("it is no state of the {NAME}: {e}"))?;
        Ok(ForecasterStage { patience_bins: self.patience_bins, state })
    }
}

impl TypedStage for ForecasterStage {
    type In = GroupPart;

    fn apply(&mut self, batch: Vec<Input<GroupPart>>) -> Result<Vec<Reply>, StageFailure> {
        batch.into_iter().map(|input| self.reply(input)).collect()
    }

    fn snapshot(&self) -> Vec<u8> {
        bitcode::encode(&self.state)
    }
}

impl ForecasterStage {
    fn reply(&mut self, Input { value: part, .. }: Input<GroupPart>) -> Result<Reply, StageFailure> {
        if !self.state.groups.contains_key(&part.group) {
            self.forget_silent(part.made_at);
        }
        match self.state.groups.entry(part.group.clone()).or_default().take(part, self.patience_bins) {
            Joined::Late => Ok(Reply::Drop(LATE)),
            Joined::Made(predictions) => {
                // Its id is that of group and instant, whichever part it was that completed the bin.
                let outgoing = predictions.iter().map(|p| Outgoing::root(NAME, "", &[topics::GROUP_PREDICTIONS], p));
                Ok(Reply::Emit(outgoing.collect::<Result<_, _>>()?))
            }
        }
    }

    /// A new group is when those are dropped that the configuration does not name any more.
    fn forget_silent(&mut self, now: EventTime) {
        let oldest = now.plus_s(-FORGET_AFTER_S);
        self.state.groups.retain(|_, join| join.newest_at().is_some_and(|at| at >= oldest));
    }
}

#[cfg(test)]
mod tests;
