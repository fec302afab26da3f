//! The open and the closed days of one partition: which records are archived, and when a file is due.

use super::journal::{Journal, each_entry};
use super::part::{Part, has_row, newest, write_part};
use super::table::Tabular;
use super::{Layout, date};
use anyhow::{Context as _, Result, bail, ensure};
use prescale_bus::crash_point::CrashPoint;
use prescale_chassis::sink::Taken;
use prescale_domain::time::EventTime;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

/// A journal that got none of so many records of its partition is closed.
const IDLE_RECORDS: u64 = 20_000;
/// A journal that got nothing for so long is closed, by the log's clock: what it waits for may never come.
const IDLE_MS: i64 = 3_600_000;
/// Days that are remembered as closed; what is forgotten is looked up again.
const REMEMBERED_MAX: usize = 1000;

/// When a file is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) rows_max: usize,
    pub(crate) span_ms_max: i64,
    pub(crate) idle_ms: i64,
}

/// A journal with what decides when it is closed.
struct Open {
    journal: Journal,
    first: Option<(i64, EventTime)>,
    last_offset: i64,
    rows: usize,
    /// Streams that have records in it and are not past its day.
    streams: BTreeSet<Arc<str>>,
    /// Records of the partition that came when the last one of this day came.
    came: u64,
    /// The log's clock then; `None` until something came after a start.
    came_at_ms: Option<i64>,
}

impl Open {
    fn new(journal: Journal) -> Self {
        Self { journal, first: None, last_offset: -1, rows: 0, streams: BTreeSet::new(), came: 0, came_at_ms: None }
    }

    fn note<C: Tabular>(&mut self, offset: i64, value: &C) {
        self.first.get_or_insert((offset, value.at()));
        self.last_offset = offset;
        self.rows += value.rows();
        if !self.streams.contains(value.stream()) {
            self.streams.insert(value.stream().into());
        }
    }
}

/// One partition's days. While it lives no other process can open the partition's.
pub(super) struct Days<C> {
    layout: Layout,
    rules: Rules,
    open: BTreeMap<i64, Open>,
    /// By day, its newest file.
    closed: BTreeMap<i64, Option<Part>>,
    /// Days of which a record that came again was compared with what is archived.
    compared: BTreeSet<i64>,
    /// Records that came, and the newest instant at which the log had one.
    came: u64,
    came_at_ms: i64,
    _lock: File,
    _of: PhantomData<fn(C)>,
}

