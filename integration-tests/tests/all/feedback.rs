//! The whole circle without a hand: the demand changes for good, workloads ask for a new version, the training kit makes one,
//! it runs beside the one in use, is promoted by what both lose, and the forecasts are better. The records' time runs fast:
//! ten days in some seconds. Training is real, by PyTorch, and short.

use integration_tests::fingerprints::fingerprint_of;
use integration_tests::pipeline::said;
use integration_tests::processes::{binary, terminate, until};
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_bus::{Bus, OutputRecord};
use prescale_chassis::{BusConfig, Context};
use prescale_contracts::{Contract, topics};
use prescale_domain::forecast_score::ForecastScore;
use prescale_domain::promotion::trials::{HOURS_MIN, LOG10_E_MIN};
use prescale_domain::time::EventTime;
use prescale_inference::Kind;
use prescale_inference::store::{History, ModelStore};
use prescale_inference::testing::Formula;
use prescale_predictor::{DECIDER, PROMOTER, RETRAINER, STAGE};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use tempfile::TempDir;

/// 2040-01-01T00:00:00Z, ahead of any clock: so it is the records' time from which on a version is in use.
const START_S: i64 = 2_208_988_800;

const BIN_S: i64 = 300;
const HOUR_BINS: i64 = 12;
const DAY_BINS: i64 = 24 * HOUR_BINS;

/// The demand hardly changes from bin to bin until then.
const CHANGED_AT_BIN: i64 = 5 * DAY_BINS;

/// Workloads that are forecast; the archive has more.
const FORECAST: i64 = 6;
const ARCHIVED: i64 = 20;

/// A short run over the archive, and nothing else.
const RECIPE: &str = r#"
name = "short"
version = "0.0.1"
seed = 4
[[sources]]
path = "archive.csv"
value_column = "cpu"
capacity_column = "cores"
test_buckets = 10
validation_buckets = 20
[generated]
count = 4
bins = 700
[training]
steps = 120
batch = 8
hidden = 16
chunk_bins = 96
segment_chunks = 6
groups = 2
validate_every = 30
"#;

/// A number within 0 to 1 that follows from both.
fn noise(workload: i64, bin: i64) -> f64 {
    let mut mixed = (workload as u64) << 40 ^ bin as u64;
    mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed >> 11) as f64 / (1u64 << 53) as f64
}

/// The model in use takes the newest value for the next: that is nearly right until the change, and far off from then on.
fn cores(workload: i64, bin: i64) -> f64 {
    let noise = noise(workload, bin);
    if bin < CHANGED_AT_BIN { 3.0 + 0.02 * noise } else { 1.0 + 8.0 * noise }
}

/// A predictor as a process over an embedded log; it has a GRU of the configuration and an empty store.
struct Installation {
    folder: TempDir,
    bus: Box<dyn Bus>,
    predictor: Child,
    /// The next bin to come.
    bin: i64,
}

impl Installation {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = "[predictor]\nresources = [\"cpu_cores_used\"]\nmodels = [\"gru\", \"last-value\"]\n\
                      choice = \"order\"\nmodels_dir = \"models\"\n[predictor.model_folders]\ngru = \"base\"\n";
        fs::write(folder.path().join("prescale.toml"), config).expect("the folder is writable");
        fs::create_dir(folder.path().join("models")).expect("the folder is writable");
        let base = Formula::new("gru", "1", Kind::Windowed { bins: 12 });
        base.contents().write(&folder.path().join("base")).expect("the folder is writable");
        let made = command(folder.path(), &binary("prescale")).args(["topics", "apply"]).status().expect("it starts");
        assert!(made.success());
        let options = EmbeddedOptions { maintenance_every: None, ..EmbeddedOptions::default() };
        let bus = Box::new(EmbeddedBus::open(folder.path().join("prescale.db"), options).expect("the log opens"));
        let log = File::create(folder.path().join("predictor.log")).expect("the folder is writable");
        let predictor = command(folder.path(), &binary("prescale-predictor")).stderr(log).spawn().expect("it starts");
        Self { folder, bus, predictor, bin: 0 }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Lets so many hours pass, and waits until all stages are through.
    fn pass(&mut self, hours: i64) {
        let mut source = self.bus.source("test").expect("a source");
        for _ in 0..hours {
            let bins = self.bin..self.bin + HOUR_BINS;
            self.bin = bins.end;
            let records = bins.flat_map(|bin| (0..FORECAST).map(move |workload| fingerprint(workload, bin)));
            source.append(records.collect(), self.bin.to_string().as_bytes()).expect("they are appended");
        }
        drop(source);
        let context = Context::new(&BusConfig::default());
        for stage in [STAGE, RETRAINER, DECIDER, PROMOTER] {
            let lag = || self.bus.lag(&context.group(stage.stage), stage.input).expect("the lag is readable");
            until(stage.stage, || lag().iter().all(|lag| lag.behind() == 0));
        }
    }

