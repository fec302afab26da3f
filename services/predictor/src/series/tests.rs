//! Tests of [`super`]: which family makes the forecast when one cannot.

use super::*;
use crate::config::{Choice, Config};
use crate::lineup::{FROM_THE_BEGINNING, Term, Trial};
use prescale_domain::calibration::pools::Pools;
use prescale_domain::forecast::arima::Arima;
use prescale_domain::forecast::mstl::Mstl;
use prescale_domain::forecast::prophet::Prophet;
use prescale_domain::quantiles::{LEVELS, QUANTILE_LEVELS};

fn settings(models: &[&str]) -> Settings {
    let models = models.iter().map(|m| (*m).to_owned()).collect();
    Config { models, choice: Choice::Order, ..Config::default() }.settings().unwrap()
}

const GRU_BINS_NEEDED: u64 = 12;

const fn model(family: Family, from_bin: i64) -> ModelId {
    ModelId::in_use(family, from_bin)
}

const GRU: ModelId = model(Family::Gru, FROM_THE_BEGINNING);

/// A GRU from the beginning, and these.
fn lineup(others: &[Term]) -> Lineup {
    let gru = Term { model: GRU, kind: Kind::Stateful { state_size: 4 }, bins_needed: GRU_BINS_NEEDED };
    Lineup::new([&[gru], others].concat())
}

/// A series of so many bins, and the scale of the open one.
fn run(settings: &Settings, bins: i64) -> (Series, f64) {
    let mut series = Series::default();
    let mut scale = 0.0;
    for bin in 0..bins {
        let at = EventTime::from_s(300 * bin);
        let offer = Offer { at, value: Some(3.0 + (bin % 5) as f64), capacity: None, cap: None, is_hidden: false };
        scale = through(&mut series, settings, &lineup(&[]), &offer).unwrap().scale;
    }
    (series, scale)
}

/// Takes a record in, and what the models carry back. The job is as it was before that.
fn through(series: &mut Series, settings: &Settings, lineup: &Lineup, offer: &Offer) -> Option<Job> {
    let job = series.take_in(Rules { settings, lineup }, offer, |_, _| ())?;
    series.take_back(job.runs.clone());
    Some(job)
}

fn forecast(settings: &Settings, bins: i64, from_network: Option<f64>) -> Option<(Family, Vec<Family>)> {
    let (mut series, scale) = run(settings, bins);
    let quantiles = |median: f64| {
        let quantiles = Quantiles::rearranged([median; LEVELS]).unwrap();
        vec![HorizonQuantiles { value: quantiles, maximum: quantiles }; settings.horizons_s.len()]
    };
    let spreads = Pools::new(2, 3).spreads();
    let from_networks = vec![(GRU, from_network.map(quantiles))];
    let rules = Rules { settings, lineup: &lineup(&[]) };
    let made = series.forecast(Making { rules, resource: 0, spreads: &spreads, scale, from_networks })?;
    assert!(made.horizons.iter().all(|h| h.value.values().iter().chain(h.maximum.values()).all(|v| v.is_finite())));
    Some((made.family, made.failed))
}

#[test]
fn a_network_without_a_usable_answer_gives_way_to_the_next_family() {
    let settings = settings(&["gru", "exponential-smoothing", "last-value"]);
    assert_eq!(forecast(&settings, 40, Some(4.0)), Some((Family::Gru, vec![])));
    let failed = vec![Family::Gru, Family::ExponentialSmoothing];
    assert_eq!(forecast(&settings, 40, None), Some((Family::LastValue, failed.clone())));
    assert_eq!(forecast(&settings, 40, Some(1e30)).map(|(family, _)| family), Some(Family::Gru));
    assert_eq!(forecast(&settings, 40, Some(f64::MAX)).map(|(family, _)| family), Some(Family::LastValue), "32 bits");
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
    assert!(young.carried(Family::Gru).is_some() && young.smoothed.is_some() && young.day_before.is_none());
    let (old, _) = run(&settings, GRU_BINS_NEEDED as i64);
    assert!(old.carried(Family::Gru).is_some() && old.smoothed.is_none());
}

