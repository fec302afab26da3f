//! Tests of [`super`]: each forecast meets its own truth.

use super::*;
use crate::calibration::pools::{PoolKey, Pools};
use crate::forecast::GRID_STEP_S;
use crate::forecast::capped::Served;
use crate::quantiles::QUANTILE_LEVELS;
use crate::time::EventTime;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

const HORIZONS: [usize; 3] = [1, 3, 12];

fn around(median: f64) -> Quantiles {
    Quantiles::rearranged(QUANTILE_LEVELS.map(|level| median + 2.0 * (level - 0.5))).unwrap()
}

/// Forecasts whose medians are the bin number, for the maximum half a unit more.
fn forecasts(bin: i64) -> Vec<(HorizonQuantiles, HorizonQuantiles)> {
    let quantiles = HorizonQuantiles { value: around(bin as f64), maximum: around(bin as f64 + 0.5) };
    vec![(quantiles, quantiles); HORIZONS.len()]
}

/// Per closed bin, what was scored: horizon, statistic, median forecast.
type Scored = Vec<(i64, usize, Statistic, f64)>;

fn run(
    values: &[Option<i8>],
    is_made: impl Fn(i64) -> bool,
    is_throttled: impl Fn(i64) -> bool,
) -> (Scored, SeriesCalibration) {
    let (mut demand, mut calibration, mut scored) = (DemandSeries::default(), SeriesCalibration::default(), Vec::new());
    demand.start(EventTime::of_bin(0, GRID_STEP_S), values[0].unwrap_or(0).into());
    calibration.start(&HORIZONS);
    if is_throttled(0) {
        demand.observe_hidden();
    }
    for bin in 0..values.len() as i64 {
        if is_made(bin) {
            calibration.made(bin, Family::Gru, &forecasts(bin));
        }
        let truth = [demand.open().unwrap().value, demand.maximum_over(12)];
        calibration.close(&HORIZONS, &demand, DriftState::FallenBack, |(family, horizon, statistic), scores| {
            assert_eq!(family, Family::Gru);
            let truth = match (statistic, HORIZONS[horizon]) {
                (Statistic::Value, _) | (_, 1) => truth[0],
                (_, 12) => truth[1],
                (_, bins) => demand.maximum_over(bins),
            };
            // Half-widths are 0.9.
            scored.push((bin, horizon, statistic, truth.unwrap() - 0.9 * f64::from(scores.upper)));
        });
        demand.close();
        if let Some(Some(value)) = values.get(bin as usize + 1) {
            demand.add((*value).into());
            if is_throttled(bin + 1) {
                demand.observe_hidden();
            }
        }
    }
    (scored, calibration)
}

proptest! {
    /// Neither pools nor coverage hear of a bin that was throttled, nor of a maximum over one.
    #[test]
    fn a_forecast_is_scored_once_against_its_own_bin(
        values in proptest::collection::vec(proptest::option::weighted(0.9, -100i8..100), 1..60),
        made in proptest::collection::vec(proptest::bool::weighted(0.8), 60),
        throttled in proptest::collection::vec(proptest::bool::weighted(0.1), 60),
    ) {
        let (scored, calibration) = run(&values, |bin| made[bin as usize], |bin| throttled[bin as usize]);
        let is_there = |bin: i64| bin == 0 || values[bin as usize].is_some();
        let is_seen = |bin: i64| is_there(bin) && !throttled[bin as usize];
        let mut wanted = Vec::new();
        for bin in 0..values.len() as i64 {
            for (i, bins) in HORIZONS.iter().enumerate() {
                let from = bin - *bins as i64;
                if from < 0 || !made[from as usize] || !is_there(bin) {
                    continue;
                }
                if is_seen(bin) {
                    wanted.push((bin, i, Statistic::Value, from as f64));
                }
                if (from + 1..=bin).all(is_seen) {
                    wanted.push((bin, i, Statistic::Maximum, from as f64 + 0.5));
                }
            }
        }
        prop_assert_eq!(scored.len(), wanted.len());
        for (got, wanted) in scored.iter().zip(&wanted) {
            prop_assert_eq!((got.0, got.1, got.2), (wanted.0, wanted.1, wanted.2));
            // By a half-width of 16 bits, from a truth that may be 150 of them away.
            prop_assert!((got.3 - wanted.3).abs() < 2e-2, "{} {}", got.3, wanted.3);
        }
        for (i, statistic) in [(0, Statistic::Value), (2, Statistic::Maximum)] {
            let count = wanted.iter().filter(|w| (w.1, w.2) == (i, statistic)).count();
            prop_assert_eq!(calibration.coverage(i, statistic).scored() as usize, count.min(128));
        }
        let restored: SeriesCalibration = bitcode::decode(&bitcode::encode(&calibration)).unwrap();
        prop_assert_eq!(&restored, &calibration);
    }
}

