//! The stage on the bus: bytes in, bytes out.

use super::*;
use crate::config::{Choice, Config};
use crate::partition::tests::{demand, enveloped, fingerprint};
use prescale_bus::{ConsumedRecord, Outcome, StageFactory};
use prescale_chassis::{output_record, stage_factory};
use prescale_contracts::Contract;
use prescale_domain::prediction::Prediction;

fn factory() -> Arc<dyn StageFactory> {
    stage_factory(Factory::new(Config::default().settings().unwrap()).unwrap())
}

fn records() -> Vec<ConsumedRecord> {
    (0..240)
        .map(|i| {
            let (workload, at_s) = (i % 3, i / 3 * 120);
            let demands = [Some(demand(workload, at_s)), (i % 7 != 0).then_some(4e9)];
            let made = enveloped(fingerprint(&format!("vm-{workload}"), 1_700_000_100 + at_s, demands));
            let record = output_record(&made.envelope, topics::FINGERPRINTS, &made.fingerprint).unwrap();
            record.read_at(0, i)
        })
        .collect()
}

#[test]
fn records_are_byte_for_byte_the_same_after_a_restart() {
    let (factory, records) = (factory(), records());
    let wanted = factory.create(0).apply(&records).unwrap();
    let mut first = factory.create(0);
    let mut got = first.apply(&records[..101]).unwrap();
    let mut second = factory.restore(0, &first.snapshot()).unwrap();
    for part in records[101..].chunks(7) {
        got.extend(second.apply(part).unwrap());
    }
    assert!(got == wanted);
    let Outcome::Emit(last) = &wanted[239] else { panic!("{:?}", wanted[239]) };
    assert_eq!(last.iter().map(|r| &*r.topic).collect::<Vec<_>>(), [topics::PREDICTIONS, topics::PREDICTIONS_LATEST]);
    assert_eq!(last[0].value, last[1].value);
    let prediction = Prediction::decode(last[0].value.as_deref().unwrap()).unwrap();
    assert_eq!((prediction.workload.as_str(), prediction.resources.len()), ("vm-2", 2));
    assert_eq!(&*prediction.resources[0].model, "gru");
}

#[test]
fn each_hour_is_told_once_beside_the_first_prediction_behind_it() {
    let outcomes = factory().create(0).apply(&records()).unwrap();
    let mut told = Vec::new();
    for outcome in outcomes {
        let Outcome::Emit(records) = outcome else { panic!("{outcome:?}") };
        let to: Vec<&str> = records.iter().map(|record| &*record.topic).collect();
        if to.contains(&topics::FORECAST_SCORES) {
            assert_eq!(to, crate::STAGE.outputs);
            let score = ForecastScore::decode(records[0].value.as_deref().unwrap()).unwrap();
            assert_eq!(score.resources.len(), 2);
            told.push((score.from.as_ms() / 3_600_000, score.hours, score.workload.as_str().to_owned()));
        }
    }
    let first_hour = 1_700_000_100 / 3600;
    let hours = [first_hour, first_hour + 1];
    let wanted = hours.into_iter().flat_map(|hour| (0..3).map(move |workload| (hour, 1, format!("vm-{workload}"))));
    assert_eq!(told, wanted.collect::<Vec<_>>());
}

#[test]
fn a_record_that_is_no_fingerprint_is_rejected_and_a_bad_snapshot_refused() {
    let mut broken = records().remove(0);
    broken.value = Some(vec![0, 1, 2]);
    let outcomes = factory().create(0).apply(&[broken]).unwrap();
    assert!(matches!(&outcomes[0], Outcome::Reject(r) if r.code == "undecodable"), "{outcomes:?}");
    assert!(factory().restore(0, &[1, 2, 3]).is_err());
}

#[test]
fn the_schema_of_the_state_names_what_shapes_it() {
    let schema = |change: fn(&mut Config)| {
        let mut config = Config::default();
        change(&mut config);
        stage_factory(Factory::new(config.settings().unwrap()).unwrap()).state_schema()
    };
    let plain = schema(|_| ());
    assert!(plain.contains("8fecbb9c2e51e269f05be7869c32d1cfe600dd6f4e0cc4fc9e58a773ec675304"), "{plain}");
    assert_eq!(plain, schema(|c| c.resources.reverse()));
    let plain = StateSchema::from(plain.as_str());
    for (name, other) in [
        ("models", schema(|c| c.models.truncate(3))),
        ("models", schema(|c| c.models = vec!["last-value".into()])),
        ("choice", schema(|c| c.choice = Choice::Order)),
        ("neighbours", schema(|c| c.neighbours = 0)),
        ("leave_out_anomalies", schema(|c| c.leave_out_anomalies = false)),
        ("resources", schema(|c| c.resources.truncate(1))),
        ("horizons_s", schema(|c| c.horizons_s = vec![300, 900])),
    ] {
        let other = StateSchema::from(other.as_str());
        assert_eq!(plain.changes_of_shape(&other), [], "{name}");
        assert_eq!(plain.changes_of_terms(&other)[0].name, name);
    }
    let other = plain.to_string().replace("model of gru = 8fec", "model of gru = 9fec");
    assert_eq!(plain.changes_of_shape(&StateSchema::from(other.as_str()))[0].name, "model of gru");
}
