//! The services as processes of their own over one bus, as operators run them: started, ended at a crash point, killed,
//! and stopped in good order. They read one configuration file, that of [`crate::open_loop`].

use crate::influxdb2::{self, Influxdb2};
use crate::open_loop;
use crate::processes::{binary, terminate};
use bus_tests::faults::crash::SIGABRT;
use bus_tests::kafka_broker::TestBroker;
use prescale::services::{Launch, SERVICES, ServiceEntry, Told, installation};
use prescale::settings::Settings;
use prescale_bus::Bus;
use prescale_bus::crash_point::CrashPoint;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_bus::kafka::{KafkaBus, KafkaOptions};
use prescale_chassis::ready::ask_ready;
use prescale_chassis::{open_bus, telemetry};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// The service that writes the samples.
pub const COLLECTOR: &str = "collector";
/// The service that keeps what the others write, and has no part in it.
pub const ARCHIVER: &str = "archiver";

/// The services of an installation that write records: whoever has a stage, and the collector.
pub fn services() -> Vec<&'static str> {
    let settings = open_loop::settings(open_loop::HOURS);
    let is_one = |service: &&ServiceEntry| service.name == COLLECTOR || !(service.stages)(&settings).is_empty();
    SERVICES.iter().filter(is_one).map(|service| service.name).collect()
}

/// In the environment of a process that is to end at a crash point: the service, the point and the passing.
const CRASHING: &str = "PRESCALE_TEST_CRASHING_SERVICE";
/// The test that calls [`run_crashing_service`], in the binary that runs.
const CRASHING_TEST: &str = "services::child_runs_a_service_up_to_a_crash_point";

/// Services over one bus, with a folder and a store of their own and on Kafka a prefix.
pub struct Installation {
    folder: TempDir,
    store: Influxdb2,
    /// On the embedded log there is none.
    kafka_prefix: Option<String>,
    /// So many hours of the span are written.
    hours: u32,
    running: BTreeMap<&'static str, Running>,
    started: usize,
}

struct Running {
    child: Child,
    log: PathBuf,
}

/// The archiver's folder, in that of the installation.
const ARCHIVE: &str = "archive";

/// The archiver's sections of the configuration.
fn stores(store: &Influxdb2) -> String {
    format!(
        r#"
[archiver.parquet]
folder = "{ARCHIVE}"

[archiver.influxdb]
url = "{}"
org = "{}"
bucket = "{}"

[archiver.influxdb.access]
token = "{}"
ca_file = "{}"
"#,
        store.url(),
        influxdb2::ORG,
        influxdb2::BUCKET,
        influxdb2::TOKEN,
        store.ca_file().display()
    )
}

impl Installation {
    /// On an embedded log that the processes share, with its topics.
    pub fn embedded() -> Self {
        Self::over(None)
    }

    /// On the broker that the tests of this process share, with its topics.
    pub fn kafka() -> Self {
        Self::over(Some(TestBroker::unique_prefix()))
    }

    fn over(kafka_prefix: Option<String>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Influxdb2::start();
        let configuration = open_loop::configuration() + &stores(&store);
        fs::write(folder.path().join("prescale.toml"), configuration).expect("the folder is writable");
        let hours = open_loop::FIRST_HOURS;
        let installation = Self { folder, store, kafka_prefix, hours, running: BTreeMap::new(), started: 0 };
        installation.prescale(&["topics", "apply"]);
        installation
    }

    /// From now on a collector that is started goes on to the end of the whole span.
    pub fn extend(&mut self) {
        self.hours = open_loop::HOURS;
    }

    /// The bus, as the test sees it.
    pub fn bus(&self) -> Arc<dyn Bus> {
        match &self.kafka_prefix {
            None => {
                let options = EmbeddedOptions { maintenance_every: None, ..EmbeddedOptions::default() };
                Arc::new(EmbeddedBus::open(self.folder.path().join("prescale.db"), options).expect("the log opens"))
            }
            Some(prefix) => {
                let options = KafkaOptions {
                    bootstrap_servers: TestBroker::shared().bootstrap_servers(),
                    topic_prefix: prefix.clone(),
                    ..KafkaOptions::default()
                };
                Arc::new(KafkaBus::connect(options).expect("the broker answers"))
            }
        }
    }

    /// Where the archiver's files are.
    pub fn archive(&self) -> PathBuf {
        self.folder.path().join(ARCHIVE)
    }

    /// Where the archiver's lines are.
    pub fn store(&self) -> &Influxdb2 {
        &self.store
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env_remove("RUST_LOG")
            .env_remove("PRESCALE_CONFIG")
            .env("PRESCALE__COLLECTOR__FLEET__UNTIL", format!("+{}h", self.hours));
        if let Some(prefix) = &self.kafka_prefix {
            command
                .env("PRESCALE__BUS__BACKEND", "kafka")
                .env("PRESCALE__BUS__KAFKA__BOOTSTRAP_SERVERS", TestBroker::shared().bootstrap_servers())
                .env("PRESCALE__BUS__KAFKA__TOPIC_PREFIX", prefix)
                .env("PRESCALE__BUS__KAFKA__STATE_DIR", self.folder.path().join("state"));
        }
        command
    }