    /// Lets hours pass until something holds, at most so many days.
    fn pass_until(&mut self, what: &str, days_max: i64, holds: impl Fn(&Self) -> bool) {
        let until = self.bin + days_max * DAY_BINS;
        while !holds(self) {
            assert!(self.bin < until, "{what}: not within {days_max} days\n{}", self.log());
            self.pass(6);
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path().join("predictor.log")).unwrap_or_default()
    }

    /// How often the predictor has heard that a version is in the line-up, be it on trial or in use.
    fn heard_of(&self, version: &str) -> usize {
        let version = format!("\"version\":\"{version}\"");
        self.log().lines().filter(|line| line.contains("in the line-up") && line.contains(&version)).count()
    }

    fn prescale(&self, args: &[&str]) -> String {
        let output = command(self.path(), &binary("prescale")).args(args).output().expect("it starts");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Families that workloads ask for, with how many do.
    fn asked(&self) -> Vec<usize> {
        let open: Value = serde_json::from_str(&self.prescale(&["retraining", "--format", "json"])).expect("JSON");
        let workloads = |request: &Value| request["workloads"].as_array().map_or(0, Vec::len);
        open.as_array().expect("a list").iter().map(workloads).collect()
    }

    fn history(&self) -> History {
        ModelStore::new(self.path().join("models")).history("gru").expect("it can be read")
    }

    /// Has the training kit answer what is asked for, once.
    fn watch(&self) {
        let mut archive = String::from("workload,at_s,cpu,cores\n");
        for (workload, bin) in (0..ARCHIVED).flat_map(|workload| (0..self.bin).map(move |bin| (workload, bin))) {
            let (at_s, cores) = (START_S + BIN_S * bin, cores(workload, bin));
            writeln!(archive, "vm{workload},{at_s},{cores:.3},16").expect("a text takes any");
        }
        fs::write(self.path().join("archive.csv"), archive).expect("the folder is writable");
        fs::write(self.path().join("recipe.toml"), RECIPE).expect("the folder is writable");
        let output = command(self.path(), &python())
            .env("PYTHONPATH", kit())
            .env("OMP_NUM_THREADS", "1")
            .args(["-m", "prescale_training", "watch", "recipe.toml", "--once", "--store", "models", "--data", "."])
            .args(["--before-days", "1", "--prescale"])
            .arg(binary("prescale"))
            .output()
            .expect("Python starts");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    }

    /// Mean loss of a version's forecasts a bin ahead, from a bin on.
    fn loss_of(&self, version: &str, from_bin: i64) -> f64 {
        let from = EventTime::from_s(START_S + BIN_S * from_bin);
        let scores = said(self.bus.as_ref(), topics::FORECAST_SCORES);
        let scores = scores.iter().map(|said| ForecastScore::decode(said.value.as_deref().expect("a value")));
        let of_version = scores.map(|score| score.expect("a score")).filter(|score| score.from >= from);
        let losses: Vec<f64> = of_version
            .filter(|score| &*score.resources[0].model_version == version)
            .filter_map(|score| score.resources[0].horizons[0].value)
            .map(|value| value.pinball_loss)
            .collect();
        assert!(losses.len() > 20, "{version} was scored in {} hours", losses.len());
        losses.iter().sum::<f64>() / losses.len() as f64
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
        // It may have ended already.
        let _ = self.predictor.kill();
        let _ = self.predictor.wait();
    }
}

fn command(folder: &Path, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env_remove("RUST_LOG").env_remove("PRESCALE_CONFIG");
    command.env("PRESCALE__TELEMETRY__LISTEN", "127.0.0.1:0");
    command
}

fn kit() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    Path::new(&package).join("../models/training")
}

