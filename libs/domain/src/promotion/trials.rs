//! The trials of the families, by what they lost in their order on the log.
//!
//! Workloads of one hour see the same moments and are not independent, so an hour is one number: the mean over its workloads
//! of the share of what both lost that the candidate lost less. An hour counts no more than [`LEAD_COUNTED_MAX`], so none
//! decides by itself, and with less than [`WORKLOADS_MIN`] workloads not at all. The candidate is better when it leads by more
//! than [`LEAD_MIN`] (to an e-value of [`LOG10_E_MIN`]) and lost less in sum; worse when the other leads.

use super::betting::Bet;
use super::{ModelDecision, TrialNumbers, TrialScore, TrialVerdict};
use crate::forecast::Family;
use crate::retraining::TrainedFamily;
use crate::time::EventTime;
use bitcode::{Decode, Encode};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Nothing is decided before so many hours have counted: a whole day.
pub const HOURS_MIN: u32 = 24;

/// A trial ends undecided after so many: two weeks.
pub const HOURS_MAX: u32 = 336;

/// Workloads that an hour must be of to count.
pub const WORKLOADS_MIN: u32 = 3;

/// Decimal logarithm of the e-value that shows something: of candidates that are not better at most one in 100 is taken for
/// better, and of those that are not worse for worse.
pub const LOG10_E_MIN: f64 = 2.0;

/// Lead that a candidate must have more than.
pub const LEAD_MIN: f64 = 0.01;

/// Most that an hour's lead counts on either side.
pub const LEAD_COUNTED_MAX: f64 = 0.25;

/// Most that a version's loss on a workload counts, as a share of the demand's size; what the other lost there counts in
/// proportion. So a workload that is next to idle, of which any loss is a multiple, does not decide for all.
pub const LOSS_COUNTED_MAX: f64 = 1.0;

/// An hour is over when a score tells of one so many later.
const PATIENCE_H: i64 = 2;

/// Trials of a family that are remembered, the newest.
const REMEMBERED_MAX: usize = 4;

const HOUR_MS: i64 = 3_600_000;

/// The trials. What they come to is a function of the scores in their order.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Trials(Vec<Trial>);

/// What became of a score.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// It was taken in.
    Counted,
    /// It is of an hour that is over, or of a trial that is.
    Late,
    /// It ended its trial.
    Decided(Box<ModelDecision>),
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Trial {
    family: Family,
    from: EventTime,
    model_version: Arc<str>,
    candidate_version: Arc<str>,
    /// Hours that are not over, by their number.
    open: BTreeMap<i64, Hour>,
    /// The last hour that is over.
    over: i64,
    better: Bet,
    worse: Bet,
    /// Hours that counted.
    hours: u32,
    workloads_max: u32,
    /// Sum of their leads.
    leads: f64,
    /// Sums of the hours' mean losses, that of the version in use first.
    losses: [f64; 2],
    is_decided: bool,
}

/// Sums over the workloads of an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
struct Hour {
    workloads: u32,
    lead: f64,
    losses: [f64; 2],
}

impl Trials {
    /// Takes a score in.
    pub fn step(&mut self, score: &TrialScore) -> Step {
        let family = score.family.family();
        let is_it = |trial: &Trial| trial.family == family && trial.from == score.trial_from;
        let place = match self.0.iter().position(is_it) {
            Some(place) => place,
            None => match self.begin(family, score) {
                Some(place) => place,
                None => return Step::Late,
            },
        };
        let trial = &mut self.0[place];
        let is_of_it = trial.model_version == score.model_version && trial.candidate_version == score.candidate_version;
        let hour = score.at.as_ms().div_euclid(HOUR_MS);
        if trial.is_decided || !is_of_it || hour <= trial.over {
            return Step::Late;
        }
        trial.open.entry(hour).or_default().push(score);
        match trial.close_before(hour - PATIENCE_H) {
            Some((hour, verdict)) => Step::Decided(Box::new(trial.decision(score.family.clone(), hour, verdict))),
            None => Step::Counted,
        }
    }

