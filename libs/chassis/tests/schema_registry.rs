//! Records under a real schema registry's ids: with it, while it is down, after it is back, without it.

use bus_tests::apicurio::TestRegistry;
use bus_tests::conformance::fixture::{read_all, read_count, until};
use bus_tests::kafka_broker::TestBroker;
use prescale_bus::dlq::{ReplayRequest, replay};
use prescale_bus::{Bus, BusError, Cleanup, ConsumedRecord, OutputRecord, Source, StageFailure, TopicSpec};
use prescale_chassis::bus_access::Backend;
use prescale_chassis::stage::{UNDECODABLE, decode_record};
use prescale_chassis::{
    BusConfig, Context, HealthRegistry, Input, Outgoing, Reply, SchemaRegistryConfig, TypedStage, TypedStageFactory,
    open_bus, output_record, stage_factory, with_registry,
};
use prescale_contracts::interchange::{newest_schema, schema_id, with_schema_id};
use prescale_contracts::{Contract, Envelope, topics};
use prescale_domain::action::{ActionOutcome, ActionResult};
use prescale_domain::sample::{Capacity, Platform, Sample};
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use serde_json::{Value, json};
use std::sync::Arc;
use std::thread::JoinHandle;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Says of every sample that it was seen.
struct Seer;

impl TypedStage for Seer {
    type In = Sample;

    fn apply(&mut self, batch: Vec<Input<Sample>>) -> Result<Vec<Reply>, StageFailure> {
        batch
            .into_iter()
            .map(|input| {
                let capacity = Capacity {
                    replicas: 1,
                    cpu_cores_per_replica: 1.0,
                    memory_bytes_per_replica: 1.0,
                    instance_type: None,
                };
                let result = ActionResult {
                    workload: input.value.workload.clone(),
                    action_id: Arc::clone(&input.envelope.id),
                    at: input.value.at,
                    outcome: ActionOutcome::DRY_RUN,
                    before: capacity.clone(),
                    after: capacity,
                    price_per_h: None,
                    platform: input.value.platform,
                };
                let to = [topics::ACTION_RESULTS];
                Ok(Reply::Emit(vec![Outgoing::following(&input.envelope, "seer", 0, &to, &result)?]))
            })
            .collect()
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }
}

impl TypedStageFactory for Seer {
    type Stage = Self;

    fn name(&self) -> &'static str {
        "seer"
    }

    fn output_topics(&self) -> Vec<&'static str> {
        vec![topics::ACTION_RESULTS]
    }

    fn state_schema(&self) -> String {
        "1".to_owned()
    }

    fn create(&self, _partition: u32) -> Self {
        Self
    }

    fn restore(&self, _partition: u32, _snapshot: &[u8]) -> Result<Self, String> {
        Ok(Self)
    }
}

/// A bus of its own, with a registry configured.
struct Installation {
    folder: TempDir,
    bus: BusConfig,
    registry: SchemaRegistryConfig,
}

/// One process over it.
struct Process {
    /// The bytes as they lie there.
    raw: Arc<dyn Bus>,
    bus: Arc<dyn Bus>,
    context: Context,
    stop: CancellationToken,
}

impl Installation {
    fn new(backend: Backend, url: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut bus = BusConfig { backend, ..Default::default() };
        match backend {
            Backend::Embedded => bus.embedded.path = folder.path().join("bus.db"),
            Backend::Kafka => {
                bus.kafka.bootstrap_servers = TestBroker::shared().bootstrap_servers();
                bus.kafka.topic_prefix = TestBroker::unique_prefix();
                bus.kafka.state_dir = folder.path().join("state");
            }
        }
        let mut registry = SchemaRegistryConfig { url: url.to_owned(), ..Default::default() };
        registry.access.timeout_s = 5;
        Self { folder, bus, registry }
    }