    /// Starts a service's own binary.
    pub fn start(&mut self, service: &'static str) {
        let command = self.command(&binary(&format!("prescale-{service}")));
        self.spawn(service, command);
    }

    /// Starts a service in a process that aborts at its `passing`-th passing of a crash point. No configuration makes a
    /// service's own binary do that, so it is this one that runs the entry of the list.
    pub fn start_crashing(&mut self, service: &'static str, point: CrashPoint, passing: u32) {
        let mut command = self.command(&std::env::current_exe().expect("a test has a path"));
        crashes(&mut command, service, point, passing);
        self.spawn(service, command);
    }

    fn spawn(&mut self, service: &'static str, mut command: Command) {
        self.started += 1;
        let log = self.folder.path().join(format!("{service}-{}.log", self.started));
        let file = File::create(&log).expect("the folder is writable");
        let records = batch_records_max(service);
        command
            .env("PRESCALE__BUS__BATCH_RECORDS_MAX", records.to_string())
            .env("PRESCALE__BUS__SNAPSHOT_EVERY_RECORDS", (2 * records).to_string())
            .stdout(Stdio::null())
            .stderr(file);
        let child = command.spawn().expect("the service starts");
        let before = self.running.insert(service, Running { child, log });
        assert!(before.is_none(), "{service} runs twice");
    }

    /// Whether a service has ended at its crash point. If it has, it can be started again.
    pub fn has_crashed(&mut self, service: &'static str) -> bool {
        let running = self.running.get_mut(service).expect("it was started");
        let Some(ended) = running.child.try_wait().expect("the process is ours") else { return false };
        assert_eq!(ended.signal(), Some(SIGABRT), "{service} was to end at a crash point");
        self.running.remove(service);
        true
    }

    /// Kills a service at once (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self, service: &'static str) {
        let Running { mut child, .. } = self.running.remove(service).expect("it was started");
        child.kill().expect("the process is ours");
        child.wait().expect("the process is ours");
    }

    /// SIGTERM, one after the other; each must end well.
    pub fn terminate_all(&mut self) {
        let services: Vec<&'static str> = self.running.keys().copied().collect();
        for service in services {
            let Some(running) = self.running.get_mut(service) else { continue };
            assert_eq!(terminate(&mut running.child).code(), Some(0), "{service} was to end well");
            self.running.remove(service);
        }
    }

    /// What the newest process of a service has logged.
    pub fn log(&self, service: &str) -> String {
        self.running.get(service).and_then(|running| fs::read_to_string(&running.log).ok()).unwrap_or_default()
    }

    /// The address that the newest process of a service tells its health at, once it is ready.
    pub fn ready_at(&self, service: &str) -> Option<String> {
        let log = self.log(service);
        let address = log.split("telemetry on http://").nth(1)?;
        let address: String = address.chars().take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ':')).collect();
        ask_ready(&address, None).is_ok().then_some(address)
    }

    /// Runs `prescale` with these arguments; it must end well.
    pub fn prescale(&self, args: &[&str]) {
        let output = self.command(&binary("prescale")).args(args).output().expect("prescale starts");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Small steps and many snapshots, by how much a service has to read: each comes by every point often.
fn batch_records_max(service: &str) -> u32 {
    match service {
        "fingerprinter" | "predictor" | ARCHIVER => 60,
        "governor" => 5,
        "actuator" => 1,
        _ => 10,
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        for (service, Running { mut child, log }) in std::mem::take(&mut self.running) {
            if std::thread::panicking() {
                eprintln!("--- {service}\n{}", fs::read_to_string(&log).unwrap_or_default());
            }
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Has a command that starts this very binary run a service that aborts at its `passing`-th passing of a crash point.
pub(crate) fn crashes(command: &mut Command, service: &str, point: CrashPoint, passing: u32) {
    command.args(["--exact", CRASHING_TEST, "--nocapture"]);
    command.env(CRASHING, format!("{service} {} {passing}", point.name()));
}

/// What the process does that was started to crash; in any other it does nothing.
pub fn run_crashing_service() {
    let Ok(asked) = std::env::var(CRASHING) else { return };
    let mut words = asked.split(' ');
    let mut word = || words.next().expect("a service, a point and a passing");
    let (name, point, passing) = (word(), word(), word());
    let service = SERVICES.iter().find(|service| service.name == name).expect("a service");
    let settings = Settings::load(&SERVICES, None).expect("the configuration is sound");
    telemetry::init_logs(&settings.telemetry).expect("it can log");
    CrashPoint::named(point).expect("a point").arm(passing.parse().expect("a number"));
    let bus = open_bus(&settings.bus).expect("the bus opens");
    let (context, stop) = (installation(&settings), CancellationToken::new());
    let tell = |_: Told| ();
    let launch = Launch { settings: &settings, context: &context, bus: &bus, stop: &stop, tell: &tell };
    (service.run)(&launch).expect("it runs");
}
