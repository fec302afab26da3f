//! What is done for an id, over a registry that the test scripts. A real one is asked in
//! `tests/schema_registry.rs`.

use super::UNKNOWN_SCHEMA;
use super::http::Api;
use super::ids::{Ids, Judgement, Naming, NoId, Waited};
use super::known::KnownFile;
use super::protocol::{Ask, Reply};
use super::stage::{RegistryFactory, Written};
use crate::health::HealthRegistry;
use prescale_bus::{ConsumedRecord, Outcome, Stage, StageFactory, StageFailure};
use prescale_contracts::interchange::newest_schema;
use prescale_contracts::topics;
use serde_json::json;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

/// A registry with ids from 100 on, which can be down; it notes what it is asked.
#[derive(Default)]
struct Scripted {
    subjects: Mutex<Vec<(String, String)>>,
    asked: Mutex<Vec<String>>,
    down: Mutex<bool>,
}

const FIRST_ID: usize = 100;

struct Handle(Arc<Scripted>);

fn reply(status: u16, body: &serde_json::Value) -> Result<Reply, String> {
    Ok(Reply { status, body: body.to_string().into_bytes() })
}

impl Api for Handle {
    fn ask(&self, ask: &Ask<'_>) -> Result<Reply, String> {
        self.0.asked.lock().unwrap().push(ask.request().1);
        if *self.0.down.lock().unwrap() {
            return Err("connection refused".to_owned());
        }
        let mut subjects = self.0.subjects.lock().unwrap();
        let absent = json!({"error_code": 40403, "message": "Schema not found"});
        match ask {
            Ask::Lookup { subject, schema } => {
                match subjects.iter().position(|(s, text)| s == subject && text == schema) {
                    Some(i) => reply(200, &json!({"id": FIRST_ID + i})),
                    None => reply(404, &absent),
                }
            }
            Ask::Restrict { .. } => reply(200, &json!({"compatibility": "FULL_TRANSITIVE"})),
            Ask::Register { subject, schema } => {
                subjects.push(((*subject).to_owned(), (*schema).to_owned()));
                reply(200, &json!({"id": FIRST_ID + subjects.len() - 1}))
            }
            Ask::Schema { id } => match (*id as usize).checked_sub(FIRST_ID).and_then(|i| subjects.get(i)) {
                Some((_, schema)) => reply(200, &json!({"schema": schema})),
                None => reply(404, &absent),
            },
        }
    }
}

impl Scripted {
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn set_down(&self, down: bool) {
        *self.down.lock().unwrap() = down;
    }

    fn ids(self: &Arc<Self>, folder: &Path, register: bool) -> (Ids, HealthRegistry) {
        let naming = Naming { topic_prefix: "eu.".to_owned(), register };
        let file = KnownFile::open(folder.join("schema-ids.json"), "http://registry");
        let health = HealthRegistry::default();
        (Ids::new(Box::new(Handle(Arc::clone(self))), naming, file, health.clone()), health)
    }
}

#[test]
fn a_schema_is_looked_up_then_registered_and_asked_for_once() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Arc::new(Scripted::default());
    let (ids, _) = registry.ids(folder.path(), true);
    assert_eq!(ids.to_write(topics::RAW_KPIS), Ok(Some(100)));
    let subject = "eu.raw-kpis-value";
    let expected =
        [format!("/subjects/{subject}"), format!("/config/{subject}"), format!("/subjects/{subject}/versions")];
    assert_eq!(registry.asked(), expected);
    assert_eq!(ids.to_write(topics::RAW_KPIS), Ok(Some(100)));
    assert_eq!(ids.to_write("copies"), Ok(None), "a topic without a schema");
    assert!(registry.asked().is_empty());
}

#[test]
fn who_may_only_look_up_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Arc::new(Scripted::default());
    let (ids, _) = registry.ids(folder.path(), false);
    match ids.to_write(topics::ACTIONS) {
        Err(NoId::Refused(why)) => {
            assert!(why.contains("eu.actions-value") && why.contains("register = true"), "{why}")
        }
        other => panic!("{other:?}"),
    }
    assert!(registry.subjects.lock().unwrap().is_empty());
}

#[test]
fn a_restart_needs_no_registry_for_what_was_known() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Arc::new(Scripted::default());
    let (ids, _) = registry.ids(folder.path(), true);
    ids.to_write(topics::RAW_KPIS).unwrap();
    drop(ids);
    registry.set_down(true);
    let (ids, _) = registry.ids(folder.path(), true);
    assert_eq!(ids.to_write(topics::RAW_KPIS), Ok(Some(100)));
    assert!(matches!(ids.judge(topics::RAW_KPIS, 100), Ok(Judgement::Readable(_))));
    assert!(matches!(ids.to_write(topics::ACTIONS), Err(NoId::Unavailable(_))));
    assert!(matches!(ids.judge(topics::RAW_KPIS, 101), Err(why) if why == "connection refused"));
}