/// Who makes the forecasts of so many bins, where the GRU says one value by the newest.
fn makers(
    settings: &Settings,
    bins: i64,
    value: impl Fn(i64) -> Option<f64>,
    said: impl Fn(f64) -> f64,
) -> Vec<Family> {
    let spreads = Pools::new(2, 3).spreads();
    let (mut series, mut newest, mut families) = (Series::default(), 0.0, Vec::new());
    for bin in 0..bins {
        let value = value(bin);
        newest = value.unwrap_or(newest);
        let offer = Offer { at: EventTime::from_s(300 * bin), value, capacity: None, cap: None, is_hidden: false };
        let scale = through(&mut series, settings, &lineup(&[]), &offer).unwrap().scale;
        let quantiles = Quantiles::rearranged([said(newest); LEVELS]).unwrap();
        let from_networks = vec![(GRU, Some(vec![HorizonQuantiles { value: quantiles, maximum: quantiles }; 3]))];
        let rules = Rules { settings, lineup: &lineup(&[]) };
        let made = series.forecast(Making { rules, resource: 0, spreads: &spreads, scale, from_networks });
        families.push(made.unwrap().family);
    }
    families
}

/// The GRU says ten times the demand: another family makes the forecast after two days, and it is kept
/// up for that.
#[test]
fn a_family_that_loses_less_takes_over() {
    let settings = Settings { choice: Choice::Loss, ..settings(&["gru", "last-value"]) };
    let mut families = makers(&settings, 800, |bin| Some(3.0 + (bin % 5) as f64), |_| 30.0);
    families.dedup();
    assert_eq!(families, [Family::LastValue, Family::Gru, Family::LastValue]);
}

/// It grows steadily, is gone for three bins in 240 and begins again; the GRU always says the last value.
fn makers_of_a_leak(choice: Choice, bins: i64) -> Vec<Family> {
    let settings = Settings { choice, ..settings(&["gru", "exponential-smoothing", "last-value"]) };
    let leak = |bin: i64| {
        let age = bin % 240;
        (age < 237).then_some(0.5 + 0.03 * age as f64 + 0.005 * (bin % 3) as f64)
    };
    makers(&settings, bins, leak, |newest| newest)
}

#[test]
fn exponential_smoothing_takes_its_turn_while_a_trend_goes_on() {
    let all = |families: &[Family], wanted: Family| families.iter().all(|family| *family == wanted);
    let by_loss = makers_of_a_leak(Choice::Loss, 700);
    assert!(all(&by_loss[GRU_BINS_NEEDED as usize..200], Family::Gru), "nobody knows yet that it goes on");
    assert!(all(&by_loss[340..], Family::ExponentialSmoothing), "within a day and a half, and across a restart");
    let by_order = makers_of_a_leak(Choice::Order, 400);
    assert!(all(&by_order[GRU_BINS_NEEDED as usize..], Family::Gru), "the order is as it was stated");
}

#[test]
fn a_family_that_is_fitted_daily_makes_the_forecast_once_it_can_and_alone_keeps_its_state() {
    for (name, family, needed) in [
        ("mstl", Family::Mstl, Mstl.bins_needed()),
        ("arima", Family::Arima, Arima.bins_needed()),
        ("prophet", Family::Prophet, Prophet.bins_needed()),
    ] {
        let settings = settings(&[name, "last-value"]);
        let needed = needed as i64;
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
        let offer = Offer { at: EventTime::from_s(at_s), value, capacity: None, cap: None, is_hidden: false };
        through(&mut series, &settings, &lineup(&[]), &offer).map(|job| job.rows.len())
    };
    assert_eq!(steps(650, Some(1.0)), Some(1));
    assert_eq!(steps(900, None), Some(1));
    assert_eq!(steps(900 + 4 * 300, Some(1.0)), Some(4));
    assert_eq!(steps(40 * 86_400, None), None);
    assert_eq!(steps(40 * 86_400 + 1, Some(1.0)), Some(1));
}

