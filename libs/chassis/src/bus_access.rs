//! The `[bus]` section, and the bus that it names.

use crate::config::Secret;
use crate::kafka_security::KafkaSecurityConfig;
use anyhow::{Result, bail};
use prescale_bus::embedded::{self, EmbeddedBus, EmbeddedOptions};
use prescale_bus::kafka::{self, KafkaBus, KafkaOptions};
use prescale_bus::{Bus, StoredState};
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

impl BusConfig {
    /// Refuses settings that no bus can have, and files of `[bus.kafka.security]` that cannot be
    /// read.
    ///
    /// # Errors
    /// With the key and what it may be.
    pub fn check(&self) -> Result<()> {
        let counts = [
            ("partitions", u64::from(self.partitions)),
            ("replication", u64::from(self.replication)),
            ("batch_records_max", self.batch_records_max as u64),
            ("snapshot_every_records", self.snapshot_every_records),
        ];
        if let Some((key, _)) = counts.iter().find(|(_, value)| *value == 0) {
            bail!("[bus] {key} = 0: at least 1 is needed");
        }
        self.kafka.options().map(drop)
    }
}

/// Section `[bus.embedded]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct EmbeddedConfig {
    /// The file; made when it is missing.
    pub path: PathBuf,
    /// Wait for the disk at every commit. Without it a power cut can take back the last whole
    /// steps, and the pipeline redoes them.
    pub fsync_every_commit: bool,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self { path: PathBuf::from("prescale.db"), fsync_every_commit: false }
    }
}

impl EmbeddedConfig {
    fn options(&self) -> EmbeddedOptions {
        let stage_threads = std::thread::available_parallelism().map_or(1, usize::from);
        EmbeddedOptions { fsync_every_commit: self.fsync_every_commit, stage_threads, ..EmbeddedOptions::default() }
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
    /// Put before the names of topics, groups and transactional ids on the cluster.
    pub topic_prefix: String,
    /// Section `[bus.kafka.security]`.
    pub security: KafkaSecurityConfig,
    /// Further librdkafka properties, such as `"client.rack" = "eu-1a"`, or `"compression.type"`, which is `lz4` unless
    /// it is said here.
    pub properties: BTreeMap<String, Secret>,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            bootstrap_servers: "127.0.0.1:9092".to_owned(),
            instance_id: "1".to_owned(),
            state_dir: PathBuf::from("state"),
            topic_prefix: String::new(),
            security: KafkaSecurityConfig::default(),
            properties: BTreeMap::new(),
        }
    }
}

impl KafkaConfig {
    /// What the section says, with the secrets read from their files.
    ///
    /// # Errors
    /// With the key that does not fit, or the file that cannot be read.
    pub fn options(&self) -> Result<KafkaOptions> {
        let security = self.security.security()?;
        let secured = self.security != KafkaSecurityConfig::default();
        let is_of_security = |name: &&String| ["security.", "sasl.", "ssl."].iter().any(|p| name.starts_with(p));
        if let Some(name) = self.properties.keys().filter(is_of_security).find(|_| secured) {
            bail!(
                "[bus.kafka.properties] {name:?} and [bus.kafka.security] are both given: say it in one of them only"
            );
        }
        Ok(KafkaOptions {
            security,
            bootstrap_servers: self.bootstrap_servers.clone(),
            instance_id: self.instance_id.clone(),
            topic_prefix: self.topic_prefix.clone(),
            state_dir: self.state_dir.clone(),
            extra: self.properties.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect(),
            ..KafkaOptions::default()
        })
    }
}

/// Opens the bus that the configuration names.
///
/// # Errors
/// When a setting is out of range or the bus cannot be reached.
pub fn open_bus(config: &BusConfig) -> Result<Arc<dyn Bus>> {
    config.check()?;
    match config.backend {
        Backend::Embedded => Ok(Arc::new(EmbeddedBus::open(&config.embedded.path, config.embedded.options())?)),
        Backend::Kafka => Ok(Arc::new(KafkaBus::connect(config.kafka.options()?)?)),
    }
}

/// What is stored of a group's states over a topic by the bus that the configuration names, which is not opened for
/// that: `None` where nothing is. On Kafka it is what this instance's folder holds.
///
/// # Errors
/// When a setting is out of range, or what is there cannot be read.
pub fn stored_states(config: &BusConfig, group: &str, topic: &str) -> Result<Option<Vec<StoredState>>> {
    Ok(match config.backend {
        Backend::Embedded => embedded::stored_states(&config.embedded.path, group, topic)?,
        Backend::Kafka => kafka::stored_states(&config.kafka.options()?, group, topic)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka_security::Protocol;
    use prescale_bus::{Cleanup, TopicSpec};

    #[test]
    fn the_embedded_bus_is_opened_where_the_section_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/bus.db");
        let config =
            BusConfig { embedded: EmbeddedConfig { path: path.clone(), ..Default::default() }, ..Default::default() };
        let bus = open_bus(&config).unwrap();
        let topic = TopicSpec {
            name: "raw-kpis".to_owned(),
            partitions: config.partitions,
            replication: config.replication,
            cleanup: Cleanup::Compact,
        };
        bus.ensure_topics(&[topic]).unwrap();
        assert_eq!(bus.topics().unwrap(), [("raw-kpis".to_owned(), 4)]);
        assert!(path.exists());
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let refused = |config: BusConfig| open_bus(&config).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(refused(BusConfig { partitions: 0, ..Default::default() }).contains("partitions"));
        assert!(refused(BusConfig { batch_records_max: 0, ..Default::default() }).contains("batch_records_max"));
        assert!(refused(BusConfig { snapshot_every_records: 0, ..Default::default() }).contains("snapshot_every"));
    }

    #[test]
    fn security_is_said_in_one_place_and_checked_with_the_rest() {
        let security = KafkaSecurityConfig { protocol: Protocol::Ssl, ..Default::default() };
        let both = KafkaConfig {
            properties: BTreeMap::from([("ssl.key.password".to_owned(), Secret::new("swordfish"))]),
            security,
            ..Default::default()
        };
        let refused = BusConfig { kafka: both, ..Default::default() }.check().unwrap_err().to_string();
        assert!(refused.contains("ssl.key.password") && !refused.contains("swordfish"), "{refused}");
        let security = KafkaSecurityConfig { username: "me".into(), ..Default::default() };
        let config = BusConfig { kafka: KafkaConfig { security, ..Default::default() }, ..Default::default() };
        assert!(config.check().unwrap_err().to_string().contains("username is for a login"));
    }

    #[test]
    fn kafka_gets_what_the_section_says() {
        let config = KafkaConfig {
            properties: BTreeMap::from([("security.protocol".to_owned(), Secret::new("SSL"))]),
            topic_prefix: "eu.".to_owned(),
            ..Default::default()
        };
        let options = config.options().unwrap();
        assert_eq!((options.topic_prefix.as_str(), options.extra["security.protocol"].as_str()), ("eu.", "SSL"));
    }
}
