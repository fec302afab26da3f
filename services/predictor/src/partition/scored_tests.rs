//! What is told of forecasts is what the predictions and the demand that came give.

use super::tests::{START_S, apply, demand, partition, partition_of, record};
use super::*;
use crate::config::Choice;
use prescale_domain::forecast_score::HOUR_BINS;
use prescale_domain::prediction::HorizonForecast;
use prescale_domain::quantiles::{LEVELS, QUANTILE_LEVELS};
use prescale_domain::score::pinball_loss;

/// The predictions of five hours of a workload, a sample a bin, and what is told beside them.
fn five_hours(mut partition: Partition) -> (Vec<Prediction>, Vec<ForecastScore>) {
    let (mut made, mut told) = (Vec::new(), Vec::new());
    for bin in 0..5 * HOUR_BINS {
        made.extend(apply(&mut partition, vec![record(0, bin * i64::from(GRID_STEP_S))]));
        told.extend(partition.take_scores().into_iter().map(|(_, score)| score));
        if bin == 30 {
            partition = super::tests::again(&partition);
        }
    }
    (made, told)
}

#[test]
fn an_hour_is_scored_as_its_predictions_and_what_came_give() {
    let (made, told) = five_hours(partition_of(|c| {
        c.models = vec!["last-value".to_owned()];
        c.choice = Choice::Order;
    }));
    let hours: Vec<_> = told.iter().map(|score| (score.from.as_ms() / 1000 - START_S, score.hours)).collect();
    assert_eq!(hours, [0, 1, 2, 3].map(|hour| (hour * 3600, 1)));
    for score in &told {
        let [cpu, memory] = score.resources.as_slice() else { panic!("{score:?}") };
        assert_eq!((cpu.rounds, cpu.paired.len(), cpu.horizons.len()), (0, 0, memory.horizons.len()));
        assert_eq!((&*cpu.model, &*cpu.model_version), ("last-value", STATISTICAL_VERSION));
        for horizon in &cpu.horizons {
            let (mut losses, mut medians) = (Vec::new(), Vec::new());
            for prediction in &made {
                let at = prediction.made_at.plus_s(horizon.horizon_s.into());
                if at.bin(3600) != score.from.bin(3600) {
                    continue;
                }
                let truth = demand(0, at.as_ms() / 1000 - START_S);
                let of_horizon = |forecast: &&HorizonForecast| forecast.horizon_s == horizon.horizon_s;
                let forecast = prediction.resources[0].horizons.iter().find(of_horizon).unwrap();
                let each = QUANTILE_LEVELS.into_iter().zip(forecast.value.values());
                losses.push(each.map(|(level, q)| pinball_loss(level, *q, truth)).sum::<f64>() / LEVELS as f64);
                medians.push(forecast.value.median());
            }
            let value = horizon.value.unwrap();
            assert_eq!((value.scored as usize, value.judged), (losses.len(), value.scored));
            for (got, all) in [(value.pinball_loss, losses), (value.median, medians)] {
                let wanted = all.iter().sum::<f64>() / all.len() as f64;
                assert!((got - wanted).abs() < 1e-3, "{got} instead of {wanted}");
            }
        }
    }
}

#[test]
fn who_competes_is_told_with_what_it_lost_in_the_same_rounds() {
    let (_, told) = five_hours(partition());
    let is_paired = |score: &&ForecastScore| score.resources.iter().all(|resource| resource.rounds > 0);
    let score = told.iter().rfind(is_paired).expect("a round was through in some hour");
    for resource in &score.resources {
        let names: Vec<&str> = resource.paired.iter().map(|loss| &*loss.model).collect();
        assert!(names.len() > 1 && names.contains(&&*resource.model), "{names:?} {resource:?}");
        assert!(resource.paired.iter().all(|loss| !loss.model_version.is_empty()), "{resource:?}");
    }
}
