//! The adapter between typed stages and the bus.

use super::*;
use prescale_domain::sample::{Platform, Sample};
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;

/// Emits even minutes to two topics, drops minute 1, rejects minute 3.
struct Sorter {
    seen: u8,
}

impl TypedStage for Sorter {
    type In = Sample;

    fn apply(&mut self, batch: Vec<Input<Sample>>) -> Result<Vec<Reply>, StageFailure> {
        batch
            .into_iter()
            .map(|input| {
                self.seen += 1;
                Ok(match input.value.at.as_ms() / 60_000 {
                    1 => Reply::Drop("duplicate"),
                    3 => Reply::Reject(Rejection { code: "late", message: "too late".to_owned() }),
                    99 => return Err(StageFailure { message: "broken".to_owned() }),
                    _ => {
                        let out = Outgoing::following(&input.envelope, "sorter", 0, &["a", "b"], &input.value)?;
                        Reply::Emit(vec![out])
                    }
                })
            })
            .collect()
    }

    fn snapshot(&self) -> Vec<u8> {
        vec![self.seen]
    }
}

struct Factory;

impl TypedStageFactory for Factory {
    type Stage = Sorter;

    fn name(&self) -> &'static str {
        "sorter"
    }

    fn output_topics(&self) -> Vec<&'static str> {
        vec!["a", "b"]
    }

    fn state_schema(&self) -> String {
        "v1".to_owned()
    }

    fn create(&self, _partition: u32) -> Sorter {
        Sorter { seen: 0 }
    }

    fn restore(&self, _partition: u32, snapshot: &[u8]) -> Result<Sorter, String> {
        Ok(Sorter { seen: *snapshot.first().ok_or("empty")? })
    }
}

fn sample(minute: i64) -> Sample {
    Sample {
        workload: WorkloadId::new("web-1").unwrap(),
        source: SourceName::new("fleet:test").unwrap(),
        at: EventTime::from_s(minute * 60),
        step_s: 60,
        kpis: Vec::new(),
        capacity: None,
        platform: Platform::SIMULATED,
    }
}

fn consumed(minute: i64) -> ConsumedRecord {
    let sample = sample(minute);
    let envelope = Envelope::root("fleet", Sample::EVENT_TYPE, &sample.workload, sample.at, &minute.to_string());
    let record = output_record(&envelope, Sample::TOPIC, &sample).unwrap();
    record.read_at(0, minute)
}

#[test]
fn one_outcome_a_record_in_order_also_around_undecodable_ones() {
    let mut torn = consumed(5);
    torn.value = torn.value.map(|v| v[..v.len() - 2].to_vec());
    let mut tombstone = consumed(6);
    tombstone.value = None;
    let mut bare = consumed(7);
    bare.headers.retain(|header| header.name != "ce_time");
    let mut misplaced = consumed(8);
    misplaced.key = Some(b"web-2".to_vec());
    let batch = [torn, consumed(0), tombstone, consumed(1), bare, consumed(2), consumed(3), misplaced];

    let mut stage = stage_factory(Factory).create(0);
    let outcomes = stage.apply(&batch).unwrap();
    let shape: Vec<&str> = outcomes
        .iter()
        .map(|o| match o {
            Outcome::Emit(records) if records.len() == 2 => "emit",
            Outcome::Emit(_) => "?",
            Outcome::Drop(reason) => reason,
            Outcome::Reject(r) => r.code,
        })
        .collect();
    let u = UNDECODABLE;
    assert_eq!(shape, [u, "emit", u, "duplicate", u, "emit", "late", u]);
    assert_eq!(stage.snapshot(), [3 + 1]);
    let Outcome::Reject(misplaced) = &outcomes[7] else { panic!("rejected") };
    assert!(misplaced.message.contains("web-2"), "{}", misplaced.message);
}

