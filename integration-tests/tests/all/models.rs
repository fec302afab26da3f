//! Models as an operator handles them, by the `prescale` binary, while the predictor runs as a process of its own.

use bus_tests::kafka_broker::TestBroker;
use integration_tests::fingerprints::fingerprint_of;
use integration_tests::pipeline::{Said, said};
use integration_tests::processes::{binary, terminate, until};
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_bus::kafka::{KafkaBus, KafkaOptions};
use prescale_bus::{Bus, OutputRecord};
use prescale_chassis::{BusConfig, Context};
use prescale_contracts::{Contract, topics};
use prescale_domain::prediction::Prediction;
use prescale_domain::time::EventTime;
use prescale_inference::testing::Formula;
use prescale_inference::{Kind, MODEL_FILE};
use serde_json::Value;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Output};
use tempfile::TempDir;

/// 2026-03-02T00:00:00Z; begins a bin.
const START_S: i64 = 1_772_409_600;

/// First instant of the second version.
const TAKEOVER: &str = "2026-03-02T03:00:00.000Z";
const TAKEOVER_S: i64 = START_S + 3 * 3600;

const WORKLOADS: i64 = 5;

/// A folder with a configuration and a store with these versions of an LSTM; on the embedded log, or on Kafka under
/// this topic prefix.
struct Installation {
    folder: TempDir,
    kafka: Option<String>,
}

impl Installation {
    fn with(versions: &[&str]) -> Self {
        let installation = Self { folder: tempfile::tempdir().expect("a folder"), kafka: None };
        let config = "[predictor]\nmodels = [\"lstm\", \"last-value\"]\nchoice = \"order\"\nmodels_dir = \"models\"\n";
        fs::write(installation.path().join("prescale.toml"), config).expect("the folder is writable");
        fs::create_dir(installation.path().join("models")).expect("the folder is writable");
        for (nth, version) in (0u8..).zip(versions) {
            let formula = Formula::new("lstm", version, Kind::Stateful { state_size: 8 }).biased(f32::from(nth));
            formula.contents().write(&installation.version(version)).expect("the folder is writable");
        }
        installation
    }

    fn on_kafka(mut self) -> Self {
        self.kafka = Some(TestBroker::unique_prefix());
        self
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn version(&self, version: &str) -> std::path::PathBuf {
        self.path().join("models/lstm").join(version)
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(binary(name));
        command
            .current_dir(self.path())
            .env_remove("RUST_LOG")
            .env_remove("PRESCALE_CONFIG")
            .env("PRESCALE__BUS__SNAPSHOT_EVERY_RECORDS", "40")
            .env("PRESCALE__TELEMETRY__LISTEN", "127.0.0.1:0");
        if let Some(prefix) = &self.kafka {
            command
                .env("PRESCALE__BUS__BACKEND", "kafka")
                .env("PRESCALE__BUS__KAFKA__BOOTSTRAP_SERVERS", TestBroker::shared().bootstrap_servers())
                .env("PRESCALE__BUS__KAFKA__TOPIC_PREFIX", prefix)
                .env("PRESCALE__BUS__KAFKA__STATE_DIR", self.path().join("state"));
        }
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command("prescale").args(args).output().expect("prescale starts")
    }

    /// Standard output of a command that must do well.
    fn said(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn refusal(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", text(&output.stderr));
        text(&output.stderr)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path().join("predictor.log")).unwrap_or_default()
    }

    fn start(&self) -> Predictor<'_> {
        let log = File::options().create(true).append(true).open(self.path().join("predictor.log"));
        let log = log.expect("the folder is writable");
        let child = self.command("prescale-predictor").stderr(log).spawn().expect("the predictor starts");
        Predictor { child, of: self }
    }

