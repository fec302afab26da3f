//! Several instances of one group share the partitions and hand them over.

use super::BusUnderTest;
use super::fixture::{
    GROUP, INPUT, OUTPUT, PARTITIONS, RunningStage, assert_exactly, await_no_lag, inputs, make_topics, options, until,
    write,
};
use super::stage::ChainingFactory;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

const BATCH: usize = 60;

/// One instance, then two, then the other alone: nothing lost, nothing repeated, and with two
/// running each has a part.
pub fn instances_share_and_hand_over(under_test: &dyn BusUnderTest) {
    let (first, second) = (under_test.open("a"), under_test.open("b"));
    make_topics(first.as_ref());
    let mut source = first.source("sharing").expect("the source opens");
    let mut written = 0;
    let mut write_more = || {
        write(source.as_mut(), inputs(written, BATCH));
        written += BATCH;
        written
    };
    let start = |bus, seen: &Arc<Mutex<BTreeSet<u32>>>| {
        let factory = ChainingFactory { seen: Arc::clone(seen), ..ChainingFactory::new(INPUT, OUTPUT) };
        RunningStage::start(bus, factory, options(GROUP, 20))
    };
    let (seen_by_first, seen_by_second) = (Arc::default(), Arc::default());

    write_more();
    let one = start(&first, &seen_by_first);
    await_no_lag(first.as_ref(), GROUP);
    assert_eq!(seen_by_first.lock().expect("no panic").len(), PARTITIONS as usize);

    let two = start(&second, &seen_by_second);
    until("both to have a part", || {
        for seen in [&seen_by_first, &seen_by_second] {
            seen.lock().expect("no panic").clear();
        }
        write_more();
        await_no_lag(first.as_ref(), GROUP);
        let first = seen_by_first.lock().expect("no panic").clone();
        let second = seen_by_second.lock().expect("no panic").clone();
        let shared = !first.is_empty() && !second.is_empty() && first.is_disjoint(&second);
        (shared && first.len() + second.len() == PARTITIONS as usize).then_some(())
    });

    one.stop().expect("the first stops");
    let written = write_more();
    await_no_lag(second.as_ref(), GROUP);
    two.stop().expect("the second stops");
    assert_exactly(second.as_ref(), &inputs(0, written));
}
