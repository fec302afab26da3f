//! Retention and compaction of all topics, in small transactions so that stages hardly notice.

use super::compaction::{compact, remove_tombstones};
use super::failure::backend;
use super::periodic::Periodic;
use super::schema::PAGE_BYTES;
use super::store::{Store, Topic, now_ms};
use crate::error::BusError;
use rusqlite::{Transaction, params};
use std::sync::Arc;
use std::time::Duration;

/// Batches, and bytes of them, that expire in one transaction.
const SLICE_BATCHES: i64 = 1000;
const SLICE_BYTES: i64 = 16 << 20;
/// Pages given back to the file system in one transaction.
const SLICE_PAGES: i64 = (4 << 20) / PAGE_BYTES;
/// So many free pages stay in the file, for what is written next; as does a quarter of all pages.
const FREE_PAGES_KEPT: i64 = (16 << 20) / PAGE_BYTES;
/// How long a tombstone of a compacted topic is kept, as Kafka does by default.
const TOMBSTONE_KEPT_MS: i64 = 24 * 3600 * 1000;

/// What one round of maintenance removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaintenanceReport {
    /// Records older than their topic's retention.
    pub expired: u64,
    /// Records of compacted topics with a newer one of the same key, and old tombstones.
    pub compacted: u64,
    /// Damaged batches that compaction passed over; each is counted once.
    pub damaged_batches: u64,
    /// Bytes given back to the file system.
    pub freed_bytes: u64,
}

/// Does all maintenance that is due at that instant. What cannot be cleaned up keeps nothing else from it.
pub(super) fn maintain(store: &Store, now_ms: i64) -> Result<MaintenanceReport, BusError> {
    let mut report = MaintenanceReport::default();
    let mut failed = None;
    for (topic, retention_ms) in topics(store)? {
        for partition in 0..topic.partitions {
            let before_ms = retention_ms.map(|retention_ms| now_ms.saturating_sub(retention_ms));
            match clean_up(store, &topic, partition, before_ms, &mut report) {
                Err(error @ BusError::Backend { retryable: false, .. }) => {
                    failed.get_or_insert(error);
                }
                cleaned => cleaned?,
            }
        }
    }
    let before_ms = now_ms.saturating_sub(TOMBSTONE_KEPT_MS);
    while let Some(removed) = store.write("cannot clean up tombstones", |t| remove_tombstones(t, before_ms))? {
        report.compacted += removed;
    }
    while let Some(pages) = store.write("cannot shrink the log's file", shrink)? {
        report.freed_bytes += u64::try_from(pages * PAGE_BYTES).unwrap_or(0);
    }
    failed.map_or(Ok(report), Err)
}

/// Removes what is older than `before_ms` from a partition; without that bound, all but the newest record of each key.
fn clean_up(
    store: &Store,
    topic: &Topic,
    partition: u32,
    before_ms: Option<i64>,
    report: &mut MaintenanceReport,
) -> Result<(), BusError> {
    let context = format!("cannot clean up {}/{partition}", topic.name);
    match before_ms {
        Some(before_ms) => {
            while let Some(expired) =
                store.write(&context, |transaction| expire(transaction, topic, partition, before_ms))?
            {
                report.expired += expired;
            }
        }
        None => {
            while let Some(compacted) = store.write(&context, |transaction| compact(transaction, topic, partition))? {
                report.compacted += compacted.removed;
                report.damaged_batches += compacted.damaged.len() as u64;
                tell_damaged(topic, &compacted.damaged);
            }
        }
    }
    Ok(())
}

fn tell_damaged(topic: &Topic, damaged: &[String]) {
    for damage in damaged {
        tracing::error!(damage, "a damaged batch stays as it is; compaction of its topic goes on behind it");
        metrics::counter!("prescale_bus_damaged_batches_total", "topic" => topic.name.to_string()).increment(1);
    }
}