    fn bus(&self) -> Box<dyn Bus> {
        let Some(prefix) = &self.kafka else {
            let options = EmbeddedOptions { maintenance_every: None, ..EmbeddedOptions::default() };
            return Box::new(EmbeddedBus::open(self.path().join("prescale.db"), options).expect("the log opens"));
        };
        let options = KafkaOptions {
            bootstrap_servers: TestBroker::shared().bootstrap_servers(),
            topic_prefix: prefix.clone(),
            state_dir: self.path().join("state-of-test"),
            ..KafkaOptions::default()
        };
        Box::new(KafkaBus::connect(options).expect("the broker answers"))
    }
}

/// The predictor as a process; killed when it is dropped.
struct Predictor<'a> {
    child: Child,
    of: &'a Installation,
}

impl Predictor<'_> {
    fn kill(mut self) {
        self.child.kill().expect("it is killed");
        self.child.wait().expect("it ends");
    }

    fn terminate(mut self) {
        assert_eq!(terminate(&mut self.child).code(), Some(0), "{}", self.of.log());
    }
}

impl Drop for Predictor<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.of.log());
        }
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A fingerprint of each workload at a minute after the start.
fn fingerprints(minute: i64) -> Vec<OutputRecord> {
    let of = |workload: i64| {
        let cores = 2.0 + workload as f64 + ((minute * 7 + workload) % 13) as f64 / 10.0;
        fingerprint_of(&format!("vm-{workload}"), EventTime::from_s(START_S + 60 * minute), 60, cores)
    };
    (0..WORKLOADS).map(of).collect()
}

fn append(bus: &dyn Bus, minutes: std::ops::Range<i64>) {
    let mut source = bus.source("test").expect("a source");
    for minute in minutes {
        source.append(fingerprints(minute), minute.to_string().as_bytes()).expect("they are appended");
    }
}

/// Waits until all fingerprints are predicted.
fn are_predicted(bus: &dyn Bus) {
    let group = Context::new(&BusConfig::default()).group("predictor");
    let lag = || bus.lag(&group, topics::FINGERPRINTS).expect("the lag is readable");
    until("the predictions", || lag().iter().all(|lag| lag.behind() == 0));
}

/// Instant, in seconds after the start, and model version of each prediction of a workload.
fn versions(predictions: &[Said]) -> Vec<(i64, String)> {
    let decoded = predictions.iter().map(|said| Prediction::decode(said.value.as_deref().expect("a value")));
    let decoded = decoded.map(|prediction| prediction.expect("a prediction"));
    let of = |made: Prediction| (made.made_at.as_ms() / 1000 - START_S, made.resources[0].model_version.to_string());
    decoded.filter(|made| made.workload.as_str() == "vm-2").map(of).collect()
}

#[test]
fn a_version_takes_over_while_the_predictor_runs_and_is_killed_and_nothing_is_lost() {
    a_version_takes_over(&Installation::with(&["1", "2"]));
}

#[test]
fn a_version_takes_over_on_kafka_as_well() {
    a_version_takes_over(&Installation::with(&["1", "2"]).on_kafka());
}

fn a_version_takes_over(installation: &Installation) {
    assert!(installation.said(&["model", "promote", "lstm", "1"]).contains("in use from the beginning"));
    installation.said(&["topics", "apply"]);
    let bus = installation.bus();
    let predictor = installation.start();
    append(bus.as_ref(), 0..170);
    are_predicted(bus.as_ref());
    let promoted = installation.said(&["model", "promote", "lstm", "2", "--from", TAKEOVER]);
    assert!(promoted.contains(&format!("lstm: 2 is in use from {TAKEOVER}")), "{promoted}");
    until("the predictor to hear of it", || {
        installation.log().lines().any(|line| line.contains("in the line-up") && line.contains("\"version\":\"2\""))
    });
    append(bus.as_ref(), 170..186);
    are_predicted(bus.as_ref());
    predictor.kill();
    append(bus.as_ref(), 186..240);
    let predictor = installation.start();
    are_predicted(bus.as_ref());
    predictor.terminate();
    assert!(!installation.log().contains("heard of after its instant"), "{}", installation.log());

    let at_once = Installation::with(&["1", "2"]);
    at_once.said(&["model", "promote", "lstm", "1"]);
    at_once.said(&["model", "promote", "lstm", "2", "--from", TAKEOVER]);
    at_once.said(&["topics", "apply"]);
    let other = at_once.bus();
    append(other.as_ref(), 0..240);
    let predictor = at_once.start();
    are_predicted(other.as_ref());
    predictor.terminate();
    let (got, wanted) = (said(bus.as_ref(), topics::PREDICTIONS), said(other.as_ref(), topics::PREDICTIONS));
    assert_eq!(got.len() as i64, 240 * WORKLOADS);
    assert!(got == wanted, "as if the second version had been known from the beginning");
    // Each needs two bins of its own.
    let second_from = TAKEOVER_S - START_S + 300;
    for (at_s, version) in versions(&got).into_iter().filter(|(at_s, _)| *at_s >= 300) {
        assert_eq!(version, if at_s < second_from { "1" } else { "2" }, "{at_s} s");
    }
}

