//! The predictor as a stage of the bus.

use crate::config::Settings;
use crate::network::Network;
use crate::partition::{Enveloped, Fate, Partition, STATISTICAL_VERSION};
use crate::registry::Registry;
use prescale_bus::{Reach, StageFailure, StateSchema};
use prescale_chassis::{Input, Outgoing, Reply, TypedStage, TypedStageFactory};
use prescale_contracts::topics;
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::forecast::{Family, GRID_STEP_S, TWO_WEEKS_BINS};
use prescale_domain::forecast_score::ForecastScore;
use prescale_domain::workload::WorkloadId;
use std::sync::Arc;

/// Name of the stage.
pub const NAME: &str = "predictor";

/// Layout of the state; goes up when it changes.
const STATE_LAYOUT: u32 = 15;

/// Makes the stage's instances.
pub struct Factory {
    registry: Arc<Registry>,
}

/// The stage on one partition.
pub struct PredictorStage {
    partition: Partition,
}

impl PredictorStage {
    /// As [`Partition::copy_workload`].
    pub fn copy_workload(&mut self, from: &WorkloadId, to: &WorkloadId) {
        self.partition.copy_workload(from, to);
    }

    /// As [`Partition::workload_bytes`].
    pub fn workload_bytes(&self, workload: &WorkloadId) -> Option<usize> {
        self.partition.workload_bytes(workload)
    }
}

impl Factory {
    /// With the models that the settings ask for, as [`Registry::open`] has them.
    ///
    /// # Errors
    /// As [`Registry::open`].
    pub fn new(settings: Settings) -> anyhow::Result<Self> {
        Ok(Self::of(Arc::new(Registry::open(Arc::new(settings))?)))
    }

    /// With the models of a registry.
    pub fn of(registry: Arc<Registry>) -> Self {
        Self { registry }
    }
}

impl TypedStageFactory for Factory {
    type Stage = PredictorStage;

    fn name(&self) -> &'static str {
        NAME
    }

    fn output_topics(&self) -> Vec<&'static str> {
        crate::STAGE.outputs.to_vec()
    }

    fn state_schema(&self) -> String {
        let Settings { resources, horizons_s, models, choice, neighbours, leave_out_anomalies, .. } =
            &**self.registry.settings();
        let resources: Vec<&str> = resources.iter().map(|name| name.as_str()).collect();
        let models: Vec<&str> = models.iter().map(|family| family.name()).collect();
        let schema = StateSchema::of(NAME, STATE_LAYOUT)
            .shaped_by("version of the statistical families", STATISTICAL_VERSION)
            .made_under("resources", format!("{resources:?}"))
            .made_under("horizons_s", format!("{horizons_s:?}"))
            .made_under("models", format!("{models:?}"))
            .made_under("choice", format!("{choice:?}"))
            .made_under("neighbours", neighbours)
            .made_under("leave_out_anomalies", leave_out_anomalies);
        let with = |schema: StateSchema, (family, network): (&Family, &Network)| {
            schema.shaped_by(&format!("model of {}", family.name()), network.sha256())
        };
        self.registry.bases().iter().fold(schema, with).to_string()
    }

    fn reach(&self) -> Vec<Reach> {
        let records_s = TWO_WEEKS_BINS as u64 * u64::from(GRID_STEP_S);
        let corrections = Reach { what: "what forecasts are corrected by", records_s };
        let fitted = Reach { what: "the history that families are fitted on", records_s };
        let is_fitted = |family: &Family| matches!(family, Family::Mstl | Family::Arima | Family::Prophet);
        let has_fitted = self.registry.settings().models.iter().any(is_fitted);
        [Some(corrections), has_fitted.then_some(fitted)].into_iter().flatten().collect()
    }

    fn create(&self, _partition: u32) -> PredictorStage {
        PredictorStage { partition: Partition::new(Arc::clone(&self.registry)) }
    }

    fn restore(&self, _partition: u32, snapshot: &[u8]) -> Result<PredictorStage, String> {
        let partition = Partition::restored(Arc::clone(&self.registry), snapshot);
        Ok(PredictorStage { partition: partition.map_err(|e| format!("{e:#}"))? })
    }
}

impl TypedStage for PredictorStage {
    type In = Fingerprint;

    fn apply(&mut self, batch: Vec<Input<Fingerprint>>) -> Result<Vec<Reply>, StageFailure> {
        let batch =
            batch.into_iter().map(|input| Enveloped { envelope: input.envelope, fingerprint: input.value }).collect();
        let fates = self.partition.apply(batch).map_err(|e| StageFailure { message: format!("{NAME}: {e:#}") })?;
        let mut scores = self.partition.take_scores().into_iter().peekable();
        let each = fates.into_iter().enumerate();
        each.map(|(input, fate)| reply_of(fate, scores.next_if(|(of, _)| *of == input).map(|(_, score)| score)))
            .collect()
    }

    fn snapshot(&self) -> Vec<u8> {
        self.partition.snapshot()
    }
}

/// A score comes beside a prediction alone, and before it: so what is kept longer has the lower number, and whoever has
/// the prediction misses a score that is lost.
fn reply_of(fate: Fate, score: Option<ForecastScore>) -> Result<Reply, StageFailure> {
    match fate {
        Fate::Predicted(envelope, prediction) => {
            let to = [topics::PREDICTIONS, topics::PREDICTIONS_LATEST];
            let ordinal = u32::from(score.is_some());
            let scored = score.map(|score| Outgoing::following(&envelope, NAME, 0, &[topics::FORECAST_SCORES], &score));
            let predicted = Outgoing::following(&envelope, NAME, ordinal, &to, &*prediction);
            Ok(Reply::Emit(scored.into_iter().chain([predicted]).collect::<Result<_, _>>()?))
        }
        Fate::TakenIn => Ok(Reply::Emit(Vec::new())),
        Fate::Dropped(reason) => Ok(Reply::Drop(reason)),
    }
}

#[cfg(test)]
mod tests;
