//! An ear on a log that has markers, as Kafka's has.

use super::*;
use prescale_bus::{BusError, Header, Lag, Source, StageFactory, StageOptions, TopicSpec};
use prescale_chassis::{HealthRegistry, output_record};
use prescale_contracts::{Contract, Envelope};
use prescale_domain::action::ActionOutcome;
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio_util::sync::CancellationToken;

/// A log of which only the end is asked for.
struct Log {
    end: AtomicI64,
}

impl Bus for Log {
    fn ensure_topics(&self, _: &[TopicSpec]) -> Result<(), BusError> {
        unreachable!("an ear makes no topics")
    }

    fn topics(&self) -> Result<Vec<(String, u32)>, BusError> {
        unreachable!("an ear lists no topics")
    }

    fn run_stage(&self, _: Arc<dyn StageFactory>, _: &StageOptions, _: &CancellationToken) -> Result<(), BusError> {
        unreachable!("an ear runs no stage")
    }

    fn source(&self, _: &str) -> Result<Box<dyn Source>, BusError> {
        unreachable!("an ear writes nothing")
    }

    fn reader(&self, _: &str, _: ReadFrom) -> Result<Box<dyn RecordReader>, BusError> {
        unreachable!("the test gives the reader")
    }

    fn partition_reader(&self, _: &str, _: u32, _: ReadFrom) -> Result<Box<dyn RecordReader>, BusError> {
        unreachable!("the test gives the reader")
    }

    fn lag(&self, _: &str, topic: &str) -> Result<Vec<Lag>, BusError> {
        Ok(vec![Lag { topic: topic.to_owned(), partition: 0, position: 0, end: self.end.load(Ordering::SeqCst) }])
    }
}

/// Pages as they come; then nothing, and always that it has caught up.
struct Pages(VecDeque<Vec<ConsumedRecord>>);

impl RecordReader for Pages {
    fn poll(&mut self, _: usize, _: Duration) -> Result<(Vec<ConsumedRecord>, CaughtUp), BusError> {
        Ok((self.0.pop_front().unwrap_or_default(), CaughtUp::Yes))
    }
}

fn result(minute: i64, offset: i64) -> ConsumedRecord {
    let capacity =
        Capacity { replicas: 1, cpu_cores_per_replica: 1.0, memory_bytes_per_replica: 1.0, instance_type: None };
    let result = ActionResult {
        workload: WorkloadId::new("vm-1").unwrap(),
        action_id: "a".into(),
        at: EventTime::from_s(60 * minute),
        outcome: ActionOutcome::DryRun,
        before: capacity.clone(),
        after: capacity,
        price_per_h: None,
        platform: Platform::SIMULATED,
    };
    let envelope = Envelope::root("test", ActionResult::EVENT_TYPE, &result.workload, result.at, "0");
    let record = output_record(&envelope, topics::ACTION_RESULTS, &result).unwrap();
    record.read_at(0, offset)
}

fn ear(heard: Heard, pages: Vec<Vec<ConsumedRecord>>) -> Ear {
    Ear { reader: Box::new(Pages(pages.into())), heard, complete: Heard::new() }
}

fn minutes(ear: &mut Ear, log: &Log) -> Vec<i64> {
    let retry = BusRetry::new("test", HealthRegistry::default().component("test"), &CancellationToken::new());
    let mut minutes = Vec::new();
    assert!(ear.hear_all(log, &retry, |result| minutes.push(result.at.as_ms() / 60_000)).unwrap());
    minutes
}

#[test]
fn a_reader_that_says_too_early_that_it_has_caught_up_is_asked_again() {
    let log = Log { end: AtomicI64::new(3) };
    let mut ear = ear(vec![], vec![vec![], vec![result(1, 0)], vec![], vec![result(2, 1)]]);
    assert_eq!(minutes(&mut ear, &log), [1, 2], "offset 2 is the transaction's marker");
    assert_eq!(ear.heard(), &[2]);
    assert_eq!(minutes(&mut ear, &log), Vec::<i64>::new(), "nothing was added");
}

#[test]
fn what_was_heard_is_not_heard_again() {
    let log = Log { end: AtomicI64::new(5) };
    let mut ear = ear(vec![2], vec![vec![result(1, 0), result(2, 1), result(3, 3)]]);
    assert_eq!(minutes(&mut ear, &log), [3]);
}

#[test]
fn records_that_nobody_can_see_are_waited_for_once() {
    let log = Log { end: AtomicI64::new(9) };
    let mut ear = ear(vec![2], vec![]);
    assert_eq!(minutes(&mut ear, &log), Vec::<i64>::new());
    ear.reader = Box::new(Pages(vec![vec![result(1, 8)]].into()));
    assert_eq!(minutes(&mut ear, &log), Vec::<i64>::new(), "they are known now, and the reader is not asked");
}

#[test]
fn a_result_that_cannot_be_read_is_left_out() {
    let log = Log { end: AtomicI64::new(2) };
    let headers: Vec<Header> = Vec::new();
    let broken = ConsumedRecord { value: Some(vec![9]), headers, ..result(1, 0) };
    let mut ear = ear(vec![], vec![vec![broken, result(2, 1)]]);
    assert_eq!(minutes(&mut ear, &log), [2]);
}