#[test]
fn only_the_last_forecast_of_a_bin_counts_and_a_new_start_forgets() {
    let mut demand = DemandSeries::default();
    demand.start(EventTime::of_bin(7, GRID_STEP_S), 7.0);
    let mut calibration = SeriesCalibration::default();
    calibration.start(&HORIZONS);
    calibration.made(7, Family::LastValue, &forecasts(99));
    calibration.made(7, Family::LastValue, &forecasts(8));
    calibration.close(&HORIZONS, &demand, DriftState::FallenBack, |_, _| panic!("nothing is pending"));
    demand.close();
    demand.add(8.5);
    let mut scored = Vec::new();
    calibration.close(&HORIZONS, &demand, DriftState::FallenBack, |key, scores| scored.push((key, scores)));
    assert_eq!(scored.len(), 2);
    assert!((scored[0].1.upper - 0.5 / 0.9).abs() < 1e-4 && scored[1].1.upper == 0.0);
    assert_eq!(calibration.coverage(0, Statistic::Value).share(), Some(1.0));
    calibration.start(&HORIZONS);
    demand.close();
    demand.add(8.5);
    calibration.close(&HORIZONS, &demand, DriftState::FallenBack, |_, _| panic!("it was forgotten"));
    assert_eq!(calibration.coverage(0, Statistic::Value).scored(), 1);
}

proptest! {
    #[test]
    fn what_is_kept_of_a_forecast_is_what_was_forecast(
        values in proptest::array::uniform8(prop_oneof![-1e30f64..1e30, -1.0f64..1.0, Just(0.0)]),
        maxima in proptest::array::uniform8(0.0f64..2.0),
        shift in -1.0f64..1.0,
    ) {
        let of = |values: [f64; LEVELS]| Quantiles::rearranged(values).unwrap();
        let raw = HorizonQuantiles { value: of(values), maximum: of(maxima) };
        let published = HorizonQuantiles { value: of(values.map(|v| v + shift)), maximum: of(maxima).at_least(0.0) };
        let kept = MadeOfBoth::new(&raw, &published);
        let wanted = Statistic::ALL.map(|statistic| Made::of(raw.of(statistic), published.of(statistic)).numbers());
        let all = wanted.as_flattened();
        let [least, greatest] = [f32::min, f32::max].map(|of| f64::from(all.iter().copied().reduce(of).unwrap()));
        let step = (greatest - least) / 30_000.0 + f64::from(f32::EPSILON) * least.abs().max(greatest.abs());
        for (statistic, wanted) in Statistic::ALL.into_iter().zip(&wanted) {
            for (got, wanted) in kept.of(statistic).numbers().iter().zip(wanted) {
                prop_assert!((f64::from(*got) - f64::from(*wanted)).abs() <= step, "{} for {}", got, wanted);
                prop_assert!(*wanted != 0.0 || *got == 0.0, "{} for none", got);
            }
        }
    }
}

