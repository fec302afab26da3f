//! A process aborts at each named point in turn, on each side of each effect, and is started again.

use crate::{embedded, one_broker};
use bus_tests::faults::crash::{SIGABRT, is_of_sources, is_of_starts, of_backend};
use bus_tests::faults::pipeline::{Installation, Pipeline};
use bus_tests::faults::seed::Chance;
use prescale_bus::crash_point::CrashPoint;
use std::os::unix::process::ExitStatusExt;

/// The source and both steps abort at the point, at a passing of their own, and are started again.
fn crash_at(point: CrashPoint, installation: Installation, chance: &mut Chance) -> usize {
    installation.make_topics();
    let crashing = [installation.source(), installation.stage("a", 0), installation.stage("c", 1)];
    let crashes = if is_of_sources(point) { 0..3 } else { 1..3 };
    let passing = |chance: &mut Chance| if is_of_starts(point) { 1 } else { chance.among(2..8) as u32 };
    let settings: Vec<_> = crashing
        .into_iter()
        .enumerate()
        .map(|(number, settings)| {
            let crash = crashes.contains(&number).then(|| (point, passing(chance)));
            bus_tests::faults::copy::CopySettings { crash, ..settings }
        })
        .collect();
    let mut pipeline = Pipeline::of(installation, settings);
    for number in crashes {
        let ended = pipeline.member(number).ended();
        assert_eq!(ended.signal(), Some(SIGABRT), "process {number} at {}", point.name());
        pipeline.disarm(number);
        pipeline.restart(number);
    }
    pipeline.await_work();
    pipeline.finish()
}

fn crash_at_all_of(backend: &str, installation: impl Fn() -> Installation) {
    let mut chance = Chance::of(&format!("crash points of {backend}"));
    for point in of_backend(backend) {
        let written = crash_at(point, installation(), &mut chance);
        println!("{}: {written} records, each once", point.name());
    }
}

#[test]
fn a_crash_at_any_point_of_the_embedded_bus_loses_and_repeats_nothing() {
    crash_at_all_of("embedded", embedded);
}

#[test]
fn a_crash_at_any_point_of_the_kafka_bus_loses_and_repeats_nothing() {
    crash_at_all_of("kafka", one_broker);
}
