//! The `[bus]` section, and the bus that it names.

use crate::config::Secret;
use anyhow::{Result, bail};
use prescale_bus::Bus;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Which bus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// A SQLite file on this machine; no broker to start.
    #[default]
    Embedded,
    /// Apache Kafka.
    Kafka,
}

/// Section `[bus]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct BusConfig {
    /// Which bus: `embedded` or `kafka`.
    pub backend: Backend,
    /// Partitions of every topic; cannot change once the topics are there.
    pub partitions: u32,
    /// Copies of each partition; the embedded bus ignores it.
    pub replication: u16,
    /// Prefix of consumer groups.
    pub group_prefix: String,
    /// Most records given to a stage at a time.
    pub batch_records_max: usize,
    /// A snapshot of a partition's state is taken after so many records.
    pub snapshot_every_records: u64,
    /// Section `[bus.embedded]`.
    pub embedded: EmbeddedConfig,
    /// Section `[bus.kafka]`.
    pub kafka: KafkaConfig,
}

impl Default for BusConfig {
    fn default() -> Self {
        Self {
            backend: Backend::Embedded,
            partitions: 4,
            replication: 1,
            group_prefix: "prescale".to_owned(),
            batch_records_max: 1000,
            snapshot_every_records: 200_000,
            embedded: EmbeddedConfig::default(),
            kafka: KafkaConfig::default(),
        }
    }
}

/// Section `[bus.embedded]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct EmbeddedConfig {
    /// The file; made when it is missing.
    pub path: PathBuf,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self { path: PathBuf::from("prescale.db") }
    }
}

/// Section `[bus.kafka]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct KafkaConfig {
    /// Brokers, `host:port`, separated by commas.
    pub bootstrap_servers: String,
    /// Name of this instance, for static membership and fencing: the same after a restart, and
    /// another one in each instance that runs at the same time.
    pub instance_id: String,
    /// Folder for snapshots of stages.
    pub state_dir: PathBuf,
    /// Prefix of topic names on the broker.
    pub topic_prefix: String,
    /// Further librdkafka properties, such as `"security.protocol" = "SSL"`.
    pub properties: BTreeMap<String, Secret>,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            bootstrap_servers: "127.0.0.1:9092".to_owned(),
            instance_id: "0".to_owned(),
            state_dir: PathBuf::from("state"),
            topic_prefix: String::new(),
            properties: BTreeMap::new(),
        }
    }
}

/// Opens the bus that the configuration names.
///
/// # Errors
/// When a setting is out of range or the bus cannot be reached.
pub fn open_bus(config: &BusConfig) -> Result<Arc<dyn Bus>> {
    if config.partitions == 0 {
        bail!("[bus] partitions = 0: at least 1 is needed");
    }
    if config.batch_records_max == 0 {
        bail!("[bus] batch_records_max = 0: at least 1 is needed");
    }
    match config.backend {
        Backend::Embedded => bail!("[bus] backend = \"embedded\" is not in this build"),
        Backend::Kafka => bail!("[bus] backend = \"kafka\" is not in this build"),
    }
}
