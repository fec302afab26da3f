//! What a file of the log holds of a stage's states, for someone who has no part in it. The file is only read, and not
//! made where it is missing.

use super::EmbeddedOptions;
use super::failure::backend;
use super::log;
use super::schema;
use super::store::Topic;
use crate::error::BusError;
use crate::snapshot::stored_schema;
use crate::stored::{KeptLog, StoredState};
use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;
use std::sync::Arc;

/// What is stored of a group's states over a topic, by partition; `None` where there is no file or no such topic.
///
/// # Errors
/// When the file cannot be read, or is none of this layout.
pub fn stored_states(path: &Path, group: &str, topic: &str) -> Result<Option<Vec<StoredState>>, BusError> {
    if !path.exists() {
        return Ok(None);
    }
    let context = || format!("cannot read what {} holds of {group}", path.display());
    let connection = schema::open_reader(path, &EmbeddedOptions::default())?;
    if !schema::is_ours(&connection).map_err(|e| backend(&context(), &e))? {
        let message = "it is no embedded log of this build's layout".to_owned();
        return Err(BusError::Backend { context: context(), message, retryable: false });
    }
    read(&connection, group, topic).map_err(|e| backend(&context(), &e))
}

fn read(connection: &Connection, group: &str, name: &str) -> rusqlite::Result<Option<Vec<StoredState>>> {
    let found: Option<(i64, u32)> = connection
        .query_row("SELECT topic_id, partitions FROM topics WHERE name = ?1", [name], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((id, partitions)) = found else { return Ok(None) };
    let topic = Topic { id, name: name.into(), partitions, grew: Arc::default() };
    let of = |partition: u32| -> rusqlite::Result<StoredState> {
        let schema = head(connection, group, &topic, partition)?.map(|head| stored_schema(&head));
        let log = Some(kept(connection, group, &topic, partition)?);
        Ok(StoredState { partition, schema, log })
    };
    (0..partitions).map(of).collect::<rusqlite::Result<Vec<StoredState>>>().map(Some)
}

/// The head of the snapshot that a partition's state is restored from, if there is one.
fn head(connection: &Connection, group: &str, topic: &Topic, partition: u32) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .query_row(
            "SELECT head FROM snapshots WHERE consumer_group = ?1 AND topic_id = ?2 AND partition = ?3
             AND state = 'valid'",
            params![group, topic.id, partition],
            |row| row.get(0),
        )
        .optional()
}

fn kept(connection: &Connection, group: &str, topic: &Topic, partition: u32) -> rusqlite::Result<KeptLog> {
    let appended_at_ms = |order: &str| {
        let select = format!(
            "SELECT appended_at_ms FROM batches WHERE topic_id = ?1 AND partition = ?2 ORDER BY last_offset {order} LIMIT 1"
        );
        connection.query_row(&select, params![topic.id, partition], |row| row.get::<_, i64>(0)).optional()
    };
    let oldest = log::oldest_from(connection, topic, partition, 0)?;
    Ok(KeptLog {
        oldest,
        oldest_appended_at_ms: appended_at_ms("ASC")?,
        newest_appended_at_ms: appended_at_ms("DESC")?,
        position: log::position(connection, group, topic, partition)?.unwrap_or(oldest),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::testing::{open, with_topic, write};
    use crate::partitioner::partition_of;
    use crate::snapshot::{Head, SnapshotOf};
    use crate::{Cleanup, StateSchema};

    #[test]
    fn a_file_says_what_its_snapshots_were_made_by_and_what_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log.db");
        let look = || stored_states(&path, "group", "topic").expect("it can be looked for");
        assert_eq!(look(), None);
        assert!(!path.exists(), "it is not made");
        let bus = open(folder.path());
        assert_eq!(look(), None, "the topic is not there");
        with_topic(&bus, Cleanup::Delete { retention_ms: 1 << 40 });
        write(&bus, &[("k", Some("a")), ("k", Some("b")), ("k", Some("c"))]);
        let with_records = partition_of(b"k", 2);
        let of = SnapshotOf { identity: "any".to_owned(), state_schema: "counter 1\nwindow_s = 60".to_owned() };
        let head = Head { offset: 2, state_bytes: 0, checksum: 0 }.encode(&of);
        let topic = bus.store.topic("topic").expect("it is there");
        bus.store
            .write("test", |transaction| {
                transaction.execute(
                    "INSERT INTO positions (consumer_group, topic_id, partition, next_offset) VALUES ('group', ?1, ?2, 2)",
                    params![topic.id, with_records],
                )?;
                transaction.execute(
                    "INSERT INTO snapshots (consumer_group, topic_id, partition, state, head)
                     VALUES ('group', ?1, ?2, 'valid', ?3)",
                    params![topic.id, with_records, head],
                )
            })
            .expect("it is written");
        let states = look().expect("it is there");
        assert_eq!(states.len(), 2);
        let state = &states[with_records as usize];
        assert_eq!(state.schema, Some(Ok(StateSchema::of("counter", 1).shaped_by("window_s", 60))));
        let log = state.log.expect("it can be seen");
        assert_eq!((log.oldest, log.position, log.records(), log.has_lost_some()), (0, 2, 2, false));
        assert!(log.oldest_appended_at_ms.is_some() && log.span_s() < 3600);
        let other = &states[1 - with_records as usize];
        assert_eq!((&other.schema, other.log.map(|log| log.records())), (&None, Some(0)));
        let foreign = folder.path().join("other.db");
        std::fs::write(&foreign, "no database").expect("it is written");
        assert!(stored_states(&foreign, "group", "topic").is_err());
    }
}
