//! Exponential smoothing against statsmodels (`goldens/ets.py` made the numbers), and what the choice
//! between candidates does.

use super::*;
use crate::forecast::testing::{noise_of, normals, run, step, wave};
use crate::quantiles::Quantiles;
use serde_json::Value;

const GOLDEN: &str = include_str!("../goldens/ets.json");

fn near(what: &str, got: f64, wanted: &Value, tolerance: f64) {
    let wanted = wanted.as_f64().unwrap();
    assert!((got - wanted).abs() <= tolerance * wanted.abs().max(1.0), "{what}: {got} for {wanted}");
}

#[test]
fn damped_trends_are_those_of_statsmodels() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    for wanted in golden["damped"].as_array().unwrap() {
        let of = |name: &str| wanted[name].as_f64().unwrap();
        let smoothing = Smoothing { level: of("level"), trend: of("trend"), damping: of("damping"), season: 0.0 };
        let trend = if smoothing.damping > 0.0 { 0.02 } else { 0.0 };
        let mut candidate = Candidate { state: LevelTrend { level: 5.0, trend }, squares: 0.0 };
        for t in 0..200 {
            candidate.observe(&smoothing, 5.0 + 0.02 * t as f64 + noise_of(t), 1.0);
        }
        near("squares", candidate.squares, &wanted["squares"], 1e-12);
        let mut points = Vec::new();
        for _ in 0..24 {
            points.push(candidate.state.next(&smoothing));
            candidate.state.advance(&smoothing, 0.0);
        }
        for (i, step) in path(&smoothing, 1.0, 0, &points).iter().enumerate() {
            near("point", step.mean, &wanted["points"][i], 1e-12);
            near("variance", step.std_dev.powi(2), &wanted["variances"][i], 1e-12);
        }
        // What is not observed adds to the variance as a longer horizon does.
        let later = path(&smoothing, 1.0, 5, &points[5..]);
        near("variance after a gap", later[0].std_dev.powi(2), &wanted["variances"][5], 1e-12);
    }
}

#[test]
fn a_level_with_a_season_is_that_of_statsmodels() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    for (i, wanted) in [(0, &golden["seasonal"][0]), (2, &golden["seasonal"][1])] {
        assert_eq!((wanted["level"].as_f64(), wanted["season"].as_f64()), (Some(LEVELS_SEASONAL[i]), Some(SEASON)));
        let (_, mut state) = run(&ExponentialSmoothing, (0..DAY_BINS as i64 + 1).map(|t| wave(t, 1.0)));
        assert!(state.season.is_full());
        // Only this candidate's errors count, so it moves the season all along.
        state.seasonal.iter_mut().for_each(|other| other.squares = f64::INFINITY);
        state.seasonal[i].squares = 0.0;
        let mut squares = 0.0;
        for t in DAY_BINS as i64..DAY_BINS as i64 + 500 {
            let value = wave(t, 1.0).unwrap();
            let season = state.season.day_before(0).unwrap().0;
            squares += (value - season - state.seasonal[i].state.next(&seasonal(i))).powi(2);
            state.observe(value, false);
        }
        // The season's components and the bins that they come of have 16 bits.
        near("squares", squares, &wanted["squares"], 1e-4);
        state.plain.weight = f64::MIN_POSITIVE;
        let chosen = state.chosen().unwrap();
        assert!(chosen.has_season);
        (state.seasonal[i].squares, state.seasonal_weight) = (1.0, 1.0);
        for (i, step) in state.path(24).unwrap().iter().enumerate() {
            near("point", step.mean, &wanted["points"][i], 1e-4);
            near("variance", step.std_dev.powi(2), &wanted["variances"][i], 1e-9);
        }
    }
}

#[test]
fn what_is_left_out_moves_the_level_and_not_the_season() {
    let (_, state) = run(&ExponentialSmoothing, (0..DAY_BINS as i64 + 1).map(|t| wave(t, 1.0)));
    let (season, _) = state.season.day_before(0).unwrap();
    let after = |is_left_out: bool| {
        let mut state = state.clone();
        state.observe(30.0, is_left_out);
        (state.season.value_back(0).unwrap() - season, state.seasonal[0].state.next(&seasonal(0)))
    };
    let (before, [left_out, learnt]) = (state.seasonal[0].state.next(&seasonal(0)), [true, false].map(after));
    assert!(left_out.0.abs() < 0.01 && learnt.0 > 1.0, "{left_out:?} and {learnt:?}");
    assert!(left_out.1 == learnt.1 && left_out.1 > before + 1.0, "{left_out:?} after {before}");
}

#[test]
fn a_season_is_chosen_where_there_is_one() {
    let pattern = |t: i64| 3.0 + 2.0 * noise_of(t % DAY_BINS as i64);
    let (demand, state) = run(&ExponentialSmoothing, (0..1500).map(|t| Some(pattern(t) + 0.2 * noise_of(t + 5000))));
    assert!(state.chosen().unwrap().has_season);
    let forecast = ExponentialSmoothing.forecast(&state, &demand, &[1, 72]).unwrap();
    for (ahead, forecast) in [1, 72].into_iter().zip(&forecast) {
        let truth = pattern(1499 + ahead);
        assert!((forecast.value.median() - truth).abs() < 0.2, "{ahead}: {:?} {truth}", forecast.value);
    }
    let (_, state) = run(&ExponentialSmoothing, (0..1500).map(|t| Some(2.0 + noise_of(t))));
    assert!(!state.chosen().unwrap().has_season);
    assert!(state.heap_bytes() <= STATE_HEAP_BYTES_MAX);
}

