//! What the properties share: topics, writing, reading, running a stage, waiting for a condition.

use super::stage::{ChainingFactory, expected_values};
use prescale_bus::{
    Bus, BusError, Cleanup, ConsumedRecord, Header, OutputRecord, ReadFrom, Source, StageFactory, StageOptions,
    TopicSpec,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Partitions of each topic of the suite.
pub const PARTITIONS: u32 = 4;
/// The stage's input.
pub const INPUT: &str = "suite-in";
/// The stage's output.
pub const OUTPUT: &str = "suite-out";
/// The stage's group.
pub const GROUP: &str = "suite-chaining";
/// Longest wait for anything; reached only when something is broken.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A topic of the suite.
pub fn topic(name: &str) -> TopicSpec {
    TopicSpec {
        name: name.to_owned(),
        partitions: PARTITIONS,
        replication: 1,
        cleanup: Cleanup::Delete { retention_ms: 7 * 24 * 3600 * 1000 },
    }
}

/// Makes the stage's topics and its dead letter queue.
pub fn make_topics(bus: &dyn Bus) {
    let dlq = format!("{INPUT}.dlq");
    bus.ensure_topics(&[topic(INPUT), topic(OUTPUT), topic(&dlq)]).expect("topics are made");
}

/// A record of the suite, with one header.
pub fn record(topic: &str, key: &str, payload: &str) -> OutputRecord {
    OutputRecord {
        topic: topic.into(),
        key: key.as_bytes().to_vec(),
        value: Some(payload.as_bytes().to_vec()),
        headers: vec![Header { name: "origin".into(), value: payload.as_bytes().to_vec().into() }],
    }
}

/// Records `first..first + count` of the suite's input, spread over 13 keys.
pub fn inputs(first: usize, count: usize) -> Vec<OutputRecord> {
    (first..first + count).map(|i| record(INPUT, &format!("key-{}", i % 13), &format!("payload-{i}"))).collect()
}

/// Writes records through a source of the suite.
pub fn write(source: &mut dyn Source, records: Vec<OutputRecord>) {
    let position = source.position().expect("the position is readable").unwrap_or_default();
    let written = String::from_utf8(position).expect("the suite writes text").parse::<usize>().unwrap_or(0);
    let next = written + records.len();
    source.append(records, next.to_string().as_bytes()).expect("the records are written");
}

/// Asks again and again until `found` has an answer.
pub fn until<T>(what: &str, found: impl FnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, found)
}

/// As [`until`], but with another bound.
pub fn until_within<T>(at_most: Duration, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + at_most;
    loop {
        if let Some(answer) = found() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {at_most:?} for {what}");
        thread::park_timeout(Duration::from_millis(20));
    }
}

/// Lets so much time pass: a fault lasts, or a moment in the middle of what others do comes.
pub fn pass(time: Duration) {
    let deadline = Instant::now() + time;
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        thread::park_timeout(left);
    }
}

/// All records of a topic that are committed by now.
pub fn read_all(bus: &dyn Bus, topic: &str) -> Vec<ConsumedRecord> {
    let mut reader = until("the reader to open", || bus.reader(topic, ReadFrom::Earliest).ok());
    let mut all = Vec::new();
    until("the end of a topic", || {
        let (records, caught_up) = reader.poll(500, Duration::from_millis(200)).expect("the topic is readable");
        all.extend(records);
        (caught_up == prescale_bus::CaughtUp::Yes).then_some(())
    });
    all
}

/// Waits until a topic holds so many committed records, and checks that it does not hold more.
/// Kafka shows the records of a transaction a moment after its commit has returned.
pub fn read_count(bus: &dyn Bus, topic: &str, count: usize) -> Vec<ConsumedRecord> {
    let read = until("committed records to be visible", || {
        let read = read_all(bus, topic);
        (read.len() >= count).then_some(read)
    });
    assert_eq!(read.len(), count, "records in {topic}");
    read
}

/// Waits until the group's lag on the input is exactly 0.
pub fn await_no_lag(bus: &dyn Bus, group: &str) {
    await_no_lag_on(bus, group, INPUT);
}

