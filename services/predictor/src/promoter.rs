//! What decisions on trials lead to, in the store of models: the stage's effect is outside the bus.
//!
//! A candidate that was shown to be better comes into use, written into the history as `prescale model promote` does, and
//! the version that was in use runs beside it as a candidate from then on: where that is shown to be better again, it comes
//! back. The decision stands in the history with its numbers, and a trial that has one is not decided again: so a decision
//! that comes a second time, after a restart, changes nothing.

use anyhow::Result;
use prescale_bus::Bus;
use prescale_chassis::Context;
use prescale_chassis::patience::{GaveUp, Patience, Unavailable};
use prescale_chassis::sink::{Sink, SinkOf, SinkRun, Taken};
use prescale_domain::forecast::GRID_STEP_S;
use prescale_domain::promotion::{ModelDecision, TrialVerdict};
use prescale_domain::time::EventTime;
use prescale_inference::store::{
    Decision, History, ModelStore, Outcome, StoreError, Switch, Trial, Verdict, predecessor,
};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use tokio_util::sync::CancellationToken;

/// Name of the stage.
pub const NAME: &str = "promoter";

/// Decisions are rare; a few at a time do.
const DECISIONS_MAX: usize = 10;

/// How far ahead of the clock, and of the newest records, a switch or a trial begins at the least, in seconds: records are
/// up to 5 minutes ahead of the clock, and a model is heard of and loaded within a minute or two.
pub const LEAD_S: i64 = 600;

/// What the clock says.
pub type Clock = dyn Fn() -> EventTime + Send + Sync;

/// First bin that begins at an instant or after it.
pub fn bin_from(instant: EventTime) -> EventTime {
    let bin = instant.plus_s(i64::from(GRID_STEP_S) - 1).bin(GRID_STEP_S);
    EventTime::of_bin(bin, GRID_STEP_S)
}

/// Makes sinks that write into the store in a folder.
pub fn sinks(models_dir: &Path, clock: Arc<Clock>) -> Box<SinkOf<ModelDecision>> {
    let store = ModelStore::new(models_dir);
    Box::new(move |_| Box::new(Promoter { store: store.clone(), clock: Arc::clone(&clock) }))
}

/// Runs the stage until shutdown.
pub(crate) fn run(models_dir: &Path, context: &Context, bus: &dyn Bus, shutdown: &CancellationToken) -> Result<()> {
    let sink = SinkRun { context, bus, stage: NAME, batch_records_max: DECISIONS_MAX, shutdown };
    Ok(sink.run(sinks(models_dir, Arc::new(now)))?)
}

fn now() -> EventTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    EventTime::from_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

struct Promoter {
    store: ModelStore,
    clock: Arc<Clock>,
}

