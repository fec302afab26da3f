//! Restarts: the outputs are byte for byte what they would have been without one.

use super::fixture::{
    GROUP, INPUT, OUTPUT, PARTITIONS, RunningStage, assert_exactly, await_no_lag, bytes_by_partition, inputs,
    make_topics, options, read_all, read_count, topic, until, write,
};
use super::stage::ChainingFactory;
use super::{BusUnderTest, Damage};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const WITHOUT_RESTART: &str = "suite-out-without-restart";
const ROUNDS: usize = 4;
const RECORDS_A_ROUND: usize = 90;
/// A state of several slices.
const LARGE_STATE_BYTES: usize = 9_000_003;

/// Runs the stage with a restart between rounds, `between` doing something to the installation
/// while it is stopped; then compares with a run of another group without any restart.
fn restart_and_compare(
    under_test: &dyn BusUnderTest,
    snapshot_every_records: u64,
    mut between: impl FnMut(usize),
    factory_of_round: impl Fn(usize) -> ChainingFactory,
) {
    {
        let bus = under_test.open("a");
        make_topics(bus.as_ref());
        bus.ensure_topics(&[topic(WITHOUT_RESTART)]).expect("the topic is made");
    }
    for round in 0..ROUNDS {
        let bus = under_test.open("a");
        let stage = RunningStage::start(&bus, factory_of_round(round), options(GROUP, snapshot_every_records));
        let mut source = bus.source("restarts").expect("the source opens");
        write(source.as_mut(), inputs(round * RECORDS_A_ROUND, RECORDS_A_ROUND));
        await_no_lag(bus.as_ref(), GROUP);
        stage.stop().expect("the stage stops");
        between(round);
    }
    let bus = under_test.open("a");
    let reference = RunningStage::start(
        &bus,
        ChainingFactory::new(INPUT, WITHOUT_RESTART),
        prescale_bus::StageOptions { batch_records_max: 1000, ..options("suite-reference", u64::MAX) },
    );
    await_no_lag(bus.as_ref(), "suite-reference");
    reference.stop().expect("the reference stops");
    let read = |topic| bytes_by_partition(&read_count(bus.as_ref(), topic, ROUNDS * RECORDS_A_ROUND));
    assert_eq!(read(OUTPUT), read(WITHOUT_RESTART));
    assert_exactly(bus.as_ref(), &inputs(0, ROUNDS * RECORDS_A_ROUND));
}

fn plain(_round: usize) -> ChainingFactory {
    ChainingFactory::new(INPUT, OUTPUT)
}

/// With snapshots, taken often and on each stop.
pub fn a_restart_changes_no_byte(under_test: &dyn BusUnderTest) {
    restart_and_compare(under_test, 10, |_| {}, plain);
    assert_eq!(under_test.rejected_snapshots(GROUP), 0);
}

/// Without any snapshot: the state comes from the log alone.
pub fn a_restart_without_snapshot_changes_no_byte(under_test: &dyn BusUnderTest) {
    let between = |round| {
        let removed = under_test.damage_snapshots(GROUP, Damage::Removed);
        assert!(removed > 0, "a clean stop leaves snapshots (round {round})");
    };
    restart_and_compare(under_test, u64::MAX, between, plain);
}

/// With snapshots that are cut short: they are put aside.
pub fn a_truncated_snapshot_is_put_aside(under_test: &dyn BusUnderTest) {
    let between = |_| assert!(under_test.damage_snapshots(GROUP, Damage::Truncated) > 0);
    restart_and_compare(under_test, 10, between, plain);
    assert!(under_test.rejected_snapshots(GROUP) > 0);
}

/// With snapshots of another state schema: they are put aside.
pub fn a_snapshot_of_another_schema_is_put_aside(under_test: &dyn BusUnderTest) {
    restart_and_compare(
        under_test,
        10,
        |_| {},
        |round| ChainingFactory { state_schema: format!("chains-{round}"), ..plain(round) },
    );
    assert!(under_test.rejected_snapshots(GROUP) > 0);
}

/// One that was put aside has a successor as soon as the state is rebuilt: without a further record, however many the
/// next snapshot is due after.
pub fn a_snapshot_put_aside_has_a_successor_at_once(under_test: &dyn BusUnderTest) {
    let bus = under_test.open("a");
    make_topics(bus.as_ref());
    let mut source = bus.source("restarts").expect("the source opens");
    write(source.as_mut(), inputs(0, RECORDS_A_ROUND));
    let start = || RunningStage::start(&bus, plain(0), options(GROUP, u64::MAX));
    let stage = start();
    await_no_lag(bus.as_ref(), GROUP);
    stage.stop().expect("the stage stops");
    let damaged = under_test.damage_snapshots(GROUP, Damage::Truncated);
    assert!(damaged > 0, "a clean stop leaves snapshots");

    let stage = start();
    until("the damaged ones to be put aside", || (under_test.rejected_snapshots(GROUP) == damaged).then_some(()));
    let mut successors = 0;
    until("a successor of each", || {
        successors += under_test.damage_snapshots(GROUP, Damage::Removed);
        (successors == damaged).then_some(())
    });
    stage.stop().expect("the stage stops");
    assert_exactly(bus.as_ref(), &inputs(0, RECORDS_A_ROUND));
}

fn large(restored: &Arc<AtomicUsize>) -> impl Fn(usize) -> ChainingFactory {
    let restored = Arc::clone(restored);
    move |round| ChainingFactory { ballast_bytes: LARGE_STATE_BYTES, restored: Arc::clone(&restored), ..plain(round) }
}

/// With snapshots of many slices, also where a newer one was begun and not finished: the whole one counts.
pub fn a_large_state_comes_back_from_its_snapshot(under_test: &dyn BusUnderTest) {
    let restored = Arc::new(AtomicUsize::new(0));
    let between = |_| assert!(under_test.damage_snapshots(GROUP, Damage::Unfinished) > 0);
    restart_and_compare(under_test, u64::MAX, between, large(&restored));
    assert_eq!(under_test.rejected_snapshots(GROUP), 0);
    assert!(restored.load(Ordering::SeqCst) >= (ROUNDS - 1) * PARTITIONS as usize);
}

/// With a damaged slice: the snapshot is put aside.
pub fn a_snapshot_with_a_damaged_slice_is_put_aside(under_test: &dyn BusUnderTest) {
    let between = |_| assert!(under_test.damage_snapshots(GROUP, Damage::Flipped) > 0);
    restart_and_compare(under_test, u64::MAX, between, large(&Arc::default()));
    assert!(under_test.rejected_snapshots(GROUP) > 0);
}

/// A stage that is told to stop in the middle of its work finishes its step; nothing is lost or
/// repeated when it goes on.
pub fn a_stopped_stage_drains(under_test: &dyn BusUnderTest) {
    const RECORDS: usize = 3000;
    let bus = under_test.open("a");
    make_topics(bus.as_ref());
    let mut source = bus.source("drain").expect("the source opens");
    write(source.as_mut(), inputs(0, RECORDS));
    let mut stops = 0;
    for round in 0.. {
        let before = read_all(bus.as_ref(), OUTPUT).len();
        if before == RECORDS {
            break;
        }
        let stage = RunningStage::start(&bus, plain(round), options(GROUP, 50));
        until("some more output", || (read_all(bus.as_ref(), OUTPUT).len() > before).then_some(()));
        stage.stop().expect("the stage stops");
        stops += 1;
    }
    assert!(stops >= 1);
    assert_exactly(bus.as_ref(), &inputs(0, RECORDS));
}
