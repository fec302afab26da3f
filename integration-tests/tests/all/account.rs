//! `prescale account` over the log of real services that was tampered with: what is lost, there twice or made up is
//! found out.

use bus_tests::conformance::fixture::read_all;
use integration_tests::pipeline::Pipeline;
use prescale::account::{StageAccount, account};
use prescale::services::installation;
use prescale::settings::Settings;
use prescale::topics::specs;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_bus::{Bus, ConsumedRecord, Outcome, OutputRecord, Stage, StageFactory, StageFailure, StageOptions};
use prescale_chassis::audit::event_time;
use prescale_chassis::{Context, GroupConfig, Settled, StageEntry};
use prescale_collector::Event;
use prescale_contracts::envelope::following_id;
use prescale_contracts::{Contract, topics};
use prescale_domain::action::{Action, Verdict};
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::forecast::GRID_STEP_S;
use prescale_domain::time::EventTime;
use prescale_planner::config::PolicyName;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::thread;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// The group of all workloads, whose members lie in every partition.
const ALL: &str = "all";
/// The group of one workload: each of its forecasts follows from one part.
const ALONE: &str = "alone";

/// By topic, each partition in its order.
type Log = BTreeMap<String, Vec<ConsumedRecord>>;

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.collector.host.enabled = false;
    // It changes much, from the first hour on.
    settings.planner.policy = PolicyName::Threshold;
    settings.detector.log = false;
    let fleet = &mut settings.collector.fleet;
    fleet.enabled = true;
    fleet.workloads = 12;
    fleet.start = "2026-03-02T00:00:00Z".parse().expect("an instant");
    fleet.until = "+5h".parse().expect("a length");
    for (name, pattern) in [(ALL, "*"), (ALONE, "*-0000")] {
        let group = GroupConfig { workloads: vec![pattern.to_owned()], sources: Vec::new() };
        settings.grouper.groups.insert(name.to_owned(), group);
    }
    settings
}

fn open(folder: &TempDir) -> Arc<dyn Bus> {
    let options = EmbeddedOptions { maintenance_every: None, ..EmbeddedOptions::default() };
    Arc::new(EmbeddedBus::open(folder.path().join("prescale.db"), options).expect("the log opens"))
}

/// What the services wrote in five hours of a fleet, made once.
fn written() -> &'static Log {
    static WRITTEN: OnceLock<Log> = OnceLock::new();
    WRITTEN.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder for the log");
        let bus = open(&folder);
        let pipeline = Pipeline::start(&bus, &settings());
        pipeline.collect_until(|event| matches!(event, Event::FleetEnded { .. }));
        pipeline.stop();
        let all = bus.topics().expect("the topics are seen").into_iter().map(|(topic, _)| topic);
        let written = all.filter(|topic| !topic.ends_with(".dlq")).map(|topic| {
            let records = read_all(bus.as_ref(), &topic);
            (topic, records)
        });
        written.collect()
    })
}

/// Reads on, and that is all.
struct Passer(StageEntry);

struct Passed;

impl Stage for Passed {
    fn apply(&mut self, batch: &[ConsumedRecord]) -> Result<Vec<Outcome>, StageFailure> {
        Ok(vec![Outcome::Emit(Vec::new()); batch.len()])
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }
}

impl StageFactory for Passer {
    fn name(&self) -> &'static str {
        self.0.stage
    }

    fn input_topic(&self) -> Arc<str> {
        self.0.input.into()
    }

    fn output_topics(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    fn state_schema(&self) -> String {
        "none".to_owned()
    }

    fn keeps_state(&self) -> bool {
        false
    }

    fn create(&self, _partition: u32) -> Box<dyn Stage> {
        Box::new(Passed)
    }

    fn restore(&self, partition: u32, _snapshot: &[u8]) -> Result<Box<dyn Stage>, String> {
        Ok(self.create(partition))
    }
}

/// Moves the positions of all stages to the ends of the log.
fn pass_all(bus: &dyn Bus, context: &Context) {
    let stop = CancellationToken::new();
    thread::scope(|threads| {
        for entry in context.graph.stages() {
            let (options, stop): (StageOptions, &CancellationToken) = (context.stage_options(entry.stage), &stop);
            threads.spawn(move || bus.run_stage(Arc::new(Passer(*entry)), &options, stop).expect("it runs"));
        }
        let settled = context.settled_through(context.graph.stages(), bus, &stop).expect("the bus answers");
        stop.cancel();
        assert_eq!(settled, Settled::Yes);
    });
}

fn output(record: &ConsumedRecord) -> OutputRecord {
    OutputRecord {
        topic: Arc::clone(&record.topic),
        key: record.key.clone().expect("a key"),
        value: record.value.clone(),
        headers: record.headers.clone(),
    }
}

