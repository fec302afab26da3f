//! A topic of others on a real Kafka, read onto both buses by a collector that is killed again and again: each message
//! counts once, what cannot be read is a dead letter, and partitions that are added are found.

use bus_tests::conformance::fixture::{read_all, until};
use bus_tests::kafka_broker::TestBroker;
use bus_tests::plain_topic::PlainTopic;
use integration_tests::processes::count;
use prescale::services::installation;
use prescale::settings::Settings;
use prescale::topics::specs;
use prescale_bus::Bus;
use prescale_bus::dlq::DeadLetter;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_bus::kafka::{KafkaBus, KafkaOptions};
use prescale_chassis::Context;
use prescale_collector::config::{KafkaFormat, KafkaTopicConfig};
use prescale_collector::formats::mapped::JsonMapping;
use prescale_collector::topic_preview::of_topic;
use prescale_contracts::{Contract, topics};
use prescale_domain::sample::Sample;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// In the environment of a collector that is to be killed: where it reads and writes.
const CHILD: &str = "PRESCALE_TEST_KAFKA_TOPIC";
const PARTITIONS: u32 = 3;
const MESSAGES: usize = 1500;
const FIRST_S: i64 = 1_700_000_000;
const KILLS: i64 = 3;

/// Where a collector reads and writes.
#[derive(Clone)]
struct Place {
    folder: PathBuf,
    servers: String,
    topic: String,
    /// Of the topics that it writes to; none where those are on the embedded log.
    prefix: Option<String>,
}

impl Place {
    fn as_text(&self) -> String {
        let prefix = self.prefix.as_deref().unwrap_or_default();
        [&*self.folder.to_string_lossy(), &self.servers, &self.topic, prefix].join("\n")
    }

    fn of_text(text: &str) -> Self {
        let [folder, servers, topic, prefix] = text.split('\n').collect::<Vec<_>>()[..] else { panic!("{text}") };
        let prefix = (!prefix.is_empty()).then(|| prefix.to_owned());
        Self { folder: folder.into(), servers: servers.to_owned(), topic: topic.to_owned(), prefix }
    }

    fn bus(&self) -> Arc<dyn Bus> {
        let Some(prefix) = &self.prefix else {
            let path = self.folder.join("bus.db");
            return Arc::new(EmbeddedBus::open(path, EmbeddedOptions::default()).expect("the log opens"));
        };
        let options = KafkaOptions {
            bootstrap_servers: self.servers.clone(),
            topic_prefix: prefix.clone(),
            state_dir: self.folder.join("state"),
            transaction_timeout_ms: 10_000,
            ..KafkaOptions::default()
        };
        Arc::new(KafkaBus::connect(options).expect("the broker answers"))
    }

    fn settings(&self) -> Settings {
        let mapping = JsonMapping {
            workload: "/vm".to_owned(),
            instant: "/at".to_owned(),
            kpis: [("cpu_cores_used".to_owned(), "/cpu".to_owned())].into(),
            ..JsonMapping::default()
        };
        let topic = KafkaTopicConfig {
            topic: self.topic.clone(),
            format: KafkaFormat::Json,
            mapping,
            bootstrap_servers: self.servers.clone(),
            batch_messages_max: 25,
            ..KafkaTopicConfig::default()
        };
        let mut settings = Settings::default();
        settings.collector.host.enabled = false;
        settings.collector.kafka_topics.insert("theirs".to_owned(), topic);
        settings
    }

    fn collect(&self, stop: &CancellationToken) {
        let collector = self.settings().collector;
        prescale_collector::run_observed(&collector, &Context::default(), self.bus(), stop, &|_| ())
            .expect("the collector runs");
    }
}

/// Not a test of its own: the process that the tests below kill.
#[test]
fn child_reads_a_topic() {
    if let Ok(text) = std::env::var(CHILD) {
        Place::of_text(&text).collect(&CancellationToken::new());
    }
}

/// A collector that is killed at the latest when this is dropped.
struct Killed(Child);

impl Killed {
    fn start(place: &Place) -> Self {
        let this = std::env::current_exe().expect("a test has a path");
        let child = Command::new(this)
            .args(["--exact", "kafka_topics::child_reads_a_topic"])
            .env(CHILD, place.as_text())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("it starts"))
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().expect("it can be killed");
        self.0.wait().expect("it ends");
    }
}

/// Each message has a workload and an instant of its own.
fn message(number: usize) -> String {
    format!("{{\"vm\":\"vm-{}\",\"at\":{},\"cpu\":\"{number}\"}}", number % 7, FIRST_S + number as i64)
}

