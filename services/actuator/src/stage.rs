//! The actuator as a stage of the bus.

use prescale_bus::{Rejection, StageFailure, StateSchema};
use prescale_chassis::{Input, Outgoing, Reply, TypedStage, TypedStageFactory};
use prescale_contracts::{Envelope, topics};
use prescale_domain::action::{Action, ActionOutcome, ActionResult};
use prescale_domain::cloud::{CloudRules, SimulatedCloud};
use prescale_domain::policy::violations;
use prescale_domain::sample::Platform;
use std::sync::Arc;

/// Name of the stage.
pub const NAME: &str = "actuator";
/// Code under which plans that contradict themselves are rejected.
pub const UNSOUND_PLAN: &str = "unsound_plan";

/// Layout of the state; goes up when it changes.
const STATE_LAYOUT: u32 = 1;

/// Makes the stage's instances.
pub struct Factory {
    rules: Arc<CloudRules>,
}

/// The stage on one partition: its state is the simulated cloud of the partition's workloads.
pub struct ActuatorStage {
    rules: Arc<CloudRules>,
    cloud: SimulatedCloud,
}

impl Factory {
    /// Of checked rules.
    pub fn new(rules: Arc<CloudRules>) -> Self {
        Self { rules }
    }
}

impl TypedStageFactory for Factory {
    type Stage = ActuatorStage;

    fn name(&self) -> &'static str {
        NAME
    }

    fn output_topics(&self) -> Vec<&'static str> {
        crate::STAGE.outputs.to_vec()
    }

    fn state_schema(&self) -> String {
        StateSchema::of(NAME, STATE_LAYOUT).made_under_all_of("checksum of the cloud's rules", &self.rules).to_string()
    }

    fn create(&self, _partition: u32) -> ActuatorStage {
        ActuatorStage { rules: Arc::clone(&self.rules), cloud: SimulatedCloud::default() }
    }

    fn restore(&self, _partition: u32, snapshot: &[u8]) -> Result<ActuatorStage, String> {
        let cloud = bitcode::decode(snapshot).map_err(|e| format!("it is no state of the actuator: {e}"))?;
        Ok(ActuatorStage { rules: Arc::clone(&self.rules), cloud })
    }
}

impl TypedStage for ActuatorStage {
    type In = Action;

    fn apply(&mut self, batch: Vec<Input<Action>>) -> Result<Vec<Reply>, StageFailure> {
        batch.iter().map(|input| self.reply(input)).collect()
    }

    fn snapshot(&self) -> Vec<u8> {
        bitcode::encode(&self.cloud)
    }
}

impl ActuatorStage {
    fn reply(&mut self, Input { envelope, value: action }: &Input<Action>) -> Result<Reply, StageFailure> {
        if action.is_withdrawal() {
            return Ok(Reply::Emit(vec![self.withdraw(envelope, action)?]));
        }
        let wrong = violations(action);
        if !wrong.is_empty() {
            let message = format!("the plan for {} is not carried out: {}", action.workload, wrong.join("; "));
            return Ok(Reply::Reject(Rejection { code: UNSOUND_PLAN, message }));
        }
        let result = self.carry_out(&envelope.id, action);
        Ok(Reply::Emit(vec![Outgoing::following(envelope, NAME, 0, &[topics::ACTION_RESULTS], &result)?]))
    }

    /// An action that was withdrawn takes the place of the one before, and nothing is called. What that one has
    /// changed already stays: the simulated cloud carries an action out as it comes.
    fn withdraw(&mut self, envelope: &Envelope, action: &Action) -> Result<Outgoing, StageFailure> {
        self.cloud.withdraw(&action.workload, action.decided_at);
        let why = action.reasons.last().map_or_else(|| "the action is void".to_owned(), |reason| reason.text.clone());
        let result = self.unchanged(&envelope.id, action, ActionOutcome::Superseded { why });
        Outgoing::following(envelope, NAME, 0, &[topics::ACTION_RESULTS], &result)
    }

    fn carry_out(&mut self, action_id: &Arc<str>, action: &Action) -> ActionResult {
        if action.dry_run {
            return self.unchanged(action_id, action, ActionOutcome::DryRun);
        }
        match action.platform {
            Platform::Simulated => self.cloud.apply(&self.rules, action_id, action),
            Platform::Kubernetes | Platform::OpenStack | Platform::ObservedOnly => {
                let why =
                    format!("this build has no driver for {:?}: set [planner.dry_run] elsewhere", action.platform);
                self.unchanged(action_id, action, ActionOutcome::Failed { why, retryable: false })
            }
        }
    }

