//! The account of decisions on made-up predictions.

use super::*;
use crate::Config;
use prescale_chassis::audit::{Found, GAP, Judged, NO_OUTPUT, Read};
use prescale_chassis::{GroupsConfig, output_record};
use prescale_contracts::{Contract, Envelope};
use prescale_domain::evaluation::Outcome;
use prescale_domain::kpi::{CPU_CORES_USED, KpiName};
use prescale_domain::prediction::ResourceForecast;
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;

fn input(workload: &str, at_s: i64, cores_used: f64) -> Input<Prediction> {
    let cpu = ResourceForecast {
        resource: KpiName::new(CPU_CORES_USED),
        unit: "cores".into(),
        last: Some(cores_used),
        model: "none".into(),
        model_version: "0".into(),
        drift: None,
        started_from: Vec::new(),
        horizons: Vec::new(),
    };
    let value = Prediction {
        workload: WorkloadId::new(workload).unwrap(),
        source: SourceName::new("test").unwrap(),
        made_at: EventTime::from_s(at_s),
        step_s: 60,
        resources: vec![cpu],
        signals: Vec::new(),
        earlier: Vec::new(),
        capacity: Some(Capacity {
            replicas: 2,
            cpu_cores_per_replica: 2.0,
            memory_bytes_per_replica: 8e9,
            instance_type: None,
        }),
        anomaly: None,
        platform: Platform::SIMULATED,
    };
    let position = format!("{workload} {at_s}");
    let envelope = Envelope::root("test", Prediction::EVENT_TYPE, &value.workload, value.made_at, &position);
    Input { envelope, value }
}

/// Two workloads for three hours, minute by minute.
fn inputs() -> Vec<Input<Prediction>> {
    let both = |minute: i64| {
        let at_s = 1_767_225_600 + 60 * minute;
        [input("a", at_s, 1.0 + (minute % 50) as f64 / 20.0), input("b", at_s + 7, 2.5)]
    };
    (0..=180).flat_map(both).collect()
}

fn factory() -> Factory {
    Factory::new(Arc::new(Config::default().terms(&GroupsConfig::new()).unwrap()), Arc::default())
}

fn outcomes(replies: &[Reply]) -> Vec<Outcome> {
    let emitted = replies.iter().filter_map(|reply| match reply {
        Reply::Emit(outgoing) => Some(outgoing),
        _ => None,
    });
    let records = emitted.flatten().flat_map(|outgoing| outgoing.records());
    records
        .filter(|record| *record.topic == *topics::OUTCOMES)
        .map(|record| Outcome::decode(record.value.as_deref().unwrap()).unwrap())
        .collect()
}

#[test]
fn each_hour_is_written_once_and_every_prediction_has_a_fate() {
    let replies = factory().create(0).apply(inputs()).unwrap();
    assert_eq!(replies.len(), 362);
    assert!(!replies.contains(&Reply::Drop(STALE)) && replies.contains(&Reply::Drop(HOLD)));
    let told = outcomes(&replies);
    let hours: Vec<(&str, i64)> = told.iter().map(|o| (o.workload.as_str(), o.from.bin(3600) % 24)).collect();
    assert_eq!(hours, [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]);
    assert!(told.iter().all(|hour| !hour.is_dry_run && hour.sums.observed_s > 3500.0));
    assert_eq!(factory().create(0).apply(vec![inputs()[0].clone(); 2]).unwrap()[1], Reply::Drop(STALE));
}

#[test]
fn an_outcome_follows_from_the_prediction_that_ended_its_hour() {
    let inputs = inputs();
    let replies = factory().create(0).apply(inputs.clone()).unwrap();
    let ends = |reply: &&Reply| !outcomes(std::slice::from_ref(*reply)).is_empty();
    let (input, reply) = inputs.iter().zip(&replies).find(|(_, reply)| ends(reply)).unwrap();
    let Reply::Emit(outgoing) = reply else { unreachable!() };
    let record = &outgoing[0].records()[0];
    let header = |name: &str| record.headers.iter().find(|h| h.name == name).map(|h| h.value.to_vec()).unwrap();
    let expected = input.envelope.following(NAME, "", &input.value.workload, input.value.made_at, 0);
    assert_eq!(header("ce_id"), expected.id.as_bytes());
    assert_eq!((&*record.topic, &*record.key), (topics::OUTCOMES, b"a".as_slice()));
    assert_eq!(header("ce_type"), b"io.prescale.v1.Outcome");
}

