//! One connection of a stage: a producer that has fenced its predecessors, a membership in the
//! group, and the states of the partitions that it has. A transaction that was aborted, as happens
//! when the group rebalances, is tried again in place; whatever else goes wrong ends the session,
//! and the next one starts from what is committed.
//!
//! Aborts do not end the session because of a gap in the group protocol: a static member that
//! comes back in the middle of a cooperative rebalance is handed its old, smaller assignment, and
//! the partitions that it was to give up stay without an owner. [`Session::watch`] mends that case.

use super::attempt::Moves;
use super::claim::Claims;
use super::log::CommittedLog;
use super::port::{GroupInput, Kafka, Member, MemberEvent, Snapshots};
use super::provenance::{Owner, Position, Provenance};
use super::settle::{Settling, settle_at_last};
use super::transaction::Transactional;
use super::unsettled::{TransactionFailure, Unsettled, locate};
use crate::bus::StageOptions;
use crate::error::BusError;
use crate::record::ConsumedRecord;
use crate::stage::{Stage, StageFactory};
use crate::state_schema::StateSchema;
use crate::step::{StepContext, Tally};
use crate::stored::Repetition;
use crate::write::Write;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long to wait for a record before looking after idle partitions.
const IDLE_AFTER: Duration = Duration::from_millis(50);
/// Longest wait of a fenced producer for another instance's claim.
const CLAIMED_WITHIN: Duration = Duration::from_secs(6);
const CLAIM_LOOKED_AT_EVERY: Duration = Duration::from_millis(200);

/// Why a session ended before the shutdown.
pub(crate) enum SessionEnd {
    /// A new session may help.
    Reconnect(String),
    /// It will not.
    Failed(BusError),
}

impl From<BusError> for SessionEnd {
    fn from(error: BusError) -> Self {
        match error {
            BusError::Backend { retryable: true, .. } => Self::Reconnect(error.to_string()),
            other => Self::Failed(other),
        }
    }
}

/// What a stage runs with.
pub(crate) struct Running<'a, K> {
    pub(crate) kafka: &'a K,
    pub(crate) factory: &'a dyn StageFactory,
    pub(crate) options: &'a StageOptions,
    pub(crate) shutdown: &'a CancellationToken,
    /// This instance's claim to its name, once it has made it.
    pub(crate) claim: Cell<Option<i64>>,
}

impl<'a, K: Kafka> Running<'a, K> {
    fn claims<'s>(&'s self, context: &'s StepContext) -> Claims<'s, K> {
        Claims { kafka: self.kafka, group: &self.options.group, topic: &context.input }
    }

    /// A producer before which nothing of this instance is open.
    fn settled(&self, context: &StepContext, unsettled: &mut Option<Unsettled>) -> Result<Transactional<K>, BusError> {
        let Self { kafka, options, .. } = self;
        let mut scope = BTreeSet::new();
        for written in context.topics_written() {
            scope.extend(kafka.places(&written)?);
        }
        let settling = Settling {
            kafka: *kafka,
            transactional_id: kafka.options().transactional_id("stage", &options.group),
            group: Some(GroupInput { group: options.group.clone(), topic: context.input.to_string() }),
            claims: Some(self.claims(context).held_by()),
            scope,
        };
        settling.settle(unsettled)
    }

    /// Whether another process has this one's name by now, as far as is known.
    fn is_claimed_by_another(&self, context: &StepContext) -> bool {
        let latest = self.claims(context).latest();
        latest.is_ok_and(|latest| self.claim.get().is_some_and(|mine| latest > mine))
    }

    /// Settles, before the process ends, what only its memory knows how to complete.
    ///
    /// # Errors
    /// When that does not succeed in time, or another has this one's name.
    pub(crate) fn settle_at_last(&self, unsettled: &mut Option<Unsettled>) -> Result<(), BusError> {
        if !unsettled.as_ref().is_some_and(Unsettled::may_be_committed) {
            return Ok(());
        }
        let context = StepContext::new(self.factory);
        settle_at_last(self.kafka, || match self.settled(&context, unsettled) {
            Err(_) if self.is_claimed_by_another(&context) => Err(BusError::Fenced { stage: context.stage.to_owned() }),
            settled => settled.map(drop),
        })
    }
}

/// Refuses an input whose partitions do not correspond to those of what the stage writes: a key
/// would go on in another partition than the one that holds its state.
fn same_partitions(context: &StepContext, found: u32, wanted: u32) -> Result<(), BusError> {
    if found == wanted {
        return Ok(());
    }
    Err(BusError::PartitionMismatch { topic: context.input.to_string(), found, wanted })
}

