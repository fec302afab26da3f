//! The stage that watches over how forecasts do: scores in, and where drift of a trained family lasts, the wish that it be
//! trained anew out; and what versions on trial lost, to those who hear of all partitions.

use prescale_bus::{Reach, StageFailure, StateSchema};
use prescale_chassis::audit::{self, Audit};
use prescale_chassis::{Input, Outgoing, Reply, TypedStage, TypedStageFactory};
use prescale_contracts::topics;
use prescale_domain::forecast_score::ForecastScore;
use prescale_domain::promotion::trial_scores;
use prescale_domain::retraining::{DriftWatch, RetrainingRequest};

/// Name of the stage.
pub const NAME: &str = "retrainer";
/// Reason under which scores are counted with which nothing is asked for.
pub const NO_LASTING_DRIFT: &str = "no_lasting_drift";

/// Layout of the state; goes up when it changes.
const STATE_LAYOUT: u32 = 1;

/// Makes the stage's instances.
pub struct Factory;

/// The stage on one partition.
pub struct RetrainerStage {
    watch: DriftWatch,
}

/// Of the stage: no score must, since the log may not hold those any more that say what is usual.
pub(crate) fn audit() -> Box<dyn Audit> {
    Box::new(audit::Newest::or(NO_LASTING_DRIFT))
}

impl TypedStageFactory for Factory {
    type Stage = RetrainerStage;

    fn name(&self) -> &'static str {
        NAME
    }

    fn output_topics(&self) -> Vec<&'static str> {
        crate::RETRAINER.outputs.to_vec()
    }

    fn state_schema(&self) -> String {
        StateSchema::of(NAME, STATE_LAYOUT).to_string()
    }

    fn reach(&self) -> Vec<Reach> {
        vec![Reach { what: "what families usually lose", records_s: 14 * 86_400 }]
    }

    fn create(&self, _partition: u32) -> RetrainerStage {
        RetrainerStage { watch: DriftWatch::default() }
    }

    fn restore(&self, _partition: u32, snapshot: &[u8]) -> Result<RetrainerStage, String> {
        let watch = bitcode::decode(snapshot).map_err(|e| format!("it is no state of the {NAME}: {e}"))?;
        Ok(RetrainerStage { watch })
    }
}

impl TypedStage for RetrainerStage {
    type In = ForecastScore;

    fn apply(&mut self, batch: Vec<Input<ForecastScore>>) -> Result<Vec<Reply>, StageFailure> {
        batch.iter().map(|input| self.reply(input)).collect()
    }

    fn snapshot(&self) -> Vec<u8> {
        bitcode::encode(&self.watch)
    }
}