/// What is to become of so many messages: by workload and instant in milliseconds, the values.
fn wanted(messages: usize) -> BTreeMap<(String, i64), Vec<f64>> {
    let one = |number: usize| ((format!("vm-{}", number % 7), (FIRST_S + number as i64) * 1000), vec![number as f64]);
    (0..messages).map(one).collect()
}

fn written(bus: &dyn Bus) -> BTreeMap<(String, i64), Vec<f64>> {
    let mut written: BTreeMap<_, Vec<f64>> = BTreeMap::new();
    for record in read_all(bus, topics::RAW_KPIS) {
        let sample = Sample::decode(record.value.as_deref().expect("a value")).expect("it can be decoded");
        assert_eq!(sample.source.as_str(), "kafka-topic:theirs");
        let values = sample.kpis.iter().filter_map(|kpi| kpi.value);
        written.entry((sample.workload.as_str().to_owned(), sample.at.as_ms())).or_default().extend(values);
    }
    written
}

fn each_message_counts_once(folder: &Path, prefix: Option<String>) {
    let servers = TestBroker::shared().bootstrap_servers();
    let name = format!("{}theirs", TestBroker::unique_prefix());
    let topic = PlainTopic::make(&servers, &name, PARTITIONS);
    let place = Place { folder: folder.to_owned(), servers, topic: name, prefix };
    let bus = place.bus();
    bus.ensure_topics(&specs(&installation(&place.settings()).graph, 4, 1)).expect("the topics are made");
    let partition = |number: usize| (number % PARTITIONS as usize) as i32;
    topic.write((0..MESSAGES).map(|number| (partition(number), message(number))));
    topic.write([(1, "no JSON".to_owned())]);
    let settings = place.settings();
    let assembler = settings.assembler.settings().expect("the defaults make sense");
    let seen = of_topic("theirs", &settings.collector, &settings.bus.kafka, assembler).expect("it can be read");
    assert_eq!((seen.workloads, seen.kpis[0].workloads), (7, 7), "a preview");
    let unreadable = format!("1 of {} messages cannot be used", MESSAGES + 1);
    assert!(seen.findings.iter().any(|finding| finding.what.starts_with(&unreadable)), "{:?}", seen.findings);
    for kill in 1..=KILLS {
        let _killed = Killed::start(&place);
        let some = MESSAGES as i64 * kill / (KILLS + 1);
        until("some of the messages to be read", || (count(bus.as_ref(), topics::RAW_KPIS) >= some).then_some(()));
    }
    let stop = CancellationToken::new();
    let reads = |messages: usize| {
        until("all messages to be read", || (written(bus.as_ref()).len() >= messages).then_some(()));
        assert_eq!(written(bus.as_ref()), wanted(messages));
    };
    std::thread::scope(|threads| {
        let collector = threads.spawn(|| place.collect(&stop));
        let ends = stop.clone().drop_guard();
        reads(MESSAGES);
        topic.grow(PARTITIONS as usize + 1);
        topic.write((MESSAGES..MESSAGES + 10).map(|number| (PARTITIONS as i32, message(number))));
        reads(MESSAGES + 10);
        drop(ends);
        collector.join().expect("it ends well");
    });
    assert_eq!(written(bus.as_ref()), wanted(MESSAGES + 10), "none twice");
    let letters: Vec<DeadLetter> =
        read_all(bus.as_ref(), &topics::dlq_of(topics::RAW_KPIS)).into_iter().map(DeadLetter::of).collect();
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((letter.stage.as_str(), letter.code.as_str()), ("kafka-topic:theirs", "unreadable"));
    assert!(letter.message.contains("no JSON"), "{letter:?}");
    let header = |name: &str| letter.record.header(&format!("__connect.errors.{name}")).map(<[u8]>::to_vec);
    assert_eq!(header("topic"), Some(place.topic.into_bytes()));
    assert_eq!(header("partition"), Some(b"1".to_vec()));
    assert_eq!(header("offset"), Some((MESSAGES / PARTITIONS as usize).to_string().into_bytes()));
}

#[test]
fn each_message_of_others_counts_once_on_the_embedded_bus() {
    let folder = tempfile::tempdir().expect("a folder for the log");
    each_message_counts_once(folder.path(), None);
}

#[test]
fn each_message_of_others_counts_once_on_kafka() {
    let folder = tempfile::tempdir().expect("a folder for snapshots");
    each_message_counts_once(folder.path(), Some(TestBroker::unique_prefix()));
}
