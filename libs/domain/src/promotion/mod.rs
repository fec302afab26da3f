//! Whether a version on trial takes the place of the one in use: what both lose on each workload, hour by hour, and what that
//! shows ([`trials`], by a test that may be looked at at any time, [`betting`]). Nothing here knows where models are.

pub mod betting;
pub mod trials;

#[cfg(test)]
mod tests;

pub use trials::{Step, Trials};

use crate::forecast_score::ForecastScore;
use crate::retraining::TrainedFamily;
use crate::source::SourceName;
use crate::time::EventTime;
use crate::workload::WorkloadId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A record of topic `trials`: what a version on trial lost beside the one in use on a workload. Losses are pinball losses
/// as a share of the demand's size, mean over the resources, and have 32 bits.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialScore {
    /// Which family; also the record's key.
    pub family: TrainedFamily,
    /// When the trial began, which tells it from any other of the family.
    pub trial_from: EventTime,
    /// The version in use.
    pub model_version: Arc<str>,
    /// The version on trial.
    pub candidate_version: Arc<str>,
    /// The workload.
    pub workload: WorkloadId,
    /// Stream that its samples came from.
    pub source: SourceName,
    /// End of the last hour (UTC) that it tells of.
    pub at: EventTime,
    /// Forecasts of both that were compared, at least 1.
    pub rounds: u32,
    /// What the version in use lost.
    pub loss: f64,
    /// What the candidate lost.
    pub candidate_loss: f64,
}

/// What was shown in a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialVerdict {
    /// The candidate loses less, and takes over.
    Better,
    /// It loses more.
    Worse,
    /// Neither, in the longest time that a trial may take.
    Undecided,
}

impl TrialVerdict {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Undecided => "undecided",
        }
    }
}

/// What led to a verdict. A lead is the share of what both lost that the candidate lost less.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrialNumbers {
    /// Hours that counted, at least 1.
    pub hours: u32,
    /// Most workloads that one of them was of, at least 1.
    pub workloads: u32,
    /// Mean lead over workloads and hours, from -1 to 1.
    pub lead: f64,
    /// Decimal logarithm of the e-value against that the candidate is not better.
    pub log10_e_better: f64,
    /// The same against that it is not worse.
    pub log10_e_worse: f64,
    /// What the version in use lost, as a share of the demand's size, mean over workloads and hours, no workload counting more
    /// than [`trials::LOSS_COUNTED_MAX`] an hour.
    pub loss: f64,
    /// The same of the candidate.
    pub candidate_loss: f64,
}

/// A record of topic `model-decisions`: what became of a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelDecision {
    /// Which family; also the record's key.
    pub family: TrainedFamily,
    /// When the trial began.
    pub trial_from: EventTime,
    /// The version in use.
    pub model_version: Arc<str>,
    /// The version on trial.
    pub candidate_version: Arc<str>,
    /// End of the last hour that counted.
    pub at: EventTime,
    /// What was shown.
    pub verdict: TrialVerdict,
    /// By what.
    pub numbers: TrialNumbers,
}

/// What a record of `forecast-scores` says of trials, one a trial: the losses of its resources as shares of the demand's
/// size, where that is known.
pub fn trial_scores(score: &ForecastScore) -> Vec<TrialScore> {
    let mut scores: BTreeMap<(TrainedFamily, EventTime), (TrialScore, u32)> = BTreeMap::new();
    for resource in &score.resources {
        let Some(size) = resource.size().filter(|size| *size > 0.0) else { continue };
        for trial in &resource.trials {
            let Some(family) = TrainedFamily::named(&trial.model) else { continue };
            let [loss, candidate_loss] = [trial.pinball_loss, trial.candidate_loss].map(|loss| loss / size);
            if !(loss as f32).is_finite() || !(candidate_loss as f32).is_finite() {
                continue;
            }
            let new = || TrialScore {
                family: family.clone(),
                trial_from: trial.trial_from,
                model_version: Arc::clone(&trial.model_version),
                candidate_version: Arc::clone(&trial.candidate_version),
                workload: score.workload.clone(),
                source: score.source.clone(),
                at: score.from.plus_s(3600 * i64::from(score.hours)),
                rounds: 0,
                loss: 0.0,
                candidate_loss: 0.0,
            };
            let (known, resources) = scores.entry((family.clone(), trial.trial_from)).or_insert_with(|| (new(), 0));
            if known.model_version != trial.model_version || known.candidate_version != trial.candidate_version {
                continue;
            }
            known.rounds = known.rounds.saturating_add(trial.rounds);
            known.loss += loss;
            known.candidate_loss += candidate_loss;
            *resources += 1;
        }
    }
    let mean = |(score, resources): (TrialScore, u32)| TrialScore {
        loss: score.loss / f64::from(resources),
        candidate_loss: score.candidate_loss / f64::from(resources),
        ..score
    };
    scores.into_values().map(mean).collect()
}
