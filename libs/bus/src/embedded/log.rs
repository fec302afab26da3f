//! Reading the log: pages of records, the oldest and the next offset of each partition.

use super::batch;
use super::store::Topic;
use crate::record::ConsumedRecord;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::VecDeque;

/// Reads one partition onwards. What a page leaves of a batch is kept for the next one, so that each batch is
/// decompressed once.
#[derive(Default)]
pub(super) struct Cursor {
    /// Where the last page ended.
    at: i64,
    /// Records from there on that are read already.
    ahead: VecDeque<ConsumedRecord>,
}

impl Cursor {
    /// Up to `records_max` records of a partition from `offset` on, in order.
    pub(super) fn page(
        &mut self,
        connection: &Connection,
        (topic, partition): (&Topic, u32),
        offset: i64,
        records_max: usize,
    ) -> rusqlite::Result<Vec<ConsumedRecord>> {
        let mut ahead = std::mem::take(&mut self.ahead);
        if self.at != offset {
            ahead.clear();
        }
        let mut page = Vec::with_capacity(ahead.len().min(records_max));
        fill(&mut page, &mut ahead, records_max);
        if page.len() < records_max {
            let from = next_after(&page, offset);
            let mut select = connection.prepare_cached(batch::SELECT)?;
            let mut rows = select.query(params![topic.id, partition, from])?;
            while page.len() < records_max
                && let Some(row) = rows.next()?
            {
                batch::read(row, connection, (&topic.name, partition), from, &mut ahead)?;
                fill(&mut page, &mut ahead, records_max);
            }
        }
        (self.at, self.ahead) = (next_after(&page, offset), ahead);
        Ok(page)
    }
}

/// Moves records from the one to the other, up to the bound.
fn fill(page: &mut Vec<ConsumedRecord>, ahead: &mut VecDeque<ConsumedRecord>, records_max: usize) {
    let room = records_max - page.len();
    page.extend(ahead.drain(..room.min(ahead.len())));
}

fn next_after(page: &[ConsumedRecord], offset: i64) -> i64 {
    page.last().map_or(offset, |record| record.offset + 1)
}

/// The next offset of each partition, by partition.
pub(super) fn ends(connection: &Connection, topic: &Topic) -> rusqlite::Result<Vec<i64>> {
    let mut select =
        connection.prepare_cached("SELECT next_offset FROM partitions WHERE topic_id = ?1 ORDER BY partition")?;
    select.query_map([topic.id], |row| row.get(0))?.collect()
}

/// The oldest offset kept from `offset` on; the partition's next offset when nothing is kept.
pub(super) fn oldest_from(
    connection: &Connection,
    topic: &Topic,
    partition: u32,
    offset: i64,
) -> rusqlite::Result<i64> {
    let mut select = connection.prepare_cached(
        "SELECT coalesce(
            (SELECT max(first_offset, ?3) FROM batches
             WHERE topic_id = ?1 AND partition = ?2 AND last_offset >= ?3 ORDER BY last_offset LIMIT 1),
            (SELECT max(next_offset, ?3) FROM partitions WHERE topic_id = ?1 AND partition = ?2))",
    )?;
    select.query_row(params![topic.id, partition, offset], |row| row.get(0))
}

