//! Made-up predictions and actions for this crate's tests.

use crate::action::{Action, Mechanism, Verdict};
use crate::calibration::drift::DriftState;
use crate::kpi::{CPU_CORES_USED, KpiName, MEMORY_BYTES};
use crate::policy::{Rules, Threshold};
use crate::prediction::{HorizonForecast, Interval, Prediction, Reading, ResourceForecast};
use crate::quantiles::{QUANTILE_LEVELS, Quantiles};
use crate::sample::{Capacity, Platform, Sample};
use crate::source::SourceName;
use crate::time::EventTime;
use crate::workload::WorkloadId;

pub(crate) const GIB: f64 = 1_073_741_824.0;

pub(crate) fn workload(name: &str) -> WorkloadId {
    WorkloadId::new(name).expect("a valid id")
}

/// Replicas of 2 cores and 8 GiB.
pub(crate) fn capacity(replicas: u32) -> Capacity {
    Capacity { replicas, cpu_cores_per_replica: 2.0, memory_bytes_per_replica: 8.0 * GIB, instance_type: None }
}

/// A forecast whose maximum has this median and whose 90 % interval this relative width; the
/// demand itself is forecast at half of that.
pub(crate) fn forecast(kpi: &str, median: f64, relative_width: f64) -> ResourceForecast {
    let quantiles = |median: f64| {
        let spread = QUANTILE_LEVELS.map(|level| median + (level - 0.5) / 0.45 * relative_width * median);
        Quantiles::rearranged(spread).expect("finite")
    };
    let interval = |median: f64| Interval {
        nominal_coverage: 0.9,
        lower: median * (1.0 - relative_width),
        upper: median * (1.0 + relative_width),
        trailing_coverage: None,
        scored: 40,
    };
    let at = |horizon_s: u32, median: f64| HorizonForecast {
        horizon_s,
        value: quantiles(median / 2.0),
        maximum: quantiles(median),
        value_interval: interval(median / 2.0),
        maximum_interval: interval(median),
    };
    ResourceForecast {
        resource: KpiName::new(kpi),
        unit: "x".into(),
        last: Some(0.0),
        model: "gru".into(),
        model_version: "1".into(),
        drift: Some(DriftState::Stable),
        started_from: Vec::new(),
        horizons: vec![at(300, median * 0.9), at(900, median), at(3600, median * 1.1)],
    }
}

/// A prediction of CPU (cores) and memory (GiB) for a workload on the simulated cloud.
pub(crate) fn prediction(name: &str, at_s: i64, cores: f64, gib: f64, replicas: u32) -> Prediction {
    Prediction {
        workload: workload(name),
        source: SourceName::new("fleet:test").unwrap(),
        made_at: EventTime::from_s(at_s),
        step_s: 60,
        resources: vec![forecast(CPU_CORES_USED, cores, 0.05), forecast(MEMORY_BYTES, gib * GIB, 0.05)],
        signals: Vec::new(),
        earlier: Vec::new(),
        capacity: Some(capacity(replicas)),
        anomaly: None,
        platform: Platform::SIMULATED,
    }
}

/// The prediction without a forecast that follows from a sample of CPU and memory.
pub(crate) fn last_value(sample: &Sample) -> Prediction {
    let kpis = sample.kpis.iter().filter(|kpi| [CPU_CORES_USED, MEMORY_BYTES].contains(&kpi.name.as_str()));
    let resource = |kpi: &crate::kpi::Kpi| ResourceForecast {
        resource: kpi.name.clone(),
        unit: kpi.unit.clone(),
        last: kpi.value,
        model: "none".into(),
        model_version: "0".into(),
        drift: None,
        started_from: Vec::new(),
        horizons: Vec::new(),
    };
    Prediction {
        workload: sample.workload.clone(),
        source: sample.source.clone(),
        made_at: sample.at,
        step_s: sample.step_s,
        resources: kpis.map(resource).collect(),
        signals: Vec::new(),
        earlier: Vec::new(),
        capacity: sample.capacity.clone(),
        anomaly: None,
        platform: sample.platform,
    }
}

/// Of predictions with each sample those that are made alone, and what the others say of their instants as readings of
/// the next one. The last is to be made.
pub(crate) fn thinned(each: &[Prediction], is_made: impl Fn(usize) -> bool) -> Vec<Prediction> {
    let (mut made, mut earlier) = (Vec::new(), Vec::new());
    for (i, prediction) in each.iter().enumerate() {
        if is_made(i) {
            made.push(Prediction { earlier: std::mem::take(&mut earlier), ..prediction.clone() });
        } else {
            earlier.push(reading(prediction));
        }
    }
    made
}

fn reading(prediction: &Prediction) -> Reading {
    Reading {
        at: prediction.made_at,
        resources: prediction.resources.iter().map(|resource| resource.last).collect(),
        signals: prediction.signals.iter().map(|signal| signal.last).collect(),
    }
}

/// The threshold policy with the pace that the tests of it count on.
pub(crate) fn threshold_rules() -> Rules {
    let mut rules = Rules { policy: Threshold::default().into(), ..Rules::default() };
    rules.guardrails.pace.cooldown_out_s = 300;
    rules.guardrails.pace.cooldown_in_s = 1800;
    rules
}

/// A plan for the simulated cloud.
pub(crate) fn action(name: &str, at_s: i64, from: u32, to: u32) -> Action {
    Action {
        workload: workload(name),
        decided_at: EventTime::from_s(at_s),
        valid_until: EventTime::from_s(at_s + 900),
        prediction_id: "prediction".into(),
        policy: "threshold".into(),
        verdict: if to > from { Verdict::ScaleOut } else { Verdict::ScaleIn },
        current: capacity(from),
        desired: capacity(to),
        mechanism: Mechanism::Replicas,
        dry_run: false,
        evidence: Vec::new(),
        reasons: Vec::new(),
        platform: Platform::SIMULATED,
    }
}
