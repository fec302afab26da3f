//! Making a new producer, and making the log agree with one outcome of what the last one left.
//!
//! Kafka ends the transactions of earlier producers of an id before it admits a new one. Its word
//! for that is not enough. A broker that was killed and comes back may declare a transaction ended,
//! committed or aborted, without having written its markers: all replicas of the partitions were
//! offline for a moment, and it takes them for deleted (KAFKA-20734; seen in Kafka 4.4.0). The
//! records then stay open, readers stand still before them, and so does the group; and the next
//! marker of the same producer id, whatever it says, ends them too. So aborted records can come to
//! life, and committed ones vanish.
//!
//! Settling takes three steps. First a transaction that goes to every open place is aborted; it
//! takes with it what is open of this id. Then it is looked up, by offset, whether the transaction
//! in question is committed anywhere. If so its missing parts are written anew, else all of it
//! never was. A group's position counts as moved only if it says that this one moved it: another
//! instance that took the partition over may have come as far by doing the work anew.
//!
//! What remains: only a producer of the same id can do this, so what an instance or a source leaves
//! stays open until it comes back under its name. And only what the memory of the process holds can
//! be written anew: where it ended with a transaction unsettled, that is aborted wherever it is
//! still open, also if another part of it is committed.

use super::attempt::Moves;
use super::ends::{await_stable_ends, open_places};
use super::log::CommittedLog;
use super::port::{GroupInput, Kafka, Place};
use super::provenance::Position;
use super::transaction::Transactional;
use super::unsettled::{Reached, TransactionFailure, Unsettled};
use crate::crash_point::CrashPoint;
use crate::error::BusError;
use crate::wait::Pauses;
use std::collections::{BTreeMap, BTreeSet};

/// Whose transactions are settled, and where they may have gone.
pub(crate) struct Settling<'a, K> {
    pub(crate) kafka: &'a K,
    pub(crate) transactional_id: String,
    pub(crate) group: Option<GroupInput>,
    /// The group that holds the claims to the name of a stage's instance, which are transactions of the same id.
    pub(crate) claims: Option<GroupInput>,
    pub(crate) scope: BTreeSet<Place>,
}

