//! Batches: the records that one step writes to one partition, one row of the log, compressed where that pays.
//!
//! A batch is bounded, so that reading one record never decompresses much more, and says by its checksum whether it
//! is as it was written.

use super::columns::{Content, Decoder, encode};
use crate::record::ConsumedRecord;
use rusqlite::types::Type;
use rusqlite::{Connection, Row, Transaction, params};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use zstd::bulk::{Compressor, Decompressor};

const RECORDS_MAX: usize = 512;
/// Bound of keys, values and headers; a record that is larger is a batch by itself.
const CONTENT_BYTES_MAX: usize = 1 << 20;
const COMPRESSION_LEVEL: i32 = 1;
/// What is smaller is not worth the attempt.
const COMPRESSED_FROM_BYTES: usize = 256;

const CODEC_PLAIN: i64 = 0;
const CODEC_ZSTD: i64 = 1;

/// Selects what [`read`] takes: the batches of a topic's partition that hold an offset or come behind it, in order.
pub(super) const SELECT: &str = "
    SELECT first_offset, last_offset, appended_at_ms, codec, plain_bytes, checksum, bytes FROM batches
    WHERE topic_id = ?1 AND partition = ?2 AND last_offset >= ?3 ORDER BY last_offset";

// To make one takes longer than to use it on a small batch.
thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

fn compressed(plain: &[u8]) -> Option<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|kept| {
        let mut compressor = match kept.take() {
            Some(compressor) => compressor,
            None => Compressor::new(COMPRESSION_LEVEL).ok()?,
        };
        let compressed = compressor.compress(plain).ok();
        *kept = Some(compressor);
        compressed
    })
}

fn decompressed(bytes: &[u8], plain_bytes: usize) -> std::io::Result<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|kept| {
        let mut decompressor = match kept.take() {
            Some(decompressor) => decompressor,
            None => Decompressor::new()?,
        };
        let plain = decompressor.decompress(bytes, plain_bytes);
        *kept = Some(decompressor);
        plain
    })
}

fn checksum_of(codec: i64, plain_bytes: i64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&codec.to_le_bytes());
    hasher.update(&plain_bytes.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

/// Records on their way into one row.
pub(super) struct Batch {
    records: i64,
    codec: i64,
    plain_bytes: i64,
    checksum: u32,
    bytes: Vec<u8>,
}

/// The batches of records that are written to one partition together, in order.
pub(super) fn cut(records: &[Content<'_>]) -> Vec<Batch> {
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (i, record) in records.iter().enumerate() {
        let more = record.bytes();
        if i > start && (i - start >= RECORDS_MAX || bytes + more > CONTENT_BYTES_MAX) {
            batches.push(Batch::of(&records[start..i]));
            (start, bytes) = (i, 0);
        }
        bytes += more;
    }
    if start < records.len() {
        batches.push(Batch::of(&records[start..]));
    }
    batches
}

impl Batch {
    pub(super) fn of(records: &[Content<'_>]) -> Self {
        let plain = encode(records);
        let plain_bytes = plain.len() as i64;
        let packed = if plain.len() < COMPRESSED_FROM_BYTES { None } else { compressed(&plain) };
        let (codec, bytes) = match packed.filter(|packed| packed.len() + plain.len() / 8 <= plain.len()) {
            Some(packed) => (CODEC_ZSTD, packed),
            None => (CODEC_PLAIN, plain),
        };
        let checksum = checksum_of(codec, plain_bytes, &bytes);
        Self { records: records.len() as i64, codec, plain_bytes, checksum, bytes }
    }

    /// Number of its records.
    pub(super) fn records(&self) -> i64 {
        self.records
    }

    /// Bytes that its row has of content.
    pub(super) fn stored_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Writes it, with offsets from `first_offset` on.
    pub(super) fn insert(
        &self,
        transaction: &Transaction<'_>,
        topic_id: i64,
        partition: u32,
        first_offset: i64,
        appended_at_ms: i64,
    ) -> rusqlite::Result<()> {
        let last_offset = first_offset + self.records - 1;
        let Self { codec, plain_bytes, checksum, bytes, .. } = self;
        transaction
            .prepare_cached(
                "INSERT INTO batches (topic_id, partition, first_offset, last_offset, appended_at_ms, codec,
                    plain_bytes, checksum, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                topic_id,
                partition,
                first_offset,
                last_offset,
                appended_at_ms,
                codec,
                plain_bytes,
                checksum,
                bytes
            ])?;
        Ok(())
    }
}

/// A batch that is not as it was written.
#[derive(Debug, thiserror::Error)]
#[error(
    "the records of {topic}/{partition} from offset {first} to {last} in {file} are damaged ({reason}): put back a copy of the file, or name another in [bus.embedded] path"
)]
pub(super) struct DamagedBatch {
    file: String,
    topic: Arc<str>,
    partition: u32,
    first: i64,
    last: i64,
    reason: String,
}

