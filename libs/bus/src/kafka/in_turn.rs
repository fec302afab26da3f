//! Records of several partitions in the order in which they were written: the oldest of what the partitions have next. Pure.
//!
//! Whoever reads a backlog would otherwise read one partition to its end before it begins with another.

use super::protocol::log::LogEvent;
use crate::record::ConsumedRecord;
use std::collections::{BTreeMap, VecDeque};

/// A partition of which so many records wait is held.
const WAITING_MAX: usize = 2000;
/// It goes on when no more than so many are left.
const WAITING_FEW: usize = 200;
/// One whose records come to its share of so many bytes is held, too; it goes on at a quarter of that.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// No share is smaller.
const SHARE_BYTES_MIN: usize = 1 << 20;

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<ConsumedRecord>,
    /// What those that wait come to.
    waiting_bytes: usize,
    is_at_end: bool,
    is_held: bool,
}

/// What was read of each partition and not given out yet.
#[derive(Debug)]
pub(super) struct InTurn {
    lanes: BTreeMap<u32, Lane>,
    /// Of one partition.
    share_bytes: usize,
}

/// What a record takes in memory, about.
pub(super) fn bytes_of(record: &ConsumedRecord) -> usize {
    let of = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
    of(&record.key) + of(&record.value) + record.headers.iter().map(|header| header.value.len()).sum::<usize>()
}

impl InTurn {
    /// Of these partitions, of which nothing was read.
    pub(super) fn of(partitions: impl Iterator<Item = u32>) -> Self {
        let lanes: BTreeMap<u32, Lane> = partitions.map(|partition| (partition, Lane::default())).collect();
        let share_bytes = (WAITING_BYTES_MAX / lanes.len().max(1)).max(SHARE_BYTES_MIN);
        Self { lanes, share_bytes }
    }

    /// Takes in what a log says. Says which partition is to be held from now on, if one is.
    pub(super) fn take(&mut self, event: LogEvent) -> Option<u32> {
        match event {
            LogEvent::End(partition) => {
                self.lanes.entry(partition).or_default().is_at_end = true;
                None
            }
            LogEvent::Record(record) => {
                let partition = record.partition;
                let lane = self.lanes.entry(partition).or_default();
                lane.is_at_end = false;
                lane.waiting_bytes += bytes_of(&record);
                lane.waiting.push_back(record);
                let is_full = lane.waiting.len() >= WAITING_MAX || lane.waiting_bytes >= self.share_bytes;
                let is_crowded = !lane.is_held && is_full;
                lane.is_held |= is_crowded;
                is_crowded.then_some(partition)
            }
        }
    }

    /// Whether it is known what comes next: each partition has something, or is at its end.
    pub(super) fn is_known(&self) -> bool {
        self.lanes.values().all(|lane| lane.is_at_end || !lane.waiting.is_empty())
    }

    /// The oldest of what waits, and whether its partition is to go on being read, where it was held.
    pub(super) fn give(&mut self) -> Option<(ConsumedRecord, bool)> {
        let heads =
            self.lanes.iter().filter_map(|(partition, lane)| Some((lane.waiting.front()?.appended_at_ms, *partition)));
        let (_, partition) = heads.min()?;
        let lane = self.lanes.get_mut(&partition)?;
        let record = lane.waiting.pop_front()?;
        lane.waiting_bytes -= bytes_of(&record);
        let has_room = lane.waiting.len() <= WAITING_FEW && lane.waiting_bytes <= self.share_bytes / 4;
        let goes_on = lane.is_held && has_room;
        lane.is_held &= !goes_on;
        Some((record, goes_on))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(partition: u32, offset: i64, at_ms: i64) -> LogEvent {
        LogEvent::Record(ConsumedRecord {
            topic: "t".into(),
            partition,
            offset,
            appended_at_ms: at_ms,
            key: None,
            value: None,
            headers: Vec::new(),
        })
    }

    #[test]
    fn nothing_is_known_before_each_partition_has_said_something() {
        let mut turn = InTurn::of(0..2);
        assert!(!turn.is_known());
        turn.take(record(0, 0, 50));
        assert!(!turn.is_known());
        turn.take(LogEvent::End(1));
        assert!(turn.is_known());
        assert_eq!(turn.give().map(|(record, _)| record.offset), Some(0));
        assert!(!turn.is_known(), "there may be more behind it");
        turn.take(LogEvent::End(0));
        assert!(turn.is_known() && turn.give().is_none());
    }

    #[test]
    fn a_partition_that_is_far_ahead_is_held_until_it_was_used_up() {
        let mut turn = InTurn::of(0..1);
        let held: Vec<i64> = (0..2500).filter(|offset| turn.take(record(0, *offset, *offset)).is_some()).collect();
        assert_eq!(held, [WAITING_MAX as i64 - 1], "once");
        let goes_on: Vec<i64> = std::iter::from_fn(|| turn.give())
            .filter_map(|(record, goes_on)| goes_on.then_some(record.offset))
            .collect();
        assert_eq!(goes_on, [2500 - WAITING_FEW as i64 - 1], "once");
    }

    #[test]
    fn a_partition_of_large_records_is_held_by_its_share_of_the_bytes() {
        let mut turn = InTurn::of(0..8);
        let large = |offset: i64| {
            let LogEvent::Record(record) = record(3, offset, offset) else { panic!("it is one") };
            LogEvent::Record(ConsumedRecord { value: Some(vec![0; 1 << 20]), ..record })
        };
        let held: Vec<i64> = (0..10).filter(|offset| turn.take(large(*offset)).is_some()).collect();
        assert_eq!(held, [7], "an eighth of 64 MiB");
        let goes_on: Vec<i64> = std::iter::from_fn(|| turn.give())
            .filter_map(|(record, goes_on)| goes_on.then_some(record.offset))
            .collect();
        assert_eq!(goes_on, [7], "when two are left");
        assert!(turn.take(large(10)).is_none(), "nothing is left of the others");
    }

    #[test]
    fn a_backlog_comes_in_the_order_in_which_it_was_written() {
        for seed in 0..100 {
            let mut random = fastrand::Rng::with_seed(seed);
            let partitions = random.u32(1..5);
            let mut turn = InTurn::of(0..partitions);
            let mut wanted = Vec::new();
            for partition in 0..partitions {
                let mut times: Vec<i64> = (0..random.usize(0..30)).map(|_| random.i64(0..1000)).collect();
                times.sort_unstable();
                for (offset, at_ms) in (0_i64..).zip(times) {
                    wanted.push((at_ms, partition, offset));
                    turn.take(record(partition, offset, at_ms));
                }
                turn.take(LogEvent::End(partition));
            }
            wanted.sort_unstable();
            let given = std::iter::from_fn(|| turn.give());
            let given: Vec<_> = given.map(|(r, _)| (r.appended_at_ms, r.partition, r.offset)).collect();
            assert_eq!(given, wanted, "{seed}");
        }
    }
}
