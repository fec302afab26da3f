//! Runs a stage on the embedded log.
//!
//! A step reads a page, applies it without holding any lock, and then writes outputs and position in
//! one transaction; a snapshot that is due follows it. The position moves by compare-and-swap: if another
//! instance moved it first, this one throws its work away and restores its state from the log.

use super::failure::backend;
use super::instance::{Deal, Instance};
use super::leases::Member;
use super::log;
use super::restore::{Restored, Restoring};
use super::snapshots::PartitionSnapshots;
use super::store::{Placed, Store, Topic, append};
use crate::backoff::{Backoff, seed_of};
use crate::bus::StageOptions;
use crate::crash_point::CrashPoint;
use crate::error::BusError;
use crate::record::ConsumedRecord;
use crate::stage::StageFactory;
use crate::step::{StepContext, Tally};
use crate::wait::cancelled_within;
use rusqlite::{Connection, params};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Pauses before a step that met a busy file or a full disk is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// One thread of an instance.
pub(super) struct StageRunner<'a> {
    store: &'a Store,
    factory: &'a dyn StageFactory,
    options: &'a StageOptions,
    shutdown: &'a CancellationToken,
    context: StepContext,
    topic: Topic,
    connection: Connection,
    member: &'a Member,
    deal: &'a Deal,
    /// Which of the instance's threads it is.
    number: usize,
    running: BTreeMap<u32, Restored>,
}

/// What is written when a step is committed.
struct Commit {
    partition: u32,
    from: i64,
    to: i64,
    placed: Vec<Placed>,
}

impl<'a> StageRunner<'a> {
    pub(super) fn new(
        instance: &'a Instance<'a>,
        number: usize,
        shutdown: &'a CancellationToken,
    ) -> Result<Self, BusError> {
        let Instance { store, factory, options, ref member, ref deal } = *instance;
        let context = StepContext::new(factory);
        let topic = store.topic(&context.input)?;
        let connection = store.reader()?;
        let running = BTreeMap::new();
        Ok(Self { store, factory, options, shutdown, context, topic, connection, member, deal, number, running })
    }

    /// Runs until the shutdown, then stores snapshots.
    pub(super) fn run(mut self) -> Result<(), BusError> {
        let result = self.run_until_shutdown();
        if result.is_ok() {
            let partitions: Vec<u32> = self.running.keys().copied().collect();
            partitions.into_iter().for_each(|partition| self.snapshot(partition));
        }
        result
    }

    fn run_until_shutdown(&mut self) -> Result<(), BusError> {
        let mut renewed: Option<Instant> = None;
        while !self.shutdown.is_cancelled() {
            if renewed.is_none_or(|at| at.elapsed() >= self.store.options.lease / 3) {
                self.settle_leases()?;
                renewed = Some(Instant::now());
            }
            let seen = self.topic.grew.times();
            let ends = log::ends(&self.connection, &self.topic)
                .map_err(|e| backend(&format!("cannot read topic {:?}", self.topic.name), &e))?;
            let behind: Vec<u32> = self
                .running
                .iter()
                .filter(|(p, r)| ends.get(**p as usize).is_some_and(|end| r.position < *end))
                .map(|(p, _)| *p)
                .collect();
            if behind.is_empty() {
                self.topic.grew.wait_past(seen, self.store.options.poll_interval);
                continue;
            }
            for partition in behind {
                if self.shutdown.is_cancelled() {
                    break;
                }
                self.step(partition, ends[partition as usize])?;
            }
        }
        Ok(())
    }

    /// Renews this instance's leases, gives up what is no longer its share, takes what is, as far as it is this thread's.
    fn settle_leases(&mut self) -> Result<(), BusError> {
        let share = self.retrying("cannot join the group", |transaction| self.member.share(transaction))?;
        let share = self.deal.of(self.number, &share);
        let surplus: Vec<u32> = self.running.keys().copied().filter(|p| !share.contains(p)).collect();
        for partition in surplus {
            self.snapshot(partition);
            self.running.remove(&partition);
            self.retrying("cannot give a partition back", |transaction| self.member.give(transaction, partition))?;
        }
        for partition in share {
            let taken =
                self.retrying("cannot take a partition", |transaction| self.member.take(transaction, partition))?;
            if !taken {
                self.running.remove(&partition);
            } else if !self.running.contains_key(&partition) {
                self.restore(partition)?;
            }
        }
        Ok(())
    }

    fn restore(&mut self, partition: u32) -> Result<(), BusError> {
        let restoring = Restoring {
            store: self.store,
            connection: &self.connection,
            factory: self.factory,
            context: &self.context,
            topic: &self.topic,
            options: self.options,
        };
        if let Some(restored) = restoring.partition(partition, self.shutdown)? {
            self.running.insert(partition, restored);
            self.snapshot_if_due(partition);
        }
        Ok(())
    }

