//! The governor as a stage of the bus.

use metrics::gauge;
use prescale_bus::partitioner::{key_of, partition_of};
use prescale_bus::{StageFailure, StateSchema};
use prescale_chassis::{Input, Outgoing, Reply, TypedStage, TypedStageFactory};
use prescale_contracts::{Envelope, topics};
use prescale_domain::governor::{
    FleetRecord, Governor, GovernorRules, Heard, Held, ORDER_KEY, Order, Ruling, Said, StandingOrder,
};
use prescale_domain::workload::WorkloadId;
use std::sync::Arc;

/// Name of the stage.
pub const NAME: &str = "governor";
/// Reason under which proposals are counted that are not newer than the last of their workload.
pub const STALE: &str = prescale_chassis::audit::STALE;
/// Reason under which views are counted that are not newer than the last of their partition.
pub const STALE_VIEW: &str = "stale_view";
/// Reason under which orders are counted that were known.
pub const REPEATED: &str = "repeated";

/// Layout of the state; goes up when it changes.
const STATE_LAYOUT: u32 = 4;

/// Makes the stage's instances.
///
/// The rules do not shape the state: what was admitted under earlier rules stays admitted, and orders that stand are not
/// to be lost.
pub struct Factory {
    rules: Arc<GovernorRules>,
    partitions: u32,
}

/// The stage on one partition.
pub struct GovernorStage {
    rules: Arc<GovernorRules>,
    partitions: u32,
    partition: u32,
    governor: Governor<Envelope>,
}

impl Factory {
    /// Of checked rules, over topics of so many partitions.
    pub fn new(rules: Arc<GovernorRules>, partitions: u32) -> Self {
        Self { rules, partitions }
    }
}

impl TypedStageFactory for Factory {
    type Stage = GovernorStage;

    fn name(&self) -> &'static str {
        NAME
    }

    fn output_topics(&self) -> Vec<&'static str> {
        crate::STAGE.outputs.to_vec()
    }

    fn state_schema(&self) -> String {
        StateSchema::of(NAME, STATE_LAYOUT).made_under_all_of("checksum of the rules", &self.rules).to_string()
    }

    fn create(&self, partition: u32) -> GovernorStage {
        let rules = Arc::clone(&self.rules);
        GovernorStage { rules, partitions: self.partitions, partition, governor: Governor::default() }
    }

    fn restore(&self, partition: u32, snapshot: &[u8]) -> Result<GovernorStage, String> {
        let governor = bitcode::decode(snapshot).map_err(|e| format!("it is no state of the governor: {e}"))?;
        Ok(GovernorStage { governor, ..self.create(partition) })
    }
}

impl TypedStage for GovernorStage {
    type In = FleetRecord;

    fn apply(&mut self, batch: Vec<Input<FleetRecord>>) -> Result<Vec<Reply>, StageFailure> {
        let replies = batch.into_iter().map(|input| self.reply(input)).collect();
        gauge!("prescale_governor_waiting", "partition" => self.partition.to_string())
            .set(self.governor.pending() as f64);
        replies
    }

    fn snapshot(&self) -> Vec<u8> {
        bitcode::encode(&self.governor)
    }
}

impl GovernorStage {
    fn reply(&mut self, Input { envelope, value }: Input<FleetRecord>) -> Result<Reply, StageFailure> {
        let FleetRecord { key: fleet, said } = value;
        let (rules, partitions) = (self.rules.as_ref(), self.partitions);
        let (heard, stale) = match said {
            Said::Proposal(proposal) => {
                let tagged = (envelope.clone(), *proposal);
                (self.governor.propose(rules, partitions, &fleet, tagged, envelope.as_of), STALE)
            }
            Said::View(view) => (self.governor.view(rules, partitions, &fleet, &view), STALE_VIEW),
            Said::Order(order) => return self.ordered(&envelope, &fleet, &order),
            Said::Held(held) => return Ok(Reply::Drop(counted(&held.rule))),
        };
        match heard {
            Heard::Stale => Ok(Reply::Drop(stale)),
            Heard::Used { rulings, repeat } => {
                let mut outgoing = outgoing(&envelope, &fleet, rulings)?;
                for (nth, order) in (0..).zip(&repeat) {
                    outgoing.extend(self.repetitions((&envelope, &fleet), nth, order)?);
                }
                Ok(Reply::Emit(outgoing))
            }
        }
    }

