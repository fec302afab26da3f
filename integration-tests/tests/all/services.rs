//! Each service as a binary of its own against Kafka, as operators run them: killed, started again,
//! drained by SIGTERM.

use bus_tests::kafka_broker::TestBroker;
use integration_tests::pipeline::{Said, said};
use integration_tests::processes::{binary, count, is_worked_off, terminate, until};
use prescale::services;
use prescale::settings::Settings;
use prescale_bus::kafka::{KafkaBus, KafkaOptions};
use prescale_chassis::GroupConfig;
use prescale_contracts::{Contract, topics};
use prescale_domain::forecast::GRID_STEP_S;
use prescale_domain::group::GroupPrediction;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::{Child, Command, Output};
use tempfile::TempDir;

const STAGE_SERVICES: [&str; 6] = ["fingerprinter", "predictor", "planner", "governor", "actuator", "evaluator"];
const WORKLOADS: u32 = 12;
const HOURS: u32 = 8;

/// Services over one broker, with folders and a topic prefix of their own.
struct Installation {
    folder: TempDir,
    prefix: String,
    running: BTreeMap<&'static str, Child>,
}

impl Installation {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder, prefix: TestBroker::unique_prefix(), running: BTreeMap::new() }
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(binary(name));
        command
            .current_dir(self.folder.path())
            .env_remove("RUST_LOG")
            .env("PRESCALE__BUS__BACKEND", "kafka")
            .env("PRESCALE__BUS__KAFKA__BOOTSTRAP_SERVERS", TestBroker::shared().bootstrap_servers())
            .env("PRESCALE__BUS__KAFKA__TOPIC_PREFIX", &self.prefix)
            .env("PRESCALE__BUS__KAFKA__STATE_DIR", self.folder.path().join("state"))
            .env("PRESCALE__BUS__SNAPSHOT_EVERY_RECORDS", "500")
            .env("PRESCALE__TELEMETRY__LISTEN", "127.0.0.1:0")
            .env("PRESCALE__COLLECTOR__HOST__ENABLED", "false")
            // It changes much, from the first hour on.
            .env("PRESCALE__PLANNER__POLICY", "threshold")
            .env("PRESCALE__COLLECTOR__FLEET__ENABLED", "true")
            .env("PRESCALE__COLLECTOR__FLEET__WORKLOADS", WORKLOADS.to_string())
            .env("PRESCALE__COLLECTOR__FLEET__START", "2026-03-02T00:00:00Z")
            .env("PRESCALE__COLLECTOR__FLEET__UNTIL", format!("+{HOURS}h"))
            .env("PRESCALE__GROUPER__GROUPS__ALL__WORKLOADS", r#"["*"]"#);
        command
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(format!("{name}.log"))).unwrap_or_default()
    }

    fn start(&mut self, name: &'static str) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join(format!("{name}.log")))
            .expect("the folder is writable");
        let child = self.command(&format!("prescale-{name}")).stderr(log).spawn().expect("the service starts");
        self.running.insert(name, child);
    }

    /// The address that a service's newest process tells its health at.
    fn telemetry(&self, name: &str) -> Option<String> {
        let log = self.log(name);
        let line = log.lines().rev().find(|l| l.contains("telemetry on http://"))?;
        let address = line.split("telemetry on http://").nth(1)?;
        Some(address.chars().take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ':')).collect())
    }

    fn kill(&mut self, name: &str) {
        let mut child = self.running.remove(name).expect("it runs");
        child.kill().expect("it is killed");
        child.wait().expect("it ends");
    }

    /// SIGTERM; each must end well.
    fn terminate_all(&mut self) {
        for (name, mut child) in std::mem::take(&mut self.running) {
            assert_eq!(terminate(&mut child).code(), Some(0), "{name}: {}", self.log(name));
        }
    }

    fn prescale(&self, args: &[&str]) -> Output {
        let output = self.command("prescale").args(args).output().expect("prescale starts");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        for (name, mut child) in std::mem::take(&mut self.running) {
            eprintln!("{name}: {}", self.log(name));
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn services_that_are_killed_and_started_again_account_for_every_record() {
    let mut installation = Installation::new();
    installation.prescale(&["topics", "apply"]);
    let bus = KafkaBus::connect(KafkaOptions {
        bootstrap_servers: TestBroker::shared().bootstrap_servers(),
        topic_prefix: installation.prefix.clone(),
        ..KafkaOptions::default()
    })
    .expect("the broker answers");
    for service in STAGE_SERVICES.into_iter().chain(["grouper"]) {
        installation.start(service);
    }
    installation.start("collector");
    let samples = i64::from(WORKLOADS * HOURS * 60);
    let victims = [
        "planner",
        "fingerprinter",
        "grouper",
        "evaluator",
        "governor",
        "collector",
        "actuator",
        "predictor",
        "grouper",
    ];
    for (share, victim) in (1..).zip(victims) {
        until("some more samples", || count(&bus, topics::RAW_KPIS) > samples * share / 10);
        installation.kill(victim);
        installation.start(victim);
    }
    until("the fleet's span to be written", || installation.log("collector").contains("the fleet's span is written"));
    let mut settings = Settings::default();
    settings.grouper.groups.insert("all".to_owned(), GroupConfig::default());
    let context = services::installation(&settings);
    for stage in context.graph.stages() {
        until(stage.stage, || is_worked_off(&bus, &context, std::slice::from_ref(stage)));
    }
    for service in STAGE_SERVICES.into_iter().chain(["grouper"]) {
        let address = installation.telemetry(service).expect("it says where its telemetry is");
        installation.prescale(&["health", "--address", &address]);
    }
    installation.terminate_all();

    let account = installation.prescale(&["account", "--format", "json"]);
    let stages: Value = serde_json::from_slice(&account.stdout).expect("JSON");
    let stages = stages.as_array().expect("a list");
    assert_eq!(stages.len(), context.graph.stages().len());
    for stage in stages {
        let number = |key: &str| stage[key].as_u64().unwrap_or_else(|| panic!("{key} of {stage}"));
        let wrong =
            ["missing", "strays", "outputs_without_input", "repeated_inputs", "repeated_outputs", "unread", "rejected"];
        assert!(wrong.iter().all(|key| number(key) == 0), "{stage}");
        assert_eq!(number("read"), number("followed") + number("without_output"), "{stage}");
    }
    let read = stages[0]["read"].as_i64().expect("a number");
    assert!(read > samples * 98 / 100 && read <= samples, "{read} of {samples} samples");
    let tail = installation.prescale(&["bus", "tail", "action-results", "--from", "earliest", "--format", "json"]);
    assert!(String::from_utf8_lossy(&tail.stdout).contains("\"key\""), "something was applied");

    let groups = said(&bus, topics::GROUP_PREDICTIONS);
    let decode = |said: &Said| GroupPrediction::decode(said.value.as_deref().expect("a value")).expect("it is whole");
    let bins: Vec<i64> = groups.iter().map(|said| decode(said).made_at.bin(GRID_STEP_S)).collect();
    assert!(bins.windows(2).all(|pair| pair[0] < pair[1]), "none is twice, and they ascend: {bins:?}");
    // 12 bins an hour, without the first half hour and the last bin, which nothing has ended.
    assert!(bins.len() as i64 >= i64::from(HOURS) * 12 - 8, "{} bins", bins.len());
    let all = groups.iter().filter(|said| decode(said).members.known() == WORKLOADS).count();
    assert!(all * 10 > bins.len() * 9, "{all} of {} are of all members", bins.len());
}
