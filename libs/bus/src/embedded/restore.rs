//! A partition's state as of the group's position: its snapshot, then the log from there with the
//! outputs discarded.

use super::failure::backend;
use super::log::{self, Cursor};
use super::snapshots::PartitionSnapshots;
use super::store::{Store, Topic};
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
    pub(super) group: &'a str,
    pub(super) batch_records_max: usize,
}

/// A partition's stage at a position.
pub(super) struct Restored {
    pub(super) stage: Box<dyn Stage>,
    pub(super) position: i64,
    /// Records applied since the snapshot that it came from.
    pub(super) since_snapshot: u64,
    /// Whether a snapshot is to be taken before anything else.
    pub(super) is_to_be_stored: bool,
    pub(super) cursor: Cursor,
}

impl Restoring<'_> {
    /// The state of a partition; `None` when the shutdown came first.
    pub(super) fn partition(&self, partition: u32, shutdown: &CancellationToken) -> Result<Option<Restored>, BusError> {
        let position = self.committed(partition)?;
        if !self.factory.keeps_state() {
            let stage = self.factory.create(partition);
            let cursor = Cursor::default();
            return Ok(Some(Restored { stage, position, since_snapshot: 0, is_to_be_stored: false, cursor }));
        }
        let snapshots = PartitionSnapshots::new(self.store, self.factory, self.group, self.topic, partition);
        let restore = |state: &[u8]| self.factory.restore(partition, state);
        let before = snapshots.made_by(self.connection)?;
        let loaded = snapshots.load(self.connection, position, restore)?;
        let mut repetition = Repetition::new(loaded.is_none(), before);
        let (mut stage, mut at) = loaded.unwrap_or_else(|| (self.factory.create(partition), 0));
        let (mut since_snapshot, mut cursor) = (0_u64, Cursor::default());
        while at < position {
            if shutdown.is_cancelled() {
                return Ok(None);
            }
            let mut batch = cursor
                .page(self.connection, (self.topic, partition), at, self.batch_records_max)
                .map_err(|e| backend(&format!("cannot re-read {}/{partition}", self.topic.name), &e))?;
            batch.retain(|r| r.offset < position);
            at = batch.last().map_or(position, |r| r.offset + 1);
            if !batch.is_empty() {
                since_snapshot += batch.len() as u64;
                repetition.hear(&batch);
                self.context.apply(stage.as_mut(), &batch)?;
            }
        }
        let is_to_be_stored = repetition.end(self.factory, partition, stage.as_mut());
        let since_snapshot = since_snapshot.max(u64::from(is_to_be_stored));
        Ok(Some(Restored { stage, position, since_snapshot, is_to_be_stored, cursor }))
    }

    /// The group's position, set to the oldest record kept when it has none.
    fn committed(&self, partition: u32) -> Result<i64, BusError> {
        let Self { store, topic, group, .. } = self;
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
    use crate::Cleanup;
    use crate::embedded::testing::{open, with_topic, write};
    use crate::partitioner::partition_of;
    use crate::stored::tests::Ruled;

    const GROUP: &str = "group";

    #[test]
    fn a_state_that_goes_on_under_other_terms_is_stored_before_anything_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let bus = open(folder.path());
        with_topic(&bus, Cleanup::Delete { retention_ms: 1 << 40 });
        write(&bus, &[("k", Some("a")), ("k", Some("b"))]);
        let (topic, partition) = (bus.store.topic("topic").expect("it is there"), partition_of(b"k", 2));
        bus.store
            .write("test", |transaction| {
                transaction.execute(
                    "INSERT INTO positions (consumer_group, topic_id, partition, next_offset) VALUES (?1, ?2, ?3, 2)",
                    params![GROUP, topic.id, partition],
                )
            })
            .expect("the position is set");
        let connection = bus.store.reader().expect("it opens");
        let restored = |factory: &dyn StageFactory| {
            let context = StepContext::new(factory);
            let restoring = Restoring {
                store: &bus.store,
                connection: &connection,
                factory,
                context: &context,
                topic: &topic,
                group: GROUP,
                batch_records_max: 10,
            };
            let restored = restoring.partition(partition, &CancellationToken::new()).expect("the log is readable");
            restored.expect("nobody has stopped it")
        };
        let whole = restored(&Ruled("then"));
        assert_eq!((whole.since_snapshot, whole.is_to_be_stored), (2, false));
        let snapshots = PartitionSnapshots::new(&bus.store, &Ruled("then"), GROUP, &topic, partition);
        assert!(snapshots.store(2, &whole.stage.snapshot()).expect("it is stored"));
        let same = restored(&Ruled("then"));
        assert_eq!((same.since_snapshot, same.is_to_be_stored), (0, false));
        let other = restored(&Ruled("now"));
        assert_eq!((other.since_snapshot, other.is_to_be_stored, other.position), (1, true, 2));
    }
}
