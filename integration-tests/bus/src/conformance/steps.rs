//! The atomic step: all of it or nothing; dead letters and drops are accounted for.

use super::BusUnderTest;
use super::fixture::{
    GROUP, INPUT, OUTPUT, RunningStage, assert_exactly, await_no_lag, inputs, make_topics, options, read_all,
    read_count, record, until, write,
};
use super::stage::ChainingFactory;
use crate::counters::Counters;
use prescale_bus::{BusError, StageFactory};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio_util::sync::CancellationToken;

/// A stage that fails within a batch leaves no output and does not move; mended, it goes on.
pub fn a_failed_step_leaves_nothing(under_test: &dyn BusUnderTest) {
    let bus = under_test.open("a");
    make_topics(bus.as_ref());
    let mut written: Vec<_> = (0..5).map(|i| record(INPUT, "k", &format!("before-{i}"))).collect();
    written.push(record(INPUT, "k", "fail"));
    written.extend((0..5).map(|i| record(INPUT, "k", &format!("after-{i}"))));
    write(bus.source("failing").expect("the source opens").as_mut(), written.clone());

    let factory = ChainingFactory::new(INPUT, OUTPUT);
    factory.failing.store(true, Ordering::SeqCst);
    let failed = RunningStage::start(&bus, factory, options(GROUP, 2)).ended();
    match failed {
        Err(BusError::Stage { stage, topic, message, .. }) => {
            assert_eq!((stage.as_str(), topic.as_str(), message.as_str()), ("chaining", INPUT, "told to fail"));
        }
        other => panic!("the stage fails, got {other:?}"),
    }
    assert_eq!(read_all(bus.as_ref(), OUTPUT), vec![]);
    let behind: u64 = bus.lag(GROUP, INPUT).expect("the lag is readable").iter().map(prescale_bus::Lag::behind).sum();
    assert!(behind >= 11, "the position stays, lag is {behind}");

    let mended = RunningStage::start(&bus, ChainingFactory::new(INPUT, OUTPUT), options(GROUP, 2));
    await_no_lag(bus.as_ref(), GROUP);
    mended.stop().expect("the mended stage stops");
    assert_exactly(bus.as_ref(), &written);
}

/// A rejected record is in the dead letter queue as it came, with the reason in its headers.
pub fn rejected_records_go_to_the_dead_letter_queue(under_test: &dyn BusUnderTest) {
    let bus = under_test.open("a");
    make_topics(bus.as_ref());
    let written = vec![record(INPUT, "k", "one"), record(INPUT, "k", "reject-me"), record(INPUT, "k", "two")];
    write(bus.source("rejecting").expect("the source opens").as_mut(), written.clone());
    let stage = RunningStage::start(&bus, ChainingFactory::new(INPUT, OUTPUT), options(GROUP, 100));
    await_no_lag(bus.as_ref(), GROUP);
    stage.stop().expect("the stage stops");
    assert_exactly(bus.as_ref(), &written);

    let came =
        read_count(bus.as_ref(), INPUT, 3).into_iter().find(|r| r.value.as_deref() == Some(b"reject-me".as_slice()));
    let came = came.expect("the rejected record is in the input");
    let letters = read_count(bus.as_ref(), &format!("{INPUT}.dlq"), 1);
    let [letter] = letters.as_slice() else { panic!("one dead letter, got {letters:?}") };
    assert_eq!((&letter.key, &letter.value), (&came.key, &came.value));
    assert_eq!(letter.headers[..came.headers.len()], came.headers);
    let text = |name: &str| {
        let value = letter.header(&format!("__connect.errors.{name}")).expect("the header is there");
        String::from_utf8(value.to_vec()).expect("the header is text")
    };
    assert_eq!(text("topic"), INPUT);
    assert_eq!(text("partition"), came.partition.to_string());
    assert_eq!(text("offset"), came.offset.to_string());
    assert_eq!(text("stage"), "chaining");
    assert_eq!(text("class.name"), "undecodable");
    assert_eq!(text("exception.message"), "told to reject");
}

/// Every input is counted: as read, written, dropped by reason, or rejected by code.
pub fn every_input_is_counted(under_test: &dyn BusUnderTest) {
    let bus = under_test.open("a");
    make_topics(bus.as_ref());
    let mut written = inputs(0, 20);
    written.extend((0..7).map(|i| record(INPUT, &format!("key-{i}"), "drop-me")));
    written.extend((0..3).map(|i| record(INPUT, &format!("key-{i}"), "reject-me")));
    write(bus.source("counting").expect("the source opens").as_mut(), written);

    let counters = Counters::default();
    let shutdown = CancellationToken::new();
    let factory: Arc<dyn StageFactory> = Arc::new(ChainingFactory::new(INPUT, OUTPUT));
    let options = options(GROUP, 100);
    std::thread::scope(|scope| {
        let stage =
            scope.spawn(|| metrics::with_local_recorder(&counters, || bus.run_stage(factory, &options, &shutdown)));
        await_no_lag(bus.as_ref(), GROUP);
        shutdown.cancel();
        stage.join().expect("the stage's thread does not panic").expect("the stage stops");
    });
    let count = |name: &str, label: &str| counters.value(name, &["chaining", label]);
    assert_eq!(counters.value("prescale_stage_records_in_total", &["chaining"]), 30);
    assert_eq!(counters.value("prescale_stage_records_out_total", &["chaining"]), 20);
    assert_eq!(count("prescale_stage_dropped_total", "duplicate"), 7);
    assert_eq!(count("prescale_stage_rejected_total", "undecodable"), 3);
}

/// When everything is read the lag is exactly 0, and stays so; new records raise it.
pub fn lag_is_zero_at_rest(under_test: &dyn BusUnderTest) {
    let bus = under_test.open("a");
    make_topics(bus.as_ref());
    let mut source = bus.source("lag").expect("the source opens");
    write(source.as_mut(), inputs(0, 40));
    let behind =
        || -> u64 { bus.lag(GROUP, INPUT).expect("the lag is readable").iter().map(prescale_bus::Lag::behind).sum() };
    assert!(behind() >= 40, "a group that never ran is behind by everything");
    let stage = RunningStage::start(&bus, ChainingFactory::new(INPUT, OUTPUT), options(GROUP, 100));
    await_no_lag(bus.as_ref(), GROUP);
    write(source.as_mut(), inputs(40, 1));
    until("the new record's output", || (read_all(bus.as_ref(), OUTPUT).len() == 41).then_some(()));
    await_no_lag(bus.as_ref(), GROUP);
    stage.stop().expect("the stage stops");
    assert_eq!(behind(), 0);
    write(source.as_mut(), inputs(41, 5));
    assert!(behind() >= 5);
}