#[test]
fn what_a_registry_says_of_an_id() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Arc::new(Scripted::default());
    let actions = newest_schema(topics::ACTIONS).unwrap().to_owned();
    registry
        .subjects
        .lock()
        .unwrap()
        .extend([("other".to_owned(), "\"long\"".to_owned()), ("other".to_owned(), actions)]);
    let (ids, _) = registry.ids(folder.path(), true);
    assert!(matches!(ids.judge(topics::ACTIONS, 101), Ok(Judgement::Readable(_))));
    assert!(matches!(ids.judge(topics::RAW_KPIS, 101), Ok(Judgement::Unusable(r)) if r.message.contains("101")));
    assert!(matches!(ids.judge(topics::RAW_KPIS, 100), Ok(Judgement::Unusable(_))));
    assert!(matches!(ids.judge(topics::RAW_KPIS, 102), Ok(Judgement::Absent)));
    assert!(matches!(ids.judge(topics::RAW_KPIS, u32::MAX), Ok(Judgement::Absent)), "no registry has such an id");
    assert_eq!(registry.asked(), ["/schemas/ids/101", "/schemas/ids/100", "/schemas/ids/102"]);
}

/// Takes every record.
struct Taker;

impl Stage for Taker {
    fn apply(&mut self, batch: &[ConsumedRecord]) -> Result<Vec<Outcome>, StageFailure> {
        Ok(batch.iter().map(|_| Outcome::Drop("taken")).collect())
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }
}

impl StageFactory for Taker {
    fn name(&self) -> &'static str {
        "taker"
    }

    fn input_topic(&self) -> Arc<str> {
        topics::RAW_KPIS.into()
    }

    fn output_topics(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    fn state_schema(&self) -> String {
        "1".to_owned()
    }

    fn create(&self, _partition: u32) -> Box<dyn Stage> {
        Box::new(Self)
    }

    fn restore(&self, _partition: u32, _snapshot: &[u8]) -> Result<Box<dyn Stage>, String> {
        Ok(Box::new(Self))
    }
}

/// Offsets that a new process's stage rejects of these, all under id 100.
fn rejected(registry: &Arc<Scripted>, folder: &Path, offsets: std::ops::Range<i64>) -> Vec<i64> {
    let (ids, _) = registry.ids(folder, true);
    let factory = RegistryFactory::new(Arc::new(Taker), Arc::new(ids), Written::new(), CancellationToken::new());
    let record = |offset| ConsumedRecord {
        topic: topics::RAW_KPIS.into(),
        partition: 2,
        offset,
        appended_at_ms: 0,
        key: None,
        value: Some(vec![0, 0, 0, 0, 100, 0]),
        headers: Vec::new(),
    };
    let batch: Vec<ConsumedRecord> = offsets.clone().map(record).collect();
    let outcomes = factory.create(2).apply(&batch).unwrap();
    assert_eq!(outcomes.len(), batch.len());
    offsets
        .zip(outcomes)
        .filter(|(_, o)| matches!(o, Outcome::Reject(r) if r.code == UNKNOWN_SCHEMA))
        .map(|(o, _)| o)
        .collect()
}

#[test]
fn a_restart_judges_a_record_as_it_was_judged() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Arc::new(Scripted::default());
    assert_eq!(rejected(&registry, folder.path(), 3..6), [3, 4, 5]);
    let samples = newest_schema(topics::RAW_KPIS).unwrap().to_owned();
    registry.subjects.lock().unwrap().push(("raw-kpis-value".to_owned(), samples));
    assert_eq!(rejected(&registry, folder.path(), 3..8), [3, 4, 5], "rebuilding the state, and two new ones");
    let elsewhere = tempfile::tempdir().unwrap();
    assert_eq!(rejected(&registry, elsewhere.path(), 3..8), [0i64; 0]);
}

#[test]
fn who_waits_says_so_until_the_registry_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Arc::new(Scripted::default());
    registry.set_down(true);
    let (ids, health) = registry.ids(folder.path(), true);
    let waiter = ids.waiter("planner");
    assert!(health.not_ready().is_empty());
    let token = CancellationToken::new();
    let mut tries = 0;
    let waited = waiter.until(&token, || {
        tries += 1;
        if tries == 3 {
            let [(name, why)] = &health.not_ready()[..] else { panic!("one waits") };
            assert!(name.contains("planner") && why.contains("connection refused"), "{name}: {why}");
            registry.set_down(false);
        }
        ids.to_write(topics::RAW_KPIS).map_err(|e| match e {
            NoId::Unavailable(why) | NoId::Refused(why) => why,
        })
    });
    assert!(matches!(waited, Waited::For(Some(100))));
    assert!(health.not_ready().is_empty());
    token.cancel();
    let stopped = waiter.until(&token, || Err::<(), _>("down".to_owned()));
    assert!(matches!(stopped, Waited::Shutdown));
}
