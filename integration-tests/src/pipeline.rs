//! The whole pipeline over one bus, as `prescale up` runs it but without the console: for tests and
//! benchmarks.

use bus_tests::conformance::fixture::read_all;
use prescale::account::account;
use prescale::services::{Launch, SERVICES, ServiceEntry, Told, installation};
use prescale::settings::Settings;
use prescale::topics::specs;
use prescale_bus::{Bus, ConsumedRecord, Header, Lag, StageFactory};
use prescale_chassis::{Context, Settled, StageEntry};
use prescale_collector::Event;
use prescale_contracts::{Contract, record_json, topics};
use prescale_domain::group::GroupPart;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The topics that the stages write to, and the one they begin with.
const WRITTEN: [&str; 18] = [
    topics::RAW_KPIS,
    topics::FINGERPRINTS,
    topics::FORECAST_SCORES,
    topics::PREDICTIONS,
    topics::PREDICTIONS_LATEST,
    topics::RETRAINING,
    topics::TRIALS,
    topics::MODEL_DECISIONS,
    topics::GROUP_PARTS,
    topics::GROUP_PREDICTIONS,
    topics::PROPOSALS,
    topics::CONTROL,
    topics::ACTIONS,
    topics::ACTION_RESULTS,
    topics::OUTCOMES,
    topics::ANOMALIES,
    topics::ALARMS,
    topics::INCIDENTS,
];

/// All stages, each on a thread of its own.
pub struct Pipeline {
    bus: Arc<dyn Bus>,
    settings: Settings,
    context: Context,
    stop: CancellationToken,
    /// What runs in place of the service's stage of the same name as the service.
    own: Vec<Arc<dyn StageFactory>>,
    threads: Vec<(&'static str, JoinHandle<anyhow::Result<()>>)>,
}

impl Pipeline {
    /// Makes the topics and starts the stages.
    pub fn start(bus: &Arc<dyn Bus>, settings: &Settings) -> Self {
        Self::start_with(bus, settings, Vec::new())
    }

    /// As [`Self::start`], with stages of one's own in place of the services of the same names.
    pub fn start_with(bus: &Arc<dyn Bus>, settings: &Settings, own: Vec<Arc<dyn StageFactory>>) -> Self {
        let context = installation(settings);
        bus.ensure_topics(&specs(&context.graph, settings.bus.partitions, 1)).expect("the topics are made");
        let mut pipeline = Self {
            bus: Arc::clone(bus),
            settings: settings.clone(),
            context,
            stop: CancellationToken::new(),
            own,
            threads: Vec::new(),
        };
        for service in SERVICES.iter().filter(|service| !(service.stages)(settings).is_empty()) {
            pipeline.spawn(service);
        }
        pipeline
    }

    fn spawn(&mut self, service: &'static ServiceEntry) {
        let (settings, context) = (self.settings.clone(), self.context.clone());
        let (bus, stop) = (Arc::clone(&self.bus), self.stop.clone());
        let own = self.own.iter().find(|factory| factory.name() == service.name).cloned();
        if own.is_some() {
            let others = (service.factories)(&settings).expect("the configuration can be used");
            others.into_iter().filter(|factory| factory.name() != service.name).for_each(|factory| self.run(factory));
        }
        let run = move || match own {
            Some(factory) => Ok(context.run_stage(bus.as_ref(), factory, &stop)?),
            None => {
                let tell = |_: Told| ();
                (service.run)(&Launch { settings: &settings, context: &context, bus: &bus, stop: &stop, tell: &tell })
            }
        };
        let thread = std::thread::Builder::new().name(service.name.to_owned()).spawn(run).expect("a thread starts");
        self.threads.push((service.name, thread));
    }

    /// Runs a stage by itself.
    fn run(&mut self, factory: Arc<dyn StageFactory>) {
        let (context, bus, stop) = (self.context.clone(), Arc::clone(&self.bus), self.stop.clone());
        let name = factory.name();
        let run = move || -> anyhow::Result<()> { Ok(context.run_stage(bus.as_ref(), factory, &stop)?) };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run).expect("a thread starts");
        self.threads.push((name, thread));
    }

    /// Runs the collector, as the settings say, until `is_end` holds for one of its events; then
    /// waits until the stages have worked through what it wrote.
    pub fn collect_until(&self, is_end: impl Fn(&Event) -> bool + Send + Sync) {
        let ended = CancellationToken::new();
        let observe = |event: Event| {
            if is_end(&event) {
                ended.cancel();
            }
        };
        prescale_collector::run_observed(
            &self.settings.collector,
            &self.context,
            Arc::clone(&self.bus),
            &ended,
            &observe,
        )
        .expect("the collector runs");
        self.settle();
    }

    /// Waits until the stages have worked through all that is written.
    pub fn settle(&self) {
        let settled = self.context.settled_through(self.context.graph.stages(), self.bus.as_ref(), &self.stop);
        assert_eq!(settled.expect("the bus answers"), Settled::Yes);
    }

