//! A real Apache Kafka for tests, from its Maven artefact: brokers in KRaft mode on loopback, each
//! also a controller, and each to be killed, stopped, paused and started again on its own.
//! librdkafka's mock cluster would not do: it shows aborted records to read_committed readers.

use crate::guarded::Guarded;
use crate::kafka_libraries::java;
use crate::kafka_listeners::SecureListeners;
use crate::signals::{self, Signal};
use crate::toxiproxy::{Link, Toxiproxy};
use prescale_bus::kafka::{KafkaBus, KafkaOptions};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait for a broker to answer, or to end when it was asked to.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// How clients reach the brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// As they are.
    Direct,
    /// Through a [`Link`] each, which can be cut and slowed. Brokers reach each other directly.
    Linked,
}

/// A cluster of one's own; it is killed when this is dropped.
pub struct TestCluster {
    brokers: Vec<Broker>,
    _network: Option<Toxiproxy>,
    _folder: TempDir,
}

struct Broker {
    folder: PathBuf,
    client_port: u16,
    internal_port: u16,
    controller_port: u16,
    heap_mb: u32,
    link: Option<Link>,
    secure: Option<SecureListeners>,
    server: Option<Guarded>,
}

impl TestCluster {
    /// Starts so many brokers with nothing in them. Topics have as many copies as there are brokers,
    /// up to 3, and of three copies two must be in sync.
    ///
    /// # Panics
    /// When Java or Maven is missing, or a broker does not come up; with what to do about it.
    pub fn start(brokers: usize, reach: Reach) -> Self {
        Self::start_with(brokers, reach, false)
    }

    /// Starts one broker that also has listeners with TLS and logins, and an authorizer.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub(crate) fn start_secured() -> Self {
        Self::start_with(1, Reach::Direct, true)
    }

    fn start_with(brokers: usize, reach: Reach, is_secured: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the brokers");
        let heap_mb = if brokers == 1 { 512 } else { 320 };
        let ports_each = if is_secured { 3 + SecureListeners::PORTS } else { 3 };
        let network = (reach == Reach::Linked).then(Toxiproxy::start);
        let reserved = reserve_ports(ports_each * brokers);
        let ports: Vec<u16> = reserved.iter().map(|l| l.local_addr().expect("a bound port").port()).collect();
        let broker = |(number, ports): (usize, &[u16])| {
            let folder = folder.path().join(format!("broker-{number}"));
            fs::create_dir(&folder).expect("the folder is writable");
            let link = network.as_ref().map(|network| network.link(ports[0]));
            let (client_port, internal_port, controller_port) = (ports[0], ports[1], ports[2]);
            let secure = is_secured.then(|| SecureListeners::new(&folder, &ports[3..]));
            Broker { folder, client_port, internal_port, controller_port, heap_mb, link, secure, server: None }
        };
        let brokers: Vec<Broker> = ports.chunks(ports_each).enumerate().map(broker).collect();
        drop(reserved);
        let mut cluster = Self { brokers, _network: network, _folder: folder };
        cluster.format();
        cluster.run_all();
        cluster
    }

    fn format(&self) {
        let voters: Vec<String> =
            (1..).zip(&self.brokers).map(|(id, b)| format!("{id}@127.0.0.1:{}", b.controller_port)).collect();
        for (id, broker) in (1..).zip(&self.brokers) {
            fs::write(broker.properties(), properties(broker, id, &voters)).expect("the broker's folder is writable");
        }
        thread::scope(|scope| {
            for broker in &self.brokers {
                scope.spawn(|| broker.format());
            }
        });
    }

    /// Where clients connect.
    pub fn bootstrap_servers(&self) -> String {
        self.servers(|broker| broker.link.as_ref().map_or(broker.client_port, Link::port))
    }

    /// Where clients connect that no [`Link`] is to disturb.
    pub fn direct_servers(&self) -> String {
        self.servers(|broker| broker.internal_port)
    }

    fn servers(&self, port: impl Fn(&Broker) -> u16) -> String {
        let servers: Vec<String> = self.brokers.iter().map(|b| format!("127.0.0.1:{}", port(b))).collect();
        servers.join(",")
    }

    /// The first broker's listeners with TLS and logins.
    ///
    /// # Panics
    /// When it has none.
    pub(crate) fn secure(&self) -> &SecureListeners {
        self.brokers[0].secure.as_ref().expect("the broker was started with secure listeners")
    }

    /// Number of brokers.
    pub fn size(&self) -> usize {
        self.brokers.len()
    }

    /// The link to a broker, numbered from 0.
    ///
    /// # Panics
    /// When clients reach it directly.
    pub fn link(&self, broker: usize) -> &Link {
        self.brokers[broker].link.as_ref().expect("the cluster was started with links")
    }

    /// Kills a broker at once (SIGKILL); its log stays.
    pub fn kill(&mut self, broker: usize) {
        self.brokers[broker].kill();
    }

    /// Asks a broker to end (SIGTERM) and waits until it has.
    pub fn stop(&mut self, broker: usize) {
        self.brokers[broker].stop();
    }

    /// Lets a broker stand still (SIGSTOP).
    pub fn pause(&self, broker: usize) {
        self.brokers[broker].signal(Signal::Stop);
    }

    /// Lets it go on.
    pub fn resume(&self, broker: usize) {
        self.brokers[broker].signal(Signal::Continue);
    }

    /// Starts a broker that does not run, with the log that it has.
    pub fn run(&mut self, broker: usize) {
        self.brokers[broker].run();
    }

    /// Starts every broker that does not run, mends every link, and waits until all answer.
    pub fn run_all(&mut self) {
        for broker in &mut self.brokers {
            broker.signal(Signal::Continue);
            broker.run();
            if let Some(link) = &broker.link {
                link.mend();
            }
        }
        self.await_answer();
    }

    /// Waits until every broker answers and every partition has all its copies in sync: only then
    /// does a cluster bear the loss of another broker.
    ///
    /// # Panics
    /// When it does not come to that.
    pub fn await_in_sync(&self) {
        self.await_answer();
        let inspector: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.direct_servers())
            .set_log_level(RDKafkaLogLevel::Emerg)
            .create()
            .expect("a client is made");
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let in_sync = inspector.fetch_metadata(None, Duration::from_secs(2)).is_ok_and(|metadata| {
                let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
                partitions.all(|partition| partition.isr().len() == partition.replicas().len())
            });
            if in_sync {
                return;
            }
            assert!(Instant::now() < deadline, "copies are not in sync after {READY_WITHIN:?}");
            thread::park_timeout(Duration::from_millis(100));
        }
    }

    /// Waits until every broker answers.
    ///
    /// # Panics
    /// When one does not, with its log.
    pub fn await_answer(&self) {
        for broker in &self.brokers {
            broker.await_answer();
        }
    }
}

