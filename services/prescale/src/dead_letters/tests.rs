//! `prescale dlq` over an embedded log with a stage that rejects.

use super::*;
use prescale_bus::{
    Cleanup, ConsumedRecord, Header, Outcome, OutputRecord, Rejection, Stage, StageFactory, StageFailure, TopicSpec,
};
use prescale_chassis::bus_access::EmbeddedConfig;
use prescale_chassis::{BusConfig, Context, open_bus};
use prescale_contracts::topics;
use std::sync::Arc;

/// Rejects every record of `raw-kpis`, by its first byte.
struct Refuser;

impl Stage for Refuser {
    fn apply(&mut self, batch: &[ConsumedRecord]) -> Result<Vec<Outcome>, StageFailure> {
        let code = |r: &ConsumedRecord| match r.value.as_deref() {
            Some([0, ..]) => "late",
            _ => "undecodable",
        };
        Ok(batch.iter().map(|r| Outcome::Reject(Rejection { code: code(r), message: "no".to_owned() })).collect())
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }
}

impl StageFactory for Refuser {
    fn name(&self) -> &'static str {
        "refuser"
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

/// Three letters: two undecodable ones and a late one.
fn bus_with_letters() -> (tempfile::TempDir, Arc<dyn Bus>) {
    let folder = tempfile::tempdir().unwrap();
    let embedded = EmbeddedConfig { path: folder.path().join("bus.db"), ..Default::default() };
    let bus = open_bus(&BusConfig { embedded, ..Default::default() }).unwrap();
    let dlq = topics::dlq_of(topics::RAW_KPIS);
    for name in [topics::RAW_KPIS, &dlq] {
        let cleanup = Cleanup::Delete { retention_ms: i64::MAX };
        let spec = TopicSpec { name: name.to_owned(), partitions: 2, replication: 1, cleanup };
        bus.ensure_topics(&[spec]).unwrap();
    }
    let record = |value: &[u8]| OutputRecord {
        topic: topics::RAW_KPIS.into(),
        key: b"web-1".to_vec(),
        value: Some(value.to_vec()),
        headers: vec![Header { name: "origin".into(), value: value.to_vec().into() }],
    };
    bus.source("t").unwrap().append(vec![record(b"x"), record(b"\0"), record(b"y")], b"").unwrap();
    let (context, stop) = (Context::default(), CancellationToken::new());
    std::thread::scope(|scope| {
        scope.spawn(|| context.run_stage(bus.as_ref(), Arc::new(Refuser), &stop).unwrap());
        while bus.lag("t", &dlq).unwrap().iter().map(|l| l.end).sum::<i64>() < 3 {
            std::thread::yield_now();
        }
        stop.cancel();
    });
    (folder, bus)
}

fn listed(bus: &dyn Bus, code: Option<&str>, records: bool) -> Vec<Value> {
    let filter = LetterFilter { code: code.map(str::to_owned), stage: None };
    let listing = Listing { topic: None, filter, records, as_json: true };
    let mut out = Vec::new();
    list(bus, &listing, &mut out, &CancellationToken::new()).unwrap();
    if records {
        return out.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    }
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn letters_are_counted_by_reason_shown_and_replayed() {
    let (_folder, bus) = bus_with_letters();
    let heaps = listed(bus.as_ref(), None, false);
    let shape: Vec<_> = heaps.iter().map(|h| (h["reason"].as_str(), h["letters"].as_u64())).collect();
    assert_eq!(shape, [(Some("late"), Some(1)), (Some("undecodable"), Some(2))]);
    assert_eq!(heaps[0]["stage"], "refuser");
    let letters = listed(bus.as_ref(), Some("undecodable"), true);
    assert_eq!(letters.len(), 2);
    assert_eq!((&letters[0]["key"], &letters[0]["message"]), (&json!("web-1"), &json!("no")));
    assert_eq!(letters[0]["value"]["undecodable_bytes"], 1);

    let filter = LetterFilter { code: Some("late".to_owned()), stage: None };
    let request = ReplayRequest { topic: topics::RAW_KPIS.to_owned(), filter, ..Default::default() };
    let said = replay(bus.as_ref(), &request, &CancellationToken::new()).unwrap();
    assert_eq!(said, "1 letters written back to raw-kpis\n2 letters left out by the selection\n");
    let heaps = listed(bus.as_ref(), None, false);
    assert_eq!((&heaps[0]["waiting"], &heaps[1]["waiting"]), (&json!(0), &json!(2)));
    assert_eq!(listed(bus.as_ref(), Some("late"), true)[0]["replayed"], true);
}

#[test]
fn the_queue_goes_by_its_topics_name_as_well() {
    assert_eq!(topic_named("raw-kpis.dlq"), topic_named("raw-kpis"));
}
