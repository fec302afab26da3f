//! Records that come, come again and come late, and what then lies in the folder.

use super::*;
use crate::examples::{fingerprint, newest_values};
use crate::parquet::part::each_row;
use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::Float64Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use prescale_bus::ConsumedRecord;
use prescale_contracts::Contract as _;
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::source::SourceName;
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

#[test]
fn a_day_does_not_wait_for_a_stream_that_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let day_s = 86_400;
    let of_source = |offset, source: &str, at_s: i64, appended_at_ms| {
        let value = Fingerprint { source: SourceName::new(source).unwrap(), ..fingerprint("web", at_s) };
        let (record, value) = of_value(offset, value);
        (ConsumedRecord { appended_at_ms, ..record }, value)
    };
    let rules = Rules { rows_max: 1000, ..RULES };
    let mut days = Days::open(layout(folder.path()), rules).unwrap();
    take(&mut days, &[of_source(0, "ends", 0, 1000), of_source(1, "goes-on", 0, 2000)]).unwrap();
    take(&mut days, &[of_source(2, "goes-on", day_s + 600, 3000)]).unwrap();
    take(&mut days, &[of_source(3, "goes-on", day_s + 660, 2000 + IDLE_MS - 1)]).unwrap();
    assert_eq!(instants(folder.path()), Vec::<Vec<i64>>::new(), "it may just be slow");
    drop(days);
    let mut days = Days::open(layout(folder.path()), rules).unwrap();
    take(&mut days, &[of_source(4, "goes-on", day_s + 720, 2000 + IDLE_MS)]).unwrap();
    assert_eq!(instants(folder.path()), Vec::<Vec<i64>>::new(), "when it was last heard of nobody knows after a start");
    take(&mut days, &[of_source(5, "goes-on", day_s + 780, 2000 + 2 * IDLE_MS)]).unwrap();
    assert_eq!(instants(folder.path()), [[0, 0, 0, 0]]);
    take(&mut days, &[of_source(6, "ends", 60, 2000 + 2 * IDLE_MS)]).unwrap();
    take(&mut days, &[of_source(7, "ends", day_s + 600, 2000 + 2 * IDLE_MS)]).unwrap();
    assert_eq!(instants(folder.path()), [[0, 0, 0, 0, 60, 60]], "had it been slow, its rows would be there as well");
}

#[test]
fn a_day_is_closed_when_all_of_many_streams_are_past_it() {
    let folder = tempfile::tempdir().unwrap();
    let streams = 1200;
    let mut days = Days::open(layout(folder.path()), Rules { rows_max: 100_000, ..RULES }).unwrap();
    for at_s in [0, 86_400 + 600] {
        let of_stream = |stream: i64| {
            let source = SourceName::new(format!("source-{stream}")).unwrap();
            of_value(at_s / 60 * streams + stream, Fingerprint { source, ..fingerprint("web", at_s) })
        };
        let log: Vec<_> = (0..streams).map(of_stream).collect();
        take(&mut days, &log).unwrap();
    }
    assert_eq!(instants(folder.path()).concat().len() as i64, 2 * streams);
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
