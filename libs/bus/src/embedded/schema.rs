//! The tables of the embedded log, and opening connections to its file.

use super::EmbeddedOptions;
use super::failure::backend;
use crate::error::BusError;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::path::Path;

/// Says that a file is an embedded log ("PSCL").
const APPLICATION_ID: i64 = 0x5053_434c;
const SCHEMA_VERSION: i64 = 2;
/// What a page holds of a batch goes beside others', and the rest into pages of its own: larger pages would be emptier,
/// smaller ones are more to read and write.
pub(super) const PAGE_BYTES: i64 = 8192;
const CHECKPOINT_AT_PAGES: i64 = (128 << 20) / PAGE_BYTES;

const TABLES: &str = "
CREATE TABLE topics (
    topic_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    partitions INTEGER NOT NULL,
    retention_ms INTEGER            -- NULL: the topic is compacted
);
CREATE TABLE partitions (
    topic_id INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    compacted_to INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (topic_id, partition)
) WITHOUT ROWID;
CREATE TABLE batches (              -- in the order in which they were appended, so that pages are filled
    batch_id INTEGER PRIMARY KEY,
    topic_id INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    first_offset INTEGER NOT NULL,
    last_offset INTEGER NOT NULL,   -- offsets between are all there
    appended_at_ms INTEGER NOT NULL,
    codec INTEGER NOT NULL,         -- 0: as they are, 1: zstd
    plain_bytes INTEGER NOT NULL,   -- before compression
    checksum INTEGER NOT NULL,      -- CRC-32
    bytes BLOB NOT NULL,
    UNIQUE (topic_id, partition, last_offset)
);
CREATE TABLE newest_by_key (
    topic_id INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    key BLOB NOT NULL,
    offset INTEGER NOT NULL,
    tombstone_at_ms INTEGER,
    PRIMARY KEY (topic_id, partition, key)
) WITHOUT ROWID;
CREATE INDEX tombstones ON newest_by_key (tombstone_at_ms) WHERE tombstone_at_ms IS NOT NULL;
CREATE TABLE positions (
    consumer_group TEXT NOT NULL,
    topic_id INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (consumer_group, topic_id, partition)
) WITHOUT ROWID;
CREATE TABLE snapshots (
    generation INTEGER PRIMARY KEY AUTOINCREMENT,   -- none is given twice
    consumer_group TEXT NOT NULL,
    topic_id INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    state TEXT NOT NULL,            -- writing, valid, rejected, replaced
    head BLOB                       -- what it is of; NULL while it is written
);
CREATE INDEX snapshots_by_partition ON snapshots (consumer_group, topic_id, partition, state);
CREATE TABLE snapshot_slices (
    generation INTEGER NOT NULL,
    nth INTEGER NOT NULL,
    checksum INTEGER NOT NULL,      -- CRC-32
    bytes BLOB NOT NULL,
    PRIMARY KEY (generation, nth)
) WITHOUT ROWID;
CREATE TABLE members (
    consumer_group TEXT NOT NULL,
    topic_id INTEGER NOT NULL,
    owner TEXT NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    PRIMARY KEY (consumer_group, topic_id, owner)
) WITHOUT ROWID;
CREATE TABLE leases (
    consumer_group TEXT NOT NULL,
    topic_id INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    owner TEXT NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    PRIMARY KEY (consumer_group, topic_id, partition)
) WITHOUT ROWID;
CREATE TABLE sources (
    source TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    position BLOB
) WITHOUT ROWID;
";

/// Opens the file for writing and makes the tables when they are missing.
pub(super) fn open_writer(path: &Path, options: &EmbeddedOptions) -> Result<Connection, BusError> {
    let context = format!("cannot open the embedded log {}", path.display());
    let mut connection = Connection::open(path).map_err(|e| backend(&context, &e))?;
    let prepared = prepare_writer(&mut connection, options).map_err(|e| backend(&context, &e))?;
    if let Err(message) = prepared {
        return Err(BusError::Backend { context, message, retryable: false });
    }
    Ok(connection)
}

fn prepare_writer(connection: &mut Connection, options: &EmbeddedOptions) -> rusqlite::Result<Result<(), String>> {
    connection.busy_timeout(options.busy_timeout)?;
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", if options.fsync_every_commit { "FULL" } else { "NORMAL" })?;
    connection.pragma_update(None, "cache_size", -32_768)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_AT_PAGES)?;
    connection.pragma_update_and_check(None, "journal_size_limit", 128 << 20, |_| Ok(()))?;
    if let Some(bytes) = options.file_bytes_max {
        let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / PAGE_BYTES;
        connection.pragma_update_and_check(None, "max_page_count", pages.max(1), |_| Ok(()))?;
    }
    connection.set_prepared_statement_cache_capacity(64);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i64 = transaction.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, version, tables) {
        (0, 0, 0) => {
            transaction.execute_batch(TABLES)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            transaction.commit()?;
        }
        (APPLICATION_ID, SCHEMA_VERSION, _) => {}
        (APPLICATION_ID, other, _) => {
            return Ok(Err(format!(
                "it has layout {other}, this build reads {SCHEMA_VERSION}: name another file in [bus.embedded] path"
            )));
        }
        _ => {
            return Ok(Err("it is another program's database: name another file in [bus.embedded] path".to_owned()));
        }
    }
    Ok(Ok(()))
}

/// Whether a file is an embedded log of this layout.
pub(super) fn is_ours(connection: &Connection) -> rusqlite::Result<bool> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    Ok(number("application_id")? == APPLICATION_ID && number("user_version")? == SCHEMA_VERSION)
}

/// Opens a connection that only reads.
pub(super) fn open_reader(path: &Path, options: &EmbeddedOptions) -> Result<Connection, BusError> {
    let open = || {
        let connection =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(options.busy_timeout)?;
        connection.pragma_update(None, "query_only", true)?;
        connection.pragma_update(None, "cache_size", -2048)?;
        Ok(connection)
    };
    open().map_err(|e| backend(&format!("cannot read the embedded log {}", path.display()), &e))
}