    /// Records that each stage is behind, by stage in the order of the data.
    pub fn behind(&self) -> Vec<(&'static str, u64)> {
        let behind = |entry: &StageEntry| {
            let lags = self.bus.lag(&self.context.group(entry.stage), entry.input).expect("the lag is readable");
            (entry.stage, lags.iter().map(Lag::behind).sum::<u64>())
        };
        self.context.graph.stages().iter().map(behind).collect()
    }

    /// Stops the stages; each must have ended well.
    pub fn stop(self) {
        self.stop.cancel();
        for (name, thread) in self.threads {
            let ended = thread.join().unwrap_or_else(|_| panic!("{name} panicked"));
            ended.unwrap_or_else(|error| panic!("{name}: {error:#}"));
        }
    }
}

/// Fails unless every record is accounted for, and each was worked through.
pub fn assert_accounted(bus: &dyn Bus, settings: &Settings) {
    let accounts = account(bus, &installation(settings), &CancellationToken::new()).expect("the log is readable");
    for stage in &accounts {
        assert_eq!(stage.faults(), [""; 0], "{stage:?}");
        assert_eq!((stage.repeated_inputs, stage.unread, stage.rejected), (0, 0, 0), "{stage:?}");
        assert_eq!(stage.read, stage.followed + stage.without_output, "{stage:?}");
    }
}

/// What a record says, without where and when a broker has put it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Partition.
    pub partition: u32,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value.
    pub value: Option<Vec<u8>>,
    /// Headers.
    pub headers: Vec<Header>,
}

/// What the topics hold, by topic; of a compacted one only the newest record of each key, since when
/// the older ones go is the bus's own affair. Where records meet in a partition from several, they come sorted: parts
/// of groups by group, partition and instant, proposals by id, and what follows from those by key.
pub type Outputs = BTreeMap<&'static str, Vec<Said>>;

/// What is on the topics that the stages write to.
pub fn outputs(bus: &dyn Bus) -> Outputs {
    let held = |topic| match topic {
        topics::PREDICTIONS_LATEST => newest(said(bus, topic)),
        topics::GROUP_PARTS => sorted_parts(said(bus, topic)),
        topics::GROUP_PREDICTIONS | topics::ACTIONS | topics::ACTION_RESULTS => by_key(said(bus, topic)),
        topics::PROPOSALS | topics::RETRAINING | topics::TRIALS => by_id(said(bus, topic)),
        topics::CONTROL => newest(said(bus, topic)),
        _ => said(bus, topic),
    };
    WRITTEN.into_iter().map(|topic| (topic, held(topic))).collect()
}

fn by_key(mut said: Vec<Said>) -> Vec<Said> {
    said.sort_by(|a, b| a.key.cmp(&b.key));
    said
}

fn by_id(mut said: Vec<Said>) -> Vec<Said> {
    said.sort_by_cached_key(|said| said.headers.iter().find(|h| h.name == "ce_id").map(|h| h.value.to_vec()));
    said
}

fn sorted_parts(mut said: Vec<Said>) -> Vec<Said> {
    said.sort_by_cached_key(|said| {
        let part = GroupPart::decode(said.value.as_deref().expect("a value")).expect("it can be decoded");
        (part.group, part.partition, part.made_at)
    });
    said
}

fn newest(said: Vec<Said>) -> Vec<Said> {
    let by_key: BTreeMap<_, _> = said.into_iter().map(|said| (said.key.clone(), said)).collect();
    by_key.into_values().collect()
}

/// Fails with the first record of each topic that differs: where they part is then seen at once, since each topic follows
/// from those before it.
pub fn assert_same(got: &Outputs, wanted: &Outputs) {
    let differing = wanted.iter().filter_map(|(topic, wanted)| difference(topic, &got[topic], wanted));
    let differing: Vec<String> = differing.collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

fn difference(topic: &str, got: &[Said], wanted: &[Said]) -> Option<String> {
    if got == wanted {
        return None;
    }
    let first = got.iter().zip(wanted).position(|(got, wanted)| got != wanted).unwrap_or(got.len().min(wanted.len()));
    let (shown_got, shown_wanted) = (shown(topic, got.get(first)), shown(topic, wanted.get(first)));
    Some(format!(
        "{topic}: {} records for {}; record {first} is\n  {shown_got}\nand was to be\n  {shown_wanted}",
        got.len(),
        wanted.len()
    ))
}

/// A record as JSON, with its headers.
fn shown(topic: &str, said: Option<&Said>) -> String {
    let Some(said) = said else { return "none".to_owned() };
    let value =
        said.value.as_deref().map(|value| record_json(topic, value).map_or_else(|e| e.to_string(), |j| j.to_string()));
    let headers = said.headers.iter().map(|h| format!("{}={}", h.name, String::from_utf8_lossy(&h.value)));
    format!("{} ({})", value.unwrap_or_default(), headers.collect::<Vec<_>>().join(", "))
}

/// All that is on a topic, each partition in its order.
pub fn said(bus: &dyn Bus, topic: &str) -> Vec<Said> {
    let said = |r: ConsumedRecord| Said { partition: r.partition, key: r.key, value: r.value, headers: r.headers };
    let mut all: Vec<Said> = read_all(bus, topic).into_iter().map(said).collect();
    all.sort_by_key(|said| said.partition);
    all
}