/// Bins of a series that is forecast by GRUs of two terms, as of which model serves each.
fn served(settings: &Settings, lineup: &Lineup, bins: std::ops::Range<i64>) -> Vec<(i64, Option<i64>, usize)> {
    let mut series = Series::default();
    let mut seen = Vec::new();
    for bin in bins {
        let offer =
            Offer { at: EventTime::from_s(300 * bin), value: Some(2.0), capacity: None, cap: None, is_hidden: false };
        let job = through(&mut series, settings, lineup, &offer).unwrap();
        let serving = job.runs.iter().find(|run| run.serves).map(|run| run.model.from_bin);
        let last = seen.last().map(|(_, serving, runs)| (*serving, *runs));
        if last != Some((serving, job.runs.len())) {
            seen.push((bin, serving, job.runs.len()));
        }
    }
    seen
}

#[test]
fn the_model_before_goes_on_until_the_new_one_has_seen_enough() {
    let settings = settings(&["gru", "last-value"]);
    let (before, needed) = (Some(FROM_THE_BEGINNING), GRU_BINS_NEEDED as i64);
    let next = Term { model: model(Family::Gru, 40), kind: Kind::Stateful { state_size: 6 }, bins_needed: 5 };
    let wanted = [(0, None, 1), (needed - 1, before, 1), (40, before, 2), (44, Some(40), 1)];
    assert_eq!(served(&settings, &lineup(&[next]), 0..80), wanted);
    // A third one before the second is through: the first goes on.
    let third = Term { model: model(Family::Gru, 42), ..next };
    let wanted = [(0, None, 1), (needed - 1, before, 1), (40, before, 2), (46, Some(42), 1)];
    assert_eq!(served(&settings, &lineup(&[next, third]), 0..80), wanted);
    // A series that begins in the new term has nothing before it.
    assert_eq!(served(&settings, &lineup(&[next]), 41..80), [(41, None, 1), (45, Some(40), 1)]);
    // A windowed one takes over at once.
    let windowed = Term { kind: Kind::Windowed { bins: 7 }, ..next };
    let wanted = [(0, None, 1), (needed - 1, before, 1), (40, Some(40), 1)];
    assert_eq!(served(&settings, &lineup(&[windowed]), 0..80), wanted);
}

/// The new model serves from bin 44 on, the fifth of its term.
#[test]
fn what_a_model_made_is_scored_for_it_and_not_for_the_next() {
    let settings = settings(&["gru", "last-value"]);
    let next = Term { model: model(Family::Gru, 40), kind: Kind::Stateful { state_size: 6 }, bins_needed: 5 };
    let rules = Rules { settings: &settings, lineup: &lineup(&[next]) };
    let spreads = Pools::new(2, 3).spreads();
    let around = Quantiles::rearranged(QUANTILE_LEVELS.map(|level| 2.0 + level - 0.5)).unwrap();
    let horizons = vec![HorizonQuantiles { value: around, maximum: around }; 3];
    let (mut series, mut scored) = (Series::default(), Vec::new());
    for bin in 0..80 {
        let offer =
            Offer { at: EventTime::from_s(300 * bin), value: Some(2.0), capacity: None, cap: None, is_hidden: false };
        let job = series.take_in(rules, &offer, |(model, horizon, _), _| scored.push((bin - 1, horizon, model)));
        let Job { runs, scale, .. } = job.unwrap();
        let serving = series.take_back(runs).into_iter();
        let from_networks = serving.map(|(model, _)| (model, Some(horizons.clone()))).collect();
        series.forecast(Making { rules, resource: 0, spreads: &spreads, scale, from_networks }).unwrap();
    }
    scored.retain(|(_, _, model)| model.family == Family::Gru);
    for (closed, horizon, model) in &scored {
        let made = closed - settings.horizons_bins[*horizon] as i64;
        let wanted = if made >= 44 { 40 } else { FROM_THE_BEGINNING };
        assert_eq!(model.from_bin, wanted, "made as of {made}, scored with {closed}");
        assert!(made >= 44 || *closed < 44, "made as of {made} by the one before, scored with {closed}");
    }
    for (from_bin, horizon) in [(FROM_THE_BEGINNING, 0), (FROM_THE_BEGINNING, 2), (40, 0), (40, 2)] {
        assert!(
            scored.iter().any(|(_, at, model)| (model.from_bin, *at) == (from_bin, horizon)),
            "{from_bin} {horizon}"
        );
    }
}

