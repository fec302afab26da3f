//! Text files, one or several of one table, as a Parquet file of typed columns: how they are written is found or set,
//! and what cannot be read is counted, with its place.
//!
//! The lines go by twice: once to see what the columns hold, once to write them. What is held of them is a batch.

use super::form::Layout;
use super::mapping::Mapping;
use anyhow::{Context as _, Result, bail, ensure};
use arrow::array::{ArrayRef, Int64Builder, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema};
use columns::Column;
use csv::ByteRecord;
use dialect::Dialect;
use instant::InstantReader;
use open::{Lines, text_of};
use parquet::arrow::ArrowWriter;
use std::path::PathBuf;
use std::sync::Arc;
use survey::{ColumnSurvey, ColumnType, Found, Role, is_column, sign_of_file};
use tempfile::NamedTempFile;
use tokio_util::sync::CancellationToken;

mod columns;
mod dialect;
mod instant;
mod number;
mod open;
mod survey;

pub(super) use open::is_parquet;

/// The column with the name of each line's file, up to its first point.
pub(super) const FILE: &str = "file";
/// The column with the place of each line: the number of its file, then that of the line in it.
pub(super) const LINE: &str = "_line";
/// The columns that those of workloads become.
const NAME: &str = "column";
const VALUE: &str = "value";

const BATCH_ROWS: usize = 8192;
/// Lines between two looks at whether to stop.
const STOP_LINES: u64 = 4096;

/// Text files of one table.
pub(super) struct TextFiles {
    paths: Vec<PathBuf>,
    dialects: Vec<Dialect>,
}

/// What was made of them.
pub(super) struct Converted {
    /// A Parquet file, which goes when this is dropped.
    pub(super) file: NamedTempFile,
    /// What the account has to say of the files.
    pub(super) notes: Vec<String>,
    /// The files' names.
    names: Vec<String>,
}

/// Lines of a file that places can tell apart.
const FILE_LINES: i64 = 1 << 40;

impl Converted {
    /// A place in words.
    pub(super) fn place(&self, place: i64) -> String {
        let (file, line) = (usize::try_from(place / FILE_LINES), place % FILE_LINES);
        match file.ok().and_then(|file| self.names.get(file)).filter(|_| self.names.len() > 1) {
            Some(name) => format!("{name} line {line}"),
            None => format!("line {line}"),
        }
    }
}

/// A line of values.
struct Line<'a> {
    fields: &'a ByteRecord,
    /// Its file's number.
    file: usize,
    /// Its file's name where there are several, and its number in it.
    shown_file: Option<&'a str>,
    line: u64,
    stem: &'a str,
    /// Where the fields of the table's columns are.
    places: &'a [usize],
}

impl Line<'_> {
    fn text(&self, column: usize) -> std::borrow::Cow<'_, str> {
        self.places.get(column).and_then(|place| self.fields.get(*place)).map(text_of).unwrap_or_default()
    }

    fn found(&self, text: &str) -> Found {
        Found::new(self.shown_file, self.line, text)
    }
}

impl TextFiles {
    /// Looks at the first lines of files that are to be read under a mapping, which may be empty.
    ///
    /// # Errors
    /// When one cannot be read, is no text, or has other columns than the first.
    pub(super) fn find(paths: Vec<PathBuf>, mapping: &Mapping) -> Result<Self> {
        let dialects: Vec<Dialect> = paths.iter().map(|path| dialect::find(path, mapping)).collect::<Result<_>>()?;
        if let Some((first, others)) = dialects.split_first() {
            let sorted = |dialect: &Dialect| {
                let mut columns = dialect.columns.clone();
                columns.sort_unstable();
                columns
            };
            let wanted = sorted(first);
            if let Some(other) = others.iter().position(|other| sorted(other) != wanted) {
                bail!(
                    "[collector.replay] file: {} has other columns than {}: {} instead of {}; replay them one by one, \
                     each with its mapping",
                    paths[other + 1].display(),
                    paths[0].display(),
                    others[other].columns.join(", "),
                    first.columns.join(", ")
                );
            }
        }
        Ok(Self { paths, dialects })
    }

