//! A service that nobody ships: it notes each sample on a topic of its own. For tests of what follows from the list of
//! services, and of accounts that do not add up.

use crate::services::{Launch, Section, ServiceEntry, Told, graph, nothing_else};
use crate::settings::Settings;
use crate::topics::specs;
use anyhow::{Context as _, Result, ensure};
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_bus::{Bus, CaughtUp, ConsumedRecord, OutputRecord, ReadFrom, StageFactory, StageFailure, StateSchema};
use prescale_chassis::{
    Context, Ids, Input, Loader, Outgoing, Reply, Settled, StageEntry, TypedStage, TypedStageFactory, audit,
    output_record, stage_factory,
};
use prescale_contracts::{Contract, Envelope, topics};
use prescale_domain::sample::{Platform, Sample};
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Topic of the notes.
pub(crate) const NOTES: &str = "toy-notes";

/// It may write results as well, so that whoever waits for those waits for it.
pub(crate) const STAGE: StageEntry = StageEntry {
    stage: "toy",
    input: topics::RAW_KPIS,
    outputs: &[NOTES, topics::ACTION_RESULTS],
    ids: Ids::OfInput,
    audit: audit::each,
};

/// The service.
pub(crate) const TOY: ServiceEntry = ServiceEntry {
    name: "toy",
    section: Section::own::<Config>(check),
    stages: |_| vec![STAGE],
    factories: |s| Ok(vec![factory(s)?]),
    uses: nothing_else,
    run,
};

/// Section `[toy]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    /// The sample of this minute has no note.
    pub(crate) forgets_minute: i64,
    /// The one of this minute has two that are the same.
    pub(crate) repeats_minute: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self { forgets_minute: -1, repeats_minute: -1 }
    }
}

fn config(settings: &Settings) -> Result<&Config> {
    settings.own.get("toy").context("[toy] was not read")
}

fn check(settings: &Settings) -> Result<()> {
    let Config { forgets_minute, repeats_minute } = config(settings)?;
    ensure!(*forgets_minute < 0 || forgets_minute != repeats_minute, "[toy] forgets_minute is repeats_minute");
    Ok(())
}

fn run(launch: &Launch<'_>) -> Result<()> {
    let factory = factory(launch.settings)?;
    launch.context.run_stage(launch.bus.as_ref(), factory, launch.stop).context("the toy stopped")
}

fn factory(settings: &Settings) -> Result<Arc<dyn StageFactory>> {
    Ok(stage_factory(Factory(config(settings)?.clone())))
}

struct Factory(Config);

struct Toy(Config);

impl TypedStageFactory for Factory {
    type Stage = Toy;

    fn name(&self) -> &'static str {
        STAGE.stage
    }

    fn output_topics(&self) -> Vec<&'static str> {
        STAGE.outputs.to_vec()
    }

    fn state_schema(&self) -> String {
        let Config { forgets_minute, repeats_minute } = self.0;
        StateSchema::of(STAGE.stage, 1)
            .shaped_by("forgets_minute", forgets_minute)
            .made_under("repeats_minute", repeats_minute)
            .to_string()
    }

    fn create(&self, _partition: u32) -> Toy {
        Toy(self.0.clone())
    }

    fn restore(&self, partition: u32, _snapshot: &[u8]) -> Result<Toy, String> {
        Ok(self.create(partition))
    }
}

impl TypedStage for Toy {
    type In = Sample;

    fn apply(&mut self, batch: Vec<Input<Sample>>) -> Result<Vec<Reply>, StageFailure> {
        batch.into_iter().map(|input| self.reply(&input)).collect()
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }
}

impl Toy {
    fn reply(&self, Input { envelope, value }: &Input<Sample>) -> Result<Reply, StageFailure> {
        let minute = value.at.bin(60);
        let note = Outgoing::following(envelope, STAGE.stage, 0, &[NOTES], value)?;
        let Config { forgets_minute, repeats_minute } = self.0;
        Ok(Reply::Emit(if minute == forgets_minute {
            Vec::new()
        } else if minute == repeats_minute {
            vec![note.clone(), note]
        } else {
            vec![note]
        }))
    }
}

