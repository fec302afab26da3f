//! What was measured between two predictions counts as if there had been one for it.

use super::fixtures::{GIB, capacity, forecast, prediction, thinned, threshold_rules};
use super::proactive::BIN_S;
use super::*;
use crate::action::Mechanism;
use crate::guardrail::Bounds;
use crate::kpi::{CPU_THROTTLED_SHARE, KpiName, LATENCY_MS, REQUESTS_PER_S};
use crate::prediction::{Prediction, Reading, Signal};
use crate::time::EventTime;
use proptest::prelude::*;
use std::sync::Arc;

const STEP_S: i64 = 60;

/// What is measured at an instant so many steps after the one before.
#[derive(Clone, Debug)]
struct Sample {
    steps: i64,
    cores: Option<f64>,
    gib: Option<f64>,
    requests_per_s: Option<f64>,
    is_throttled: bool,
    latency_ms: Option<f64>,
    /// The capacity from here on, if it is another one: replicas, or unknown.
    capacity: Option<Option<u32>>,
    /// Whether a prediction is made of it whatever it is.
    at_once: bool,
    /// Whether one is made where it ends a bin.
    at_close: bool,
}

fn sample() -> impl Strategy<Value = Sample> {
    let some = |most: f64| prop::option::weighted(0.95, 0.0..most);
    let steps = prop_oneof![12 => Just(1i64), 1 => 2i64..=5];
    let capacity = prop_oneof![
        20 => Just(None),
        1 => (2u32..6).prop_map(|replicas| Some(Some(replicas))),
        1 => Just(Some(None)),
    ];
    let whether = (prop::bool::weighted(0.05), prop::bool::weighted(0.1), prop::bool::weighted(0.9));
    (steps, some(9.0), some(30.0), some(500.0), some(90.0), capacity, whether).prop_map(
        |(steps, cores, gib, requests_per_s, latency_ms, capacity, (is_throttled, at_once, at_close))| Sample {
            steps,
            cores,
            gib,
            requests_per_s,
            is_throttled,
            latency_ms,
            capacity,
            at_once,
            at_close,
        },
    )
}

/// Predictions with each sample, and which of them are made: the first and the last, those whose capacity is another
/// one, and most of those that end a bin. Those between have the forecast of the one made before.
fn predictions(samples: &[Sample]) -> (Vec<Prediction>, Vec<bool>) {
    let (mut at_s, mut replicas) = (1_700_000_100, Some(4));
    let mut each: Vec<Prediction> = Vec::new();
    for sample in samples {
        at_s += STEP_S * sample.steps;
        replicas = sample.capacity.unwrap_or(replicas);
        each.push(of(sample, at_s, replicas));
    }
    let bin = |p: &Prediction| p.made_at.bin(BIN_S as u32);
    let is_made = |i: usize| {
        let is_other = i == 0 || each[i - 1].capacity != each[i].capacity;
        let ends_bin = each.get(i + 1).is_none_or(|next| bin(next) > bin(&each[i]));
        let was_missed = i > 0 && bin(&each[i - 1]) < bin(&each[i]) && !samples[i - 1].at_close;
        is_other || samples[i].at_once || was_missed || ends_bin && samples[i].at_close || i + 1 == each.len()
    };
    let made: Vec<bool> = (0..each.len()).map(is_made).collect();
    for i in 1..each.len() {
        if !made[i] {
            for place in 0..each[i].resources.len() {
                each[i].resources[place].horizons = each[i - 1].resources[place].horizons.clone();
            }
        }
    }
    (each, made)
}

fn of(sample: &Sample, at_s: i64, replicas: Option<u32>) -> Prediction {
    let mut made = prediction("web", at_s, sample.cores.unwrap_or(1.0), sample.gib.unwrap_or(1.0), 1);
    made.resources.push(forecast(REQUESTS_PER_S, sample.requests_per_s.unwrap_or(1.0), 0.05));
    let measured = [sample.cores, sample.gib.map(|gib| gib * GIB), sample.requests_per_s];
    made.resources.iter_mut().zip(measured).for_each(|(resource, measured)| resource.last = measured);
    let signal = |name: &str, last| Signal {
        name: KpiName::new(name),
        unit: "1".into(),
        last,
        short_mean: Some(10.0),
        long_p95: Some(50.0),
    };
    let throttled = signal(CPU_THROTTLED_SHARE, Some(f64::from(u8::from(sample.is_throttled))));
    made.signals = vec![throttled, signal(LATENCY_MS, sample.latency_ms)];
    made.capacity = replicas.map(capacity);
    made
}

