//! Tests of [`super`]: which family makes the forecast when one cannot.

use super::*;
use crate::config::{Choice, Config};
use prescale_domain::calibration::pools::Pools;
use prescale_domain::quantiles::LEVELS;

fn settings(models: &[&str]) -> Settings {
    let models = models.iter().map(|m| (*m).to_owned()).collect();
    Config { models, choice: Choice::Order, ..Config::default() }.settings().unwrap()
}

/// A series of so many bins, and the scale of the open one.
fn run(settings: &Settings, bins: i64) -> (Series, f64) {
    let mut series = Series::default();
    let mut scale = 0.0;
    for bin in 0..bins {
        let at = EventTime::from_s(300 * bin);
        let offer = Offer { at, value: Some(3.0 + (bin % 5) as f64), capacity: None };
        scale = series.take_in(settings, &offer, |_, _| ()).unwrap().scale;
    }
    (series, scale)
}

fn forecast(settings: &Settings, bins: i64, from_network: Option<f64>) -> Option<(Family, Vec<Family>)> {
    let (mut series, scale) = run(settings, bins);
    let quantiles = |median: f64| {
        let quantiles = Quantiles::rearranged([median; LEVELS]).unwrap();
        vec![HorizonQuantiles { value: quantiles, maximum: quantiles }; settings.horizons_s.len()]
    };
    let spreads = Pools::new(2, 3).spreads();
    let from_network = from_network.map(quantiles);
    let made = series.forecast(Making { settings, resource: 0, spreads: &spreads, scale, from_network })?;
    assert!(made.horizons.iter().all(|h| h.value.values().iter().chain(h.maximum.values()).all(|v| v.is_finite())));
    Some((made.family, made.failed))
}

#[test]
fn a_network_without_a_usable_answer_gives_way_to_the_next_family() {
    let settings = settings(&["gru", "exponential-smoothing", "last-value"]);
    assert_eq!(forecast(&settings, 40, Some(4.0)), Some((Family::Gru, vec![])));
    let failed = vec![Family::Gru, Family::ExponentialSmoothing];
    assert_eq!(forecast(&settings, 40, None), Some((Family::LastValue, failed.clone())));
    assert_eq!(forecast(&settings, 40, Some(f64::MAX)).map(|(family, _)| family), Some(Family::Gru));
    assert_eq!(forecast(&settings, 5, None), Some((Family::ExponentialSmoothing, vec![])));
    assert_eq!(forecast(&settings, 1, None), Some((Family::LastValue, vec![])));
}

#[test]
fn without_last_value_a_young_series_has_no_forecast() {
    let seasonal = settings(&["seasonal-naive"]);
    assert_eq!(forecast(&seasonal, 300, None), None);
    assert_eq!(forecast(&seasonal, 400, None), Some((Family::SeasonalNaive, vec![])));
    assert_eq!(forecast(&settings(&["gru"]), 40, None), None);
}

#[test]
fn a_family_that_is_overtaken_keeps_no_state() {
    let settings = settings(&["gru", "exponential-smoothing", "seasonal-naive", "last-value"]);
    let (young, _) = run(&settings, GRU_BINS_NEEDED as i64 - 1);
    assert!(young.gru.is_some() && young.smoothed.is_some() && young.day_before.is_none());
    let (old, _) = run(&settings, GRU_BINS_NEEDED as i64);
    assert!(old.gru.is_some() && old.smoothed.is_none());
}

/// The GRU says ten times the demand: another family makes the forecast after a day or two, and it is kept
/// up for that.
#[test]
fn a_family_that_loses_less_takes_over() {
    let settings = Settings { choice: Choice::Loss, ..settings(&["gru", "last-value"]) };
    let spreads = Pools::new(2, 3).spreads();
    let (mut series, mut families) = (Series::default(), Vec::new());
    for bin in 0..600 {
        let offer = Offer { at: EventTime::from_s(300 * bin), value: Some(3.0 + (bin % 5) as f64), capacity: None };
        let scale = series.take_in(&settings, &offer, |_, _| ()).unwrap().scale;
        let quantiles = Quantiles::rearranged([30.0; LEVELS]).unwrap();
        let from_network = Some(vec![HorizonQuantiles { value: quantiles, maximum: quantiles }; 3]);
        let made = series.forecast(Making { settings: &settings, resource: 0, spreads: &spreads, scale, from_network });
        families.push(made.unwrap().family);
    }
    families.dedup();
    assert_eq!(families, [Family::LastValue, Family::Gru, Family::LastValue]);
}

#[test]
fn a_family_that_is_fitted_daily_makes_the_forecast_once_it_can_and_alone_keeps_its_state() {
    for (name, family) in [("mstl", Family::Mstl), ("arima", Family::Arima), ("prophet", Family::Prophet)] {
        let settings = settings(&[name, "last-value"]);
        let needed = bins_needed(family) as i64;
        assert_eq!(forecast(&settings, needed - 1, None), Some((Family::LastValue, vec![])), "{name}");
        assert_eq!(forecast(&settings, needed, None), Some((family, vec![])), "{name}");
        let (series, _) = run(&settings, needed);
        assert!(series.fitted.heap_bytes() > 0, "{name}");
        let snapshot: Series = bitcode::decode(&bitcode::encode(&series)).unwrap();
        assert_eq!(snapshot, series);
    }
    let (without, _) = run(&self::settings(&["gru", "last-value"]), 400);
    assert_eq!(without.fitted.heap_bytes(), 0);
}

#[test]
fn each_bin_that_was_skipped_is_a_step_of_the_network() {
    let settings = settings(&["gru", "last-value"]);
    let (mut series, _) = run(&settings, 3);
    let mut steps = |at_s: i64, value| {
        let offer = Offer { at: EventTime::from_s(at_s), value, capacity: None };
        series.take_in(&settings, &offer, |_, _| ()).map(|steps| steps.rows.len())
    };
    assert_eq!(steps(650, Some(1.0)), Some(1));
    assert_eq!(steps(900, None), Some(1));
    assert_eq!(steps(900 + 4 * 300, Some(1.0)), Some(4));
    assert_eq!(steps(40 * 86_400, None), None);
    assert_eq!(steps(40 * 86_400 + 1, Some(1.0)), Some(1));
}
