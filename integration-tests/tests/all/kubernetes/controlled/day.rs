//! What is decided for a generated fleet, carried out against a real API server where controllers are real and kwok plays the
//! nodes, while actuators are killed: what there is agrees with what is to be within a minute.
//!
//! By default it is the 40 minutes in which most is decided; with `FLEET_HOURS` it is so many hours from the fleet's
//! beginning (`cargo xtask test-peers kubernetes` has a day).

use crate::kubernetes::deployment;
use crate::kubernetes::world::World;
use bus_tests::conformance::fixture::pass;
use bus_tests::faults::seed::Chance;
use integration_tests::actuators::replicas;
use integration_tests::pipeline::{Pipeline, said};
use prescale::services::SERVICES;
use prescale::settings::Settings;
use prescale_bus::Bus;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_chassis::Loader;
use prescale_collector::Event;
use prescale_contracts::{Contract, topics};
use prescale_domain::action::{Action, ActionOutcome};
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const WORKLOADS: u32 = 50;
/// Event time goes so many times as fast as the wall clock.
const SPEED: i64 = 60;
/// Hours of the fleet that the cut is taken from.
const HOURS: u32 = 4;
/// Event time that the cut lasts.
const CUT_S: i64 = 40 * 60;
/// What there is agrees with what is to be within so long, by the wall clock.
const AGREES_WITHIN: Duration = Duration::from_secs(60);
/// The cluster is looked at so often.
const LOOKED_AT_EVERY: Duration = Duration::from_millis(500);
/// Of two actuators the one that acts is killed once in so long, by the wall clock.
const KILLED_EVERY_S: usize = 30;

/// A change of a workload's number of replicas.
#[derive(Clone, Debug)]
struct Change {
    at: EventTime,
    /// A name for its Deployment.
    name: String,
    from: u32,
    to: u32,
}

/// What is told of a Deployment.
#[derive(Default)]
struct Told {
    ids: Vec<Arc<str>>,
    /// In their order.
    replicas: Vec<u64>,
    /// Since when it has not had the last of them.
    since: Option<Instant>,
}

/// What is decided for the fleet in its first hours and changes the number of replicas, in order.
fn decided(hours: u32) -> Vec<Change> {
    let text = format!(
        "[bus]\npartitions = 2\n[telemetry]\nlisten = \"127.0.0.1:0\"\n[collector.host]\nenabled = false\n\
         [collector.fleet]\nenabled = true\nworkloads = {WORKLOADS}\nstart = \"2026-03-02T06:00:00Z\"\n\
         until = \"+{hours}h\"\n[planner]\npolicy = \"threshold\"\nmechanism = \"replicas\"\n"
    );
    let loader = Loader::from_text(Path::new("prescale.toml"), &text, []).expect("it is TOML");
    let settings = Settings::read(&SERVICES, &loader).expect("the keys are known");
    let folder = tempfile::tempdir().expect("a folder for the log");
    let log = EmbeddedBus::open(folder.path().join("prescale.db"), EmbeddedOptions::default());
    let bus: Arc<dyn Bus> = Arc::new(log.expect("the log opens"));
    let pipeline = Pipeline::start(&bus, &settings);
    pipeline.collect_until(|event| matches!(event, Event::FleetEnded { .. }));
    pipeline.stop();
    let decode = |value: &[u8]| Action::decode(value).expect("it is whole");
    let records = said(bus.as_ref(), topics::ACTIONS).into_iter();
    let actions = records.map(|record| decode(record.value.as_deref().expect("a value")));
    let mut actions: Vec<Action> = actions.filter(|action| !action.is_withdrawal() && !action.dry_run).collect();
    actions.sort_by_key(|action| action.decided_at);
    let mut are: BTreeMap<WorkloadId, (usize, u32)> = BTreeMap::new();
    let mut changes = Vec::new();
    for action in actions {
        let (nth, to) = (are.len(), action.desired.replicas);
        let (number, is) = are.entry(action.workload.clone()).or_insert((nth, action.current.replicas));
        let from = std::mem::replace(is, to);
        if from != to {
            changes.push(Change { at: action.decided_at, name: format!("web-{number}"), from, to });
        }
    }
    changes
}

/// The part of so much event time in which most is decided.
fn densest(changes: &[Change], span_s: i64) -> &[Change] {
    let end = |begin: usize| changes.partition_point(|change| change.at < changes[begin].at.plus_s(span_s));
    let begin = (0..changes.len()).max_by_key(|begin| end(*begin) - begin).expect("something is decided");
    &changes[begin..end(begin)]
}

/// A fleet of Deployments, and the actuators before it.
struct Day {
    world: World,
    told: BTreeMap<String, Told>,
    chance: Chance,
    kill_at: Instant,
    kills: usize,
}

