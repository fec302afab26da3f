//! The archiver with real stores, each of them stopped in the middle, with a server that has the API of InfluxDB 2, and
//! with Parquet files while it is killed between its effects: what is in the store at the end is what is on the log.

use bus_tests::conformance::fixture::read_all;
use bus_tests::faults::crash::SIGABRT;
use integration_tests::influxdb2::{self, Influxdb2};
use integration_tests::pipeline::Pipeline;
use integration_tests::processes::until;
use integration_tests::stores::{Store, StoreKind};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use prescale::settings::Settings;
use prescale_archiver::Config;
use prescale_bus::crash_point::CrashPoint;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_bus::{Bus, Lag};
use prescale_chassis::{BusConfig, Context, GroupConfig};
use prescale_collector::Event;
use prescale_contracts::Contract;
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::group::GroupPrediction;
use prescale_domain::prediction::{Prediction, ResourceForecast};
use prescale_domain::quantiles::QUANTILE_LEVELS;
use prescale_domain::resource::Resource;
use prescale_domain::time::EventTime;
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const WORKLOADS: u32 = 6;

/// A log with four hours of a fleet and of the group of all its workloads, over a midnight, made once for all tests of this file.
fn log() -> &'static Path {
    static LOG: OnceLock<TempDir> = OnceLock::new();
    let folder = LOG.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder for the log");
        let mut settings = Settings::default();
        settings.collector.host.enabled = false;
        let fleet = &mut settings.collector.fleet;
        fleet.enabled = true;
        fleet.workloads = WORKLOADS;
        fleet.start = "2024-03-04T22:00:00Z".parse().expect("an instant");
        fleet.until = "+4h".parse().expect("a length");
        let all = GroupConfig { workloads: vec!["*".to_owned()], sources: Vec::new() };
        settings.grouper.groups.insert("all".to_owned(), all);
        let bus: Arc<dyn Bus> = Arc::new(open(&folder.path().join("log.db")));
        let pipeline = Pipeline::start(&bus, &settings);
        pipeline.collect_until(|event| matches!(event, Event::FleetEnded { .. }));
        pipeline.stop();
        folder
    });
    folder.path()
}

fn open(path: &Path) -> EmbeddedBus {
    // Retention would remove records of 2024.
    let options = EmbeddedOptions { maintenance_every: None, ..EmbeddedOptions::default() };
    EmbeddedBus::open(path, options).expect("the log opens")
}

fn decoded<C: Contract>(bus: &dyn Bus) -> Vec<C> {
    let value = |bytes: Option<Vec<u8>>| C::decode(&bytes.expect("a value")).expect("it can be decoded");
    read_all(bus, C::TOPIC).into_iter().map(|record| value(record.value)).collect()
}

/// An installation with small batches, so that there is a middle to stop in.
fn context(group_prefix: &str) -> Context {
    let bus = BusConfig { group_prefix: group_prefix.to_owned(), batch_records_max: 20, ..BusConfig::default() };
    Context::new(&bus)
}

fn lags(bus: &dyn Bus, config: &Config, context: &Context) -> Vec<Lag> {
    let lag = |stage: &str, topic: &str| bus.lag(&context.group(stage), topic).expect("the lag is readable");
    config.stages().iter().flat_map(|entry| lag(entry.stage, entry.input)).collect()
}

fn is_done(lags: &[Lag]) -> bool {
    lags.iter().any(|lag| lag.end > 0) && lags.iter().all(|lag| lag.behind() == 0)
}

/// Runs the archiver for as long as `meanwhile` does.
fn archiving(bus: &Arc<dyn Bus>, config: &Config, context: &Context, meanwhile: impl FnOnce()) {
    let shutdown = &CancellationToken::new();
    std::thread::scope(|scope| {
        let stop_at_end = shutdown.clone().drop_guard();
        let running = scope.spawn(move || prescale_archiver::run(config, context, Arc::clone(bus), shutdown));
        meanwhile();
        drop(stop_at_end);
        running.join().expect("it does not panic").expect("it ends well");
    });
}

fn shared_log() -> Arc<dyn Bus> {
    Arc::new(open(&log().join("log.db")))
}

