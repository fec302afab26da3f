//! The account after faults: every record there once, in its order, with the bytes that a run
//! without any fault writes.

use crate::conformance::fixture::{INPUT, RunningStage, await_no_lag_on, bytes_by_partition, inputs, read_all, topic};
use crate::conformance::stage::ChainingFactory;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_bus::{Bus, StageOptions};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of records by partition, in the order of the log.
pub type Bytes = BTreeMap<u32, Vec<Vec<u8>>>;

/// Topics through which the records go, in this order; stages copy from each to the next.
pub const CHAIN: [&str; 3] = [INPUT, "suite-middle", "suite-end"];

/// What a run without faults writes for the suite's first `written` inputs, by topic of [`CHAIN`].
///
/// # Panics
/// When the embedded bus fails.
pub fn without_faults(written: usize) -> Vec<Bytes> {
    let folder = tempfile::tempdir().expect("a folder for the reference");
    let opened = EmbeddedBus::open(folder.path().join("log.db"), EmbeddedOptions::default());
    let bus: Arc<dyn Bus> = Arc::new(opened.expect("the reference opens"));
    let dlqs = CHAIN.map(|name| format!("{name}.dlq"));
    let specs: Vec<_> = CHAIN.into_iter().chain(dlqs.iter().map(String::as_str)).map(topic).collect();
    bus.ensure_topics(&specs).expect("topics are made");
    let mut source = bus.source("reference").expect("the source opens");
    source.append(inputs(0, written), b"all").expect("the inputs are written");
    for pair in CHAIN.windows(2) {
        let [from, to] = [pair[0], pair[1]];
        let options =
            StageOptions { group: from.to_owned(), batch_records_max: 1000, snapshot_every_records: u64::MAX };
        let stage = RunningStage::start(&bus, ChainingFactory::new(from, to), options);
        await_no_lag_on(bus.as_ref(), from, from);
        stage.stop().expect("the reference stops");
    }
    CHAIN.iter().map(|name| bytes_by_partition(&read_all(bus.as_ref(), name))).collect()
}

/// How two topics' contents differ, each record counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Expected and not there.
    pub lost: usize,
    /// There more often than expected.
    pub duplicated: usize,
    /// Partitions in which the records are the right ones in another order.
    pub reordered: usize,
}

impl Difference {
    /// Compares, partition by partition.
    pub fn between(expected: &Bytes, found: &Bytes) -> Self {
        let mut difference = Self::default();
        let partitions = expected.keys().chain(found.keys());
        for partition in partitions.collect::<std::collections::BTreeSet<_>>() {
            let of = |bytes: &Bytes| bytes.get(partition).cloned().unwrap_or_default();
            let (expected, found) = (of(expected), of(found));
            let mut counts: BTreeMap<&[u8], isize> = BTreeMap::new();
            expected.iter().for_each(|record| *counts.entry(record).or_default() -= 1);
            found.iter().for_each(|record| *counts.entry(record).or_default() += 1);
            let sum =
                |sign: isize| -> usize { counts.values().map(|n| usize::try_from(n * sign).unwrap_or_default()).sum() };
            let (lost, duplicated) = (sum(-1), sum(1));
            difference.lost += lost;
            difference.duplicated += duplicated;
            difference.reordered += usize::from(lost == 0 && duplicated == 0 && expected != found);
        }
        difference
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(records: &[&str]) -> Bytes {
        Bytes::from([(0, records.iter().map(|r| r.as_bytes().to_vec()).collect())])
    }

    #[test]
    fn what_is_lost_repeated_and_reordered_is_counted() {
        let expected = bytes(&["a", "b", "c"]);
        let between = |found| Difference::between(&expected, &bytes(found));
        assert_eq!(between(&["a", "b", "c"]), Difference::default());
        assert_eq!(between(&["a", "c"]), Difference { lost: 1, ..Difference::default() });
        assert_eq!(between(&["a", "b", "b", "c"]), Difference { duplicated: 1, ..Difference::default() });
        assert_eq!(between(&["a", "c", "b"]), Difference { reordered: 1, ..Difference::default() });
        assert_eq!(between(&["a", "b", "x"]), Difference { lost: 1, duplicated: 1, reordered: 0 });
    }
}
