//! Sources and stages are killed, bounced and paused, while their bus is well.

use crate::{cluster, embedded, on, one_broker};
use bus_tests::conformance::fixture::{PARTITIONS, pass, until};
use bus_tests::faults::copy::{BusAt, CopySettings, Role, SESSION_TIMEOUT};
use bus_tests::faults::fault::Fault;
use bus_tests::faults::pipeline::{Installation, Pipeline};
use bus_tests::faults::seed::{Chance, Extent};
use bus_tests::faults::verdict::CHAIN;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Pipelines whose processes are struck at random moments.
fn strike_at_random(scenario: &str, faults: usize, installation: impl Fn() -> Installation) {
    let (mut chance, extent) = (Chance::of(scenario), Extent::of(faults));
    let (mut struck, mut written) = (0, 0);
    while extent.another(struck) {
        let mut pipeline = Pipeline::start(installation());
        pipeline.await_work();
        for _ in 0..extent.faults() {
            pass(chance.millis(0..1500));
            Fault::of_processes(&mut chance, pipeline.members()).strike_processes(&mut pipeline);
            struck += 1;
        }
        pipeline.await_work();
        written += pipeline.finish();
        println!("{scenario}: {struck} faults, {written} records, each once");
    }
}

#[test]
fn processes_killed_at_random_lose_and_repeat_nothing_on_the_embedded_bus() {
    strike_at_random("processes on the embedded bus", 10, embedded);
}

#[test]
fn processes_killed_at_random_lose_and_repeat_nothing_on_kafka() {
    strike_at_random("processes on Kafka", 8, one_broker);
}

/// A stage that stood still beyond the session timeout has lost its partitions to the other, and
/// finds that out before it writes anything.
#[test]
fn a_stage_paused_beyond_the_session_timeout_repeats_nothing() {
    for installation in [embedded(), one_broker()] {
        let mut pipeline = Pipeline::start(installation);
        pipeline.await_work();
        for number in [1, 0] {
            Fault::PauseProcess(number, SESSION_TIMEOUT + Duration::from_secs(3)).strike_processes(&mut pipeline);
            pipeline.await_work();
        }
        pipeline.finish();
    }
}

/// While a stage and a source stand still, others start under their names; the first ones, going
/// on, are fenced and end.
#[test]
fn a_process_that_was_replaced_while_it_stood_still_is_fenced() {
    let cluster = cluster();
    let mut pipeline = Pipeline::start(on(&cluster));
    pipeline.await_work();
    for number in [1, 0] {
        pipeline.member(number).pause();
        let mut zombie = pipeline.replace(number);
        pipeline.await_work();
        zombie.resume();
        let ended = until("the one that was replaced to end", || zombie.has_ended());
        assert!(!ended.success(), "process {number}: {}", zombie.log());
        pipeline.await_work();
    }
    pipeline.finish();
}

/// A stage that works on one batch for longer than `max.poll.interval.ms` is out of its group by
/// then; its step is not committed twice.
#[test]
fn a_stage_slower_than_the_poll_interval_repeats_nothing() {
    let mut installation = one_broker();
    installation.extra.insert("max.poll.interval.ms".to_owned(), SESSION_TIMEOUT.as_millis().to_string());
    installation.make_topics();
    let slow = Some(("payload-300".to_owned(), SESSION_TIMEOUT + Duration::from_secs(3)));
    let role = |slow| Role::Stage { input: CHAIN[0].to_owned(), output: CHAIN[1].to_owned(), slow };
    let settings: [CopySettings; 4] = [
        installation.source(),
        installation.settings("a", role(slow.clone())),
        installation.settings("b", role(slow)),
        installation.stage("c", 1),
    ];
    let pipeline = Pipeline::of(installation, settings);
    until("the slow record to be through", || (pipeline.seen()[1] > 1000).then_some(()));
    pipeline.await_work();
    pipeline.finish();
}

/// Gives a topic more partitions behind the pipeline's back.
fn add_partitions(installation: &Installation, topic: &str, partitions: usize) {
    let BusAt::Kafka { servers, prefix, .. } = &installation.observed else { panic!("it is on Kafka") };
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", servers).create().expect("a client is made");
    let name = format!("{prefix}{topic}");
    let (asked, options) = ([NewPartitions::new(&name, partitions)], AdminOptions::new());
    let mut answered = pin!(admin.create_partitions(&asked, &options));
    let mut context = Context::from_waker(Waker::noop());
    let results = until("the partitions to be added", || match answered.as_mut().poll(&mut context) {
        Poll::Ready(results) => Some(results.expect("the cluster answers")),
        Poll::Pending => None,
    });
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

/// Keys would move to partitions that do not hold their state: a stage whose input gets partitions, and a source
/// whose output does, end and say why, and so they do when they are started again.
#[test]
fn partitions_added_under_a_stage_and_a_source_are_refused() {
    let mut installation = one_broker();
    installation.extra.insert("topic.metadata.refresh.interval.ms".to_owned(), "1000".to_owned());
    installation.make_topics();
    let (source, stage) = (installation.source(), installation.stage("a", 0));
    let (mut writing, mut running) = (installation.start(&source), installation.start(&stage));
    let bus = installation.observer();
    until("some output", || {
        bus.lag(&CopySettings::group(CHAIN[0]), CHAIN[0]).ok()?.iter().any(|l| l.position > 0).then_some(())
    });
    add_partitions(&installation, CHAIN[0], 2 * PARTITIONS as usize);
    for process in [&mut running, &mut writing] {
        assert!(!process.ended().success());
        assert!(process.log().contains("partition counts cannot change"), "{}", process.log());
    }
    let mut again = installation.start(&CopySettings { instance: "again".to_owned(), ..stage });
    assert!(!again.ended().success());
    assert!(again.log().contains("has 8 partitions"), "{}", again.log());
    let told = |log: &str| log.matches("has 8 partitions").count();
    let before = told(&writing.log());
    let mut again = installation.start(&source);
    assert!(!again.ended().success());
    assert!(told(&again.log()) > before, "{}", again.log());
}
