//! The planner as a contender: the one place that calls its code.

use prescale_domain::guardrail::History;
use prescale_domain::policy::{Decision, Rules, step};
use prescale_domain::prediction::Prediction;
use prescale_domain::workload::WorkloadId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The planner on the workloads of one lane, which are those of one partition.
pub(super) struct Planner {
    rules: Rules,
    prediction_id: Arc<str>,
    histories: BTreeMap<WorkloadId, History>,
    #[cfg(test)]
    pub(super) heard: Vec<(Prediction, Option<Decision>)>,
}

impl Planner {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            prediction_id: "replay".into(),
            histories: BTreeMap::new(),
            #[cfg(test)]
            heard: Vec::new(),
        }
    }

    /// The cores that it asks for.
    pub(super) fn decide(&mut self, prediction: Prediction) -> Option<f64> {
        let history = self.histories.entry(prediction.workload.clone()).or_default();
        let decision = step(&self.rules, history, &prediction, &self.prediction_id);
        let cores = match &decision {
            Some(Decision::Act(action)) => Some(action.desired.cpu_cores()),
            Some(Decision::Hold(_)) | None => None,
        };
        #[cfg(test)]
        self.heard.push((prediction, decision));
        cores
    }
}
