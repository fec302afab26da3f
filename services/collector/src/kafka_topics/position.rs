//! How far a topic of others was read, and where to go on when it is not as it was left. Pure.

use anyhow::{Result, bail};
use bitcode::{Decode, Encode};
use std::collections::BTreeMap;

/// First byte of a position: how the rest is laid out.
const LAYOUT: u8 = 1;

/// How far it was read; with what became of its messages on the bus.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Position {
    topic: String,
    /// By partition, the offset of the next message.
    pub(crate) next: BTreeMap<u32, i64>,
}

/// Offsets that a partition has: the oldest, and the one behind its last.
pub(crate) type Bounds = (i64, i64);

/// What is not as it was left in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// So many messages are gone that were not read.
    Gone {
        /// Partition.
        partition: u32,
        /// How many at most: some may have been no messages but markers.
        messages: i64,
    },
    /// It ends before where it was read to, so the topic was made anew, and is read from its beginning.
    MadeAnew {
        /// Partition.
        partition: u32,
    },
}

impl Position {
    /// Of a topic of which nothing was read.
    pub(crate) fn of(topic: &str) -> Self {
        Self { topic: topic.to_owned(), next: BTreeMap::new() }
    }

    /// As bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![LAYOUT];
        bytes.extend(bitcode::encode(self));
        bytes
    }

    /// From bytes, for the section of that name.
    ///
    /// # Errors
    /// When they are of another build, or of another topic.
    pub(crate) fn decode(bytes: &[u8], name: &str, topic: &str) -> Result<Self> {
        let position: Option<&[u8]> =
            bytes.split_first().filter(|(layout, _)| **layout == LAYOUT).map(|(_, rest)| rest);
        let Some(position) = position.and_then(|rest| bitcode::decode::<Self>(rest).ok()) else {
            bail!(
                "the stored position is of another build: give [collector.kafka_topics.{name}] another name to read all again"
            )
        };
        if position.topic != topic {
            bail!(
                "[collector.kafka_topics.{name}] topic = {topic:?}: under this name {:?} was read: give another topic another name",
                position.topic
            );
        }
        Ok(position)
    }

    /// Fits it to the partitions that there are now, of which those that are new are read from their oldest message on, or
    /// `from_end` where none was read before.
    pub(crate) fn fit(&mut self, bounds: &BTreeMap<u32, Bounds>, from_end: bool) -> Vec<Change> {
        let from_end = from_end && self.next.is_empty();
        let mut changes = Vec::new();
        self.next.retain(|partition, _| bounds.contains_key(partition));
        for (partition, (oldest, end)) in bounds {
            let (partition, begin) = (*partition, if from_end { *end } else { *oldest });
            let next = self.next.entry(partition).or_insert(begin);
            if *next > *end {
                changes.push(Change::MadeAnew { partition });
                *next = *oldest;
            } else if *next < *oldest {
                changes.push(Change::Gone { partition, messages: *oldest - *next });
                *next = *oldest;
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(next: &[(u32, i64)]) -> Position {
        Position { next: next.iter().copied().collect(), ..Position::of("t") }
    }

    fn fitted(next: &[(u32, i64)], bounds: &[(u32, Bounds)], from_end: bool) -> (Vec<(u32, i64)>, Vec<Change>) {
        let mut position = position(next);
        let changes = position.fit(&bounds.iter().copied().collect(), from_end);
        (position.next.into_iter().collect(), changes)
    }

    #[test]
    fn it_is_read_back_for_the_same_topic_alone() {
        let stored = position(&[(0, 5), (3, 7)]).encode();
        assert_eq!(Position::decode(&stored, "theirs", "t").unwrap(), position(&[(0, 5), (3, 7)]));
        let other = Position::decode(&stored, "theirs", "u").unwrap_err().to_string();
        assert!(other.contains("[collector.kafka_topics.theirs] topic = \"u\"") && other.contains("another name"));
        assert!(Position::decode(&[9, 9], "theirs", "t").unwrap_err().to_string().contains("another build"));
        assert!(Position::decode(&[], "theirs", "t").is_err());
    }

    #[test]
    fn a_topic_is_begun_where_it_is_asked_and_new_partitions_with_their_first_message() {
        let bounds = [(0, (3, 9)), (1, (0, 4))];
        assert_eq!(fitted(&[], &bounds, false), (vec![(0, 3), (1, 0)], vec![]));
        assert_eq!(fitted(&[], &bounds, true), (vec![(0, 9), (1, 4)], vec![]));
        assert_eq!(fitted(&[(0, 5)], &bounds, true), (vec![(0, 5), (1, 0)], vec![]));
    }

    #[test]
    fn what_is_gone_is_told() {
        let gone = Change::Gone { partition: 0, messages: 2 };
        assert_eq!(fitted(&[(0, 1)], &[(0, (3, 9))], false), (vec![(0, 3)], vec![gone]));
        let anew = Change::MadeAnew { partition: 0 };
        assert_eq!(fitted(&[(0, 10), (1, 1)], &[(0, (3, 9))], false), (vec![(0, 3)], vec![anew]));
        assert_eq!(fitted(&[(0, 9)], &[(0, (3, 9))], false), (vec![(0, 9)], vec![]), "all was read");
    }
}
