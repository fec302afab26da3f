//! The file of the embedded log: one writer connection behind a mutex, the topics by name, and
//! signals that wake whoever waits for a topic to grow.

use super::batch::{self, Batch};
use super::columns::Content;
use super::failure::backend;
use super::{EmbeddedOptions, schema};
use crate::error::BusError;
use crate::write::Write;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use std::collections::BTreeMap;
use std::fs::File;
use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A mutex's content, also after a panic elsewhere: the data behind ours is whole between calls.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wall clock, milliseconds since the Unix epoch.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A topic as it is.
#[derive(Clone, Debug)]
pub(super) struct Topic {
    pub(super) id: i64,
    pub(super) name: Arc<str>,
    pub(super) partitions: u32,
    pub(super) grew: Arc<Signal>,
}

/// Tells that a topic has grown, within this process.
#[derive(Debug, Default)]
pub(super) struct Signal {
    times: Mutex<u64>,
    changed: Condvar,
}

impl Signal {
    /// How often it was raised so far.
    pub(super) fn times(&self) -> u64 {
        *lock(&self.times)
    }

    fn raise(&self) {
        *lock(&self.times) += 1;
        self.changed.notify_all();
    }

    /// Waits until it was raised more often than `seen`, or for `at_most`.
    pub(super) fn wait_past(&self, seen: u64, at_most: Duration) {
        let guard = lock(&self.times);
        drop(self.changed.wait_timeout_while(guard, at_most, |times| *times <= seen));
    }
}

/// Records of one partition, ready to be written.
pub(super) struct Placed {
    topic: Topic,
    partition: u32,
    batches: Arc<[Batch]>,
}

/// The file and what this process knows of it.
pub(super) struct Store {
    pub(super) path: PathBuf,
    pub(super) options: EmbeddedOptions,
    /// Connections that only read, between two looks: to open one takes many times as long as a look.
    idle_readers: Mutex<Vec<Connection>>,
    writer: Mutex<Connection>,
    topics: Mutex<BTreeMap<String, Topic>>,
    /// Bytes of batches since a checkpoint was last begun.
    written: AtomicU64,
    /// The file beside SQLite, once it was asked for. It is never closed: on POSIX systems that would take from this
    /// process the locks that SQLite has on it ("How To Corrupt An SQLite Database File", 2.2).
    beside: OnceLock<Option<ManuallyDrop<File>>>,
}

impl Store {
    pub(super) fn open(path: PathBuf, options: EmbeddedOptions) -> Result<Self, BusError> {
        let writer = Mutex::new(schema::open_writer(&path, &options)?);
        let (idle_readers, topics) = (Mutex::default(), Mutex::default());
        let (written, beside) = (AtomicU64::new(0), OnceLock::new());
        Ok(Self { path, options, idle_readers, writer, topics, written, beside })
    }

    /// A connection of one's own that only reads.
    pub(super) fn reader(&self) -> Result<Connection, BusError> {
        schema::open_reader(&self.path, &self.options)
    }