impl Broker {
    fn properties(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    fn format(&self) {
        let java = java("kafka.tools.StorageTool", self.heap_mb);
        let output = Command::new(&java[0])
            .args(&java[1..])
            .args(["format", "--cluster-id", "prescaleTestCluster000", "--config"])
            .arg(self.properties())
            .args(self.secure.iter().flat_map(SecureListeners::format_arguments))
            .output()
            .expect("java starts: the Kafka tests need Java 17 or newer (Debian: openjdk-17-jre-headless)");
        assert!(output.status.success(), "the storage is not formatted: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn run(&mut self) {
        if self.server.is_none() {
            let properties = self.properties().display().to_string();
            let command: Vec<String> = java("kafka.Kafka", self.heap_mb).into_iter().chain([properties]).collect();
            self.server = Some(Guarded::start(&command, &[], &self.folder.join("broker.log")));
        }
    }

    fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.kill();
        }
    }

    fn stop(&mut self) {
        self.signal(Signal::Terminate);
        let deadline = Instant::now() + READY_WITHIN;
        while self.server.as_mut().is_some_and(|server| !server.has_ended()) {
            assert!(Instant::now() < deadline, "the broker has not ended {READY_WITHIN:?} after SIGTERM");
            thread::park_timeout(Duration::from_millis(20));
        }
        self.server = None;
    }

    fn signal(&self, signal: Signal) {
        let Some(server) = &self.server else { return };
        let deadline = Instant::now() + READY_WITHIN;
        let process_id = loop {
            if let Some(id) = server.process_id() {
                break id;
            }
            assert!(Instant::now() < deadline, "the broker's guard does not tell its process id");
            thread::park_timeout(Duration::from_millis(5));
        };
        signals::send(signal, process_id);
    }

    fn await_answer(&self) {
        let deadline = Instant::now() + READY_WITHIN;
        let options = || KafkaOptions {
            bootstrap_servers: format!("127.0.0.1:{}", self.internal_port),
            request_timeout: Duration::from_secs(1),
            ..KafkaOptions::default()
        };
        while let Err(error) = KafkaBus::connect(options()) {
            let log = || fs::read_to_string(self.folder.join("broker.log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "no answer within {READY_WITHIN:?}: {error}\n{}", log());
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

fn properties(broker: &Broker, id: u32, voters: &[String]) -> String {
    let Broker { client_port, internal_port, controller_port, .. } = broker;
    let advertised = broker.link.as_ref().map_or(*client_port, Link::port);
    let copies = voters.len().min(3);
    let in_sync = if copies == 3 { 2 } else { 1 };
    let (addresses, protocols, secured) = broker.secure.as_ref().map(SecureListeners::properties).unwrap_or_default();
    format!(
        "process.roles=broker,controller
node.id={id}
controller.quorum.voters={}
controller.listener.names=CONTROLLER
inter.broker.listener.name=INTERNAL
listeners=PLAINTEXT://127.0.0.1:{client_port},INTERNAL://127.0.0.1:{internal_port},CONTROLLER://127.0.0.1:{controller_port}{addresses}
advertised.listeners=PLAINTEXT://127.0.0.1:{advertised},INTERNAL://127.0.0.1:{internal_port}{addresses}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}
log.dirs={}
auto.create.topics.enable=false
default.replication.factor={copies}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={copies}
offsets.topic.num.partitions=2
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={in_sync}
transaction.state.log.num.partitions=2
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.cleaner.dedupe.buffer.size=8388608
{secured}",
        voters.join(","),
        broker.folder.join("log").display()
    )
}

/// Keeps so many free ports from everybody else until they are dropped: ports that are drawn one after
/// the other, each let go at once, can be the same.
fn reserve_ports(count: usize) -> Vec<TcpListener> {
    (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port")).collect()
}