impl Day {
    /// With what the changes begin from.
    fn before(changes: &[Change]) -> Self {
        let mut world = World::controlled(&["look", "scale"], "call_deadline_s = 5");
        let mut told: BTreeMap<String, Told> = BTreeMap::new();
        for Change { name, from, .. } in changes {
            if !told.contains_key(name) {
                world.cluster.apply(&deployment(&world.namespace, name, *from));
                told.insert(name.clone(), Told::default());
            }
        }
        told.keys().for_each(|name| world.until_ready(name));
        world.start();
        world.start();
        Self { world, told, chance: Chance::of("day"), kill_at: Instant::now(), kills: 0 }
    }

    fn plays(&mut self, changes: &[Change]) {
        let (began, first) = (Instant::now(), changes[0].at);
        self.next_kill();
        for change in changes {
            let due_ms = (change.at.as_ms() - first.as_ms()) / SPEED;
            let due = began + Duration::from_millis(u64::try_from(due_ms).expect("they are in order"));
            while Instant::now() < due {
                pass(LOOKED_AT_EVERY.min(due.saturating_duration_since(Instant::now())));
                self.looks();
            }
            self.tells(change);
        }
        while self.told.values().any(|told| told.since.is_some()) {
            pass(LOOKED_AT_EVERY);
            self.looks();
        }
    }

    fn tells(&mut self, change: &Change) {
        let action = replicas(&self.world.namespace, &change.name, change.from, change.to);
        let id = self.world.actuators.tell(&action);
        let told = self.told.get_mut(&change.name).expect("it has its Deployment");
        told.ids.push(id);
        told.replicas.push(change.to.into());
        told.since = Some(Instant::now());
    }

    /// Fails where a Deployment has not been as it is to be for a minute.
    fn looks(&mut self) {
        let list = self.world.get(&format!("/apis/apps/v1/namespaces/{}/deployments", self.world.namespace));
        for object in list["items"].as_array().expect("a list") {
            let told = self.told.get_mut(object["metadata"]["name"].as_str().expect("a name"));
            let Some((told, since)) = told.and_then(|told| told.since.map(|since| (told, since))) else { continue };
            let wanted = json!(told.replicas.last());
            let are = |count: &Value| *count == wanted;
            let has = are(&object["spec"]["replicas"])
                && are(&object["status"]["replicas"])
                && are(&object["status"]["readyReplicas"]);
            if has {
                told.since = None;
            } else {
                assert!(since.elapsed() < AGREES_WITHIN, "{wanted} were to be there by now: {object}");
            }
        }
        if self.kill_at <= Instant::now() {
            self.world.actuators.kill_oldest();
            self.world.start();
            self.kills += 1;
            self.next_kill();
        }
    }

    fn next_kill(&mut self) {
        let most = 2 * 1000 * KILLED_EVERY_S;
        self.kill_at = Instant::now() + self.chance.millis(1000..most);
    }

    /// Each action has one result, and took effect at most once and in its order, by the server's audit log.
    fn ends(self) {
        let of_actuators = self.world.asked();
        let results: BTreeMap<Arc<str>, ActionOutcome> =
            self.told.values().flat_map(|told| &told.ids).map(|id| (Arc::clone(id), self.outcome(id))).collect();
        let ids: BTreeSet<&Arc<str>> = self.told.values().flat_map(|told| &told.ids).collect();
        assert_eq!(results.len(), ids.len());
        let applied = results.values().filter(|outcome| matches!(outcome, ActionOutcome::Applied { .. })).count();
        for (name, told) in &self.told {
            let of_it = of_actuators.iter().filter(|event| event.is_effect() && event.name == *name);
            let mut set = of_it.filter_map(|event| event.body["spec"]["replicas"].as_u64()).peekable();
            for replicas in &told.replicas {
                set.next_if_eq(replicas);
            }
            assert_eq!(set.next(), None, "beyond, or in another order than {:?} of {name}", told.replicas);
        }
        println!("{} actions, {applied} applied, {} kills", ids.len(), self.kills);
        assert!(applied > 0 && self.kills > 0);
    }

    /// What became of an action; what is no failure of ours.
    fn outcome(&self, id: &str) -> ActionOutcome {
        let outcome = self.world.actuators.result(id).outcome;
        let is_well = matches!(outcome, ActionOutcome::Applied { .. } | ActionOutcome::Superseded { .. });
        assert!(is_well, "{outcome:?}");
        outcome
    }
}

#[test]
fn what_there_is_agrees_with_what_is_decided_within_a_minute() {
    let hours = std::env::var("FLEET_HOURS").ok();
    let hours: Option<u32> = hours.map(|hours| hours.parse().expect("FLEET_HOURS is a number"));
    let all = decided(hours.unwrap_or(HOURS));
    let changes = if hours.is_some() { &all[..] } else { densest(&all, CUT_S) };
    assert!(changes.len() > 10, "that is little to do: {changes:?}");
    let mut day = Day::before(changes);
    day.plays(changes);
    day.ends();
}