    /// What the registry calls a topic: by its whole name on the cluster.
    fn subject(&self, topic: &str) -> String {
        format!("{}{}", self.bus.kafka.topic_prefix, topics::subject_of(topic))
    }

    /// The id that the registry has for this build's schema of a topic.
    fn registered(&self, registry: &TestRegistry, topic: &str) -> u32 {
        let path = format!("/subjects/{}", self.subject(topic));
        let found = said(registry, "POST", &path, &json!({"schema": newest_schema(topic)}));
        u32::try_from(found["id"].as_u64().expect("an id")).expect("a small one")
    }

    /// Another team's version of the samples' schema: one field more, at the front. A sample under its id.
    fn evolved(&self, registry: &TestRegistry, minute: i64) -> OutputRecord {
        let mut schema: Value = serde_json::from_str(newest_schema(topics::RAW_KPIS).expect("a schema")).expect("JSON");
        let region = json!({"name": "region", "type": "string", "default": "", "doc": "Where it runs."});
        schema["fields"].as_array_mut().expect("fields").insert(0, region);
        let body = json!({"schema": schema.to_string()});
        let answer = said(registry, "POST", &format!("/subjects/{}/versions", self.subject(topics::RAW_KPIS)), &body);
        let id = u32::try_from(answer["id"].as_u64().expect("an id")).expect("a small one");
        let own = sample(minute);
        let bytes = with_schema_id(own.value.clone().expect("a value"), id);
        let value = [&bytes[..5], b"\x04eu", &bytes[5..]].concat();
        OutputRecord { value: Some(value), ..own }
    }

    fn process(&self) -> Process {
        let raw = open_bus(&self.bus).expect("the bus opens");
        let results_dlq = topics::dlq_of(topics::RAW_KPIS);
        for name in [topics::RAW_KPIS, &results_dlq, topics::ACTION_RESULTS] {
            let cleanup = Cleanup::Delete { retention_ms: i64::MAX };
            let spec = TopicSpec { name: name.to_owned(), partitions: 1, replication: 1, cleanup };
            raw.ensure_topics(&[spec]).expect("the topic is made");
        }
        let (context, stop) = (Context::default(), CancellationToken::new());
        let bus = with_registry(Arc::clone(&raw), &self.bus, &self.registry, &context.health, &stop);
        Process { raw, bus: bus.expect("the section is sound"), context, stop }
    }
}

impl Process {
    fn run(&self) -> JoinHandle<Result<(), BusError>> {
        let (bus, context, stop) = (Arc::clone(&self.bus), self.context.clone(), self.stop.clone());
        std::thread::spawn(move || context.run_stage(bus.as_ref(), stage_factory(Seer), &stop))
    }

    fn stop(self, stage: JoinHandle<Result<(), BusError>>) {
        self.stop.cancel();
        stage.join().expect("the stage does not panic").expect("it ends well");
    }

    /// The results, read with our ids.
    fn results(&self, count: usize) -> Vec<ConsumedRecord> {
        let results = read_count(self.bus.as_ref(), topics::ACTION_RESULTS, count);
        for result in &results {
            decode_record::<ActionResult>(result).expect("it can be decoded");
        }
        results
    }

    fn dead(&self) -> Vec<ConsumedRecord> {
        read_all(self.raw.as_ref(), &topics::dlq_of(topics::RAW_KPIS))
    }
}

fn sample(minute: i64) -> OutputRecord {
    let sample = Sample {
        workload: WorkloadId::new("web-1").expect("a name"),
        source: SourceName::new("fleet:test").expect("a name"),
        at: EventTime::from_s(60 * minute),
        step_s: 60,
        kpis: Vec::new(),
        capacity: None,
        platform: Platform::SIMULATED,
    };
    let envelope = Envelope::root("test", Sample::EVENT_TYPE, &sample.workload, sample.at, &minute.to_string());
    output_record(&envelope, topics::RAW_KPIS, &sample).expect("it keeps its contract")
}