    /// Looks at the log, with a connection that is kept for the next look.
    pub(super) fn look<T>(
        &self,
        context: &str,
        look: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, BusError> {
        let idle = lock(&self.idle_readers).pop();
        let connection = idle.map_or_else(|| self.reader(), Ok)?;
        let seen = look(&connection).map_err(|e| backend(context, &e))?;
        lock(&self.idle_readers).push(connection);
        Ok(seen)
    }

    /// Runs `work` in one transaction that holds the write lock from its start.
    pub(super) fn write<T>(
        &self,
        context: &str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, BusError> {
        let mut connection = lock(&self.writer);
        let run = || {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        };
        run().map_err(|e| backend(context, &e))
    }

    /// Does something on the connection that writes, in no transaction.
    pub(super) fn between_commits<T>(
        &self,
        context: &str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, BusError> {
        work(&lock(&self.writer)).map_err(|e| backend(context, &e))
    }

    /// Whether so many bytes were written since it last said so.
    pub(super) fn take_written(&self, least: u64) -> bool {
        let is_much = self.written.load(Ordering::Relaxed) >= least;
        if is_much {
            self.written.store(0, Ordering::Relaxed);
        }
        is_much
    }

    /// Brings onto the disk what the file was given, if the system lets it.
    pub(super) fn sync_file(&self) {
        let beside = self.beside.get_or_init(|| File::open(&self.path).ok().map(ManuallyDrop::new));
        if let Some(Err(error)) = beside.as_ref().map(|file| file.sync_data()) {
            tracing::debug!(%error, "the next checkpoint brings the file onto the disk");
        }
    }

    /// The topic of that name.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn topic(&self, name: &str) -> Result<Topic, BusError> {
        if let Some(topic) = lock(&self.topics).get(name) {
            return Ok(topic.clone());
        }
        let found = {
            let connection = lock(&self.writer);
            connection
                .query_row("SELECT topic_id, partitions FROM topics WHERE name = ?1", [name], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()
                .map_err(|e| backend(&format!("cannot look up topic {name:?}"), &e))?
        };
        let Some((id, partitions)) = found else {
            return Err(BusError::UnknownTopic { topic: name.to_owned() });
        };
        let topic = Topic { id, name: name.into(), partitions, grew: Arc::default() };
        Ok(lock(&self.topics).entry(name.to_owned()).or_insert(topic).clone())
    }

    /// Looks up the topics of records to be written, and makes batches of them: what takes time is done before the
    /// file is locked. What goes to several topics alike is made into batches once.
    pub(super) fn place(&self, writes: &[Write]) -> Result<Vec<Placed>, BusError> {
        let mut last: Option<Topic> = None;
        let mut by_place: BTreeMap<(i64, u32), (Topic, Vec<Content<'_>>)> = BTreeMap::new();
        for write in writes {
            let topic = match last.take() {
                Some(topic) if *topic.name == *write.topic => topic,
                _ => self.topic(&write.topic)?,
            };
            let place = (topic.id, write.partition(topic.partitions));
            let (_, contents) = by_place.entry(place).or_insert_with(|| (topic.clone(), Vec::new()));
            contents.push(Content::from(write));
            last = Some(topic);
        }
        let mut placed: Vec<Placed> = Vec::with_capacity(by_place.len());
        let places: Vec<(u32, &[Content<'_>])> =
            by_place.iter().map(|((_, partition), (_, contents))| (*partition, contents.as_slice())).collect();
        for ((topic, _), place) in by_place.values().zip(&places) {
            let alike = places[..placed.len()].iter().position(|before| before == place);
            let batches = match alike {
                Some(before) => Arc::clone(&placed[before].batches),
                None => batch::cut(place.1).into(),
            };
            placed.push(Placed { topic: topic.clone(), partition: place.0, batches });
        }
        Ok(placed)
    }

    /// Wakes those who wait for these topics; call it after the commit.
    pub(super) fn announce(&self, placed: &[Placed]) {
        let bytes: usize = placed.iter().flat_map(|placed| placed.batches.iter()).map(Batch::stored_bytes).sum();
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
        for of_topic in placed.chunk_by(|a, b| a.topic.id == b.topic.id) {
            of_topic[0].topic.grew.raise();
        }
    }
}

/// Appends the records, within a transaction.
pub(super) fn append(transaction: &Transaction<'_>, placed: &[Placed]) -> rusqlite::Result<()> {
    let appended_at_ms = now_ms();
    let mut advance = transaction.prepare_cached(
        "UPDATE partitions SET next_offset = next_offset + ?3 WHERE topic_id = ?1 AND partition = ?2
         RETURNING next_offset",
    )?;
    for Placed { topic, partition, batches } in placed {
        let records: i64 = batches.iter().map(Batch::records).sum();
        let end: i64 = advance.query_row(params![topic.id, partition, records], |row| row.get(0))?;
        let mut offset = end - records;
        for batch in batches.iter() {
            batch.insert(transaction, topic.id, *partition, offset, appended_at_ms)?;
            offset += batch.records();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::testing::{open, with_topic, write};
    use crate::write::Placement;
    use crate::{Bus, Cleanup, TopicSpec};
    use rusqlite::TransactionState;

    const PARTITIONS: u32 = 2;

    #[test]
    fn a_connection_is_kept_for_the_next_look_unless_it_failed() {
        let folder = tempfile::tempdir().expect("a folder");
        let bus = open(folder.path());
        let store = &bus.store;
        let idle = || lock(&store.idle_readers).len();
        for _ in 0..3 {
            store.look("test", |connection| connection.execute_batch("SELECT 1")).expect("it can be looked at");
            assert_eq!(idle(), 1);
        }
        store.look("test", |connection| connection.execute_batch("DELETE FROM topics")).expect_err("it only reads");
        assert_eq!(idle(), 0);
        let both = store.look("test", |_| {
            store.look("test", |_| Ok(())).expect("two can look at once");
            Ok(())
        });
        both.expect("it can be looked at");
        assert_eq!(idle(), 2);
    }

    /// One that went on reading would keep the file from being checkpointed.
    #[test]
    fn a_connection_that_is_kept_reads_no_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let bus = open(folder.path());
        with_topic(&bus, Cleanup::Delete { retention_ms: 1 << 40 });
        write(&bus, &[("a", Some("1")), ("b", Some("2"))]);
        bus.topics().expect("they can be listed");
        bus.lag("group", "topic").expect("it can be read");
        bus.source_position("test").expect("it can be read");
        let idle = lock(&bus.store.idle_readers);
        let [connection] = &idle[..] else { panic!("{} are kept", idle.len()) };
        let state = connection.transaction_state(Some("main")).expect("there is such a database");
        assert_eq!(state, TransactionState::None);
    }

    #[test]
    fn what_goes_to_two_topics_alike_is_one_batch() {
        let folder = tempfile::tempdir().expect("a folder");
        let bus = open(folder.path());
        let topics = ["one", "other", "third"];
        let specs = topics.map(|name| TopicSpec {
            name: name.to_owned(),
            partitions: PARTITIONS,
            replication: 1,
            cleanup: Cleanup::Delete { retention_ms: 1 << 40 },
        });
        bus.ensure_topics(&specs).expect("the topics are made");
        let to = |topic: &str, partition: u32, value: &str| Write {
            topic: topic.into(),
            placement: Placement::LikeInput(partition),
            key: Some(b"key".to_vec()),
            value: Some(value.as_bytes().to_vec()),
            headers: Vec::new(),
        };
        let mut writes: Vec<Write> = ["a", "b"].into_iter().flat_map(|v| topics.map(|topic| to(topic, 0, v))).collect();
        writes.push(to("third", 0, "c"));
        writes.extend(["a", "b"].map(|v| to("one", 1, v)));
        let placed = bus.store.place(&writes).expect("the topics are there");
        let of = |topic: &str, partition: u32| {
            let found = placed.iter().find(|p| &*p.topic.name == topic && p.partition == partition);
            &found.expect("it is placed").batches
        };
        assert_eq!(placed.len(), 4);
        assert!(Arc::ptr_eq(of("one", 0), of("other", 0)));
        assert!(!Arc::ptr_eq(of("one", 0), of("third", 0)), "there is more in it");
        assert!(!Arc::ptr_eq(of("one", 0), of("one", 1)), "it goes elsewhere");
        let counts = ["one", "other", "third"].map(|topic| of(topic, 0).iter().map(Batch::records).sum::<i64>());
        assert_eq!(counts, [2, 2, 3]);
    }
}
