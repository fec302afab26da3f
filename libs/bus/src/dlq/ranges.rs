//! Which offsets of a dead letter queue were replayed: ranges by partition, so that letters left out
//! by a selection stay open for a later one.

use crate::error::BusError;
use crate::framing::{put_number, take_number};
use std::collections::BTreeMap;

const LAYOUT: u8 = 1;

/// Name of the source that writes letters of a queue back; its position says which of them went.
pub(super) fn source_of(dlq: &str) -> String {
    format!("replay:{dlq}")
}

/// Which letters of a queue went, by the position of its source.
pub(super) fn replayed_by(dlq: &str, position: Option<Vec<u8>>) -> Result<Replayed, BusError> {
    let Some(position) = position else { return Ok(Replayed::default()) };
    Replayed::decode(&position).ok_or_else(|| {
        refused(dlq, "the word of which letters were replayed is damaged: replay from the start to begin anew")
    })
}

pub(super) fn refused(dlq: &str, message: impl Into<String>) -> BusError {
    BusError::Backend { context: format!("cannot replay {dlq}"), message: message.into(), retryable: false }
}

/// Offsets by partition, as half-open ranges that neither touch nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Replayed(BTreeMap<u32, BTreeMap<i64, i64>>);

impl Replayed {
    pub(super) fn contains(&self, partition: u32, offset: i64) -> bool {
        let before = self.0.get(&partition).and_then(|ranges| ranges.range(..=offset).next_back());
        before.is_some_and(|(_, to)| offset < *to)
    }

    /// Adds `from..to`.
    pub(super) fn add(&mut self, partition: u32, from: i64, to: i64) {
        if from >= to {
            return;
        }
        let ranges = self.0.entry(partition).or_default();
        let (mut from, mut to) = (from, to);
        while let Some((&start, &end)) = ranges.range(..=to).next_back()
            && end >= from
        {
            ranges.remove(&start);
            (from, to) = (from.min(start), to.max(end));
        }
        ranges.insert(from, to);
    }

    /// End of the last range of each partition.
    pub(super) fn ends(&self) -> impl Iterator<Item = (u32, i64)> {
        self.0.iter().filter_map(|(partition, ranges)| Some((*partition, *ranges.last_key_value()?.1)))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![LAYOUT];
        put_number(&mut bytes, self.0.len() as u64);
        for (partition, ranges) in &self.0 {
            put_number(&mut bytes, u64::from(*partition));
            put_number(&mut bytes, ranges.len() as u64);
            let mut last = 0;
            for (from, to) in ranges {
                put_number(&mut bytes, from.abs_diff(last));
                put_number(&mut bytes, to.abs_diff(*from));
                last = *to;
            }
        }
        bytes
    }

    /// What [`Replayed::encode`] wrote; `None` when it is something else.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (LAYOUT, mut rest) = bytes.split_first().map(|(layout, rest)| (*layout, rest))? else { return None };
        let mut replayed = Self::default();
        for _ in 0..take_number(&mut rest)? {
            let partition = u32::try_from(take_number(&mut rest)?).ok()?;
            let mut last = 0i64;
            for _ in 0..take_number(&mut rest)? {
                let from = last.checked_add_unsigned(take_number(&mut rest)?)?;
                last = from.checked_add_unsigned(take_number(&mut rest)?)?;
                replayed.add(partition, from, last);
            }
        }
        rest.is_empty().then_some(replayed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ranges_hold_what_was_added_and_come_back_from_bytes() {
        let mut replayed = Replayed::default();
        let mut model = BTreeSet::new();
        let mut seed = 7u64;
        for _ in 0..400 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (partition, from) = ((seed >> 60) as u32 % 3, (seed >> 33) as i64 % 900);
            let to = from + (seed >> 50) as i64 % 6;
            replayed.add(partition, from, to);
            model.extend((from..to).map(|offset| (partition, offset)));
            assert_eq!(Replayed::decode(&replayed.encode()), Some(replayed.clone()));
        }
        for partition in 0..4 {
            for offset in 0..910 {
                assert_eq!(replayed.contains(partition, offset), model.contains(&(partition, offset)));
            }
        }
        let end = |p| model.iter().filter(|(partition, _)| *partition == p).map(|(_, o)| o + 1).max();
        assert!(replayed.ends().all(|(partition, found)| Some(found) == end(partition)));
    }

    #[test]
    fn neighbours_become_one_range() {
        let mut replayed = Replayed::default();
        for offset in 0..10_000 {
            replayed.add(0, offset, offset + 1);
        }
        assert!(replayed.encode().len() < 10);
    }

    #[test]
    fn other_bytes_are_refused() {
        for bytes in [&b""[..], b"\x02", b"\x01", b"\x01\x01\x00\x02\x00\x01", b"\x01\x00\x00"] {
            assert_eq!(Replayed::decode(bytes), None, "{bytes:?}");
        }
    }
}