/// A group's position on a partition, if it has one.
pub(super) fn position(
    connection: &Connection,
    group: &str,
    topic: &Topic,
    partition: u32,
) -> rusqlite::Result<Option<i64>> {
    let mut select = connection.prepare_cached(
        "SELECT next_offset FROM positions WHERE consumer_group = ?1 AND topic_id = ?2 AND partition = ?3",
    )?;
    select.query_row(params![group, topic.id, partition], |row| row.get(0)).optional()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::EmbeddedBus;
    use crate::embedded::testing::{open, with_topic, write};
    use crate::partitioner::partition_of;
    use crate::{Bus, Cleanup, ReadFrom};
    use std::path::Path;
    use std::time::Duration;

    /// A log with one key's records, written so many at a time; and their partition.
    fn log_of(folder: &Path, sizes: &[usize]) -> (EmbeddedBus, u32) {
        let bus = open(folder);
        with_topic(&bus, Cleanup::Delete { retention_ms: 1 << 40 });
        let mut written = 0;
        for size in sizes {
            let values: Vec<String> = (written..written + size).map(|i| format!("value-{i}")).collect();
            let records: Vec<(&str, Option<&str>)> = values.iter().map(|value| ("k", Some(value.as_str()))).collect();
            write(&bus, &records);
            written += size;
        }
        (bus, partition_of(b"k", 2))
    }

    fn value(offset: i64) -> Option<Vec<u8>> {
        Some(format!("value-{offset}").into_bytes())
    }

    #[test]
    fn pages_of_any_size_from_any_offset_are_the_log() {
        const RECORDS: i64 = 1345;
        let folder = tempfile::tempdir().expect("a folder");
        let (bus, partition) = log_of(folder.path(), &[1, 700, 3, 1, 40, 600]);
        let topic = bus.store.topic("topic").expect("it is there");
        let connection = bus.store.reader().expect("it opens");
        let mut random = fastrand::Rng::with_seed(14);
        for _ in 0..300 {
            let (mut cursor, mut at) = (Cursor::default(), random.i64(0..=RECORDS));
            for _ in 0..random.usize(1..20) {
                let max = [1, 7, 100, 2000][random.usize(..4)];
                let page = cursor.page(&connection, (&topic, partition), at, max).expect("it is readable");
                let found: Vec<(i64, Option<Vec<u8>>)> = page.into_iter().map(|r| (r.offset, r.value)).collect();
                let until = RECORDS.min(at + max as i64);
                let expected: Vec<(i64, Option<Vec<u8>>)> = (at..until).map(|i| (i, value(i))).collect();
                assert_eq!(found, expected);
                at = if random.u8(..5) == 0 { random.i64(0..=RECORDS) } else { until };
            }
        }
        let mut reader = bus.partition_reader("topic", partition, ReadFrom::Back(5)).expect("it opens");
        let (newest, _) = reader.poll(100, Duration::ZERO).expect("it is readable");
        assert_eq!(newest.iter().map(|r| r.offset).collect::<Vec<_>>(), [1340, 1341, 1342, 1343, 1344]);
        let oldest = |from| oldest_from(&connection, &topic, partition, from).expect("it is readable");
        assert_eq!([oldest(0), oldest(300), oldest(RECORDS)], [0, 300, RECORDS]);
    }

    #[test]
    fn what_a_page_leaves_of_a_batch_is_not_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let (bus, partition) = log_of(folder.path(), &[100]);
        let mut reader = bus.partition_reader("topic", partition, ReadFrom::Earliest).expect("it opens");
        reader.poll(10, Duration::ZERO).expect("it is readable");
        let file = rusqlite::Connection::open(folder.path().join("log.db")).expect("it opens");
        file.execute("UPDATE batches SET bytes = x'00'", []).expect("it is damaged");
        let (next, _) = reader.poll(10, Duration::ZERO).expect("it was read already");
        assert_eq!((next[0].offset, next.len(), next[9].value.clone()), (10, 10, value(19)));
    }

    #[test]
    fn a_damaged_batch_is_an_error_that_says_where_it_is() {
        for damage in [
            "bytes = substr(bytes, 1, length(bytes) - 1)",
            "bytes = zeroblob(length(bytes))",
            "codec = 1 - codec",
            "plain_bytes = plain_bytes + 1",
            "checksum = checksum + 1",
            "last_offset = last_offset + 1",
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let (bus, partition) = log_of(folder.path(), &[100]);
            let path = folder.path().join("log.db");
            let file = rusqlite::Connection::open(&path).expect("it opens");
            file.execute(&format!("UPDATE batches SET {damage}"), []).expect("it is damaged");
            let mut reader = bus.reader("topic", ReadFrom::Earliest).expect("it opens");
            let error = reader.poll(10, Duration::ZERO).expect_err(damage).to_string();
            let place = format!("the records of topic/{partition} from offset 0 to");
            let file = path.file_name().expect("it has one").to_string_lossy().into_owned();
            assert!(error.contains(&place) && error.contains(&file), "{damage}: {error}");
        }
    }
}
