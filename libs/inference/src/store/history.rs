//! All that is known of a family's versions: which were in use, which ran beside them on trial, and what became of that.

use super::{Pinned, Switch, Verdict, WrittenShape, WrittenSwitch};
use prescale_domain::time::EventTime;
use serde::{Deserialize, Serialize};

/// From an instant on a version runs beside the one in use, and what both lose is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trial {
    /// The instant, in event time; tells the trial from any other of the family.
    pub from: EventTime,
    /// When it ends; `None` while nothing has ended it.
    pub until: Option<EventTime>,
    /// The version; `None` for the model that was in use before there was any of the store.
    pub of: Option<Pinned>,
    /// What became of the version; `None` before anybody has loaded it for this trial.
    pub verdict: Option<Verdict>,
}

/// What became of a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// When the trial began.
    pub trial_from: EventTime,
    /// What it led to: `promoted`, `refused`, `rolled-back` or `confirmed`.
    pub led_to: String,
    /// From when on; `None` where what is in use stays.
    pub from: Option<EventTime>,
    /// The version in use.
    pub in_use: String,
    /// The version on trial.
    pub candidate: String,
    /// What was shown: `better`, `worse` or `undecided`.
    pub shown: String,
    /// Hours that counted.
    pub hours: u32,
    /// Most workloads that one of them was of.
    pub workloads: u32,
    /// Mean share of what both lost that the candidate lost less.
    pub lead: f64,
    /// Decimal logarithm of the e-value against that the candidate is not better.
    pub log10_e_better: f64,
    /// The same against that it is not worse.
    pub log10_e_worse: f64,
    /// What the version in use lost, as a share of the demand's size.
    pub loss: f64,
    /// The same of the candidate.
    pub candidate_loss: f64,
}

/// What is to come of a trial.
pub struct Outcome {
    /// What is written down.
    pub decision: Decision,
    /// When the trial ends.
    pub until: EventTime,
    /// What comes into use, if anything else does.
    pub switch: Option<Switch>,
    /// The trial that follows, if any does.
    pub next: Option<Trial>,
}

/// The history of a family.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The switches, by their instants ascending; the last of several at one instant holds.
    pub switches: Vec<Switch>,
    /// The trials, by their instants ascending.
    pub trials: Vec<Trial>,
    /// What became of them, in the order in which it was decided.
    pub decisions: Vec<Decision>,
}

impl Trial {
    /// What would bring its version into use when the trial begins.
    pub fn as_switch(&self) -> Switch {
        Switch { from: Some(self.from), to: self.of.clone(), verdict: self.verdict.clone() }
    }
}

impl History {
    /// The trial that nothing has ended.
    pub fn open_trial(&self) -> Option<&Trial> {
        self.trials.last().filter(|trial| trial.until.is_none())
    }

    pub(super) fn add(&mut self, switch: Switch) {
        let switches = &mut self.switches;
        let known = switches.len();
        switches.retain(|earlier| earlier.from < switch.from);
        let last = switches.last();
        let is_refused = last.is_some_and(|last| matches!(last.verdict, Some(Verdict::Refused(_))));
        let is_as_asked = !is_refused && last.and_then(|last| last.to.as_ref()) == switch.to.as_ref();
        if switches.len() == known || !is_as_asked {
            switches.push(switch);
        }
    }

    /// Ends the trials at an instant; those that were to begin then or later go.
    pub(super) fn end_trials(&mut self, at: EventTime) {
        self.trials.retain(|trial| trial.from < at);
        for trial in &mut self.trials {
            trial.until = Some(trial.until.map_or(at, |until| until.min(at)));
        }
    }

    /// What became of the versions that a switch names, and a trial that is as such a one.
    pub(super) fn verdicts_of(&mut self, switch: &Switch) -> Vec<&mut Option<Verdict>> {
        let is_it = |from: Option<EventTime>, to: &Option<Pinned>| from == switch.from && *to == switch.to;
        let of_switches = self.switches.iter_mut().filter(|known| is_it(known.from, &known.to));
        let of_trials = self.trials.iter_mut().filter(|known| is_it(Some(known.from), &known.of));
        of_switches.map(|known| &mut known.verdict).chain(of_trials.map(|known| &mut known.verdict)).collect()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenTrial {
    from_s: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    until_s: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    passed: Option<WrittenShape>,
}

impl WrittenTrial {
    pub(super) fn of(trial: &Trial) -> Self {
        let WrittenSwitch { version, manifest_sha256, refused, passed, .. } = WrittenSwitch::of(trial.as_switch());
        Self {
            from_s: trial.from.as_ms() / 1000,
            until_s: trial.until.map(|until| until.as_ms() / 1000),
            version,
            manifest_sha256,
            refused,
            passed,
        }
    }

    pub(super) fn read(self) -> Result<Trial, String> {
        let Self { from_s, until_s, version, manifest_sha256, refused, passed } = self;
        let written = WrittenSwitch { from_s: Some(from_s), version, manifest_sha256, refused, passed };
        let Switch { to, verdict, .. } = written.read()?;
        Ok(Trial { from: EventTime::from_s(from_s), until: until_s.map(EventTime::from_s), of: to, verdict })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenDecision {
    trial_from_s: i64,
    led_to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_s: Option<i64>,
    in_use: String,
    candidate: String,
    shown: String,
    hours: u32,
    workloads: u32,
    lead: f64,
    log10_e_better: f64,
    log10_e_worse: f64,
    loss: f64,
    candidate_loss: f64,
}

impl WrittenDecision {
    pub(super) fn of(decision: Decision) -> Self {
        Self {
            trial_from_s: decision.trial_from.as_ms() / 1000,
            led_to: decision.led_to,
            from_s: decision.from.map(|from| from.as_ms() / 1000),
            in_use: decision.in_use,
            candidate: decision.candidate,
            shown: decision.shown,
            hours: decision.hours,
            workloads: decision.workloads,
            lead: decision.lead,
            log10_e_better: decision.log10_e_better,
            log10_e_worse: decision.log10_e_worse,
            loss: decision.loss,
            candidate_loss: decision.candidate_loss,
        }
    }

    pub(super) fn read(self) -> Decision {
        Decision {
            trial_from: EventTime::from_s(self.trial_from_s),
            led_to: self.led_to,
            from: self.from_s.map(EventTime::from_s),
            in_use: self.in_use,
            candidate: self.candidate,
            shown: self.shown,
            hours: self.hours,
            workloads: self.workloads,
            lead: self.lead,
            log10_e_better: self.log10_e_better,
            log10_e_worse: self.log10_e_worse,
            loss: self.loss,
            candidate_loss: self.candidate_loss,
        }
    }
}