impl DamagedBatch {
    /// The damaged batch that an error speaks of, if it does of one.
    pub(super) fn in_error(error: &rusqlite::Error) -> Option<&Self> {
        match error {
            rusqlite::Error::FromSqlConversionFailure(_, _, why) => why.downcast_ref(),
            _ => None,
        }
    }
}

/// Offsets that a row holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: i64,
    pub(super) last: i64,
}

/// Offsets of a row of [`SELECT`].
pub(super) fn span(row: &Row<'_>) -> rusqlite::Result<Span> {
    Ok(Span { first: row.get(0)?, last: row.get(1)? })
}

/// Bytes of a row of [`SELECT`] before compression.
pub(super) fn plain_bytes(row: &Row<'_>) -> rusqlite::Result<i64> {
    row.get(4)
}

/// Adds the records of a row of [`SELECT`] to `records`, from offset `from` on.
///
/// # Errors
/// With a [`DamagedBatch`] when the row is not as it was written.
pub(super) fn read(
    row: &Row<'_>,
    connection: &Connection,
    (topic, partition): (&Arc<str>, u32),
    from: i64,
    records: &mut VecDeque<ConsumedRecord>,
) -> rusqlite::Result<()> {
    let span = span(row)?;
    let appended_at_ms: i64 = row.get(2)?;
    let damaged = |reason: String| {
        let file = connection.path().unwrap_or_default().to_owned();
        let damage =
            DamagedBatch { file, topic: Arc::clone(topic), partition, first: span.first, last: span.last, reason };
        rusqlite::Error::FromSqlConversionFailure(6, Type::Blob, Box::new(damage))
    };
    let plain = plain_of(row)?.map_err(damaged)?;
    decode(&plain, span, from, |offset, (key, value, headers)| {
        let topic = Arc::clone(topic);
        records.push_back(ConsumedRecord { topic, partition, offset, appended_at_ms, key, value, headers });
    })
    .ok_or_else(|| damaged("its content cannot be read".to_owned()))
}

/// What a row holds, before it was compressed; else what is wrong with it.
fn plain_of<'r>(row: &'r Row<'_>) -> rusqlite::Result<Result<Cow<'r, [u8]>, String>> {
    let (codec, plain_bytes, checksum): (i64, i64, i64) = (row.get(3)?, row.get(4)?, row.get(5)?);
    let bytes = row.get_ref(6)?.as_blob()?;
    if i64::from(checksum_of(codec, plain_bytes, bytes)) != checksum {
        return Ok(Err("its checksum does not match".to_owned()));
    }
    Ok(match codec {
        CODEC_PLAIN => Ok(Cow::Borrowed(bytes)),
        CODEC_ZSTD => decompressed(bytes, usize::try_from(plain_bytes).unwrap_or_default())
            .map(Cow::Owned)
            .map_err(|error| error.to_string()),
        other => Err(format!("it has codec {other}, which this build does not know")),
    })
}

