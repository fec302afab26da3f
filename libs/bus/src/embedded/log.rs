//! Reading the log: pages of records, the oldest and the next offset of each partition.

use super::store::Topic;
use crate::framing::decode_headers;
use crate::record::ConsumedRecord;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;

/// Up to `records_max` records of a partition from `offset` on, in order.
pub(super) fn page(
    connection: &Connection,
    topic: &Topic,
    partition: u32,
    offset: i64,
    records_max: usize,
) -> rusqlite::Result<Vec<ConsumedRecord>> {
    let mut select = connection.prepare_cached(
        "SELECT offset, appended_at_ms, key, value, headers FROM records
         WHERE topic_id = ?1 AND partition = ?2 AND offset >= ?3 ORDER BY offset LIMIT ?4",
    )?;
    let limit = i64::try_from(records_max).unwrap_or(i64::MAX);
    let rows = select.query_map(params![topic.id, partition, offset, limit], |row| {
        let headers = decode_headers(row.get_ref(4)?.as_blob()?)
            .ok_or_else(|| rusqlite::Error::FromSqlConversionFailure(4, Type::Blob, "damaged record headers".into()))?;
        Ok(ConsumedRecord {
            topic: Arc::clone(&topic.name),
            partition,
            offset: row.get(0)?,
            appended_at_ms: row.get(1)?,
            key: row.get(2)?,
            value: row.get(3)?,
            headers,
        })
    })?;
    rows.collect()
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
            (SELECT min(offset) FROM records WHERE topic_id = ?1 AND partition = ?2 AND offset >= ?3),
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