#[test]
fn what_the_predictor_refused_stays_refused_until_it_is_promoted_again() {
    let installation = Installation::with(&["1", "2"]);
    installation.said(&["model", "promote", "lstm", "1"]);
    installation.said(&["model", "promote", "lstm", "2", "--from", TAKEOVER]);
    let model = installation.version("2").join(MODEL_FILE);
    let whole = fs::read(&model).expect("it is there");
    fs::write(&model, &whole[..whole.len() / 2]).expect("it is writable");
    installation.said(&["topics", "apply"]);
    let bus = installation.bus();
    let predictor = installation.start();
    append(bus.as_ref(), 0..10);
    are_predicted(bus.as_ref());
    predictor.terminate();
    assert!(installation.log().contains("model refused"), "{}", installation.log());
    fs::write(&model, &whole).expect("it is writable");
    let of_second =
        |standing: &str| ("lstm".to_owned(), "2".to_owned(), standing.to_owned(), Some(TAKEOVER.to_owned()));
    assert!(standings(&installation).contains(&of_second("refused")));
    let listed = installation.said(&["model", "list"]);
    assert!(listed.contains("its sha256 is") && listed.contains("promote it again"), "{listed}");
    installation.said(&["model", "promote", "lstm", "2", "--from", TAKEOVER]);
    assert!(standings(&installation).contains(&of_second("in_use")));
}

#[test]
fn models_are_checked_listed_promoted_and_rolled_back() {
    let installation = Installation::with(&["1", "2", "3"]);
    let verified = installation.said(&["model", "verify", "models/lstm/2"]);
    assert!(
        verified.contains("lstm 2 passes every check") && verified.contains("stateful, a state of 8"),
        "{verified}"
    );
    let bytes = fs::read(installation.version("3").join(MODEL_FILE)).expect("it is there");
    fs::write(installation.version("3").join(MODEL_FILE), &bytes[..bytes.len() / 2]).expect("it is writable");
    assert!(installation.refusal(1, &["model", "verify", "models/lstm/3"]).contains("sha256"));
    assert!(installation.refusal(1, &["model", "verify", "models/svr"]).contains("models/svr: cannot be read"));

    // Without a model the predictor does not start, but says what to do; the verbs work.
    assert!(installation.refusal(64, &["check-config"]).contains("promote one in [predictor] models_dir"));
    assert!(installation.refusal(1, &["model", "rollback", "lstm"]).contains("no lstm was in use before"));
    installation.said(&["model", "promote", "lstm", "1"]);
    installation.said(&["check-config"]);
    let refused = installation.refusal(1, &["model", "promote", "lstm", "3"]);
    assert!(refused.contains("lstm 3 is refused, and what is in use stays") && refused.contains("sha256"), "{refused}");
    installation.said(&["model", "promote", "lstm", "2", "--from", "2026-03-02T02:58:20Z"]);
    assert_eq!(
        standings(&installation),
        [
            ("gru", "0.1.0", "in_use", None),
            ("lstm", "1", "past", None),
            ("lstm", "2", "in_use", Some(TAKEOVER)),
            ("lstm", "3", "refused", None)
        ]
        .map(|(family, version, standing, from)| {
            (family.to_owned(), version.to_owned(), standing.to_owned(), from.map(str::to_owned))
        })
    );
    let listed = installation.said(&["model", "list"]);
    assert!(listed.contains("in use        2026-03-02T03:00:00.000Z") && listed.contains("its sha256 is"), "{listed}");

    let back = installation.said(&["model", "rollback", "lstm"]);
    assert!(back.contains("lstm: 1 is in use from 20"), "{back}");
    let rows = standings(&installation);
    assert_eq!((rows[3].1.as_str(), rows[3].2.as_str()), ("1", "next"), "{rows:?}");
    // Promoted and taken back before it came into use: as if nothing had been.
    installation.said(&["model", "promote", "lstm", "2", "--from", "+2h"]);
    installation.said(&["model", "rollback", "lstm", "--from", "+1h"]);
    assert_eq!(standings(&installation), rows);
    let gru = installation.said(&["model", "list", "--format", "json"]);
    assert!(gru.contains("built-in"), "{gru}");
}