impl Sink<ModelDecision> for Promoter {
    fn take(&mut self, records: &[Taken<'_, ModelDecision>], patience: &mut Patience) -> Result<(), GaveUp> {
        for taken in records {
            while let Err(error) = self.carry_out(&taken.value) {
                patience.wait(&Unavailable::new(error.to_string()))?;
            }
            patience.answered();
        }
        Ok(())
    }
}

impl Promoter {
    fn carry_out(&self, decided: &ModelDecision) -> Result<(), StoreError> {
        let (family, now) = (decided.family.key().as_str(), (self.clock)());
        let stands =
            self.store.decide(family, decided.trial_from, |history, trial| outcome(decided, history, trial, now))?;
        match stands {
            Some(Decision { led_to, candidate, shown, .. }) => tracing::info!(
                family,
                candidate = candidate.as_str(),
                led_to = led_to.as_str(),
                shown = shown.as_str(),
                "what became of a trial stands in the models folder"
            ),
            None => tracing::info!(
                family,
                candidate = &*decided.candidate_version,
                "a trial was decided that is not under way any more: nothing changes"
            ),
        }
        Ok(())
    }
}

/// What a decision leads to, as of an instant of the clock.
fn outcome(decided: &ModelDecision, history: &History, trial: &Trial, now: EventTime) -> Outcome {
    let from = bin_from(now.max(decided.at).plus_s(LEAD_S));
    // A version that was refused has never been in use.
    let is_passed_over = |switch: &&Switch| matches!(switch.verdict, Some(Verdict::Refused(_)));
    let switches: Vec<Switch> = history.switches.iter().filter(|switch| !is_passed_over(switch)).cloned().collect();
    let in_use = switches.iter().rfind(|switch| switch.from.is_none_or(|begun| begun <= from));
    let in_use = in_use.and_then(|switch| switch.to.clone());
    let goes_back = predecessor(&switches).is_some_and(|before| before == trial.of);
    let is_better = decided.verdict == TrialVerdict::Better;
    let led_to = match (is_better, goes_back) {
        (true, true) => "rolled-back",
        (true, false) => "promoted",
        (false, true) => "confirmed",
        (false, false) => "refused",
    };
    let switch = is_better.then(|| Switch { from: Some(from), to: trial.of.clone(), verdict: None });
    // Of one that came back, the other has lost.
    let next = (is_better && !goes_back).then_some(Trial { from, until: None, of: in_use, verdict: None });
    let numbers = &decided.numbers;
    let decision = Decision {
        trial_from: decided.trial_from,
        led_to: led_to.to_owned(),
        from: is_better.then_some(from),
        in_use: decided.model_version.to_string(),
        candidate: decided.candidate_version.to_string(),
        shown: decided.verdict.name().to_owned(),
        hours: numbers.hours,
        workloads: numbers.workloads,
        lead: numbers.lead,
        log10_e_better: numbers.log10_e_better,
        log10_e_worse: numbers.log10_e_worse,
        loss: numbers.loss,
        candidate_loss: numbers.candidate_loss,
    };
    Outcome { decision, until: from, switch, next }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prescale_domain::promotion::TrialNumbers;
    use prescale_domain::retraining::TrainedFamily;
    use prescale_inference::store::Pinned;

    const NOW: EventTime = EventTime::from_s(1_767_225_600);

    fn pinned(version: &str) -> Option<Pinned> {
        Some(Pinned { version: version.to_owned(), manifest_sha256: "0".repeat(64) })
    }

    fn decided(trial_from: EventTime, (in_use, candidate): (&str, &str), verdict: TrialVerdict) -> ModelDecision {
        ModelDecision {
            family: TrainedFamily::named("gru").unwrap(),
            trial_from,
            model_version: in_use.into(),
            candidate_version: candidate.into(),
            at: NOW.plus_s(-3600),
            verdict,
            numbers: TrialNumbers {
                hours: 30,
                workloads: 5,
                lead: 0.25,
                log10_e_better: 2.5,
                log10_e_worse: -1.0,
                loss: 0.5,
                candidate_loss: 0.25,
            },
        }
    }

    /// A store with a trial of version 2 beside the built-in model, and what carries decisions out.
    fn world(now: EventTime) -> (tempfile::TempDir, Promoter) {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("gru")).unwrap();
        let store = ModelStore::new(root.path());
        store.try_out("gru", Trial { from: NOW.plus_s(-86_400), until: None, of: pinned("2"), verdict: None }).unwrap();
        (root, Promoter { store, clock: Arc::new(move || now) })
    }

    #[test]
    fn what_is_better_takes_over_and_what_was_in_use_is_on_trial_from_then_on() {
        let (_root, promoter) = world(NOW);
        let better = decided(NOW.plus_s(-86_400), ("0.1.0", "2"), TrialVerdict::Better);
        promoter.carry_out(&better).unwrap();
        let from = NOW.plus_s(LEAD_S);
        let history = promoter.store.history("gru").unwrap();
        assert_eq!(history.switches, [Switch { from: Some(from), to: pinned("2"), verdict: None }]);
        assert_eq!(history.open_trial(), Some(&Trial { from, until: None, of: None, verdict: None }));
        assert_eq!(history.trials[0].until, Some(from));
        let [decision] = history.decisions.as_slice() else { panic!("{history:?}") };
        assert_eq!((decision.led_to.as_str(), decision.from, decision.hours), ("promoted", Some(from), 30));
        assert_eq!((decision.lead, decision.loss, decision.candidate_loss), (0.25, 0.5, 0.25));
        // It comes again after a restart, at another instant.
        let later = Promoter { store: promoter.store.clone(), clock: Arc::new(|| NOW.plus_s(9000)) };
        later.carry_out(&better).unwrap();
        assert_eq!(later.store.history("gru").unwrap(), history);
    }

