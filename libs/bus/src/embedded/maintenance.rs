//! Retention and compaction, in small transactions so that stages hardly notice.

use super::schema::PAGE_BYTES;
use super::store::{Store, Topic, backend, lock, now_ms};
use crate::error::BusError;
use rusqlite::{Transaction, params};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

/// Records handled in one transaction.
const SLICE_RECORDS: i64 = 2000;
/// Pages given back to the file system in one transaction.
const SLICE_PAGES: i64 = 128;
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
    /// Bytes given back to the file system.
    pub freed_bytes: u64,
}

/// Does all maintenance that is due at that instant.
pub(super) fn maintain(store: &Store, now_ms: i64) -> Result<MaintenanceReport, BusError> {
    let mut report = MaintenanceReport::default();
    for (topic, retention_ms) in topics(store)? {
        for partition in 0..topic.partitions {
            let context = format!("cannot clean up {}/{partition}", topic.name);
            match retention_ms {
                Some(retention_ms) => {
                    let before_ms = now_ms.saturating_sub(retention_ms);
                    while let Some(expired) =
                        store.write(&context, |transaction| expire(transaction, &topic, partition, before_ms))?
                    {
                        report.expired += expired;
                    }
                }
                None => {
                    while let Some(compacted) =
                        store.write(&context, |transaction| compact(transaction, &topic, partition))?
                    {
                        report.compacted += compacted;
                    }
                }
            }
        }
    }
    let before_ms = now_ms.saturating_sub(TOMBSTONE_KEPT_MS);
    report.compacted += store.write("cannot clean up tombstones", |t| remove_tombstones(t, before_ms))?;
    while let Some(pages) = store.write("cannot shrink the log's file", shrink)? {
        report.freed_bytes += u64::try_from(pages * PAGE_BYTES).unwrap_or(0);
    }
    Ok(report)
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

/// Removes records from the head of a partition, up to the first that is young enough; `None`
/// when there was none to remove.
fn expire(
    transaction: &Transaction<'_>,
    topic: &Topic,
    partition: u32,
    before_ms: i64,
) -> rusqlite::Result<Option<u64>> {
    let mut select = transaction.prepare_cached(
        "SELECT offset, appended_at_ms FROM records
         WHERE topic_id = ?1 AND partition = ?2 ORDER BY offset LIMIT ?3",
    )?;
    let mut rows = select.query(params![topic.id, partition, SLICE_RECORDS])?;
    let mut last_expired = None;
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(1)? >= before_ms {
            break;
        }
        last_expired = Some(row.get::<_, i64>(0)?);
    }
    let Some(last) = last_expired else { return Ok(None) };
    let removed = transaction
        .prepare_cached("DELETE FROM records WHERE topic_id = ?1 AND partition = ?2 AND offset <= ?3")?
        .execute(params![topic.id, partition, last])?;
    Ok(Some(removed as u64))
}