/// One partition's state.
struct Partition {
    stage: Box<dyn Stage>,
    /// Committed position. The state is that after all records before it, or, while there is
    /// [`Prepared`] work of this partition, after that.
    position: i64,
    /// Who moved the position there.
    provenance: Provenance,
    since_snapshot: u64,
}

impl Partition {
    /// Who will have moved the position, and under what terms its records were applied, once it is at `to`.
    fn moved(&self, owner: Owner, terms: u32, to: i64) -> Provenance {
        self.provenance.moved(owner, to).applied_under(terms, self.position)
    }
}

/// Work of one partition that is applied and not yet committed.
struct Prepared {
    writes: Vec<Write>,
    tally: Tally,
    position: i64,
}

pub(crate) struct Session<'a, K: Kafka> {
    running: &'a Running<'a, K>,
    context: StepContext,
    input_partitions: u32,
    owner: Owner,
    /// Checksum of the terms that records are applied under.
    terms: u32,
    snapshots: K::Snapshots,
    // Dropped in this order: the membership ends before the producer.
    member: K::Member,
    /// What positions are moved with: the right of the last rebalance that was taken in whole, and of no later one.
    /// So whatever the group has decided since, work that it takes away is not committed.
    membership: Option<K::Membership>,
    log: K::Log,
    producer: Transactional<K>,
    partitions: BTreeMap<u32, Partition>,
    pending: BTreeMap<u32, Vec<ConsumedRecord>>,
    pending_records: usize,
    prepared: BTreeMap<u32, Prepared>,
    /// Since when transactions were aborted without one committed.
    aborting_since: Option<Instant>,
    /// The transaction that ended the session, if its outcome is not known.
    pub(crate) unsettled: Option<Unsettled>,
    /// Partitions whose end was reached and whose position may lie before transaction markers.
    ended: BTreeSet<u32>,
    last_progress: Instant,
    /// Positions of the whole group when they were last looked at.
    group_positions: BTreeMap<u32, i64>,
    /// Steps committed in this session.
    pub(crate) steps: u64,
}

impl<'a, K: Kafka> Session<'a, K> {
    /// Fences and settles first, and only then reads.
    pub(crate) fn start(running: &'a Running<'a, K>, unsettled: &mut Option<Unsettled>) -> Result<Self, BusError> {
        let Running { kafka, factory, options, .. } = running;
        let context = StepContext::new(*factory);
        let input_partitions = kafka.partitions_now(&context.input)?;
        for written in context.topics_written() {
            same_partitions(&context, input_partitions, kafka.partitions_now(&written)?)?;
        }
        let snapshots = kafka.snapshots(&options.group, &context.input, factory.state_schema())?;
        let producer = running.settled(&context, unsettled)?;
        let claims = running.claims(&context);
        if running.claim.get().is_none() {
            running.claim.set(Some(claims.make(&producer)?));
        }
        let log = kafka.open_log(&context.input)?;
        let member = kafka.join(&options.group, &context.input)?;
        Ok(Self {
            running,
            context,
            input_partitions,
            owner: Owner::new(),
            terms: StateSchema::from(factory.state_schema().as_str()).terms_checksum(),
            snapshots,
            member,
            membership: None,
            log,
            producer,
            partitions: BTreeMap::new(),
            pending: BTreeMap::new(),
            pending_records: 0,
            prepared: BTreeMap::new(),
            aborting_since: None,
            unsettled: None,
            ended: BTreeSet::new(),
            last_progress: kafka.now(),
            group_positions: BTreeMap::new(),
            steps: 0,
        })
    }

    fn now(&self) -> Instant {
        self.running.kafka.now()
    }

    /// Runs until the shutdown, then stores snapshots.
    pub(crate) fn run(&mut self) -> Result<(), SessionEnd> {
        while !self.running.shutdown.is_cancelled() {
            self.gather()?;
            self.log.tend()?;
            if self.prepared.is_empty() && self.pending_records > 0 {
                self.prepare()?;
            } else if self.prepared.is_empty() && !self.ended.is_empty() {
                self.pass_markers()?;
            }
            if self.prepared.is_empty() {
                self.watch()?;
            } else {
                self.commit()?;
            }
        }
        let partitions: Vec<u32> = self.partitions.keys().copied().collect();
        for partition in partitions {
            self.snapshot(partition);
        }
        Ok(())
    }