/// Archives the log into a store that is absent at first and stopped in the middle.
fn archive_with_outages(store: &mut Store, config: &Config, stop: fn(&mut Store), ready: fn(&Store)) {
    let (bus, context) = (shared_log(), context(&format!("to-{}", store.url())));
    let not_ready = || context.health.not_ready();
    let waits = || not_ready().iter().filter(|(_, why)| why.contains("waits")).count() == config.stages().len();
    archiving(&bus, config, &context, || {
        until("the absent store to show in the health", waits);
        assert!(lags(bus.as_ref(), config, &context).iter().all(|lag| lag.position == 0), "no position moves");
        store.run();
        ready(store);
        let position = || lags(bus.as_ref(), config, &context).iter().map(|lag| lag.position).sum::<i64>();
        let end = lags(bus.as_ref(), config, &context).iter().map(|lag| lag.end).sum::<i64>();
        until("some records to be archived", || position() > end / 10);
        stop(store);
        until("the stopped store to show in the health", || !not_ready().is_empty());
        assert!(position() < end, "there was a middle to stop in");
        store.run();
        until("everything to be archived", || is_done(&lags(bus.as_ref(), config, &context)));
        assert_eq!(not_ready(), []);
    });
}

/// A sample: its series and instant, in milliseconds, with the value.
type Samples = BTreeMap<(String, i64), f64>;

fn expected_samples(bus: &dyn Bus) -> Samples {
    let mut samples = Samples::new();
    for f in decoded::<Fingerprint>(bus) {
        for kpi in &f.kpis {
            let resource = Resource::of_kpi(kpi.name.as_str());
            let capacity = f.capacity.as_ref().zip(resource).map(|(c, r)| r.of(c));
            let p95 = kpi.windows.as_ref().and_then(|windows| windows.short.p95);
            for (name, value) in [("last", kpi.last), ("capacity", capacity), ("p95 short", p95)] {
                if let Some(value) = value {
                    samples.insert((format!("{} {} {name}", f.workload, kpi.name), f.at.as_ms()), value);
                }
            }
        }
    }
    for p in decoded::<Prediction>(bus) {
        expect_quantiles(&mut samples, p.workload.as_str(), p.made_at, &p.resources);
    }
    let groups = decoded::<GroupPrediction>(bus);
    assert!(groups.len() > 30, "{} predictions of the group", groups.len());
    for p in groups {
        expect_quantiles(&mut samples, &format!("group {}", p.group), p.made_at, &p.resources);
    }
    samples
}

fn expect_quantiles(samples: &mut Samples, of: &str, made_at: EventTime, resources: &[ResourceForecast]) {
    for r in resources {
        for h in &r.horizons {
            for (statistic, quantiles, _) in h.statistics() {
                for (level, value) in QUANTILE_LEVELS.iter().zip(quantiles.values()) {
                    let series = format!("{of} {} {} {} {level}", r.resource, h.horizon_s, statistic.name());
                    samples.insert((series, made_at.as_ms()), *value);
                }
            }
        }
    }
}

/// Names a series by its labels.
type SeriesOf = fn(&Value) -> String;

/// What a store with Prometheus' API has.
fn prometheus_samples(store: &Store) -> Samples {
    let mut samples = Samples::new();
    let selectors: [(&str, SeriesOf); 5] = [
        ("prescale_fingerprint_last", |m| format!("{} last", labels(m, &["workload", "kpi"]))),
        ("prescale_fingerprint_capacity", |m| format!("{} capacity", labels(m, &["workload", "kpi"]))),
        ("prescale_fingerprint_p95", |m| format!("{} p95 {}", labels(m, &["workload", "kpi"]), labels(m, &["window"]))),
        ("prescale_prediction", |m| labels(m, &["workload", "resource", "horizon_s", "statistic", "quantile"])),
        ("prescale_group_prediction", |m| {
            format!("group {}", labels(m, &["group", "resource", "horizon_s", "statistic", "quantile"]))
        }),
    ];
    for (selector, series_of) in selectors {
        let query = [("query", &*format!("{selector}[6h]")), ("time", "2024-03-05T03:00:00Z")];
        let answer = store.json("/api/v1/query", &query);
        for series in answer["data"]["result"].as_array().expect("a list") {
            for pair in series["values"].as_array().expect("a list") {
                let at_ms = (pair[0].as_f64().expect("an instant") * 1000.0).round() as i64;
                let value = pair[1].as_str().and_then(|text| text.parse().ok()).expect("a number");
                assert_eq!(samples.insert((series_of(&series["metric"]), at_ms), value), None, "{series}");
            }
        }
    }
    samples
}

