//! One Parquet file: written beside its place, brought to disk, and then given its name.

use super::journal::each_entry;
use super::table::{Rows, Tabular};
use super::{Layout, date};
use anyhow::{Context as _, Result};
use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::TimestampMillisecondType;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use prescale_bus::crash_point::CrashPoint;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Rows that are held in memory at a time.
const BATCH_ROWS: usize = 4096;
const ROW_GROUP_ROWS: usize = 32_768;
/// Key of the file's metadata: position of the last record that it holds.
const LAST_POSITION: &str = "prescale.last_position";

fn name(partition: u32, first: i64) -> String {
    format!("part-{partition}-{first}.parquet")
}

/// First positions of a partition's files in a day's folder, with their paths.
fn parts(folder: &Path, partition: u32) -> Result<Vec<(i64, PathBuf)>> {
    let prefix = format!("part-{partition}-");
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
    };
    let mut parts = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        let first = path.file_name().and_then(|n| n.to_str()?.strip_prefix(&prefix)?.strip_suffix(".parquet"));
        if let Some(first) = first.and_then(|f| f.parse().ok()) {
            parts.push((first, path));
        }
    }
    parts.sort();
    Ok(parts)
}

fn reader(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    let said = || format!("cannot read {}", path.display());
    ParquetRecordBatchReaderBuilder::try_new(File::open(path).with_context(said)?).with_context(said)
}

/// The last position that a partition's files of a day hold; -1 when there is none.
pub(super) fn covered(folder: &Path, partition: u32) -> Result<i64> {
    let Some((_, path)) = parts(folder, partition)?.pop() else { return Ok(-1) };
    let reader = reader(&path)?;
    let pairs = reader.metadata().file_metadata().key_value_metadata();
    let last = pairs.into_iter().flatten().find(|pair| pair.key == LAST_POSITION).and_then(|pair| pair.value.as_ref());
    let last = last.and_then(|text| text.parse().ok());
    last.with_context(|| format!("{} says nothing of {LAST_POSITION}: it is none of the archiver's", path.display()))
}

/// Whether the file that holds a position has a row of this subject and instant.
pub(super) fn has_row<C: Tabular>(folder: &Path, partition: u32, offset: i64, value: &C) -> Result<bool> {
    let Some((_, path)) = parts(folder, partition)?.into_iter().rfind(|(first, _)| *first <= offset) else {
        return Ok(false);
    };
    for batch in batches(&path)? {
        let batch = batch.with_context(|| format!("cannot read {}", path.display()))?;
        let subjects = column(&batch, C::SUBJECT)?.as_string::<i32>();
        let instants = column(&batch, "at")?.as_primitive::<TimestampMillisecondType>();
        let is_it =
            |row: usize| subjects.value(row) == value.workload().as_str() && instants.value(row) == value.at().as_ms();
        if (0..batch.num_rows()).any(is_it) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn batches(path: &Path) -> Result<ParquetRecordBatchReader> {
    reader(path)?.build().with_context(|| format!("cannot read {}", path.display()))
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a dyn arrow::array::Array> {
    let column = batch.column_by_name(name).with_context(|| format!("there is no column {name}"))?;
    Ok(column.as_ref())
}

/// Writes a day's journal as a file, whose name and content follow from the positions; tells how many
/// rows it has.
pub(super) fn write_part<C: Tabular>(
    layout: &Layout,
    day: i64,
    journal: &Path,
    first: i64,
    last: i64,
) -> Result<usize> {
    let partial = layout.journals().join(format!("{day}.partial"));
    let said = || format!("cannot write {}", partial.display());
    let mut rows = C::Rows::default();
    each_entry(journal, |entry| {
        rows.learn(&C::decode(&entry.value)?);
        Ok(())
    })?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_created_by(concat!("prescale-archiver ", env!("CARGO_PKG_VERSION")).to_owned())
        .build();
    let file = File::create(&partial).with_context(said)?;
    let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties)).with_context(said)?;
    let mut written = 0;
    each_entry(journal, |entry| {
        rows.append(&C::decode(&entry.value)?);
        if rows.len() >= BATCH_ROWS {
            written += rows.len();
            writer.write(&rows.finish()?).with_context(said)?;
        }
        Ok(())
    })?;
    written += rows.len();
    writer.write(&rows.finish()?).with_context(said)?;
    writer.append_key_value_metadata(KeyValue::new(LAST_POSITION.to_owned(), last.to_string()));
    for (key, value) in rows.metadata() {
        writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
    }
    writer.into_inner().with_context(said)?.sync_all().with_context(said)?;
    CrashPoint::FilesWritten.pass();
    let folder = layout.day(day);
    let placed = || format!("cannot put a file into {}", folder.display());
    fs::create_dir_all(&folder).with_context(placed)?;
    fs::rename(&partial, folder.join(name(layout.partition, first))).with_context(placed)?;
    for folder in folder.ancestors().take(3) {
        File::open(folder).and_then(|f| f.sync_all()).with_context(placed)?;
    }
    CrashPoint::FilesRenamed.pass();
    tracing::debug!(
        topic = layout.topic,
        day = date::text(day),
        partition = layout.partition,
        first,
        written,
        "archived"
    );
    Ok(written)
}
