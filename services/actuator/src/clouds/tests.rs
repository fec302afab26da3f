//! A cloud that is added to the list is read, checked and asked, and nothing else was touched.

use super::*;
use crate::config::Config;
use crate::stage::Factory;
use crate::stage::tests::{input, result};
use anyhow::{Context as _, ensure};
use bitcode::{Decode, Encode};
use prescale_chassis::{Input, TypedStage, TypedStageFactory};
use prescale_contracts::Contract;
use prescale_domain::action::ActionOutcome;
use prescale_domain::policy::DryRun;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use toml::Table;

/// A cloud that can only add and remove replicas, and forgets none.
const TOY: CloudEntry = CloudEntry {
    platform: Platform::named("toy"),
    mechanisms: &[Mechanism::Replicas],
    section: PartKind::of::<ToyConfig>("toy"),
    how: How::InStage(make_toy),
};

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct ToyConfig {
    takes_s: u32,
}

struct ToyFactory(ToyConfig);

struct Toy {
    config: ToyConfig,
    state: State,
}

#[derive(Default, Encode, Decode)]
struct State {
    replicas: BTreeMap<WorkloadId, u32>,
}

fn make_toy(tables: &Parts) -> Result<Arc<dyn CloudFactory>> {
    let config: &ToyConfig = tables.get("toy").context("[actuator.toy] was not read")?;
    ensure!(config.takes_s < 60, "[actuator.toy] takes_s = {}: at most 59", config.takes_s);
    Ok(Arc::new(ToyFactory(*config)))
}

impl CloudFactory for ToyFactory {
    fn create(&self) -> Box<dyn Cloud> {
        Box::new(Toy { config: self.0, state: State::default() })
    }

    fn restore(&self, snapshot: &[u8]) -> Result<Box<dyn Cloud>, String> {
        let state = bitcode::decode(snapshot).map_err(|e| e.to_string())?;
        Ok(Box::new(Toy { config: self.0, state }))
    }
}

impl Cloud for Toy {
    fn apply(&mut self, action_id: &Arc<str>, action: &Action) -> ActionResult {
        let replicas = self.state.replicas.entry(action.workload.clone()).or_insert(action.current.replicas);
        let before = Capacity { replicas: *replicas, ..action.current.clone() };
        *replicas = action.desired.replicas;
        ActionResult {
            workload: action.workload.clone(),
            action_id: Arc::clone(action_id),
            at: action.decided_at,
            outcome: ActionOutcome::Applied { effective_at: action.decided_at.plus_s(self.config.takes_s.into()) },
            before,
            after: action.desired.clone(),
            price_per_h: self.price_per_h(&action.desired),
            platform: action.platform,
        }
    }

    fn withdraw(&mut self, _workload: &WorkloadId, _decided_at: EventTime) {}

    fn price_per_h(&self, capacity: &Capacity) -> Option<f64> {
        Some(f64::from(capacity.replicas))
    }

    fn snapshot(&self) -> Vec<u8> {
        bitcode::encode(&self.state)
    }
}

fn with_toy() -> Vec<CloudEntry> {
    CLOUDS.into_iter().chain([TOY]).collect()
}

fn config(text: &str) -> Result<Config, String> {
    Config::read(&with_toy(), &text.parse::<Table>().unwrap())
}

fn factory(text: &str) -> Factory {
    Factory::with(&with_toy(), &config(text).unwrap()).unwrap()
}

/// An action on the toy's platform, as it comes from the log.
fn action(at_s: i64, from: u32, to: u32, mechanism: Mechanism) -> Input<Action> {
    let mut input = input(at_s, from, to);
    input.value.platform = TOY.platform;
    input.value.mechanism = mechanism;
    if mechanism == Mechanism::Limits {
        input.value.desired.cpu_cores_per_replica = 0.5;
    }
    input.value = Action::decode(&input.value.encode().unwrap()).unwrap();
    input
}

#[test]
fn its_table_is_read_shown_and_checked() {
    let read = config("[toy]\ntakes_s = 7\n").unwrap();
    let shown = toml::Value::try_from(&read).unwrap();
    assert_eq!(shown["toy"]["takes_s"].as_integer(), Some(7));
    let misspelt = config("[toy]\ntake_s = 7\n").unwrap_err();
    assert_eq!(misspelt, "toy.take_s: unknown key, did you mean \"takes_s\"?");
    let unsound = Factory::with(&with_toy(), &config("[toy]\ntakes_s = 60\n").unwrap()).err().unwrap();
    assert!(unsound.to_string().contains("[actuator.toy] takes_s = 60"));
    let nobodys = Config::read(&CLOUDS, &"[toy]\n".parse::<Table>().unwrap()).unwrap_err();
    assert_eq!(nobodys, "toy: unknown key, known are: kubernetes, openstack, simulated");
}

#[test]
fn it_applies_what_is_decided_for_its_platform_and_nobody_else_does() {
    let factory = factory("[toy]\ntakes_s = 7\n");
    let mut stage = factory.create(0);
    let replies = stage.apply(vec![action(1000, 2, 4, Mechanism::Replicas), input(1000, 2, 4)]).unwrap();
    let by_toy = result(&replies[0]);
    assert_eq!(by_toy.outcome, ActionOutcome::Applied { effective_at: EventTime::from_s(1007) });
    assert_eq!((by_toy.platform, by_toy.after.replicas, by_toy.price_per_h), (TOY.platform, 4, Some(4.0)));
    let simulated = result(&replies[1]);
    assert_eq!(simulated.outcome, ActionOutcome::Applied { effective_at: EventTime::from_s(1120) });

    let mut again = factory.restore(0, &stage.snapshot()).unwrap();
    let next = result(&again.apply(vec![action(1060, 9, 5, Mechanism::Replicas)]).unwrap()[0]);
    assert_eq!(next.before.replicas, 4, "it knows what it was asked for before the restart");
}

#[test]
fn what_it_cannot_do_never_reaches_it() {
    let mut stage = factory("").create(0);
    let refused = result(&stage.apply(vec![action(1000, 2, 2, Mechanism::Limits)]).unwrap()[0]);
    let ActionOutcome::Failed { why, retryable: false } = &refused.outcome else { panic!("{refused:?}") };
    assert!(why.contains("toy") && why.contains("Limits"), "{why}");
    assert_eq!(stage.snapshot(), factory("").create(0).snapshot());
}

#[test]
fn its_platform_is_planned_for_like_any_other() {
    let live = DryRun { simulated: true, elsewhere: false };
    assert!(!live.on(TOY.platform) && DryRun::default().on(TOY.platform));
}

#[test]
fn each_cloud_has_a_platform_of_its_own_and_its_table_has_the_platforms_name() {
    for cloud in &CLOUDS {
        assert_eq!(cloud.section.name(), cloud.platform.as_str());
        assert_ne!(cloud.platform, Platform::OBSERVED_ONLY, "nobody changes it");
    }
    let platforms: BTreeSet<Platform> = CLOUDS.iter().map(|cloud| cloud.platform).collect();
    assert_eq!(platforms.len(), CLOUDS.len());
}