    /// The columns that expressions can name.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        self.own_columns().iter().map(String::as_str).chain([FILE])
    }

    fn own_columns(&self) -> &[String] {
        self.dialects.first().map_or(&[][..], |dialect| &dialect.columns[..])
    }

    /// Reads them under a mapping that is not empty. Ends with an error soon after `stop`.
    ///
    /// # Errors
    /// When they cannot be read, with file and line, or no file can be written for temporary use.
    pub(super) fn convert(&self, mapping: &Mapping, stop: &CancellationToken) -> Result<Converted> {
        let mut instants = InstantReader::new(&mapping.text)?;
        let columns = self.own_columns();
        let roles: Vec<Role> = columns.iter().map(|column| Role::of(column, mapping)).collect();
        let mut surveys = vec![ColumnSurvey::default(); columns.len()];
        let is_kept: Vec<bool> = columns.iter().map(|column| Role::is_used(column, mapping)).collect();
        let is_melted = mapping.text.layout == Layout::Columns;
        let mut lines_short = 0u64;
        let mut first_short = None;
        let not_utf8 = self.walk(stop, |line| {
            for (column, survey) in surveys.iter_mut().enumerate().filter(|(column, _)| is_melted || is_kept[*column]) {
                let text = line.text(column);
                survey.take(&text, roles[column].is_instant.then_some(&instants), || line.found(&text));
            }
            if line.fields.len() < columns.len() {
                lines_short += 1;
                first_short.get_or_insert_with(|| line.found(&line.text(0)));
            }
            Ok(())
        })?;
        let mut table = Table::of(columns, surveys, mapping, &instants)?;
        let file = table.write(self, &mut instants, stop)?;
        let mut notes: Vec<String> = self.preface_note().into_iter().chain(self.headerless_note()).collect();
        if let Some(first) = first_short {
            notes.push(format!(
                "{lines_short} lines have fewer fields than the {} columns; what they lack is missing (the first begins \
                 with {first})",
                columns.len()
            ));
        }
        if not_utf8 > 0 {
            notes.push(format!("{not_utf8} lines are not UTF-8 and are read as Windows-1252"));
        }
        notes.extend(table.kept.iter().map(|(_, column)| column).chain(&table.value).flat_map(Column::notes));
        if instants.takes_for_utc() {
            notes.push(format!(
                "{} instants name no zone and are taken as UTC: if they are not, set zone, such as zone=Europe/Berlin on \
                 the command line",
                instants.without_zone
            ));
        }
        let name =
            |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Converted { file, notes, names: self.paths.iter().map(name).collect() })
    }

    fn preface_note(&self) -> Option<String> {
        let (count, begin) = self.dialects.iter().find_map(|dialect| dialect.preface.as_ref())?;
        Some(format!("{count} lines before the table are passed over, the first begins with {begin:?}"))
    }

    fn headerless_note(&self) -> Option<String> {
        let headerless = self.dialects.first().is_some_and(|dialect| dialect.is_headerless);
        let columns =
            || self.own_columns().iter().take(8).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        let note = || {
            format!(
                "the file seems to have no header, since its first line holds values: it is read as a row, and the \
                 columns are called {}; set header=yes if it is a header",
                columns()
            )
        };
        headerless.then(note)
    }

    /// Goes through all lines of values; gives how many of them are not UTF-8.
    fn walk(&self, stop: &CancellationToken, mut take: impl FnMut(&Line<'_>) -> Result<()>) -> Result<u64> {
        let (mut nth, mut not_utf8) = (0u64, 0u64);
        for (file, (path, dialect)) in self.paths.iter().zip(&self.dialects).enumerate() {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let stem = name.split('.').next().unwrap_or_default();
            let place = |column: &String| dialect.columns.iter().position(|own| own == column).unwrap_or(usize::MAX);
            let places: Vec<usize> = self.own_columns().iter().map(place).collect();
            let mut reader = dialect::records(Lines::of(open::open(path)?), dialect.separator);
            let mut fields = ByteRecord::new();
            let mut skipped = 0;
            loop {
                reader.get_mut().begin();
                let more = reader.read_byte_record(&mut fields);
                let after = reader.position().line();
                if !more.with_context(|| {
                    format!("[collector.replay] file = \"{}\" cannot be read after line {after}", path.display())
                })? {
                    break;
                }
                if skipped < dialect.skipped {
                    skipped += 1;
                    continue;
                }
                nth += 1;
                not_utf8 += u64::from(std::str::from_utf8(fields.as_slice()).is_err());
                if nth.is_multiple_of(STOP_LINES) {
                    ensure!(!stop.is_cancelled(), "the trace was not read to its end");
                }
                let line = first_line(&fields, after);
                check_fields(&fields, dialect, line)
                    .with_context(|| format!("[collector.replay] file = \"{}\"", path.display()))?;
                let shown_file = (self.paths.len() > 1).then_some(name.as_str());
                take(&Line { fields: &fields, file, shown_file, line, stem, places: &places })?;
            }
        }
        Ok(not_utf8)
    }
}

