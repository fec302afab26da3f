//! Records per second of a stage on each backend, beside the plain loop over librdkafka that one
//! would write by hand: consume, transform, produce and move the positions in one transaction.
//!
//! `cargo bench -p bus-tests --bench throughput -- [RECORDS] [BATCH_RECORDS] [ROUNDS]`

use bus_tests::conformance::fixture::{topic, until};
use bus_tests::kafka_broker::TestBroker;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_bus::kafka::{KafkaBus, KafkaOptions};
use prescale_bus::{
    Bus, ConsumedRecord, Header, Outcome, OutputRecord, Stage, StageFactory, StageFailure, StageOptions,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const INPUT: &str = "throughput-in";
const OUTPUT: &str = "throughput-out";
const GROUP: &str = "throughput";
const VALUE_BYTES: usize = 1000;
const WORKLOADS: usize = 1000;
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|a| a.parse::<usize>().ok());
    let records = numbers.next().unwrap_or(200_000);
    let batch_records = numbers.next().unwrap_or(1000);
    let rounds = numbers.next().unwrap_or(3);
    println!("{records} records of {VALUE_BYTES} bytes, {batch_records} a step, best of {rounds}");
    println!("{:<28} {:>12} {:>10}", "", "records/s", "of plain");
    // Taken in turns, so that what else the machine does falls on all alike.
    let mut best = [0.0_f64; 3];
    for _ in 0..rounds {
        let folder = tempfile::tempdir().expect("a folder");
        let plain = kafka(folder.path(), records);
        best[0] = best[0].max(per_s(records, plain_loop(&plain, records, batch_records)));
        let ours: Arc<dyn Bus> = Arc::new(KafkaBus::connect(kafka(folder.path(), records)).expect("it answers"));
        best[1] = best[1].max(per_s(records, stage(&ours, batch_records)));
        let log = EmbeddedBus::open(folder.path().join("bench.db"), EmbeddedOptions::default());
        let embedded: Arc<dyn Bus> = Arc::new(log.expect("the log opens"));
        fill(embedded.as_ref(), records);
        best[2] = best[2].max(per_s(records, stage(&embedded, batch_records)));
    }
    for (name, per_s) in ["plain librdkafka loop", "stage on Kafka", "stage on the embedded log"].iter().zip(best) {
        println!("{name:<28} {per_s:>12.0} {:>10.2}", per_s / best[0]);
    }
}

fn per_s(records: usize, took: Duration) -> f64 {
    records as f64 / took.as_secs_f64()
}

/// The shared broker under a fresh prefix, with the input written.
fn kafka(state_dir: &Path, records: usize) -> KafkaOptions {
    let options = KafkaOptions {
        bootstrap_servers: TestBroker::shared().bootstrap_servers(),
        topic_prefix: TestBroker::unique_prefix(),
        state_dir: state_dir.to_owned(),
        ..KafkaOptions::default()
    };
    fill(&KafkaBus::connect(options.clone()).expect("the broker answers"), records);
    options
}

fn fill(bus: &dyn Bus, records: usize) {
    let topics = [INPUT.to_owned(), OUTPUT.to_owned(), format!("{INPUT}.dlq")];
    bus.ensure_topics(&topics.map(|name| topic(&name))).expect("the topics are made");
    let mut source = bus.source("meter").expect("the source opens");
    let topic: Arc<str> = INPUT.into();
    let mut written = 0;
    while written < records {
        let upto = records.min(written + 5000);
        let batch = (written..upto).map(|i| OutputRecord {
            topic: Arc::clone(&topic),
            key: format!("workload-{}", i % WORKLOADS).into_bytes(),
            value: Some(vec![u8::try_from(i % 251).expect("it is below 251"); VALUE_BYTES]),
            headers: vec![Header { name: "ce_id".into(), value: i.to_string().into_bytes().into() }],
        });
        source.append(batch.collect(), upto.to_string().as_bytes()).expect("the records are written");
        written = upto;
    }
}

/// What stage and loop do with a value.
fn transformed(value: &[u8]) -> Vec<u8> {
    value.iter().rev().copied().collect()
}

/// Emits each record reversed; remembers when it saw the first.
struct Reversing {
    output: Arc<str>,
    began: Arc<OnceLock<Instant>>,
}

impl Stage for Reversing {
    fn apply(&mut self, batch: &[ConsumedRecord]) -> Result<Vec<Outcome>, StageFailure> {
        self.began.get_or_init(Instant::now);
        let emitted = batch.iter().map(|record| OutputRecord {
            topic: Arc::clone(&self.output),
            key: record.key.clone().unwrap_or_default(),
            value: record.value.as_deref().map(transformed),
            headers: record.headers.clone(),
        });
        Ok(emitted.map(|record| Outcome::Emit(vec![record])).collect())
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }
}

