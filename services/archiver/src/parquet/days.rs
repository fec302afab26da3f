//! The open and the closed days of one partition: which records are archived, and when a file is due.

use super::journal::{Journal, each_entry};
use super::part::{Part, has_row, newest, write_part};
use super::table::Tabular;
use super::{Layout, date};
use crate::stage::Taken;
use anyhow::{Context as _, Result, bail, ensure};
use prescale_bus::crash_point::CrashPoint;
use prescale_domain::time::EventTime;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

/// A journal that got none of so many records of its partition is closed.
const IDLE_RECORDS: u64 = 20_000;
/// Days that are remembered as closed, and streams; what is forgotten is looked up again.
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
    streams: BTreeSet<Arc<str>>,
    /// Records of the partition that came when the last one of this day came.
    appended_at: u64,
}

impl Open {
    fn note<C: Tabular>(&mut self, offset: i64, value: &C, came: u64) {
        self.first.get_or_insert((offset, value.at()));
        self.last_offset = offset;
        self.rows += value.rows();
        if !self.streams.contains(value.stream()) {
            self.streams.insert(value.stream().into());
        }
        self.appended_at = came;
    }
}

/// One partition's days. While it lives no other process can open the partition's.
pub(super) struct Days<C> {
    layout: Layout,
    rules: Rules,
    open: BTreeMap<i64, Open>,
    /// By day, its newest file.
    closed: BTreeMap<i64, Option<Part>>,
    newest_ms: BTreeMap<Arc<str>, i64>,
    /// Days of which a record that came again was compared with what is archived.
    compared: BTreeSet<i64>,
    came: u64,
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
            newest_ms: BTreeMap::new(),
            compared: BTreeSet::new(),
            came: 0,
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
        self.open.insert(day, Open { journal, first, last_offset, rows, streams, appended_at: 0 });
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
        if self.newest_ms.len() >= REMEMBERED_MAX {
            self.newest_ms.clear();
        }
        let at_ms = value.at().as_ms();
        match self.newest_ms.get_mut(value.stream()) {
            Some(newest) => *newest = at_ms.max(*newest),
            None => {
                self.newest_ms.insert(value.stream().into(), at_ms);
            }
        }
        if self.is_due(day, value.at())? {
            self.close(day)?;
        }
        let came = self.came;
        let open = self.opened(day)?;
        open.journal.append(record.offset, bytes)?;
        open.note(record.offset, value, came);
        if open.rows >= self.rules.rows_max {
            self.close(day)?;
        }
        Ok(())
    }

    fn opened(&mut self, day: i64) -> Result<&mut Open> {
        if !self.open.contains_key(&day) {
            let path = self.layout.journals().join(format!("{day}.journal"));
            let journal = Journal::open(&path, |_| bail!("{} appeared from elsewhere", path.display()))?;
            File::open(self.layout.journals()).and_then(|folder| folder.sync_all())?;
            let open =
                Open { journal, first: None, last_offset: -1, rows: 0, streams: BTreeSet::new(), appended_at: 0 };
            self.open.insert(day, open);
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
        let is_idle = |(day, open): (&i64, &Open)| {
            let end_ms = date::end_ms(*day).saturating_add(self.rules.idle_ms);
            let is_past = |stream| self.newest_ms.get(stream).is_some_and(|newest| *newest >= end_ms);
            open.streams.iter().all(is_past) || self.came - open.appended_at >= IDLE_RECORDS
        };
        let idle: Vec<i64> = self.open.iter().filter(|o| is_idle(*o)).map(|(day, _)| *day).collect();
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
mod tests {
    use super::super::part::each_row;
    use super::*;
    use crate::examples::{fingerprint, newest_values};
    use arrow::array::{Array as _, AsArray as _};
    use arrow::datatypes::Float64Type;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use prescale_bus::ConsumedRecord;
    use prescale_contracts::Contract as _;
    use prescale_domain::fingerprint::Fingerprint;
    use proptest::prelude::*;

    const DAY: &str = "fingerprints/day=1970-01-01";
    const RULES: Rules = Rules { rows_max: 4, span_ms_max: 3_600_000, idle_ms: 600_000 };

    fn record(offset: i64, workload: &str, at_s: i64) -> (ConsumedRecord, Fingerprint) {
        of_value(offset, fingerprint(workload, at_s))
    }

    fn of_value(offset: i64, value: Fingerprint) -> (ConsumedRecord, Fingerprint) {
        let record = ConsumedRecord {
            topic: Fingerprint::TOPIC.into(),
            partition: 0,
            offset,
            appended_at_ms: 0,
            key: Some(value.workload.as_str().as_bytes().to_vec()),
            value: Some(value.encode().unwrap()),
            headers: Vec::new(),
        };
        (record, value)
    }

    fn layout(folder: &Path) -> Layout {
        Layout { folder: folder.to_owned(), topic: Fingerprint::TOPIC, partition: 0 }
    }

    fn take(days: &mut Days<Fingerprint>, records: &[(ConsumedRecord, Fingerprint)]) -> Result<()> {
        let taken: Vec<_> = records.iter().map(|(record, value)| Taken { record, value: value.clone() }).collect();
        days.take(&taken)
    }

    /// Takes records as a process that begins anew; what then lies in the day's folder.
    fn taken(folder: &Path, records: &[(ConsumedRecord, Fingerprint)]) -> Result<Vec<String>> {
        let layout = layout(folder);
        let mut days = Days::<Fingerprint>::open(layout.clone(), RULES)?;
        let other = Days::<Fingerprint>::open(layout, RULES).err().map(|e| e.to_string());
        assert!(other.is_some_and(|e| e.contains("another instance")), "one process at a time");
        take(&mut days, records)?;
        let entries = fs::read_dir(folder.join(DAY)).into_iter().flatten();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        Ok(names)
    }

    #[test]
    fn what_comes_again_is_left_out_and_another_log_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let log: Vec<_> = (0..5).map(|i| record(i, "web", i * 60)).collect();
        assert_eq!(taken(folder.path(), &log[..3]).unwrap(), ["part-0-0.parquet"]);
        let all = ["part-0-0.parquet", "part-0-2.parquet"];
        assert_eq!(taken(folder.path(), &log[1..]).unwrap(), all);
        assert_eq!(taken(folder.path(), &log).unwrap(), all, "nothing of it is new");
        for other in [record(1, "another", 60), record(1, "web", 61), record(4, "another", 240)] {
            let error = taken(folder.path(), &[other]).unwrap_err().to_string();
            assert!(error.contains("the archive is of another log"), "{error}");
        }
    }

    /// The names under which files of the first day were put aside.
    fn put_aside(folder: &Path) -> Vec<String> {
        let day = folder.join(".damaged").join(DAY);
        let entries = fs::read_dir(day).into_iter().flatten();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_that_is_damaged_is_put_aside_and_the_archive_goes_on() {
        let pages_are_lost = |path: &Path| {
            let mut bytes = fs::read(path).unwrap();
            let end = bytes.len() / 4;
            bytes[4..end].fill(0xff);
            fs::write(path, bytes).unwrap();
        };
        let the_end_is_lost = |path: &Path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        };
        let all_is_lost = |path: &Path| fs::write(path, b"").unwrap();
        let damages: [&dyn Fn(&Path); 3] = [&pages_are_lost, &the_end_is_lost, &all_is_lost];
        for damage in damages {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join(DAY).join("part-0-0.parquet");
            let archive = |from: i64, to: i64| {
                let mut days = Days::open(layout(folder.path()), Rules { rows_max: 1000, ..RULES }).unwrap();
                let log: Vec<_> = (from..to).map(|i| record(i, "web", i * 60)).collect();
                take(&mut days, &log).unwrap();
                days.close_all().unwrap();
            };
            archive(0, 3);
            damage(&file);
            let damaged = fs::read(&file).unwrap();
            archive(3, 5);
            assert_eq!(instants(folder.path()), [[180, 180, 240, 240]], "what comes is archived");
            assert_eq!(put_aside(folder.path()), ["part-0-0.parquet"]);
            assert_eq!(fs::read(folder.path().join(".damaged").join(DAY).join("part-0-0.parquet")).unwrap(), damaged);
            archive(1, 6);
            assert_eq!(instants(folder.path()), [[180, 180, 240, 240, 300, 300]], "and the file that was begun grows");
        }
    }

    #[test]
    fn what_comes_again_of_a_damaged_file_is_archived_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(DAY).join("part-0-0.parquet");
        let log: Vec<_> = (0..4).map(|i| record(i, "web", i * 60)).collect();
        let archived = || {
            let mut days = Days::open(layout(folder.path()), Rules { rows_max: 1000, ..RULES }).unwrap();
            take(&mut days, &log).unwrap();
            days.close_all().unwrap();
            instants(folder.path())
        };
        for aside in [&["part-0-0.parquet"][..], &["part-0-0.parquet", "part-0-0.parquet.1"]] {
            assert_eq!(archived(), [[0, 0, 60, 60, 120, 120, 180, 180]]);
            fs::write(&file, b"PAR1 is how it begins, and no more").unwrap();
            assert_eq!(archived(), [[0, 0, 60, 60, 120, 120, 180, 180]]);
            assert_eq!(put_aside(folder.path()), aside);
        }
    }

    #[test]
    fn a_day_is_closed_when_its_sources_are_past_it() {
        let folder = tempfile::tempdir().unwrap();
        let day_s = 86_400;
        let log = [record(0, "web", day_s - 60), record(1, "web", day_s + 540)];
        assert_eq!(taken(folder.path(), &log).unwrap(), Vec::<String>::new());
        assert_eq!(taken(folder.path(), &[record(2, "web", day_s + 600)]).unwrap(), ["part-0-0.parquet"]);
    }

    /// The instants of the first day's rows, in seconds, by file, in the order of time.
    fn instants(folder: &Path) -> Vec<Vec<i64>> {
        let entries = fs::read_dir(folder.join(DAY)).into_iter().flatten();
        let of_file = |path: &Path| {
            let mut of_file = Vec::new();
            each_row::<Fingerprint>(path, |_, at_ms| of_file.push(at_ms / 1000)).unwrap();
            of_file
        };
        let mut files: Vec<Vec<i64>> = entries.map(|entry| of_file(&entry.unwrap().path())).collect();
        files.sort();
        files
    }

    #[test]
    fn the_file_of_a_day_is_made_anew_once_as_much_has_come_as_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let rules = Rules { rows_max: 1000, ..RULES };
        let mut days = Days::open(layout(folder.path()), rules).unwrap();
        let mut grown_at = Vec::new();
        for minute in 0..300 {
            let before = instants(folder.path());
            take(&mut days, &[record(minute, "web", minute * 60)]).unwrap();
            let after = instants(folder.path());
            if after != before {
                assert_eq!((after.len(), after[0].len() as i64), (1, 2 * minute), "one file, of all that came before");
                grown_at.push(minute);
            }
        }
        assert_eq!(grown_at, [60, 120, 240]);
    }

    #[test]
    fn files_of_different_features_grow_into_one_with_all_columns() {
        let folder = tempfile::tempdir().unwrap();
        let mut newer = fingerprint("web", 120);
        newer.feature_schema_hash = "newer".into();
        for kpi in &mut newer.kpis {
            let windows = kpi.windows.as_deref_mut().unwrap();
            windows.short.extra = [("spread".to_owned(), Some(2.5))].into();
            windows.long.extra.clear();
        }
        let log = [newest_values("web", 0), fingerprint("web", 60), newer];
        for (offset, value) in (0..).zip(log) {
            let mut days = Days::open(layout(folder.path()), Rules { rows_max: 1000, ..RULES }).unwrap();
            take(&mut days, &[of_value(offset, value)]).unwrap();
            days.close_all().unwrap();
        }
        assert_eq!(instants(folder.path()), [[0, 0, 60, 60, 120, 120]]);
        let file = File::open(folder.path().join(DAY).join("part-0-0.parquet")).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let says = reader.metadata().file_metadata().key_value_metadata().unwrap();
        let hashes = says.iter().find(|pair| pair.key == "prescale.feature_schema_hashes").unwrap();
        assert_eq!(hashes.value.as_deref(), Some("0123456789abcdef,newer"));
        let batch = reader.build().unwrap().next().unwrap().unwrap();
        let column = |name: &str| -> Vec<Option<f64>> {
            batch.column_by_name(name).unwrap().as_primitive::<Float64Type>().iter().collect()
        };
        let (none, old, new) = (None, Some(1.5), Some(2.5));
        assert_eq!(column("long_extra_peak_to_mean"), [none, none, old, old, none, none]);
        assert_eq!(column("short_extra_spread"), [none, none, none, none, new, new]);
        assert_eq!(batch.column_by_name("short_p95").unwrap().null_count(), 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Each run gets some records that are new behind some that come again, and ends in good order or not.
        #[test]
        fn a_day_has_few_files_with_each_row_once(
            runs in prop::collection::vec((1_i64..15, 0_i64..4, any::<bool>()), 1..10),
            rows_max in 2_usize..50,
            span_minutes in 1_i64..20,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let rules = Rules { rows_max, span_ms_max: span_minutes * 60_000, ..RULES };
            let at_minute = |minute: i64| match minute % 5 {
                0 => record(minute, "web", minute * 60),
                _ => of_value(minute, newest_values("web", minute * 60)),
            };
            let mut next = 0;
            for (new, again, is_drained) in runs {
                let mut days = Days::open(layout(folder.path()), rules).unwrap();
                for minute in (next - again).max(0)..next + new {
                    take(&mut days, &[at_minute(minute)]).unwrap();
                    let files = instants(folder.path());
                    let rows: Vec<i64> = files.concat();
                    prop_assert!(rows.iter().copied().eq((0_i64..).flat_map(|m| [m * 60; 2]).take(rows.len())), "{rows:?}");
                    prop_assert!(files.windows(2).all(|pair| pair[0].len() + pair[1].len() > rows_max), "{files:?}");
                }
                next += new;
                if is_drained {
                    days.close_all().unwrap();
                    prop_assert_eq!(instants(folder.path()).concat().len() as i64, 2 * next);
                }
            }
        }
    }
}
