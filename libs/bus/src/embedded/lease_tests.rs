//! Steps that last longer than a lease: while the process lives the partition stays its own; once its leases have run
//! out, as they do while a process stands still, others do the work and the step is refused.

use super::{EmbeddedBus, EmbeddedOptions};
use crate::dlq::dlq_topic;
use crate::partitioner::partition_of;
use crate::{
    Bus, BusError, CaughtUp, Cleanup, ConsumedRecord, Outcome, OutputRecord, ReadFrom, Stage, StageFactory,
    StageFailure, StageOptions, TopicSpec,
};
use rusqlite::params;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const INPUT: &str = "in";
const OUTPUT: &str = "out";
const GROUP: &str = "copying";
const KEY: &[u8] = b"k";
const PARTITIONS: u32 = 2;
const RECORDS: usize = 20;
const LEASE: Duration = Duration::from_millis(1500);

/// Holds up whoever comes by until it is opened.
#[derive(Default)]
struct Gate {
    /// Whether someone waits, and whether it is open.
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().expect("no test panics while it holds this");
        state.0 = true;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| !state.1).expect("no test panics while it holds this"));
    }

    fn await_waiting(&self) {
        let state = self.state.lock().expect("no test panics while it holds this");
        drop(self.changed.wait_while(state, |state| !state.0).expect("no test panics while it holds this"));
    }

    fn open(&self) {
        self.state.lock().expect("no test panics while it holds this").1 = true;
        self.changed.notify_all();
    }
}

/// Copies records, once it may.
#[derive(Clone, Default)]
struct Copying {
    gate: Arc<Gate>,
    applied: Arc<AtomicUsize>,
}

impl StageFactory for Copying {
    fn name(&self) -> &'static str {
        "copying"
    }

    fn input_topic(&self) -> Arc<str> {
        INPUT.into()
    }

    fn output_topics(&self) -> Vec<Arc<str>> {
        vec![OUTPUT.into()]
    }

    fn state_schema(&self) -> String {
        "none".to_owned()
    }

    fn keeps_state(&self) -> bool {
        false
    }

    fn create(&self, _partition: u32) -> Box<dyn Stage> {
        Box::new(self.clone())
    }

    fn restore(&self, partition: u32, _snapshot: &[u8]) -> Result<Box<dyn Stage>, String> {
        Ok(self.create(partition))
    }
}

impl Stage for Copying {
    fn apply(&mut self, batch: &[ConsumedRecord]) -> Result<Vec<Outcome>, StageFailure> {
        self.gate.pass();
        self.applied.fetch_add(batch.len(), Ordering::SeqCst);
        let copied = batch.iter().map(|record| OutputRecord {
            topic: OUTPUT.into(),
            key: record.key.clone().unwrap_or_default(),
            value: record.value.clone(),
            headers: Vec::new(),
        });
        Ok(copied.map(|record| Outcome::Emit(vec![record])).collect())
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }
}

fn open(path: &Path, lease: Duration) -> Arc<EmbeddedBus> {
    let options = EmbeddedOptions { lease, maintenance_every: None, ..EmbeddedOptions::default() };
    Arc::new(EmbeddedBus::open(path, options).expect("the log opens"))
}

/// Makes the topics and writes the input.
fn fill(bus: &EmbeddedBus) {
    let cleanup = Cleanup::Delete { retention_ms: 1 << 40 };
    let names = [INPUT.to_owned(), OUTPUT.to_owned(), dlq_topic(INPUT)];
    let topics = names.map(|name| TopicSpec { name, partitions: PARTITIONS, replication: 1, cleanup });
    bus.ensure_topics(&topics).expect("the topics are made");
    let records = (0..RECORDS).map(|i| OutputRecord {
        topic: INPUT.into(),
        key: KEY.to_vec(),
        value: Some(i.to_string().into_bytes()),
        headers: Vec::new(),
    });
    bus.source("test").expect("it opens").append(records.collect(), b"").expect("they are written");
}

