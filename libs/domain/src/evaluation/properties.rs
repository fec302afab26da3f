//! What holds for any demand and any capacity.

use super::fixtures::{STEP_S, by, outcomes, quick_rules, seen, terms};
use super::*;
use crate::kpi::{CPU_THROTTLED_SHARE, KpiName, LATENCY_MS};
use crate::policy::Decision;
use crate::policy::fixtures::thinned;
use crate::prediction::{Prediction, Signal};
use proptest::collection::vec;
use proptest::prelude::*;

fn signal(name: &str, last: Option<f64>) -> Signal {
    Signal { name: KpiName::new(name), unit: "1".into(), last, short_mean: Some(10.0), long_p95: Some(50.0) }
}

/// Predictions of one workload: each some steps after the one before, with demand and capacity that may be missing, and
/// with what tells of a shortage.
fn predictions() -> impl Strategy<Value = Vec<Prediction>> {
    let demand = prop_oneof![6 => (0.0f64..4.0).prop_map(Some), 1 => Just(Some(0.0)), 1 => Just(None)];
    let cores =
        prop_oneof![8 => Just(None), 1 => (1.0f64..6.0).prop_map(|cores| Some(Some(cores))), 1 => Just(Some(None))];
    let gap_s = prop_oneof![8 => Just(300i64), 1 => Just(60i64), 1 => 301i64..9000];
    let beside = (prop::bool::weighted(0.05), prop::option::weighted(0.9, 0.0f64..60.0));
    vec((gap_s, demand, cores, beside), 1..120).prop_map(|steps| {
        let (mut at_s, mut now) = (1000i64, Some(2.0));
        let made = steps.into_iter().map(|(gap_s, demand, cores, (is_throttled, latency_ms))| {
            at_s += gap_s;
            now = cores.unwrap_or(now);
            let mut made = seen("a", at_s, demand, now);
            let throttled_share = Some(f64::from(u8::from(is_throttled)));
            made.signals = vec![signal(CPU_THROTTLED_SHARE, throttled_share), signal(LATENCY_MS, latency_ms)];
            made
        });
        made.collect()
    })
}

/// One that ends every hour before it and counts nowhere.
fn end(predictions: &[Prediction]) -> Option<Prediction> {
    let last = predictions.last()?;
    let mut end = last.clone();
    end.made_at = last.made_at.plus_s(3600);
    end.resources[0].last = None;
    Some(end)
}

