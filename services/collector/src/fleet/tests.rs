//! The fleet on an embedded bus, with a stage that answers its samples with results of actions.

use super::*;
use crate::config::{Config, HostConfig};
use crate::run::run_observed;
use crate::testing::{Mishap, Mishappen, TestBus};
use prescale_bus::StageFailure;
use prescale_chassis::{
    Graph, Ids, Input, Outgoing, Reply, StageEntry, TypedStage, TypedStageFactory, audit, stage_factory,
};
use prescale_contracts::topics;
use prescale_domain::action::{ActionOutcome, ActionResult};
use prescale_domain::sample::{Capacity, Sample};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// The workload that gets other capacity each half hour.
const CHANGED: &str = "t-consumer-0001";
const HALF_HOUR_MS: i64 = 1_800_000;

/// Stands where all stages do, and says what an actuator would.
struct Cloud;

const CLOUD: StageEntry = StageEntry {
    stage: "cloud",
    input: topics::RAW_KPIS,
    outputs: &[topics::ACTION_RESULTS],
    ids: Ids::OfInput,
    audit: audit::each,
};

fn context() -> Context {
    Context::default().with_graph(Graph::new(&[CLOUD]))
}

impl TypedStage for Cloud {
    type In = Sample;

    fn apply(&mut self, batch: Vec<Input<Sample>>) -> Result<Vec<Reply>, StageFailure> {
        batch.into_iter().map(|input| Ok(Reply::Emit(answers(&input)?))).collect()
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }
}

fn replicas_from(at: EventTime) -> u32 {
    20 + (at.as_ms() / HALF_HOUR_MS % 5) as u32
}

fn answers(input: &Input<Sample>) -> Result<Vec<Outgoing>, StageFailure> {
    let sample = &input.value;
    if sample.workload.as_str() != CHANGED || sample.at.as_ms() % HALF_HOUR_MS != 0 {
        return Ok(Vec::new());
    }
    let before = sample.capacity.clone().expect("the fleet has a capacity");
    let applied = ActionResult {
        workload: sample.workload.clone(),
        action_id: "a".into(),
        at: sample.at,
        outcome: ActionOutcome::Applied { effective_at: sample.at.plus_s(120) },
        after: Capacity { replicas: replicas_from(sample.at), ..before.clone() },
        before,
        price_per_h: None,
        platform: sample.platform,
    };
    let dry = ActionResult {
        outcome: ActionOutcome::DRY_RUN,
        after: Capacity { replicas: 1, ..applied.before.clone() },
        ..applied.clone()
    };
    [applied, dry]
        .iter()
        .zip(0..)
        .map(|(result, n)| Outgoing::following(&input.envelope, CLOUD.stage, n, &[topics::ACTION_RESULTS], result))
        .collect()
}

impl TypedStageFactory for Cloud {
    type Stage = Cloud;

    fn name(&self) -> &'static str {
        CLOUD.stage
    }

    fn output_topics(&self) -> Vec<&'static str> {
        CLOUD.outputs.to_vec()
    }

    fn state_schema(&self) -> String {
        "none".to_owned()
    }

    fn create(&self, _partition: u32) -> Cloud {
        Cloud
    }

    fn restore(&self, _partition: u32, _snapshot: &[u8]) -> Result<Cloud, String> {
        Ok(Cloud)
    }
}

fn config() -> Config {
    let fleet = FleetConfig {
        enabled: true,
        name: "t".to_owned(),
        workloads: 5,
        start: "2024-01-01T00:00:00Z".parse().unwrap(),
        until: "+4h".parse().unwrap(),
        missing_samples_share: 0.0,
        ..FleetConfig::default()
    };
    Config { fleet, host: HostConfig { enabled: false, ..HostConfig::default() }, ..Config::default() }
}

/// Runs the fleet until it is at its end or the bus stops it; tells which.
fn run_fleet(bus: Arc<dyn Bus>, config: &Config, shutdown: &CancellationToken) -> Result<bool> {
    let ended = Mutex::new(false);
    run_observed(config, &context(), bus, shutdown, &|event| {
        if let Event::FleetEnded { .. } = event {
            *ended.lock().unwrap() = true;
            shutdown.cancel();
        }
    })?;
    Ok(ended.into_inner().unwrap())
}