fn append(source: &mut dyn Source, minutes: std::ops::Range<i64>) {
    let position = minutes.end.to_string();
    source.append(minutes.map(sample).collect(), position.as_bytes()).expect("the samples are written");
}

fn id(record: &ConsumedRecord) -> u32 {
    schema_id(record.value.as_deref().expect("a value")).expect("it is framed")
}

fn ids(records: &[ConsumedRecord]) -> Vec<u32> {
    records.iter().map(id).collect()
}

fn said(registry: &TestRegistry, method: &str, path: &str, body: &Value) -> Value {
    let (status, text) = registry.request(method, path, &body.to_string()).expect("the registry answers");
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).expect("JSON")
}

/// Takes the registry's first ids, so that its ids are not ours.
fn shift_ids(registry: &TestRegistry) {
    for i in 0..12 {
        let schema = json!({"type": "record", "name": format!("Other{i}"), "fields": []}).to_string();
        said(registry, "POST", &format!("/subjects/other-{i}/versions"), &json!({"schema": schema}));
    }
}

fn written_by_others(bus: &dyn Bus, records: Vec<OutputRecord>) {
    bus.source("others").expect("the source opens").append(records, b"").expect("the records are written");
}

fn waits(health: &HealthRegistry) -> bool {
    health.not_ready().iter().any(|(_, why)| why.contains("waits for the schema registry"))
}

fn records_carry_the_registrys_ids_and_other_versions_are_read(backend: Backend) {
    let registry = TestRegistry::start();
    shift_ids(&registry);
    let installation = Installation::new(backend, &registry.url());
    let process = installation.process();
    let mut source = process.bus.source("meter").expect("the source opens");
    append(source.as_mut(), 0..5);
    let samples_id = installation.registered(&registry, topics::RAW_KPIS);
    assert!(samples_id > 12, "{samples_id}");
    assert_eq!(ids(&read_count(process.raw.as_ref(), topics::RAW_KPIS, 5)), [samples_id; 5]);
    let compatibility =
        said(&registry, "GET", &format!("/config/{}", installation.subject(topics::RAW_KPIS)), &json!({}));
    assert_eq!(compatibility["compatibilityLevel"], "FULL_TRANSITIVE");

    let stage = process.run();
    process.results(5);
    let results_id = installation.registered(&registry, topics::ACTION_RESULTS);
    assert_eq!(ids(&read_all(process.raw.as_ref(), topics::ACTION_RESULTS)), [results_id; 5]);
    assert_ne!(results_id, samples_id);

    written_by_others(process.raw.as_ref(), vec![installation.evolved(&registry, 5)]);
    process.results(6);
    let read = read_count(process.bus.as_ref(), topics::RAW_KPIS, 6);
    assert_eq!(read[5].value, sample(5).value, "readers see it as one of ours");

    // An id that does not exist, another record's, and bytes that follow no schema.
    let under = |id: u32| {
        let own = sample(9);
        OutputRecord { value: own.value.map(|value| with_schema_id(value, id)), ..own }
    };
    let torn = OutputRecord { value: Some(under(samples_id).value.expect("a value")[..9].to_vec()), ..sample(9) };
    let refused = vec![under(9999), under(results_id), torn];
    written_by_others(process.raw.as_ref(), refused.clone());
    let dead = until("three dead letters", || Some(process.dead()).filter(|dead| dead.len() == 3));
    let codes: Vec<_> = dead.iter().map(|d| d.header("__connect.errors.class.name").unwrap_or_default()).collect();
    assert_eq!(codes, [b"unknown_schema".as_slice(), UNDECODABLE.as_bytes(), UNDECODABLE.as_bytes()]);
    for (letter, record) in dead.iter().zip(&refused) {
        assert_eq!(letter.value, record.value, "a letter holds the bytes that came");
    }
    let request = ReplayRequest { topic: topics::RAW_KPIS.to_owned(), limit: Some(1), ..Default::default() };
    replay(process.raw.as_ref(), &request, &CancellationToken::new()).expect("it is replayed");
    until("the replayed letter to come back", || (process.dead().len() == 4).then_some(()));
    assert_eq!(process.dead()[3].value, refused[0].value);
    process.results(6);
    process.stop(stage);
}

