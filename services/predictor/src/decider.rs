//! The stage that decides trials: what versions on trial lost in, of all partitions in one order since the family is the key,
//! and what that shows out. What is done about it is [`crate::promoter`]'s.

use prescale_bus::{Reach, StageFailure, StateSchema};
use prescale_chassis::audit::{self, Audit};
use prescale_chassis::{Input, Outgoing, Reply, TypedStage, TypedStageFactory};
use prescale_contracts::topics;
use prescale_domain::promotion::trials::HOURS_MAX;
use prescale_domain::promotion::{Step, TrialScore, Trials};

/// Name of the stage.
pub const NAME: &str = "decider";
/// Reason under which scores are counted with which nothing is decided.
pub const UNDECIDED: &str = "undecided";

/// Layout of the state; goes up when it changes.
const STATE_LAYOUT: u32 = 1;

/// Makes the stage's instances.
pub struct Factory;

/// The stage on one partition.
pub struct DeciderStage {
    trials: Trials,
}

/// Of the stage: any score may decide nothing.
pub(crate) fn audit() -> Box<dyn Audit> {
    audit::each_or(UNDECIDED)
}

impl TypedStageFactory for Factory {
    type Stage = DeciderStage;

    fn name(&self) -> &'static str {
        NAME
    }

    fn output_topics(&self) -> Vec<&'static str> {
        crate::DECIDER.outputs.to_vec()
    }

    fn state_schema(&self) -> String {
        StateSchema::of(NAME, STATE_LAYOUT).to_string()
    }

    fn reach(&self) -> Vec<Reach> {
        vec![Reach { what: "what trials came to", records_s: 3600 * u64::from(HOURS_MAX) }]
    }

    fn create(&self, _partition: u32) -> DeciderStage {
        DeciderStage { trials: Trials::default() }
    }

    fn restore(&self, _partition: u32, snapshot: &[u8]) -> Result<DeciderStage, String> {
        let trials = bitcode::decode(snapshot).map_err(|e| format!("it is no state of the {NAME}: {e}"))?;
        Ok(DeciderStage { trials })
    }
}

impl TypedStage for DeciderStage {
    type In = TrialScore;

    fn apply(&mut self, batch: Vec<Input<TrialScore>>) -> Result<Vec<Reply>, StageFailure> {
        batch.iter().map(|input| self.reply(input)).collect()
    }

    fn snapshot(&self) -> Vec<u8> {
        bitcode::encode(&self.trials)
    }
}

impl DeciderStage {
    fn reply(&mut self, input: &Input<TrialScore>) -> Result<Reply, StageFailure> {
        let Step::Decided(decision) = self.trials.step(&input.value) else { return Ok(Reply::Drop(UNDECIDED)) };
        tracing::info!(
            family = decision.family.key().as_str(),
            in_use = &*decision.model_version,
            candidate = &*decision.candidate_version,
            shown = decision.verdict.name(),
            hours = decision.numbers.hours,
            lead = decision.numbers.lead,
            "a trial has come to an end"
        );
        let outgoing = Outgoing::following(&input.envelope, NAME, 0, &[topics::MODEL_DECISIONS], &*decision)?;
        Ok(Reply::Emit(vec![outgoing]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prescale_bus::{ConsumedRecord, Outcome};
    use prescale_chassis::{output_record, stage_factory};
    use prescale_contracts::{Contract, Envelope};
    use prescale_domain::promotion::{ModelDecision, TrialVerdict};
    use prescale_domain::retraining::TrainedFamily;
    use prescale_domain::source::SourceName;
    use prescale_domain::time::EventTime;
    use prescale_domain::workload::WorkloadId;

    /// Scores of two days of a candidate that loses half of what the version in use does.
    fn scores() -> Vec<ConsumedRecord> {
        let score = |number: i64| TrialScore {
            family: TrainedFamily::named("gru").unwrap(),
            trial_from: EventTime::from_s(0),
            model_version: "1".into(),
            candidate_version: "2".into(),
            workload: WorkloadId::new(&format!("vm-{}", number % 4)).unwrap(),
            source: SourceName::new("fleet:test").unwrap(),
            at: EventTime::from_s(3600 * (1 + number / 4)),
            rounds: 1,
            loss: 0.5,
            candidate_loss: 0.25,
        };
        let record = |number: i64| {
            let score = score(number);
            let envelope =
                Envelope::root("test", TrialScore::EVENT_TYPE, score.family.key(), score.at, &number.to_string());
            output_record(&envelope, topics::TRIALS, &score).unwrap().read_at(0, number)
        };
        (0..4 * 48).map(record).collect()
    }

    #[test]
    fn a_trial_is_decided_once_whatever_comes_between() {
        let (factory, scores) = (stage_factory(Factory), scores());
        let wanted = factory.create(0).apply(&scores).unwrap();
        let (mut stage, mut got) = (factory.create(0), Vec::new());
        for some in scores.chunks(7) {
            got.extend(stage.apply(some).unwrap());
            stage = factory.restore(0, &stage.snapshot()).unwrap();
        }
        assert!(got == wanted);
        let decided: Vec<_> = wanted
            .iter()
            .filter_map(|outcome| if let Outcome::Emit(records) = outcome { Some(records) } else { None })
            .collect();
        let [records] = decided.as_slice() else { panic!("{decided:?}") };
        assert_eq!((&*records[0].topic, &*records[0].key), (topics::MODEL_DECISIONS, b"gru".as_slice()));
        let decision = ModelDecision::decode(records[0].value.as_deref().unwrap()).unwrap();
        assert_eq!((decision.verdict, decision.numbers.workloads), (TrialVerdict::Better, 4));
        assert!(factory.restore(0, &[1, 2, 3]).is_err());
    }
}
