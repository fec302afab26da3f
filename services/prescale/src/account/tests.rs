//! Accounts that add up, and ones that do not.

use super::*;
use crate::toy::{Log, NOTES, STAGE, again, sample};
use prescale_bus::{Header, OutputRecord};
use prescale_chassis::audit::each;
use prescale_chassis::{Ids, output_record};
use prescale_contracts::{Contract, Envelope};
use prescale_domain::sample::{Platform, Sample};
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;

fn accounted(log: &Log) -> StageAccount {
    account(log.bus.as_ref(), &log.context, &CancellationToken::new()).unwrap().remove(0)
}

#[test]
fn what_is_on_the_log_adds_up() {
    let log = Log::of("", 30);
    log.run();
    log.append(vec![sample(29), sample(30)]);
    let account = accounted(&log);
    assert_eq!((account.read, account.followed, account.unread), (30, 30, 2));
    assert!(account.faults().is_empty() && account.examples.is_empty(), "{account:?}");
    log.run();
    let account = accounted(&log);
    assert_eq!((account.read, account.repeated_inputs, account.unread), (31, 1, 0));
    assert_eq!(account.repeated_outputs, 1, "it notes what it has noted");
}

#[test]
fn an_output_that_is_missing_is_an_error() {
    let log = Log::of("[toy]\nforgets_minute = 11\n", 30);
    log.run();
    let account = accounted(&log);
    assert_eq!((account.read, account.followed, account.missing, account.without_output), (30, 29, 1, 0));
    let fault = account.faults().remove(0);
    assert!(fault.starts_with("toy lacks what should follow from 1 records: raw-kpis/"), "{fault}");
    assert!(fault.contains("@11 (nothing has followed from it)"), "{fault}");
    assert!(table(&[account]).contains("missing"));
}

#[test]
fn an_output_that_is_there_twice_is_an_error() {
    let log = Log::of("[toy]\nrepeats_minute = 11\n", 30);
    log.run();
    let account = accounted(&log);
    assert_eq!((account.followed, account.repeated_outputs, account.strays), (30, 1, 0));
    assert!(account.faults()[0].starts_with("toy wrote 1 outputs twice: toy-notes/"), "{account:?}");
    let log = Log::of("", 30);
    log.run();
    log.append(vec![again(&log.records(NOTES)[7])]);
    assert_eq!(accounted(&log).repeated_outputs, 1);
}

#[test]
fn an_output_that_follows_from_nothing_is_an_error() {
    let log = Log::of("", 30);
    log.run();
    let mut stray = again(&log.records(NOTES)[7]);
    let id = stray.headers.iter_mut().find(|header| header.name == "ce_id").unwrap();
    id.value = b"00000000000000000000000000000001".as_slice().into();
    log.append(vec![stray.clone()]);
    let account = accounted(&log);
    assert_eq!((account.followed, account.strays, account.repeated_outputs), (30, 1, 0));
    assert!(account.faults()[0].starts_with("1 outputs of toy follow from no input: toy-notes/"), "{account:?}");
    stray.headers.retain(|header| !header.name.starts_with("ce_"));
    log.append(vec![stray]);
    assert_eq!(accounted(&log).strays, 2, "also one that says nothing of itself");
}

#[test]
fn a_dead_letter_is_an_end() {
    let log = Log::of("", 3);
    let mut torn = sample(3);
    torn.value = Some(vec![0, 1, 2]);
    let mut nameless = sample(4);
    nameless.headers.retain(|header| header.name != "ce_id");
    log.append(vec![torn, nameless]);
    log.run();
    let account = accounted(&log);
    assert_eq!((account.read, account.followed, account.rejected, account.missing), (5, 3, 2, 0), "{account:?}");
}

#[test]
fn what_follows_from_records_without_headers_is_found_by_where_they_lie() {
    let log = Log::of("[toy]\nforgets_minute = 4\n", 3);
    let foreign = [3, 4, 5, 5].map(|minute| OutputRecord { headers: Vec::new(), ..sample(minute) });
    log.append(foreign.to_vec());
    log.run();
    let account = accounted(&log);
    assert_eq!((account.read, account.followed, account.missing, account.strays), (7, 6, 1, 0), "{account:?}");
    assert_eq!((account.repeated_inputs, account.repeated_outputs), (0, 0), "each has its own id");
}

/// A record as it was read.
fn record(envelope: &Envelope, topic: &str, key: &str, offset: i64) -> ConsumedRecord {
    let workload = WorkloadId::new(key).unwrap();
    let sample = Sample {
        workload,
        source: SourceName::new("fleet:test").unwrap(),
        at: envelope.time,
        step_s: 60,
        kpis: Vec::new(),
        capacity: None,
        platform: Platform::SIMULATED,
    };
    let record = output_record(envelope, topic, &sample).unwrap();
    ConsumedRecord { appended_at_ms: offset, ..record.read_at(0, offset) }
}

fn root(key: &str, minute: i64) -> Envelope {
    let (key, at) = (WorkloadId::new(key).unwrap(), EventTime::from_s(60 * minute));
    Envelope::root("test", Sample::EVENT_TYPE, &key, at, "")
}

fn following(parent: &Envelope, key: &str, ordinal: u32) -> Envelope {
    parent.following("made-up", "t", &WorkloadId::new(key).unwrap(), parent.time, ordinal)
}

