//! Brokers of a cluster of three are killed, bounced and paused, and the network to them is cut,
//! held and lossy one way, and slowed, while sources and stages are at work.

use crate::{cluster, on};
use bus_tests::conformance::fixture::pass;
use bus_tests::faults::copy::TRANSACTION_TIMEOUT;
use bus_tests::faults::fault::Fault;
use bus_tests::faults::pipeline::Pipeline;
use bus_tests::faults::seed::{Chance, Extent};
use bus_tests::toxiproxy::Way;
use std::time::Duration;

/// One pipeline through these faults; after each it is back at work.
fn endure(scenario: &str, faults: impl FnOnce(&mut Chance) -> Vec<Fault>) {
    let mut chance = Chance::of(scenario);
    let mut cluster = cluster();
    let mut pipeline = Pipeline::start(on(&cluster));
    pipeline.await_work();
    for fault in faults(&mut chance) {
        println!("{scenario}: {fault:?}");
        pass(chance.millis(0..1000));
        fault.strike(&mut pipeline, &mut cluster);
        pipeline.await_work();
    }
    let written = pipeline.finish();
    println!("{scenario}: {written} records, each once");
}

#[test]
fn a_rolling_restart_loses_and_repeats_nothing() {
    endure("rolling restart", |_| (0..3).map(Fault::BounceBroker).collect());
}

#[test]
fn brokers_killed_one_at_a_time_lose_and_repeat_nothing() {
    endure("brokers killed", |chance| {
        let first = chance.among(0..3);
        (0..3).map(|n| Fault::KillBroker((first + n) % 3)).collect()
    });
}

#[test]
fn a_paused_broker_loses_and_repeats_nothing() {
    endure("broker paused", |chance| {
        let first = chance.among(0..3);
        let longer = TRANSACTION_TIMEOUT + Duration::from_secs(2);
        vec![Fault::PauseBroker(first, longer)]
    });
}

#[test]
fn a_network_cut_held_lossy_and_slowed_loses_and_repeats_nothing() {
    endure("network", |chance| {
        let longer = TRANSACTION_TIMEOUT + Duration::from_secs(2);
        vec![
            Fault::Cut(None, chance.millis(1000..2000)),
            Fault::Cut(Some(chance.among(0..3)), longer),
            Fault::Hold(Way::ToClient, longer),
            Fault::Lose(Way::ToServer, longer),
            Fault::Slow(Duration::from_millis(100), 50, longer),
        ]
    });
}

/// Processes that find no broker wait for one.
#[test]
fn processes_started_before_the_brokers_begin_when_these_are_there() {
    let mut cluster = cluster();
    let installation = on(&cluster);
    installation.make_topics();
    (0..cluster.size()).for_each(|broker| cluster.kill(broker));
    let settings = [installation.source(), installation.stage("a", 0), installation.stage("c", 1)];
    let early = settings.map(|settings| {
        let process = installation.start(&settings);
        (settings, process)
    });
    pass(Duration::from_secs(7));
    cluster.run_all();
    let pipeline = Pipeline::with(installation, early);
    pipeline.await_work();
    pipeline.finish();
}

/// Faults of every kind in random order.
#[test]
fn any_faults_in_any_order_lose_and_repeat_nothing() {
    let scenario = "any faults";
    let (mut chance, extent) = (Chance::of(scenario), Extent::of(3));
    let mut cluster = cluster();
    let (mut struck, mut written) = (0, 0);
    while extent.another(struck) {
        let mut pipeline = Pipeline::start(on(&cluster));
        pipeline.await_work();
        for _ in 0..extent.faults() {
            pass(chance.millis(0..2000));
            let fault = Fault::any(&mut chance, pipeline.members(), cluster.size());
            println!("{scenario}: {fault:?}");
            fault.strike(&mut pipeline, &mut cluster);
            pipeline.await_work();
            struck += 1;
        }
        written += pipeline.finish();
        println!("{scenario}: {struck} faults, {written} records, each once");
    }
}