/// Gives some free pages back to the file system; `None` when there are not too many.
fn shrink(transaction: &Transaction<'_>) -> rusqlite::Result<Option<i64>> {
    let number = |pragma: &str| transaction.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (free, pages) = (number("freelist_count")?, number("page_count")?);
    let too_many = free - FREE_PAGES_KEPT.max(pages / 4);
    if too_many <= 0 {
        return Ok(None);
    }
    // Each row of the pragma's answer is a page given back, so all have to be asked for.
    let sql = format!("PRAGMA incremental_vacuum({})", too_many.min(SLICE_PAGES));
    let mut vacuum = transaction.prepare(&sql)?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    // None goes where the file was made without this.
    Ok(Some(free - number("freelist_count")?).filter(|freed| *freed > 0))
}

fn topics(store: &Store) -> Result<Vec<(Topic, Option<i64>)>, BusError> {
    let connection = store.reader()?;
    let select = || {
        let mut select = connection.prepare("SELECT name, retention_ms FROM topics ORDER BY name")?;
        select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<Vec<(String, _)>>>()
    };
    let rows = select().map_err(|e| backend("cannot list the topics", &e))?;
    rows.into_iter().map(|(name, retention_ms)| Ok((store.topic(&name)?, retention_ms))).collect()
}

/// Removes batches from the head of a partition, up to the first that is young enough; `None` when
/// there was none to remove, else how many records.
fn expire(
    transaction: &Transaction<'_>,
    topic: &Topic,
    partition: u32,
    before_ms: i64,
) -> rusqlite::Result<Option<u64>> {
    let mut select = transaction.prepare_cached(
        "SELECT first_offset, last_offset, appended_at_ms, length(bytes) FROM batches
         WHERE topic_id = ?1 AND partition = ?2 ORDER BY last_offset LIMIT ?3",
    )?;
    let mut rows = select.query(params![topic.id, partition, SLICE_BATCHES])?;
    let (mut last_expired, mut records, mut bytes) = (None, 0, 0);
    while bytes < SLICE_BYTES
        && let Some(row) = rows.next()?
    {
        let (first, last): (i64, i64) = (row.get(0)?, row.get(1)?);
        if row.get::<_, i64>(2)? >= before_ms {
            break;
        }
        last_expired = Some(last);
        records += last - first + 1;
        bytes += row.get::<_, i64>(3)?;
    }
    drop(rows);
    let Some(last) = last_expired else { return Ok(None) };
    transaction
        .prepare_cached("DELETE FROM batches WHERE topic_id = ?1 AND partition = ?2 AND last_offset <= ?3")?
        .execute(params![topic.id, partition, last])?;
    Ok(Some(u64::try_from(records).unwrap_or(0)))
}

