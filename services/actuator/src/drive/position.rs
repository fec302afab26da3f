//! How far topic `actions` was read, and what is open: the position of a driver's source. Pure.
//!
//! What was decided in the last hour is read again after a restart, so that the newest action of each workload is known
//! without being stored.

use super::book::Kept;
use super::open::Now;
use anyhow::{Result, bail};
use bitcode::{Decode, Encode};
use prescale_chassis::audit::Place;
use prescale_domain::time::EventTime;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// First byte of a position: how the rest is laid out.
const LAYOUT: u8 = 1;

/// What is stored, by partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Position(BTreeMap<u32, Reached>);

/// Of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
struct Reached {
    /// The oldest record that is to be read again.
    from: i64,
    /// The next record.
    next: i64,
    /// The records before it that have no result yet, each with what it was sent from, if it was.
    open: BTreeMap<i64, Option<Arc<str>>>,
}

impl Position {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![LAYOUT];
        bytes.extend(bitcode::encode(self));
        bytes
    }

    /// From bytes.
    ///
    /// # Errors
    /// When they are of another build.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let rest = bytes.split_first().filter(|(layout, _)| **layout == LAYOUT).map(|(_, rest)| rest);
        match rest.and_then(|rest| bitcode::decode(rest).ok()) {
            Some(position) => Ok(position),
            None => bail!("the driver's stored position is of another build: run the build that stored it"),
        }
    }

    /// Where reading begins, by partition; from its oldest record on where a partition has none.
    pub fn starts(&self) -> BTreeMap<u32, i64> {
        self.0.iter().map(|(partition, reached)| (*partition, reached.from)).collect()
    }

    /// Forgets a partition that ends before where it was read to: the topic was made anew.
    pub fn forget(&mut self, partition: u32) {
        self.0.remove(&partition);
    }

    /// What is known of the record that lies there.
    pub fn kept(&self, place: Place) -> Kept {
        match self.0.get(&place.partition) {
            Some(reached) if place.offset < reached.next => match reached.open.get(&place.offset) {
                Some(sent_from) => Kept::Open(sent_from.clone()),
                None => Kept::Answered,
            },
            _ => Kept::New,
        }
    }
}

/// What was read, as it goes on.
#[derive(Clone, Debug, Default)]
pub struct Course {
    partitions: BTreeMap<u32, Read>,
}

#[derive(Clone, Debug, Default)]
struct Read {
    next: i64,
    /// Actions that are to be remembered, in order, each with until when.
    recent: VecDeque<(i64, EventTime)>,
}

impl Course {
    /// Goes on from a position.
    pub fn of(position: &Position) -> Self {
        let read = |reached: &Reached| Read { next: reached.next, recent: VecDeque::new() };
        Self { partitions: position.0.iter().map(|(partition, reached)| (*partition, read(reached))).collect() }
    }

    /// A record was read; one of this cloud's actions is to be remembered for a while.
    pub fn pass(&mut self, place: Place, remembered_until: Option<EventTime>) {
        let read = self.partitions.entry(place.partition).or_default();
        read.next = read.next.max(place.offset + 1);
        read.recent.extend(remembered_until.map(|until| (place.offset, until)));
    }

    /// The next record of each partition.
    pub fn next_offsets(&self) -> BTreeMap<u32, i64> {
        self.partitions.iter().map(|(partition, read)| (*partition, read.next)).collect()
    }

    /// The position, with what is open.
    pub fn position<'a>(&mut self, open: impl Iterator<Item = (Place, Option<&'a Arc<str>>)>, now: Now) -> Position {
        let mut by_partition: BTreeMap<u32, BTreeMap<i64, Option<Arc<str>>>> = BTreeMap::new();
        for (Place { partition, offset }, sent_from) in open {
            by_partition.entry(partition).or_default().insert(offset, sent_from.cloned());
        }
        let reached = |(partition, read): (&u32, &mut Read)| {
            let open = by_partition.remove(partition).unwrap_or_default();
            while read.recent.front().is_some_and(|(_, until)| *until <= now.at) {
                read.recent.pop_front();
            }
            let oldest = [read.recent.front().map(|(offset, _)| *offset), open.keys().next().copied()];
            let from = oldest.into_iter().flatten().min().unwrap_or(read.next);
            (*partition, Reached { from, next: read.next, open })
        };
        Position(self.partitions.iter_mut().map(reached).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { at: EventTime::from_s(1000), ms: 0 };

    fn place(partition: u32, offset: i64) -> Place {
        Place { partition, offset }
    }

    fn stored() -> Position {
        let mut course = Course::default();
        for (offset, until_s) in [(3, Some(900)), (4, None), (5, Some(1100)), (6, Some(950)), (9, None)] {
            course.pass(place(0, offset), until_s.map(EventTime::from_s));
        }
        course.pass(place(1, 7), None);
        let mark: Arc<str> = "3 by kubectl".into();
        course.position([(place(0, 6), Some(&mark)), (place(0, 5), None)].into_iter(), NOW)
    }

    #[test]
    fn what_is_open_and_what_is_remembered_is_read_again() {
        let position = Position::decode(&stored().encode()).unwrap();
        assert_eq!(position, stored());
        assert_eq!(position.starts(), BTreeMap::from([(0, 5), (1, 8)]));
        let kept: Vec<Kept> = [4, 5, 6, 9, 10].map(|offset| position.kept(place(0, offset))).into();
        let open = |mark: Option<&str>| Kept::Open(mark.map(Arc::from));
        assert_eq!(kept, [Kept::Answered, open(None), open(Some("3 by kubectl")), Kept::Answered, Kept::New]);
        assert_eq!(position.kept(place(2, 0)), Kept::New);
        let again = Course::of(&position).position(std::iter::empty(), NOW);
        assert_eq!(again.starts(), BTreeMap::from([(0, 10), (1, 8)]));
    }

    #[test]
    fn a_topic_that_was_made_anew_is_read_anew_and_another_builds_position_is_refused() {
        let mut position = stored();
        position.forget(0);
        assert_eq!((position.kept(place(0, 3)), position.starts().len()), (Kept::New, 1));
        assert!(Position::decode(&[9, 1]).is_err() && Position::decode(&[]).is_err());
    }
}