/// The new model serves from bin 44 on; until then the one before does.
#[test]
fn a_version_on_trial_is_held_against_the_one_of_the_term_alone() {
    let settings = settings(&["gru", "last-value"]);
    let next = Term { model: model(Family::Gru, 40), kind: Kind::Stateful { state_size: 6 }, bins_needed: 5 };
    let candidate =
        Term { model: ModelId::on_trial(Family::Gru, 40), kind: Kind::Windowed { bins: 7 }, bins_needed: 7 };
    let lineup = lineup(&[next]).with_trials(vec![Trial { term: candidate, until_bin: i64::MAX }]);
    let mut series = Series::default();
    let first = (0..60i64).find(|bin| {
        let at = EventTime::from_s(300 * bin);
        let offer = Offer { at, value: Some(2.0), capacity: None, cap: None, is_hidden: false };
        let job = through(&mut series, &settings, &lineup, &offer).unwrap();
        job.runs.iter().any(|run| run.model.is_candidate)
    });
    assert_eq!(first, Some(44));
}

#[test]
fn a_new_model_gets_no_bins_of_before_its_term() {
    let settings = settings(&["gru", "last-value"]);
    let next = Term { model: model(Family::Gru, 40), kind: Kind::Stateful { state_size: 6 }, bins_needed: 5 };
    let (mut series, _) = run(&settings, 30);
    let offer =
        Offer { at: EventTime::from_s(300 * 50), value: Some(2.0), capacity: None, cap: None, is_hidden: false };
    let job = through(&mut series, &settings, &lineup(&[next]), &offer).unwrap();
    let runs: Vec<_> = job.runs.iter().map(|run| (run.model.from_bin, run.first_row, run.serves)).collect();
    assert_eq!((job.rows.len(), runs), (21, vec![(FROM_THE_BEGINNING, 0, true), (40, 20, false)]));
}

#[test]
fn windowed_models_run_where_their_forecast_may_be_used() {
    let listed = ["gru", "svr", "random-forest", "last-value"];
    let windowed = |family, bins| Term {
        model: model(family, FROM_THE_BEGINNING),
        kind: Kind::Windowed { bins },
        bins_needed: bins as u64,
    };
    let lineup = lineup(&[windowed(Family::Svr, 20), windowed(Family::RandomForest, 30)]);
    let runs = |choice, models: &[&str]| {
        let settings = Settings { choice, ..settings(models) };
        let mut series = Series::default();
        let mut families = Vec::new();
        for bin in 0..40 {
            let offer = Offer {
                at: EventTime::from_s(300 * bin),
                value: Some(2.0),
                capacity: None,
                cap: None,
                is_hidden: false,
            };
            let job = through(&mut series, &settings, &lineup, &offer).unwrap();
            families = job.runs.iter().map(|run| run.model.family).collect();
            assert_eq!(job.window.len(), if families.contains(&Family::RandomForest) { 30 } else { job.window.len() });
        }
        families
    };
    assert_eq!(runs(Choice::Order, &listed), [Family::Gru]);
    assert_eq!(runs(Choice::Order, &["svr", "gru", "last-value"]), [Family::Svr]);
    // A round of the contest is due, as none was begun.
    assert_eq!(runs(Choice::Loss, &listed), [Family::Gru, Family::Svr, Family::RandomForest]);
}

