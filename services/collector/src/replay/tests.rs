//! Replays of generated traces onto an embedded bus.

use super::mapping::Mapping;
use super::*;
use crate::config::{Config, HostConfig, Moment, Speed};
use crate::event::ReplayReport;
use crate::run::{run_observed, run_reporting};
use crate::testing::{Mishap, Mishappen, TestBus};
use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use parquet::arrow::ArrowWriter;
use prescale_chassis::{Graph, Ids, StageEntry, audit};
use prescale_contracts::topics;
use prescale_domain::sample::{Platform, Sample};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// 2013-08-01T00:00:00Z.
const BEGIN_S: i64 = 1_375_315_200;

/// A row of the test trace: instant (s), VM, CPU (%), memory (MiB).
type Row = (Option<i64>, Option<i64>, Option<f64>, Option<f64>);

/// Seven VMs over `steps` steps of five minutes, ordered by VM, with faults of each kind.
fn rows(steps: i64) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for vm in 0..7 {
        for step in 0..steps {
            let at = BEGIN_S + 300 * step;
            let cpu = (step % 11 != 0).then_some(10.0 * vm as f64 + step as f64 / 7.0);
            let memory = (step % 11 != 0 || vm % 2 == 0).then_some(512.0 + vm as f64);
            rows.push((Some(at), (step % 17 != 3).then_some(vm), cpu, memory));
        }
    }
    rows.push((None, Some(1), Some(1.0), Some(1.0)));
    rows.push((None, None, None, None));
    rows
}

