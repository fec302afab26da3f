//! A partition's state as of the group's position: its snapshot, then the log from there with the
//! outputs discarded.

use super::failure::backend;
use super::log::{self, Cursor};
use super::snapshots::{PartitionSnapshots, Restorable};
use super::store::{Store, Topic};
use crate::bus::StageOptions;
use crate::error::BusError;
use crate::stage::{Stage, StageFactory};
use crate::step::StepContext;
use crate::stored::Repetition;
use rusqlite::{Connection, params};
use tokio_util::sync::CancellationToken;

/// What is restored, and for whom.
pub(super) struct Restoring<'a> {
    pub(super) store: &'a Store,
    pub(super) connection: &'a Connection,
    pub(super) factory: &'a dyn StageFactory,
    pub(super) context: &'a StepContext,
    pub(super) topic: &'a Topic,
    pub(super) options: &'a StageOptions,
}

/// A partition's stage at a position.
pub(super) struct Restored {
    pub(super) stage: Box<dyn Stage>,
    pub(super) position: i64,
    /// Records applied since the snapshot that it came from; as many as make the next one due where one is to be taken
    /// before anything else.
    pub(super) since_snapshot: u64,
    pub(super) cursor: Cursor,
}

impl Restoring<'_> {
    /// The state of a partition; `None` when the shutdown came first.
    pub(super) fn partition(&self, partition: u32, shutdown: &CancellationToken) -> Result<Option<Restored>, BusError> {
        let position = self.committed(partition)?;
        if !self.factory.keeps_state() {
            let stage = self.factory.create(partition);
            return Ok(Some(Restored { stage, position, since_snapshot: 0, cursor: Cursor::default() }));
        }
        let snapshots = PartitionSnapshots::new(self.store, self.factory, &self.options.group, self.topic, partition);
        let restore = |state: &[u8]| self.factory.restore(partition, state);
        // Another instance may have moved the position since.
        let Restorable { position, made_by, loaded } = snapshots.load(self.connection, restore)?;
        let mut repetition = Repetition::new(!loaded.is_sound(), made_by);
        let due_records = self.options.snapshot_due_records();
        let (mut stage, mut at, mut since_snapshot) = loaded.or_create(due_records, || self.factory.create(partition));
        let mut cursor = Cursor::default();
        while at < position {
            if shutdown.is_cancelled() {
                return Ok(None);
            }
            let mut batch = cursor
                .page(self.connection, (self.topic, partition), at, self.options.batch_records_max)
                .map_err(|e| backend(&format!("cannot re-read {}/{partition}", self.topic.name), &e))?;
            batch.retain(|r| r.offset < position);
            at = batch.last().map_or(position, |r| r.offset + 1);
            if !batch.is_empty() {
                since_snapshot = since_snapshot.saturating_add(batch.len() as u64);
                repetition.hear(&batch);
                self.context.apply(stage.as_mut(), &batch)?;
            }
        }
        if repetition.end(self.factory, partition, stage.as_mut()) {
            since_snapshot = since_snapshot.max(due_records);
        }
        Ok(Some(Restored { stage, position, since_snapshot, cursor }))
    }

    /// The group's position, set to the oldest record kept when it has none.
    fn committed(&self, partition: u32) -> Result<i64, BusError> {
        let Self { store, topic, options: StageOptions { group, .. }, .. } = self;
        store.write(&format!("cannot read the position of {group} on {}/{partition}", topic.name), |transaction| {
            if let Some(position) = log::position(transaction, group, topic, partition)? {
                return Ok(position);
            }
            let oldest = log::oldest_from(transaction, topic, partition, 0)?;
            transaction.execute(
                "INSERT INTO positions (consumer_group, topic_id, partition, next_offset) VALUES (?1, ?2, ?3, ?4)",
                params![group, topic.id, partition, oldest],
            )?;
            Ok(oldest)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::EmbeddedBus;
    use crate::embedded::testing::{open, with_topic, write};
    use crate::partitioner::partition_of;
    use crate::stored::tests::Ruled;
    use crate::{Cleanup, ConsumedRecord, Outcome, StageFailure};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    const GROUP: &str = "group";
    const KEY: &str = "k";
    const DUE_RECORDS: u64 = 100;

    fn options(batch_records_max: usize) -> StageOptions {
        StageOptions { group: GROUP.to_owned(), batch_records_max, snapshot_every_records: DUE_RECORDS }
    }

    /// Makes stages that count. When it is first asked for the state's schema, another instance makes a step and stores
    /// a snapshot.
    struct Overtaken<'a> {
        bus: &'a EmbeddedBus,
        was_asked: AtomicBool,
    }

    impl StageFactory for Overtaken<'_> {
        fn name(&self) -> &'static str {
            "counting"
        }

        fn input_topic(&self) -> Arc<str> {
            "topic".into()
        }

        fn output_topics(&self) -> Vec<Arc<str>> {
            Vec::new()
        }

        fn state_schema(&self) -> String {
            if !self.was_asked.swap(true, Ordering::SeqCst) {
                stand_at(self.bus, 5);
                let topic = self.bus.store.topic("topic").expect("it is there");
                let snapshots =
                    PartitionSnapshots::new(&self.bus.store, self, GROUP, &topic, partition_of(KEY.as_bytes(), 2));
                assert!(snapshots.store(5, &5_u64.to_le_bytes()).expect("it is stored"));
            }
            "a count".to_owned()
        }

        fn create(&self, _partition: u32) -> Box<dyn Stage> {
            Box::new(Counting(0))
        }

        fn restore(&self, _partition: u32, snapshot: &[u8]) -> Result<Box<dyn Stage>, String> {
            let count = <[u8; 8]>::try_from(snapshot).map_err(|_| "it is no count".to_owned())?;
            Ok(Box::new(Counting(u64::from_le_bytes(count))))
        }
    }

    struct Counting(u64);

    impl Stage for Counting {
        fn apply(&mut self, batch: &[ConsumedRecord]) -> Result<Vec<Outcome>, StageFailure> {
            self.0 += batch.len() as u64;
            Ok(batch.iter().map(|_| Outcome::Emit(Vec::new())).collect())
        }

        fn snapshot(&self) -> Vec<u8> {
            self.0.to_le_bytes().to_vec()
        }
    }

    fn stand_at(bus: &EmbeddedBus, position: i64) {
        let topic = bus.store.topic("topic").expect("it is there");
        let moved = bus.store.write("test", |transaction| {
            transaction.execute(
                "INSERT INTO positions (consumer_group, topic_id, partition, next_offset) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset",
                params![GROUP, topic.id, partition_of(KEY.as_bytes(), 2), position],
            )
        });
        moved.expect("the position is set");
    }

    #[test]
    fn a_state_that_goes_on_under_other_terms_is_stored_before_anything_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let bus = open(folder.path());
        with_topic(&bus, Cleanup::Delete { retention_ms: 1 << 40 });
        write(&bus, &[("k", Some("a")), ("k", Some("b"))]);
        let (topic, partition) = (bus.store.topic("topic").expect("it is there"), partition_of(b"k", 2));
        stand_at(&bus, 2);
        let connection = bus.store.reader().expect("it opens");
        let restored = |factory: &dyn StageFactory| {
            let context = StepContext::new(factory);
            let restoring = Restoring {
                store: &bus.store,
                connection: &connection,
                factory,
                context: &context,
                topic: &topic,
                options: &options(10),
            };
            let restored = restoring.partition(partition, &CancellationToken::new()).expect("the log is readable");
            restored.expect("nobody has stopped it")
        };
        let whole = restored(&Ruled("then"));
        assert_eq!(whole.since_snapshot, 2);
        let snapshots = PartitionSnapshots::new(&bus.store, &Ruled("then"), GROUP, &topic, partition);
        assert!(snapshots.store(2, &whole.stage.snapshot()).expect("it is stored"));
        let same = restored(&Ruled("then"));
        assert_eq!(same.since_snapshot, 0);
        let other = restored(&Ruled("now"));
        assert_eq!((other.since_snapshot, other.position), (DUE_RECORDS, 2));

        let put_aside = "UPDATE snapshots SET state = 'rejected'";
        bus.store.write("test", |transaction| transaction.execute(put_aside, [])).expect("it is put aside");
        assert_eq!(restored(&Ruled("then")).since_snapshot, 2);
        assert_eq!(restored(&Ruled("now")).since_snapshot, DUE_RECORDS, "it is known how it was made before");
    }

    #[test]
    fn position_and_snapshot_are_of_one_moment() {
        let folder = tempfile::tempdir().expect("a folder");
        let bus = open(folder.path());
        with_topic(&bus, Cleanup::Delete { retention_ms: 1 << 40 });
        write(&bus, &[(KEY, Some("v")); 6]);
        stand_at(&bus, 3);
        let factory = Overtaken { bus: &bus, was_asked: AtomicBool::new(false) };
        let restoring = Restoring {
            store: &bus.store,
            connection: &bus.store.reader().expect("it opens"),
            factory: &factory,
            context: &StepContext::new(&factory),
            topic: &bus.store.topic("topic").expect("it is there"),
            options: &options(2),
        };
        let restored = restoring.partition(partition_of(KEY.as_bytes(), 2), &CancellationToken::new());
        let restored = restored.expect("the log is readable").expect("nothing is shut down");
        assert_eq!((restored.position, restored.since_snapshot), (5, 0), "the other's snapshot is believed");
        assert_eq!(restored.stage.snapshot(), 5_u64.to_le_bytes());
    }
}
