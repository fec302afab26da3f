//! The planner as a contender: the one place that calls its code.

use prescale_domain::policy::{Decision, Planning, RuleBook};
use prescale_domain::prediction::Prediction;
use std::sync::Arc;

/// The planner on the workloads of one lane, which are those of one partition.
pub(super) struct Planner {
    rules: RuleBook,
    prediction_id: Arc<str>,
    planning: Planning,
    #[cfg(test)]
    pub(super) heard: Vec<(Prediction, Option<Decision>)>,
}

impl Planner {
    pub(super) fn new(rules: RuleBook) -> Self {
        Self {
            rules,
            prediction_id: "replay".into(),
            planning: Planning::default(),
            #[cfg(test)]
            heard: Vec::new(),
        }
    }

    /// The cores that it asks for.
    pub(super) fn decide(&mut self, prediction: Prediction) -> Option<f64> {
        let decision = self.planning.step(&self.rules, &prediction, &self.prediction_id);
        let cores = match &decision {
            Some(Decision::Act(action)) => Some(action.desired.cpu_cores()),
            Some(Decision::Hold(_)) | None => None,
        };
        #[cfg(test)]
        self.heard.push((prediction, decision));
        cores
    }
}
