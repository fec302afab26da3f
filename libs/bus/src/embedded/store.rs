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
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
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
    batches: Vec<Batch>,
}

/// The file and what this process knows of it.
pub(super) struct Store {
    pub(super) path: PathBuf,
    pub(super) options: EmbeddedOptions,
    writer: Mutex<Connection>,
    topics: Mutex<BTreeMap<String, Topic>>,
}

impl Store {
    pub(super) fn open(path: PathBuf, options: EmbeddedOptions) -> Result<Self, BusError> {
        let writer = Mutex::new(schema::open_writer(&path, &options)?);
        Ok(Self { path, options, writer, topics: Mutex::default() })
    }

    /// A connection of one's own that only reads.
    pub(super) fn reader(&self) -> Result<Connection, BusError> {
        schema::open_reader(&self.path, &self.options)
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
    /// file is locked.
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
        let placed = by_place.into_iter().map(|((_, partition), (topic, contents))| Placed {
            topic,
            partition,
            batches: batch::cut(&contents),
        });
        Ok(placed.collect())
    }

    /// Wakes those who wait for these topics; call it after the commit.
    pub(super) fn announce(&self, placed: &[Placed]) {
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
        for batch in batches {
            batch.insert(transaction, topic.id, *partition, offset, appended_at_ms)?;
            offset += batch.records();
        }
    }
    Ok(())
}