    /// Collects a batch; waits only for its first record. While a transaction is tried again it
    /// goes on polling, because that is what brings the rebalance to its end.
    fn gather(&mut self) -> Result<(), SessionEnd> {
        let mut room = self.running.options.batch_records_max;
        let mut wait = IDLE_AFTER;
        if self.prepared.is_empty() {
            room = room.saturating_sub(self.pending_records);
        } else if self.running.kafka.cancelled_within(self.running.shutdown, IDLE_AFTER) {
            return Ok(());
        }
        if self.pending_records > 0 || !self.prepared.is_empty() {
            wait = Duration::ZERO;
        }
        let deadline = self.now() + wait;
        for _ in 0..room.max(1) {
            let left = match self.pending_records {
                0 => deadline.saturating_duration_since(self.now()),
                _ => Duration::ZERO,
            };
            match self.member.poll(left) {
                Some(event) => self.take(event)?,
                None if self.pending_records > 0 || self.now() >= deadline => break,
                None => {}
            }
        }
        // A rebalance is taken in whole: nothing is committed for a partition that is gone.
        while let Some(event) = self.member.told() {
            self.take(event)?;
        }
        Ok(())
    }

    fn take(&mut self, event: MemberEvent<K::Membership>) -> Result<(), SessionEnd> {
        match event {
            MemberEvent::Record(record) => {
                if self.partitions.contains_key(&record.partition) {
                    self.ended.remove(&record.partition);
                    self.pending.entry(record.partition).or_default().push(record);
                    self.pending_records += 1;
                }
            }
            MemberEvent::End(partition) => {
                if self.partitions.contains_key(&partition) {
                    self.ended.insert(partition);
                }
            }
            MemberEvent::Assigned(partition, position) => {
                same_partitions(&self.context, self.input_partitions.max(partition + 1), self.input_partitions)?;
                let (stage, from) = (self.context.stage, position.offset);
                tracing::info!(stage, partition, from, "has the partition");
                let restored = self.restored(partition, position)?;
                self.partitions.insert(partition, restored);
                self.snapshot_if_due(partition);
                self.last_progress = self.now();
            }
            MemberEvent::Revoked(partition) => {
                tracing::info!(stage = self.context.stage, partition, "no longer has the partition");
                self.snapshot(partition);
                self.forget(partition);
            }
            MemberEvent::Joined(membership) => self.membership = Some(membership),
            MemberEvent::Kept { partition, position, rejoins } => self.check_kept(partition, position, rejoins)?,
            MemberEvent::Broken(why) => return Err(SessionEnd::Reconnect(why)),
            MemberEvent::Denied(error) => return Err(SessionEnd::Failed(error)),
            MemberEvent::Fenced => return Err(self.member_fenced()),
        }
        Ok(())
    }

    /// A member whom the group had given up, and who joins again, keeps the partitions that it had: librdkafka
    /// (2.12) revokes nothing when the answer to its request to join is that nobody knows it. Another may have had
    /// them since. Then the state is of no use, and the session ends; but not in the middle of a cooperative rebalance:
    /// the member that comes back would be handed what it keeps, and nobody what it gives up. Until the rebalance is
    /// over nothing is done for the partition.
    fn check_kept(&mut self, partition: u32, position: i64, rejoins: bool) -> Result<(), SessionEnd> {
        let left_at = self.partitions.get(&partition).map(|kept| kept.position);
        if left_at == Some(position) {
            return Ok(());
        }
        if rejoins {
            self.forget(partition);
            return Ok(());
        }
        let left_at = left_at.map_or_else(|| "another position".to_owned(), |left_at| left_at.to_string());
        Err(SessionEnd::Reconnect(format!(
            "{}/{partition} stands at {position}, and this instance left it at {left_at}: it was out of the group",
            self.context.input
        )))
    }

    /// Drops all there is of a partition.
    fn forget(&mut self, partition: u32) {
        self.prepared.remove(&partition);
        self.partitions.remove(&partition);
        self.ended.remove(&partition);
        self.pending_records -= self.pending.remove(&partition).map_or(0, |records| records.len());
    }

    /// The broker tells a member that its name is taken also when the member itself has joined
    /// twice, because the answer to the first try was lost. Whoever else takes the name has claimed
    /// it before it joins.
    fn member_fenced(&self) -> SessionEnd {
        if self.running.is_claimed_by_another(&self.context) {
            return self.taken_over();
        }
        SessionEnd::Reconnect("the membership was lost, and no other instance has this one's name".to_owned())
    }

