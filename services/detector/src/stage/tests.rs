//! The detector on made-up predictions.

use super::*;
use crate::{Config, incidents};
use prescale_chassis::{FleetsConfig, GroupsConfig, fleets};
use prescale_contracts::{Contract, Envelope};
use prescale_domain::alarm::Anomaly;
use prescale_domain::anomaly::AnomalyScore;
use prescale_domain::incident::Incident;
use prescale_domain::kpi::{CPU_CORES_USED, KpiName};
use prescale_domain::prediction::ResourceForecast;
use prescale_domain::sample::Platform;
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;

fn input(name: &str, bin: i64, p_value: f32) -> Input<Prediction> {
    let cpu = ResourceForecast {
        resource: KpiName::new(CPU_CORES_USED),
        unit: "cores".into(),
        last: Some(1.0),
        model: "none".into(),
        model_version: "0".into(),
        drift: None,
        started_from: Vec::new(),
        horizons: Vec::new(),
    };
    let value = Prediction {
        workload: WorkloadId::new(name).unwrap(),
        source: SourceName::new("fleet:test").unwrap(),
        made_at: EventTime::of_bin(bin, 300),
        step_s: 60,
        resources: vec![cpu],
        signals: Vec::new(),
        earlier: Vec::new(),
        capacity: None,
        platform: Platform::SIMULATED,
        anomaly: Some(AnomalyScore { p_value, kpis: vec![KpiName::new(CPU_CORES_USED)] }),
    };
    let envelope = Envelope::root("test", Prediction::EVENT_TYPE, &value.workload, value.made_at, &bin.to_string());
    Input { envelope, value }
}

/// Two workloads that are unusual for three bins, a third that never is.
fn inputs() -> Vec<Input<Prediction>> {
    let of = |bin: i64| {
        let p_value = if (1010..1013).contains(&bin) { 1e-6 } else { 0.4 };
        [input("a", bin, p_value), input("b", bin, p_value), input("c", bin, 0.1)]
    };
    (1000..1030).flat_map(of).collect()
}

fn factory() -> Factory {
    let rules = Config::default().alarm_rules().unwrap();
    Factory::new(Arc::new(rules), Arc::new(fleets(&FleetsConfig::new()).unwrap()))
}

fn written<C: Contract>(replies: &[Reply]) -> Vec<C> {
    let emitted =
        replies.iter().filter_map(|reply| if let Reply::Emit(outgoing) = reply { Some(outgoing) } else { None });
    let records = emitted.flatten().flat_map(Outgoing::records).filter(|record| &*record.topic == C::TOPIC);
    records.map(|record| C::decode(record.value.as_deref().unwrap()).unwrap()).collect()
}

#[test]
fn an_anomaly_is_told_to_its_workload_and_to_its_fleet_and_becomes_one_incident() {
    let replies = factory().create(0).apply(inputs()).unwrap();
    let told: Vec<Anomaly> = written(&replies);
    let seen: Vec<(&str, bool)> = told.iter().map(|a| (a.workload.as_str(), a.ended_at.is_some())).collect();
    assert_eq!(seen, [("a", false), ("b", false), ("a", true), ("b", true)]);
    let alarms: Vec<FleetAnomaly> = written(&replies);
    assert!(alarms.iter().all(|told| told.fleet.as_str() == "fleet:test"));
    assert_eq!(alarms.iter().map(|told| told.anomaly.clone()).collect::<Vec<_>>(), told);

    let rules = Config::default().incident_rules(&GroupsConfig::new()).unwrap();
    let inputs = alarms.into_iter().enumerate().map(|(i, value)| {
        let envelope = Envelope::root("test", FleetAnomaly::EVENT_TYPE, &value.fleet, value.anomaly.at, &i.to_string());
        Input { envelope, value }
    });
    let inputs: Vec<Input<FleetAnomaly>> = inputs.collect();
    let factory = incidents::Factory::new(Arc::new(rules));
    let replies = factory.create(0).apply(inputs.clone()).unwrap();
    let told: Vec<Incident> = written(&replies);
    let seen: Vec<(u32, bool)> =
        told.iter().map(|incident| (incident.workloads, incident.ended_at.is_some())).collect();
    assert_eq!(seen, [(1, false), (2, false), (2, true)]);
    assert!(told.iter().all(|incident| incident.incident_id == told[0].incident_id));
    let mut first = factory.create(0);
    let mut got = first.apply(inputs[..1].to_vec()).unwrap();
    got.extend(factory.restore(0, &first.snapshot()).unwrap().apply(inputs[1..].to_vec()).unwrap());
    assert_eq!(got, replies);
}

#[test]
fn a_restart_and_another_cut_change_no_record_and_every_prediction_has_a_fate() {
    let (factory, inputs) = (factory(), inputs());
    let wanted = factory.create(0).apply(inputs.clone()).unwrap();
    assert!(wanted.contains(&Reply::Drop(NOTHING_NEW)) && !wanted.contains(&Reply::Drop(STALE)));
    let mut first = factory.create(0);
    let mut got = first.apply(inputs[..34].to_vec()).unwrap();
    let mut second = factory.restore(0, &first.snapshot()).unwrap();
    got.extend(inputs[34..].iter().flat_map(|input| second.apply(vec![input.clone()]).unwrap()));
    assert_eq!(got, wanted);
    assert_eq!(second.apply(vec![inputs[0].clone()]).unwrap(), [Reply::Drop(STALE)]);
    assert!(factory.restore(0, b"nonsense").is_err());
    assert!(second.workload_bytes(&inputs[0].value.workload).unwrap() < 600);
}
