//! The way back from the dead letter queue: each letter once, whatever was replayed before.

use super::BusUnderTest;
use super::fixture::{
    GROUP, INPUT, OUTPUT, RunningStage, await_no_lag, make_topics, options, read_count, record, until, write,
};
use super::stage::ChainingFactory;
use prescale_bus::dlq::{LetterFilter, ReplayReport, ReplayRequest, dlq_topic, each_letter, replay};
use prescale_bus::{Bus, BusError, ConsumedRecord, OutputRecord};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

fn request(limit: Option<u64>) -> ReplayRequest {
    ReplayRequest { topic: INPUT.to_owned(), limit, ..ReplayRequest::default() }
}

fn replayed(bus: &dyn Bus, request: &ReplayRequest) -> ReplayReport {
    replay(bus, request, &CancellationToken::new()).expect("the letters are replayed")
}

/// Runs the suite's stage until it has read all there is.
fn run_stage(bus: &Arc<dyn Bus>) {
    let stage = RunningStage::start(bus, ChainingFactory::new(INPUT, OUTPUT), options(GROUP, 1000));
    await_no_lag(bus.as_ref(), GROUP);
    stage.stop().expect("the stage stops");
}

/// Writes records that the stage rejects, and some that it takes, and lets it reject them.
fn letters(bus: &Arc<dyn Bus>, count: usize) -> Vec<OutputRecord> {
    make_topics(bus.as_ref());
    let rejected: Vec<OutputRecord> =
        (0..count).map(|i| record(INPUT, &format!("key-{}", i % 7), &format!("reject-{i}"))).collect();
    let mut mixed = Vec::new();
    for (i, record_rejected) in rejected.iter().enumerate() {
        mixed.push(record_rejected.clone());
        if i % 3 == 0 {
            mixed.push(record(INPUT, "key-1", &format!("taken-{i}")));
        }
    }
    write(bus.source("mixed").expect("the source opens").as_mut(), mixed);
    run_stage(bus);
    read_count(bus.as_ref(), &dlq_topic(INPUT), count);
    rejected
}

/// How often each of these records lies in the input, which holds so many records.
fn times(bus: &dyn Bus, records: &[OutputRecord], total: usize) -> Vec<usize> {
    let input = read_count(bus, INPUT, total);
    let same = |r: &ConsumedRecord, wanted: &OutputRecord| {
        r.key.as_ref() == Some(&wanted.key) && r.value == wanted.value && r.headers == wanted.headers
    };
    records.iter().map(|wanted| input.iter().filter(|r| same(r, wanted)).count()).collect()
}

fn waiting(bus: &dyn Bus) -> (usize, usize) {
    let mut counts = (0, 0);
    each_letter(bus, INPUT, &CancellationToken::new(), |letter, was_replayed| {
        assert_eq!((letter.stage.as_str(), letter.code.as_str()), ("chaining", "undecodable"));
        if was_replayed { counts.1 += 1 } else { counts.0 += 1 }
    })
    .expect("the queue is readable");
    counts
}

/// Limits, selections, dry runs and repeats: in the end each letter went back once, with its bytes
/// and headers; one that fails again is a letter again and does not loop.
pub fn a_replay_writes_each_letter_back_once(under_test: &dyn BusUnderTest) {
    let bus = under_test.open("a");
    let rejected = letters(&bus, 30);
    let dry = replayed(bus.as_ref(), &ReplayRequest { dry_run: true, ..request(None) });
    assert_eq!((dry.replayed, waiting(bus.as_ref())), (30, (30, 0)));
    let none = LetterFilter { code: Some("late".to_owned()), stage: None };
    let none = replayed(bus.as_ref(), &ReplayRequest { filter: none, ..request(None) });
    assert_eq!((none.replayed, none.not_selected), (0, 30));

    let some = replayed(bus.as_ref(), &request(Some(7)));
    assert_eq!((some.replayed, some.beyond_limit), (7, 23));
    until("the replayed letters to be marked", || (waiting(bus.as_ref()) == (23, 7)).then_some(()));
    drop(bus);
    let bus = under_test.open("a");
    let rest = replayed(bus.as_ref(), &request(None));
    assert_eq!((rest.replayed, rest.replayed_before), (23, 7));
    let again = replayed(bus.as_ref(), &request(None));
    assert_eq!((again.replayed, again.replayed_before), (0, 30));
    assert_eq!(times(bus.as_ref(), &rejected, 40 + 30), [2; 30]);

    run_stage(&bus);
    read_count(bus.as_ref(), &dlq_topic(INPUT), 60);
    let failed_again = replayed(bus.as_ref(), &request(None));
    assert_eq!((failed_again.replayed, failed_again.replayed_before), (30, 30));
    let all = replayed(bus.as_ref(), &ReplayRequest { dry_run: true, from_start: true, ..request(None) });
    assert_eq!(all.replayed, 60);
}

/// Two replays at once: the later one takes over, and no letter is lost or doubled.
pub fn replays_at_once_double_nothing(under_test: &dyn BusUnderTest) {
    let bus = under_test.open("a");
    let count = 1200;
    let rejected = letters(&bus, count);
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| replay(bus.as_ref(), &request(Some(900)), &CancellationToken::new())))
            .collect();
        for run in runs {
            match run.join().expect("it does not panic") {
                Ok(_) | Err(BusError::Fenced { .. }) => {}
                // Who is fenced in the middle of its commit may hear of it as an aborted transaction.
                Err(BusError::Backend { retryable: true, .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    });
    replayed(bus.as_ref(), &request(None));
    assert_eq!(replayed(bus.as_ref(), &request(None)).replayed_before, count as u64);
    assert!(times(bus.as_ref(), &rejected, count + count.div_ceil(3) + count).iter().all(|n| *n == 2));
}