#[test]
fn a_first_bin_is_enough_for_a_wide_forecast_and_a_gap_widens_it() {
    let forecast = |values: &[Option<f64>]| {
        let (demand, state) = run(&ExponentialSmoothing, values.iter().copied());
        ExponentialSmoothing.forecast(&state, &demand, &[1, 12])
    };
    let width = |q: &Quantiles| q.values()[6] - q.values()[0];
    assert_eq!(forecast(&[Some(4.0)]), None);
    let short = forecast(&[Some(4.0); 2]).unwrap();
    assert_eq!(short[0].value.median(), 4.0);
    assert!(width(&short[0].value) > 0.5 && width(&short[1].value) > width(&short[0].value));
    let after_gap = forecast(&[Some(4.0), Some(4.0), None, None]).unwrap();
    assert!(width(&after_gap[0].value) > width(&short[0].value));
}

#[test]
fn the_maximum_is_at_least_as_high_as_the_value() {
    let (demand, state) = run(&ExponentialSmoothing, (0..1000).map(|t| wave(t, 0.5)));
    for forecast in ExponentialSmoothing.forecast(&state, &demand, &[1, 3, 12, 72]).unwrap() {
        for (value, maximum) in forecast.value.values().iter().zip(forecast.maximum.values()) {
            assert!(maximum >= value);
        }
    }
}

/// What grows by 0.03 a bin with a little noise, is gone for three bins in 240, and begins again.
fn leak(t: i64) -> Option<f64> {
    let age = t % 240;
    (age < 237).then(|| 0.5 + 0.03 * age as f64 + 0.02 * noise_of(t))
}

#[test]
fn a_trend_that_goes_on_is_followed_across_restarts() {
    let (mut demand, mut state) = run(&ExponentialSmoothing, (0..340).map(leak));
    for t in 340..1500 {
        step(&ExponentialSmoothing, (&mut demand, &mut state), leak(t));
        if !(12..220).contains(&(t % 240)) {
            continue;
        }
        assert!(state.follows_steady_trend(), "bin {t}");
        let forecast = ExponentialSmoothing.forecast(&state, &demand, &[1, 12]).unwrap();
        for (ahead, forecast) in [1, 12].into_iter().zip(&forecast) {
            let truth = leak(t + ahead).unwrap();
            assert!((forecast.value.median() - truth).abs() < 0.06, "{ahead} after {t}: {:?} {truth}", forecast.value);
            let width = forecast.value.values()[6] - forecast.value.values()[0];
            assert!(width > 0.0 && width < 0.36, "{ahead} after {t}: the trend is 0.36 an hour, the interval {width}");
        }
    }
    // It goes on where nothing is measured.
    let (mut demand, mut state) = run(&ExponentialSmoothing, (0..460).map(leak));
    (0..5).for_each(|_| step(&ExponentialSmoothing, (&mut demand, &mut state), None));
    let forecast = ExponentialSmoothing.forecast(&state, &demand, &[6]).unwrap();
    let (median, truth) = (forecast[0].value.median(), leak(470).unwrap());
    assert!((median - truth).abs() < 0.06, "{median} {truth}");
}

#[test]
fn a_trend_that_ends_is_not_followed_for_long() {
    let ends = |t: i64| Some(0.03 * t.min(500) as f64 + 0.02 * noise_of(t));
    let (mut demand, mut state) = run(&ExponentialSmoothing, (0..500).map(ends));
    assert!(state.follows_steady_trend());
    (500..560).for_each(|t| step(&ExponentialSmoothing, (&mut demand, &mut state), ends(t)));
    assert!(!state.follows_steady_trend(), "five hours later");
}

/// Each for ten days.
#[test]
fn what_has_no_steady_trend_is_left_to_the_candidates() {
    let steps = normals(3, 2880);
    let walk = steps.iter().scan(50.0, |level, step| {
        *level += step;
        Some(*level)
    });
    let walk: Vec<f64> = walk.collect();
    let series: [(&str, &dyn Fn(i64) -> f64); 7] = [
        ("a constant", &|_| 0.1),
        ("noise", &|t| 3.0 + noise_of(t)),
        ("a daily wave", &|t| wave(t, 0.0).unwrap_or(0.0)),
        ("a random walk", &|t| walk[t as usize]),
        ("a saw of an hour", &|t| (t % 12) as f64),
        ("a level that jumps", &|t| (1 + t / 250 % 2) as f64 + 0.1 * noise_of(t)),
        ("a slow rise in much noise", &|t| 0.01 * t as f64 + noise_of(t)),
    ];
    for (name, values) in series {
        let (mut demand, mut state) = run(&ExponentialSmoothing, [Some(values(0))]);
        for t in 1..2880 {
            step(&ExponentialSmoothing, (&mut demand, &mut state), Some(values(t)));
            assert!(!state.follows_steady_trend(), "{name}, bin {t}");
        }
    }
}