/// Waits until the group's lag on a topic is exactly 0.
pub fn await_no_lag_on(bus: &dyn Bus, group: &str, topic: &str) {
    until("the lag to become 0", || {
        let lags = bus.lag(group, topic).expect("the lag is readable");
        assert_eq!(lags.len(), PARTITIONS as usize);
        lags.iter().all(|l| l.behind() == 0).then_some(())
    });
}

/// Options of a stage of the suite.
pub fn options(group: &str, snapshot_every_records: u64) -> StageOptions {
    StageOptions { group: group.to_owned(), batch_records_max: 16, snapshot_every_records }
}

/// A stage that runs on a thread of its own.
pub struct RunningStage {
    shutdown: CancellationToken,
    thread: Option<JoinHandle<Result<(), BusError>>>,
}

impl RunningStage {
    /// Starts a stage.
    pub fn start(bus: &Arc<dyn Bus>, factory: ChainingFactory, options: StageOptions) -> Self {
        let (bus, shutdown) = (Arc::clone(bus), CancellationToken::new());
        let token = shutdown.clone();
        let factory: Arc<dyn StageFactory> = Arc::new(factory);
        let thread = thread::spawn(move || bus.run_stage(factory, &options, &token));
        Self { shutdown, thread: Some(thread) }
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(mut self) -> Result<(), BusError> {
        self.shutdown.cancel();
        self.joined()
    }

    /// Whether it has ended of its own accord.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Waits until it ends of its own accord.
    pub fn ended(mut self) -> Result<(), BusError> {
        self.joined()
    }

    fn joined(&mut self) -> Result<(), BusError> {
        self.thread.take().expect("it is joined once").join().expect("the stage's thread does not panic")
    }
}

impl Drop for RunningStage {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Values by key, each key's in the order of the log.
pub fn values_by_key(records: &[ConsumedRecord]) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
    let mut sorted: Vec<&ConsumedRecord> = records.iter().collect();
    sorted.sort_by_key(|r| (r.partition, r.offset));
    let mut by_key: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    for record in sorted {
        let key = record.key.clone().unwrap_or_default();
        by_key.entry(key).or_default().push(record.value.clone().unwrap_or_default());
    }
    by_key
}

/// What was written, per partition in order, without what differs between runs (offsets, clock).
pub fn bytes_by_partition(records: &[ConsumedRecord]) -> BTreeMap<u32, Vec<Vec<u8>>> {
    let mut sorted: Vec<&ConsumedRecord> = records.iter().collect();
    sorted.sort_by_key(|r| (r.partition, r.offset));
    let mut by_partition: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
    for record in sorted {
        let bytes = format!("{:?} {:?} {:?}", record.key, record.value, record.headers).into_bytes();
        by_partition.entry(record.partition).or_default().push(bytes);
    }
    by_partition
}

/// Checks that the input topic holds exactly these records: nothing lost, repeated or reordered.
pub fn assert_written_exactly(bus: &dyn Bus, inputs: &[OutputRecord]) {
    let mut expected: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    for input in inputs {
        expected.entry(input.key.clone()).or_default().push(input.value.clone().unwrap_or_default());
    }
    assert_eq!(values_by_key(&read_count(bus, INPUT, inputs.len())), expected);
}

/// Checks that the output topic holds exactly what these inputs ask for: nothing lost, repeated,
/// reordered or invented.
pub fn assert_exactly(bus: &dyn Bus, inputs: &[OutputRecord]) {
    let mut payloads: BTreeMap<Vec<u8>, Vec<&[u8]>> = BTreeMap::new();
    for input in inputs {
        payloads.entry(input.key.clone()).or_default().push(input.value.as_deref().unwrap_or_default());
    }
    let expected: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = payloads
        .into_iter()
        .map(|(key, payloads)| (key, expected_values(payloads)))
        .filter(|(_, values)| !values.is_empty())
        .collect();
    let count = expected.values().map(Vec::len).sum();
    assert_eq!(values_by_key(&read_count(bus, OUTPUT, count)), expected);
}