    /// Place of a trial that begins; `None` of one that is older than those that are remembered of its family.
    fn begin(&mut self, family: Family, score: &TrialScore) -> Option<usize> {
        let of_family = |trial: &Trial| trial.family == family;
        let oldest = self.0.iter().filter(|trial| of_family(trial)).map(|trial| trial.from).min();
        if self.0.iter().filter(|trial| of_family(trial)).count() >= REMEMBERED_MAX {
            if oldest.is_some_and(|oldest| score.trial_from < oldest) {
                return None;
            }
            self.0.retain(|trial| !of_family(trial) || Some(trial.from) != oldest);
        }
        self.0.push(Trial {
            family,
            from: score.trial_from,
            model_version: Arc::clone(&score.model_version),
            candidate_version: Arc::clone(&score.candidate_version),
            open: BTreeMap::new(),
            over: i64::MIN,
            better: Bet::default(),
            worse: Bet::default(),
            hours: 0,
            workloads_max: 0,
            leads: 0.0,
            losses: [0.0; 2],
            is_decided: false,
        });
        Some(self.0.len() - 1)
    }
}

impl Trial {
    /// Closes the hours up to one of that number. Gives the hour that decided, and the verdict.
    fn close_before(&mut self, last: i64) -> Option<(i64, TrialVerdict)> {
        while let Some((number, hour)) = self.first_open().filter(|(number, _)| *number <= last) {
            self.open.remove(&number);
            self.over = number;
            if hour.workloads < WORKLOADS_MIN {
                continue;
            }
            self.count(&hour);
            if let Some(verdict) = self.verdict() {
                self.is_decided = true;
                self.open = BTreeMap::new();
                return Some((number, verdict));
            }
        }
        None
    }

    fn first_open(&self) -> Option<(i64, Hour)> {
        self.open.first_key_value().map(|(number, hour)| (*number, *hour))
    }

    fn count(&mut self, hour: &Hour) {
        let mean = |sum: f64| sum / f64::from(hour.workloads);
        let lead = mean(hour.lead);
        self.better.push((lead - LEAD_MIN) / LEAD_COUNTED_MAX);
        self.worse.push(-lead / LEAD_COUNTED_MAX);
        self.hours = self.hours.saturating_add(1);
        self.workloads_max = self.workloads_max.max(hour.workloads);
        self.leads += lead;
        self.losses = [self.losses[0] + mean(hour.losses[0]), self.losses[1] + mean(hour.losses[1])];
    }

    fn verdict(&self) -> Option<TrialVerdict> {
        let is_shown = |bet: &Bet| bet.log10_e() >= LOG10_E_MIN;
        if self.hours < HOURS_MIN {
            None
        } else if is_shown(&self.better) && self.losses[1] < self.losses[0] {
            Some(TrialVerdict::Better)
        } else if is_shown(&self.worse) {
            Some(TrialVerdict::Worse)
        } else {
            (self.hours >= HOURS_MAX).then_some(TrialVerdict::Undecided)
        }
    }

    fn decision(&self, family: TrainedFamily, hour: i64, verdict: TrialVerdict) -> ModelDecision {
        let mean = |sum: f64| sum / f64::from(self.hours);
        ModelDecision {
            family,
            trial_from: self.from,
            model_version: Arc::clone(&self.model_version),
            candidate_version: Arc::clone(&self.candidate_version),
            at: EventTime::from_ms(hour * HOUR_MS),
            verdict,
            numbers: TrialNumbers {
                hours: self.hours,
                workloads: self.workloads_max,
                lead: mean(self.leads).clamp(-1.0, 1.0),
                log10_e_better: self.better.log10_e(),
                log10_e_worse: self.worse.log10_e(),
                loss: mean(self.losses[0]),
                candidate_loss: mean(self.losses[1]),
            },
        }
    }
}

impl Hour {
    fn push(&mut self, score: &TrialScore) {
        let TrialScore { loss, candidate_loss, .. } = *score;
        let both = loss + candidate_loss;
        self.workloads = self.workloads.saturating_add(1);
        self.lead += if both > 0.0 { (loss - candidate_loss) / both } else { 0.0 };
        let counted = LOSS_COUNTED_MAX / loss.max(candidate_loss).max(LOSS_COUNTED_MAX);
        self.losses = [self.losses[0] + counted * loss, self.losses[1] + counted * candidate_loss];
    }
}
