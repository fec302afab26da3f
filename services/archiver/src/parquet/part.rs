//! One Parquet file: written beside its place, brought to disk, and then given its name. That may be the name of the
//! file that went into it: whoever lists the folder sees the one or the other, never both.
//!
//! A file that the system gives, and that is no Parquet, is damaged. It is put aside as it is, under `.damaged`, and the
//! archive goes on without it.

use super::journal::each_entry;
use super::table::{Rows, Tabular};
use super::{Layout, date};
use anyhow::{Context as _, Result};
use arrow::array::{AsArray as _, RecordBatch, new_null_array};
use arrow::datatypes::{Schema, SchemaRef, TimestampMillisecondType};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use prescale_bus::crash_point::CrashPoint;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows that are held in memory at a time.
const BATCH_ROWS: usize = 4096;
const ROW_GROUP_ROWS: usize = 32_768;
/// Key of the file's metadata: position of the last record that it holds.
const LAST_POSITION: &str = "prescale.last_position";

/// Records of a partition and day: those of a file, or those that are to become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Position of the first, which the file's name says.
    pub(super) first: i64,
    /// Position of the last.
    pub(super) last: i64,
    /// How many rows they have.
    pub(super) rows: usize,
}

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

/// A file whose bytes the system gives, and that cannot be read all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Damaged(PathBuf);

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is damaged", self.0.display())
    }
}

/// Tells a damaged file from one that the system does not give now.
fn unreadable(path: &Path, error: impl Into<anyhow::Error>) -> anyhow::Error {
    match File::open(path).and_then(|mut file| io::copy(&mut file, &mut io::sink())) {
        Ok(_) => error.into().context(Damaged(path.to_owned())),
        Err(error) => anyhow::Error::from(error).context(format!("cannot read {}", path.display())),
    }
}

/// Moves a damaged file out of the sight of readers; any other error is given back.
fn put_aside(layout: &Layout, day: i64, error: anyhow::Error) -> Result<()> {
    let Some(Damaged(path)) = error.downcast_ref::<Damaged>() else { return Err(error) };
    let folder = layout.damaged(day);
    let said = || format!("cannot put {} aside into {}", path.display(), folder.display());
    fs::create_dir_all(&folder).with_context(said)?;
    let name = path.file_name().with_context(said)?.to_string_lossy().into_owned();
    let mut place = folder.join(&name);
    for number in 1.. {
        if !place.try_exists().with_context(said)? {
            break;
        }
        place = folder.join(format!("{name}.{number}"));
    }
    fs::rename(path, &place).with_context(said)?;
    for folder in [path.parent(), Some(folder.as_path())].into_iter().flatten() {
        File::open(folder).and_then(|folder| folder.sync_all()).with_context(said)?;
    }
    metrics::counter!("prescale_archiver_damaged_files_total", "topic" => layout.topic).increment(1);
    tracing::error!(
        file = %path.display(),
        put_aside_as = %place.display(),
        "the archive goes on without a file that cannot be read ({error:#}): its rows are missing there. What the topic still holds of them a new [archiver.parquet] folder would get; a copy of the file can take its old place"
    );
    Ok(())
}

/// A partition's newest file of a day that can be read.
pub(super) fn newest(layout: &Layout, day: i64) -> Result<Option<Part>> {
    while let Some((first, path)) = parts(&layout.day(day), layout.partition)?.pop() {
        match part_of(first, &path) {
            Ok(part) => return Ok(Some(part)),
            Err(error) => put_aside(layout, day, error)?,
        }
    }
    Ok(None)
}

fn reader(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| unreadable(path, error))
}

/// What a file holds, whose first position its name says.
fn part_of(first: i64, path: &Path) -> Result<Part> {
    let reader = reader(path)?;
    let last = says(&reader).iter().find(|pair| pair.key == LAST_POSITION).and_then(|pair| pair.value.as_ref());
    let last = last
        .and_then(|text| text.parse().ok())
        .with_context(|| format!("{} says nothing of {LAST_POSITION}: it is none of the archiver's", path.display()))?;
    let rows = usize::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or(usize::MAX);
    Ok(Part { first, last, rows })
}

/// What a file says of itself.
fn says(reader: &ParquetRecordBatchReaderBuilder<File>) -> &[KeyValue] {
    reader.metadata().file_metadata().key_value_metadata().map(Vec::as_slice).unwrap_or_default()
}

/// Whether the file that holds a position has a row of this subject and instant; `None` where that file is damaged.
pub(super) fn has_row<C: Tabular>(layout: &Layout, day: i64, offset: i64, value: &C) -> Result<Option<bool>> {
    let whole = parts(&layout.day(day), layout.partition)?.into_iter().map(|(first, path)| (first, Some(path)));
    let damaged = parts(&layout.damaged(day), layout.partition)?.into_iter().map(|(first, _)| (first, None::<PathBuf>));
    // Of two with the same first position the whole one counts.
    let of_position = damaged.chain(whole).filter(|(first, _)| *first <= offset).max_by_key(|(first, _)| *first);
    let Some((_, path)) = of_position else { return Ok(Some(false)) };
    let Some(path) = path else { return Ok(None) };
    let mut is_there = false;
    let read = each_row::<C>(&path, |subject, at_ms| {
        is_there |= (subject, at_ms) == (value.workload().as_str(), value.at().as_ms());
    });
    match read {
        Ok(()) => Ok(Some(is_there)),
        Err(error) => put_aside(layout, day, error).map(|()| None),
    }
}

