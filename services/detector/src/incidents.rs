//! Making incidents of anomalies as a stage of the bus.

use prescale_bus::{StageFailure, StateSchema};
use prescale_chassis::{Input, Outgoing, Reply, TypedStage, TypedStageFactory};
use prescale_contracts::topics;
use prescale_domain::incident::{FleetAnomaly, IncidentRules, Incidents};
use std::sync::Arc;

/// Name of the stage.
pub const NAME: &str = "incidents";
/// Reason under which anomalies are counted of which nobody is to hear, or nothing is new.
pub const NOTHING_NEW: &str = "nothing_new";

/// Layout of the state; goes up when it changes.
const STATE_LAYOUT: u32 = 2;

/// Makes the stage's instances. Rules do not shape the state.
pub struct Factory {
    rules: Arc<IncidentRules>,
}

/// The stage on one partition.
pub struct IncidentsStage {
    rules: Arc<IncidentRules>,
    incidents: Incidents,
}

impl Factory {
    /// Of checked rules.
    pub fn new(rules: Arc<IncidentRules>) -> Self {
        Self { rules }
    }
}

impl TypedStageFactory for Factory {
    type Stage = IncidentsStage;

    fn name(&self) -> &'static str {
        NAME
    }

    fn output_topics(&self) -> Vec<&'static str> {
        vec![topics::INCIDENTS]
    }

    fn state_schema(&self) -> String {
        StateSchema::of(NAME, STATE_LAYOUT).made_under_all_of("checksum of the rules", &self.rules).to_string()
    }

    fn create(&self, _partition: u32) -> IncidentsStage {
        IncidentsStage { rules: Arc::clone(&self.rules), incidents: Incidents::default() }
    }

    fn restore(&self, partition: u32, snapshot: &[u8]) -> Result<IncidentsStage, String> {
        let incidents = bitcode::decode(snapshot).map_err(|e| format!("it is no state of the incidents: {e}"))?;
        Ok(IncidentsStage { incidents, ..self.create(partition) })
    }
}

impl TypedStage for IncidentsStage {
    type In = FleetAnomaly;

    fn apply(&mut self, batch: Vec<Input<FleetAnomaly>>) -> Result<Vec<Reply>, StageFailure> {
        batch.iter().map(|input| self.reply(input)).collect()
    }

    fn snapshot(&self) -> Vec<u8> {
        bitcode::encode(&self.incidents)
    }
}

impl IncidentsStage {
    fn reply(&mut self, Input { envelope, value }: &Input<FleetAnomaly>) -> Result<Reply, StageFailure> {
        let told = self.incidents.take(&self.rules, value);
        metrics::gauge!("prescale_detector_incidents_open").set(self.incidents.lasting() as f64);
        if told.is_empty() {
            return Ok(Reply::Drop(NOTHING_NEW));
        }
        let outgoing = |(i, incident)| Outgoing::following(envelope, NAME, i, &[topics::INCIDENTS], incident);
        Ok(Reply::Emit((0..).zip(&told).map(outgoing).collect::<Result<_, _>>()?))
    }
}
