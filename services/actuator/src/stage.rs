//! The actuator as a stage of the bus.

use crate::clouds::{CLOUDS, Cloud, CloudEntry, CloudFactory, How, driven};
use crate::config::Config;
use anyhow::Result;
use prescale_bus::{Rejection, StageFailure, StateSchema};
use prescale_chassis::{Input, Outgoing, Reply, TypedStage, TypedStageFactory};
use prescale_contracts::{Envelope, topics};
use prescale_domain::action::{Action, ActionOutcome, ActionResult, Mechanism};
use prescale_domain::policy::violations;
use prescale_domain::sample::Platform;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Name of the stage.
pub const NAME: &str = "actuator";
/// Code under which plans that contradict themselves are rejected.
pub const UNSOUND_PLAN: &str = "unsound_plan";

/// Reason of actions that a driver carries out.
pub const DRIVEN: &str = "driven";

/// Layout of the state; goes up when it changes.
const STATE_LAYOUT: u32 = 3;

/// Makes the stage's instances.
pub struct Factory {
    config: Config,
    clouds: Vec<(CloudEntry, Arc<dyn CloudFactory>)>,
    driven: Arc<BTreeSet<Platform>>,
}

/// The stage on one partition: its state is that of the clouds, as the partition's workloads see them.
pub struct ActuatorStage {
    clouds: BTreeMap<Platform, Served>,
    /// Platforms whose actions are left to a driver.
    driven: Arc<BTreeSet<Platform>>,
}

/// A cloud and how it can change capacity.
struct Served {
    mechanisms: &'static [Mechanism],
    cloud: Box<dyn Cloud>,
}

impl Factory {
    /// With the clouds that ship.
    ///
    /// # Errors
    /// When the configuration of one cannot be used.
    pub fn new(config: &Config) -> Result<Self> {
        Self::with(&CLOUDS, config)
    }

    /// With these clouds, whose tables are in the configuration.
    ///
    /// # Errors
    /// As [`Factory::new`].
    pub fn with(clouds: &[CloudEntry], config: &Config) -> Result<Self> {
        let mut made = Vec::new();
        for entry in clouds {
            match entry.how {
                How::InStage(make) => made.push((*entry, make(&config.0)?)),
                How::Driven(driver) => (driver.check)(&config.0)?,
            }
        }
        let driven = driven(clouds, &config.0).map(|(entry, _)| entry.platform).collect();
        Ok(Self { config: config.clone(), clouds: made, driven: Arc::new(driven) })
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
        StateSchema::of(NAME, STATE_LAYOUT)
            .made_under_all_of("checksum of the clouds' tables", &self.config)
            .to_string()
    }

    fn create(&self, _partition: u32) -> ActuatorStage {
        let clouds = self.clouds.iter().map(|(entry, factory)| served(entry, factory.create()));
        ActuatorStage { clouds: clouds.collect(), driven: Arc::clone(&self.driven) }
    }

    fn restore(&self, _partition: u32, snapshot: &[u8]) -> Result<ActuatorStage, String> {
        let kept: BTreeMap<Platform, Vec<u8>> =
            bitcode::decode(snapshot).map_err(|e| format!("it is no state of the actuator: {e}"))?;
        let clouds = self.clouds.iter().map(|(entry, factory)| match kept.get(&entry.platform) {
            Some(snapshot) => Ok(served(entry, factory.restore(snapshot)?)),
            None => Ok(served(entry, factory.create())),
        });
        Ok(ActuatorStage { clouds: clouds.collect::<Result<_, String>>()?, driven: Arc::clone(&self.driven) })
    }
}

fn served(entry: &CloudEntry, cloud: Box<dyn Cloud>) -> (Platform, Served) {
    (entry.platform, Served { mechanisms: entry.mechanisms, cloud })
}

impl TypedStage for ActuatorStage {
    type In = Action;

    fn apply(&mut self, batch: Vec<Input<Action>>) -> Result<Vec<Reply>, StageFailure> {
        batch.iter().map(|input| self.reply(input)).collect()
    }

    fn snapshot(&self) -> Vec<u8> {
        let kept: BTreeMap<Platform, Vec<u8>> =
            self.clouds.iter().map(|(platform, served)| (*platform, served.cloud.snapshot())).collect();
        bitcode::encode(&kept)
    }
}

impl ActuatorStage {
    fn reply(&mut self, Input { envelope, value: action }: &Input<Action>) -> Result<Reply, StageFailure> {
        let is_driven = self.driven.contains(&action.platform);
        if action.is_withdrawal() && !is_driven {
            return Ok(Reply::Emit(vec![self.withdraw(envelope, action)?]));
        }
        let wrong = if action.is_withdrawal() { Vec::new() } else { violations(action) };
        if !wrong.is_empty() {
            let message = format!("the plan for {} is not carried out: {}", action.workload, wrong.join("; "));
            return Ok(Reply::Reject(Rejection { code: UNSOUND_PLAN, message }));
        }
        if is_driven {
            return Ok(Reply::Drop(DRIVEN));
        }
        let result = self.carry_out(&envelope.id, action);
        Ok(Reply::Emit(vec![Outgoing::following(envelope, NAME, 0, &[topics::ACTION_RESULTS], &result)?]))
    }

