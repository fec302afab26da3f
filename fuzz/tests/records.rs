//! Whatever bytes are on a topic, decoding them ends, and what it takes for a record is one: it can
//! be written and read again.

use bolero::check;
use prescale_contracts::{Contract, Envelope};
use prescale_domain::action::{Action, ActionResult};
use prescale_domain::alarm::Anomaly;
use prescale_domain::evaluation::Outcome;
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::fleet::{Fleet, FleetSettings};
use prescale_domain::forecast_score::ForecastScore;
use prescale_domain::governor::{FleetRecord, StandingOrder};
use prescale_domain::group::{GroupPart, GroupPrediction};
use prescale_domain::incident::{FleetAnomaly, Incident};
use prescale_domain::point::Point;
use prescale_domain::prediction::Prediction;
use prescale_domain::retraining::RetrainingRequest;
use prescale_domain::sample::Sample;
use prescale_domain::time::EventTime;
use prescale_fuzz::{Numbers, changed};

/// Ids of schemas that ship.
const IDS: u8 = 19;

fn decodes_to_a_record_or_not<C: Contract>(bytes: &[u8]) {
    let Ok(record) = C::decode(bytes) else { return };
    let encoded = record.encode().expect("what was decoded can be encoded");
    let again = C::decode(&encoded).expect("what was encoded can be decoded");
    assert_eq!(again.encode().expect("it can be encoded again"), encoded);
}

fn any_contract(bytes: &[u8]) {
    decodes_to_a_record_or_not::<Sample>(bytes);
    decodes_to_a_record_or_not::<Fingerprint>(bytes);
    decodes_to_a_record_or_not::<Prediction>(bytes);
    decodes_to_a_record_or_not::<Action>(bytes);
    decodes_to_a_record_or_not::<ActionResult>(bytes);
    decodes_to_a_record_or_not::<FleetRecord>(bytes);
    decodes_to_a_record_or_not::<StandingOrder>(bytes);
    decodes_to_a_record_or_not::<Outcome>(bytes);
    decodes_to_a_record_or_not::<Point>(bytes);
    decodes_to_a_record_or_not::<ForecastScore>(bytes);
    decodes_to_a_record_or_not::<GroupPart>(bytes);
    decodes_to_a_record_or_not::<GroupPrediction>(bytes);
    decodes_to_a_record_or_not::<Anomaly>(bytes);
    decodes_to_a_record_or_not::<FleetAnomaly>(bytes);
    decodes_to_a_record_or_not::<Incident>(bytes);
    decodes_to_a_record_or_not::<RetrainingRequest>(bytes);
}

#[test]
fn any_bytes() {
    check!().for_each(any_contract);
}

#[test]
fn any_datum_in_a_sound_frame() {
    check!().with_type::<(u8, Vec<u8>)>().for_each(|(id, datum)| {
        let mut framed = vec![0, 0, 0, 0, 1 + id % IDS];
        framed.extend_from_slice(datum);
        any_contract(&framed);
    });
}

#[test]
fn changed_samples() {
    let settings = FleetSettings {
        name: "fuzz".into(),
        workloads: 3,
        step_s: 60,
        seed: 1,
        missing_samples_share: 0.0,
        missing_values_share: 0.1,
    };
    let fleet = Fleet::new(settings).expect("a valid name");
    let samples = fleet.tick(&mut fleet.start(EventTime::from_s(1_767_225_600)));
    let sound: Vec<Vec<u8>> = samples.iter().map(|s| s.encode().expect("a sound sample")).collect();
    check!().with_type::<(u8, Vec<Numbers>)>().for_each(|(which, changes)| {
        decodes_to_a_record_or_not::<Sample>(&changed(&sound[usize::from(*which) % sound.len()], changes));
    });
}

#[test]
fn any_headers() {
    check!().with_type::<Vec<(u8, Vec<u8>)>>().for_each(|headers| {
        const NAMES: [&str; 8] =
            ["ce_id", "ce_source", "ce_type", "ce_time", "ce_specversion", "ce_subject", "traceparent", "content-type"];
        let named = headers.iter().map(|(name, value)| (NAMES[usize::from(*name) % NAMES.len()], value.as_slice()));
        // A refusal is as good as an envelope; what counts is that it ends.
        let _ = Envelope::from_headers(named);
    });
}
