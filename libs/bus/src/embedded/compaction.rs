//! Compaction: of each key of a partition the newest record is kept.

use super::batch::{self, Batch, DamagedBatch};
use super::columns::Content;
use super::store::Topic;
use crate::record::ConsumedRecord;
use rusqlite::{Transaction, params};
use std::collections::VecDeque;

/// Records compacted, and tombstones removed, in one transaction.
const SLICE_RECORDS: usize = 500;
/// Bytes, before compression, after which no further batch is compacted in the same transaction.
const SLICE_BYTES: i64 = 4 << 20;

/// What compacting a slice did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Compacted {
    /// Records that went.
    pub(super) removed: u64,
    /// What is wrong with each batch that was passed over.
    pub(super) damaged: Vec<String>,
}

/// A batch's records, or what is wrong with it.
type ReadBatch = Result<VecDeque<ConsumedRecord>, String>;

/// Compacts the next slice of a partition; `None` when it has come to the end. What it leaves is one batch a record,
/// so that each can go when a newer one comes. A damaged batch stays as it is.
pub(super) fn compact(
    transaction: &Transaction<'_>,
    topic: &Topic,
    partition: u32,
) -> rusqlite::Result<Option<Compacted>> {
    let slice = to_compact(transaction, topic, partition)?;
    let Some(compacted_to) = slice.last().map(|(span, _)| span.last + 1) else { return Ok(None) };
    let mut compacted = Compacted::default();
    for (span, read) in slice {
        let records = match read {
            Ok(records) => records,
            Err(damage) => {
                compacted.damaged.push(damage);
                continue;
            }
        };
        let is_shared = span.first < span.last;
        if is_shared {
            remove(transaction, topic.id, partition, span.last)?;
        }
        for record in records {
            compacted.removed += supersede(transaction, topic, &record)? as u64;
            if is_shared {
                let (key, value) = (record.key.as_deref(), record.value.as_deref());
                let alone = Batch::of(&[Content { key, value, headers: &record.headers }]);
                alone.insert(transaction, topic.id, partition, record.offset, record.appended_at_ms)?;
            }
        }
    }
    transaction
        .prepare_cached("UPDATE partitions SET compacted_to = ?3 WHERE topic_id = ?1 AND partition = ?2")?
        .execute(params![topic.id, partition, compacted_to])?;
    Ok(Some(compacted))
}

/// The next batches to be compacted, each with its records or what is wrong with it.
fn to_compact(
    transaction: &Transaction<'_>,
    topic: &Topic,
    partition: u32,
) -> rusqlite::Result<Vec<(batch::Span, ReadBatch)>> {
    let from: i64 = transaction
        .prepare_cached("SELECT compacted_to FROM partitions WHERE topic_id = ?1 AND partition = ?2")?
        .query_row(params![topic.id, partition], |row| row.get(0))?;
    let mut select = transaction.prepare_cached(batch::SELECT)?;
    let mut rows = select.query(params![topic.id, partition, from])?;
    let (mut slice, mut count, mut bytes) = (Vec::new(), 0, 0_i64);
    while count < SLICE_RECORDS
        && bytes < SLICE_BYTES
        && let Some(row) = rows.next()?
    {
        let (span, mut records) = (batch::span(row)?, VecDeque::new());
        let read = match batch::read(row, transaction, (&topic.name, partition), i64::MIN, &mut records) {
            Ok(()) => Ok(records),
            Err(error) => match DamagedBatch::in_error(&error) {
                Some(damage) => Err(damage.to_string()),
                None => return Err(error),
            },
        };
        count += read.as_ref().map_or(1, VecDeque::len);
        bytes += if read.is_ok() { batch::plain_bytes(row)? } else { 0 };
        slice.push((span, read));
    }
    Ok(slice)
}

/// Makes a record the newest of its key, in place of the one that was; returns how many are removed by that.
fn supersede(transaction: &Transaction<'_>, topic: &Topic, record: &ConsumedRecord) -> rusqlite::Result<usize> {
    let (partition, key) = (record.partition, record.key.as_deref().unwrap_or_default());
    let removed = transaction
        .prepare_cached(
            "DELETE FROM batches WHERE topic_id = ?1 AND partition = ?2 AND last_offset =
                (SELECT offset FROM newest_by_key WHERE topic_id = ?1 AND partition = ?2 AND key = ?3)",
        )?
        .execute(params![topic.id, partition, key])?;
    let tombstone_at_ms = record.value.is_none().then_some(record.appended_at_ms);
    transaction
        .prepare_cached(
            "INSERT INTO newest_by_key (topic_id, partition, key, offset, tombstone_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET offset = excluded.offset, tombstone_at_ms = excluded.tombstone_at_ms",
        )?
        .execute(params![topic.id, partition, key, record.offset, tombstone_at_ms])?;
    Ok(removed)
}