fn columns(rows: &[Row]) -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("ts", Arc::new(rows.iter().map(|r| r.0).collect::<Int64Array>())),
        ("vm", Arc::new(rows.iter().map(|r| r.1).collect::<Int64Array>())),
        ("cpu_pct", Arc::new(rows.iter().map(|r| r.2).collect::<Float64Array>())),
        ("Mem MiB", Arc::new(rows.iter().map(|r| r.3).collect::<Float64Array>())),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn parquet_file(path: &Path, batch: &RecordBatch) {
    let mut writer = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn csv_text(rows: &[Row]) -> String {
    let field = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
    rows.iter().fold("ts,vm,cpu_pct,Mem MiB\n".to_owned(), |mut text, (at, vm, cpu, memory)| {
        let whole = |value: Option<i64>| value.map(|v| v.to_string()).unwrap_or_default();
        writeln!(text, "{},{},{},{}", whole(*at), whole(*vm), field(*cpu), field(*memory)).unwrap();
        text
    })
}

fn trace(folder: &Path, name: &str, rows: &[Row]) -> PathBuf {
    let path = folder.join(name);
    match name.split_once('.') {
        Some((_, "parquet")) => parquet_file(&path, &columns(rows)),
        Some((_, "csv")) => std::fs::write(&path, csv_text(rows)).unwrap(),
        _ => std::fs::write(&path, zstd::encode_all(csv_text(rows).as_bytes(), 3).unwrap()).unwrap(),
    }
    path
}

fn mapping() -> Mapping {
    Mapping::parse(
        "entity='vm-' || vm,time=ts,cpu=cpu_pct / 100.0 * 4.0,memory=\"Mem MiB\" * 1048576.0,\
         cpu_capacity=nullif(vm, 0),memory_capacity=1073741824.0",
    )
    .unwrap()
}

fn config(file: PathBuf) -> Config {
    let replay = ReplayConfig {
        file,
        name: "t".to_owned(),
        mapping: mapping(),
        batch_samples_max: 50,
        lag_max_records: 0,
        ..ReplayConfig::default()
    };
    Config { replay, host: HostConfig { enabled: false, ..HostConfig::default() }, ..Config::default() }
}

/// With a stage that reads samples, which no test here runs.
fn context() -> Context {
    let reader = StageEntry {
        stage: "reader",
        input: topics::RAW_KPIS,
        outputs: &[topics::FINGERPRINTS],
        ids: Ids::OfInput,
        audit: audit::each,
    };
    Context::default().with_graph(Graph::new(&[reader]))
}

/// Replays until the end, or until the bus stops it: then `None`.
fn replayed(bus: Arc<dyn Bus>, config: &Config, shutdown: &CancellationToken) -> Result<Option<ReplayReport>> {
    let mut report = None;
    run_reporting(config, &context(), bus, shutdown, |r| {
        report = Some(r);
        shutdown.cancel();
    })?;
    Ok(report)
}

fn whole(test: &TestBus, config: &Config) -> Result<ReplayReport> {
    Ok(replayed(Arc::clone(&test.bus), config, &CancellationToken::new())?.expect("it came to its end"))
}

fn refused(config: &Config) -> String {
    format!("{:#}", whole(&TestBus::new(), config).expect_err("it is refused"))
}

fn value(sample: &Sample, name: &str) -> Option<f64> {
    sample.kpis.iter().find(|k| k.name.as_str() == name).and_then(|k| k.value)
}

#[test]
fn every_row_is_accounted_for_in_every_format() {
    let mut first: Option<Vec<Sample>> = None;
    for name in ["t.parquet", "t.csv", "t.csv.zst"] {
        let test = TestBus::new();
        let report = whole(&test, &config(trace(test.folder.path(), name, &rows(40)))).unwrap();
        assert_eq!(report.rows_read, 7 * 40 + 2, "{name}");
        let dropped = BTreeMap::from([("no_instant", 2), ("no_workload", 3 * 7), ("no_kpis", 4 * 3)]);
        assert_eq!(report.rows_dropped, dropped, "{name}");
        assert_eq!(report.samples_written, 7 * 40 - 33);
        assert_eq!(report.first_at, Some(EventTime::from_s(BEGIN_S)));
        assert_eq!(report.last_at, Some(EventTime::from_s(BEGIN_S + 39 * 300)));
        let samples = test.samples();
        assert_eq!(samples.len() as u64, report.samples_written);
        assert_eq!(first.get_or_insert_with(|| samples.clone()), &samples, "{name}");
    }
}

/// A difference below zero in unsigned arithmetic makes text of a whole column, and so do words for "no value".
#[test]
fn a_few_values_that_are_no_numbers_cost_those_values_alone() {
    let test = TestBus::new();
    let path = test.folder.path().join("underflow.csv");
    let milli = |row: i64| match row {
        40 | 90 => "18446744073709551591".to_owned(),
        60 => "N/A".to_owned(),
        70 => String::new(),
        row => (30 + row % 5).to_string(),
    };
    let text = (0..100).fold("ts,pod,milli,mem\n".to_owned(), |text, row| {
        text + &format!("{},api-7,{},1000\n", BEGIN_S + 60 * row, milli(row))
    });
    std::fs::write(&path, text).unwrap();
    for (name, cpu) in [("plain", "milli / 1000.0"), ("cast", "try_cast(milli as double) / 1000.0")] {
        let mut config = config(path.clone());
        config.replay.name = name.to_owned();
        config.replay.mapping = Mapping::parse(&format!("entity=pod,time=ts,cpu={cpu},memory=mem")).unwrap();
        let test = TestBus::new();
        assert_eq!(whole(&test, &config).unwrap().samples_written, 100, "{name}");
        let values: Vec<Option<f64>> = test.samples().iter().map(|s| value(s, "cpu_cores_used")).collect();
        assert_eq!((values[60], values[70], values[39]), (None, None, Some(0.034)), "{name}");
        assert!(values[40].is_some_and(|v| v > 1e16) && values[90].is_some(), "{name}: the admission judges it");
        assert_eq!(values.iter().flatten().filter(|v| **v < 0.04).count(), 96, "{name}");
    }
}

#[test]
fn a_column_of_words_is_refused_with_line_and_value() {
    let test = TestBus::new();
    let path = test.folder.path().join("words.csv");
    std::fs::write(&path, format!("ts,vm,size\n{BEGIN_S},a,small\n{},a,2\n", BEGIN_S + 60)).unwrap();
    let mut config = config(path);
    config.replay.mapping = Mapping::parse("entity=vm,time=ts,cpu=size * 2.0").unwrap();
    let refusal = refused(&config);
    assert!(refusal.contains("kpis.cpu_cores_used") && refusal.contains("\"small\", line 2"), "{refusal}");
}

#[test]
fn samples_say_what_the_mapping_says() {
    let test = TestBus::new();
    whole(&test, &config(trace(test.folder.path(), "t.parquet", &rows(40)))).unwrap();
    let samples = test.samples();
    for sample in &samples {
        assert_eq!((sample.step_s, sample.platform, &*sample.source), (300, Platform::OBSERVED_ONLY, "replay:t"));
        let vm: f64 = sample.workload.as_str().strip_prefix("vm-").unwrap().parse().unwrap();
        let step = (sample.at.as_ms() / 1000 - BEGIN_S) / 300;
        let cpu = value(sample, "cpu_cores_used");
        assert_eq!(cpu.is_none(), step % 11 == 0, "null is a mask");
        assert!(cpu.is_none_or(|cpu| (cpu - (10.0 * vm + step as f64 / 7.0) / 25.0).abs() < 1e-9));
        assert_eq!(value(sample, "memory_bytes"), Some((512.0 + vm) * 1_048_576.0));
        let cores = sample.capacity.as_ref().map(|c| c.cpu_cores_per_replica);
        assert_eq!(cores, (vm > 0.0).then_some(vm), "no cores, no capacity");
    }
    let records = test.records(topics::RAW_KPIS);
    for partition in 0..4 {
        let at: Vec<_> = records.iter().filter(|r| r.partition == partition).map(|r| ce(r, "ce_time")).collect();
        assert!(at.is_sorted(), "in the order of their instants");
    }
}

fn ce(record: &prescale_bus::ConsumedRecord, name: &str) -> String {
    String::from_utf8(record.header(name).unwrap().to_vec()).unwrap()
}

#[test]
fn a_replay_that_is_done_stays_done_and_another_name_begins_anew() {
    let test = TestBus::new();
    let mut config = config(trace(test.folder.path(), "t.csv", &rows(10)));
    let report = whole(&test, &config).unwrap();
    let records = test.records(topics::RAW_KPIS);
    assert_eq!(whole(&test, &config).unwrap(), report);
    assert_eq!(test.records(topics::RAW_KPIS), records);
    config.replay.name = "again".to_owned();
    assert_eq!(whole(&test, &config).unwrap(), report);
    let all = test.records(topics::RAW_KPIS);
    let mut ids: Vec<String> = all.iter().map(|r| ce(r, "ce_id")).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((all.len(), ids.len()), (2 * records.len(), 2 * records.len()));
}

#[test]
fn another_trace_under_the_same_name_is_refused() {
    let test = TestBus::new();
    let file = trace(test.folder.path(), "t.csv", &rows(40));
    let before = config(file.clone());
    let shutdown = CancellationToken::new();
    let stopping = Mishappen::new(&test.bus, 2, Mishap::StopAfter, &shutdown);
    assert_eq!(replayed(Arc::new(stopping), &before, &shutdown).unwrap(), None);
    let refusal = |change: &dyn Fn(&mut ReplayConfig)| {
        let mut config = before.clone();
        change(&mut config.replay);
        format!("{:#}", whole(&test, &config).unwrap_err())
    };
    let other = trace(test.folder.path(), "other.csv", &rows(41));
    let message = refusal(&|c| c.file.clone_from(&other));
    assert!(message.contains("the file is not the same") && message.contains("[collector.replay] name"), "{message}");
    let message = refusal(&|c| c.mapping = Mapping::parse("entity=vm,time=ts,cpu=cpu_pct").unwrap());
    assert!(message.contains("the mapping is not the same"), "{message}");
    assert!(refusal(&|c| c.to = Moment::After { seconds: 3600 }).contains("the range"));
    assert!(refusal(&|c| c.step_s = 60).contains("the step"));
    assert_eq!(whole(&test, &before).unwrap().rows_read, 7 * 40 + 2, "as it was it goes on");
}

#[test]
fn a_range_leaves_out_what_lies_outside() {
    let test = TestBus::new();
    let file = trace(test.folder.path(), "t.parquet", &rows(40));
    for (name, from, to, steps) in [("a", "", "+3000s", 0..10), ("b", "1375316100", "2013-08-01T00:30:00Z", 3..6)] {
        let mut config = config(file.clone());
        config.replay.name = name.to_owned();
        (config.replay.from, config.replay.to) = (from.parse().unwrap(), to.parse().unwrap());
        let report = whole(&test, &config).unwrap();
        let within = steps.end - steps.start;
        assert_eq!(report.rows_read, 7 * within + 2, "{name}: rows without an instant are in any range");
        let source = format!("replay:{name}");
        let samples = test.samples().into_iter().filter(|s| *s.source == *source);
        let seen: Vec<i64> = samples.map(|s| (s.at.as_ms() / 1000 - BEGIN_S) / 300).collect();
        assert!(seen.iter().all(|step| (steps.start as i64..steps.end as i64).contains(step)), "{seen:?}");
    }
    let mut empty = config(file);
    (empty.replay.name, empty.replay.from) = ("c".to_owned(), "2014-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(whole(&test, &empty).unwrap().rows_read, 2);
    empty.replay.to = "2013-01-01T00:00:00Z".parse().unwrap();
    assert!(refused(&empty).contains("[collector.replay] to"));
}

#[test]
fn instants_are_read_in_all_their_units() {
    let instants = [BEGIN_S, BEGIN_S + 60, BEGIN_S + 120];
    let text = ["2013-08-01T00:00:00Z", "2013-08-01T01:01:00+01:00", "2013-08-01 00:02:00"];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("vm", Arc::new(StringArray::from(vec!["a"; 3]))),
        ("cpu", Arc::new(Float64Array::from(vec![1.0; 3]))),
        ("s", Arc::new(Int64Array::from_iter_values(instants))),
        ("real", Arc::new(Float64Array::from_iter_values(instants.map(|s| s as f64)))),
        ("ms", Arc::new(Int64Array::from_iter_values(instants.map(|s| s * 1000)))),
        ("text", Arc::new(StringArray::from(text.to_vec()))),
        ("stamp", Arc::new(TimestampMicrosecondArray::from_iter_values(instants.map(|s| s * 1_000_000)))),
    ];
    let test = TestBus::new();
    let file = test.folder.path().join("t.parquet");
    parquet_file(&file, &RecordBatch::try_from_iter(columns).unwrap());
    for (column, unit) in
        [("s", "s"), ("real", "auto"), ("ms", "ms"), ("text", "rfc3339"), ("text", "auto"), ("stamp", "auto")]
    {
        let mut config = config(file.clone());
        config.replay.name = format!("{column}-{unit}");
        config.replay.mapping = Mapping::parse(&format!("entity=vm,time={column},time_unit={unit},cpu=cpu")).unwrap();
        config.replay.to = "+121s".parse().unwrap();
        let report = whole(&test, &config).unwrap();
        let (first, last) = (report.first_at.unwrap(), report.last_at.unwrap());
        assert_eq!((first.as_ms(), last.as_ms()), (BEGIN_S * 1000, BEGIN_S * 1000 + 120_000), "{column} {unit}");
        assert_eq!(report.samples_written, 3);
    }
    let mut config = config(file);
    config.replay.mapping = Mapping::parse("entity=vm,time=ms,cpu=cpu").unwrap();
    assert!(refused(&config).contains("instant_unit = \"ms\""));
    config.replay.mapping = Mapping::parse("entity=vm,time=s,time_unit=rfc3339,cpu=cpu").unwrap();
    assert!(refused(&config).contains("[collector.replay.mapping] instant"));
}

#[test]
fn what_is_wrong_with_a_mapping_or_a_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = trace(folder.path(), "t.csv", &rows(10));
    let mapped = |text: &str| {
        let mut config = config(file.clone());
        config.replay.mapping = Mapping::parse(text).unwrap();
        refused(&config)
    };
    let message = mapped("entity=vm,time=ts,cpu=cpu_pctt / 100.0");
    assert!(message.contains("kpis.cpu_cores_used = \"cpu_pctt / 100.0\""), "{message}");
    assert!(message.contains("columns are: ts, vm, cpu_pct, Mem MiB"), "{message}");
    assert!(mapped("entity=vm,time=ts,memory=1 +").contains("kpis.memory_bytes"));
    assert!(mapped("entity=vm,time=ts,memory=sum(cpu_pct)").contains("kpis.memory_bytes"));
    assert!(mapped("entity=who,time=ts,cpu=cpu_pct").contains("workload = \"who\""));
    assert!(mapped("entity=vm,time=when,cpu=cpu_pct").contains("instant = \"when\""));
    assert!(
        mapped("entity=vm,time=ts,cpu=cpu_pct,cpu_capacity=x,memory_capacity=1.0").contains("cpu_capacity = \"x\"")
    );
    let mut unknown = config(file.clone());
    unknown.replay.mapping = Mapping::default();
    assert!(refused(&unknown).contains("no trace that is known; its columns are: ts, vm"));
    assert!(refused(&config(folder.path().join("none.csv"))).contains("there is no such file"));
    let other = folder.path().join("t.csv.zip");
    std::fs::write(&other, b"PK\x03\x04and so on").unwrap();
    assert!(refused(&config(other)).contains("unpack it"));
    let torn = folder.path().join("torn.parquet");
    std::fs::write(&torn, b"PAR1").unwrap();
    assert!(refused(&config(torn)).contains("torn.parquet"));
}

