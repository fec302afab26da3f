//! Tests of [`super`]: what a workload takes.

use super::*;
use crate::policy::fixtures::{GIB, prediction, workload};
use crate::policy::proactive::demand::DAY_BINS;

/// Demand by day for more than a week, with a little that does not recur.
#[test]
fn a_workload_takes_at_most_8_kib() {
    let (mut planning, rules) = (Planning::default(), Rules::default());
    for bin in 0..9 * DAY_BINS {
        let turn = (bin % DAY_BINS) as f64 / DAY_BINS as f64;
        let cores = 4.0 + 2.0 * (std::f64::consts::TAU * turn).sin() + (bin * 7919 % 100) as f64 / 500.0;
        let mut made = prediction("web", bin * BIN_S, cores, 9.0, 4);
        (made.resources[0].last, made.resources[1].last) = (Some(cores), Some(9.0 * GIB));
        assert!(planning.step(&rules, &made, &"p".into()).is_some());
    }
    let bytes = planning.workload_bytes(&workload("web")).unwrap();
    println!("{bytes} bytes a workload, {} of them in its slot", Slots::<Known>::bytes_each());
    assert!(bytes <= 8 * 1024, "{bytes}");
    // The allocator gives the next size up, which is a quarter more.
    assert!(size_of::<(WorkloadId, Known)>() <= 2112);
    assert_eq!(planning.workload_bytes(&workload("other")), None);
}
