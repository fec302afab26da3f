//! A day of a generated fleet through the whole pipeline. What comes out must not depend on the
//! bus, on how the input was cut, or on restarts.

use bus_tests::kafka_broker::TestBroker;
use integration_tests::pipeline::{Outputs, Pipeline, assert_accounted, assert_same, outputs};
use prescale::settings::Settings;
use prescale_bus::Bus;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_bus::kafka::{KafkaBus, KafkaOptions};
use prescale_chassis::GroupConfig;
use prescale_collector::Event;
use prescale_contracts::{Contract, topics};
use prescale_domain::action::{ActionOutcome, ActionResult};
use prescale_domain::evaluation::Outcome;
use prescale_domain::forecast::GRID_STEP_S;
use prescale_domain::group::GroupPrediction;
use prescale_domain::prediction::Prediction;
use prescale_planner::config::PolicyName;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

const WORKLOADS: u32 = 50;

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.collector.host.enabled = false;
    // It changes much, from the first hour on.
    settings.planner.policy = PolicyName::Threshold;
    let fleet = &mut settings.collector.fleet;
    fleet.enabled = true;
    fleet.workloads = WORKLOADS;
    fleet.start = "2026-03-02T00:00:00Z".parse().expect("an instant");
    fleet.until = "+1d".parse().expect("a length");
    for (name, pattern) in [("all", "*"), ("office", "*-office-*")] {
        let group = GroupConfig { workloads: vec![pattern.to_owned()], sources: Vec::new() };
        settings.grouper.groups.insert(name.to_owned(), group);
    }
    settings
}

fn embedded(folder: &Path) -> Arc<dyn Bus> {
    Arc::new(EmbeddedBus::open(folder.join("prescale.db"), EmbeddedOptions::default()).expect("the log opens"))
}

fn is_fleet_end(event: &Event) -> bool {
    matches!(event, Event::FleetEnded { .. })
}

/// The day in one go on the embedded bus, made once for all tests that compare with it.
fn reference() -> &'static Outputs {
    static REFERENCE: OnceLock<Outputs> = OnceLock::new();
    REFERENCE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder for the log");
        let bus = embedded(folder.path());
        let pipeline = Pipeline::start(&bus, &settings());
        pipeline.collect_until(is_fleet_end);
        pipeline.stop();
        assert_accounted(bus.as_ref(), &settings());
        outputs(bus.as_ref())
    })
}

fn decoded<C: Contract>(outputs: &Outputs) -> Vec<C> {
    let records = &outputs[C::TOPIC];
    records.iter().map(|r| C::decode(r.value.as_deref().expect("a value")).expect("it can be decoded")).collect()
}

#[test]
fn a_day_of_a_fleet_is_fingerprinted_forecast_planned_and_acted_on() {
    let outputs = reference();
    let samples = outputs[topics::RAW_KPIS].len();
    assert!(samples > 1440 * WORKLOADS as usize * 98 / 100, "{samples} samples");
    assert!(outputs[topics::FINGERPRINTS].len() > samples * 99 / 100);
    let predictions = decoded::<Prediction>(outputs);
    let last: BTreeMap<_, _> = outputs[topics::PREDICTIONS].iter().map(|said| (&said.key, &said.value)).collect();
    let latest: BTreeMap<_, _> = outputs[topics::PREDICTIONS_LATEST].iter().map(|s| (&s.key, &s.value)).collect();
    assert_eq!(latest, last);
    let of_model = |name: &str| predictions.iter().filter(|p| p.resources.iter().any(|r| &*r.model == name)).count();
    assert!(of_model("gru") > predictions.len() * 9 / 10, "the GRU forecasts once it has an hour");
    let a_bin = samples / 5;
    assert!((a_bin * 95 / 100..a_bin * 2).contains(&predictions.len()), "{} in {a_bin} bins", predictions.len());
    let told: usize = predictions.iter().map(|prediction| 1 + prediction.earlier.len()).sum();
    let waiting = WORKLOADS as usize * 4;
    assert!(told <= samples && told + waiting > samples * 98 / 100, "{told} of {samples} values are told, each once");
    let workloads: BTreeSet<_> = predictions.iter().map(|p| p.workload.as_str()).collect();
    assert_eq!(workloads.len(), WORKLOADS as usize);
    let results = decoded::<ActionResult>(outputs);
    let applied = results.iter().filter(|r| matches!(r.outcome, ActionOutcome::Applied { .. })).count();
    assert!(applied > 20, "{applied} of {} actions were applied", results.len());
    let felt = predictions.iter().filter_map(|p| p.capacity.as_ref()).map(|c| c.replicas).collect::<BTreeSet<_>>();
    assert!(felt.len() > 3, "the fleet feels its capacity: {felt:?}");
}

