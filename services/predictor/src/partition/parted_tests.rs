//! A family that is left out of the configuration for a while.

use super::tests::{apply, partition_of, record, under};
use super::*;
use crate::config::Choice;
use crate::lineup::FROM_THE_BEGINNING;
use prescale_domain::calibration::drift::DriftState;
use prescale_domain::calibration::{Spread, Statistic};
use prescale_inference::Kind;
use prescale_inference::testing::Formula;
use std::path::Path;

/// With the LSTM of a folder before last value, or with last value alone.
fn with_lstm(folder: Option<&Path>) -> Partition {
    let lstm = folder.map(|folder| ("lstm".to_owned(), folder.to_owned()));
    partition_of(|c| {
        c.models = lstm.iter().map(|(name, _)| name.clone()).chain(["last-value".to_owned()]).collect();
        c.choice = Choice::Order;
        c.model_folders = lstm.into_iter().collect();
    })
}

/// A record a bin of four workloads.
fn bins(partition: &mut Partition, bins: std::ops::Range<i64>) -> usize {
    apply(partition, bins.flat_map(|bin| (0..4).map(move |workload| record(workload, 300 * bin))).collect()).len()
}

/// What the LSTM's pool of CPU at the first horizon asks for.
fn asked(partition: &Partition) -> Spread {
    let (family, version, statistic) = (Family::Lstm, FROM_THE_BEGINNING, Statistic::Value);
    partition.state.pools.spreads().of(PoolKey { family, version, resource: 0, horizon: 0, statistic })
}

#[test]
fn pools_are_those_of_the_model_that_is_back() {
    let root = tempfile::tempdir().unwrap();
    let folder = |version: &str, bias: f32| {
        let folder = root.path().join(version);
        let formula = Formula::new("lstm", version, Kind::Stateful { state_size: 4 });
        formula.biased(bias).contents().write(&folder).unwrap();
        folder
    };
    let (one, another) = (folder("one", 0.25), folder("another", 0.5));
    let (with_one, with_another) = (with_lstm(Some(&one)), with_lstm(Some(&another)));
    let mut before = under(&with_one, &with_one);
    assert_eq!(bins(&mut before, 0..100), 400);
    let learnt = asked(&before);
    assert_ne!(learnt, Spread::NONE);
    let mut without = under(&before, &with_lstm(None));
    assert_eq!(bins(&mut without, 100..110), 40);
    without = under(&without, &with_lstm(None));
    assert_eq!(asked(&under(&without, &with_one)), learnt, "what is back is what it was");
    let back = under(&without, &with_another);
    let drawn_out = learnt.by(DriftState::Widened.spread());
    assert_eq!(asked(&back), drawn_out, "nothing is known of how another one misses");
    assert_eq!(asked(&under(&back, &with_another)), drawn_out, "after a restart as well");
}