impl<K: Kafka> Settling<'_, K> {
    /// A producer before which nothing is open; `left` is taken once it is settled.
    pub(crate) fn settle(mut self, left: &mut Option<Unsettled>) -> Result<Transactional<K>, BusError> {
        let producer = Transactional {
            producer: self.kafka.producer(&self.transactional_id)?,
            timeout: self.kafka.options().transaction_timeout(),
            group: self.group.clone(),
        };
        CrashPoint::KafkaFenced.pass();
        if let Some(left) = left {
            self.scope.extend(left.records.iter().map(|r| r.place.clone()));
        }
        let open = open_places(self.kafka, &self.scope)?;
        if !open.is_empty() {
            tracing::warn!(id = self.transactional_id, ?open, "ending what was left open");
        }
        match left.as_mut().filter(|left| left.may_be_committed()) {
            None => {
                let groups: Vec<GroupInput> = self.claims.iter().chain(&self.group).cloned().collect();
                self.done(producer.close(self.kafka, &open, &groups))?;
            }
            Some(left) => {
                self.done(producer.close(self.kafka, &open, self.claims.as_slice()))?;
                self.agree(&producer, left)?;
            }
        }
        *left = None;
        CrashPoint::KafkaSettled.pass();
        Ok(producer)
    }

    /// Completes a transaction that is committed in part, and closes one that is not at all.
    fn agree(&self, producer: &Transactional<K>, left: &mut Unsettled) -> Result<(), BusError> {
        left.keep_missing(&self.applied_places(left)?, &self.seen_positions(left)?);
        if left.reached != Reached::Committed || (left.records.is_empty() && left.positions.is_empty()) {
            return self.done(producer.close(self.kafka, &BTreeSet::new(), self.group.as_slice()));
        }
        tracing::warn!(
            id = self.transactional_id,
            records = left.records.len(),
            positions = ?left.positions,
            "writing the missing parts of a committed transaction anew"
        );
        let membership = self.group.as_ref().map(|g| self.kafka.membership_of_none(&g.group)).transpose()?;
        let moves = membership
            .as_ref()
            .filter(|_| !left.positions.is_empty())
            .map(|membership| Moves { positions: &left.positions, membership });
        let completed = producer.commit(self.kafka, &left.records, moves);
        if let Err(TransactionFailure::Unknown(_, again) | TransactionFailure::Fenced(_, again)) = &completed {
            left.offsets.clone_from(&again.offsets);
        }
        self.done(completed)
    }

    /// The places where the transaction's records are committed. All its records of one place are,
    /// or none.
    fn applied_places(&self, left: &Unsettled) -> Result<BTreeSet<Place>, BusError> {
        let mut first: BTreeMap<&Place, Option<i64>> = BTreeMap::new();
        for (record, offset) in left.records.iter().zip(&left.offsets) {
            let known = first.entry(&record.place).or_insert(*offset);
            *known = known.zip(*offset).map(|(one, other)| one.min(other));
        }
        let mut applied = BTreeSet::new();
        for (place, offset) in first {
            let Some(offset) = offset else { continue };
            let written = BTreeMap::from([(place.clone(), offset + 1)]);
            await_stable_ends(self.kafka, &written, self.kafka.options().transaction_timeout() * 2)?;
            if self.kafka.open_log(&place.topic)?.holds(place.partition, offset)? {
                applied.insert(place.clone());
            }
        }
        Ok(applied)
    }

    /// What is seen of the group's positions that the transaction moves. A position that an open
    /// transaction holds was not moved.
    fn seen_positions(&self, left: &Unsettled) -> Result<SeenPositions, BusError> {
        let Some(GroupInput { group, topic }) = self.group.as_ref().filter(|_| !left.positions.is_empty()) else {
            return Ok(SeenPositions::default());
        };
        let partitions: Vec<u32> = left.positions.keys().copied().collect();
        let found = self.kafka.positions(group, topic, &partitions)?;
        Ok(SeenPositions::of(&left.positions, &found))
    }

    fn done(&self, result: Result<(), TransactionFailure>) -> Result<(), BusError> {
        let context = || format!("cannot settle the transactions of {:?}", self.transactional_id);
        result.map_err(|failure| failure.into_error(context()))
    }
}

/// Tries, before the process ends, until what only its memory knows how to complete is settled.
///
/// # Errors
/// When that is not so in time, or trying again cannot help.
pub(crate) fn settle_at_last<K: Kafka>(
    kafka: &K,
    mut settle: impl FnMut() -> Result<(), BusError>,
) -> Result<(), BusError> {
    let deadline = kafka.now() + kafka.options().transaction_timeout() * 4;
    let mut pauses = Pauses::default();
    loop {
        match settle() {
            Err(BusError::Backend { retryable: true, .. }) if kafka.now() < deadline => kafka.pause(&mut pauses),
            settled => return settled,
        }
    }
}

/// What is seen of the positions that a transaction moves.
#[derive(Debug, Default, PartialEq, Eq)]
struct SeenPositions {
    /// It has moved them itself; that another has come as far says nothing.
    moved: bool,
    /// Partitions whose position lies before where it moves it.
    behind: BTreeSet<u32>,
}

impl SeenPositions {
    fn of(wanted: &BTreeMap<u32, Position>, found: &BTreeMap<u32, Position>) -> Self {
        let has = |partition: &u32, is: &dyn Fn(&Position) -> bool| found.get(partition).is_some_and(is);
        let moved = wanted.iter().any(|(p, wanted)| has(p, &|f| f.provenance.includes(&wanted.provenance)));
        let behind = wanted.iter().filter(|(p, wanted)| !has(p, &|f| f.offset >= wanted.offset));
        Self { moved, behind: behind.map(|(p, _)| *p).collect() }
    }
}

impl Unsettled {
    /// Decides by what is seen of the transaction: a part of it that took effect makes it committed,
    /// and then what is missing is kept.
    fn keep_missing(&mut self, applied: &BTreeSet<Place>, seen: &SeenPositions) {
        if !applied.is_empty() || seen.moved {
            self.reached = Reached::Committed;
        }
        if self.reached != Reached::Committed {
            return;
        }
        self.records.retain(|record| !applied.contains(&record.place));
        self.offsets = vec![None; self.records.len()];
        self.positions.retain(|partition, _| seen.behind.contains(partition));
    }
}

