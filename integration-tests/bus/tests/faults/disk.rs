//! The disk of the embedded bus is full for a while: it takes nothing, says so, and goes on by
//! itself when there is room.

use bus_tests::conformance::fixture::{
    GROUP, INPUT, OUTPUT, RunningStage, assert_exactly, assert_written_exactly, await_no_lag, inputs, make_topics,
    options, pass, read_all, record, topic, until,
};
use bus_tests::conformance::stage::ChainingFactory;
use bus_tests::faults::copy::written_of;
use bus_tests::faults::seed::Chance;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_bus::{Bus, BusError, Cleanup, Source, TopicSpec};
use std::sync::Arc;
use std::time::Duration;

/// Fills the disk; retention makes room again.
const BALLAST: &str = "ballast";
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Later than anything that the test writes, and earlier than the retention of its other topics.
const SOON_MS: i64 = 24 * 3600 * 1000;

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("the clock is set");
    since.as_millis() as i64
}

/// Whether the append was refused because there is no room.
fn is_full(appended: Result<(), BusError>) -> bool {
    match appended {
        Ok(()) => false,
        Err(BusError::Backend { message, retryable: true, .. }) if message.contains("full") => true,
        Err(other) => panic!("a full disk is told as such, got {other}"),
    }
}

/// Appends the next inputs; whether there was no room.
fn write_next(source: &mut dyn Source) -> bool {
    let written = written_of(source.position().expect("it is readable").as_deref());
    is_full(source.append(inputs(written, 20), (written + 20).to_string().as_bytes()))
}

/// Text that hardly shrinks when it is compressed.
fn noise(bytes: usize) -> String {
    let mut chance = Chance::seeded(1);
    (0..bytes).map(|_| char::from(b'!' + chance.among(0..94) as u8)).collect()
}

#[test]
fn a_full_disk_stops_the_embedded_bus_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder for the log");
    let full =
        EmbeddedOptions { file_bytes_max: Some(FILE_BYTES_MAX), maintenance_every: None, ..EmbeddedOptions::default() };
    let embedded = Arc::new(EmbeddedBus::open(folder.path().join("log.db"), full).expect("the log opens"));
    let bus: Arc<dyn Bus> = Arc::clone(&embedded) as Arc<dyn Bus>;
    make_topics(bus.as_ref());
    let cleanup = Cleanup::Delete { retention_ms: 1000 };
    bus.ensure_topics(&[TopicSpec { cleanup, ..topic(BALLAST) }]).expect("the topic is made");
    let stage = RunningStage::start(&bus, ChainingFactory::new(INPUT, OUTPUT), options(GROUP, 20));
    let mut source = bus.source("meter").expect("the source opens");
    for _ in 0..10 {
        assert!(!write_next(source.as_mut()), "there is room at first");
    }
    await_no_lag(bus.as_ref(), GROUP);

    let mut ballast = bus.source("ballast").expect("the source opens");
    for bytes in [100_000, 1000, 10] {
        let filler = vec![record(BALLAST, "k", &noise(bytes))];
        until("the disk to be full", || is_full(ballast.append(filler.clone(), b"")).then_some(()));
    }
    until("the source to be refused", || write_next(source.as_mut()).then_some(()));
    let written = written_of(source.position().expect("it is readable").as_deref());
    assert_written_exactly(bus.as_ref(), &inputs(0, written));
    pass(Duration::from_millis(500));
    let done = read_all(bus.as_ref(), OUTPUT).len();
    assert!(done >= 200 && done <= written, "{done} of {written}");

    let removed = embedded.maintain(now_ms() + SOON_MS).expect("it makes room");
    assert!(removed.expired > 0);
    for _ in 0..10 {
        assert!(!write_next(source.as_mut()), "there is room again");
    }
    await_no_lag(bus.as_ref(), GROUP);
    stage.stop().expect("the stage stops");
    assert_exactly(bus.as_ref(), &inputs(0, written + 200));
}