/// Calls `row` with subject and instant, in milliseconds, of each row of a file.
pub(super) fn each_row<C: Tabular>(path: &Path, mut row: impl FnMut(&str, i64)) -> Result<()> {
    for batch in batches(reader(path)?, path)? {
        let batch = batch.map_err(|error| unreadable(path, error))?;
        let subjects = column(&batch, C::SUBJECT)?.as_string::<i32>();
        let instants = column(&batch, "at")?.as_primitive::<TimestampMillisecondType>();
        (0..batch.num_rows()).for_each(|at| row(subjects.value(at), instants.value(at)));
    }
    Ok(())
}

fn batches(reader: ParquetRecordBatchReaderBuilder<File>, path: &Path) -> Result<ParquetRecordBatchReader> {
    reader.with_batch_size(BATCH_ROWS).build().map_err(|error| unreadable(path, error))
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a dyn arrow::array::Array> {
    let column = batch.column_by_name(name).with_context(|| format!("there is no column {name}"))?;
    Ok(column.as_ref())
}

/// Whether rows of a file can stand in a table with these columns, which may have more of those that can be null.
fn fits(file: &Schema, table: &Schema) -> bool {
    let of = |schema: &Schema, name: &str| schema.field_with_name(name).ok().map(|field| field.data_type().clone());
    let is_alike = |name: &str| of(file, name) == of(table, name);
    file.fields().iter().all(|field| is_alike(field.name()))
        && table.fields().iter().all(|field| field.is_nullable() || is_alike(field.name()))
}

/// A file's rows with the columns of a table that they fit into.
fn with_columns(batch: &RecordBatch, table: &SchemaRef) -> Result<RecordBatch> {
    let columns = table.fields().iter().map(|field| {
        let column = batch.column_by_name(field.name()).cloned();
        column.unwrap_or_else(|| new_null_array(field.data_type(), batch.num_rows()))
    });
    Ok(RecordBatch::try_new(Arc::clone(table), columns.collect())?)
}

/// Makes a file of a day's journal, `new`, and of the file `before` it, whose place it takes; without one, or where
/// their columns are of different types, or where that file is damaged, it is a file of its own. Name and content follow
/// from the positions. Tells what the file then holds.
pub(super) fn write_part<C: Tabular>(
    layout: &Layout,
    day: i64,
    journal: &Path,
    new: Part,
    before: Option<Part>,
) -> Result<Part> {
    write::<C>(layout, day, journal, new, before).or_else(|error| {
        put_aside(layout, day, error)?;
        write::<C>(layout, day, journal, new, None)
    })
}

fn write<C: Tabular>(layout: &Layout, day: i64, journal: &Path, new: Part, before: Option<Part>) -> Result<Part> {
    let folder = layout.day(day);
    let partial = layout.journals().join(format!("{day}.partial"));
    let said = || format!("cannot write {}", partial.display());
    let mut rows = C::Rows::default();
    each_entry(journal, |entry| {
        rows.learn(&C::decode(&entry.value)?);
        Ok(())
    })?;
    let mut whole = new;
    let mut earlier = None;
    if let Some(part) = before {
        let path = folder.join(name(layout.partition, part.first));
        let file = reader(&path)?;
        rows.learn_file(file.schema(), says(&file));
        if fits(file.schema(), &rows.schema()) {
            whole = Part { first: part.first, rows: part.rows + new.rows, ..new };
            earlier = Some(batches(file, &path)?);
        }
    }
    let schema = rows.schema();
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_created_by(concat!("prescale-archiver ", env!("CARGO_PKG_VERSION")).to_owned())
        .build();
    let file = File::create(&partial).with_context(said)?;
    let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties)).with_context(said)?;
    for batch in earlier.into_iter().flatten() {
        let batch = batch.map_err(|error| unreadable(&folder.join(name(layout.partition, whole.first)), error))?;
        writer.write(&with_columns(&batch, &schema)?).with_context(said)?;
    }
    each_entry(journal, |entry| {
        rows.append(&C::decode(&entry.value)?);
        if rows.len() >= BATCH_ROWS {
            writer.write(&rows.finish()?).with_context(said)?;
        }
        Ok(())
    })?;
    writer.write(&rows.finish()?).with_context(said)?;
    writer.append_key_value_metadata(KeyValue::new(LAST_POSITION.to_owned(), whole.last.to_string()));
    for (key, value) in rows.metadata() {
        writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
    }
    writer.into_inner().with_context(said)?.sync_all().with_context(said)?;
    CrashPoint::FilesWritten.pass();
    let placed = || format!("cannot put a file into {}", folder.display());
    fs::create_dir_all(&folder).with_context(placed)?;
    fs::rename(&partial, folder.join(name(layout.partition, whole.first))).with_context(placed)?;
    for folder in folder.ancestors().take(3) {
        File::open(folder).and_then(|f| f.sync_all()).with_context(placed)?;
    }
    CrashPoint::FilesRenamed.pass();
    let Part { first, last, rows } = whole;
    let (topic, partition) = (layout.topic, layout.partition);
    tracing::debug!(topic, day = date::text(day), partition, first, last, rows, "archived");
    Ok(whole)
}