fn labels(metric: &Value, names: &[&str]) -> String {
    names.iter().map(|name| metric[*name].as_str().expect("a label")).collect::<Vec<_>>().join(" ")
}

/// What a field of InfluxDB is called among the samples; `None` for one that is not compared.
fn name_in_influxdb(measurement: &str, tags: &Value, field: &str) -> Option<String> {
    if measurement == "prescale_fingerprint" {
        let field = if field == "short_p95" { "p95 short" } else { field };
        return Some(format!("{} {field}", labels(tags, &["workload", "kpi"])));
    }
    let level = QUANTILE_LEVELS.iter().find(|level| field == format!("q{:02.0}", **level * 100.0))?;
    let forecast = format!("{} {level}", labels(tags, &["resource", "horizon_s", "statistic"]));
    match measurement {
        "prescale_prediction" => Some(format!("{} {forecast}", labels(tags, &["workload"]))),
        "prescale_group_prediction" => Some(format!("group {} {forecast}", labels(tags, &["group"]))),
        other => panic!("{other} is none of the archiver's"),
    }
}

/// What InfluxDB 1 has.
fn influxdb_samples(store: &Store) -> Samples {
    let mut samples = Samples::new();
    for measurement in ["prescale_fingerprint", "prescale_prediction", "prescale_group_prediction"] {
        let query = format!("SELECT * FROM {measurement} GROUP BY *");
        let answer = store.json("/query", &[("db", "prescale"), ("epoch", "ms"), ("q", &query)]);
        for series in answer["results"][0]["series"].as_array().unwrap_or_else(|| panic!("no series: {answer}")) {
            let columns = series["columns"].as_array().expect("a list");
            for row in series["values"].as_array().expect("a list") {
                let at_ms = row[0].as_i64().expect("an instant");
                for (column, value) in columns.iter().zip(row.as_array().expect("a row")).skip(1) {
                    let name = name_in_influxdb(measurement, &series["tags"], column.as_str().expect("a name"));
                    if let Some((name, value)) = name.zip(value.as_f64()) {
                        assert_eq!(samples.insert((name, at_ms), value), None, "{}", series["tags"]);
                    }
                }
            }
        }
    }
    samples
}

/// What InfluxDB 2 has.
fn influxdb2_samples(store: &Influxdb2) -> Samples {
    let mut samples = Samples::new();
    for ((series, at_ms), fields) in store.points() {
        let (measurement, tags) = series.split_once(',').expect("tags");
        let tags = tags.split(',').map(|tag| tag.split_once('=').expect("NAME=VALUE"));
        let tags: Value = tags.map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
        for (field, value) in fields {
            if let Some(name) = name_in_influxdb(measurement, &tags, &field) {
                samples.insert((name, at_ms), value.parse().expect("a number"));
            }
        }
    }
    samples
}

fn assert_same(got: &Samples, expected: &Samples, relative_error_max: f64) {
    assert!(expected.len() > 20_000, "{} samples on the log", expected.len());
    let missing: Vec<_> = expected.keys().filter(|key| !got.contains_key(*key)).take(5).collect();
    assert!(missing.is_empty(), "{} samples of {}; missing, among others: {missing:?}", got.len(), expected.len());
    assert_eq!(got.len(), expected.len(), "nothing but what is on the log");
    for (key, value) in expected {
        let error = (got[key] - value).abs();
        assert!(error <= relative_error_max * value.abs(), "{key:?}: {} for {value}", got[key]);
    }
}

fn prometheus_config(store: &Store) -> Config {
    let mut config = Config::default();
    config.prometheus.url = format!("{}/api/v1/write", store.url());
    config.prometheus.features = vec!["short_p95".to_owned()];
    config
}