#[test]
fn cells_that_cannot_be_read_and_bad_names_lose_no_other_row() {
    let test = TestBus::new();
    let file = test.folder.path().join("t.csv");
    let long = "x".repeat(300);
    let text =
        format!("ts,vm,cpu\n0,a,1\n60,a,2.5\n120,a,broken\n180,,1\n240,{long},1\nsoon,a,1\n-60,a,1\n300,a,4\n360,a\n");
    std::fs::write(&file, text).unwrap();
    let mut config = config(file);
    config.replay.mapping = Mapping::parse("entity=vm,time=ts,time_unit=s,cpu=cpu").unwrap();
    let report = whole(&test, &config).unwrap();
    let dropped =
        [("bad_workload", 1), ("instant_out_of_range", 1), ("no_instant", 1), ("no_kpis", 2), ("no_workload", 1)];
    assert_eq!(report.rows_dropped, BTreeMap::from(dropped));
    assert_eq!((report.rows_read, report.samples_written), (9, 3));
}

#[test]
fn public_traces_need_no_mapping() {
    let test = TestBus::new();
    let file = test.folder.path().join("bitbrains.csv");
    let text = "ts,vm_id,cpu_cores,cpu_capacity_mhz,cpu_usage_pct,mem_capacity_mb,mem_usage_mb,disk_read_kbps,\
                disk_write_kbps,net_rx_kbps,net_tx_kbps\n\
                0,7,4,10400,50,2048,1024,1,2,3,4\n300,7,0,0,5,2048,1024,1,2,3,4\n";
    std::fs::write(&file, text).unwrap();
    let mut config = config(file);
    config.replay.mapping = Mapping::default();
    whole(&test, &config).unwrap();
    let samples = test.samples();
    assert_eq!((samples[0].workload.as_str(), samples[0].step_s), ("vm-7", 300));
    assert_eq!(value(&samples[0], "cpu_cores_used"), Some(2.0));
    assert_eq!(value(&samples[0], "memory_bytes"), Some(1024.0 * 1_048_576.0));
    assert_eq!(value(&samples[0], "network_transmit_bytes_per_s"), Some(4000.0));
    assert_eq!(samples[0].capacity.as_ref().unwrap().memory_bytes(), 2048.0 * 1_048_576.0);
    assert_eq!((value(&samples[1], "cpu_cores_used"), &samples[1].capacity), (None, &None), "its size is not known");
}