/// Runs `work` beside the stage that answers.
fn beside_the_cloud<T>(bus: &Arc<dyn Bus>, work: impl FnOnce() -> T) -> T {
    let stop = CancellationToken::new();
    std::thread::scope(|threads| {
        let (options, token) = (context().stage_options(CLOUD.stage), stop.clone());
        let stage = threads.spawn(move || bus.run_stage(stage_factory(Cloud), &options, &token));
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        stop.cancel();
        stage.join().unwrap().unwrap();
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[test]
fn what_was_applied_is_felt_from_the_next_chunk_on() {
    let test = TestBus::new();
    let done = beside_the_cloud(&test.bus, || run_fleet(Arc::clone(&test.bus), &config(), &CancellationToken::new()));
    assert!(done.unwrap());
    let samples = test.samples();
    assert_eq!(samples.len(), 5 * 240);
    let of_changed: Vec<&Sample> = samples.iter().filter(|s| s.workload.as_str() == CHANGED).collect();
    let initial = of_changed[0].capacity.as_ref().unwrap().replicas;
    for (minute, sample) in of_changed.iter().enumerate() {
        // Decided at the half hour, effective two minutes later, heard of after the chunk of five.
        let decided = sample.at.plus_s(-300).bin(1800);
        let wanted = if minute < 5 { initial } else { replicas_from(EventTime::of_bin(decided, 1800)) };
        assert_eq!(sample.capacity.as_ref().unwrap().replicas, wanted, "minute {minute}");
    }
    let others = samples.iter().filter(|s| s.workload.as_str() != CHANGED);
    let capacities: BTreeSet<(String, u32)> =
        others.map(|s| (s.workload.to_string(), s.capacity.as_ref().unwrap().replicas)).collect();
    assert_eq!(capacities.len(), 4, "one each");
}

#[test]
fn without_stages_the_history_is_written_all_the_same() {
    let test = TestBus::new();
    let mut config = config();
    config.fleet.settle_s_max = 0;
    assert!(run_fleet(Arc::clone(&test.bus), &config, &CancellationToken::new()).unwrap());
    assert_eq!(test.samples().len(), 5 * 240);
    let records = test.records(topics::RAW_KPIS);
    assert!(run_fleet(Arc::clone(&test.bus), &config, &CancellationToken::new()).unwrap(), "it is at its end");
    assert_eq!(test.records(topics::RAW_KPIS), records);
}

#[test]
fn another_fleet_under_the_same_name_is_refused() {
    let test = TestBus::new();
    let mut config = config();
    config.fleet.settle_s_max = 0;
    assert!(run_fleet(Arc::clone(&test.bus), &config, &CancellationToken::new()).unwrap());
    config.fleet.seed = 2;
    let error = run_fleet(Arc::clone(&test.bus), &config, &CancellationToken::new()).unwrap_err();
    assert!(format!("{error:#}").contains("[collector.fleet] name"), "{error:#}");
    assert!(position::decode(&[9, 9], &settings_of(&config.fleet)).is_err());
}

/// Runs a fleet that follows the clock until it has written `samples` live ones.
fn run_live(test: &TestBus, config: &Config, samples: usize) {
    let (shutdown, live) = (CancellationToken::new(), CancellationToken::new());
    std::thread::scope(|threads| {
        let running = threads.spawn(|| {
            run_observed(config, &context(), Arc::clone(&test.bus), &shutdown, &|event| {
                if event == Event::FleetLive {
                    live.cancel();
                }
            })
        });
        while !live.is_cancelled() && !running.is_finished() {
            std::thread::yield_now();
        }
        let before = test.records(topics::RAW_KPIS).len();
        while test.records(topics::RAW_KPIS).len() < before + samples && !running.is_finished() {
            std::thread::yield_now();
        }
        shutdown.cancel();
        running.join().unwrap().unwrap();
    });
}

#[test]
fn it_goes_on_live_and_leaves_no_gap_over_a_restart() {
    let test = TestBus::new();
    let mut config = config();
    let fleet = FleetConfig {
        start: Default::default(),
        until: Default::default(),
        workloads: 2,
        step_s: 1,
        feedback_s: 5,
        history_s: 20,
        settle_s_max: 0,
        ..config.fleet
    };
    config.fleet = fleet;
    for _ in 0..2 {
        run_live(&test, &config, 4);
    }
    let samples = test.samples();
    let of_first = samples.iter().filter(|s| s.workload.as_str() == "t-office-0000");
    let instants: Vec<i64> = of_first.map(|s| s.at.as_ms() / 1000).collect();
    assert!(instants.windows(2).all(|pair| pair[1] == pair[0] + 1), "{instants:?}");
    assert!(instants.len() >= 20 && instants[0] % 5 == 0 && 2 * instants.len() == samples.len());
}

#[test]
fn a_stop_that_was_too_long_leaves_out_what_is_older_than_the_history() {
    let test = TestBus::new();
    let mut config = config();
    config.fleet.settle_s_max = 0;
    assert!(run_fleet(Arc::clone(&test.bus), &config, &CancellationToken::new()).unwrap());
    config.fleet.until = Default::default();
    config.fleet.history_s = 600;
    let before = crate::clock::now();
    let shutdown = CancellationToken::new();
    run_observed(&config, &context(), Arc::clone(&test.bus), &shutdown, &|event| {
        if event == Event::FleetLive {
            shutdown.cancel();
        }
    })
    .unwrap();
    let samples = test.samples();
    let later: Vec<&Sample> = samples.iter().skip(5 * 240).collect();
    assert!(later[0].at >= before.plus_s(-900) && later.len() <= 5 * 16, "{} samples", later.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_stop_at_any_write_changes_no_record(
        stop_at in 0u64..30,
        mishap in prop::sample::select(vec![Mishap::StopBefore, Mishap::StopAfter, Mishap::FailBefore, Mishap::FailAfter]),
    ) {
        let mut config = config();
        config.fleet.until = "+2h".parse().unwrap();
        let (test, undisturbed) = (TestBus::new(), TestBus::new());
        beside_the_cloud(&undisturbed.bus, || {
            assert!(run_fleet(Arc::clone(&undisturbed.bus), &config, &CancellationToken::new()).unwrap());
        });
        beside_the_cloud(&test.bus, || {
            let shutdown = CancellationToken::new();
            let bus = Mishappen::new(&test.bus, stop_at, mishap, &shutdown);
            if !run_fleet(Arc::new(bus), &config, &shutdown).unwrap() {
                assert!(run_fleet(Arc::clone(&test.bus), &config, &CancellationToken::new()).unwrap());
            }
        });
        prop_assert_eq!(test.records(topics::RAW_KPIS), undisturbed.records(topics::RAW_KPIS));
        prop_assert_eq!(test.records(topics::ACTION_RESULTS), undisturbed.records(topics::ACTION_RESULTS));
    }
}
