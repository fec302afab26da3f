//! What is answered to a trigger, by what is known of workloads. Where that is not enough it is said so and why, and
//! never a number: KEDA then falls back on what its ScaledObject says.

use crate::forecasts::{Forecast, Forecasts, Horizon};
use crate::message::{MetricSpec, MetricValue};
use crate::trigger::{Target, Trigger};
use prescale_chassis::grpc::{Code, Status};
use prescale_domain::calibration::{Statistic, UPPER};
use prescale_domain::quantiles::QUANTILE_LEVELS;
use prescale_domain::sample::Capacity;
use prescale_domain::time::EventTime;

/// What KEDA is to ask for, and how much of it there is to be for each replica.
///
/// # Errors
/// When the workload has no forecast that counts, or the capacity of its replicas is not known.
pub(crate) fn spec(trigger: &Trigger, forecasts: &Forecasts, now: EventTime) -> Result<MetricSpec, Status> {
    let forecast = fresh(trigger, forecasts, now)?;
    let target = match trigger.target {
        Target::PerReplica(much) => much,
        Target::Share(resource, share) => {
            let capacity = forecast.capacity.as_ref().filter(|capacity| capacity.replicas > 0);
            let has = |capacity: &Capacity| resource.of(capacity) / f64::from(capacity.replicas);
            let much = capacity.map(|capacity| has(capacity) * share).filter(|much| *much > 0.0);
            let workload = &trigger.workload;
            much.ok_or_else(|| unavailable(format!("how much a replica of {workload} has is not known now")))?
        }
        Target::Plan => 1.0,
    };
    Ok(MetricSpec {
        metric_name: metric_name(trigger),
        target_size: (target.ceil() as i64).max(1),
        target_size_float: target,
    })
}

/// The value of what KEDA asks for.
///
/// # Errors
/// When there is no such metric, the workload has no forecast that counts, or its replicas are not known.
pub(crate) fn value(
    trigger: &Trigger,
    metric: &str,
    forecasts: &Forecasts,
    now: EventTime,
) -> Result<MetricValue, Status> {
    let metric_name = metric_name(trigger);
    if metric != metric_name {
        return Err(not_found(format!("this trigger has metric {metric_name:?}, not {metric:?}")));
    }
    let forecast = fresh(trigger, forecasts, now)?;
    let value = match trigger.target {
        Target::Plan => {
            let workload = &trigger.workload;
            let planned = forecasts.planned_replicas(workload, forecast, now).map(f64::from);
            planned.ok_or_else(|| unavailable(format!("no capacity is planned for {workload}, and none is known")))?
        }
        Target::PerReplica(_) | Target::Share(..) => {
            let ahead = ahead(trigger, forecast)?;
            let quantiles = match trigger.statistic {
                Statistic::Value => &ahead.value,
                Statistic::Maximum => &ahead.maximum,
            };
            quantiles.at(trigger.quantile).max(0.0)
        }
    };
    Ok(MetricValue { metric_name, metric_value: value.ceil() as i64, metric_value_float: value })
}

/// Whether there have to be replicas at all: always, unless the trigger says below which demand there need not be any.
///
/// # Errors
/// When the workload has no forecast that counts.
pub(crate) fn is_active(trigger: &Trigger, forecasts: &Forecasts, now: EventTime) -> Result<bool, Status> {
    let forecast = fresh(trigger, forecasts, now)?;
    let Some(threshold) = trigger.activation_threshold else { return Ok(true) };
    let upper = ahead(trigger, forecast)?.maximum.at(trigger.quantile.max(QUANTILE_LEVELS[UPPER]));
    Ok(upper >= threshold)
}

/// KEDA puts the trigger's number before it.
fn metric_name(trigger: &Trigger) -> String {
    if trigger.target == Target::Plan {
        return "prescale-planned-replicas".to_owned();
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '-' };
    format!("prescale-{}", trigger.resource.chars().map(plain).collect::<String>())
}

fn fresh<'a>(trigger: &Trigger, forecasts: &'a Forecasts, now: EventTime) -> Result<&'a Forecast, Status> {
    let workload = &trigger.workload;
    match forecasts.of(workload) {
        Some(forecast) if forecasts.is_stale(forecast, now) => {
            let age_s = forecast.age_s(now);
            Err(unavailable(format!("the newest forecast of {workload} is {age_s} s old, which is too old")))
        }
        Some(forecast) => Ok(forecast),
        None if !forecasts.is_whole() => Err(unavailable("the forecasts are still being read".to_owned())),
        None if forecasts.left_out() > 0 => Err(unavailable(format!(
            "{workload} has no forecast here: there are more workloads than [scaler] workloads_max allows"
        ))),
        None => Err(not_found(format!(
            "{workload} has no forecast: check workload, or kind and the ScaledObject's name; a new workload has its \
             first after some bins of 5 minutes"
        ))),
    }
}