/// Each bin of a group has the sum of the forecasts that its members had made in it, as of the instant when the last
/// member had reported.
#[test]
fn groups_are_the_sums_of_their_members() {
    let outputs = reference();
    let (groups, members) = (decoded::<GroupPrediction>(outputs), decoded::<Prediction>(outputs));
    for (group, is_member) in [("all", (|_| true) as fn(&str) -> bool), ("office", |name| name.contains("-office-"))] {
        let of_group: Vec<_> = groups.iter().filter(|p| p.group.as_str() == group).collect();
        assert!(of_group.len() > 270, "{} of 288 bins, without the first half hour", of_group.len());
        let members: Vec<_> = members.iter().filter(|m| is_member(m.workload.as_str())).collect();
        let count = members.iter().map(|m| &m.workload).collect::<BTreeSet<_>>().len();
        let share = |holds: fn(&GroupPrediction, usize) -> bool| {
            of_group.iter().filter(|p| holds(p, count)).count() as f64 / of_group.len() as f64
        };
        let complete = share(|p, count| p.members.reported as usize == count);
        let known = share(|p, count| p.members.known() as usize == count);
        assert!(complete > 0.7 && known > 0.95, "{complete} are complete, {known} with who was silent for a while");
        let bin = |at: prescale_domain::time::EventTime| at.bin(GRID_STEP_S);
        let in_the_middle = of_group[of_group.len() / 2];
        let of_its_bin = members.iter().filter(|m| bin(m.made_at) == bin(in_the_middle.made_at));
        let firsts: BTreeMap<_, _> = of_its_bin.map(|m| (&m.workload, m)).rev().collect();
        let upper: f64 = firsts.values().map(|m| m.resources[0].horizons[2].value.values()[6]).sum();
        let lower: f64 = firsts.values().map(|m| m.resources[0].horizons[2].value.values()[0]).sum();
        let made = &in_the_middle.resources[0].horizons[2].value;
        assert!((lower..upper).contains(&made.median()), "{lower} {made:?} {upper}");
        assert!(made.values()[0] > lower && made.values()[6] < upper, "it is surer than its members: {made:?}");
    }
}

/// The hour that the day ends in is never over.
#[test]
fn each_hour_of_each_workload_has_its_outcome() {
    let mut by_workload: BTreeMap<_, Vec<Outcome>> = BTreeMap::new();
    for outcome in decoded::<Outcome>(reference()) {
        by_workload.entry(outcome.workload.clone()).or_default().push(outcome);
    }
    assert_eq!(by_workload.len(), WORKLOADS as usize);
    let (mut plan_core_s, mut capacity_core_s, mut changes) = (0.0, 0.0, 0);
    for hours in by_workload.values() {
        let numbers: Vec<i64> = hours.iter().map(|hour| hour.from.bin(3600).rem_euclid(24)).collect();
        assert_eq!(numbers, (0..23).collect::<Vec<_>>());
        for Outcome { sums, is_dry_run, .. } in hours {
            assert!(!is_dry_run && sums.observed_s > 2400.0 && sums.observed_s <= 3600.0, "{sums:?}");
            plan_core_s += sums.plan.capacity_core_s;
            capacity_core_s += sums.capacity.capacity_core_s;
            changes += sums.capacity.changes;
        }
    }
    assert!(changes > 20, "{changes} changes were felt");
    assert!((plan_core_s / capacity_core_s - 1.0).abs() < 0.02, "{plan_core_s} {capacity_core_s}");
}

#[test]
fn kafka_gives_the_same_day() {
    let state_dir = tempfile::tempdir().expect("a folder for snapshots");
    let options = KafkaOptions {
        bootstrap_servers: TestBroker::shared().bootstrap_servers(),
        topic_prefix: TestBroker::unique_prefix(),
        state_dir: state_dir.path().to_owned(),
        ..KafkaOptions::default()
    };
    let bus: Arc<dyn Bus> = Arc::new(KafkaBus::connect(options).expect("the broker answers"));
    let pipeline = Pipeline::start(&bus, &settings());
    pipeline.collect_until(is_fleet_end);
    pipeline.stop();
    assert_accounted(bus.as_ref(), &settings());
    assert_same(&outputs(bus.as_ref()), reference());
}

/// Everything is stopped and started again several times in the middle of the day, each time over
/// a bus that is opened anew.
#[test]
fn restarts_give_the_same_day() {
    let folder = tempfile::tempdir().expect("a folder for the log");
    let chunks = AtomicU64::new(0);
    for stop_after_chunks in [37, 80, 141] {
        let bus = embedded(folder.path());
        let mut settings = settings();
        settings.bus.batch_records_max = 61;
        settings.bus.snapshot_every_records = 5000;
        let pipeline = Pipeline::start(&bus, &settings);
        pipeline.collect_until(|event| {
            matches!(event, Event::FleetProgress { .. })
                && chunks.fetch_add(1, Ordering::Relaxed) + 1 >= stop_after_chunks
        });
        pipeline.stop();
    }
    let bus = embedded(folder.path());
    let pipeline = Pipeline::start(&bus, &settings());
    pipeline.collect_until(is_fleet_end);
    pipeline.stop();
    assert_accounted(bus.as_ref(), &settings());
    assert_same(&outputs(bus.as_ref()), reference());
}
