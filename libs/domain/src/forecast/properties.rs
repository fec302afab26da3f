//! What holds for every family.

use super::arima::Arima;
use super::demand::DEMAND_MAX;
use super::exponential_smoothing::ExponentialSmoothing;
use super::last_value::LastValue;
use super::mstl::Mstl;
use super::prophet::Prophet;
use super::seasonal_naive::SeasonalNaive;
use super::testing::{noise_of, run, step};
use super::{Forecaster, HorizonQuantiles};
use crate::quantiles::{LEVELS, Quantiles};
use bitcode::{Decode, Encode};
use proptest::prelude::*;

const HORIZONS: [usize; 3] = [1, 3, 12];

/// Bins of several days: a level, a season, noise and gaps; the first bin has a sample.
fn bins() -> impl Strategy<Value = Vec<Option<f64>>> {
    let shape = (1usize..1500, 0.0f64..1.0, 0.0f64..1.0, 0.0f64..0.3, 0i64..1_000_000);
    shape.prop_map(|(count, season, noise, missing, seed)| {
        let value = |t: i64| {
            let daily = season * (std::f64::consts::TAU * t as f64 / 288.0).sin();
            2.0 + daily + 3.0 * noise * noise_of(seed + t)
        };
        let is_there = |t: i64| t == 0 || noise_of(seed + 7 * t + 3) + 0.5 >= missing;
        (0..count as i64).map(|t| is_there(t).then(|| value(t))).collect()
    })
}

/// Units that change no digit of a number: which of two equally good candidates or orders makes a forecast
/// turns on the least rounding.
fn exact_units() -> impl Strategy<Value = f64> {
    prop_oneof![Just(1.0 / 1024.0), Just(8.0), Just(f64::from(1u32 << 30))]
}

fn units() -> impl Strategy<Value = f64> {
    prop_oneof![Just(1e-3), Just(8.0), Just(1e9)]
}

/// Bins of any magnitude.
fn wild() -> impl Strategy<Value = Vec<Option<f64>>> {
    let value = prop_oneof![-DEMAND_MAX..DEMAND_MAX, -1.0f64..1.0, Just(0.0), Just(DEMAND_MAX), Just(1e-300)];
    proptest::collection::vec(proptest::option::weighted(0.9, value), 1..700)
}

fn all(forecast: &[HorizonQuantiles]) -> impl Iterator<Item = &Quantiles> {
    forecast.iter().flat_map(|h| [&h.value, &h.maximum])
}

fn are_ordered_and_finite<F: Forecaster>(family: &F, bins: &[Option<f64>]) -> Result<(), TestCaseError> {
    let (demand, state) = run(family, bins.iter().copied());
    let forecast = family.forecast(&state, &demand, &HORIZONS);
    if bins[0].is_some() && bins.iter().all(Option::is_some) {
        // As many again as an hour has: errors of its maximum want all of its bins.
        let (bins, needed) = (demand.bins(), family.bins_needed());
        let within_an_hour = needed..needed + HORIZONS[HORIZONS.len() - 1] as u64 - 1;
        let is_sound = within_an_hour.contains(&bins) || forecast.is_some() == (bins >= needed);
        prop_assert!(is_sound, "{}: {bins} bins, {needed} are needed", family.family().name());
    }
    for quantiles in forecast.iter().flat_map(|f| all(f)) {
        prop_assert!(quantiles.values().iter().all(|v| v.is_finite()));
        prop_assert!(quantiles.values().is_sorted());
    }
    Ok(())
}

/// `tolerance` is in the units of the plain series.
fn follow_the_unit<F: Forecaster>(
    family: &F,
    bins: &[Option<f64>],
    unit: f64,
    tolerance: f64,
) -> Result<(), TestCaseError> {
    let forecast = |unit: f64| {
        let (demand, state) = run(family, bins.iter().map(|v| v.map(|v| v * unit)));
        family.forecast(&state, &demand, &HORIZONS)
    };
    let (plain, scaled) = (forecast(1.0), forecast(unit));
    prop_assert_eq!(plain.is_some(), scaled.is_some());
    for (plain, scaled) in plain.iter().zip(&scaled).flat_map(|(p, s)| all(p).zip(all(s))) {
        for (plain, scaled) in plain.values().iter().zip(scaled.values()) {
            prop_assert!((plain * unit - scaled).abs() <= tolerance * unit, "{plain} {scaled} {unit}");
        }
    }
    Ok(())
}

