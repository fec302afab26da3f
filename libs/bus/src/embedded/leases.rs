//! Which instance of a group works on which partition. Leases only keep instances from doing the
//! same work twice; that no work takes effect twice rests on the position's compare-and-swap.
//!
//! An instance lives as long as its process: a thread renews what it holds, however long its steps take.

use super::periodic::Periodic;
use super::store::{Store, lock, now_ms};
use crate::error::BusError;
use rusqlite::{Transaction, params};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Leases are not renewed more often than this.
const RENEWED_EVERY_MIN: Duration = Duration::from_millis(10);

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

    /// Says that this instance lives, to whomever sees its place in the group and its partitions. What another has
    /// taken meanwhile stays the other's.
    fn renew(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        for sql in [
            "UPDATE members SET expires_at_ms = ?4 WHERE consumer_group = ?1 AND topic_id = ?2 AND owner = ?3",
            "UPDATE leases SET expires_at_ms = ?4 WHERE consumer_group = ?1 AND topic_id = ?2 AND owner = ?3",
        ] {
            let mut renew = transaction.prepare_cached(sql)?;
            renew.execute(params![self.group, self.topic_id, self.owner, self.expiry_ms()])?;
        }
        Ok(())
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

/// Instances by owner.
type Members = Mutex<BTreeMap<String, Member>>;

/// Renews what the instances of this process hold, on a thread that they share.
#[derive(Default)]
pub(super) struct LeaseKeeper {
    members: Arc<Members>,
    thread: Mutex<Option<Periodic>>,
}

/// An instance whose leases are renewed as long as this is there.
pub(super) struct Kept<'a> {
    members: &'a Members,
    owner: String,
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        lock(self.members).remove(&self.owner);
    }
}

impl LeaseKeeper {
    /// Renews what the instance holds from now on. A lease of no time at all is not renewed.
    pub(super) fn keep(&self, store: &Arc<Store>, member: &Member) -> Result<Kept<'_>, BusError> {
        let mut thread = lock(&self.thread);
        if thread.is_none() && !member.lease.is_zero() {
            let members = Arc::clone(&self.members);
            let every = (member.lease / 3).max(RENEWED_EVERY_MIN);
            let started = Periodic::start("bus-leases", store, every, move |store| renew_all(store, &members));
            *thread = Some(started.map_err(|error| BusError::Backend {
                context: "cannot start the thread that renews leases".to_owned(),
                message: error.to_string(),
                retryable: false,
            })?);
        }
        lock(&self.members).insert(member.owner.clone(), member.clone());
        Ok(Kept { members: &self.members, owner: member.owner.clone() })
    }
}

fn renew_all(store: &Store, members: &Members) {
    let members: Vec<Member> = lock(members).values().cloned().collect();
    if members.is_empty() {
        return;
    }
    let renewed = store.write("cannot renew the leases", |transaction| {
        members.iter().try_for_each(|member| member.renew(transaction))
    });
    if let Err(error) = renewed {
        tracing::warn!(%error, "the next round tries again");
    }
}