impl StageFactory for Reversing {
    fn name(&self) -> &'static str {
        "reversing"
    }

    fn input_topic(&self) -> Arc<str> {
        INPUT.into()
    }

    fn output_topics(&self) -> Vec<Arc<str>> {
        vec![Arc::clone(&self.output)]
    }

    fn state_schema(&self) -> String {
        "reversing-1".to_owned()
    }

    fn create(&self, _partition: u32) -> Box<dyn Stage> {
        Box::new(Self { output: Arc::clone(&self.output), began: Arc::clone(&self.began) })
    }

    fn restore(&self, partition: u32, _snapshot: &[u8]) -> Result<Box<dyn Stage>, String> {
        Ok(self.create(partition))
    }
}

/// From the first record applied to the last position committed.
fn stage(bus: &Arc<dyn Bus>, batch_records_max: usize) -> Duration {
    let began = Arc::new(OnceLock::new());
    let factory = Arc::new(Reversing { output: OUTPUT.into(), began: Arc::clone(&began) });
    let options = StageOptions { group: GROUP.to_owned(), batch_records_max, snapshot_every_records: u64::MAX };
    let shutdown = CancellationToken::new();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| bus.run_stage(factory, &options, &shutdown));
        let took = until("the stage to be through", || {
            let lags = bus.lag(GROUP, INPUT).expect("the lag is readable");
            let is_through = lags.iter().all(|l| l.behind() == 0);
            began.get().filter(|_| is_through).map(Instant::elapsed)
        });
        shutdown.cancel();
        running.join().expect("the stage does not panic").expect("the stage ends well");
        took
    })
}

fn plain_config(options: &KafkaOptions) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &options.bootstrap_servers);
    config
}

/// From the first record read to the last transaction committed.
fn plain_loop(options: &KafkaOptions, records: usize, batch_records: usize) -> Duration {
    let named = |name: &str| format!("{}{name}", options.topic_prefix);
    let (input, output) = (named(INPUT), named(OUTPUT));
    let consumer: BaseConsumer = plain_config(options)
        .set("group.id", named("plain"))
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("queued.min.messages", "20000")
        .create()
        .expect("the consumer is made");
    consumer.subscribe(&[&input]).expect("it subscribes");
    let producer: ThreadedProducer<Silent> = plain_config(options)
        .set("transactional.id", named("plain"))
        .set("compression.type", "lz4")
        .set("linger.ms", "5")
        .create_with_context(Silent)
        .expect("the producer is made");
    producer.init_transactions(CALL_TIMEOUT).expect("it is fenced");
    let (mut began, mut done) = (None, 0);
    while done < records {
        let mut batch = Vec::with_capacity(batch_records);
        while batch.len() < batch_records && done + batch.len() < records {
            match consumer.poll(Duration::from_millis(50)) {
                Some(message) => batch.push(message.expect("the topic is readable")),
                None if batch.is_empty() => {}
                None => break,
            }
        }
        began.get_or_insert_with(Instant::now);
        producer.begin_transaction().expect("a transaction begins");
        batch.iter().for_each(|message| send(&producer, &output, message));
        let metadata = consumer.group_metadata().expect("it is a member");
        producer.send_offsets_to_transaction(&positions(&batch), &metadata, CALL_TIMEOUT).expect("positions move");
        producer.commit_transaction(CALL_TIMEOUT).expect("it is committed");
        done += batch.len();
    }
    began.expect("there were records").elapsed()
}

struct Silent;

impl ClientContext for Silent {}

impl rdkafka::producer::ProducerContext for Silent {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &rdkafka::producer::DeliveryResult<'_>, (): ()) {
        assert!(result.is_ok(), "a record was not delivered");
    }
}

fn send(producer: &ThreadedProducer<Silent>, output: &str, message: &BorrowedMessage<'_>) {
    let value = transformed(message.payload().unwrap_or_default());
    let headers = message.headers().map_or_else(OwnedHeaders::new, |headers| {
        headers.iter().fold(OwnedHeaders::new_with_capacity(headers.count()), OwnedHeaders::insert)
    });
    let mut record = BaseRecord::<[u8], [u8]>::to(output).payload(&value).headers(headers);
    record.key = message.key();
    producer.send(record).map_err(|(error, _)| error).expect("there is room in the queue");
}

fn positions(batch: &[BorrowedMessage<'_>]) -> TopicPartitionList {
    let last: BTreeMap<(&str, i32), i64> = batch.iter().map(|m| ((m.topic(), m.partition()), m.offset())).collect();
    let mut list = TopicPartitionList::new();
    for ((topic, partition), offset) in last {
        list.add_partition_offset(topic, partition, Offset::Offset(offset + 1)).expect("a sound offset");
    }
    list
}