/// The number of the line that a record begins on, by that of the line `after` it. Its position is that of the blank lines
/// before it, where there are some.
fn first_line(fields: &ByteRecord, after: u64) -> u64 {
    let lines = fields.as_slice().split(|byte| *byte == b'\n').count() as u64;
    fields.position().map_or(0, csv::Position::line).max(after.saturating_sub(lines))
}

/// Refuses a line that cannot be of the table: no value may go to another column than its own.
fn check_fields(fields: &ByteRecord, dialect: &Dialect, line: u64) -> Result<()> {
    let columns = dialect.columns.len();
    let extra = fields.iter().skip(columns).any(|field| !field.is_empty());
    ensure!(
        !extra,
        "line {line} has {} fields where {} {columns}: if `{}` is the decimal sign as well, export the file with another \
         separator (such as ;), with decimal points, or with its numbers in quotes; if it is not what separates fields, \
         set separator",
        fields.len(),
        if dialect.is_headerless { "the first line has" } else { "the header has" },
        char::from(dialect.separator)
    );
    let spans_lines = || fields.iter().any(|field| field.contains(&b'\n'));
    ensure!(
        fields.len() >= columns || !spans_lines(),
        "line {line} has {} fields where there should be {columns}, and one of them goes on over several lines: a quote \
         is not closed there",
        fields.len()
    );
    Ok(())
}

/// The typed columns under way.
struct Table {
    /// Where the fields of columns are that stay columns.
    kept: Vec<(usize, Column)>,
    /// Where those are that become rows, and their names.
    melted: Vec<(usize, String)>,
    names: StringBuilder,
    value: Option<Column>,
    files: StringBuilder,
    line: Int64Builder,
    rows: usize,
    /// The column that is the workload, where one is.
    workload: Option<usize>,
}

impl Table {
    fn new() -> Self {
        Self {
            kept: Vec::new(),
            melted: Vec::new(),
            names: StringBuilder::new(),
            value: None,
            files: StringBuilder::new(),
            line: Int64Builder::new(),
            rows: 0,
            workload: None,
        }
    }

    /// Of columns that hold this, under a mapping.
    fn of(columns: &[String], surveys: Vec<ColumnSurvey>, mapping: &Mapping, instants: &InstantReader) -> Result<Self> {
        let is_melted = mapping.text.layout == Layout::Columns;
        let of_file = sign_of_file(&surveys);
        let mut table = Self::new();
        let mut melted = ColumnSurvey::default();
        for ((place, survey), name) in surveys.into_iter().enumerate().zip(columns) {
            let (role, is_used) = (Role::of(name, mapping), Role::is_used(name, mapping));
            if is_melted && !is_used {
                melted = melted.and(survey);
                table.melted.push((place, name.clone()));
                continue;
            }
            let of =
                if is_used { survey.column_type(name, role, of_file, mapping, instants)? } else { ColumnType::Text };
            table.kept.push((place, Column::new(name, role, of)));
        }
        if is_melted {
            ensure!(
                !table.melted.is_empty(),
                "[collector.replay.mapping.text] layout = \"columns\": the mapping names every column, so none is left to \
                 be a workload's"
            );
            let role = Role { is_instant: false, is_name: false, is_number: true };
            let of = match melted.column_type(VALUE, role, of_file, mapping, instants)? {
                ColumnType::Real(sign) => sign,
                _ => number::Sign::Point,
            };
            table.value = Some(Column::new(VALUE, role, ColumnType::Real(of)));
        }
        table.workload = columns.iter().position(|column| is_column(&mapping.workload, column));
        Ok(table)
    }