    fn ordered(&mut self, envelope: &Envelope, key: &WorkloadId, order: &Order) -> Result<Reply, StageFailure> {
        let Heard::Used { rulings, .. } = self.governor.order(order) else { return Ok(Reply::Drop(REPEATED)) };
        let mut outgoing = outgoing(envelope, key, rulings)?;
        let scope = order.scope.key();
        if partition_of(scope.as_str().as_bytes(), self.partitions) == self.partition {
            let standing = StandingOrder { order: order.clone() };
            outgoing.push(Outgoing::following(envelope, NAME, 0, &[topics::CONTROL], &standing)?);
        }
        Ok(Reply::Emit(outgoing))
    }

    /// An order again, for every partition: one of them may have no record that would tell it the time. They are
    /// numbered behind the ruling on the record that they follow from, which has the fleet's key.
    fn repetitions(
        &self,
        (envelope, fleet): (&Envelope, &WorkloadId),
        nth: u32,
        order: &Order,
    ) -> Result<Vec<Outgoing>, StageFailure> {
        let repetition = |partition: u32| {
            let key = WorkloadId::new(&key_of(ORDER_KEY, partition, self.partitions))
                .map_err(|e| StageFailure { message: format!("an order cannot be repeated: {e}") })?;
            let record = FleetRecord { key, said: Said::Order(order.clone()) };
            let ordinal = 1 + nth * self.partitions + partition;
            Outgoing::following_key(envelope, NAME, fleet, ordinal, &[topics::PROPOSALS], &record)
        };
        (0..self.partitions).map(repetition).collect()
    }
}

/// What follows from rulings on a fleet. An action, or the record that says why there is none, follows from
/// the proposal; a withdrawal, what had been held until the order, or what it left of what was out, from the order.
fn outgoing(
    envelope: &Envelope,
    fleet: &WorkloadId,
    rulings: Vec<Ruling<Envelope>>,
) -> Result<Vec<Outgoing>, StageFailure> {
    let one = |ruling| match ruling {
        Ruling::Admitted { tag, action } => {
            Outgoing::following_key(&tag, NAME, fleet, 0, &[topics::ACTIONS], action.as_ref())
        }
        Ruling::Held { tag, workload, decided_at, why } => {
            let proposal_id = Arc::clone(&tag.id);
            let held = Held { workload, decided_at, proposal_id, rule: why.rule, why: why.text };
            let record = FleetRecord { key: fleet.clone(), said: Said::Held(held) };
            Outgoing::following_key(&tag, NAME, fleet, 0, &[topics::PROPOSALS], &record)
        }
        Ruling::Released(action) => Outgoing::following(envelope, NAME, 2, &[topics::ACTIONS], action.as_ref()),
        Ruling::Withdrawn(action) => Outgoing::following(envelope, NAME, 1, &[topics::ACTIONS], action.as_ref()),
    };
    rulings.into_iter().map(one).collect()
}

/// The reason under which what a rule held is counted, once what the governor wrote of it comes back to it.
fn counted(rule: &str) -> &'static str {
    match rule {
        "governor.paused" => "paused",
        "governor.overtaken" => "overtaken",
        "governor.expired" => "expired",
        "governor.stands" => "stands",
        "governor.fleet_gone" => "fleet_gone",
        "governor.kpis_lost" => "kpis_lost",
        "governor.scale_in_budget" => "scale_in_budget",
        "governor.changed_share" => "changed_share",
        _ => "held",
    }
}

#[cfg(test)]
pub(crate) mod tests;