#[test]
fn a_version_is_tried_out_beside_the_one_in_use() {
    let installation = Installation::with(&["1", "2"]);
    let alone = installation.refusal(1, &["model", "try", "lstm", "2"]);
    assert!(alone.contains("no lstm is in use beside which 2 could run"), "{alone}");
    installation.said(&["model", "promote", "lstm", "1"]);
    let in_use = installation.refusal(1, &["model", "try", "lstm", "1"]);
    assert!(in_use.contains("lstm 1 is in use, or will be"), "{in_use}");
    let tried = installation.said(&["model", "try", "lstm", "2", "--from", TAKEOVER]);
    assert!(tried.contains(&format!("lstm: 2 is on trial from {TAKEOVER} on")), "{tried}");
    let of_second = |standing: &str| {
        standings(&installation)
            .iter()
            .any(|(family, version, of, _)| (family.as_str(), version.as_str(), of.as_str()) == ("lstm", "2", standing))
    };
    assert!(of_second("on_trial"));
    let listed = installation.said(&["model", "list"]);
    assert!(listed.contains(&format!("on trial beside what is in use from {TAKEOVER} on")), "{listed}");
    installation.said(&["model", "promote", "lstm", "2"]);
    assert!(of_second("next"));
}

#[test]
fn wrong_usage_says_what_to_do() {
    let installation = Installation::with(&["1"]);
    assert!(installation.refusal(64, &["model", "promote", "lsdm", "1"]).contains("take of [\"gru\", \"lstm\""));
    assert!(installation.refusal(64, &["model", "promote", "lstm", "1", "--from", "soon"]).contains("--from"));
    assert!(installation.refusal(1, &["model", "promote", "lstm", "../1"]).contains("take letters"));
    assert!(installation.refusal(1, &["model", "promote", "lstm", "9"]).contains("cannot be read"));
    installation.refusal(64, &["model", "promote", "lstm"]);
    fs::remove_dir_all(installation.path().join("models")).expect("it is removed");
    assert!(installation.refusal(64, &["model", "rollback", "lstm"]).contains("is no folder: make it"));
    fs::write(installation.path().join("prescale.toml"), "").expect("it is writable");
    assert!(installation.refusal(64, &["model", "rollback", "gru"]).contains("models_dir is empty"));
    assert!(installation.said(&["model", "list"]).contains("built-in"));
}

/// Family, version, standing and beginning of all that `prescale model list` shows.
fn standings(installation: &Installation) -> Vec<(String, String, String, Option<String>)> {
    let rows: Value = serde_json::from_str(&installation.said(&["model", "list", "--format", "json"])).expect("JSON");
    let text = |row: &Value, key: &str| row[key].as_str().map(str::to_owned);
    let of = |row: &Value| {
        let known = |key| text(row, key).expect("a text");
        (known("family"), known("version"), known("standing"), text(row, "from"))
    };
    rows.as_array().expect("a list").iter().map(of).collect()
}