#[test]
fn prometheus_that_is_killed_has_everything_in_the_end() {
    let mut store = Store::stopped(StoreKind::Prometheus);
    let config = prometheus_config(&store);
    archive_with_outages(&mut store, &config, Store::kill, |_| {});
    assert_same(&prometheus_samples(&store), &expected_samples(&open(&log().join("log.db"))), 0.0);
}

#[test]
fn victoria_metrics_that_is_stopped_has_everything_in_the_end() {
    let mut store = Store::stopped(StoreKind::VictoriaMetrics);
    let config = prometheus_config(&store);
    archive_with_outages(&mut store, &config, Store::terminate, |_| {});
    let expected = expected_samples(&open(&log().join("log.db")));
    // It shows new samples after a moment.
    until("all samples to be seen", || prometheus_samples(&store).len() >= expected.len());
    // It keeps numbers as decimals.
    assert_same(&prometheus_samples(&store), &expected, 1e-9);
}

#[test]
fn influxdb_that_is_killed_has_everything_in_the_end() {
    let mut store = Store::stopped(StoreKind::Influxdb);
    let mut config = Config::default();
    config.influxdb.url = store.url();
    config.influxdb.database = "prescale".to_owned();
    config.influxdb.features = vec!["short_p95".to_owned()];
    let make = |store: &Store| drop(store.json("/query", &[("q", "CREATE DATABASE prescale")]));
    archive_with_outages(&mut store, &config, Store::kill, make);
    // JSON numbers are read to the last bit but one.
    assert_same(&influxdb_samples(&store), &expected_samples(&open(&log().join("log.db"))), f64::EPSILON);
}

#[test]
fn influxdb_2_over_tls_has_everything_in_the_end() {
    let (store, folder) = (Influxdb2::start(), tempfile::tempdir().expect("a folder"));
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, "carp").expect("it is written");
    let mut config = Config::default();
    config.influxdb.url = store.url().to_owned();
    config.influxdb.org = influxdb2::ORG.to_owned();
    config.influxdb.bucket = influxdb2::BUCKET.to_owned();
    config.influxdb.features = vec!["short_p95".to_owned()];
    config.influxdb.access.token_file = token_file.clone();
    let (bus, distrustful, trusting) = (shared_log(), context("distrustful"), context("trusting"));
    let shows = |context: &Context, words: &str| context.health.not_ready().iter().any(|(_, why)| why.contains(words));
    archiving(&bus, &config, &distrustful, || {
        until("a certificate of an unknown signer to show in the health", || shows(&distrustful, "certificate"));
    });
    assert_eq!(store.answers(401), 0, "whom it does not trust it tells no token");
    config.influxdb.access.ca_file = store.ca_file();
    archiving(&bus, &config, &trusting, || {
        until("a wrong token to show in the health", || shows(&trusting, "401"));
        assert!(lags(bus.as_ref(), &config, &trusting).iter().all(|lag| lag.position == 0), "no position moves");
        std::fs::write(&token_file, influxdb2::TOKEN).expect("it is written");
        until("everything to be archived", || is_done(&lags(bus.as_ref(), &config, &trusting)));
        assert_eq!(trusting.health.not_ready(), []);
    });
    assert!(store.answers(503) > 0 && store.answers(413) > 0, "it was away, and was given too much at a time");
    assert_same(&influxdb2_samples(&store), &expected_samples(bus.as_ref()), 0.0);
}

#[test]
fn a_store_that_is_down_does_not_hold_up_the_others() {
    let store = Store::stopped(StoreKind::Prometheus);
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = prometheus_config(&store);
    config.parquet.folder = folder.path().to_owned();
    let (bus, context) = (shared_log(), context("one-down"));
    archiving(&bus, &config, &context, || {
        let parquet = Config { parquet: config.parquet.clone(), ..Config::default() };
        until("the files to have everything", || is_done(&lags(bus.as_ref(), &parquet, &context)));
        let of_prometheus = Config { prometheus: config.prometheus.clone(), ..Config::default() };
        assert!(lags(bus.as_ref(), &of_prometheus, &context).iter().all(|lag| lag.position == 0));
    });
    assert_files_hold_the_log(bus.as_ref(), folder.path());
}

const ROWS_PER_FILE_MAX: usize = 700;
const CHILD: &str = "PRESCALE_TEST_ARCHIVER_CHILD";