/// Compacts the next slice of a partition; `None` when it has come to the end.
fn compact(transaction: &Transaction<'_>, topic: &Topic, partition: u32) -> rusqlite::Result<Option<u64>> {
    let from: i64 = transaction
        .prepare_cached("SELECT compacted_to FROM partitions WHERE topic_id = ?1 AND partition = ?2")?
        .query_row(params![topic.id, partition], |row| row.get(0))?;
    let mut select = transaction.prepare_cached(
        "SELECT offset, key, CASE WHEN value IS NULL THEN appended_at_ms END FROM records
         WHERE topic_id = ?1 AND partition = ?2 AND offset >= ?3 ORDER BY offset LIMIT ?4",
    )?;
    let slice: Vec<(i64, Option<Vec<u8>>, Option<i64>)> = select
        .query_map(params![topic.id, partition, from, SLICE_RECORDS], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let Some((last, ..)) = slice.last() else { return Ok(None) };
    let compacted_to = last + 1;
    let mut removed = 0;
    for (offset, key, tombstone_at_ms) in slice {
        let key = key.unwrap_or_default();
        removed += transaction
            .prepare_cached(
                "DELETE FROM records WHERE topic_id = ?1 AND partition = ?2 AND offset =
                    (SELECT offset FROM newest_by_key WHERE topic_id = ?1 AND partition = ?2 AND key = ?3)",
            )?
            .execute(params![topic.id, partition, key])?;
        transaction
            .prepare_cached(
                "INSERT INTO newest_by_key (topic_id, partition, key, offset, tombstone_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET offset = excluded.offset, tombstone_at_ms = excluded.tombstone_at_ms",
            )?
            .execute(params![topic.id, partition, key, offset, tombstone_at_ms])?;
    }
    transaction
        .prepare_cached("UPDATE partitions SET compacted_to = ?3 WHERE topic_id = ?1 AND partition = ?2")?
        .execute(params![topic.id, partition, compacted_to])?;
    Ok(Some(removed as u64))
}

fn remove_tombstones(transaction: &Transaction<'_>, before_ms: i64) -> rusqlite::Result<u64> {
    let removed = transaction.execute(
        "DELETE FROM records WHERE (topic_id, partition, offset) IN
            (SELECT topic_id, partition, offset FROM newest_by_key WHERE tombstone_at_ms < ?1)",
        [before_ms],
    )?;
    transaction.execute("DELETE FROM newest_by_key WHERE tombstone_at_ms < ?1", [before_ms])?;
    Ok(removed as u64)
}

/// The thread that does maintenance at intervals; it ends when this is dropped.
pub(super) struct MaintenanceThread {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl MaintenanceThread {
    pub(super) fn start(store: &Arc<Store>, every: Duration) -> std::io::Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let (stopped, store) = (Arc::clone(&stop), Arc::downgrade(store));
        let thread = std::thread::Builder::new()
            .name("bus-maintenance".to_owned())
            .spawn(move || run(&store, &stopped, every))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

fn run(store: &Weak<Store>, stop: &(Mutex<bool>, Condvar), every: Duration) {
    loop {
        let waiting = stop.1.wait_timeout_while(lock(&stop.0), every, |stopped| !*stopped);
        if waiting.is_ok_and(|(stopped, _)| *stopped) {
            return;
        }
        let Some(store) = store.upgrade() else { return };
        if let Err(error) = maintain(&store, now_ms()) {
            tracing::warn!(%error, "maintenance of the embedded log; the next round tries again");
        }
    }
}

impl Drop for MaintenanceThread {
    fn drop(&mut self) {
        *lock(&self.stop.0) = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the maintenance thread of the embedded log had panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::embedded::store::now_ms;
    use crate::embedded::{EmbeddedBus, EmbeddedOptions, MaintenanceReport};
    use crate::{Bus, BusError, Cleanup, OutputRecord, ReadFrom, TopicSpec};
    use std::path::Path;
    use std::time::Duration;

    const FAR_FUTURE_MS: i64 = 1 << 50;

    fn open(folder: &Path) -> EmbeddedBus {
        let options = EmbeddedOptions { maintenance_every: None, ..EmbeddedOptions::default() };
        EmbeddedBus::open(folder.join("log.db"), options).expect("the log opens")
    }

    fn with_topic(bus: &EmbeddedBus, cleanup: Cleanup) {
        let topic = TopicSpec { name: "topic".to_owned(), partitions: 2, replication: 1, cleanup };
        bus.ensure_topics(&[topic]).expect("the topic is made");
    }

    fn write(bus: &EmbeddedBus, records: &[(&str, Option<&str>)]) {
        let records = records
            .iter()
            .map(|(key, value)| OutputRecord {
                topic: "topic".into(),
                key: key.as_bytes().to_vec(),
                value: value.map(|v| v.as_bytes().to_vec()),
                headers: Vec::new(),
            })
            .collect();
        bus.source("test").expect("the source opens").append(records, b"").expect("the records are written");
    }

    fn read(bus: &EmbeddedBus) -> Vec<(Vec<u8>, Option<Vec<u8>>, i64)> {
        let mut reader = bus.reader("topic", ReadFrom::Earliest).expect("the reader opens");
        let (records, _) = reader.poll(100_000, Duration::ZERO).expect("the topic is readable");
        let mut read: Vec<_> =
            records.into_iter().map(|r| (r.key.expect("tests write keys"), r.value, r.offset)).collect();
        read.sort();
        read
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

    /// The file gets smaller while others write to it.
    #[test]
    fn what_expired_is_given_back_to_the_file_system() {
        let folder = tempfile::tempdir().expect("a folder");
        let bus = open(folder.path());
        with_topic(&bus, Cleanup::Delete { retention_ms: 0 });
        let large = "v".repeat(8000);
        let many: Vec<(&str, Option<&str>)> = vec![("old", Some(large.as_str())); 8000];
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
                write(&bus, &[("new", Some(large.as_str()))]);
                written += 1;
            }
            (maintaining.join().expect("it does not panic"), written)
        });
        assert_eq!(report.expired, 8000);
        let after = file_bytes();
        assert!(before > 60_000_000 && after < before / 2, "{before} bytes became {after}");
        assert!(report.freed_bytes > before / 2);
        let kept = read(&bus);
        assert_eq!(kept.len(), written);
        assert!(kept.iter().all(|(key, ..)| key == b"new"));
    }

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