fn a_registry_that_is_down_is_waited_for_and_nothing_is_lost(backend: Backend) {
    let mut registry = TestRegistry::stopped();
    let installation = Installation::new(backend, &registry.url());
    let process = installation.process();

    // It is down at the first start: nobody knows an id to write under.
    let mut source = process.bus.source("meter").expect("the source opens");
    match source.append((0..3).map(sample).collect(), b"3") {
        Err(BusError::Backend { retryable: true, .. }) => {}
        other => panic!("to be tried again, got {other:?}"),
    }
    assert_eq!(source.position().expect("it is readable"), None);
    let stage = process.run();
    until("the stage to wait", || waits(&process.context.health).then_some(()));
    registry.run();
    append(source.as_mut(), 0..3);
    process.results(3);
    until("the stage to be ready", || process.context.health.not_ready().is_empty().then_some(()));

    // It goes down: what is known goes on, what is not is waited for.
    let unseen = installation.evolved(&registry, 10);
    registry.kill();
    append(source.as_mut(), 3..6);
    process.results(6);
    written_by_others(process.raw.as_ref(), vec![unseen]);
    append(source.as_mut(), 11..14);
    until("the stage to wait", || waits(&process.context.health).then_some(()));
    assert!(process.dead().is_empty());
    assert!(process.context.health.stuck(std::time::Duration::ZERO).is_empty(), "who waits is not stuck");
    registry.run();
    until("the stage to be ready", || process.context.health.not_ready().is_empty().then_some(()));
    assert!(process.dead().is_empty());
    process.results(10);
    assert!(process.dead().is_empty());

    // Told to stop while it waits, it stops well and loses nothing; a restart needs no registry for
    // what was known.
    registry.kill();
    let unknown = OutputRecord { value: sample(20).value.map(|v| with_schema_id(v, 9999)), ..sample(20) };
    written_by_others(process.raw.as_ref(), vec![unknown]);
    until("the stage to wait", || waits(&process.context.health).then_some(()));
    process.stop(stage);
    let process = installation.process();
    let mut source = process.bus.source("meter").expect("the source opens");
    append(source.as_mut(), 21..23);
    let stage = process.run();
    until("the stage to wait again", || waits(&process.context.health).then_some(()));
    assert!(process.dead().is_empty());
    registry.run();
    process.results(12);
    until("the letter", || (process.dead().len() == 1).then_some(()));
    process.stop(stage);
}

fn without_a_registry_the_bytes_are_ours(backend: Backend) {
    let installation = Installation::new(backend, "");
    let process = installation.process();
    assert!(Arc::ptr_eq(&process.raw, &process.bus));
    append(process.bus.source("meter").expect("the source opens").as_mut(), 0..3);
    let stage = process.run();
    process.results(3);
    assert_eq!(read_all(process.raw.as_ref(), topics::RAW_KPIS)[2].value, sample(2).value);
    process.stop(stage);
    for file in ["bus.db.schema-ids.json", "state/schema-ids.json"] {
        assert!(!installation.folder.path().join(file).exists());
    }
}

/// One test a property, on each kind of bus.
macro_rules! on_each_bus {
    ($($property:ident),* $(,)?) => {
        mod embedded {
            $(#[test] fn $property() { super::$property(super::Backend::Embedded); })*
        }
        mod kafka {
            $(#[test] fn $property() { super::$property(super::Backend::Kafka); })*
        }
    };
}

on_each_bus!(
    records_carry_the_registrys_ids_and_other_versions_are_read,
    a_registry_that_is_down_is_waited_for_and_nothing_is_lost,
    without_a_registry_the_bytes_are_ours,
);
