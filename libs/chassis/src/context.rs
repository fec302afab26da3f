//! What a service's `run` gets beside its own configuration.

use crate::bus_access::{BusConfig, KafkaConfig};
use crate::graph::Graph;
use crate::health::HealthRegistry;
use prescale_bus::StageOptions;
use std::sync::Arc;

/// The installation as a service sees it. Clones share the health registry.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where components report their health.
    pub health: HealthRegistry,
    /// The stages of the installation, for those who look at others; none where nobody has handed them over.
    pub graph: Arc<Graph>,
    /// Access to the Kafka of the installation, also where its bus is another.
    pub kafka: KafkaConfig,
    /// Prefix of consumer groups.
    pub group_prefix: String,
    /// Most records given to a stage at a time.
    pub batch_records_max: usize,
    /// A snapshot of a partition's state is taken after so many records.
    pub snapshot_every_records: u64,
}

impl Context {
    /// As the `[bus]` section says.
    pub fn new(bus: &BusConfig) -> Self {
        Self {
            health: HealthRegistry::default(),
            graph: Arc::default(),
            kafka: bus.kafka.clone(),
            group_prefix: bus.group_prefix.clone(),
            batch_records_max: bus.batch_records_max,
            snapshot_every_records: bus.snapshot_every_records,
        }
    }

    /// Among these stages.
    #[must_use]
    pub fn with_graph(self, graph: Graph) -> Self {
        Self { graph: Arc::new(graph), ..self }
    }

    /// Consumer group of a stage: `<prefix>-<stage>`.
    pub fn group(&self, stage: &str) -> String {
        format!("{}-{stage}", self.group_prefix)
    }

    /// Settings to run a stage with.
    pub fn stage_options(&self, stage: &str) -> StageOptions {
        StageOptions {
            group: self.group(stage),
            batch_records_max: self.batch_records_max,
            snapshot_every_records: self.snapshot_every_records,
        }
    }
}

impl Default for Context {
    fn default() -> Self {
        Self::new(&BusConfig::default())
    }
}