#[cfg(test)]
mod tests {
    use super::super::provenance::Provenance;
    use super::super::unsettled::Located;
    use super::*;
    use crate::write::{Placement, Write};
    use std::borrow::Cow;

    fn place(partition: u32) -> Place {
        Place { topic: "out".into(), partition }
    }

    /// Where the transaction moves the position of partition 3.
    fn wanted() -> Position {
        Position { offset: 9, provenance: Provenance::decode("prescale-1 a@9") }
    }

    fn unsettled(partitions: &[u32], moves: bool, reached: Reached) -> Unsettled {
        let record = |partition: &u32| {
            let placement = Placement::LikeInput(*partition);
            let write = Write { topic: "out".into(), placement, key: None, value: None, headers: Vec::new() };
            Located { write: Cow::Owned(write), place: place(*partition) }
        };
        Unsettled {
            records: partitions.iter().map(record).collect(),
            offsets: partitions.iter().map(|_| Some(7)).collect(),
            positions: moves.then(|| (3, wanted())).into_iter().collect(),
            reached,
        }
    }

    /// What is left to write of a transaction: partitions of its records, and positions. None when
    /// it is taken as never committed. `found` is the metadata and offset of the group's position.
    fn missing(mut left: Unsettled, applied: &[u32], found: (&str, i64)) -> Option<(Vec<u32>, usize)> {
        let found = Position { offset: found.1, provenance: Provenance::decode(found.0) };
        let seen = SeenPositions::of(&left.positions, &BTreeMap::from([(3, found)]));
        left.keep_missing(&applied.iter().copied().map(place).collect(), &seen);
        assert_eq!(left.records.len(), left.offsets.len());
        let records = left.records.iter().map(|r| r.place.partition).collect();
        (left.reached == Reached::Committed).then_some((records, left.positions.len()))
    }

    const BEFORE: (&str, i64) = ("prescale-1 a@4", 4);
    const MOVED: (&str, i64) = ("prescale-1 a@9", 9);
    const MOVED_AND_TAKEN_OVER: (&str, i64) = ("prescale-1 a@9 b@20", 20);
    const DONE_ANEW_BY_ANOTHER: (&str, i64) = ("prescale-1 a@4 b@20", 20);

    #[test]
    fn a_transaction_of_which_nothing_is_seen_never_was() {
        assert_eq!(missing(unsettled(&[0, 1], true, Reached::CommitAsked), &[], BEFORE), None);
        assert_eq!(missing(unsettled(&[0, 1], false, Reached::CommitAsked), &[], MOVED), None, "it moves no position");
    }

    #[test]
    fn a_position_that_another_moved_is_no_sign_of_a_commit() {
        let left = || unsettled(&[0, 1], true, Reached::CommitAsked);
        assert_eq!(missing(left(), &[], DONE_ANEW_BY_ANOTHER), None);
        assert_eq!(missing(left(), &[], MOVED_AND_TAKEN_OVER), Some((vec![0, 1], 0)));
    }

    #[test]
    fn a_position_is_not_moved_back() {
        let left = unsettled(&[0, 1], true, Reached::CommitAsked);
        assert_eq!(missing(left, &[1], DONE_ANEW_BY_ANOTHER), Some((vec![0], 0)));
    }

    #[test]
    fn a_transaction_of_which_a_part_is_seen_lacks_the_rest() {
        let left = || unsettled(&[0, 1, 1, 2], true, Reached::CommitAsked);
        assert_eq!(missing(left(), &[1], BEFORE), Some((vec![0, 2], 1)));
        assert_eq!(missing(left(), &[1], MOVED), Some((vec![0, 2], 0)));
        assert_eq!(missing(left(), &[], MOVED), Some((vec![0, 1, 1, 2], 0)));
        assert_eq!(missing(left(), &[0, 1, 2], MOVED), Some((vec![], 0)));
    }

    #[test]
    fn a_transaction_once_seen_stays_committed_while_it_is_completed() {
        assert_eq!(missing(unsettled(&[2], true, Reached::Committed), &[], BEFORE), Some((vec![2], 1)));
    }
}