/// Hands each record from offset `from` on to `take`; `None` when the bytes are not those of a batch of this span.
fn decode(plain: &[u8], span: Span, from: i64, mut take: impl FnMut(i64, super::columns::Owned)) -> Option<()> {
    let mut decoder = Decoder::new(plain)?;
    if u64::try_from(span.last.checked_sub(span.first)?.checked_add(1)?) != Ok(decoder.left()) {
        return None;
    }
    for offset in span.first..=span.last {
        if offset < from {
            decoder.skip()?;
        } else {
            take(offset, decoder.take()?);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Header;

    fn content<'a>(value: &'a [u8], headers: &'a [Header]) -> Content<'a> {
        Content { key: Some(b"key"), value: Some(value), headers }
    }

    #[test]
    fn batches_are_bounded_by_records_and_by_bytes() {
        let counts = |records: &[Content<'_>]| cut(records).iter().map(Batch::records).collect::<Vec<i64>>();
        assert_eq!(counts(&[]), Vec::<i64>::new());
        let small = vec![content(b"value", &[]); 2 * RECORDS_MAX + 1];
        assert_eq!(counts(&small), [RECORDS_MAX as i64, RECORDS_MAX as i64, 1]);
        let half = vec![b'v'; CONTENT_BYTES_MAX / 2];
        let whole = vec![b'v'; CONTENT_BYTES_MAX + 1];
        let values = [b"value".as_slice(), half.as_slice(), whole.as_slice()];
        let [small, half, whole] = values.map(|value| content(value, &[]));
        assert_eq!(counts(&[half, small, half, half, small]), [2, 1, 2]);
        assert_eq!(counts(&[small, whole, small, small]), [1, 1, 2]);
    }

    #[test]
    fn what_compression_does_not_shrink_is_stored_as_it_is() {
        let mut noise = vec![0; 10_000];
        fastrand::Rng::with_seed(14).fill(&mut noise);
        let text = "{\"cpu_cores_used\": 1.25}".repeat(400);
        assert_eq!(Batch::of(&[content(&noise, &[])]).codec, CODEC_PLAIN);
        assert_eq!(Batch::of(&[content(b"short", &[])]).codec, CODEC_PLAIN);
        let packed = Batch::of(&[content(text.as_bytes(), &[])]);
        assert_eq!(packed.codec, CODEC_ZSTD);
        assert!(packed.bytes.len() * 20 < text.len(), "{} bytes of {}", packed.bytes.len(), text.len());
    }

    /// As the pipeline writes them: seven headers, of which three differ from record to record.
    #[test]
    fn headers_of_an_envelope_cost_little_more_than_what_is_new_in_them() {
        let mut random = fastrand::Rng::with_seed(14);
        let mut hex = |digits: usize| -> String { (0..digits).map(|_| random.digit(16)).collect() };
        let envelopes: Vec<Vec<Header>> = (0..RECORDS_MAX)
            .map(|_| {
                let (id, trace) = (hex(32), hex(32));
                [
                    ("ce_specversion", "1.0".to_owned()),
                    ("ce_id", id.clone()),
                    ("ce_source", "prescale/predictor".to_owned()),
                    ("ce_type", "prescale.prediction.v1".to_owned()),
                    ("ce_time", "2026-03-02T06:05:00Z".to_owned()),
                    ("content-type", "application/avro".to_owned()),
                    ("traceparent", format!("00-{trace}-{}-01", &id[..16])),
                ]
                .map(|(name, value)| Header { name: name.into(), value: value.into_bytes().into() })
                .to_vec()
            })
            .collect();
        let contents: Vec<Content<'_>> = envelopes.iter().map(|headers| content(b"", headers)).collect();
        let batch = Batch::of(&contents);
        let bytes_a_record = batch.bytes.len() as f64 / RECORDS_MAX as f64;
        assert!(bytes_a_record < 60.0, "{bytes_a_record} bytes, of which 32 are random");
    }
}