/// Starts the thread that does maintenance at intervals.
pub(super) fn start(store: &Arc<Store>, every: Duration) -> std::io::Result<Periodic> {
    Periodic::start("bus-maintenance", store, every, |store| {
        if let Err(error) = maintain(store, now_ms()) {
            tracing::warn!(%error, "maintenance of the embedded log; the next round tries again");
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::embedded::store::now_ms;
    use crate::embedded::testing::{FAR_FUTURE_MS, open, read, with_topic, write};
    use crate::embedded::{EmbeddedBus, EmbeddedOptions, MaintenanceReport};
    use crate::{Bus, BusError, Cleanup, ReadFrom};
    use std::time::Duration;

    /// Text that hardly shrinks when it is compressed.
    fn noise(bytes: usize) -> String {
        let mut random = fastrand::Rng::with_seed(14);
        (0..bytes).map(|_| random.alphanumeric()).collect()
    }

    #[test]
    fn old_records_expire_and_offsets_go_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let bus = open(folder.path());
        with_topic(&bus, Cleanup::Delete { retention_ms: 1000 });
        let many: Vec<(&str, Option<&str>)> = vec![("k", Some("v")); 5000];
        write(&bus, &many);
        assert_eq!(bus.maintain(0).expect("it runs"), MaintenanceReport::default());
        let report = bus.maintain(FAR_FUTURE_MS).expect("it runs");
        assert_eq!(report, MaintenanceReport { expired: 5000, ..MaintenanceReport::default() });
        assert_eq!(read(&bus), vec![]);
        write(&bus, &[("k", Some("new"))]);
        assert_eq!(read(&bus), vec![(b"k".to_vec(), Some(b"new".to_vec()), 5000)]);
    }

    #[test]
    fn a_damaged_batch_expires_as_any_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let bus = open(folder.path());
        with_topic(&bus, Cleanup::Delete { retention_ms: 1000 });
        write(&bus, &[("k", Some("v")); 3]);
        let file = rusqlite::Connection::open(folder.path().join("log.db")).expect("it opens");
        assert_eq!(file.execute("UPDATE batches SET bytes = x'00'", []).expect("it is damaged"), 1);
        let expired = MaintenanceReport { expired: 3, ..MaintenanceReport::default() };
        assert_eq!(bus.maintain(FAR_FUTURE_MS).expect("it runs"), expired);
    }

    /// The file gets smaller while others write to it.
    #[test]
    fn what_expired_is_given_back_to_the_file_system() {
        let folder = tempfile::tempdir().expect("a folder");
        let bus = open(folder.path());
        with_topic(&bus, Cleanup::Delete { retention_ms: 0 });
        let noise = noise(12_000 * 8000);
        let large = |i: usize| Some(&noise[i * 8000..(i + 1) * 8000]);
        let many: Vec<(&str, Option<&str>)> = (0..12_000).map(|i| ("old", large(i))).collect();
        write(&bus, &many);
        let file_bytes = || {
            let checkpointed = rusqlite::Connection::open(folder.path().join("log.db")).expect("it opens");
            checkpointed
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
                .expect("the journal is taken in");
            std::fs::metadata(folder.path().join("log.db")).expect("it is there").len()
        };
        let before = file_bytes();
        let since = now_ms() + 1;
        while now_ms() <= since {
            std::thread::yield_now();
        }
        let (report, written) = std::thread::scope(|scope| {
            let maintaining = scope.spawn(|| bus.maintain(since).expect("it runs"));
            let mut written = 0;
            while !maintaining.is_finished() {
                write(&bus, &[("new", large(written % 12_000))]);
                written += 1;
            }
            (maintaining.join().expect("it does not panic"), written)
        });
        assert_eq!(report.expired, 12_000);
        let after = file_bytes();
        assert!(before > 60_000_000 && after < before / 2, "{before} bytes became {after}");
        assert!(report.freed_bytes > before / 2);
        let kept = read(&bus);
        assert_eq!(kept.len(), written);
        assert!(kept.iter().all(|(key, ..)| key == b"new"));
    }

    /// A batch goes when the newest of its records is old enough, and stays whole until then.
    #[test]
    fn batches_expire_one_by_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let bus = open(folder.path());
        with_topic(&bus, Cleanup::Delete { retention_ms: 1000 });
        let mut appended_ms = Vec::new();
        for round in ["first", "second"] {
            let since = now_ms();
            while now_ms() == since {
                std::thread::yield_now();
            }
            write(&bus, &vec![("k", Some(round)); 600]);
            let mut reader = bus.reader("topic", ReadFrom::Back(1)).expect("the reader opens");
            let (records, _) = reader.poll(1, Duration::ZERO).expect("the topic is readable");
            appended_ms.push(records[0].appended_at_ms);
        }
        assert_eq!(bus.maintain(appended_ms[0] + 1000).expect("it runs").expired, 0);
        assert_eq!(bus.maintain(appended_ms[1] + 1000).expect("it runs").expired, 600);
        let kept = read(&bus);
        assert_eq!((kept.len(), kept[0].2), (600, 600));
        assert!(kept.iter().all(|(_, value, _)| value.as_deref() == Some(b"second".as_slice())));
    }

    #[test]
    fn another_programs_database_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log.db");
        let other = rusqlite::Connection::open(&path).expect("it opens");
        other.execute_batch("CREATE TABLE theirs (x)").expect("it is made");
        match EmbeddedBus::open(&path, EmbeddedOptions::default()).map(drop) {
            Err(BusError::Backend { message, retryable: false, .. }) => assert!(message.contains("another program")),
            other => panic!("it must be refused, got {other:?}"),
        }
    }
}