/// Not a test of its own: the process that the test below kills. It archives until nothing is left.
#[test]
fn child_archives_into_files() {
    let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    if let Some((name, passing)) = std::env::var("CRASH").ok().as_deref().and_then(|c| c.split_once('@')) {
        CrashPoint::named(name).expect("a point").arm(passing.parse().expect("a number"));
    }
    let (bus, context): (Arc<dyn Bus>, _) = (Arc::new(open(&folder.join("log.db"))), context("files"));
    let mut config = Config::default();
    config.parquet.folder = folder.join("archive");
    config.parquet.rows_per_file_max = ROWS_PER_FILE_MAX;
    config.parquet.span_s_max = 1800;
    archiving(&bus, &config, &context, || {
        until("everything to be archived", || is_done(&lags(bus.as_ref(), &config, &context)));
    });
}

#[test]
fn files_hold_every_row_once_though_the_archiver_is_killed_between_its_effects() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(log().join("log.db"), folder.path().join("log.db")).expect("the log is copied");
    let archive = |crash: Option<String>| {
        let mut child = Command::new(std::env::current_exe().expect("a test has a path"));
        child.args(["--exact", "archiver::child_archives_into_files", "--nocapture"]).env(CHILD, folder.path());
        child.envs(crash.map(|crash| ("CRASH", crash))).status().expect("the child starts")
    };
    let points = [
        CrashPoint::EmbeddedReady,
        CrashPoint::FilesAppended,
        CrashPoint::FilesWritten,
        CrashPoint::FilesRenamed,
        CrashPoint::FilesForgotten,
        CrashPoint::EmbeddedPositionMoved,
        CrashPoint::EmbeddedCommitted,
    ];
    for passing in [1, 4] {
        for point in points {
            let ended = archive(Some(format!("{}@{passing}", point.name())));
            assert_eq!(ended.signal(), Some(SIGABRT), "{} {passing}", point.name());
        }
    }
    assert!(archive(None).success());
    let bus = open(&folder.path().join("log.db"));
    assert_files_hold_the_log(&bus, &folder.path().join("archive"));
    for topic in [Fingerprint::TOPIC, Prediction::TOPIC, GroupPrediction::TOPIC] {
        assert_no_two_files_fit_into_one(&folder.path().join("archive").join(topic));
    }
    assert!(files(&folder.path().join("archive/.open")).iter().all(|path| path.ends_with("lock")));
}

/// All files below a folder.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is readable") {
        let path = entry.expect("it is readable").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// However often the archiver was killed and started, neighbouring files of a day and partition are two for their size.
fn assert_no_two_files_fit_into_one(folder: &Path) {
    let mut by_partition: BTreeMap<String, BTreeMap<i64, usize>> = BTreeMap::new();
    for path in files(folder) {
        let file = std::fs::File::open(&path).expect("it opens");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("it is Parquet");
        let rows = usize::try_from(reader.metadata().file_metadata().num_rows()).expect("a count");
        let name = path.with_extension("").display().to_string();
        let (partition, first) = name.rsplit_once('-').expect("part-PARTITION-POSITION");
        by_partition.entry(partition.to_owned()).or_default().insert(first.parse().expect("a position"), rows);
    }
    for (partition, files) in by_partition {
        let rows: Vec<usize> = files.into_values().collect();
        assert!(rows.windows(2).all(|pair| pair[0] + pair[1] > ROWS_PER_FILE_MAX), "{partition}: {rows:?}");
    }
}

/// The rows of all files of a topic, with some of their columns as text, sorted.
fn rows(folder: &Path, columns: &[&str]) -> Vec<String> {
    let mut rows = Vec::new();
    for path in files(folder) {
        let day = path.parent().and_then(|p| p.file_name()?.to_str()?.strip_prefix("day=")).expect("a day").to_owned();
        let file = std::fs::File::open(&path).expect("it opens");
        for batch in ParquetRecordBatchReaderBuilder::try_new(file).and_then(|b| b.build()).expect("it is Parquet") {
            let batch = batch.expect("it is whole");
            let texts: Vec<_> = columns
                .iter()
                .map(|name| {
                    let column = batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
                    arrow::util::display::ArrayFormatter::try_new(
                        column,
                        &arrow::util::display::FormatOptions::default(),
                    )
                    .expect("it can be shown")
                })
                .collect();
            for row in 0..batch.num_rows() {
                let cells: Vec<String> = texts.iter().map(|text| text.value(row).to_string()).collect();
                assert!(cells.iter().any(|cell| cell.starts_with(&day)), "{cells:?} in {day}");
                rows.push(cells.join(" "));
            }
        }
    }
    rows.sort();
    rows
}