fn ahead<'a>(trigger: &Trigger, forecast: &'a Forecast) -> Result<&'a Horizon, Status> {
    let Trigger { workload, resource, horizon_s, .. } = trigger;
    let demand = forecast.demands.iter().find(|demand| demand.resource.as_str() == resource);
    let demand = demand.ok_or_else(|| {
        let known: Vec<&str> = forecast.demands.iter().map(|demand| demand.resource.as_str()).collect();
        not_found(format!("{resource:?} of {workload} is not forecast, but {}", known.join(", ")))
    })?;
    let found = demand.horizons.iter().find(|horizon| horizon.horizon_s == *horizon_s);
    found.ok_or_else(|| {
        let known: Vec<String> = demand.horizons.iter().map(|horizon| horizon.horizon_s.to_string()).collect();
        not_found(format!("{resource} of {workload} is not forecast {horizon_s} s ahead, but {}", known.join(", ")))
    })
}

fn unavailable(message: String) -> Status {
    Status::new(Code::Unavailable, message)
}

fn not_found(message: String) -> Status {
    Status::new(Code::NotFound, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecasts::Terms;
    use crate::testing::{at, forecast, scaled_object};
    use proptest::prelude::*;

    const WEB: &str = "shop/Deployment/web";

    fn trigger(metadata: &[(&str, &str)]) -> Trigger {
        Trigger::of(&scaled_object(metadata)).unwrap()
    }

    fn known(forecasts: impl IntoIterator<Item = Forecast>) -> Forecasts {
        let mut known = Forecasts::new(Terms { workloads_max: 9, stale_after_s: 900 });
        known.mark_whole();
        for forecast in forecasts {
            known.take(crate::testing::id(WEB), forecast, at(0));
        }
        known
    }

    fn of_web(cores: f64) -> Forecast {
        forecast(WEB, at(0), cores).1
    }

    #[test]
    fn a_share_follows_what_a_replica_has() {
        let trigger = trigger(&[("target", "50%")]);
        // Two replicas of two cores.
        let two = spec(&trigger, &known([of_web(1.0)]), at(0)).unwrap();
        assert_eq!((two.target_size_float, two.target_size), (1.0, 1));
        let unknown = Forecast { capacity: None, ..of_web(1.0) };
        assert_eq!(spec(&trigger, &known([unknown]), at(0)).unwrap_err().code, Code::Unavailable);
    }

    #[test]
    fn what_is_not_known_is_never_a_number() {
        let trigger = trigger(&[("target", "1"), ("activationThreshold", "0.1")]);
        let metric = metric_name(&trigger);
        let code = |known: &Forecasts, minutes| {
            let codes = [
                value(&trigger, &metric, known, at(minutes)).map(drop),
                spec(&trigger, known, at(minutes)).map(drop),
                is_active(&trigger, known, at(minutes)).map(drop),
            ]
            .map(|answer| answer.map_or_else(|status| status.code, |()| Code::Ok));
            assert!(codes.iter().all(|code| *code == codes[0]), "{codes:?}");
            codes[0]
        };
        let unread = Forecasts::new(Terms { workloads_max: 9, stale_after_s: 900 });
        assert_eq!((code(&unread, 0), code(&known([]), 0)), (Code::Unavailable, Code::NotFound));
        let web = known([of_web(1.0)]);
        assert_eq!((code(&web, 15), code(&web, 16)), (Code::Ok, Code::Unavailable));
        for metadata in [[("target", "1"), ("horizon", "7m")], [("target", "1"), ("resource", "requests_per_s")]] {
            let trigger = self::trigger(&metadata);
            let answer = value(&trigger, &metric_name(&trigger), &web, at(0));
            assert_eq!(answer.unwrap_err().code, Code::NotFound);
        }
        assert_eq!(value(&trigger, "other", &web, at(0)).unwrap_err().code, Code::NotFound);
    }

    #[test]
    fn names_of_metrics_are_plain() {
        let named = |resource: &str| metric_name(&trigger(&[("target", "1"), ("resource", resource)]));
        assert_eq!(
            (named("cpu"), named("orders/s é")),
            ("prescale-cpu_cores_used".to_owned(), "prescale-orders-s--".to_owned())
        );
    }

    proptest! {
        #[test]
        fn a_value_is_the_quantile_and_who_is_inactive_has_it_below_the_threshold(
            cores in 0.0..50.0_f64, level in 0.05..0.99_f64, threshold in 0.0..50.0_f64,
        ) {
            let web = of_web(cores);
            let (level_text, threshold_text) = (level.to_string(), threshold.to_string());
            let metadata = [("target", "1"), ("quantile", &*level_text), ("activationThreshold", &*threshold_text)];
            let (trigger, known) = (trigger(&metadata), known([web.clone()]));
            let value = value(&trigger, &metric_name(&trigger), &known, at(1)).unwrap();
            let wanted = web.demands[0].horizons.iter().find(|h| h.horizon_s == 900).unwrap().maximum.at(level);
            prop_assert_eq!(value.metric_value_float, wanted.max(0.0));
            prop_assert!(value.metric_value as f64 >= value.metric_value_float, "an integer never says less");
            if !is_active(&trigger, &known, at(1)).unwrap() {
                prop_assert!(value.metric_value_float < threshold);
            }
        }
    }
}