/// Rules under which nothing can change, so that no decision intervenes.
fn idle_rules(by_threshold: bool) -> Rules {
    let mut rules = if by_threshold { threshold_rules() } else { Rules::default() };
    rules.rates =
        vec![RateRule { kpi: KpiName::new(REQUESTS_PER_S), per_replica: PerReplica::Learnt { utilisation: 0.7 } }];
    rules.sizing.mechanism = Some(Mechanism::Replicas);
    rules.guardrails.bounds = Bounds { replicas_min: 1000, replicas_max: 1, ..Bounds::default() };
    rules
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is remembered is the same in the end, and so is what is decided wherever there is a prediction: with the
    /// floor, the surge, the rule in use and what each is told for.
    #[test]
    fn readings_leave_behind_what_predictions_would_have(
        samples in prop::collection::vec(sample(), 2..900), by_threshold: bool,
    ) {
        let (rules, id) = (idle_rules(by_threshold), Arc::from("p"));
        let (each, made) = predictions(&samples);
        let (mut by_sample, mut thin) = (Planning::default(), Planning::default());
        let decided: Vec<Decision> = each.iter().filter_map(|p| by_sample.step(&rules, p, &id)).collect();
        prop_assert_eq!(decided.len(), each.len());
        prop_assert!(decided.iter().all(|decision| matches!(decision, Decision::Hold(_))), "nothing intervenes");
        let wanted: Vec<Decision> = decided.into_iter().zip(&made).filter(|(_, made)| **made).map(|(d, _)| d).collect();
        let fewer = thinned(&each, |i| made[i]);
        let got: Vec<Decision> = fewer.iter().filter_map(|p| thin.step(&rules, p, &id)).collect();
        prop_assert_eq!(got, wanted);
        prop_assert!(thin == by_sample, "another state");
    }
}

/// A surge over what was asked for that only readings saw begin.
#[test]
fn a_surge_counts_from_its_first_reading_on() {
    let surges_for = |earlier: &[f64]| {
        let mut planning = Planning::default();
        let step = |planning: &mut Planning, made: Prediction| {
            planning.step(&threshold_rules(), &made, &"p".into()).expect("it is new")
        };
        step(&mut planning, prediction("web", 0, 1.0, 20.0, 4));
        let mut made = prediction("web", 240, 7.0, 20.0, 4);
        made.resources[0].last = Some(7.9);
        let reading = |(minute, cores): (i64, &f64)| Reading {
            at: EventTime::from_s(60 * minute),
            resources: vec![Some(*cores), Some(GIB)],
            signals: Vec::new(),
        };
        made.earlier = (1..).zip(earlier).map(reading).collect();
        let reasons = match step(&mut planning, made) {
            Decision::Act(action) => action.reasons,
            Decision::Hold(reasons) => reasons,
        };
        reasons.into_iter().map(|reason| reason.rule).find(|rule| ["floor.live", "surge.waits"].contains(&&**rule))
    };
    assert_eq!(surges_for(&[1.0, 1.0, 1.0]).as_deref(), Some("surge.waits"), "it has lasted for one step");
    assert_eq!(surges_for(&[1.0, 1.0, 7.9]).as_deref(), Some("floor.live"), "it has lasted for two");
    assert_eq!(surges_for(&[]).as_deref(), Some("surge.waits"));
}

/// Who was above the capacity between two predictions is not capped by it.
#[test]
fn peaks_between_predictions_are_peaks() {
    let replicas = |between: Option<f64>| {
        let (mut planning, mut last) = (Planning::default(), None);
        for (at_s, cores) in [(0, 1.0), (300, 1.0), (600, 7.9), (660, 7.9)] {
            let mut made = prediction("web", at_s, 1.0, 20.0, 4);
            made.resources[0].last = Some(cores);
            if let (Some(between), 300) = (between, at_s) {
                let at = EventTime::from_s(at_s - 60);
                made.earlier = vec![Reading { at, resources: vec![Some(between), Some(GIB)], signals: Vec::new() }];
            }
            if let Some(Decision::Act(action)) = planning.step(&threshold_rules(), &made, &"p".into()) {
                last = Some(action.desired.replicas);
            }
        }
        last
    };
    assert_eq!([replicas(None), replicas(Some(1.0))], [Some(8); 2], "by the largest step: it may want any amount");
    assert_eq!(replicas(Some(9.0)), Some(5), "as much as it uses");
}

/// What a prediction knew already, or what is not before it, counts once.
#[test]
fn readings_that_are_not_newer_change_nothing() {
    let rules = threshold_rules();
    let step = |planning: &mut Planning, made: &Prediction| planning.step(&rules, made, &"p".into());
    let (mut plain, mut again) = (Planning::default(), Planning::default());
    let (first, second) = (prediction("web", 0, 1.0, 20.0, 4), prediction("web", 300, 1.0, 20.0, 4));
    let known = |at_s| Reading { at: EventTime::from_s(at_s), resources: vec![Some(7.9), None], signals: Vec::new() };
    let with_known = Prediction { earlier: vec![known(-60), known(0), known(300)], ..second.clone() };
    step(&mut plain, &first);
    step(&mut again, &first);
    assert_eq!(step(&mut plain, &second), step(&mut again, &with_known));
    assert!(plain == again);
    assert_eq!(step(&mut again, &with_known), None);
    assert!(plain == again, "nor does what is stale itself");
}
