//! Reading cases: exports as they are in the wild, through the collector as `prescale up --replay` runs it. Each test
//! makes the inputs of one kind.

use bus_tests::conformance::fixture::read_all;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_bus::{Bus, Cleanup, TopicSpec};
use prescale_chassis::Context;
use prescale_collector::{Config, Mapping, ReplayReport, run_reporting};
use prescale_contracts::{Contract, topics};
use prescale_domain::kpi::{CPU_CORES_USED, MEMORY_BYTES};
use prescale_domain::sample::Sample;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

mod dialects;
mod instants;
mod layouts;
mod values;

/// What was read, and the account of it.
struct Read {
    report: ReplayReport,
    samples: Vec<Sample>,
}

impl Read {
    /// Its samples with a KPI, as workload, instant (s) and value.
    fn values(&self, kpi: &str) -> Vec<(&str, i64, f64)> {
        let of = |sample: &Sample| sample.kpis.iter().find(|k| k.name.as_str() == kpi).and_then(|k| k.value);
        let row = |sample| of(sample).map(|value| (sample.workload.as_str(), sample.at.as_ms() / 1000, value));
        self.samples.iter().filter_map(row).collect()
    }

    fn cpu(&self) -> Vec<(&str, i64, f64)> {
        self.values(CPU_CORES_USED)
    }

    fn dropped(&self, reason: &str) -> u64 {
        self.report.rows_dropped.get(reason).copied().unwrap_or(0)
    }

    /// The sentence of the account with these words.
    fn note(&self, words: &str) -> &str {
        let found = self.report.notes.iter().find(|note| note.contains(words));
        found.unwrap_or_else(|| panic!("no sentence has {words:?}: {:?}", self.report.notes))
    }
}

/// Reads a file, or the files of a folder, under a mapping as on the command line; empty for none.
fn read_path(path: &Path, mapping: &str) -> Result<Read, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let options = EmbeddedOptions { maintenance_every: None, ..EmbeddedOptions::default() };
    let bus = EmbeddedBus::open(folder.path().join("bus.db"), options).expect("the log opens");
    let cleanup = Cleanup::Delete { retention_ms: 86_400_000 };
    let raw_kpis = TopicSpec { name: topics::RAW_KPIS.to_owned(), partitions: 1, replication: 1, cleanup };
    bus.ensure_topics(&[raw_kpis]).expect("the topic can be made");
    let bus: Arc<dyn Bus> = Arc::new(bus);
    let mut config = Config::default();
    config.host.enabled = false;
    config.replay.file = path.to_owned();
    config.replay.mapping = Mapping::parse(mapping).map_err(|e| format!("{e:#}"))?;
    let (shutdown, mut report) = (CancellationToken::new(), None);
    run_reporting(&config, &Context::default(), Arc::clone(&bus), &shutdown, |ended| {
        report = Some(ended);
        shutdown.cancel();
    })
    .map_err(|e| format!("{e:#}"))?;
    let decoded = |record: &prescale_bus::ConsumedRecord| {
        Sample::decode(record.value.as_deref().expect("a value")).expect("it can be decoded")
    };
    let mut samples: Vec<Sample> = read_all(bus.as_ref(), topics::RAW_KPIS).iter().map(decoded).collect();
    samples.sort_by(|a, b| (a.at, &a.workload).cmp(&(b.at, &b.workload)));
    let report = report.expect("it came to its end");
    let dropped: u64 = report.rows_dropped.values().sum();
    assert_eq!(report.rows_read, report.samples_written + report.rows_joined + dropped, "rows are accounted for");
    assert_eq!(report.samples_written, samples.len() as u64);
    Ok(Read { report, samples })
}

fn written(bytes: &[u8], name: &str) -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("the folder is writable");
    (folder, path)
}

/// Reads text as a CSV.
fn read(text: impl AsRef<[u8]>, mapping: &str) -> Read {
    let (_folder, path) = written(text.as_ref(), "case.csv");
    read_path(&path, mapping).unwrap_or_else(|why| panic!("refused: {why}"))
}

/// Why text is refused.
fn refused(text: impl AsRef<[u8]>, mapping: &str) -> String {
    let (_folder, path) = written(text.as_ref(), "case.csv");
    match read_path(&path, mapping) {
        Ok(read) => panic!("it was read: {:?}", read.report),
        Err(why) => why,
    }
}

/// 2024-03-04T00:00:00Z, in seconds.
const START_S: i64 = 1_709_510_400;

/// Lines after a header, each of an index.
fn lines(header: &str, count: i64, line: impl Fn(i64) -> String) -> String {
    (0..count).fold(format!("{header}\n"), |mut text, i| {
        writeln!(text, "{}", line(i)).expect("a text takes all");
        text
    })
}

/// How often each workload is there.
fn counts<'a>(values: &[(&'a str, i64, f64)]) -> BTreeMap<&'a str, usize> {
    values.iter().fold(BTreeMap::new(), |mut counts, (workload, ..)| {
        *counts.entry(*workload).or_default() += 1;
        counts
    })
}