#[test]
fn published_quantiles_are_spread_by_the_pool_and_moved_by_the_series_own_misses() {
    let key = PoolKey { family: Family::Gru, version: 0, resource: 0, horizon: 0, statistic: Statistic::Value };
    let mut pools = Pools::new(1, HORIZONS.len());
    (0..256).for_each(|_| pools.push(key, Scores { lower: 2.0, upper: 3.0 }));
    let mut calibration = SeriesCalibration::<Family>::default();
    let raw = around(10.0);
    let got = calibration.calibrated(&raw, pools.spreads().of(key), 0, Statistic::Value).unwrap();
    assert!((got.values()[LOWER] - (10.0 - 1.8)).abs() < 1e-6 && (got.values()[UPPER] - (10.0 + 2.7)).abs() < 1e-6);
    calibration.start(&HORIZONS);
    let both = HorizonQuantiles { value: raw, maximum: raw };
    calibration.records[0][0].push(&MadeOfBoth::new(&both, &both), (Statistic::Value, Truth::seen(100.0)), 1);
    let moved = calibration.calibrated(&raw, pools.spreads().of(key), 0, Statistic::Value).unwrap();
    assert!(moved.values().iter().zip(got.values()).all(|(moved, got)| moved > got), "{moved:?} {got:?}");
    assert!(calibration.heap_bytes() <= 16 * 56 + 3 * 112, "{}", calibration.heap_bytes());
}

/// In 16 bits, beside a maximum that may be far away, both bounds lie above a demand that hardly ever changes.
#[test]
fn a_truth_on_a_bound_is_held_and_moves_nothing() {
    let (mut demand, mut calibration) = (DemandSeries::default(), SeriesCalibration::<Family>::default());
    let of = |values: [f64; LEVELS]| Quantiles::rearranged(values).unwrap();
    let mut most = [0.1; LEVELS];
    most[LEVELS - 1] = 1.0;
    let forecast = HorizonQuantiles { value: of([0.1; LEVELS]), maximum: of(most) };
    demand.start(EventTime::of_bin(0, GRID_STEP_S), 0.1);
    calibration.start(&[1]);
    for bin in 0..40 {
        calibration.made(bin, Family::Gru, &[(forecast, forecast)]);
        calibration.close(&[1], &demand, DriftState::FallenBack, |_, _| ());
        demand.close();
        demand.add(0.1);
    }
    assert!(MadeOfBoth::new(&forecast, &forecast).of(Statistic::Value).published[LOWER] > 0.1);
    assert_eq!(calibration.coverage(0, Statistic::Value).share(), Some(1.0));
    assert_eq!(calibration.trackers()[0][Statistic::Value as usize], Tracker::default());
}

/// Demand is normal about 10; the workload has 11 and is seen to use no more. Taken for a demand, what it uses would
/// move the quantiles above that.
#[test]
fn who_is_short_is_not_believed_to_want_no_more_than_it_has() {
    let normal = [-1.645, -1.282, -0.674, 0.0, 0.674, 1.282, 1.645, 2.326];
    let raw = Quantiles::rearranged(normal.map(|z| 10.0 + 2.0 * z)).unwrap();
    // The greatest difference, over the levels, of the share of the demand below a quantile from its level.
    let worst = |is_aware: bool| {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (mut demand, mut calibration) = (DemandSeries::default(), SeriesCalibration::default());
        demand.start(EventTime::of_bin(0, GRID_STEP_S), 10.0);
        calibration.start(&[1]);
        let (mut below, mut judged) = ([0u32; LEVELS], 0u32);
        for bin in 0..8000 {
            let published = calibration.calibrated(&raw, Spread::NONE, 0, Statistic::Value).unwrap();
            let both = [raw, published].map(|q| HorizonQuantiles { value: q, maximum: q });
            calibration.made(bin, Family::Gru, &[(both[0], both[1])]);
            calibration.close(&[1], &demand, DriftState::Stable, |_, _| {});
            demand.close();
            let normal: f64 = StandardNormal.sample(&mut rng);
            let wanted = 10.0 + 2.0 * normal;
            if bin >= 2000 {
                judged += 1;
                below.iter_mut().zip(published.values()).for_each(|(count, q)| *count += u32::from(wanted < *q));
            }
            let used = wanted.min(11.0);
            demand.add(used);
            if is_aware {
                demand.observe_capacity(used, Served::steady(11.0));
            }
        }
        let shares = below.map(|count| f64::from(count) / f64::from(judged));
        println!("{shares:?}");
        shares.iter().zip(QUANTILE_LEVELS).map(|(share, level)| (share - level).abs()).fold(0.0, f64::max)
    };
    let (aware, unaware) = (worst(true), worst(false));
    assert!(aware < 0.03, "{aware}");
    assert!(unaware > 2.0 * aware, "{unaware} where use is taken for demand, {aware} otherwise");
}
