//! The rights that the bus says it needs, against Kafka's own authorizer: with exactly these a
//! stage and a source work, and without any one of them the error names it.

use bus_tests::conformance::fixture::{
    GROUP, INPUT, OUTPUT, RunningStage, assert_exactly, await_no_lag, inputs, make_topics, options, record, until,
    write,
};
use bus_tests::conformance::stage::ChainingFactory;
use bus_tests::kafka_broker::TestBroker;
use bus_tests::kafka_listeners::{now_s, write_token};
use prescale_bus::kafka::acls::{Acl, AclTool, BusUse, Operation, Resource, ResourceKind, commands, needed};
use prescale_bus::kafka::{KafkaBus, KafkaOptions};
use prescale_bus::{Bus, BusError};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const STAGE: BusUse<'_> = BusUse::Stage { input: INPUT, outputs: &[OUTPUT], group: GROUP };
const SOURCE: BusUse<'_> = BusUse::Source { id: Some("meter"), topics: &[INPUT] };
const READER: BusUse<'_> = BusUse::Reader { topic: OUTPUT };

/// An installation on the secured broker, seen by principals that log in with tokens.
struct Installation {
    folder: TempDir,
    prefix: String,
    /// Sees everything, over the plaintext listener.
    admin: Arc<dyn Bus>,
}