    fn write(
        &mut self,
        files: &TextFiles,
        instants: &mut InstantReader,
        stop: &CancellationToken,
    ) -> Result<NamedTempFile> {
        let unwritable = "cannot write a temporary file for the trace: set TMPDIR to a folder with room for it";
        let file =
            tempfile::Builder::new().prefix("prescale-trace-").suffix(".parquet").tempfile().context(unwritable)?;
        let schema = Arc::new(self.schema());
        let mut writer = ArrowWriter::try_new(file.reopen().context(unwritable)?, Arc::clone(&schema), None)?;
        files.walk(stop, |line| {
            self.push(line, instants);
            if self.rows >= BATCH_ROWS {
                writer.write(&self.batch(&schema)?).context(unwritable)?;
            }
            Ok(())
        })?;
        writer.write(&self.batch(&schema)?).context(unwritable)?;
        writer.close().context(unwritable)?;
        Ok(file)
    }

    fn schema(&self) -> Schema {
        let mut fields: Vec<Field> = self.kept.iter().map(|(_, column)| column.field()).collect();
        if let Some(value) = &self.value {
            fields.extend([Field::new(NAME, DataType::Utf8, true), value.field()]);
        }
        fields.extend([Field::new(FILE, DataType::Utf8, true), Field::new(LINE, DataType::Int64, true)]);
        let mut seen = Vec::new();
        // A file may have a column of one of these names itself: that one is meant.
        for field in fields {
            if seen.iter().all(|other: &Field| other.name() != field.name()) {
                seen.push(field);
            }
        }
        Schema::new(seen)
    }

    /// Takes a line: as a row, or as one of each workload's column.
    fn push(&mut self, line: &Line<'_>, instants: &mut InstantReader) {
        let place = FILE_LINES * line.file as i64 + i64::try_from(line.line).unwrap_or(0).min(FILE_LINES - 1);
        let workload = self.workload.map(|column| line.text(column)).unwrap_or_default();
        let rows = if self.value.is_some() { self.melted.len() } else { 1 };
        for (place, column) in &mut self.kept {
            let text = line.text(*place);
            column.push(&text, &workload, instants, || line.found(&text));
            (1..rows).for_each(|_| column.repeat());
        }
        if let Some(value) = &mut self.value {
            for (place, name) in &self.melted {
                let text = line.text(*place);
                value.push(&text, &workload, instants, || line.found(&text));
                self.names.append_value(name);
            }
        }
        for _ in 0..rows {
            self.files.append_value(line.stem);
            self.line.append_value(place);
        }
        self.rows += rows;
    }

    fn batch(&mut self, schema: &Arc<Schema>) -> Result<RecordBatch> {
        let mut arrays: Vec<(String, ArrayRef)> = Vec::with_capacity(schema.fields().len());
        for (_, column) in &mut self.kept {
            arrays.push((column.field().name().clone(), column.finish()));
        }
        if let Some(value) = &mut self.value {
            arrays.push((NAME.to_owned(), Arc::new(self.names.finish())));
            arrays.push((VALUE.to_owned(), value.finish()));
        }
        arrays.push((FILE.to_owned(), Arc::new(self.files.finish())));
        arrays.push((LINE.to_owned(), Arc::new(self.line.finish())));
        self.rows = 0;
        let of = |field: &Arc<Field>| {
            arrays.iter().find(|(name, _)| name == field.name()).map(|(_, array)| Arc::clone(array))
        };
        let columns: Vec<ArrayRef> = schema.fields().iter().filter_map(of).collect();
        RecordBatch::try_new(Arc::clone(schema), columns).context("cannot put the trace's columns together")
    }
}