    fn taken_over(&self) -> SessionEnd {
        SessionEnd::Failed(BusError::Fenced { stage: self.context.stage.to_owned() })
    }

    /// A partition's state at a committed position: its snapshot, then the log from there with the
    /// outputs discarded.
    fn restored(&self, partition: u32, at: Position) -> Result<Partition, BusError> {
        let Position { offset: position, provenance } = at;
        let Running { factory, options, .. } = self.running;
        if !factory.keeps_state() {
            return Ok(Partition { stage: factory.create(partition), position, provenance, since_snapshot: 0 });
        }
        let before = self.snapshots.made_by(partition);
        let loaded = self.snapshots.load(partition, position, |state| factory.restore(partition, state));
        let mut repetition = Repetition::new(!loaded.is_sound(), before).of_first(provenance.terms());
        let due_records = options.snapshot_due_records();
        let (mut stage, from, mut since_snapshot) = loaded.or_create(due_records, || factory.create(partition));
        let mut batch = Vec::new();
        let mut apply = |batch: &mut Vec<ConsumedRecord>| {
            since_snapshot = since_snapshot.saturating_add(batch.len() as u64);
            repetition.hear(batch);
            let applied = self.context.apply(stage.as_mut(), batch).map(drop);
            batch.clear();
            applied
        };
        self.log.each_until(partition, from, position, |record| {
            batch.push(record);
            if batch.len() < options.batch_records_max { Ok(()) } else { apply(&mut batch) }
        })?;
        if !batch.is_empty() {
            apply(&mut batch)?;
        }
        if repetition.end(*factory, partition, stage.as_mut()) {
            since_snapshot = since_snapshot.max(due_records);
        }
        Ok(Partition { stage, position, provenance, since_snapshot })
    }

    /// Applies what was gathered.
    fn prepare(&mut self) -> Result<(), SessionEnd> {
        self.pending_records = 0;
        for (partition, batch) in std::mem::take(&mut self.pending) {
            let Some(state) = self.partitions.get_mut(&partition) else { continue };
            let Some(position) = batch.last().map(|r| r.offset + 1) else { continue };
            let (writes, tally) = self.context.apply(state.stage.as_mut(), &batch)?;
            state.since_snapshot = state.since_snapshot.saturating_add(batch.len() as u64);
            self.prepared.insert(partition, Prepared { writes, tally, position });
        }
        Ok(())
    }

    /// Commits outputs and positions of all prepared work in one transaction. When it was aborted
    /// the work stays prepared: outputs and state follow from the log, so they are as good for the
    /// next attempt.
    fn commit(&mut self) -> Result<(), SessionEnd> {
        let kafka = self.running.kafka;
        let mut located = Vec::new();
        for prepared in self.prepared.values() {
            located.extend(locate(kafka, &prepared.writes)?);
        }
        let moved = |(partition, work): (&u32, &Prepared)| {
            let to = work.position;
            let provenance = match self.partitions.get(partition) {
                Some(state) => state.moved(self.owner, self.terms, to),
                None => Provenance::default().moved(self.owner, to),
            };
            (*partition, Position { offset: work.position, provenance })
        };
        let positions: BTreeMap<u32, Position> = self.prepared.iter().map(moved).collect();
        let Some(membership) = &self.membership else {
            return Err(SessionEnd::Reconnect("the group has not taken this instance in".to_owned()));
        };
        let moves = Moves { positions: &positions, membership };
        match self.producer.commit(kafka, &located, Some(moves)) {
            Ok(()) => self.committed(),
            Err(TransactionFailure::Refused(error)) => return Err(SessionEnd::Failed(error)),
            Err(TransactionFailure::Unknown(why, left)) => {
                self.unsettled = Some(*left);
                return Err(SessionEnd::Reconnect(why));
            }
            Err(TransactionFailure::Fenced(why, left)) => {
                self.unsettled = Some(*left);
                return Err(self.fenced(why));
            }
            Err(TransactionFailure::Aborted(why)) => return self.keep_prepared(why),
            Err(TransactionFailure::Spent(why)) => {
                self.producer = self.running.settled(&self.context, &mut None)?;
                return self.keep_prepared(why);
            }
        }
        Ok(())
    }

