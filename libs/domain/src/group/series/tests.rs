//! Sums in, calibrated forecasts out.

use super::*;
use crate::calibration::LOWER;
use crate::forecast::residuals::NORMAL_QUANTILES;
use crate::group::HorizonSum;
use crate::group::sum::Rise;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use std::collections::BTreeMap;

const MEMBERS: u32 = 30;

/// Members around 10 with a deviation of 1, as each of them says; `last` and `closed` are the group's.
fn sum(closed: f64) -> ResourceSum {
    let normal = |mean: f64| Quantiles::rearranged(NORMAL_QUANTILES.map(|z| mean + z)).unwrap();
    let mut horizon = HorizonSum::default();
    for _ in 0..MEMBERS {
        horizon.add(&HorizonSum {
            forecasts: 1,
            value: QuantileSum::of(&normal(10.0)),
            maximum: QuantileSum::of(&normal(11.0)),
            rise: Rise::of(1.0),
        });
    }
    ResourceSum {
        unit: "cores".into(),
        last: closed,
        closed: Some(closed),
        horizons: BTreeMap::from([(300, horizon), (900, horizon)]),
    }
}

/// Independent members: the interval is at first too wide, then as wide as their sum asks for, and it holds the
/// truth as often as it says. So does that of the maximum over three bins.
#[test]
fn intervals_become_those_of_the_sum() {
    let mut rng = ChaCha8Rng::seed_from_u64(23);
    let mut series = GroupSeries::default();
    let name = KpiName::new("cpu_cores_used");
    let (mut closed, mut widths) = (300.0, Vec::new());
    let mut last = None;
    for bin in 0..3000 {
        let made = series.forecast(bin, &name, &sum(closed)).unwrap();
        let interval = made.horizons[0].value_interval;
        assert!((made.horizons[0].value.median() - 300.0).abs() < 3.0, "{made:?}");
        widths.push(interval.upper - interval.lower);
        closed = (0..MEMBERS)
            .map(|_| {
                10.0 + {
                    let z: f64 = StandardNormal.sample(&mut rng);
                    z
                }
            })
            .sum();
        last = Some(made);
    }
    let wanted = 2.0 * 1.645 * f64::from(MEMBERS).sqrt();
    assert!(widths[1] > 2.0 * wanted, "{}", widths[1]);
    let late = widths[2000..].iter().sum::<f64>() / 1000.0;
    assert!((late / wanted - 1.0).abs() < 0.15, "{late} for {wanted}");
    for horizon in &last.unwrap().horizons {
        for (statistic, quantiles, interval) in horizon.statistics() {
            let share = interval.trailing_coverage.unwrap();
            assert!((share - 0.9).abs() < 0.08, "{share} {statistic:?} {horizon:?}");
            assert_eq!(interval.lower, quantiles.values()[LOWER]);
        }
    }
    let restored: GroupSeries = bitcode::decode(&bitcode::encode(&series)).unwrap();
    assert_eq!(restored, series);
}

#[test]
fn a_horizon_that_some_members_lack_is_left_out() {
    let mut series = GroupSeries::default();
    let name = KpiName::new("memory_bytes");
    let mut sum = sum(300.0);
    sum.horizons.get_mut(&900).unwrap().forecasts -= 1;
    let made = series.forecast(7, &name, &sum).unwrap();
    assert_eq!(made.horizons.iter().map(|h| h.horizon_s).collect::<Vec<_>>(), [300]);
    assert_eq!((&*made.model, made.last, made.drift), (MODEL, Some(300.0), Some(DriftState::Stable)));
    sum.horizons.clear();
    assert_eq!(series.forecast(8, &name, &sum), None);
}

#[test]
fn a_gap_is_no_truth_and_other_horizons_begin_anew() {
    let mut series = GroupSeries::default();
    let name = KpiName::new("cpu_cores_used");
    for bin in 0..10 {
        series.forecast(bin, &name, &sum(300.0)).unwrap();
    }
    let made = series.forecast(14, &name, &sum(290.0)).unwrap();
    // 8 of bins 1 to 8 with their closed demand, and none of the gap but its last bin, for which nothing was made.
    assert_eq!(made.horizons[0].value_interval.scored, 8);
    let mut other = sum(300.0);
    other.horizons.remove(&900);
    let made = series.forecast(15, &name, &other).unwrap();
    assert_eq!((made.horizons.len(), made.horizons[0].value_interval.scored), (1, 0));
    assert_eq!(series.forecast(15, &name, &other), None, "bins ascend");
}
