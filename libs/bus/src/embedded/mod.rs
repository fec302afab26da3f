//! The embedded bus: a log in one SQLite file, in WAL mode. Several processes can share it.
//!
//! Outputs and position of a step are one transaction; what it writes to one partition is one row, compressed. No broker
//! has to be started.

mod batch;
mod checkpoints;
mod columns;
mod compaction;
mod failure;
mod instance;
#[cfg(test)]
mod lease_tests;
mod leases;
mod log;
mod maintenance;
mod periodic;
mod reader;
mod restore;
mod schema;
mod side_by_side;
mod snapshots;
mod source;
mod stage_runner;
mod store;
mod stored;
#[cfg(test)]
mod testing;

pub use maintenance::MaintenanceReport;
pub use stored::stored_states;

use crate::bus::{Bus, Lag, ReadFrom, RecordReader, Source, StageOptions};
use crate::error::BusError;
use crate::stage::StageFactory;
use crate::topic::{Cleanup, TopicSpec};
use instance::Instance;
use leases::LeaseKeeper;
use periodic::Periodic;
use rusqlite::{OptionalExtension, Transaction, params};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio_util::sync::CancellationToken;

/// Settings of an embedded bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedOptions {
    /// Wait for the disk at every commit. Without it a power cut (not a crash of the process) can
    /// take back the last steps, whole steps only, and the pipeline redoes them.
    pub fsync_every_commit: bool,
    /// How long to wait for another process's write before reporting the file as busy.
    pub busy_timeout: Duration,
    /// How long a step that meets a busy file or a full disk is tried again before the stage ends
    /// with the error.
    pub retry_for: Duration,
    /// After this long without a sign of life, an instance's partitions go to the others.
    pub lease: Duration,
    /// How often to look for what other processes wrote; within the process waking is immediate.
    pub poll_interval: Duration,
    /// Most threads of an instance of a stage, each with partitions of its own.
    pub stage_threads: usize,
    /// Largest size of the file, in bytes. What would make it larger is refused as on a full disk,
    /// until retention has made room; `None` leaves the bound to the disk.
    pub file_bytes_max: Option<u64>,
    /// How often retention and compaction run; `None` only when [`EmbeddedBus::maintain`] is called. Then checkpoints are
    /// left to SQLite, too.
    pub maintenance_every: Option<Duration>,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            fsync_every_commit: false,
            busy_timeout: Duration::from_secs(10),
            retry_for: Duration::from_secs(60),
            lease: Duration::from_secs(3),
            poll_interval: Duration::from_millis(50),
            stage_threads: 1,
            file_bytes_max: None,
            maintenance_every: Some(Duration::from_secs(30)),
        }
    }
}

/// The embedded bus.
pub struct EmbeddedBus {
    leases: LeaseKeeper,
    _maintenance: Option<Periodic>,
    _checkpoints: Option<Periodic>,
    store: Arc<Store>,
}

impl EmbeddedBus {
    /// Opens the log at `path`; makes it, and its folder, when missing.
    ///
    /// # Errors
    /// When the file cannot be opened, belongs to another program, or has another layout.
    pub fn open(path: impl AsRef<Path>, options: EmbeddedOptions) -> Result<Self, BusError> {
        let path = path.as_ref();
        let failed = |error: std::io::Error| BusError::Backend {
            context: format!("cannot open the embedded log {}", path.display()),
            message: error.to_string(),
            retryable: false,
        };
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let every = options.maintenance_every;
        let store = Arc::new(Store::open(path.to_owned(), options)?);
        let maintenance = every.map(|every| maintenance::start(&store, every)).transpose().map_err(failed)?;
        let checkpoints = every.map(|_| checkpoints::start(&store)).transpose().map_err(failed)?;
        let leases = LeaseKeeper::default();
        Ok(Self { leases, _maintenance: maintenance, _checkpoints: checkpoints, store })
    }