    #[test]
    fn what_loses_after_it_was_promoted_is_rolled_back_for_good() {
        let (_root, promoter) = world(NOW);
        promoter.carry_out(&decided(NOW.plus_s(-86_400), ("0.1.0", "2"), TrialVerdict::Better)).unwrap();
        let promoted = NOW.plus_s(LEAD_S);
        let later = Promoter { store: promoter.store.clone(), clock: Arc::new(|| NOW.plus_s(90_000)) };
        later.carry_out(&decided(promoted, ("2", "0.1.0"), TrialVerdict::Better)).unwrap();
        let history = later.store.history("gru").unwrap();
        let from = Some(NOW.plus_s(90_000 + LEAD_S));
        assert_eq!(history.switches[1..], [Switch { from, to: None, verdict: None }]);
        assert_eq!((history.open_trial(), history.decisions[1].led_to.as_str()), (None, "rolled-back"));
    }

    #[test]
    fn what_is_not_better_changes_nothing_but_the_record() {
        for (verdict, shown) in [(TrialVerdict::Worse, "worse"), (TrialVerdict::Undecided, "undecided")] {
            let (_root, promoter) = world(NOW);
            promoter.carry_out(&decided(NOW.plus_s(-86_400), ("0.1.0", "2"), verdict)).unwrap();
            let history = promoter.store.history("gru").unwrap();
            assert_eq!((history.switches.len(), history.open_trial()), (0, None));
            let decision = &history.decisions[0];
            assert_eq!((decision.led_to.as_str(), decision.shown.as_str(), decision.from), ("refused", shown, None));
        }
    }

    #[test]
    fn what_was_refused_was_never_in_use_and_is_not_on_trial_afterwards() {
        let (_root, promoter) = world(NOW);
        let verdict = Some(Verdict::Refused("it is broken".to_owned()));
        let broken = Switch { from: Some(NOW.plus_s(-200_000)), to: pinned("3"), verdict };
        promoter.store.add("gru", broken).unwrap();
        let trial = Trial { from: NOW.plus_s(-86_400), until: None, of: pinned("2"), verdict: None };
        promoter.store.try_out("gru", trial).unwrap();
        promoter.carry_out(&decided(NOW.plus_s(-86_400), ("0.1.0", "2"), TrialVerdict::Better)).unwrap();
        let history = promoter.store.history("gru").unwrap();
        assert_eq!(history.open_trial().map(|trial| trial.of.clone()), Some(None));
        let later = Promoter { store: promoter.store.clone(), clock: Arc::new(|| NOW.plus_s(90_000)) };
        later.carry_out(&decided(NOW.plus_s(LEAD_S), ("2", "0.1.0"), TrialVerdict::Worse)).unwrap();
        assert_eq!(later.store.history("gru").unwrap().decisions[1].led_to, "confirmed");
    }

    #[test]
    fn a_decision_on_a_family_of_which_there_is_no_folder_leads_to_nothing() {
        let (root, promoter) = world(NOW);
        std::fs::remove_dir_all(root.path().join("gru")).unwrap();
        promoter.carry_out(&decided(NOW.plus_s(-86_400), ("0.1.0", "2"), TrialVerdict::Better)).unwrap();
        assert!(!root.path().join("gru").exists());
    }

    #[test]
    fn a_trial_that_was_ended_by_hand_leads_to_nothing() {
        let (_root, promoter) = world(NOW);
        let by_hand = Switch { from: Some(NOW), to: pinned("3"), verdict: None };
        promoter.store.add("gru", by_hand.clone()).unwrap();
        promoter.carry_out(&decided(NOW.plus_s(-86_400), ("0.1.0", "2"), TrialVerdict::Better)).unwrap();
        let history = promoter.store.history("gru").unwrap();
        assert_eq!((history.switches, history.decisions), (vec![by_hand], Vec::new()));
    }

    #[test]
    fn records_ahead_of_the_clock_are_waited_for() {
        let (_root, promoter) = world(NOW.plus_s(-1_000_000));
        promoter.carry_out(&decided(NOW.plus_s(-86_400), ("0.1.0", "2"), TrialVerdict::Better)).unwrap();
        let history = promoter.store.history("gru").unwrap();
        assert_eq!(history.switches[0].from, Some(NOW.plus_s(LEAD_S - 3600)));
    }
}
