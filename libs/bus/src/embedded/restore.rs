//! A partition's state as of the group's position: its snapshot, then the log from there with the
//! outputs discarded.

use super::failure::backend;
use super::log::{self, Cursor};
use super::snapshots::PartitionSnapshots;
use super::store::{Store, Topic};
use crate::error::BusError;
use crate::stage::{Stage, StageFactory};
use crate::step::StepContext;
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
        let snapshots = PartitionSnapshots::new(self.store, self.factory, self.group, self.topic, partition);
        let restore = |state: &[u8]| self.factory.restore(partition, state);
        let (mut stage, mut at) = match snapshots.load(self.connection, position, restore)? {
            Some(restored) => restored,
            None => (self.factory.create(partition), 0),
        };
        let (mut since_snapshot, mut cursor) = (0, Cursor::default());
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
                self.context.apply(stage.as_mut(), &batch)?;
            }
        }
        Ok(Some(Restored { stage, position, since_snapshot, cursor }))
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