    /// What was prepared is tried again, until that has failed for too long.
    fn keep_prepared(&mut self, why: String) -> Result<(), SessionEnd> {
        tracing::info!(stage = self.context.stage, why, "the step was aborted and is tried again");
        let now = self.now();
        let since = *self.aborting_since.get_or_insert(now);
        if now - since > self.running.kafka.options().session_timeout() * 2 {
            Err(SessionEnd::Reconnect(why))
        } else {
            Ok(())
        }
    }

    fn committed(&mut self) {
        self.steps += 1;
        self.aborting_since = None;
        self.last_progress = self.now();
        for (partition, work) in std::mem::take(&mut self.prepared) {
            work.tally.count(self.context.stage);
            let Some(state) = self.partitions.get_mut(&partition) else { continue };
            state.provenance = state.moved(self.owner, self.terms, work.position);
            state.position = work.position;
            self.snapshot_if_due(partition);
        }
    }

    /// A producer is fenced when another instance has its name, but also when the broker has given
    /// up a transaction that was open for too long. In the first case the other has claimed the
    /// name, or is about to.
    fn fenced(&self, why: String) -> SessionEnd {
        let deadline = self.now() + CLAIMED_WITHIN;
        loop {
            if self.running.is_claimed_by_another(&self.context) {
                return self.taken_over();
            }
            if self.now() >= deadline
                || self.running.kafka.cancelled_within(self.running.shutdown, CLAIM_LOOKED_AT_EVERY)
            {
                return SessionEnd::Reconnect(why);
            }
        }
    }

    /// Moves idle partitions past transaction markers, which take offsets but are no records, so
    /// that the lag becomes exactly 0.
    fn pass_markers(&mut self) -> Result<(), SessionEnd> {
        let ended = std::mem::take(&mut self.ended);
        let positions: BTreeMap<u32, i64> =
            ended.iter().filter_map(|p| Some((*p, self.partitions.get(p)?.position))).collect();
        for (partition, position) in self.log.ends_behind_markers(&positions)? {
            self.prepared.insert(partition, Prepared { writes: Vec::new(), tally: Tally::default(), position });
        }
        self.last_progress = self.now();
        Ok(())
    }

    /// Looks, after a long quiet, for partitions that stand still although there is something to
    /// read. If this instance has one, the session ends. If no living instance seems to have it,
    /// the group is made to share its partitions out again.
    fn watch(&mut self) -> Result<(), SessionEnd> {
        let Running { kafka, options, .. } = self.running;
        if self.now() - self.last_progress < kafka.options().stall_after {
            return Ok(());
        }
        self.last_progress = self.now();
        let lags = kafka.lag(&options.group, &self.context.input)?;
        let stalled: Vec<u32> = lags
            .iter()
            .filter(|l| l.behind() > 0 && self.group_positions.get(&l.partition) == Some(&l.position))
            .map(|l| l.partition)
            .collect();
        self.group_positions = lags.iter().map(|l| (l.partition, l.position)).collect();
        for partition in &stalled {
            let Some(state) = self.partitions.get(partition) else { continue };
            if self.log.bounds(*partition)?.1 > state.position {
                let (topic, position) = (&self.context.input, state.position);
                return Err(SessionEnd::Reconnect(format!("{topic}/{partition} stands still at {position}")));
            }
        }
        let orphans: Vec<&u32> = stalled.iter().filter(|p| !self.partitions.contains_key(p)).collect();
        if !orphans.is_empty() {
            let group = &options.group;
            tracing::warn!(group, ?orphans, "no instance reads these partitions; they are shared out again");
            kafka.share_out_again(group, &self.context.input)?;
        }
        Ok(())
    }

    fn snapshot_if_due(&mut self, partition: u32) {
        let since = self.partitions.get(&partition).map(|state| state.since_snapshot);
        if since.is_some_and(|since| since >= self.running.options.snapshot_due_records()) {
            self.snapshot(partition);
        }
    }

    /// Stores a partition's state, unless it is ahead of the committed position. Failing to is no reason to stop: the log has everything.
    fn snapshot(&mut self, partition: u32) {
        let Some(state) = self.partitions.get_mut(&partition) else { return };
        let keeps_state = self.running.factory.keeps_state();
        if !keeps_state || state.since_snapshot == 0 || self.prepared.contains_key(&partition) {
            return;
        }
        match self.snapshots.store(partition, state.position, &state.stage.snapshot()) {
            Ok(()) => state.since_snapshot = 0,
            Err(error) => tracing::warn!(
                stage = self.context.stage,
                partition,
                %error,
                "cannot store a snapshot; a restart will re-read more of the log"
            ),
        }
    }
}
