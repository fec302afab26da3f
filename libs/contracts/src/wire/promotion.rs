//! `schemas/trials.avsc` and `schemas/model-decisions.avsc`.

use super::check;
use crate::mirror::{Fault, Wire};
use crate::names::Name;
use prescale_domain::promotion as domain;
use prescale_domain::retraining::TrainedFamily;
use prescale_domain::time::EventTime;
use serde::{Deserialize, Serialize};

fn family(name: &str) -> Result<TrainedFamily, Fault> {
    let unknown = || Fault::new("family", format!("{name:?} is no family of trained models that is known"));
    TrainedFamily::named(name).ok_or_else(unknown)
}

#[derive(Serialize, Deserialize)]
pub(crate) struct TrialScore {
    family: String,
    trial_from: i64,
    model_version: Name,
    candidate_version: Name,
    workload: String,
    source: Name,
    at: i64,
    rounds: i64,
    loss: f32,
    candidate_loss: f32,
}

impl Wire for TrialScore {
    type Domain = domain::TrialScore;
    const RECORD: &'static str = "TrialScore";

    fn of(score: &domain::TrialScore) -> Self {
        Self {
            family: score.family.key().as_str().to_owned(),
            trial_from: score.trial_from.as_ms(),
            model_version: Name(score.model_version.clone()),
            candidate_version: Name(score.candidate_version.clone()),
            workload: score.workload.as_str().to_owned(),
            source: Name(score.source.shared()),
            at: score.at.as_ms(),
            rounds: score.rounds.into(),
            loss: score.loss as f32,
            candidate_loss: score.candidate_loss as f32,
        }
    }

    fn workload(&self) -> &str {
        &self.workload
    }

    fn check(&self) -> Result<(), Fault> {
        check::instant("trial_from", self.trial_from)?;
        check::instant("at", self.at)?;
        check::positive("rounds", self.rounds)?;
        for (field, loss) in [("loss", self.loss), ("candidate_loss", self.candidate_loss)] {
            check::finite_f32(field, loss)?;
            check::not_negative(field, loss.into())?;
        }
        Ok(())
    }

    fn into_domain(self) -> Result<domain::TrialScore, Fault> {
        Ok(domain::TrialScore {
            family: family(&self.family)?,
            trial_from: EventTime::from_ms(self.trial_from),
            model_version: self.model_version.0,
            candidate_version: self.candidate_version.0,
            workload: check::workload(&self.workload)?,
            source: check::source(self.source.0)?,
            at: EventTime::from_ms(self.at),
            rounds: check::positive("rounds", self.rounds)?,
            loss: self.loss.into(),
            candidate_loss: self.candidate_loss.into(),
        })
    }
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum TrialVerdict {
    Unknown,
    Better,
    Worse,
    Undecided,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ModelDecision {
    family: String,
    trial_from: i64,
    model_version: Name,
    candidate_version: Name,
    at: i64,
    verdict: TrialVerdict,
    hours: i64,
    workloads: i64,
    lead: f64,
    log10_e_better: f64,
    log10_e_worse: f64,
    loss: f64,
    candidate_loss: f64,
}

impl Wire for ModelDecision {
    type Domain = domain::ModelDecision;
    const RECORD: &'static str = "ModelDecision";

    fn of(decision: &domain::ModelDecision) -> Self {
        Self {
            family: decision.family.key().as_str().to_owned(),
            trial_from: decision.trial_from.as_ms(),
            model_version: Name(decision.model_version.clone()),
            candidate_version: Name(decision.candidate_version.clone()),
            at: decision.at.as_ms(),
            verdict: match decision.verdict {
                domain::TrialVerdict::Better => TrialVerdict::Better,
                domain::TrialVerdict::Worse => TrialVerdict::Worse,
                domain::TrialVerdict::Undecided => TrialVerdict::Undecided,
            },
            hours: decision.numbers.hours.into(),
            workloads: decision.numbers.workloads.into(),
            lead: decision.numbers.lead,
            log10_e_better: decision.numbers.log10_e_better,
            log10_e_worse: decision.numbers.log10_e_worse,
            loss: decision.numbers.loss,
            candidate_loss: decision.numbers.candidate_loss,
        }
    }

    /// The key, as it is of no workload.
    fn workload(&self) -> &str {
        &self.family
    }

    fn check(&self) -> Result<(), Fault> {
        check::instant("trial_from", self.trial_from)?;
        check::instant("at", self.at)?;
        check::positive("hours", self.hours)?;
        check::positive("workloads", self.workloads)?;
        check::finite("log10_e_better", self.log10_e_better)?;
        check::finite("log10_e_worse", self.log10_e_worse)?;
        if !(-1.0..=1.0).contains(&self.lead) {
            return Err(Fault::new("lead", format!("{} is not within -1 to 1", self.lead)));
        }
        check::not_negative("loss", self.loss)?;
        check::not_negative("candidate_loss", self.candidate_loss)
    }

    fn into_domain(self) -> Result<domain::ModelDecision, Fault> {
        Ok(domain::ModelDecision {
            family: family(&self.family)?,
            trial_from: EventTime::from_ms(self.trial_from),
            model_version: self.model_version.0,
            candidate_version: self.candidate_version.0,
            at: EventTime::from_ms(self.at),
            verdict: match self.verdict {
                TrialVerdict::Unknown => return Err(Fault::unknown_symbol("verdict")),
                TrialVerdict::Better => domain::TrialVerdict::Better,
                TrialVerdict::Worse => domain::TrialVerdict::Worse,
                TrialVerdict::Undecided => domain::TrialVerdict::Undecided,
            },
            numbers: domain::TrialNumbers {
                hours: check::positive("hours", self.hours)?,
                workloads: check::positive("workloads", self.workloads)?,
                lead: self.lead,
                log10_e_better: self.log10_e_better,
                log10_e_worse: self.log10_e_worse,
                loss: self.loss,
                candidate_loss: self.candidate_loss,
            },
        })
    }
}