/// A log with a sample a minute, of one workload.
pub(crate) struct Log {
    pub(crate) settings: Settings,
    pub(crate) context: Context,
    pub(crate) bus: Arc<dyn Bus>,
    folder: TempDir,
}

/// The settings that a text makes, of these services.
pub(crate) fn settings(services: &[ServiceEntry], text: &str) -> Result<Settings> {
    Ok(Settings::read(services, &Loader::from_text(Path::new("prescale.toml"), text, [])?)?)
}

/// The toy as the text configures it, over the log in a folder.
fn settings_over(folder: &TempDir, text: &str) -> Settings {
    let mut settings = settings(&[TOY], text).unwrap();
    settings.bus.embedded.path = folder.path().join("bus.db");
    settings
}

/// The record of the sample of a minute.
pub(crate) fn sample(minute: i64) -> OutputRecord {
    let (workload, at) = (WorkloadId::new("web-1").unwrap(), EventTime::from_s(60 * minute));
    let envelope = Envelope::root("test", Sample::EVENT_TYPE, &workload, at, "");
    let sample = Sample {
        workload,
        source: SourceName::new("fleet:test").unwrap(),
        at,
        step_s: 60,
        kpis: Vec::new(),
        capacity: None,
        platform: Platform::SIMULATED,
    };
    output_record(&envelope, topics::RAW_KPIS, &sample).unwrap()
}

impl Log {
    /// With so many samples, and the toy as the text configures it.
    pub(crate) fn of(text: &str, minutes: i64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings_over(&folder, text);
        let context = Context::new(&settings.bus).with_graph(graph(&[TOY], &settings));
        let options = EmbeddedOptions { maintenance_every: None, ..EmbeddedOptions::default() };
        let bus: Arc<dyn Bus> = Arc::new(EmbeddedBus::open(&settings.bus.embedded.path, options).unwrap());
        bus.ensure_topics(&specs(&context.graph, 2, 1)).unwrap();
        let log = Self { settings, context, bus, folder };
        log.append((0..minutes).map(sample).collect());
        log
    }

    /// What the toy is configured as by another text, over this log.
    pub(crate) fn configured(&self, text: &str) -> Settings {
        settings_over(&self.folder, text)
    }

    /// Writes records as a source.
    pub(crate) fn append(&self, records: Vec<OutputRecord>) {
        self.bus.source("test").unwrap().append(records, b"1").unwrap();
    }

    /// All records of a topic.
    pub(crate) fn records(&self, topic: &str) -> Vec<ConsumedRecord> {
        let mut reader = self.bus.reader(topic, ReadFrom::Earliest).unwrap();
        let mut all = Vec::new();
        loop {
            let (records, caught_up) = reader.poll(1000, Duration::ZERO).unwrap();
            all.extend(records);
            if caught_up == CaughtUp::Yes {
                return all;
            }
        }
    }

    /// Runs the toy until it has read all that there is.
    pub(crate) fn run(&self) {
        let stop = CancellationToken::new();
        let tell = |_: Told| ();
        let Self { settings, context, bus, .. } = self;
        let launch = Launch { settings, context, bus, stop: &stop, tell: &tell };
        std::thread::scope(|threads| {
            let running = threads.spawn(|| (TOY.run)(&launch));
            let settled = context.settled_while_moving(bus.as_ref(), &stop, Duration::from_secs(60));
            stop.cancel();
            running.join().unwrap().unwrap();
            assert_eq!(settled.unwrap(), Some(Settled::Yes));
        });
    }
}

/// A record that was read, to be written again.
pub(crate) fn again(record: &ConsumedRecord) -> OutputRecord {
    OutputRecord {
        topic: Arc::clone(&record.topic),
        key: record.key.clone().unwrap(),
        value: record.value.clone(),
        headers: record.headers.clone(),
    }
}
