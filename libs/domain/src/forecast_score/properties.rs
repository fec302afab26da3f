//! What is told is what a plain computation over all forecasts and what came gives, wherever a restart falls.

use super::*;
use crate::calibration::series::SeriesCalibration;
use crate::calibration::{LOWER, Statistic, UPPER};
use crate::forecast::champion::RoundLosses;
use crate::forecast::demand::DemandSeries;
use crate::forecast::{Family, GRID_STEP_S, HorizonQuantiles};
use crate::quantiles::{LEVELS, QUANTILE_LEVELS, Quantiles};
use crate::score::pinball_loss;
use proptest::prelude::*;
use std::collections::BTreeMap;

const HORIZONS: [usize; 3] = [1, 3, 12];
/// Within an hour.
const FIRST_BIN: i64 = 5;

/// A forecast's maker and median; that of the maximum is 1 above.
type Made = (Family, i8);

/// What forecasts met, with their quantiles: by horizon and statistic.
type Met = [[Vec<(Quantiles, f64)>; 2]; HORIZONS.len()];

/// None of the bounds is near a whole number, which what comes is.
fn around(median: i8) -> Quantiles {
    Quantiles::rearranged(QUANTILE_LEVELS.map(|level| f64::from(median) + 2.0 * (level - 0.5))).unwrap()
}

fn bins() -> impl Strategy<Value = Vec<(Option<i8>, Option<Made>)>> {
    let maker = prop_oneof![4 => Just(Family::Gru), 1 => Just(Family::LastValue)];
    let made = proptest::option::weighted(0.9, (maker, -50i8..50));
    proptest::collection::vec((proptest::option::weighted(0.95, -50i8..50), made), 2..90)
}

fn told(bins: &[(Option<i8>, Option<Made>)], is_restarted: impl Fn(usize) -> bool) -> Vec<Told> {
    let (mut demand, mut calibration, mut tally, mut told) =
        (DemandSeries::default(), SeriesCalibration::default(), Tally::default(), Vec::new());
    demand.start(EventTime::of_bin(FIRST_BIN, GRID_STEP_S), bins[0].0.unwrap_or(0).into());
    calibration.start(&HORIZONS);
    for (i, (_, made)) in bins.iter().enumerate() {
        let bin = FIRST_BIN + i as i64;
        told.extend(tally.take_before(EventTime::of_bin(bin, GRID_STEP_S)));
        if let Some((maker, median)) = *made {
            let quantiles = HorizonQuantiles { value: around(median), maximum: around(median + 1) };
            calibration.made(bin, maker, &[(quantiles, quantiles); HORIZONS.len()]);
        }
        if is_restarted(i) {
            tally = bitcode::decode(&bitcode::encode(&tally)).unwrap();
        }
        let mut closing = tally.closing(bin, Some((Family::Gru, i64::MIN)), &HORIZONS);
        let judged = |of, judged| closing.push(of, &judged);
        calibration.close_judging(&HORIZONS, &demand, DriftState::Stable, |_, _| (), judged);
        demand.close();
        if let Some((Some(value), _)) = bins.get(i + 1) {
            demand.add((*value).into());
        }
    }
    told
}

/// By hour.
fn met(bins: &[(Option<i8>, Option<Made>)]) -> BTreeMap<i64, Met> {
    let mut hours: BTreeMap<i64, Met> = BTreeMap::new();
    for (i, horizon) in (0..bins.len()).flat_map(|i| (0..HORIZONS.len()).map(move |horizon| (i, horizon))) {
        let Some(origin) = i.checked_sub(HORIZONS[horizon]) else { continue };
        let (Some((Family::Gru, median)), Some(value)) = (bins[origin].1, bins[i].0) else { continue };
        let met = &mut hours.entry((FIRST_BIN + i as i64).div_euclid(HOUR_BINS)).or_default()[horizon];
        met[0].push((around(median), value.into()));
        let values = bins[origin + 1..=i].iter().map(|(value, _)| *value);
        if let Some(greatest) = values.reduce(|a, b| Some(a?.max(b?))).flatten() {
            met[1].push((around(median + 1), greatest.into()));
        }
    }
    hours
}