impl<C: Tabular> Days<C> {
    /// Takes the partition's journals, and finishes what a crash interrupted.
    pub(super) fn open(layout: Layout, rules: Rules) -> Result<Self> {
        let folder = layout.journals();
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let lock = File::create(folder.join("lock")).with_context(|| format!("cannot write {}", folder.display()))?;
        ensure!(lock.try_lock().is_ok(), "another instance has the files of {} open", folder.display());
        let mut days = Self {
            layout,
            rules,
            open: BTreeMap::new(),
            closed: BTreeMap::new(),
            compared: BTreeSet::new(),
            came: 0,
            came_at_ms: i64::MIN,
            _lock: lock,
            _of: PhantomData,
        };
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            match (path.extension().and_then(|e| e.to_str()), path.file_stem().and_then(|s| s.to_str()?.parse().ok())) {
                (Some("journal"), Some(day)) => days.load(day, &path)?,
                (Some("partial"), _) => fs::remove_file(&path)?,
                _ => {}
            }
        }
        Ok(days)
    }

    fn load(&mut self, day: i64, path: &Path) -> Result<()> {
        let (mut first, mut last_offset, mut rows, mut streams) = (None, -1, 0, BTreeSet::new());
        let journal = Journal::open(path, |entry| {
            let value = C::decode(&entry.value).with_context(|| format!("in {}", path.display()))?;
            first.get_or_insert((entry.offset, value.at()));
            last_offset = entry.offset;
            rows += value.rows();
            streams.insert(value.stream().into());
            Ok(())
        })?;
        if last_offset <= self.closed_to(day)? {
            drop(journal);
            return remove(path);
        }
        self.open.insert(day, Open { first, last_offset, rows, streams, ..Open::new(journal) });
        Ok(())
    }

    /// A day's newest file.
    fn newest(&mut self, day: i64) -> Result<Option<Part>> {
        if let Some(part) = self.closed.get(&day) {
            return Ok(*part);
        }
        let part = newest(&self.layout, day)?;
        if self.closed.len() >= REMEMBERED_MAX {
            self.closed.clear();
        }
        self.closed.insert(day, part);
        Ok(part)
    }

    /// The last position that a day's files hold; -1 for none.
    fn closed_to(&mut self, day: i64) -> Result<i64> {
        Ok(self.newest(day)?.map_or(-1, |part| part.last))
    }

    /// The last position that a day's files and its journal hold; -1 for none.
    fn archived_to(&mut self, day: i64) -> Result<i64> {
        Ok(self.open.get(&day).map_or(-1, |open| open.last_offset).max(self.closed_to(day)?))
    }

    /// The file that so many rows more of a day go into, when there is one that has room.
    fn with_room(&mut self, day: i64, rows: usize) -> Result<Option<Part>> {
        Ok(self.newest(day)?.filter(|part| part.rows.saturating_add(rows) <= self.rules.rows_max))
    }

    /// Whether a day's journal is to be closed before a record of this instant: it would span too much then, and the
    /// file that it goes into has no more rows. So each row of a day is written about twice, not with every span.
    fn is_due(&mut self, day: i64, at: EventTime) -> Result<bool> {
        let Some(open) = self.open.get(&day) else { return Ok(false) };
        let rows = open.rows;
        let span_ms = open.first.map_or(0, |(_, first)| at.as_ms().abs_diff(first.as_ms()));
        let is_long = span_ms >= self.rules.span_ms_max.unsigned_abs();
        Ok(is_long && self.with_room(day, rows)?.is_none_or(|part| part.rows <= rows))
    }

    /// Takes records; when it returns they are on disk.
    pub(super) fn take(&mut self, records: &[Taken<'_, C>]) -> Result<()> {
        for taken in records {
            self.came += 1;
            self.came_at_ms = self.came_at_ms.max(taken.record.appended_at_ms);
            self.take_one(taken)?;
        }
        for open in self.open.values_mut() {
            open.journal.sync()?;
        }
        CrashPoint::FilesAppended.pass();
        self.close_idle()
    }

    fn take_one(&mut self, Taken { record, value }: &Taken<'_, C>) -> Result<()> {
        let Some(bytes) = record.value.as_deref() else { return Ok(()) };
        let day = date::of_ms(value.at().as_ms());
        if record.offset <= self.archived_to(day)? {
            self.compare(day, record.offset, value)?;
            // The file that held it may have turned out to be damaged.
            if record.offset <= self.archived_to(day)? {
                return Ok(());
            }
        }
        if self.is_due(day, value.at())? {
            self.close(day)?;
        }
        self.pass(value);
        let (came, came_at_ms) = (self.came, self.came_at_ms);
        let open = self.opened(day)?;
        open.journal.append(record.offset, bytes)?;
        open.note(record.offset, value);
        (open.came, open.came_at_ms) = (came, Some(came_at_ms));
        if open.rows >= self.rules.rows_max {
            self.close(day)?;
        }
        Ok(())
    }

    /// Hears how far the record's stream has come.
    fn pass(&mut self, value: &C) {
        let idle_ms = self.rules.idle_ms;
        for (day, open) in &mut self.open {
            if value.at().as_ms() >= date::end_ms(*day).saturating_add(idle_ms) {
                open.streams.remove(value.stream());
            }
        }
    }

    fn opened(&mut self, day: i64) -> Result<&mut Open> {
        if !self.open.contains_key(&day) {
            let path = self.layout.journals().join(format!("{day}.journal"));
            let journal = Journal::open(&path, |_| bail!("{} appeared from elsewhere", path.display()))?;
            File::open(self.layout.journals()).and_then(|folder| folder.sync_all())?;
            self.open.insert(day, Open::new(journal));
        }
        self.open.get_mut(&day).context("the journal was just opened")
    }

    /// A record at an archived position is there already, unless the log is another than the one that
    /// was archived. The first of a day is looked up, unless the file that holds it is damaged.
    fn compare(&mut self, day: i64, offset: i64, value: &C) -> Result<()> {
        if self.compared.contains(&day) {
            return Ok(());
        }
        let mut is_there = false;
        if let Some(open) = self.open.get_mut(&day) {
            open.journal.sync()?;
            each_entry(open.journal.path(), |entry| {
                if entry.offset == offset {
                    let archived = C::decode(&entry.value)?;
                    is_there = (archived.workload(), archived.at()) == (value.workload(), value.at());
                }
                Ok(())
            })?;
        }
        if !is_there {
            match has_row::<C>(&self.layout, day, offset, value)? {
                Some(true) => {}
                Some(false) => bail!(
                    "position {offset} of {}/{} is archived in {} and holds another record: the archive is of another log; give [archiver.parquet] a new folder, or move this one away",
                    self.layout.topic,
                    self.layout.partition,
                    self.layout.folder.display()
                ),
                None => {
                    self.closed.remove(&day);
                    return Ok(());
                }
            }
        }
        self.compared.insert(day);
        Ok(())
    }

    fn close_idle(&mut self) -> Result<()> {
        let (came, came_at_ms) = (self.came, self.came_at_ms);
        let is_idle = |open: &mut Open| {
            let silent_ms = came_at_ms.saturating_sub(*open.came_at_ms.get_or_insert(came_at_ms));
            open.streams.is_empty() || came - open.came >= IDLE_RECORDS || silent_ms >= IDLE_MS
        };
        let idle: Vec<i64> = self.open.iter_mut().filter_map(|(day, open)| is_idle(open).then_some(*day)).collect();
        idle.into_iter().try_for_each(|day| self.close(day))
    }

    /// Closes every day that is open.
    pub(super) fn close_all(&mut self) -> Result<()> {
        let days: Vec<i64> = self.open.keys().copied().collect();
        days.into_iter().try_for_each(|day| self.close(day))
    }

    /// Makes a file of a day's journal, together with the newest one where both have room in one.
    fn close(&mut self, day: i64) -> Result<()> {
        let Some(mut open) = self.open.remove(&day) else { return Ok(()) };
        open.journal.sync()?;
        let path = open.journal.path().to_owned();
        let Some((first, _)) = open.first else { return remove(&path) };
        let new = Part { first, last: open.last_offset, rows: open.rows };
        let before = self.with_room(day, new.rows)?;
        let part = write_part::<C>(&self.layout, day, &path, new, before)?;
        metrics::counter!("prescale_archiver_rows_total", "topic" => C::TOPIC).increment(new.rows as u64);
        remove(&path)?;
        CrashPoint::FilesForgotten.pass();
        self.closed.insert(day, Some(part));
        self.compared.remove(&day);
        Ok(())
    }
}

fn remove(path: &Path) -> Result<()> {
    fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))
}

#[cfg(test)]
mod tests;
