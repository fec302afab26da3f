//! The bus's conformance suite against both backends, and what only one of them has.

use crate::bus_conformance::{BusUnderTest, Damage};
use crate::kafka_broker::TestBroker;
use prescale_bus::Bus;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_bus::kafka::{KafkaBus, KafkaOptions};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// One test a property, each on an installation of its own.
macro_rules! conformance {
    ($under_test:expr) => {
        conformance!($under_test =>
            topics::topics_are_made_once,
            topics::unknown_topics_are_errors,
            topics::order_is_kept_per_key,
            steps::a_failed_step_leaves_nothing,
            steps::rejected_records_go_to_the_dead_letter_queue,
            steps::every_input_is_counted,
            steps::lag_is_zero_at_rest,
            restarts::a_restart_changes_no_byte,
            restarts::a_restart_without_snapshot_changes_no_byte,
            restarts::a_truncated_snapshot_is_put_aside,
            restarts::a_snapshot_of_another_schema_is_put_aside,
            restarts::a_stopped_stage_drains,
            reading::a_source_position_goes_with_its_records,
            reading::a_source_opened_again_fences_the_first,
            reading::a_reader_goes_on_where_it_was,
            sharing::instances_share_and_hand_over,
        );
    };
    ($under_test:expr => $($module:ident::$property:ident),* $(,)?) => {
        $(
            #[test]
            fn $property() {
                crate::bus_conformance::$module::$property(&$under_test);
            }
        )*
    };
}

/// An embedded log in a folder of its own.
struct Embedded {
    folder: TempDir,
}

impl Embedded {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder for the log") }
    }

    fn path(&self) -> PathBuf {
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
        let sql = match damage {
            Damage::Removed => "DELETE FROM snapshots WHERE consumer_group = ?1 AND rejected = 0",
            Damage::Truncated => {
                "UPDATE snapshots SET bytes = substr(bytes, 1, length(bytes) / 2)
                 WHERE consumer_group = ?1 AND rejected = 0"
            }
        };
        self.sql(|connection| connection.execute(sql, [group]))
    }

    fn rejected_snapshots(&self, group: &str) -> usize {
        let sql = "SELECT count(*) FROM snapshots WHERE consumer_group = ?1 AND rejected = 1";
        self.sql(|connection| connection.query_row(sql, [group], |row| row.get::<_, u32>(0))) as usize
    }
}

/// The shared Kafka broker, under a prefix and with a folder for snapshots of one's own.
pub(crate) struct Kafka {
    state_dir: TempDir,
    prefix: String,
}

impl Kafka {
    pub(crate) fn new() -> Self {
        let state_dir = tempfile::tempdir().expect("a folder for snapshots");
        Self { state_dir, prefix: TestBroker::unique_prefix() }
    }

    fn options(&self, instance: &str) -> KafkaOptions {
        KafkaOptions {
            bootstrap_servers: TestBroker::shared().bootstrap_servers(),
            instance_id: instance.to_owned(),
            topic_prefix: self.prefix.clone(),
            state_dir: self.state_dir.path().join(instance),
            session_timeout_ms: 3000,
            transaction_timeout_ms: 10_000,
            ..KafkaOptions::default()
        }
    }

    /// Files of a group's snapshots with this ending, of all instances.
    fn snapshots(&self, group: &str, ending: &str) -> Vec<PathBuf> {
        let folder = format!("{}{group}", self.prefix);
        let instances = fs::read_dir(self.state_dir.path()).expect("the folder is readable");
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
            let bytes = fs::read(path).expect("the snapshot is readable");
            match damage {
                Damage::Removed => fs::remove_file(path).expect("it is removed"),
                Damage::Truncated => fs::write(path, &bytes[..bytes.len() / 2]).expect("it is cut"),
            }
        }
        found.len()
    }

    fn rejected_snapshots(&self, group: &str) -> usize {
        self.snapshots(group, ".snapshot.rejected").len()
    }
}

mod kafka {
    use super::Kafka;
    conformance!(Kafka::new());
}

mod embedded {
    use super::Embedded;
    conformance!(Embedded::new());
}