    fn step(&mut self, partition: u32, end: i64) -> Result<(), BusError> {
        let Some(run) = self.running.get_mut(&partition) else { return Ok(()) };
        let from = run.position;
        let batch = run
            .cursor
            .page(&self.connection, (&self.topic, partition), from, self.options.batch_records_max)
            .map_err(|e| backend(&format!("cannot read {}/{partition}", self.topic.name), &e))?;
        self.warn_of_gap(partition, from, end, &batch);
        let Some(run) = self.running.get_mut(&partition) else { return Ok(()) };
        let (writes, tally) = if batch.is_empty() {
            (Vec::new(), Tally::default())
        } else {
            self.context.apply(run.stage.as_mut(), &batch)?
        };
        let to = batch.last().map_or(end, |r| r.offset + 1);
        run.position = to;
        run.since_snapshot = run.since_snapshot.saturating_add(batch.len() as u64);
        let commit = Commit { partition, from, to, placed: self.store.place(&writes)? };
        if !self.committed(&commit)? {
            tracing::info!(
                stage = self.context.stage,
                partition,
                "another instance moved the position; this step is discarded and the state restored"
            );
            self.running.remove(&partition);
            return self.restore(partition);
        }
        CrashPoint::EmbeddedCommitted.pass();
        tally.count(self.context.stage);
        self.store.announce(&commit.placed);
        self.snapshot_if_due(partition);
        Ok(())
    }

    /// Retention may have overtaken a group that was stopped for long.
    fn warn_of_gap(&self, partition: u32, from: i64, end: i64, batch: &[ConsumedRecord]) {
        let first = batch.first().map_or(end, |r| r.offset);
        if first > from {
            tracing::warn!(
                stage = self.context.stage,
                topic = %self.topic.name,
                partition,
                from,
                first,
                "these offsets are no longer kept (retention or compaction); the stage goes on at the next one"
            );
        }
    }

    /// Commits a step; false when another instance had moved the position.
    fn committed(&self, commit: &Commit) -> Result<bool, BusError> {
        let Commit { partition, from, to, placed } = commit;
        let group = &self.options.group;
        CrashPoint::EmbeddedReady.pass();
        self.retrying(&format!("stage {} cannot commit", self.context.stage), |transaction| {
            let moved = transaction
                .prepare_cached(
                    "UPDATE positions SET next_offset = ?4
                     WHERE consumer_group = ?1 AND topic_id = ?2 AND partition = ?3 AND next_offset = ?5",
                )?
                .execute(params![group, self.topic.id, partition, to, from])?;
            if moved == 0 {
                return Ok(false);
            }
            CrashPoint::EmbeddedPositionMoved.pass();
            append(transaction, placed)?;
            CrashPoint::EmbeddedAppended.pass();
            Ok(true)
        })
    }

    fn snapshot_if_due(&mut self, partition: u32) {
        let since = self.running.get(&partition).map(|run| run.since_snapshot);
        if since.is_some_and(|since| since >= self.options.snapshot_due_records()) {
            self.snapshot(partition);
        }
    }

    /// Stores a partition's state unless nothing has changed since the last time. Failing to is no reason to stop: the
    /// log has everything.
    fn snapshot(&mut self, partition: u32) {
        let Some(run) = self.running.get_mut(&partition) else { return };
        if run.since_snapshot == 0 || !self.factory.keeps_state() {
            return;
        }
        let group = &self.options.group;
        let snapshots = PartitionSnapshots::new(self.store, self.factory, group, &self.topic, partition);
        // One that fails is due again after as many records as it was.
        run.since_snapshot = match snapshots.store(run.position, &run.stage.snapshot()) {
            Ok(_) => 0,
            Err(error) => {
                tracing::warn!(
                    stage = self.context.stage,
                    partition,
                    %error,
                    "cannot store a snapshot; a restart will re-read more of the log"
                );
                1
            }
        };
    }

    /// Runs a transaction; while the file is busy or the disk full it tries again, with longer and
    /// longer pauses, up to the bound in the options.
    fn retrying<T>(
        &self,
        context: &str,
        work: impl Fn(&rusqlite::Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, BusError> {
        let started = Instant::now();
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE, seed_of(&self.member.owner));
        loop {
            match self.store.write(context, &work) {
                Err(BusError::Backend { context, message, retryable: true })
                    if started.elapsed() < self.store.options.retry_for =>
                {
                    tracing::warn!(stage = self.context.stage, message, "{context}; trying again");
                    if cancelled_within(self.shutdown, backoff.pause()) {
                        return Err(BusError::Backend { context, message, retryable: true });
                    }
                }
                result => return result,
            }
        }
    }
}
