//! Made-up predictions for this module's tests.

use super::{Evaluation, Outcome, Terms};
use crate::kpi::CPU_CORES_USED;
use crate::policy::fixtures::{forecast, workload};
use crate::policy::{Rules, Threshold};
use crate::prediction::{Prediction, ResourceForecast};
use crate::resource::Resource;
use crate::sample::{Capacity, Platform};
use crate::source::SourceName;
use crate::time::EventTime;

pub(super) const STEP_S: u32 = 300;

/// The default rules without a price.
pub(super) fn terms() -> Terms {
    by(Rules::default())
}

/// Rules that decide often: nothing slows the threshold down.
pub(super) fn quick_rules(lead_time_s: u32) -> Rules {
    let mut rules = Rules { policy: Threshold::default().into(), ..Rules::default() };
    rules.forecast.lead_time_s = lead_time_s;
    rules.forecast.resources = vec![Resource::Cpu];
    let pace = &mut rules.guardrails.pace;
    (pace.cooldown_out_s, pace.cooldown_in_s, pace.warm_up_s, pace.changes_per_day_max) = (0, 0, 0, 10_000);
    rules
}

/// What goes by these rules, without a price.
pub(super) fn by(rules: Rules) -> Terms {
    Terms { rules: rules.into(), pricing: None }
}

/// One replica of so many cores.
pub(super) fn one_of(cores: f64) -> Capacity {
    Capacity { replicas: 1, cpu_cores_per_replica: cores, memory_bytes_per_replica: 0.0, instance_type: None }
}

/// What is known at `at_s` of a workload that is only observed: the demand of the step before, which is forecast to
/// last, and the capacity.
pub(super) fn seen(name: &str, at_s: i64, demand: Option<f64>, cores: Option<f64>) -> Prediction {
    let made = forecast(CPU_CORES_USED, demand.unwrap_or(0.0), 0.05);
    let horizons = if demand.is_some() { made.horizons } else { Vec::new() };
    let cpu = ResourceForecast { last: demand, horizons, ..made };
    Prediction {
        workload: workload(name),
        source: SourceName::new("test").unwrap(),
        made_at: EventTime::from_s(at_s),
        step_s: STEP_S,
        resources: vec![cpu],
        signals: Vec::new(),
        earlier: Vec::new(),
        capacity: cores.map(one_of),
        anomaly: None,
        platform: Platform::OBSERVED_ONLY,
    }
}

/// The outcomes that predictions lead to.
pub(super) fn outcomes(evaluation: &mut Evaluation, terms: &Terms, predictions: &[Prediction]) -> Vec<Outcome> {
    let evaluated = predictions.iter().filter_map(|p| evaluation.step(terms, p, &"p".into()));
    evaluated.flat_map(|evaluated| evaluated.outcomes).collect()
}
