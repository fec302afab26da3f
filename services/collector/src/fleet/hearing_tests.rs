//! An ear on a log that has markers, as Kafka's has.

use super::*;
use prescale_bus::{BusError, CaughtUp, Header, Lag, Source, StageFactory, StageOptions, TopicSpec};
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

/// Pages as they come, each with how far it has read behind it; then nothing. It always says that it has caught up.
struct Pages {
    pages: VecDeque<(Vec<ConsumedRecord>, i64)>,
    reached: i64,
}

impl RecordReader for Pages {
    fn poll(&mut self, _: usize, _: Duration) -> Result<(Vec<ConsumedRecord>, CaughtUp), BusError> {
        let (page, reached) = self.pages.pop_front().expect("it is asked for no more than there is");
        self.reached = reached;
        Ok((page, CaughtUp::Yes))
    }

    fn reached(&self) -> Result<Vec<i64>, BusError> {
        Ok(vec![self.reached])
    }
}

fn result(minute: i64, offset: i64) -> ConsumedRecord {
    let capacity =
        Capacity { replicas: 1, cpu_cores_per_replica: 1.0, memory_bytes_per_replica: 1.0, instance_type: None };
    let result = ActionResult {
        workload: WorkloadId::new("vm-1").unwrap(),
        action_id: "a".into(),
        at: EventTime::from_s(60 * minute),
        outcome: ActionOutcome::DRY_RUN,
        before: capacity.clone(),
        after: capacity,
        price_per_h: None,
        platform: Platform::SIMULATED,
    };
    let envelope = Envelope::root("test", ActionResult::EVENT_TYPE, &result.workload, result.at, "0");
    let record = output_record(&envelope, topics::ACTION_RESULTS, &result).unwrap();
    record.read_at(0, offset)
}

fn ear(heard: Heard, pages: Vec<(Vec<ConsumedRecord>, i64)>) -> Ear {
    Ear { reader: Box::new(Pages { pages: pages.into(), reached: 0 }), heard }
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
    let pages = vec![(vec![], 0), (vec![result(1, 0)], 1), (vec![], 1), (vec![result(2, 1)], 2), (vec![], 3)];
    let mut ear = ear(vec![], pages);
    assert_eq!(minutes(&mut ear, &log), [1, 2], "offset 2 is the transaction's marker");
    assert_eq!(ear.heard(), &[2]);
    assert_eq!(minutes(&mut ear, &log), Vec::<i64>::new(), "nothing was added");
}

#[test]
fn what_was_heard_is_not_heard_again() {
    let log = Log { end: AtomicI64::new(5) };
    let mut ear = ear(vec![2], vec![(vec![result(1, 0), result(2, 1), result(3, 3)], 5)]);
    assert_eq!(minutes(&mut ear, &log), [3]);
}

#[test]
fn a_single_result_whose_transaction_is_still_open_is_waited_for() {
    let log = Log { end: AtomicI64::new(4) };
    let mut ear = ear(vec![3], vec![(vec![], 3), (vec![], 3), (vec![result(1, 3)], 4)]);
    assert_eq!(minutes(&mut ear, &log), [1]);
}

#[test]
fn records_that_nobody_can_see_are_passed_over() {
    let log = Log { end: AtomicI64::new(9) };
    let mut ear = ear(vec![2], vec![(vec![], 9)]);
    assert_eq!(minutes(&mut ear, &log), Vec::<i64>::new());
}

#[test]
fn a_result_that_cannot_be_read_is_left_out() {
    let log = Log { end: AtomicI64::new(2) };
    let headers: Vec<Header> = Vec::new();
    let broken = ConsumedRecord { value: Some(vec![9]), headers, ..result(1, 0) };
    let mut ear = ear(vec![], vec![(vec![broken, result(2, 1)], 2)]);
    assert_eq!(minutes(&mut ear, &log), [2]);
}