fn start(bus: &Arc<EmbeddedBus>, stage: &Copying, shutdown: &CancellationToken) -> JoinHandle<Result<(), BusError>> {
    let (bus, factory, shutdown) = (Arc::clone(bus), Arc::new(stage.clone()), shutdown.clone());
    let options =
        StageOptions { group: GROUP.to_owned(), batch_records_max: RECORDS, snapshot_every_records: u64::MAX };
    thread::spawn(move || bus.run_stage(factory, &options, &shutdown))
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited for {what}");
        thread::park_timeout(Duration::from_millis(2));
    }
}

fn await_no_lag(bus: &EmbeddedBus) {
    until("the input to be read", || {
        bus.lag(GROUP, INPUT).expect("the lag is readable").iter().all(|lag| lag.behind() == 0)
    });
}

/// Checks that each input was copied once.
fn assert_copied(bus: &EmbeddedBus) {
    let mut reader = bus.reader(OUTPUT, ReadFrom::Earliest).expect("it opens");
    let (records, caught_up) = reader.poll(10 * RECORDS, Duration::ZERO).expect("it is readable");
    let values: Vec<Option<Vec<u8>>> = records.into_iter().map(|record| record.value).collect();
    let expected: Vec<Option<Vec<u8>>> = (0..RECORDS).map(|i| Some(i.to_string().into_bytes())).collect();
    assert_eq!((values, caught_up), (expected, CaughtUp::Yes));
}

/// Who holds the partition of the suite's key, and until when.
fn lease(bus: &EmbeddedBus) -> (String, i64) {
    let connection = bus.store.reader().expect("it opens");
    let sql = "SELECT owner, expires_at_ms FROM leases WHERE consumer_group = ?1 AND partition = ?2";
    let found =
        connection.query_row(sql, params![GROUP, partition_of(KEY, PARTITIONS)], |row| Ok((row.get(0)?, row.get(1)?)));
    found.expect("someone holds it")
}

fn members(bus: &EmbeddedBus) -> i64 {
    let connection = bus.store.reader().expect("it opens");
    connection.query_row("SELECT count(*) FROM members", [], |row| row.get(0)).expect("it is readable")
}

#[test]
fn a_step_that_outlasts_the_lease_keeps_its_partition() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log.db");
    let (first, second) = (open(&path, LEASE), open(&path, LEASE));
    fill(&first);
    let (slow, other, shutdown) = (Copying::default(), Copying::default(), CancellationToken::new());
    other.gate.open();
    let running = start(&first, &slow, &shutdown);
    slow.gate.await_waiting();
    let (owner, expires_at_ms) = lease(&first);

    let competing = start(&second, &other, &shutdown);
    until("the other instance to join", || members(&first) == 2);
    let outlasted = expires_at_ms + 2 * i64::try_from(LEASE.as_millis()).expect("it is short");
    until("the lease to be renewed again and again", || lease(&first).1 > outlasted);
    assert_eq!((lease(&first).0, members(&first)), (owner, 2));
    assert_eq!(other.applied.load(Ordering::SeqCst), 0, "it was not given what the first works on");

    slow.gate.open();
    await_no_lag(&first);
    shutdown.cancel();
    for stage in [running, competing] {
        stage.join().expect("it does not panic").expect("it stops well");
    }
    assert_eq!(slow.applied.load(Ordering::SeqCst), RECORDS, "the step was not done a second time");
    assert_copied(&first);
}

#[test]
fn a_step_is_refused_when_the_lease_ran_out_and_another_did_the_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log.db");
    let (stopped, living) = (open(&path, Duration::ZERO), open(&path, LEASE));
    fill(&stopped);
    let (slow, other, shutdown) = (Copying::default(), Copying::default(), CancellationToken::new());
    other.gate.open();
    let running = start(&stopped, &slow, &shutdown);
    slow.gate.await_waiting();

    let competing = start(&living, &other, &shutdown);
    await_no_lag(&living);
    assert_eq!(other.applied.load(Ordering::SeqCst), RECORDS);
    assert_copied(&living);

    shutdown.cancel();
    slow.gate.open();
    for stage in [running, competing] {
        stage.join().expect("it does not panic").expect("it stops well");
    }
    assert_eq!(slow.applied.load(Ordering::SeqCst), RECORDS, "its step came to its end");
    assert_copied(&living);
}