impl Installation {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let prefix = TestBroker::unique_prefix();
        let options = KafkaOptions {
            bootstrap_servers: TestBroker::shared_secured().bootstrap_servers(),
            topic_prefix: prefix.clone(),
            state_dir: folder.path().join("admin"),
            ..KafkaOptions::default()
        };
        let admin: Arc<dyn Bus> = Arc::new(KafkaBus::connect(options).expect("the broker answers"));
        make_topics(admin.as_ref());
        Self { folder, prefix, admin }
    }

    fn principal(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn open(&self, name: &str) -> Arc<dyn Bus> {
        let file = self.folder.path().join(name);
        write_token(&file, &self.principal(name), now_s() + 3600);
        let (bootstrap_servers, security) = TestBroker::shared_secured().secure().with_token(&file);
        let options = KafkaOptions {
            bootstrap_servers,
            security,
            topic_prefix: self.prefix.clone(),
            state_dir: self.folder.path().join(format!("state-{name}")),
            session_timeout_ms: 3000,
            transaction_timeout_ms: 5000,
            request_timeout: Duration::from_secs(5),
            retry_for: Duration::from_secs(10),
            ..KafkaOptions::default()
        };
        Arc::new(KafkaBus::connect(options).expect("the token is right"))
    }

    fn needed(&self, uses: &[BusUse<'_>]) -> BTreeSet<Acl> {
        needed(&self.prefix, uses)
    }

    /// Gives each right to the principals that `has` names for it.
    fn grant(&self, acls: &BTreeSet<Acl>, has: impl Fn(usize) -> Vec<String>) {
        let tool = acl_tool();
        let lines = acls.iter().enumerate().flat_map(|(index, acl)| {
            let one = commands(&tool, "User:SOME", &BTreeSet::from([acl.clone()]));
            let principals: Vec<String> =
                has(index).iter().map(|name| format!("User:{}", self.principal(name))).collect();
            one.into_iter().map(move |line| line.replace("User:SOME", &principals.join(" --allow-principal ")))
        });
        TestBroker::shared_secured().run_acl_commands(&lines.collect::<Vec<_>>());
    }
}

fn acl_tool() -> AclTool {
    AclTool { bootstrap_servers: TestBroker::shared_secured().bootstrap_servers(), command_config: None }
}

fn start(bus: &Arc<dyn Bus>) -> RunningStage {
    RunningStage::start(bus, ChainingFactory::new(INPUT, OUTPUT), options(GROUP, 50))
}

/// The commands as `prescale topics acls` prints them give what each use needs and nothing else.
#[test]
fn exactly_the_rights_of_a_use_are_enough_for_it() {
    let installation = Installation::new();
    let tool = acl_tool();
    let lag = BusUse::Lag { group: GROUP, topic: INPUT };
    let uses = [("stage", vec![STAGE]), ("source", vec![SOURCE]), ("reader", vec![READER, lag])];
    let lines = uses.iter().flat_map(|(name, uses)| {
        commands(&tool, &format!("User:{}", installation.principal(name)), &installation.needed(uses))
    });
    TestBroker::shared_secured().run_acl_commands(&lines.collect::<Vec<_>>());
    let stage_bus = installation.open("stage");
    let source_bus = installation.open("source");
    let reader_bus = installation.open("reader");
    let mut source = source_bus.source("meter").expect("the source opens");
    write(source.as_mut(), inputs(0, 60));
    let stage = start(&stage_bus);
    await_no_lag(reader_bus.as_ref(), GROUP);
    write(source.as_mut(), inputs(60, 60));
    await_no_lag(reader_bus.as_ref(), GROUP);
    stage.stop().expect("the stage stops");
    assert_exactly(reader_bus.as_ref(), &inputs(0, 120));
}

/// Checks what became of a principal that lacks one right: an error that names the right and is not
/// tried again. What is only needed to repair a transaction of unknown outcome is not missed here.
fn check_without(acl: &Acl, only_for_repair: &[Acl], result: Result<(), BusError>) {
    match result {
        Err(BusError::Backend { context, message, retryable: false }) => {
            let error = format!("{context}: {message}");
            let missing = error.split_once("the principal lacks ").map(|(_, missing)| missing).unwrap_or_default();
            // A topic or group that cannot even be seen is missed first.
            let to_see = Acl { operation: Operation::Describe, ..acl.clone() };
            let begins = |right: &Acl| right.to_string().trim_end_matches('"').to_owned();
            let named = [acl, &to_see].into_iter().any(|right| missing.contains(&begins(right)));
            assert!(named, "without {acl}: {error}");
        }
        Ok(()) => assert!(only_for_repair.contains(acl), "everything works without {acl}"),
        other => panic!("without {acl}: {other:?}"),
    }
}

/// One principal for each right that is left out.
fn without_each(acls: &BTreeSet<Acl>, installation: &Installation) -> Vec<(String, Acl)> {
    let cases: Vec<(String, Acl)> =
        acls.iter().enumerate().map(|(index, acl)| (format!("without-{index}"), acl.clone())).collect();
    let names: Vec<String> = cases.iter().map(|(name, _)| name.clone()).collect();
    installation.grant(acls, |left_out| {
        names.iter().enumerate().filter(|(index, _)| *index != left_out).map(|(_, name)| name.clone()).collect()
    });
    cases
}

/// A right on a topic.
fn right(operation: Operation, installation: &Installation, topic: &str) -> Acl {
    let name = format!("{}{topic}", installation.prefix);
    Acl { resource: Resource { kind: ResourceKind::Topic, name, prefixed: false }, operation }
}

#[test]
fn a_stage_that_lacks_a_right_says_which() {
    let installation = Installation::new();
    let mut source = installation.admin.source("meter").expect("the source opens");
    let only_for_repair = [
        right(Operation::Read, &installation, OUTPUT),
        right(Operation::Describe, &installation, "prescale-source-positions"),
    ];
    for (index, (name, acl)) in without_each(&installation.needed(&[STAGE]), &installation).into_iter().enumerate() {
        let mut records = inputs(index * 20, 20);
        records.push(record(INPUT, "key-1", "reject this one"));
        write(source.as_mut(), records);
        let stage = start(&installation.open(&name));
        if only_for_repair.contains(&acl) {
            await_no_lag(installation.admin.as_ref(), GROUP);
        } else {
            until(&format!("the stage to end without {acl}"), || stage.has_ended().then_some(()));
        }
        check_without(&acl, &only_for_repair, stage.stop());
    }
}

#[test]
fn a_source_that_lacks_a_right_says_which() {
    let installation = Installation::new();
    write(installation.admin.source("meter").expect("the source opens").as_mut(), inputs(0, 10));
    let only_for_repair = [right(Operation::Read, &installation, INPUT)];
    for (name, acl) in without_each(&installation.needed(&[SOURCE]), &installation) {
        let bus = installation.open(&name);
        let written = bus.source("meter").and_then(|mut source| source.append(inputs(10, 10), b"20"));
        check_without(&acl, &only_for_repair, written);
    }
}
