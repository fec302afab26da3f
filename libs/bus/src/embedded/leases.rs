//! Which instance of a group works on which partition. Leases only keep instances from doing the
//! same work twice; that no work takes effect twice rests on the position's compare-and-swap.

use super::store::now_ms;
use rusqlite::{Transaction, params};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Who an instance is, to the others of its group.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) group: String,
    pub(super) topic_id: i64,
    pub(super) partitions: u32,
    pub(super) owner: String,
    pub(super) lease: Duration,
}

/// A name that no other running instance has.
pub(super) fn new_owner() -> String {
    static INSTANCES: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}-{}", std::process::id(), now_ms(), INSTANCES.fetch_add(1, Ordering::Relaxed))
}

impl Member {
    fn expiry_ms(&self) -> i64 {
        now_ms().saturating_add(i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX))
    }

    /// Says that this instance lives; returns the partitions that are its share.
    pub(super) fn share(&self, transaction: &Transaction<'_>) -> rusqlite::Result<BTreeSet<u32>> {
        transaction.prepare_cached("DELETE FROM members WHERE expires_at_ms < ?1")?.execute([now_ms()])?;
        transaction
            .prepare_cached(
                "INSERT INTO members (consumer_group, topic_id, owner, expires_at_ms) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET expires_at_ms = excluded.expires_at_ms",
            )?
            .execute(params![self.group, self.topic_id, self.owner, self.expiry_ms()])?;
        let mut select = transaction
            .prepare_cached("SELECT owner FROM members WHERE consumer_group = ?1 AND topic_id = ?2 ORDER BY owner")?;
        let owners: Vec<String> =
            select.query_map(params![self.group, self.topic_id], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mine = owners.iter().position(|o| *o == self.owner).unwrap_or(0);
        let count = owners.len().max(1);
        Ok((0..self.partitions).filter(|p| *p as usize % count == mine).collect())
    }

    /// Takes or renews a partition; false when another instance holds it.
    pub(super) fn take(&self, transaction: &Transaction<'_>, partition: u32) -> rusqlite::Result<bool> {
        let taken = transaction
            .prepare_cached(
                "INSERT INTO leases (consumer_group, topic_id, partition, owner, expires_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET owner = excluded.owner, expires_at_ms = excluded.expires_at_ms
                 WHERE owner = excluded.owner OR expires_at_ms < ?6",
            )?
            .execute(params![self.group, self.topic_id, partition, self.owner, self.expiry_ms(), now_ms()])?;
        Ok(taken == 1)
    }

    /// Gives a partition back.
    pub(super) fn give(&self, transaction: &Transaction<'_>, partition: u32) -> rusqlite::Result<()> {
        transaction
            .prepare_cached(
                "DELETE FROM leases WHERE consumer_group = ?1 AND topic_id = ?2 AND partition = ?3 AND owner = ?4",
            )?
            .execute(params![self.group, self.topic_id, partition, self.owner])?;
        Ok(())
    }

    /// Leaves the group.
    pub(super) fn leave(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        transaction
            .prepare_cached("DELETE FROM members WHERE consumer_group = ?1 AND topic_id = ?2 AND owner = ?3")?
            .execute(params![self.group, self.topic_id, self.owner])?;
        transaction
            .prepare_cached("DELETE FROM leases WHERE consumer_group = ?1 AND topic_id = ?2 AND owner = ?3")?
            .execute(params![self.group, self.topic_id, self.owner])?;
        Ok(())
    }
}
