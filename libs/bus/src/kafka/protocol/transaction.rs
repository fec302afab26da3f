//! A transactional producer and its one operation: write these records and move these positions,
//! or neither.
//!
//! A transaction is over when its end was seen in the log, not when the broker says so: the next
//! one of the same producer ends, with its own outcome, whatever the one before left open. A
//! producer whose last transaction was not seen to end is never used again; [`super::settle`] says
//! what is done with what it left.

use super::attempt::{Attempt, Moves};
use super::port::{GroupInput, Kafka, Place, Producer};
use super::provenance::Position;
use super::unsettled::{Located, Reached, TransactionFailure};
use crate::crash_point::CrashPoint;
use crate::dlq::dlq_topic;
use crate::write::{Placement, Write};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A transactional producer that has fenced those before it.
pub(crate) struct Transactional<K: Kafka> {
    pub(crate) producer: K::Producer,
    /// Bound on one call.
    pub(crate) timeout: Duration,
    pub(crate) group: Option<GroupInput>,
}

impl<K: Kafka> Transactional<K> {
    fn attempt<'t>(
        &'t self,
        kafka: &'t K,
        records: &'t [Located<'t>],
        moves: Option<Moves<'t, K::Membership>>,
    ) -> Attempt<'t, K> {
        let (producer, group) = (&self.producer, self.group.as_ref());
        Attempt { producer, timeout: self.timeout, group, kafka, records, moves }
    }

    /// Writes the records and moves the group's positions in one transaction, and sees it end.
    pub(crate) fn commit(
        &self,
        kafka: &K,
        records: &[Located<'_>],
        moves: Option<Moves<'_, K::Membership>>,
    ) -> Result<(), TransactionFailure> {
        let attempt = self.attempt(kafka, records, moves);
        attempt.write()?;
        self.producer.commit().map_err(|e| attempt.lost(&e, Reached::CommitAsked))?;
        CrashPoint::KafkaCommitted.pass();
        attempt.see_commit().map_err(|e| attempt.unknown(e.to_string(), Reached::CommitAsked))?;
        CrashPoint::KafkaCommitSeen.pass();
        Ok(())
    }

    /// Commits the position of a group without members on partition 0 of a topic, and nothing else.
    pub(crate) fn commit_position(
        &self,
        kafka: &K,
        group: &str,
        topic: &str,
        offset: i64,
    ) -> Result<(), TransactionFailure> {
        let attempt = self.attempt(kafka, &[], None);
        let membership = kafka.membership_of_none(group).map_err(|e| attempt.cut(e.to_string()))?;
        attempt.begin()?;
        let position = Position { offset, ..Position::default() };
        self.producer
            .send_positions(topic, &BTreeMap::from([(0, position)]), &membership)
            .map_err(|e| attempt.lost(&e, Reached::Written))?;
        self.producer.commit().map_err(|e| attempt.lost(&e, Reached::CommitAsked))
    }

    /// Ends without effect whatever earlier producers of this id left open in these places and groups: a transaction
    /// that goes there too is aborted.
    pub(crate) fn close(
        &self,
        kafka: &K,
        places: &BTreeSet<Place>,
        groups: &[GroupInput],
    ) -> Result<(), TransactionFailure> {
        if places.is_empty() && groups.is_empty() {
            return Ok(());
        }
        let writes: Vec<Write> = places.iter().map(Write::visit).collect();
        let records: Vec<Located<'_>> = places
            .iter()
            .zip(&writes)
            .map(|(place, write)| Located { write: Cow::Borrowed(write), place: place.clone() })
            .collect();
        let attempt = self.attempt(kafka, &records, None);
        attempt.begin()?;
        attempt.send_all()?;
        for GroupInput { group, topic } in groups {
            let membership = kafka.membership_of_none(group).map_err(|e| attempt.cut(e.to_string()))?;
            let unread = dlq_topic(topic);
            self.producer
                .send_positions(&unread, &BTreeMap::from([(0, Position::default())]), &membership)
                .map_err(|e| attempt.not_moved(&e, group, &unread))?;
        }
        attempt.deliver_all()?;
        attempt.abort()?;
        for GroupInput { group, topic } in groups {
            kafka
                .stable_positions(group, &dlq_topic(topic), &[0], self.timeout * 2)
                .map_err(|e| attempt.cut(e.to_string()))?;
        }
        Ok(())
    }
}

impl Write {
    /// A record that is written only to be aborted.
    fn visit(place: &Place) -> Self {
        Self {
            topic: place.topic.clone(),
            placement: Placement::LikeInput(place.partition),
            key: Some(b"prescale-settling".to_vec()),
            value: None,
            headers: Vec::new(),
        }
    }
}