fn shown(value: Option<f64>) -> String {
    let column = arrow::array::Float64Array::from(vec![value]);
    let options = arrow::util::display::FormatOptions::default();
    let text = arrow::util::display::ArrayFormatter::try_new(&column, &options).expect("it can be shown");
    text.value(0).to_string()
}

fn instant(at_ms: i64) -> String {
    let text = prescale_contracts::rfc3339(EventTime::from_ms(at_ms));
    text.replace(".000Z", "Z")
}

fn assert_files_hold_the_log(bus: &dyn Bus, folder: &Path) {
    let mut expected = Vec::new();
    for f in decoded::<Fingerprint>(bus) {
        for kpi in &f.kpis {
            let capacity = f.capacity.as_ref().zip(Resource::of_kpi(kpi.name.as_str())).map(|(c, r)| r.of(c));
            let windows = kpi.windows.as_deref();
            let (p95, hourly) = (windows.and_then(|w| w.short.p95), windows.and_then(|w| w.long.season_1h));
            let numbers = [kpi.last, capacity, p95, hourly.map(|season| season.strength)].map(shown);
            let at = instant(f.at.as_ms());
            expected.push(format!("{} {at} {} {} false {}", f.workload, kpi.name, kpi.unit, numbers.join(" ")));
        }
    }
    expected.sort();
    let columns =
        ["workload", "at", "kpi", "unit", "anomaly", "last", "capacity", "short_p95", "long_season_1h_strength"];
    assert_rows(&rows(&folder.join("fingerprints"), &columns), &expected);

    let mut expected = Vec::new();
    for p in decoded::<Prediction>(bus) {
        expect_forecasts(&mut expected, &format!("{} {}", p.workload, instant(p.made_at.as_ms())), &p.resources);
    }
    expected.sort();
    let columns: Vec<&str> = ["workload", "at"].into_iter().chain(FORECAST_COLUMNS).collect();
    assert_rows(&rows(&folder.join("predictions"), &columns), &expected);

    let mut expected = Vec::new();
    for p in decoded::<GroupPrediction>(bus) {
        let (at, members) = (instant(p.made_at.as_ms()), p.members);
        let head = format!("{} {at} {} {}", p.group, members.reported, members.carried);
        expect_forecasts(&mut expected, &head, &p.resources);
    }
    expected.sort();
    let columns: Vec<&str> = ["group", "at", "reported", "carried"].into_iter().chain(FORECAST_COLUMNS).collect();
    assert_rows(&rows(&folder.join("group-predictions"), &columns), &expected);
}

const FORECAST_COLUMNS: [&str; 8] =
    ["resource", "horizon_s", "statistic", "model", "model_version", "q05", "q99", "trailing_coverage"];

/// The rows of forecasts behind the columns that say of whom and when.
fn expect_forecasts(rows: &mut Vec<String>, head: &str, resources: &[ResourceForecast]) {
    for r in resources {
        for h in &r.horizons {
            for (statistic, quantiles, interval) in h.statistics() {
                let numbers = [Some(quantiles.values()[0]), Some(quantiles.values()[7]), interval.trailing_coverage];
                rows.push(format!(
                    "{head} {} {} {} {} {} {}",
                    r.resource,
                    h.horizon_s,
                    statistic.name(),
                    r.model,
                    r.model_version,
                    numbers.map(shown).join(" ")
                ));
            }
        }
    }
}

fn assert_rows(got: &[String], expected: &[String]) {
    assert!(expected.len() > 300, "{} rows on the log", expected.len());
    if let Some((got, expected)) = got.iter().zip(expected).find(|(got, expected)| got != expected) {
        panic!("{got} in a file where the log has {expected}");
    }
    assert_eq!(got.len(), expected.len(), "rows in the files and on the log");
}