/// The accounts, by stage, of a log in which one topic was changed.
fn accounts(topic: &str, change: impl FnOnce(&mut Vec<ConsumedRecord>)) -> BTreeMap<String, StageAccount> {
    let folder = tempfile::tempdir().expect("a folder for the log");
    let (bus, settings) = (open(&folder), settings());
    let context = installation(&settings);
    bus.ensure_topics(&specs(&context.graph, settings.bus.partitions, 1)).expect("the topics are made");
    let mut log = written().clone();
    change(log.get_mut(topic).expect("there is such a topic"));
    let mut source = bus.source("copy").expect("the source opens");
    for (topic, records) in &log {
        for (i, chunk) in records.chunks(5000).enumerate() {
            let position = format!("{topic} {i}");
            source.append(chunk.iter().map(output).collect(), position.as_bytes()).expect("it is written");
        }
    }
    pass_all(bus.as_ref(), &context);
    let accounts = account(bus.as_ref(), &context, &CancellationToken::new()).expect("the log is readable");
    accounts.into_iter().map(|account| (account.stage.clone(), account)).collect()
}

/// Without the first record in the second half of the topic that is meant, or the first at all.
fn without(topic: &str, is_meant: impl Fn(&ConsumedRecord) -> bool) -> BTreeMap<String, StageAccount> {
    accounts(topic, |records| {
        let half = records.len() / 2;
        let at = (half..records.len()).chain(0..half).find(|at| is_meant(&records[*at])).expect("there is one");
        records.remove(at);
    })
}

fn decoded<C: Contract>(record: &ConsumedRecord) -> C {
    C::decode(record.value.as_deref().expect("a value")).expect("it can be decoded")
}

fn place(record: &ConsumedRecord) -> (Vec<u8>, Option<EventTime>) {
    (record.key.clone().expect("a key"), event_time(record))
}

/// The topics that stages write and that are not compacted.
const OUTPUTS: [&str; 9] = [
    topics::FINGERPRINTS,
    topics::FORECAST_SCORES,
    topics::PREDICTIONS,
    topics::PROPOSALS,
    topics::ACTIONS,
    topics::ACTION_RESULTS,
    topics::OUTCOMES,
    topics::GROUP_PARTS,
    topics::GROUP_PREDICTIONS,
];

/// Who has nothing to say of a fleet of five hours, which is too young to be unusual, and for drift to last.
const USUAL: [&str; 4] = ["decider", "detector", "incidents", "retrainer"];

#[test]
fn a_copy_of_the_log_adds_up() {
    let accounts = accounts(topics::RAW_KPIS, |_| ());
    assert_eq!(accounts.len(), 11);
    for (stage, account) in &accounts {
        assert_eq!(account.faults(), [""; 0]);
        let is_heard = account.read > 0 && account.followed > 0;
        assert!(is_heard || USUAL.contains(&stage.as_str()), "{account:?}");
        assert_eq!(account.unread, 0, "{account:?}");
        assert_eq!(account.outputs_without_input, 0, "{account:?}");
    }
}

/// An output of a stage that the log shows to have been there.
struct Loss {
    topic: &'static str,
    is_meant: Box<dyn Fn(&ConsumedRecord) -> bool>,
    /// The stage whose account tells: it, or the one that has used the output.
    told_by: &'static str,
}

impl Loss {
    fn of(topic: &'static str, told_by: &'static str, is_meant: impl Fn(&ConsumedRecord) -> bool + 'static) -> Self {
        Self { topic, is_meant: Box::new(is_meant), told_by }
    }
}

/// The places of the records of a topic that are meant.
fn places(topic: &str, is_meant: impl Fn(&ConsumedRecord) -> bool) -> BTreeSet<(Vec<u8>, Option<EventTime>)> {
    written()[topic].iter().filter(|&record| is_meant(record)).map(place).collect()
}

/// Ids of what the planner said first to predictions to which it said more.
fn first_of_several() -> BTreeSet<String> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let id = |record: &ConsumedRecord| text(record.header("ce_id").expect("an id"));
    let said: BTreeSet<String> = written()[topics::PROPOSALS].iter().map(id).collect();
    let of = |record: &ConsumedRecord, ordinal| {
        let key = text(record.key.as_deref().expect("a key"));
        format!("{:032x}", following_id(&id(record), "planner", &key, ordinal))
    };
    let predictions = written()[topics::PREDICTIONS].iter().filter(|record| said.contains(&of(record, 1)));
    predictions.map(|record| of(record, 0)).collect()
}

