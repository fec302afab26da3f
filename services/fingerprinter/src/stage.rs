//! The fingerprinter as a stage of the bus.

use crate::config::Settings;
use crate::partition::{Enveloped, Fate, Partition};
use prescale_bus::{Rejection, StageFailure};
use prescale_chassis::{Input, Outgoing, Reply, TypedStage, TypedStageFactory};
use prescale_contracts::{Envelope, topics};
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::sample::Sample;
use std::sync::Arc;

/// Name of the stage.
pub const NAME: &str = "fingerprinter";

/// Layout of the state; goes up when it changes.
const STATE_LAYOUT: u32 = 1;

/// Makes the stage's instances.
pub struct Factory {
    settings: Arc<Settings>,
}

/// The stage on one partition.
pub struct FingerprinterStage {
    /// An error when it could not start; it is told at the first batch.
    partition: Result<Partition, String>,
}

impl Factory {
    /// Of checked settings, whose features must be known to plan (see [`Partition::new`]).
    pub fn new(settings: Arc<Settings>) -> Self {
        Self { settings }
    }
}

impl TypedStageFactory for Factory {
    type Stage = FingerprinterStage;

    fn name(&self) -> &'static str {
        NAME
    }

    fn output_topics(&self) -> Vec<&'static str> {
        vec![topics::FINGERPRINTS]
    }

    fn state_schema(&self) -> String {
        let admission = &self.settings.admission;
        format!("{NAME} {STATE_LAYOUT} {} {admission:?}", self.settings.feature_schema_hash)
    }

    fn create(&self, _partition: u32) -> FingerprinterStage {
        let partition = Partition::new(Arc::clone(&self.settings)).map_err(|e| format!("{e:#}"));
        FingerprinterStage { partition }
    }

    fn restore(&self, _partition: u32, snapshot: &[u8]) -> Result<FingerprinterStage, String> {
        let partition = Partition::restored(Arc::clone(&self.settings), snapshot).map_err(|e| format!("{e:#}"))?;
        Ok(FingerprinterStage { partition: Ok(partition) })
    }
}

impl TypedStage for FingerprinterStage {
    type In = Sample;

    fn apply(&mut self, batch: Vec<Input<Sample>>) -> Result<Vec<Reply>, StageFailure> {
        let partition = self.partition.as_mut().map_err(|message| StageFailure { message: message.clone() })?;
        let batch =
            batch.into_iter().map(|input| Enveloped { envelope: input.envelope, sample: input.value }).collect();
        let fates = partition.apply(batch).map_err(|e| StageFailure { message: format!("features: {e:#}") })?;
        fates.into_iter().map(reply_of).collect()
    }

    fn snapshot(&self) -> Vec<u8> {
        self.partition.as_ref().map(Partition::snapshot).unwrap_or_default()
    }
}

fn reply_of(fate: Fate) -> Result<Reply, StageFailure> {
    let outgoing = |(envelope, fingerprint): (Envelope, Fingerprint)| {
        Outgoing::following(&envelope, NAME, 0, &[topics::FINGERPRINTS], &fingerprint)
    };
    match fate {
        Fate::Used(follow) => Ok(Reply::Emit(follow.into_iter().map(outgoing).collect::<Result<_, _>>()?)),
        Fate::Dropped(reason) => Ok(Reply::Drop(reason)),
        Fate::Rejected { code, message } => Ok(Reply::Reject(Rejection { code, message })),
    }
}