    /// An action that was withdrawn takes the place of the one before, and nothing is called. What that one has
    /// changed already stays: a cloud carries an action out as it comes.
    fn withdraw(&mut self, envelope: &Envelope, action: &Action) -> Result<Outgoing, StageFailure> {
        if let Some(Served { cloud, .. }) = self.clouds.get_mut(&action.platform) {
            cloud.withdraw(&action.workload, action.decided_at);
        }
        let why = action.reasons.last().map_or_else(|| "the action is void".to_owned(), |reason| reason.text.clone());
        let result = self.unchanged(&envelope.id, action, ActionOutcome::Superseded { why });
        Outgoing::following(envelope, NAME, 0, &[topics::ACTION_RESULTS], &result)
    }

    fn carry_out(&mut self, action_id: &Arc<str>, action: &Action) -> ActionResult {
        if action.dry_run {
            return self.unchanged(action_id, action, ActionOutcome::DRY_RUN);
        }
        let why = match self.clouds.get_mut(&action.platform) {
            Some(Served { mechanisms, cloud }) if mechanisms.contains(&action.mechanism) => {
                return cloud.apply(action_id, action);
            }
            Some(_) => format!(
                "its cloud, {}, cannot change capacity by {:?}: set [planner] mechanism",
                action.platform, action.mechanism
            ),
            None => format!(
                "nobody carries actions out on {}: turn its driver on in [actuator], or set [planner.dry_run] elsewhere",
                action.platform
            ),
        };
        self.unchanged(action_id, action, ActionOutcome::Failed { why, retryable: false })
    }

    fn unchanged(&self, action_id: &Arc<str>, action: &Action, outcome: ActionOutcome) -> ActionResult {
        ActionResult {
            workload: action.workload.clone(),
            action_id: Arc::clone(action_id),
            at: action.decided_at,
            outcome,
            before: action.current.clone(),
            after: action.current.clone(),
            price_per_h: self.clouds.get(&action.platform).and_then(|served| served.cloud.price_per_h(&action.current)),
            platform: action.platform,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use prescale_contracts::Contract;
    use prescale_domain::action::Verdict;
    use prescale_domain::sample::Capacity;
    use prescale_domain::time::EventTime;
    use prescale_domain::workload::WorkloadId;

    pub(crate) fn input(at_s: i64, from: u32, to: u32) -> Input<Action> {
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
            platform: Platform::SIMULATED,
        };
        Input { envelope, value }
    }

    fn factory() -> Factory {
        Factory::new(&Config::default()).unwrap()
    }

    pub(crate) fn result(reply: &Reply) -> ActionResult {
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
        elsewhere.value.platform = Platform::KUBERNETES;
        let replies = stage.apply(vec![dry, elsewhere]).unwrap();
        assert_eq!(result(&replies[0]).outcome, ActionOutcome::DRY_RUN);
        let failed = result(&replies[1]);
        assert!(matches!(failed.outcome, ActionOutcome::Failed { retryable: false, .. }), "{failed:?}");
        assert_eq!((failed.after.replicas, failed.price_per_h), (2, None), "nobody knows its prices");
        assert_eq!(stage.snapshot(), factory().create(0).snapshot());
    }

    #[test]
    fn what_a_driver_carries_out_is_left_to_it_unless_it_contradicts_itself() {
        let section = "[kubernetes]\nenabled = true\n".parse().unwrap();
        let config = Config::read(&CLOUDS, &section).unwrap();
        let kubernetes = || {
            let mut input = input(1000, 2, 4);
            input.value.platform = Platform::KUBERNETES;
            input
        };
        let (mut withdrawal, mut wrong) = (kubernetes(), kubernetes());
        let why = prescale_domain::action::Reason { rule: "governor.paused".into(), text: "paused".into() };
        withdrawal.value = withdrawal.value.withdrawn(why);
        wrong.value.verdict = Verdict::ScaleIn;
        let mut stage = Factory::new(&config).unwrap().create(0);
        let replies = stage.apply(vec![kubernetes(), withdrawal, wrong, input(1000, 2, 4)]).unwrap();
        assert_eq!(replies[..2], [Reply::Drop(DRIVEN), Reply::Drop(DRIVEN)]);
        assert!(matches!(&replies[2], Reply::Reject(r) if r.code == UNSOUND_PLAN));
        assert!(
            matches!(result(&replies[3]).outcome, ActionOutcome::Applied { .. }),
            "the simulated cloud is the stage's"
        );
        assert_eq!(crate::uses(&config).len(), 3);
        assert!(crate::uses(&Config::default()).is_empty());
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