/// Drift and family of the forecasts, each with the first bin of it, of a GRU that says ten times the demand in
/// some of a thousand bins.
fn drifting(off: std::ops::Range<i64>) -> Vec<(i64, DriftState, Family)> {
    let settings = Settings { choice: Choice::Loss, ..settings(&["gru", "seasonal-naive", "last-value"]) };
    let rules = Rules { settings: &settings, lineup: &lineup(&[]) };
    let spreads = Pools::new(2, 3).spreads();
    let demand_at = |bin: i64| 3.0 + (bin % 5) as f64;
    let around = |median: f64| Quantiles::rearranged(QUANTILE_LEVELS.map(|level| median + level - 0.5)).unwrap();
    let (mut series, mut seen) = (Series::default(), Vec::new());
    for bin in 0..1000 {
        let offer = Offer {
            at: EventTime::from_s(300 * bin),
            value: Some(demand_at(bin)),
            capacity: None,
            cap: None,
            is_hidden: false,
        };
        let scale = through(&mut series, &settings, rules.lineup, &offer).unwrap().scale;
        let factor = if off.contains(&bin) { 10.0 } else { 1.0 };
        let horizons = settings.horizons_bins.iter().map(|ahead| {
            let maximum = (1..=*ahead as i64).map(|ahead| demand_at(bin + ahead)).fold(0.0, f64::max);
            let value = demand_at(bin + *ahead as i64);
            HorizonQuantiles { value: around(factor * value), maximum: around(factor * maximum) }
        });
        let from_networks = vec![(GRU, Some(horizons.collect()))];
        let made = series.forecast(Making { rules, resource: 0, spreads: &spreads, scale, from_networks }).unwrap();
        if seen.last().is_none_or(|(_, drift, family)| (*drift, *family) != (made.drift, made.family)) {
            seen.push((bin, made.drift, made.family));
        }
    }
    seen
}

/// Long before another family could win the contest, intervals are widened, then the correction is begun anew, then
/// seasonal naive forecasts: until the GRU loses less again, or for good where it has not within a day.
#[test]
fn drift_leads_to_wider_intervals_then_to_a_new_correction_then_to_seasonal_naive() {
    for (off, then, within_bins) in [(600..634, Family::Gru, 26), (600..1000, Family::SeasonalNaive, 288)] {
        let seen = drifting(off);
        let order: Vec<_> = seen.iter().map(|(_, drift, family)| (*drift, *family)).collect();
        let wanted = [
            (DriftState::Stable, Family::LastValue),
            (DriftState::Stable, Family::Gru),
            (DriftState::Widened, Family::Gru),
            (DriftState::Reset, Family::Gru),
            (DriftState::FallenBack, Family::SeasonalNaive),
            (DriftState::Stable, then),
        ];
        assert_eq!(order, wanted, "{seen:?}");
        let bins: Vec<i64> = seen.iter().map(|(bin, ..)| *bin).collect();
        assert!(bins[2] > 600 && bins[4] <= 650 && bins[5] - bins[4] <= within_bins, "{seen:?}");
    }
}

#[test]
fn what_was_unusual_is_no_habit_of_the_next_day() {
    let (unusual_bin, next_day) = (2 * DAY_BINS as i64 - 100, 3 * DAY_BINS as i64 - 100);
    for (leave_out_anomalies, expected) in [(true, 3.0), (false, 30.0)] {
        let settings = Settings { leave_out_anomalies, ..settings(&["seasonal-naive", "last-value"]) };
        let mut series = Series::default();
        for bin in 0..=next_day {
            let is_unusual = bin == unusual_bin;
            let (at, value) = (EventTime::from_s(300 * bin), Some(if is_unusual { 30.0 } else { 3.0 }));
            if is_unusual {
                series.note_anomaly(bin);
            }
            let offer = Offer { at, value, capacity: None, cap: None, is_hidden: false };
            through(&mut series, &settings, &lineup(&[]), &offer).unwrap();
        }
        assert_eq!(series.demand.day_ago().map(|(value, _)| value), Some(expected));
    }
}