fn assert_is_mean_of(score: Option<StatisticScore>, met: &[(Quantiles, f64)]) {
    let Some(score) = score else { return assert!(met.is_empty(), "{met:?}") };
    let mean = |of: &dyn Fn(&(Quantiles, f64)) -> f64| met.iter().map(of).sum::<f64>() / met.len() as f64;
    let loss = |(quantiles, truth): &(Quantiles, f64)| {
        let each = QUANTILE_LEVELS.into_iter().zip(quantiles.values());
        each.map(|(level, value)| pinball_loss(level, *value, *truth)).sum::<f64>() / LEVELS as f64
    };
    let is_held = |(quantiles, truth): &&(Quantiles, f64)| {
        (quantiles.values()[LOWER]..=quantiles.values()[UPPER]).contains(truth)
    };
    let counts = [score.scored, score.judged, score.held].map(|count| count as usize);
    assert_eq!(counts, [met.len(), met.len(), met.iter().filter(is_held).count()]);
    let wanted = [mean(&loss), mean(&|(_, truth)| *truth), mean(&|(quantiles, _)| quantiles.median())];
    for (got, wanted) in [score.pinball_loss, score.realised, score.median].into_iter().zip(wanted) {
        assert!((got - wanted).abs() < 1e-2, "{got} instead of {wanted}");
    }
}

proptest! {
    #[test]
    fn each_hour_is_told_once_as_a_plain_computation_has_it(bins in bins()) {
        let mut wanted = met(&bins);
        let last_hour = (FIRST_BIN + bins.len() as i64 - 1).div_euclid(HOUR_BINS);
        wanted.retain(|hour, _| *hour < last_hour);
        let told = told(&bins, |_| false);
        let hours: Vec<i64> = told.iter().map(|told| told.first_hour).collect();
        prop_assert_eq!(hours, wanted.keys().copied().collect::<Vec<_>>());
        for (told, met) in told.iter().zip(wanted.values()) {
            prop_assert_eq!((told.maker, told.last_hour), (Family::Gru, told.first_hour));
            for statistic in Statistic::ALL {
                let place = statistic as usize;
                told.scores.iter().zip(met).for_each(|(score, met)| assert_is_mean_of(score[place], &met[place]));
            }
        }
    }

    #[test]
    fn a_restart_changes_nothing(bins in bins(), restarts in proptest::collection::vec(proptest::bool::ANY, 90)) {
        prop_assert_eq!(told(&bins, |i| restarts[i]), told(&bins, |_| false));
    }
}

#[test]
fn rounds_of_the_same_families_add_up_and_others_begin_anew() {
    let round = |bin, losses: &[(Family, f32)]| RoundLosses { bin, losses: losses.to_vec() };
    let judged = crate::calibration::series::Judged { loss: 1.0, realised: 2.0, median: 2.0, is_held: None };
    let paired = |rounds: &[RoundLosses]| {
        let mut tally = Tally::default();
        tally.closing(20, Some((Family::Gru, 3)), &[12]).push((Family::Gru, 0, Statistic::Value), &judged);
        rounds.iter().for_each(|round| tally.push_round(round));
        let at = EventTime::of_bin(24, GRID_STEP_S);
        let told = tally.take_before(at).unwrap();
        assert_eq!((told.oldest_origin, tally.take_before(at)), (8, None));
        told.paired
    };
    let both = |bin, gru, lstm| round(bin, &[(Family::Gru, gru), (Family::Lstm, lstm)]);
    let added = paired(&[both(4, 1.0, 3.0), both(17, 2.0, 2.0)]).unwrap();
    assert_eq!((added.oldest_origin, added.rounds), (4, 2));
    assert_eq!(added.losses, [(Family::Gru, 1.5), (Family::Lstm, 2.5)]);
    let anew = paired(&[both(4, 1.0, 3.0), round(17, &[(Family::Gru, 2.0)])]).unwrap();
    assert_eq!((anew.oldest_origin, anew.rounds, anew.losses), (17, 1, vec![(Family::Gru, 2.0)]));
    assert_eq!(paired(&[]), None);
}

#[test]
fn what_another_model_made_is_not_told() {
    let judged = crate::calibration::series::Judged { loss: 1.0, realised: 2.0, median: 2.0, is_held: Some(true) };
    let mut tally = Tally::default();
    let mut close = |bin, serving| {
        tally.closing(bin, Some(serving), &[1]).push((Family::Gru, 0, Statistic::Value), &judged);
    };
    close(11, (Family::Gru, i64::MIN));
    // The next version's term begins with bin 12: what was forecast as of bin 11 is the one's before it.
    close(12, (Family::Gru, 12));
    close(13, (Family::Gru, 12));
    close(14, (Family::Gru, 12));
    let told = tally.take_before(EventTime::of_bin(24, GRID_STEP_S)).unwrap();
    assert_eq!((told.first_hour, told.last_hour, told.oldest_origin), (1, 1, 12));
    assert_eq!(told.scores[0][0].unwrap().scored, 2);
    let mut tally = Tally::default();
    tally.closing(11, Some((Family::Lstm, 0)), &[1]).push((Family::Gru, 0, Statistic::Value), &judged);
    assert_eq!(tally.take_before(EventTime::of_bin(24, GRID_STEP_S)), None);
}