/// What is lost of each stage, one at a time. A stage that is added is to say here which of its outputs are missed.
fn losses_of(stage: &str) -> Vec<Loss> {
    let lost = match stage {
        "fingerprinter" => Loss::of(topics::FINGERPRINTS, "fingerprinter", |_| true),
        "predictor" => {
            let full = places(topics::FINGERPRINTS, |record| decoded::<Fingerprint>(record).has_features());
            let prediction = Loss::of(topics::PREDICTIONS, "predictor", move |record| full.contains(&place(record)));
            return vec![Loss::of(topics::FORECAST_SCORES, "predictor", |_| true), prediction];
        }
        "planner" => {
            let firsts = first_of_several();
            let id =
                |record: &ConsumedRecord| record.header("ce_id").map(|id| String::from_utf8_lossy(id).into_owned());
            let is_first = move |record: &ConsumedRecord| id(record).is_some_and(|id| firsts.contains(&id));
            let outcome = Loss::of(topics::OUTCOMES, "planner", |_| true);
            return vec![outcome, Loss::of(topics::PROPOSALS, "planner", is_first)];
        }
        "governor" => Loss::of(topics::ACTIONS, "governor", |record| {
            let action = decoded::<Action>(record);
            action.verdict == Verdict::ScaleOut && !action.is_withdrawal()
        }),
        "actuator" => Loss::of(topics::ACTION_RESULTS, "actuator", |_| true),
        // That a part is missing shows where the forecast is there that was made of it.
        "grouper" => {
            let forecast = places(topics::GROUP_PREDICTIONS, |record| is_of(record, ALONE));
            Loss::of(topics::GROUP_PARTS, "group-forecaster", move |record| forecast.contains(&place(record)))
        }
        // Of a group with members in several partitions a part may come late, and its bin is then not judged.
        "group-forecaster" => {
            let bin = |record: &ConsumedRecord| event_time(record).map(|at| at.bin(GRID_STEP_S));
            let made: BTreeSet<_> =
                written()[topics::GROUP_PREDICTIONS].iter().filter(|record| is_of(record, ALONE)).map(bin).collect();
            Loss::of(topics::GROUP_PREDICTIONS, "group-forecaster", move |record| {
                is_of(record, ALONE) && made.contains(&bin(record).map(|bin| bin - 1))
            })
        }
        usual if USUAL.contains(&usual) => return Vec::new(),
        other => panic!("say which output of {other:?} is missed when it is lost, and who tells"),
    };
    vec![lost]
}

fn is_of(record: &ConsumedRecord, key: &str) -> bool {
    record.key.as_deref() == Some(key.as_bytes())
}

#[test]
fn an_output_of_any_stage_that_is_lost_is_found_out() {
    let context = installation(&settings());
    let stages = context.graph.stages().iter();
    for (entry, loss) in stages.flat_map(|entry| losses_of(entry.stage).into_iter().map(move |loss| (entry, loss))) {
        let Loss { topic, is_meant, told_by } = loss;
        assert!(entry.outputs.contains(&topic), "{} does not write {topic}", entry.stage);
        let accounts = without(topic, is_meant);
        let told = &accounts[told_by];
        assert!(!told.faults().is_empty(), "{}: {accounts:#?}", entry.stage);
        assert_eq!(told.missing + told.strays, 1, "{}: {told:#?}", entry.stage);
        if entry.stage == "governor" {
            assert_eq!(accounts["actuator"].strays, 1, "its result is there: {accounts:#?}");
        }
    }
}

#[test]
fn an_output_that_is_there_twice_is_found_out() {
    for topic in OUTPUTS {
        let accounts = accounts(topic, |records| {
            let again = records[records.len() / 2].clone();
            records.push(again);
        });
        assert_eq!(accounts.values().map(|account| account.repeated_outputs).sum::<u64>(), 1, "{topic}");
    }
}

#[test]
fn an_output_that_nobody_made_is_found_out() {
    // A group's forecasts are known by group and instant: another one of the same is one too many.
    for topic in OUTPUTS.into_iter().filter(|topic| *topic != topics::GROUP_PREDICTIONS) {
        let accounts = accounts(topic, |records| {
            let mut stray = records[records.len() / 2].clone();
            let id = stray.headers.iter_mut().find(|header| header.name == "ce_id").expect("an id");
            id.value = b"0123456789abcdef0123456789abcdef".as_slice().into();
            records.push(stray);
        });
        assert_eq!(accounts.values().map(|account| account.strays).sum::<u64>(), 1, "{topic}");
        assert_eq!(accounts.values().map(|account| account.repeated_outputs).sum::<u64>(), 0, "{topic}");
    }
}
