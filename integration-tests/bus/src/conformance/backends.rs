//! Both backends, each as an installation of its own whose snapshots can be damaged.

use super::{BusUnderTest, Damage};
use crate::kafka_broker::TestBroker;
use prescale_bus::Bus;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_bus::kafka::{KafkaBus, KafkaOptions};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// An embedded log in a folder of its own.
pub struct Embedded {
    folder: TempDir,
}

impl Embedded {
    /// One with nothing in it.
    ///
    /// # Panics
    /// When there is no room for its folder.
    pub fn fresh() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder for the log") }
    }

    /// Where the log is.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("state/prescale.db")
    }

    fn sql<T>(&self, run: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T>) -> T {
        let connection = rusqlite::Connection::open(self.path()).expect("the log opens");
        connection.busy_timeout(Duration::from_secs(10)).expect("the timeout is set");
        run(&connection).expect("the log is as the suite knows it")
    }
}

impl BusUnderTest for Embedded {
    fn open(&self, _instance: &str) -> Arc<dyn Bus> {
        let options = EmbeddedOptions { lease: Duration::from_millis(600), ..EmbeddedOptions::default() };
        Arc::new(EmbeddedBus::open(self.path(), options).expect("the log opens"))
    }

    fn damage_snapshots(&self, group: &str, damage: Damage) -> usize {
        let valid = "SELECT generation FROM snapshots WHERE consumer_group = ?1 AND state = 'valid'";
        let generations: Vec<i64> = self.sql(|connection| {
            connection.prepare(valid)?.query_map([group], |row| row.get(0))?.collect::<rusqlite::Result<_>>()
        });
        for generation in &generations {
            self.sql(|connection| damage_snapshot(connection, *generation, damage));
        }
        generations.len()
    }

    fn rejected_snapshots(&self, group: &str) -> usize {
        let sql = "SELECT count(*) FROM snapshots WHERE consumer_group = ?1 AND state = 'rejected'";
        self.sql(|connection| connection.query_row(sql, [group], |row| row.get::<_, u32>(0))) as usize
    }
}

fn damage_snapshot(connection: &rusqlite::Connection, generation: i64, damage: Damage) -> rusqlite::Result<()> {
    match damage {
        Damage::Removed => connection.execute("DELETE FROM snapshots WHERE generation = ?1", [generation]).map(drop),
        Damage::Truncated => {
            let cut = "UPDATE snapshot_slices SET bytes = substr(bytes, 1, length(bytes) / 2) WHERE generation = ?1";
            connection.execute(cut, [generation]).map(drop)
        }
        Damage::Flipped => {
            let last = "SELECT nth, bytes FROM snapshot_slices WHERE generation = ?1 ORDER BY nth DESC LIMIT 1";
            let (nth, mut bytes): (i64, Vec<u8>) =
                connection.query_row(last, [generation], |row| Ok((row.get(0)?, row.get(1)?)))?;
            bytes[0] ^= 1;
            let flip = "UPDATE snapshot_slices SET bytes = ?3 WHERE generation = ?1 AND nth = ?2";
            connection.execute(flip, rusqlite::params![generation, nth, bytes]).map(drop)
        }
        Damage::Unfinished => {
            let begin = "INSERT INTO snapshots (consumer_group, topic_id, partition, state)
                         SELECT consumer_group, topic_id, partition, 'writing' FROM snapshots WHERE generation = ?1";
            connection.execute(begin, [generation])?;
            let slice = "INSERT INTO snapshot_slices (generation, nth, checksum, bytes) VALUES (?1, 0, 0, x'00')";
            connection.execute(slice, [connection.last_insert_rowid()]).map(drop)
        }
    }
}

/// The shared Kafka broker, under a prefix and with a folder for snapshots of one's own.
pub struct Kafka {
    state_dir: TempDir,
    /// Put before the names of topics, groups and ids.
    pub prefix: String,
}

impl Kafka {
    /// A prefix under which there is nothing.
    ///
    /// # Panics
    /// When there is no room for the folder.
    pub fn fresh() -> Self {
        let state_dir = tempfile::tempdir().expect("a folder for snapshots");
        Self { state_dir, prefix: TestBroker::unique_prefix() }
    }

    /// Where each instance has a folder for its snapshots.
    pub fn state_dir(&self) -> &Path {
        self.state_dir.path()
    }

    fn options(&self, instance: &str) -> KafkaOptions {
        KafkaOptions {
            bootstrap_servers: TestBroker::shared().bootstrap_servers(),
            instance_id: instance.to_owned(),
            topic_prefix: self.prefix.clone(),
            state_dir: self.state_dir().join(instance),
            session_timeout_ms: 3000,
            transaction_timeout_ms: 10_000,
            ..KafkaOptions::default()
        }
    }

    /// Files of a group's snapshots with this ending, of all instances.
    ///
    /// # Panics
    /// When a folder cannot be read.
    pub fn snapshots(&self, group: &str, ending: &str) -> Vec<PathBuf> {
        let folder = format!("{}{group}", self.prefix);
        let instances = fs::read_dir(self.state_dir()).expect("the folder is readable");
        instances
            .filter_map(|instance| fs::read_dir(instance.expect("it is readable").path().join(&folder)).ok())
            .flatten()
            .map(|file| file.expect("it is readable").path())
            .filter(|path| path.to_string_lossy().ends_with(ending))
            .collect()
    }
}

impl BusUnderTest for Kafka {
    fn open(&self, instance: &str) -> Arc<dyn Bus> {
        Arc::new(KafkaBus::connect(self.options(instance)).expect("the broker answers"))
    }

    fn damage_snapshots(&self, group: &str, damage: Damage) -> usize {
        let found = self.snapshots(group, ".snapshot");
        for path in &found {
            let mut bytes = fs::read(path).expect("the snapshot is readable");
            match damage {
                Damage::Removed => fs::remove_file(path).expect("it is removed"),
                Damage::Truncated => fs::write(path, &bytes[..bytes.len() / 2]).expect("it is cut"),
                Damage::Flipped => {
                    *bytes.last_mut().expect("it is not empty") ^= 1;
                    fs::write(path, &bytes).expect("it is damaged");
                }
                Damage::Unfinished => {
                    fs::write(path.with_extension("snapshot.partial"), &bytes[..bytes.len() / 2]).expect("it is begun");
                }
            }
        }
        found.len()
    }

    fn rejected_snapshots(&self, group: &str) -> usize {
        self.snapshots(group, ".snapshot.rejected").len()
    }
}