#[test]
fn outcomes_do_not_depend_on_how_the_input_is_cut() {
    let batch: Vec<ConsumedRecord> = (0..5).map(consumed).collect();
    let whole = stage_factory(Factory).create(0).apply(&batch).unwrap();
    let mut stage = stage_factory(Factory).create(0);
    let cut: Vec<Outcome> = batch.chunks(2).flat_map(|part| stage.apply(part).unwrap()).collect();
    assert_eq!(whole, cut);
}

#[test]
fn what_follows_carries_key_headers_and_bytes() {
    let input = consumed(2);
    let parent = decode_record::<Sample>(&input).unwrap().envelope;
    let outcome = stage_factory(Factory).create(0).apply(std::slice::from_ref(&input)).unwrap().remove(0);
    let Outcome::Emit(records) = outcome else { panic!("emitted") };
    assert_eq!((&*records[0].topic, &*records[1].topic), ("a", "b"));
    assert_eq!(records[0].key, b"web-1");
    assert_eq!(records[0].value, input.value);
    assert_eq!((&records[0].headers, &records[0].value), (&records[1].headers, &records[1].value));
    let headers = records[0].headers.iter().map(|h| (h.name.as_str(), h.value.as_slice()));
    let child = Envelope::from_headers(headers).unwrap();
    assert_eq!(child, parent.following("sorter", Sample::EVENT_TYPE, &sample(2).workload, sample(2).at, 0));
}

#[test]
fn a_sample_without_headers_is_known_by_where_it_lies() {
    let foreign = ConsumedRecord { headers: Vec::new(), partition: 2, ..consumed(7) };
    let Input { envelope, value } = decode_record::<Sample>(&foreign).unwrap();
    let position = Position { topic: Sample::TOPIC, partition: 2, offset: 7 };
    assert_eq!(envelope, Envelope::foreign(position, "fleet:test", Sample::EVENT_TYPE, value.at));
    assert_eq!((value, foreign_position(&foreign)), (sample(7), Some(position)));
    let (id, trace) = ids_of(&foreign).unwrap();
    assert_eq!((&id, &*trace), (&envelope.id, envelope.trace_id()));
    let own = consumed(7);
    let known = decode_record::<Sample>(&own).unwrap().envelope;
    let (id, trace) = ids_of(&own).unwrap();
    assert_eq!((&id, &*trace), (&known.id, known.trace_id()));
    assert_eq!(foreign_position(&own), None);
}

#[test]
fn headers_in_part_or_on_another_topic_are_refused_by_name() {
    for name in ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time"] {
        let mut record = consumed(7);
        record.headers.retain(|header| header.name != name);
        assert!(decode_record::<Sample>(&record).unwrap_err().contains(name));
        assert!(ids_of(&record).is_err() && foreign_position(&record).is_none());
    }
    let elsewhere = ConsumedRecord { topic: topics::FINGERPRINTS.into(), headers: Vec::new(), ..consumed(7) };
    assert!(decode_record::<Sample>(&elsewhere).unwrap_err().contains("ce_specversion"));
}

#[test]
fn failures_pass_through_and_snapshots_restore() {
    let factory = stage_factory(Factory);
    assert_eq!(factory.create(0).apply(&[consumed(99)]).unwrap_err().message, "broken");
    assert_eq!(factory.restore(0, &[7]).map(|s| s.snapshot()), Ok(vec![7]));
    assert!(factory.restore(0, &[]).is_err());
    assert_eq!(&*factory.input_topic(), "raw-kpis");
    assert_eq!(factory.name(), "sorter");
}

/// Forgets a reply.
struct Forgetful;

impl TypedStage for Forgetful {
    type In = Sample;

    fn apply(&mut self, _batch: Vec<Input<Sample>>) -> Result<Vec<Reply>, StageFailure> {
        Ok(Vec::new())
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }
}

#[test]
fn a_missing_reply_fails_the_step() {
    let mut stage = StageAdapter { name: "forgetful", partition: "0".to_owned(), inner: Forgetful };
    assert!(stage.apply(&[consumed(0)]).unwrap_err().message.contains("0 replies to 1 inputs"));
}