#[test]
fn it_waits_while_the_first_stage_is_too_far_behind() {
    let test = TestBus::new();
    let mut config = config(trace(test.folder.path(), "t.csv", &rows(40)));
    (config.replay.batch_samples_max, config.replay.lag_max_records) = (20, 60);
    let shutdown = CancellationToken::new();
    std::thread::scope(|threads| {
        let running = threads.spawn(|| replayed(Arc::clone(&test.bus), &config, &shutdown).unwrap());
        while test.records(topics::RAW_KPIS).len() < 80 && !running.is_finished() {
            std::thread::yield_now();
        }
        shutdown.cancel();
        assert_eq!(running.join().unwrap(), None);
    });
    assert_eq!(test.records(topics::RAW_KPIS).len(), 80, "the batch that passes the bound is the last");
    config.replay.lag_max_records = 0;
    assert_eq!(whole(&test, &config).unwrap().samples_written, test.samples().len() as u64);
}

#[test]
fn at_a_speed_the_same_samples_come_and_progress_is_told() {
    let test = TestBus::new();
    let mut config = config(trace(test.folder.path(), "t.csv", &rows(40)));
    config.replay.speed = Speed::Times(1e6);
    let (shutdown, told) = (CancellationToken::new(), std::sync::Mutex::new(Vec::new()));
    run_observed(&config, &Context::default(), Arc::clone(&test.bus), &shutdown, &|event| match event {
        Event::ReplayProgress { rows_done, rows_total } => told.lock().unwrap().push((rows_done, rows_total)),
        Event::ReplayEnded(_) => shutdown.cancel(),
        _ => {}
    })
    .unwrap();
    let told = told.into_inner().unwrap();
    assert!(told.is_sorted() && told.last() == Some(&(280, 280)), "{told:?}");
    let fast = TestBus::new();
    config.replay.speed = Speed::Max;
    whole(&fast, &config).unwrap();
    assert_eq!(test.records(topics::RAW_KPIS), fast.records(topics::RAW_KPIS));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_stop_at_any_write_changes_no_record(
        stop_at in 0u64..12,
        mishap in prop::sample::select(vec![Mishap::StopBefore, Mishap::StopAfter, Mishap::FailBefore, Mishap::FailAfter]),
        batch_samples_max in 3usize..60,
        shuffle in any::<u64>(),
    ) {
        let (test, undisturbed) = (TestBus::new(), TestBus::new());
        let mut all = rows(20);
        let draw = prescale_domain::fleet::draw::Draw::seeded(shuffle);
        all.sort_by(|a, b| draw.unit(format!("{a:?}").len() as i64 + a.0.unwrap_or(0) + 7 * a.1.unwrap_or(3)).total_cmp(
            &draw.unit(format!("{b:?}").len() as i64 + b.0.unwrap_or(0) + 7 * b.1.unwrap_or(3)),
        ));
        let file = trace(test.folder.path(), "t.parquet", &all);
        let mut config = config(file);
        let wanted = whole(&undisturbed, &config).unwrap();
        config.replay.batch_samples_max = batch_samples_max;
        let shutdown = CancellationToken::new();
        let bus = Mishappen::new(&test.bus, stop_at, mishap, &shutdown);
        let first = replayed(Arc::new(bus), &config, &shutdown).unwrap();
        let report = match first {
            Some(report) => report,
            None => whole(&test, &config).unwrap(),
        };
        prop_assert_eq!(report, wanted);
        prop_assert_eq!(test.records(topics::RAW_KPIS), undisturbed.records(topics::RAW_KPIS));
    }
}