/// Removes the batch that ends with this offset; returns how many did.
fn remove(transaction: &Transaction<'_>, topic_id: i64, partition: u32, last_offset: i64) -> rusqlite::Result<usize> {
    transaction
        .prepare_cached("DELETE FROM batches WHERE topic_id = ?1 AND partition = ?2 AND last_offset = ?3")?
        .execute(params![topic_id, partition, last_offset])
}

/// Removes some of the tombstones from before that instant, the oldest first; `None` when there are none, else how many
/// records went.
pub(super) fn remove_tombstones(transaction: &Transaction<'_>, before_ms: i64) -> rusqlite::Result<Option<u64>> {
    let mut select = transaction.prepare_cached(
        "SELECT topic_id, partition, key, offset FROM newest_by_key WHERE tombstone_at_ms < ?1
         ORDER BY tombstone_at_ms LIMIT ?2",
    )?;
    let found = select.query_map(params![before_ms, SLICE_RECORDS as i64], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    let found: Vec<(i64, u32, Vec<u8>, i64)> = found.collect::<rusqlite::Result<_>>()?;
    if found.is_empty() {
        return Ok(None);
    }
    let mut forget =
        transaction.prepare_cached("DELETE FROM newest_by_key WHERE topic_id = ?1 AND partition = ?2 AND key = ?3")?;
    let mut removed = 0;
    for (topic_id, partition, key, offset) in found {
        removed += remove(transaction, topic_id, partition, offset)? as u64;
        forget.execute(params![topic_id, partition, key])?;
    }
    Ok(Some(removed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::MaintenanceReport;
    use crate::embedded::testing::{FAR_FUTURE_MS, open, read, with_topic, write};
    use crate::partitioner::partition_of;
    use crate::{Bus, Cleanup, OutputRecord, TopicSpec};

    #[test]
    fn compaction_keeps_the_newest_of_each_key_and_old_tombstones_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let bus = open(folder.path());
        with_topic(&bus, Cleanup::Compact);
        write(&bus, &[("a", Some("1")), ("b", Some("1")), ("a", Some("2")), ("c", Some("1"))]);
        assert_eq!(bus.maintain(0).expect("it runs").compacted, 1);
        write(&bus, &[("b", Some("2")), ("c", None), ("a", Some("3"))]);
        assert_eq!(bus.maintain(0).expect("it runs").compacted, 3);
        assert_eq!(bus.maintain(0).expect("it runs").compacted, 0, "nothing is left to do");
        let kept: Vec<_> = read(&bus).into_iter().map(|(key, value, _)| (key, value)).collect();
        let (a, b) = ((b"a".to_vec(), Some(b"3".to_vec())), (b"b".to_vec(), Some(b"2".to_vec())));
        assert_eq!(kept, vec![a.clone(), b.clone(), (b"c".to_vec(), None)]);
        assert_eq!(bus.maintain(FAR_FUTURE_MS).expect("it runs").compacted, 1, "the tombstone");
        let kept: Vec<_> = read(&bus).into_iter().map(|(key, value, _)| (key, value)).collect();
        assert_eq!(kept, vec![a, b]);
    }

    #[test]
    fn large_records_are_compacted_a_few_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let bus = open(folder.path());
        with_topic(&bus, Cleanup::Compact);
        let large = "v".repeat(3 << 20);
        write(&bus, &[("k", Some(large.as_str())); 4]);
        let (topic, partition) = (bus.store.topic("topic").expect("it is there"), partition_of(b"k", 2));
        let piece = || bus.store.write("test", |transaction| compact(transaction, &topic, partition));
        let mut removed = Vec::new();
        while let Some(compacted) = piece().expect("it is written") {
            removed.push(compacted.removed);
        }
        assert_eq!(removed, [1, 2], "two at a time");
    }

    #[test]
    fn tombstones_go_in_bounded_pieces() {
        let folder = tempfile::tempdir().expect("a folder");
        let bus = open(folder.path());
        with_topic(&bus, Cleanup::Compact);
        let keys: Vec<String> = (0..2 * SLICE_RECORDS + 7).map(|i| format!("key-{i}")).collect();
        let tombstones: Vec<(&str, Option<&str>)> = keys.iter().map(|key| (key.as_str(), None)).collect();
        write(&bus, &tombstones);
        write(&bus, &[("kept", Some("v"))]);
        assert_eq!(bus.maintain(0).expect("it runs").compacted, 0, "none is old enough");
        let mut pieces = Vec::new();
        let piece = || bus.store.write("test", |transaction| remove_tombstones(transaction, FAR_FUTURE_MS));
        while let Some(removed) = piece().expect("it is written") {
            pieces.push(removed);
        }
        assert_eq!(pieces, [SLICE_RECORDS as u64, SLICE_RECORDS as u64, 7]);
        assert_eq!(read(&bus).len(), 1);

        write(&bus, &tombstones);
        let removed = bus.maintain(FAR_FUTURE_MS).expect("it runs").compacted;
        assert_eq!(removed, tombstones.len() as u64, "a round of maintenance takes them all");
    }

    #[test]
    fn a_topic_that_is_compacted_from_now_on_keeps_the_newest_of_each_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let bus = open(folder.path());
        with_topic(&bus, Cleanup::Delete { retention_ms: 1 << 40 });
        let keys: Vec<String> = (0..700).map(|i| format!("key-{}", i % 7)).collect();
        let many: Vec<(&str, Option<&str>)> = keys.iter().map(|key| (key.as_str(), Some("old"))).collect();
        write(&bus, &many);
        with_topic(&bus, Cleanup::Compact);
        write(&bus, &[("key-3", Some("new")), ("key-4", Some("new"))]);
        assert_eq!(bus.maintain(0).expect("it runs").compacted, 702 - 7);
        let kept = read(&bus);
        let values: Vec<Option<&[u8]>> = kept.iter().map(|(_, value, _)| value.as_deref()).collect();
        let (old, new) = (Some(b"old".as_slice()), Some(b"new".as_slice()));
        assert_eq!(values, [old, old, old, new, new, old, old]);
        write(&bus, &[("key-3", None)]);
        assert_eq!(bus.maintain(0).expect("it runs").compacted, 1);
        assert_eq!(read(&bus).len(), 7);
    }

    #[test]
    fn a_damaged_batch_is_passed_over_and_told_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let bus = open(folder.path());
        with_topic(&bus, Cleanup::Compact);
        write(&bus, &[("k", Some("1")), ("k", Some("2"))]);
        let file = rusqlite::Connection::open(folder.path().join("log.db")).expect("it opens");
        assert_eq!(file.execute("UPDATE batches SET bytes = x'00'", []).expect("it is damaged"), 1);
        write(&bus, &[("k", Some("3"))]);
        write(&bus, &[("k", Some("4"))]);
        let passed_over = MaintenanceReport { compacted: 1, damaged_batches: 1, ..MaintenanceReport::default() };
        assert_eq!(bus.maintain(0).expect("it runs"), passed_over);
        assert_eq!(bus.maintain(0).expect("it runs"), MaintenanceReport::default());
        write(&bus, &[("k", Some("5"))]);
        assert_eq!(bus.maintain(0).expect("it runs").compacted, 1, "and so it goes on");
        let mut rows = file.prepare("SELECT first_offset FROM batches ORDER BY first_offset").expect("it is sound");
        let rows = rows.query_map([], |row| row.get::<_, i64>(0)).expect("it is readable");
        let kept: rusqlite::Result<Vec<i64>> = rows.collect();
        assert_eq!(kept.expect("it is readable"), [0, 4], "the damaged one and the newest");
    }

    #[test]
    fn a_topic_that_cannot_be_compacted_keeps_no_other_from_its_clean_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let bus = open(folder.path());
        with_topic(&bus, Cleanup::Compact);
        let expiring = TopicSpec {
            name: "zoo".to_owned(),
            partitions: 1,
            replication: 1,
            cleanup: Cleanup::Delete { retention_ms: 1000 },
        };
        bus.ensure_topics(&[expiring]).expect("the topic is made");
        let of =
            |topic: &str| OutputRecord { topic: topic.into(), key: b"k".to_vec(), value: None, headers: Vec::new() };
        bus.source("test").expect("it opens").append(vec![of("topic"), of("zoo")], b"").expect("they are written");
        let file = rusqlite::Connection::open(folder.path().join("log.db")).expect("it opens");
        file.execute_batch(
            "CREATE TRIGGER refusing BEFORE UPDATE OF compacted_to ON partitions
             BEGIN SELECT RAISE(ABORT, 'it is refused'); END",
        )
        .expect("it is made");
        let failed = bus.maintain(FAR_FUTURE_MS).expect_err("one topic cannot be cleaned up").to_string();
        assert!(failed.contains("cannot clean up topic/") && failed.contains("it is refused"), "{failed}");
        assert_eq!(bus.lag("nobody", "zoo").expect("it is readable")[0].behind(), 0, "the other one is empty");
    }
}