#[test]
fn a_copied_workload_has_the_others_account() {
    let mut stage = factory().create(0);
    let inputs = inputs();
    stage.apply(inputs[..100].to_vec()).unwrap();
    let [from, to] = ["a", "copy"].map(|name| WorkloadId::new(name).unwrap());
    stage.copy_workload(&from, &to);
    let copy = |input: &Input<Prediction>| {
        let mut copy = input.clone();
        copy.value.workload = to.clone();
        copy
    };
    assert_eq!(stage.apply(vec![copy(&inputs[98])]).unwrap(), [Reply::Drop(STALE)]);
    let rest = inputs[100..].iter().filter(|input| input.value.workload == from);
    let told = outcomes(&stage.apply(rest.map(copy).collect()).unwrap());
    let hours: Vec<(&str, i64)> = told.iter().map(|o| (o.workload.as_str(), o.from.bin(3600) % 24)).collect();
    assert_eq!(hours, [("copy", 0), ("copy", 1), ("copy", 2)]);
    assert!(told.iter().all(|hour| hour.sums.observed_s > 3500.0), "the first hour has what went before");
}

#[test]
fn the_audit_knows_which_predictions_must_end_an_hour() {
    let inputs = inputs();
    let replies = factory().create(0).apply(inputs.clone()).unwrap();
    let found = |(ordinal, outgoing): (u32, &Outgoing)| {
        let is_outcome = *outgoing.records()[0].topic == *topics::OUTCOMES;
        Found { topic: if is_outcome { topics::OUTCOMES } else { topics::PROPOSALS }, ordinal, at: None }
    };
    let (mut lost, mut others) = (0, 0);
    for is_removed in [false, true] {
        let mut audit = crate::audit::audit();
        for (offset, (input, reply)) in (0..).zip(inputs.iter().zip(&replies)) {
            let record = output_record(&input.envelope, topics::PREDICTIONS, &input.value).unwrap();
            let record = record.read_at(0, offset);
            let made: &[Outgoing] = if let Reply::Emit(outgoing) = reply { outgoing } else { &[] };
            let all: Vec<Found> = (0..).zip(made).map(found).collect();
            // Of the outcomes, which come first, the only one is lost; what else there is has its number then.
            let is_outcome = |found: &&Found| found.topic == topics::OUTCOMES;
            let is_lost = is_removed && all.iter().any(|found| is_outcome(&found));
            let left: Vec<Found> = all.iter().filter(|found| !(is_removed && is_outcome(found))).copied().collect();
            let wanted = match (is_lost, left.is_empty()) {
                (true, true) => Judged::Wrong(NO_OUTPUT),
                (true, false) => Judged::Wrong(GAP),
                (false, true) => Judged::Without(HOLD),
                (false, false) => Judged::Ended,
            };
            lost += usize::from(is_lost);
            others += usize::from(!is_lost && !left.is_empty());
            assert_eq!(audit.judge(&Read { record: &record, found: &left, is_rejected: false }), wanted, "{offset}");
        }
        assert!(audit.close().is_empty());
    }
    assert!(lost == 6 && others > 6, "{lost} lost, {others} others");
}

#[test]
fn another_price_shapes_no_state() {
    let under = |config: &Config| {
        let terms = config.terms(&GroupsConfig::new()).unwrap();
        StateSchema::from(Factory::new(Arc::new(terms), Arc::default()).state_schema().as_str())
    };
    let mut config = Config::default();
    let before = under(&config);
    config.outcomes.currency = "EUR".to_owned();
    let now = under(&config);
    assert_eq!(before.changes_of_shape(&now), []);
    assert_eq!(before.changes_of_terms(&now).len(), 1);
}
