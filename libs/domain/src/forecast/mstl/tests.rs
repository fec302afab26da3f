//! MSTL on series whose seasons are known.

use super::*;
use crate::forecast::testing::{error_against_last_value, noise_of, run, share_within_90, wave};
use std::f64::consts::TAU;

fn day_and_week(t: i64, noise: f64) -> f64 {
    let turn = |period: usize| TAU * (t as f64) / period as f64;
    10.0 + 2.0 * turn(DAY_BINS).sin() + 3.0 * turn(WEEK_BINS).cos() + noise * noise_of(t)
}

#[test]
fn a_day_and_a_week_come_again() {
    let count = 2 * WEEK_BINS as i64 + 400;
    let (demand, state) = run(&Mstl, (0..count).map(|t| Some(day_and_week(t, 0.0))));
    assert_eq!((state.seasons.day.len(), state.seasons.week.len()), (DAY_BINS, WEEK_BINS));
    let forecast = Mstl.forecast(&state, &demand, &[1, 12, 72]).unwrap();
    for (bins, forecast) in [1, 12, 72].into_iter().zip(&forecast) {
        let truth = day_and_week(count - 1 + bins, 0.0);
        assert!((forecast.value.median() - truth).abs() < 0.1, "{bins}: {:?} {truth}", forecast.value);
        let greatest = (0..bins).map(|t| day_and_week(count + t, 0.0)).fold(f64::MIN, f64::max);
        assert!((forecast.maximum.median() - greatest).abs() < 0.2, "{bins}: {:?} {greatest}", forecast.maximum);
    }
    assert!(state.heap_bytes() <= STATE_HEAP_BYTES_MAX, "{}", state.heap_bytes());
}

#[test]
fn the_seasons_are_those_of_the_last_cycle_by_bin_number() {
    let values: Vec<f64> = (0..3 * DAY_BINS as i64).map(|t| wave(t, 0.0).unwrap()).collect();
    let seasons = Seasons::of(&values, values.len() as i64 - 1).unwrap();
    for bin in 0..DAY_BINS as i64 {
        assert!((seasons.at(bin) - (wave(bin, 0.0).unwrap() - 3.0)).abs() < 0.01, "{bin}");
        assert_eq!(seasons.at(bin), seasons.at(bin - 10 * DAY_BINS as i64));
    }
}

#[test]
fn its_intervals_hold_what_comes() {
    let share = share_within_90(&Mstl, 3000);
    println!("share within the 90 % interval: {share:.3}");
    assert!((0.87..=0.94).contains(&share), "{share}");
}

#[test]
fn it_beats_the_last_value_an_hour_ahead() {
    let ratio = error_against_last_value(&Mstl, 2500);
    println!("mean absolute error against last value's: {ratio:.3}");
    assert!(ratio < 0.8, "{ratio}");
}

#[test]
fn a_gap_widens_it_and_too_little_makes_none() {
    let needed = Mstl.bins_needed() as i64;
    let (demand, state) = run(&Mstl, (0..needed - 1).map(|t| wave(t, 0.3)));
    assert_eq!(Mstl.forecast(&state, &demand, &[1]), None);
    let width = |gap: i64| {
        let (demand, state) = run(&Mstl, (0..800 + gap).map(|t| if t < 800 { wave(t, 0.3) } else { None }));
        let values = *Mstl.forecast(&state, &demand, &[1]).unwrap()[0].value.values();
        values[6] - values[0]
    };
    assert!(width(30) > width(0));
    let (demand, state) = run(&Mstl, (0..800).map(|t| if t % 3 == 0 { wave(t, 0.3) } else { None }));
    assert_eq!(Mstl.forecast(&state, &demand, &[1]), None);
}