fn survive_a_restart<F>(family: &F, bins: &[Option<f64>], cut: usize) -> Result<(), TestCaseError>
where
    F: Forecaster,
    F::State: Encode + for<'a> Decode<'a> + PartialEq + std::fmt::Debug,
{
    let cut = cut.min(bins.len());
    let (mut demand, mut state) = run(family, bins[..cut].iter().copied());
    demand = bitcode::decode(&bitcode::encode(&demand)).unwrap();
    state = bitcode::decode(&bitcode::encode(&state)).unwrap();
    bins[cut..].iter().for_each(|value| step(family, (&mut demand, &mut state), *value));
    let (whole_demand, whole_state) = run(family, bins.iter().copied());
    prop_assert_eq!(&state, &whole_state);
    prop_assert_eq!(
        family.forecast(&state, &demand, &HORIZONS),
        family.forecast(&whole_state, &whole_demand, &HORIZONS)
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn quantiles_never_cross_and_are_finite(tame in bins(), wild in wild()) {
        for bins in [tame, wild] {
            are_ordered_and_finite(&LastValue, &bins)?;
            are_ordered_and_finite(&SeasonalNaive, &bins)?;
            are_ordered_and_finite(&ExponentialSmoothing, &bins)?;
            are_ordered_and_finite(&Mstl, &bins)?;
            are_ordered_and_finite(&Arima, &bins)?;
            are_ordered_and_finite(&Prophet, &bins)?;
        }
    }

    #[test]
    fn quantiles_are_in_the_unit_of_the_demand(bins in bins(), unit in units()) {
        // Bins are rounded to a power of two that follows from all of a day, and errors are differences of two.
        follow_the_unit(&LastValue, &bins, unit, 1e-3)?;
        follow_the_unit(&SeasonalNaive, &bins, unit, 1e-3)?;
    }

    #[test]
    fn quantiles_by_choice_are_in_the_unit_of_the_demand(bins in bins(), unit in exact_units()) {
        follow_the_unit(&ExponentialSmoothing, &bins, unit, 1e-5)?;
        follow_the_unit(&Mstl, &bins, unit, 1e-5)?;
        follow_the_unit(&Arima, &bins, unit, 1e-5)?;
        follow_the_unit(&Prophet, &bins, unit, 1e-5)?;
    }

    #[test]
    fn a_restart_changes_nothing(bins in bins(), cut in 0usize..1500) {
        survive_a_restart(&LastValue, &bins, cut)?;
        survive_a_restart(&SeasonalNaive, &bins, cut)?;
        survive_a_restart(&ExponentialSmoothing, &bins, cut)?;
        survive_a_restart(&Mstl, &bins, cut)?;
        survive_a_restart(&Arima, &bins, cut)?;
        survive_a_restart(&Prophet, &bins, cut)?;
    }
}

#[test]
fn levels_of_one_forecast_do_not_depend_on_the_others_asked_for() {
    let bins: Vec<Option<f64>> = (0..700).map(|t| Some(2.0 + noise_of(t))).collect();
    let (demand, state) = run(&ExponentialSmoothing, bins.iter().copied());
    let alone = ExponentialSmoothing.forecast(&state, &demand, &[12]).unwrap();
    let with_others = ExponentialSmoothing.forecast(&state, &demand, &[72, 12, 1]).unwrap();
    assert_eq!(alone[0], with_others[1]);
    assert_eq!(alone[0].value.values().len(), LEVELS);
}

/// What the families that are fitted daily make of a series, by name.
fn fitted(bins: &[Option<f64>], horizons: &[usize]) -> [(&'static str, Option<Vec<HorizonQuantiles>>); 3] {
    fn of<F: Forecaster>(family: &F, bins: &[Option<f64>], horizons: &[usize]) -> Option<Vec<HorizonQuantiles>> {
        let (demand, state) = run(family, bins.iter().copied());
        family.forecast(&state, &demand, horizons)
    }
    let all = (of(&Mstl, bins, horizons), of(&Arima, bins, horizons), of(&Prophet, bins, horizons));
    [("mstl", all.0), ("arima", all.1), ("prophet", all.2)]
}

#[test]
fn nothing_is_forecast_of_nothing() {
    for bins in [&[][..], &[Some(1.0)], &[None; 900]] {
        for (name, forecast) in fitted(bins, &HORIZONS) {
            // The series of missing bins begins with a zero, after which nothing is measured.
            assert_eq!(forecast, None, "{name}");
        }
    }
}

#[test]
fn degenerate_series_are_forecast_within_reason() {
    type Shape = (&'static str, fn(i64) -> f64);
    let shapes: [Shape; 8] = [
        ("zero", |_| 0.0),
        ("constant", |_| 7.3),
        ("huge", |t| 1e29 * (1.0 + noise_of(t))),
        ("tiny", |t| 1e-30 * (1.0 + noise_of(t))),
        ("one spike", |t| if t == 500 { 1e6 } else { 1.0 }),
        ("spikes", |t| if t % 97 == 0 { 1000.0 } else { 0.0 }),
        ("step", |t| if t < 600 { 1.0 } else { 50.0 }),
        ("alternating", |t| if t % 2 == 0 { 1.0 } else { 3.0 }),
    ];
    for (shape, value) in shapes {
        let bins: Vec<Option<f64>> = (0..1000).map(|t| Some(value(t))).collect();
        let most = (0..1000).map(value).fold(0.0, f64::max);
        for (name, forecast) in fitted(&bins, &[1, 12, 72]) {
            let forecast = forecast.unwrap_or_else(|| panic!("{name} of {shape}"));
            for quantiles in all(&forecast) {
                let within = |q: &f64| q.abs() <= 10.0 * most;
                assert!(quantiles.values().iter().all(within), "{name} of {shape}: {quantiles:?}");
                assert!(quantiles.at_least(0.0).values().iter().all(|q| *q >= 0.0));
            }
        }
    }
}

#[test]
fn a_restart_in_the_third_week_changes_nothing() {
    let bins: Vec<Option<f64>> =
        (0..4700).map(|t| (t % 11 != 5).then(|| 3.0 + (t as f64 / 320.0).sin() + noise_of(t))).collect();
    for cut in [4100, 4500] {
        survive_a_restart(&Mstl, &bins, cut).unwrap();
        survive_a_restart(&Arima, &bins, cut).unwrap();
        survive_a_restart(&Prophet, &bins, cut).unwrap();
    }
}