impl RetrainerStage {
    fn reply(&mut self, input: &Input<ForecastScore>) -> Result<Reply, StageFailure> {
        let Input { envelope, value: score } = input;
        let Some(asked) = self.watch.step(score) else { return Ok(Reply::Drop(audit::STALE)) };
        let trials = trial_scores(score);
        if asked.is_empty() && trials.is_empty() {
            return Ok(Reply::Drop(NO_LASTING_DRIFT));
        }
        let mut ordinals = 0u32..;
        let mut ordinal = || ordinals.next().unwrap_or(u32::MAX);
        let of_request = |request: &RetrainingRequest| {
            Outgoing::following_key(envelope, NAME, &score.workload, ordinal(), &[topics::RETRAINING], request)
        };
        let mut outgoing: Vec<Outgoing> = asked.iter().map(of_request).collect::<Result<_, _>>()?;
        for trial in &trials {
            let ordinal = ordinal();
            outgoing.push(Outgoing::following_key(envelope, NAME, &score.workload, ordinal, &[topics::TRIALS], trial)?);
        }
        Ok(Reply::Emit(outgoing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prescale_bus::{ConsumedRecord, Outcome};
    use prescale_chassis::{output_record, stage_factory};
    use prescale_contracts::{Contract, Envelope};
    use prescale_domain::calibration::drift::DriftState;
    use prescale_domain::forecast_score::{HorizonScore, ResourceScore, StatisticScore, TrialLoss};
    use prescale_domain::kpi::KpiName;
    use prescale_domain::promotion::TrialScore;
    use prescale_domain::source::SourceName;
    use prescale_domain::time::EventTime;
    use prescale_domain::workload::WorkloadId;

    /// Scores of a workload whose forecasts lose three times what they did from the tenth day on.
    fn scores() -> Vec<ConsumedRecord> {
        let score = |hour: i64| {
            let is_worse = hour >= 240;
            let loss = if is_worse { 3.0 } else { 1.0 };
            let value =
                StatisticScore { scored: 12, pinball_loss: loss, realised: 10.0, median: 9.0, judged: 12, held: 10 };
            let resource = ResourceScore {
                resource: KpiName::new("cpu_cores_used"),
                unit: "cores".into(),
                model: "gru".into(),
                model_version: "1".into(),
                drift: Some(if is_worse { DriftState::Reset } else { DriftState::Stable }),
                horizons: vec![HorizonScore { horizon_s: 300, value: Some(value), maximum: None }],
                rounds: 0,
                paired: Vec::new(),
                trials: Vec::new(),
            };
            ForecastScore {
                workload: WorkloadId::new("web").unwrap(),
                source: SourceName::new("fleet:test").unwrap(),
                from: EventTime::from_s(3600 * hour),
                hours: 1,
                resources: vec![resource],
            }
        };
        let record = |hour: i64| {
            let score = score(hour);
            let envelope =
                Envelope::root("test", ForecastScore::EVENT_TYPE, &score.workload, score.from, &hour.to_string());
            output_record(&envelope, topics::FORECAST_SCORES, &score).unwrap().read_at(0, hour)
        };
        (0..400).map(record).collect()
    }

    #[test]
    fn what_a_version_on_trial_lost_goes_to_those_who_hear_of_all() {
        let mut score = ForecastScore::decode(scores()[3].value.as_deref().unwrap()).unwrap();
        let trial = TrialLoss {
            model: "gru".into(),
            model_version: "1".into(),
            candidate_version: "2".into(),
            trial_from: EventTime::from_s(7200),
            rounds: 1,
            pinball_loss: 2.0,
            candidate_loss: 1.0,
        };
        score.resources[0].trials.push(trial);
        let envelope = Envelope::root("test", ForecastScore::EVENT_TYPE, &score.workload, score.from, "3");
        let record = output_record(&envelope, topics::FORECAST_SCORES, &score).unwrap().read_at(0, 3);
        let outcomes = stage_factory(Factory).create(0).apply(&[record]).unwrap();
        let [Outcome::Emit(records)] = outcomes.as_slice() else { panic!("{outcomes:?}") };
        assert_eq!((&*records[0].topic, &*records[0].key, records.len()), (topics::TRIALS, b"gru".as_slice(), 1));
        let told = TrialScore::decode(records[0].value.as_deref().unwrap()).unwrap();
        assert_eq!((told.workload.as_str(), told.rounds), ("web", 1));
        assert!((told.loss - 0.2).abs() < 1e-6 && (told.candidate_loss - 0.1).abs() < 1e-6, "{told:?}");
    }

    #[test]
    fn a_family_is_asked_to_be_trained_anew_by_its_name_and_a_restart_changes_nothing() {
        let (factory, scores) = (stage_factory(Factory), scores());
        let wanted = factory.create(0).apply(&scores).unwrap();
        let mut first = factory.create(0);
        let mut got = first.apply(&scores[..270]).unwrap();
        let mut second = factory.restore(0, &first.snapshot()).unwrap();
        got.extend(second.apply(&scores[270..]).unwrap());
        assert!(got == wanted);
        let asked: Vec<_> = wanted
            .iter()
            .filter_map(|outcome| if let Outcome::Emit(records) = outcome { Some(records) } else { None })
            .collect();
        let [records] = asked.as_slice() else { panic!("{asked:?}") };
        assert_eq!((&*records[0].topic, &*records[0].key), (topics::RETRAINING, b"gru".as_slice()));
        let request = RetrainingRequest::decode(records[0].value.as_deref().unwrap()).unwrap();
        assert_eq!((request.workload.as_str(), &*request.model_version), ("web", "1"));
        assert_eq!(factory.create(0).apply(&[scores[3].clone(), scores[3].clone()]).unwrap().len(), 2);
        assert!(factory.restore(0, &[1, 2, 3]).is_err());
    }
}