/// The steps that count: begin and end in seconds, demand, and the capacity that the chain said before.
fn counted(predictions: &[Prediction]) -> Vec<(i64, i64, f64, f64)> {
    let pairs = predictions.windows(2).filter_map(|pair| {
        let (before, at) = (pair[0].made_at.as_ms() / 1000, pair[1].made_at.as_ms() / 1000);
        let begin = (at - i64::from(STEP_S)).max(before);
        Some((begin, at, pair[1].resources[0].last?, pair[0].capacity.as_ref()?.cpu_cores()))
    });
    pairs.collect()
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * (1.0 + b.abs())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn hours_partition_the_time_that_is_known(predictions in predictions()) {
        let ended: Vec<Prediction> = predictions.iter().cloned().chain(end(&predictions)).collect();
        let told = outcomes(&mut Evaluation::default(), &terms(), &ended);
        prop_assert!(told.windows(2).all(|pair| pair[0].from < pair[1].from));
        prop_assert!(told.iter().all(|hour| hour.sums.observed_s > 0.0 && hour.sums.observed_s <= 3600.0 + 1e-6));
        let sum = |of: fn(&Sums) -> f64| told.iter().map(|hour| of(&hour.sums)).sum::<f64>();
        let steps = counted(&predictions);
        let known = |of: fn(f64, f64) -> f64| steps.iter().map(|(b, e, d, c)| (e - b) as f64 * of(*d, *c)).sum::<f64>();
        prop_assert!(near(sum(|s| s.observed_s), known(|_, _| 1.0)));
        prop_assert!(near(sum(|s| s.demand_core_s), known(|demand, _| demand)));
        prop_assert!(near(sum(|s| s.capacity.unmet_core_s), known(|demand, cores| (demand - cores).max(0.0))));
        prop_assert!(near(sum(|s| s.capacity.over_core_s), known(|demand, cores| (cores - demand).max(0.0))));
        for hour in &told {
            for worth in [&hour.sums.capacity, &hour.sums.plan, &hour.sums.reactive] {
                let met = worth.capacity_core_s - worth.over_core_s;
                prop_assert!(near(met, hour.sums.demand_core_s - worth.unmet_core_s), "what is met is what is used");
            }
        }
    }

    /// Second by second: each decision serves a lead time after it until the next one does.
    #[test]
    fn each_decision_serves_its_lead_time_after_it(predictions in predictions(), lead_s in 0u32..1500) {
        let terms = by(quick_rules(lead_s));
        let (mut evaluation, mut told) = (Evaluation::default(), Vec::new());
        let mut orders: Vec<(i64, f64)> = Vec::new();
        let mut now = None;
        for prediction in &predictions {
            let at = prediction.made_at.as_ms() / 1000;
            let evaluated = evaluation.step(&terms, prediction, &"p".into()).expect("each is newer");
            told.extend(evaluated.outcomes);
            if let Some(capacity) = &prediction.capacity {
                let cores = capacity.cpu_cores();
                if now.replace(cores) != Some(cores) {
                    orders.retain(|(from, _)| *from <= at);
                    orders.push((at, cores));
                }
            }
            if let Decision::Act(action) = evaluated.decision {
                orders.push((at + i64::from(lead_s), action.desired.cpu_cores()));
            }
        }
        let ended = end(&predictions).expect("there are some");
        told.extend(evaluation.step(&terms, &ended, &"p".into()).expect("it is newer").outcomes);
        let served = |second: i64| orders.iter().rev().find(|(from, _)| *from <= second).map_or(0.0, |(_, cores)| *cores);
        let unmet: f64 = counted(&predictions)
            .iter()
            .map(|(begin, end, demand, _)| (*begin..*end).map(|s| (demand - served(s)).max(0.0)).sum::<f64>())
            .sum();
        let sum: f64 = told.iter().map(|hour| hour.sums.plan.unmet_core_s).sum();
        prop_assert!(near(sum, unmet), "{sum} {unmet}");
    }

    /// A prediction at the first and the last instant, where the capacity is another one, and wherever else: the
    /// capacity as it was and the reactive rule come to the same as with one for each sample.
    #[test]
    fn what_was_measured_between_predictions_counts_as_they_do(
        predictions in predictions(), at_once in vec(prop::bool::weighted(0.3), 120), lead_s in 0u32..1500,
    ) {
        let each: Vec<Prediction> = predictions.iter().cloned().chain(end(&predictions)).collect();
        let is_made = |i: usize| {
            let is_other = i == 0 || each[i - 1].capacity != each[i].capacity;
            is_other || i + 1 == each.len() || at_once[i % at_once.len()]
        };
        let fewer = thinned(&each, is_made);
        let terms = by(quick_rules(lead_s));
        let wanted = outcomes(&mut Evaluation::default(), &terms, &each);
        let told = outcomes(&mut Evaluation::default(), &terms, &fewer);
        prop_assert_eq!(told.len(), wanted.len());
        for (told, wanted) in told.iter().zip(&wanted) {
            prop_assert_eq!((told.from, told.lead_time_s), (wanted.from, wanted.lead_time_s));
            let (told, wanted) = (&told.sums, &wanted.sums);
            prop_assert_eq!((told.observed_s, told.censored_s), (wanted.observed_s, wanted.censored_s));
            prop_assert_eq!(told.demand_core_s, wanted.demand_core_s);
            prop_assert_eq!(&told.capacity, &wanted.capacity);
            prop_assert_eq!(&told.reactive, &wanted.reactive);
        }
    }

    #[test]
    fn a_snapshot_at_any_place_changes_no_record(predictions in predictions(), cut in 0usize..120) {
        let wanted = outcomes(&mut Evaluation::default(), &terms(), &predictions);
        let (first, second) = predictions.split_at(cut.min(predictions.len()));
        let mut evaluation = Evaluation::default();
        let mut told = outcomes(&mut evaluation, &terms(), first);
        let bytes = bitcode::encode(&evaluation);
        let mut again: Evaluation = bitcode::decode(&bytes).expect("it was encoded here");
        told.extend(outcomes(&mut again, &terms(), second));
        prop_assert_eq!(told, wanted);
    }
}
