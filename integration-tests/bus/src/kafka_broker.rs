//! A real Apache Kafka for tests, from its Maven artefact: one broker in KRaft mode on loopback.
//! librdkafka's mock cluster would not do: it shows aborted records to read_committed readers.

use crate::kafka_listeners::SecureListeners;
use crate::repository;
use prescale_bus::kafka::{KafkaBus, KafkaOptions};
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait for a broker to answer.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// Starts `"$@"`, writes its process id to `$PID_FILE`, and kills it when standard input ends: so
/// the broker goes with the test process, however that ends.
const GUARD: &str =
    r#""$@" </dev/null & pid=$!; echo "$pid" > "$PID_FILE"; cat > /dev/null; kill -9 "$pid"; wait "$pid""#;

/// A broker of one's own; it is killed when this is dropped.
pub struct TestBroker {
    folder: TempDir,
    port: u16,
    secure: Option<SecureListeners>,
    libraries: PathBuf,
    guard: Option<Child>,
}

impl TestBroker {
    /// Starts a broker with nothing in it.
    ///
    /// # Panics
    /// When Java or Maven is missing, or the broker does not come up; with what to do about it.
    pub fn start() -> Self {
        Self::start_with(|_| None)
    }

    /// Starts a broker that also has listeners with TLS and logins, and that gives no right to
    /// anybody who has none, save over the plaintext listener.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub fn start_secured() -> Self {
        Self::start_with(|folder| Some(SecureListeners::new(folder)))
    }

    fn start_with(secure: impl FnOnce(&Path) -> Option<SecureListeners>) -> Self {
        require(&["java", "-version"], "Java 17 or newer (Debian: openjdk-17-jre-headless)");
        let libraries = libraries();
        let folder = tempfile::tempdir().expect("a folder for the broker");
        let [port, controller_port] = free_ports();
        let secure = secure(folder.path());
        let properties = properties(folder.path(), port, controller_port, secure.as_ref());
        fs::write(folder.path().join("server.properties"), properties).expect("the broker's folder is writable");
        let mut broker = Self { folder, port, secure, libraries, guard: None };
        broker.format();
        broker.run();
        broker
    }

    /// The broker that the tests of this process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<TestBroker> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// The secured broker that the tests of this process share.
    pub fn shared_secured() -> &'static Self {
        static SHARED: OnceLock<TestBroker> = OnceLock::new();
        SHARED.get_or_init(Self::start_secured)
    }

    /// The listeners with TLS and logins.
    ///
    /// # Panics
    /// When the broker has none.
    pub fn secure(&self) -> &SecureListeners {
        self.secure.as_ref().expect("the broker was started with secure listeners")
    }

    /// Runs commands of `kafka-acls.sh` against this broker.
    ///
    /// # Panics
    /// When one of them fails.
    pub fn run_acl_commands(&self, commands: &[String]) {
        use std::os::unix::fs::PermissionsExt as _;
        let script = self.folder.path().join("kafka-acls.sh");
        let java = self.java("org.apache.kafka.tools.AclCommand").join("' '");
        fs::write(&script, format!("#!/bin/sh\nexec '{java}' \"$@\"\n")).expect("the broker's folder is writable");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("the script is executable");
        let path = std::env::var("PATH").expect("PATH is set");
        let output = Command::new("sh")
            .args(["-ec", &commands.join("\n")])
            .env("PATH", format!("{}:{path}", self.folder.path().display()))
            .output()
            .expect("sh starts");
        assert!(output.status.success(), "{commands:#?}\n{output:?}");
    }

    /// Where clients connect.
    pub fn bootstrap_servers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A prefix that no other test of this process has.
    pub fn unique_prefix() -> String {
        static PREFIXES: AtomicU32 = AtomicU32::new(0);
        format!("t{}.", PREFIXES.fetch_add(1, Ordering::Relaxed))
    }

    /// Kills the broker at once (SIGKILL); its log stays.
    pub fn kill(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            drop(guard.stdin.take());
            guard.wait().expect("the broker's guard ends");
        }
    }

    /// Starts it again on the same port with the same log, and waits until it answers.
    pub fn run(&mut self) {
        self.kill();
        let log = File::create(self.folder.path().join("broker.log")).expect("the broker's folder is writable");
        let guard = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .args(self.java("kafka.Kafka"))
            .arg(self.folder.path().join("server.properties"))
            .env("PID_FILE", self.folder.path().join("broker.pid"))
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("the log is shared"))
            .stderr(log)
            .spawn()
            .expect("sh starts");
        self.guard = Some(guard);
        self.await_answer();
    }

    fn java(&self, class: &str) -> Vec<String> {
        let class_path = format!("{}/*", self.libraries.display());
        ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
            .into_iter()
            .chain(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", &class_path, class])
            .map(str::to_owned)
            .collect()
    }

    fn format(&self) {
        let java = self.java("kafka.tools.StorageTool");
        let output = Command::new(&java[0])
            .args(&java[1..])
            .args(["format", "--cluster-id", "prescaleTestCluster000", "--config"])
            .arg(self.folder.path().join("server.properties"))
            .args(self.secure.iter().flat_map(SecureListeners::format_arguments))
            .output()
            .expect("java starts");
        assert!(output.status.success(), "the storage is not formatted: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn await_answer(&self) {
        let deadline = Instant::now() + READY_WITHIN;
        let options = || KafkaOptions {
            bootstrap_servers: self.bootstrap_servers(),
            request_timeout: Duration::from_secs(1),
            ..KafkaOptions::default()
        };
        while let Err(error) = KafkaBus::connect(options()) {
            let log = || fs::read_to_string(self.folder.path().join("broker.log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "no answer within {READY_WITHIN:?}: {error}\n{}", log());
        }
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        self.kill();
    }
}

fn properties(folder: &Path, port: u16, controller_port: u16, secure: Option<&SecureListeners>) -> String {
    let log = folder.join("log");
    let (addresses, protocols, secured) = secure.map(SecureListeners::properties).unwrap_or_default();
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{addresses}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{addresses}
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}
log.dirs={}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=2
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=2
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
{secured}",
        log.display()
    )
}

/// Ports that were free a moment ago.
pub(crate) fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let bound = [(); COUNT].map(|()| TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port"));
    bound.map(|listener| listener.local_addr().expect("a bound port").port())
}

fn require(command: &[&str], what: &str) {
    let answers = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    assert!(answers, "the Kafka tests need {what}; `{}` does not answer", command.join(" "));
}

/// Kafka's libraries in the user's cache, fetched through Maven the first time.
fn libraries() -> PathBuf {
    let pom = repository().join("infra/kafka/test-broker/pom.xml");
    let text = fs::read_to_string(&pom).expect("the test broker's pom.xml is there");
    let version = text
        .split_once("<kafka.version>")
        .and_then(|(_, rest)| rest.split_once("</kafka.version>"))
        .map(|(version, _)| version)
        .expect("the pom names kafka.version");
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .expect("XDG_CACHE_HOME or HOME is set");
    let folder = cache.join("prescale").join(format!("kafka-{version}"));
    fs::create_dir_all(&folder).expect("the cache is writable");
    let lock = File::create(folder.join(".lock")).expect("the cache is writable");
    lock.lock().expect("the cache's file system has locks");
    let complete = folder.join(".complete");
    // Holds what was fetched, so that a change of the pom is noticed.
    if fs::read_to_string(&complete).ok().as_deref() != Some(&text) {
        require(&["mvn", "--version"], "Maven (Debian: maven)");
        let status = Command::new("mvn")
            .args(["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-f"])
            .arg(&pom)
            .arg(format!("-DoutputDirectory={}", folder.display()))
            .stdin(Stdio::null())
            .status()
            .expect("mvn starts");
        assert!(status.success(), "Maven could not fetch Kafka {version}: run `mvn -f {}` by hand", pom.display());
        fs::write(complete, text).expect("the cache is writable");
    }
    folder
}
