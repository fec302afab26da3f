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
use prescale_contracts::{Contract, topics};
use prescale_domain::action::{Action, Verdict};
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::time::EventTime;
use prescale_planner::config::PolicyName;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::thread;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// By topic, each partition in its order.
type Log = BTreeMap<String, Vec<ConsumedRecord>>;

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.collector.host.enabled = false;
    // It changes much, from the first hour on.
    settings.planner.policy = PolicyName::Threshold;
    let fleet = &mut settings.collector.fleet;
    fleet.enabled = true;
    fleet.workloads = 12;
    fleet.start = "2026-03-02T00:00:00Z".parse().expect("an instant");
    fleet.until = "+5h".parse().expect("a length");
    let all = GroupConfig { workloads: vec!["*".to_owned()], sources: Vec::new() };
    settings.grouper.groups.insert("all".to_owned(), all);
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

/// Without the first record in the second half of the topic that is meant.
fn without(topic: &str, is_meant: impl Fn(&ConsumedRecord) -> bool) -> BTreeMap<String, StageAccount> {
    accounts(topic, |records| {
        let half = records.len() / 2;
        let at = records[half..].iter().position(is_meant).expect("there is one") + half;
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
const OUTPUTS: [&str; 8] = [
    topics::FINGERPRINTS,
    topics::PREDICTIONS,
    topics::PROPOSALS,
    topics::ACTIONS,
    topics::ACTION_RESULTS,
    topics::OUTCOMES,
    topics::GROUP_PARTS,
    topics::GROUP_PREDICTIONS,
];

#[test]
fn a_copy_of_the_log_adds_up() {
    let accounts = accounts(topics::RAW_KPIS, |_| ());
    assert_eq!(accounts.len(), 8);
    for account in accounts.values() {
        assert_eq!(account.faults(), [""; 0]);
        assert!(account.read > 0 && account.followed > 0 && account.unread == 0, "{account:?}");
        assert_eq!(account.outputs_without_input, 0, "{account:?}");
    }
}

#[test]
fn an_output_that_is_missing_is_found_out() {
    let full: BTreeSet<_> = written()[topics::FINGERPRINTS]
        .iter()
        .filter(|record| decoded::<Fingerprint>(record).has_features())
        .map(place)
        .collect();
    assert_eq!(without(topics::FINGERPRINTS, |_| true)["fingerprinter"].missing, 1);
    assert_eq!(without(topics::PREDICTIONS, |record| full.contains(&place(record)))["predictor"].missing, 1);
    let grows = |record: &ConsumedRecord| {
        let action = decoded::<Action>(record);
        action.verdict == Verdict::ScaleOut && !action.is_withdrawal()
    };
    let acted = without(topics::ACTIONS, grows);
    assert_eq!((acted["governor"].missing, acted["actuator"].strays), (1, 1));
    assert_eq!(without(topics::ACTION_RESULTS, |_| true)["actuator"].missing, 1);
    assert_eq!(without(topics::OUTCOMES, |_| true)["evaluator"].missing, 1);
    assert!(without(topics::GROUP_PREDICTIONS, |_| true)["group-forecaster"].missing > 0);
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