/// The Python of the training kit's tests.
fn python() -> PathBuf {
    let named = std::env::var_os("PRESCALE_PYTHON").map(PathBuf::from);
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cache")));
    let python = named.or_else(|| Some(cache?.join("prescale/python/bin/python"))).expect("a home folder");
    assert!(
        python.exists(),
        "{} is missing, the training kit's Python: `cargo xtask python` makes it, or PRESCALE_PYTHON names another",
        python.display()
    );
    python
}

fn fingerprint(workload: i64, bin: i64) -> OutputRecord {
    fingerprint_of(&format!("vm{workload}"), EventTime::from_s(START_S + BIN_S * bin), 300, cores(workload, bin))
}

#[test]
fn what_changed_for_good_is_learnt_without_a_hand() {
    let mut installation = Installation::start();
    installation.pass(CHANGED_AT_BIN / HOUR_BINS);
    assert_eq!(installation.asked(), [0; 0], "nothing has changed yet");
    installation.pass_until("workloads ask for a new version", 4, |all| all.asked() == [FORECAST as usize]);

    installation.watch();
    let history = installation.history();
    let trial = history.open_trial().expect("the candidate has entered").clone();
    let candidate = trial.of.expect("it is of the store").version;
    assert!(candidate.starts_with("1+2040"), "{candidate}");
    until("the predictor to hear of it", || installation.heard_of(&candidate) == 1);
    assert_eq!(history.switches, [], "it is in no use yet");

    installation.pass_until("the trial ends", 4, |all| !all.history().decisions.is_empty());
    let history = installation.history();
    let decision = &history.decisions[0];
    assert_eq!(
        (decision.led_to.as_str(), decision.candidate.as_str()),
        ("promoted", candidate.as_str()),
        "{decision:?}"
    );
    assert!(decision.hours >= HOURS_MIN && i64::from(decision.workloads) == FORECAST, "{decision:?}");
    assert!(decision.log10_e_better >= LOG10_E_MIN && decision.candidate_loss < decision.loss, "{decision:?}");
    assert_eq!(history.switches[0].from, decision.from);
    until("the predictor to hear of it", || installation.heard_of(&candidate) == 2);
    let promoted_at_bin = installation.bin;

    installation.pass_until("the one before is not better", 4, |all| all.history().decisions.len() == 2);
    let history = installation.history();
    assert_eq!((history.decisions[1].led_to.as_str(), history.switches.len()), ("confirmed", 1), "{history:?}");
    assert_eq!(history.open_trial(), None);
    installation.pass(24);
    let before = installation.loss_of("1", CHANGED_AT_BIN + DAY_BINS);
    let after = installation.loss_of(&candidate, promoted_at_bin + DAY_BINS);
    println!("a bin ahead {before:.3} cores were lost, and {after:.3} after");
    assert!(after < 0.95 * before, "{after} and {before}");
    assert_eq!(installation.asked(), [0; 0], "what was asked for is done with");
    let listed = installation.prescale(&["model", "list"]);
    assert!(listed.contains(&candidate) && listed.contains("promoted (better) after"), "{listed}");
    assert_eq!(terminate(&mut installation.predictor).code(), Some(0), "{}", installation.log());
}
