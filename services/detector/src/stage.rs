//! Raising alarms as a stage of the bus.

use prescale_bus::{StageFailure, StateSchema};
use prescale_chassis::{Input, Outgoing, Reply, TypedStage, TypedStageFactory};
use prescale_contracts::topics;
use prescale_domain::alarm::{AlarmRules, Alarms};
use prescale_domain::governor::Fleets;
use prescale_domain::incident::{FleetAnomaly, FleetPart};
use prescale_domain::prediction::Prediction;
use prescale_domain::workload::WorkloadId;
use std::sync::Arc;

/// Name of the stage.
pub const NAME: &str = "detector";
/// Reason under which predictions are counted of which nothing is to be told.
pub const NOTHING_NEW: &str = "nothing_new";
/// Reason under which predictions are counted that are not newer than the last of the workload.
pub const STALE: &str = prescale_chassis::audit::STALE;

/// Layout of the state; goes up when it changes.
const STATE_LAYOUT: u32 = 2;

/// Makes the stage's instances. Rules do not shape the state: what was raised under earlier ones stays raised.
pub struct Factory {
    rules: Arc<AlarmRules>,
    fleets: Arc<Fleets>,
}

/// The stage on one partition.
pub struct DetectorStage {
    partition: u32,
    rules: Arc<AlarmRules>,
    fleets: Arc<Fleets>,
    alarms: Alarms,
}

impl Factory {
    /// Of checked rules and fleets.
    pub fn new(rules: Arc<AlarmRules>, fleets: Arc<Fleets>) -> Self {
        Self { rules, fleets }
    }
}

impl TypedStageFactory for Factory {
    type Stage = DetectorStage;

    fn name(&self) -> &'static str {
        NAME
    }

    fn output_topics(&self) -> Vec<&'static str> {
        vec![topics::ANOMALIES, topics::ALARMS]
    }

    fn state_schema(&self) -> String {
        StateSchema::of(NAME, STATE_LAYOUT)
            .made_under_all_of("checksum of the rules", &self.rules)
            .made_under_all_of("checksum of the fleets", &self.fleets)
            .to_string()
    }

    fn create(&self, partition: u32) -> DetectorStage {
        let (rules, fleets) = (Arc::clone(&self.rules), Arc::clone(&self.fleets));
        DetectorStage { partition, rules, fleets, alarms: Alarms::default() }
    }

    fn restore(&self, partition: u32, snapshot: &[u8]) -> Result<DetectorStage, String> {
        let alarms = bitcode::decode(snapshot).map_err(|e| format!("it is no state of the detector: {e}"))?;
        Ok(DetectorStage { alarms, ..self.create(partition) })
    }
}

impl TypedStage for DetectorStage {
    type In = Prediction;

    fn apply(&mut self, batch: Vec<Input<Prediction>>) -> Result<Vec<Reply>, StageFailure> {
        batch.iter().map(|input| self.reply(input)).collect()
    }

    fn snapshot(&self) -> Vec<u8> {
        bitcode::encode(&self.alarms)
    }
}

impl DetectorStage {
    /// As [`Alarms::workload_bytes`].
    pub fn workload_bytes(&self, workload: &WorkloadId) -> Option<usize> {
        self.alarms.workload_bytes(workload)
    }

    fn reply(&mut self, Input { envelope, value: prediction }: &Input<Prediction>) -> Result<Reply, StageFailure> {
        let fleet = self.fleets.of(&prediction.workload, &prediction.source);
        let Some(anomalies) = self.alarms.take(&self.rules, &fleet, prediction) else {
            return Ok(Reply::Drop(STALE));
        };
        if anomalies.is_empty() {
            return Ok(Reply::Drop(NOTHING_NEW));
        }
        let (key, mut outgoing) = (&prediction.workload, Vec::with_capacity(2 * anomalies.len()));
        for (i, anomaly) in (0..).step_by(2).zip(anomalies) {
            outgoing.push(Outgoing::following_key(envelope, NAME, key, i, &[topics::ANOMALIES], &anomaly)?);
            let fleet = self.fleets.of(&anomaly.workload, &anomaly.source);
            let known = FleetPart { partition: self.partition, workloads: self.alarms.fleet_workloads(&fleet) };
            let told = FleetAnomaly { fleet, anomaly, known };
            outgoing.push(Outgoing::following_key(envelope, NAME, key, i + 1, &[topics::ALARMS], &told)?);
        }
        Ok(Reply::Emit(outgoing))
    }
}

#[cfg(test)]
mod tests;