    fn unchanged(&self, action_id: &Arc<str>, action: &Action, outcome: ActionOutcome) -> ActionResult {
        ActionResult {
            workload: action.workload.clone(),
            action_id: Arc::clone(action_id),
            at: action.decided_at,
            outcome,
            before: action.current.clone(),
            after: action.current.clone(),
            price_per_h: self.rules.prices.price_per_h(&action.current),
            platform: action.platform,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prescale_contracts::Contract;
    use prescale_domain::action::{Mechanism, Verdict};
    use prescale_domain::sample::Capacity;
    use prescale_domain::time::EventTime;
    use prescale_domain::workload::WorkloadId;

    fn input(at_s: i64, from: u32, to: u32) -> Input<Action> {
        let capacity = |replicas| Capacity {
            replicas,
            cpu_cores_per_replica: 1.0,
            memory_bytes_per_replica: 4e9,
            instance_type: None,
        };
        let workload = WorkloadId::new("web").unwrap();
        let decided_at = EventTime::from_s(at_s);
        let envelope = Envelope::root("test", Action::EVENT_TYPE, &workload, decided_at, "0");
        let value = Action {
            workload,
            decided_at,
            valid_until: decided_at.plus_s(900),
            prediction_id: "p".into(),
            policy: "threshold".into(),
            verdict: if to > from { Verdict::ScaleOut } else { Verdict::ScaleIn },
            current: capacity(from),
            desired: capacity(to),
            mechanism: Mechanism::Replicas,
            dry_run: false,
            evidence: Vec::new(),
            reasons: Vec::new(),
            platform: Platform::Simulated,
        };
        Input { envelope, value }
    }

    fn factory() -> Factory {
        Factory::new(Arc::new(CloudRules::default()))
    }

    fn result(reply: &Reply) -> ActionResult {
        let Reply::Emit(outgoing) = reply else { panic!("{reply:?} is no result") };
        let record = &outgoing[0].records()[0];
        assert_eq!(&*record.topic, topics::ACTION_RESULTS);
        Contract::decode(record.value.as_deref().unwrap()).unwrap()
    }

    #[test]
    fn the_simulated_cloud_answers_each_action_once_also_after_a_restart() {
        let factory = factory();
        let mut stage = factory.create(0);
        let first = stage.apply(vec![input(1000, 2, 4)]).unwrap();
        let answer = result(&first[0]);
        assert_eq!(answer.outcome, ActionOutcome::Applied { effective_at: EventTime::from_s(1120) });
        assert_eq!((answer.before.replicas, answer.after.replicas), (2, 4));
        let mut again = factory.restore(0, &stage.snapshot()).unwrap();
        assert_eq!(again.apply(vec![input(1000, 2, 4)]).unwrap(), first);
        assert!(factory.restore(0, b"nonsense").is_err());
    }

    #[test]
    fn a_dry_run_and_a_platform_without_a_driver_change_nothing() {
        let mut stage = factory().create(0);
        let mut dry = input(1000, 2, 4);
        dry.value.dry_run = true;
        let mut elsewhere = input(1000, 2, 4);
        elsewhere.value.platform = Platform::Kubernetes;
        let replies = stage.apply(vec![dry, elsewhere]).unwrap();
        assert_eq!(result(&replies[0]).outcome, ActionOutcome::DryRun);
        let failed = result(&replies[1]);
        assert!(matches!(failed.outcome, ActionOutcome::Failed { retryable: false, .. }), "{failed:?}");
        assert_eq!((failed.after.replicas, failed.price_per_h.is_some()), (2, true));
        assert_eq!(stage.cloud, SimulatedCloud::default());
    }

    #[test]
    fn what_is_withdrawn_is_not_carried_out_afterwards() {
        let mut stage = factory().create(0);
        stage.apply(vec![input(1000, 2, 3)]).unwrap();
        let mut withdrawal = input(1060, 3, 4);
        let why = prescale_domain::action::Reason { rule: "governor.paused".into(), text: "paused".into() };
        withdrawal.value = withdrawal.value.withdrawn(why);
        let replies = stage.apply(vec![withdrawal, input(1060, 3, 4), input(1120, 3, 4)]).unwrap();
        assert_eq!(result(&replies[0]).outcome, ActionOutcome::Superseded { why: "paused".into() });
        assert!(matches!(result(&replies[1]).outcome, ActionOutcome::Superseded { .. }));
        assert!(matches!(result(&replies[2]).outcome, ActionOutcome::Applied { .. }), "a later one is");
    }

    #[test]
    fn a_plan_that_contradicts_itself_goes_to_the_dead_letters() {
        let mut wrong = input(1000, 2, 4);
        wrong.value.verdict = Verdict::ScaleIn;
        let replies = factory().create(0).apply(vec![wrong]).unwrap();
        assert!(matches!(&replies[0], Reply::Reject(r) if r.code == UNSOUND_PLAN && r.message.contains("scales in")));
    }
}