    /// Applies retention and compaction as they are due at that instant (milliseconds since the
    /// Unix epoch).
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn maintain(&self, now_ms: i64) -> Result<MaintenanceReport, BusError> {
        maintenance::maintain(&self.store, now_ms)
    }
}

fn ensure_topic(transaction: &Transaction<'_>, spec: &TopicSpec) -> rusqlite::Result<Result<(), BusError>> {
    let retention_ms = match spec.cleanup {
        Cleanup::Delete { retention_ms } => Some(retention_ms),
        Cleanup::Compact => None,
    };
    let found: Option<u32> = transaction
        .query_row("SELECT partitions FROM topics WHERE name = ?1", [&spec.name], |row| row.get(0))
        .optional()?;
    if let Some(found) = found {
        if found != spec.partitions {
            let (topic, wanted) = (spec.name.clone(), spec.partitions);
            return Ok(Err(BusError::PartitionMismatch { topic, found, wanted }));
        }
        transaction.execute("UPDATE topics SET retention_ms = ?2 WHERE name = ?1", params![spec.name, retention_ms])?;
        return Ok(Ok(()));
    }
    let topic_id: i64 = transaction.query_row(
        "INSERT INTO topics (name, partitions, retention_ms) VALUES (?1, ?2, ?3) RETURNING topic_id",
        params![spec.name, spec.partitions, retention_ms],
        |row| row.get(0),
    )?;
    for partition in 0..spec.partitions {
        transaction.execute(
            "INSERT INTO partitions (topic_id, partition, next_offset) VALUES (?1, ?2, 0)",
            params![topic_id, partition],
        )?;
    }
    Ok(Ok(()))
}

impl Bus for EmbeddedBus {
    fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<(), BusError> {
        for spec in topics {
            self.store.write(&format!("cannot make topic {:?}", spec.name), |t| ensure_topic(t, spec))??;
        }
        Ok(())
    }

    fn topics(&self) -> Result<Vec<(String, u32)>, BusError> {
        self.store.look("cannot list the topics", |connection| {
            let mut select = connection.prepare_cached("SELECT name, partitions FROM topics ORDER BY name")?;
            select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    fn run_stage(
        &self,
        factory: Arc<dyn StageFactory>,
        options: &StageOptions,
        shutdown: &CancellationToken,
    ) -> Result<(), BusError> {
        let instance = Instance::of(&self.store, factory.as_ref(), options)?;
        let _kept = self.leases.keep(&self.store, &instance.member)?;
        side_by_side::run(&instance, shutdown)
    }

    fn source(&self, id: &str) -> Result<Box<dyn Source>, BusError> {
        Ok(Box::new(source::EmbeddedSource::open(Arc::clone(&self.store), id)?))
    }

    fn source_position(&self, id: &str) -> Result<Option<Vec<u8>>, BusError> {
        source::position(&self.store, id)
    }

    fn reader(&self, topic: &str, from: ReadFrom) -> Result<Box<dyn RecordReader>, BusError> {
        Ok(Box::new(reader::EmbeddedReader::open(Arc::clone(&self.store), topic, None, from)?))
    }

    fn partition_reader(&self, topic: &str, partition: u32, from: ReadFrom) -> Result<Box<dyn RecordReader>, BusError> {
        Ok(Box::new(reader::EmbeddedReader::open(Arc::clone(&self.store), topic, Some(partition), from)?))
    }

    fn lag(&self, group: &str, topic: &str) -> Result<Vec<Lag>, BusError> {
        let topic = self.store.topic(topic)?;
        self.store.look(&format!("cannot read the lag of {group} on {:?}", topic.name), |connection| {
            let lag = |(end, partition): (i64, u32)| -> rusqlite::Result<Lag> {
                let position = match log::position(connection, group, &topic, partition)? {
                    Some(position) => position,
                    None => log::oldest_from(connection, &topic, partition, 0)?,
                };
                Ok(Lag { topic: topic.name.to_string(), partition, position, end })
            };
            log::ends(connection, &topic)?.into_iter().zip(0..).map(lag).collect()
        })
    }
}
