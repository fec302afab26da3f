//! How unusual workloads are, as the fingerprinter tells the predictor: by its own detector, on the samples of a trace.

use prescale_domain::anomaly::{AnomalyScore, Close, Detector, KPIS_MAX, Value};
use prescale_domain::forecast::GRID_STEP_S;
use prescale_domain::kpi::KpiName;
use prescale_domain::sample::Sample;
use prescale_domain::workload::WorkloadId;
use std::collections::BTreeMap;

/// What is followed of the workloads of a lane.
#[derive(Default)]
pub(super) struct Unusual(BTreeMap<WorkloadId, Followed>);

#[derive(Default)]
struct Followed {
    /// The KPIs that it had so far, in the order in which they came.
    kpis: Vec<KpiName>,
    detector: Detector,
}

impl Unusual {
    /// Takes a sample in; how unusual its workload was, where a bin ends with it.
    pub(super) fn take(&mut self, sample: &Sample) -> Option<AnomalyScore> {
        let Followed { kpis, detector } = self.0.entry(sample.workload.clone()).or_default();
        for kpi in &sample.kpis {
            if kpis.len() < KPIS_MAX && !kpis.contains(&kpi.name) {
                kpis.push(kpi.name.clone());
            }
        }
        let value = |(number, name): (u32, &KpiName)| {
            let of_sample = sample.kpis.iter().find(|kpi| kpi.name == *name);
            Value { kpi: number, value: of_sample.and_then(|kpi| kpi.value) }
        };
        let values: Vec<Value> = (0..).zip(kpis.iter()).map(value).collect();
        detector.add(&values);
        let is_last = sample.at.plus_s(i64::from(sample.step_s)).bin(GRID_STEP_S) > sample.at.bin(GRID_STEP_S);
        let close = Close { at: sample.at, bin_s: sample.step_s.max(GRID_STEP_S) };
        let found = if is_last { detector.close(close) } else { None }?;
        let name = |number: &u32| kpis.get(usize::try_from(*number).ok()?).cloned();
        Some(AnomalyScore { p_value: found.p_value? as f32, kpis: found.blamed.iter().filter_map(name).collect() })
    }
}