const fn entry(ids: Ids) -> StageEntry {
    StageEntry { stage: "made-up", input: "in", outputs: &["out", topics::CONTROL], ids, audit: each }
}

fn ordinals(outputs: &mut Outputs<'_>, input: &ConsumedRecord) -> Vec<u32> {
    outputs.following(input).iter().map(|found| found.ordinal).collect()
}

fn strays(outputs: &Outputs<'_>, kept: &Kept) -> usize {
    outputs.orphans(kept).filter(|orphan| matches!(orphan, Orphan::Stray(_))).count()
}

#[test]
fn outputs_are_found_by_their_numbers_also_behind_a_gap() {
    let (entry, parent) = (entry(Ids::OfInput), root("web", 7));
    let mut outputs = Outputs::of(&entry);
    for (offset, ordinal) in (0..).zip([0, 1, 3]) {
        outputs.take(0, &record(&following(&parent, "web", ordinal), "out", "web", offset));
    }
    outputs.take(1, &record(&following(&parent, "web", 1), topics::CONTROL, "web", 0));
    outputs.take(0, &record(&following(&parent, "other", 0), "out", "other", 3));
    assert_eq!(ordinals(&mut outputs, &record(&parent, "in", "web", 0)), [0, 1, 3], "what is compacted is not counted");
    assert_eq!(strays(&outputs, &Kept::default()), 1, "it has another key");
    assert!(outputs.repeated.is_empty(), "once on each topic");
}

#[test]
fn outputs_with_keys_of_their_own_are_found_by_their_trace() {
    let (entry, parent) = (entry(Ids::OfOutput), root("web", 7));
    let mut outputs = Outputs::of(&entry);
    for (offset, key) in (0..).zip(["web", "group-a", "group-b", "group-c"]) {
        outputs.take(0, &record(&following(&parent, key, offset as u32), "out", key, offset));
    }
    let stranger = record(&following(&root("web", 8), "group-a", 1), "out", "group-a", 4);
    outputs.take(0, &stranger);
    let mut found = ordinals(&mut outputs, &record(&parent, "in", "web", 0));
    found.sort_unstable();
    assert_eq!(found, [0, 1, 2, 3]);
    assert_eq!(strays(&outputs, &Kept::default()), 1, "it is of another trace");
}

#[test]
fn outputs_that_are_joined_are_found_by_key_and_instant() {
    let entry = entry(Ids::Joined);
    let mut outputs = Outputs::of(&entry);
    for minute in [5, 10] {
        outputs.take(0, &record(&root("group", minute), "out", "group", minute));
    }
    let mut found = |minute| ordinals(&mut outputs, &record(&root("group", minute), "in", "group", minute)).len();
    assert_eq!([found(4), found(5), found(5)], [0, 1, 1], "several inputs may have the instant");
    assert_eq!(strays(&outputs, &Kept::default()), 1);
    let other =
        Envelope::root("another", Sample::EVENT_TYPE, &WorkloadId::new("group").unwrap(), EventTime::from_s(300), "");
    outputs.take(0, &record(&other, "out", "group", 11));
    assert_eq!(outputs.repeated.len(), 1, "another record of the same instant");
}

#[test]
fn retention_explains_only_what_is_older_than_all_that_is_left() {
    let entry = entry(Ids::OfInput);
    let mut outputs = Outputs::of(&entry);
    for minute in [10, 500] {
        outputs.take(0, &record(&following(&root("web", minute), "web", 0), "out", "web", minute));
    }
    outputs.take(0, &record(&following(&root("app", 500), "app", 0), "out", "app", 501));
    let mut kept = Kept::default();
    assert_eq!(strays(&outputs, &kept), 3, "nothing was removed");
    kept.has_lost_its_beginning = true;
    kept.take(&record(&root("web", 100), "in", "web", 100));
    assert_eq!(strays(&outputs, &kept), 1, "an older input is still there");
}

#[test]
fn ids_of_other_producers_are_told_apart() {
    let with_id = |id: &str| ConsumedRecord {
        headers: vec![Header { name: "ce_id".into(), value: id.as_bytes().to_vec().into() }],
        ..record(&root("web", 1), "in", "web", 0)
    };
    let [a, b] = ["sensor-1/17", "sensor-1/18"].map(|id| id_of(&with_id(id)).unwrap());
    assert_ne!(a, b);
    assert_eq!(id_of(&with_id("000000000000000000000000000000ff")), Some(255));
    assert_eq!(id_of(&ConsumedRecord { headers: Vec::new(), ..with_id("x") }), None);
}

#[test]
fn each_judgement_counts_once() {
    let mut account = StageAccount { stage: STAGE.stage.to_owned(), ..StageAccount::default() };
    let place = Place { partition: 0, offset: 5 };
    let judged = [
        (Judged::Ended, false),
        (Judged::Ended, true),
        (Judged::Aside, false),
        (Judged::Without("hold"), false),
        (Judged::Wrong("it is wrong"), false),
        (Judged::Open, false),
    ];
    for (judged, is_rejected) in judged {
        account.judged("in", place, judged, is_rejected);
    }
    assert_eq!((account.read, account.followed, account.rejected), (4, 1, 1));
    assert_eq!((account.others, account.without_output, account.missing), (1, 1, 1));
    assert_eq!((account.reasons["hold"], account.examples.len()), (1, 1));
    assert_eq!(account.faults(), ["toy lacks what should follow from 1 records: in/0@5 (it is wrong)"]);
}
