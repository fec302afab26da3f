//! The planner on made-up predictions.

use super::*;
use crate::config::{Config, PolicyName};
use prescale_chassis::GroupsConfig;
use prescale_contracts::{Contract, Envelope};
use prescale_domain::action::Verdict;
use prescale_domain::calibration::drift::DriftState;
use prescale_domain::governor::{Proposal, Said};
use prescale_domain::kpi::{CPU_CORES_USED, KpiName, MEMORY_BYTES};
use prescale_domain::prediction::{HorizonForecast, Interval, ResourceForecast};
use prescale_domain::quantiles::{LEVELS, Quantiles};
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;

fn forecast(kpi: &str, demand: f64) -> ResourceForecast {
    let quantiles = Quantiles::rearranged([demand; LEVELS]).unwrap();
    let interval = Interval {
        nominal_coverage: 0.9,
        lower: demand * 0.99,
        upper: demand * 1.01,
        trailing_coverage: None,
        scored: 0,
    };
    let at = |horizon_s| HorizonForecast {
        horizon_s,
        value: quantiles,
        maximum: quantiles,
        value_interval: interval,
        maximum_interval: interval,
    };
    ResourceForecast {
        resource: KpiName::new(kpi),
        unit: "x".into(),
        last: Some(demand),
        model: "gru".into(),
        model_version: "1".into(),
        drift: Some(DriftState::Stable),
        started_from: Vec::new(),
        horizons: [300, 900, 3600].map(at).to_vec(),
    }
}

fn input(name: &str, source: &str, at_s: i64, cores: f64, replicas: u32) -> Input<Prediction> {
    let workload = WorkloadId::new(name).unwrap();
    let made_at = EventTime::from_s(at_s);
    let envelope = Envelope::root("test", Prediction::EVENT_TYPE, &workload, made_at, "0");
    let capacity =
        Capacity { replicas, cpu_cores_per_replica: 1.0, memory_bytes_per_replica: 4e9, instance_type: None };
    let value = Prediction {
        workload,
        source: SourceName::new(source).unwrap(),
        made_at,
        step_s: 120,
        resources: vec![forecast(CPU_CORES_USED, cores), forecast(MEMORY_BYTES, cores * 4e9)],
        signals: Vec::new(),
        earlier: Vec::new(),
        capacity: Some(capacity),
        platform: Platform::SIMULATED,
    };
    Input { envelope, value }
}

fn factory() -> Factory {
    let mut config = Config { policy: PolicyName::Threshold, ..Config::default() };
    config.guardrails.cooldown_out_s = 300;
    Factory::new(Arc::new(config.rules(&GroupsConfig::new()).unwrap()), Arc::default())
}

fn said(reply: &Reply) -> Vec<FleetRecord> {
    let Reply::Emit(outgoing) = reply else { return Vec::new() };
    let records = outgoing.iter().map(|o| &o.records()[0]);
    records
        .map(|record| {
            assert_eq!(&*record.topic, topics::PROPOSALS);
            Contract::decode(record.value.as_deref().unwrap()).unwrap()
        })
        .collect()
}

fn proposal_of(reply: &Reply) -> Proposal {
    let found = said(reply).into_iter().find_map(|record| match record.said {
        Said::Proposal(proposal) => Some(*proposal),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("{reply:?} has no proposal"))
}

#[test]
fn a_prediction_above_capacity_becomes_a_proposal_that_names_it() {
    let mut stage = factory().create(0);
    let up = input("web", "fleet:a", 1000, 6.0, 4);
    let replies = stage.apply(vec![up.clone(), input("web", "fleet:a", 1000, 6.0, 4)]).unwrap();
    let Proposal { action, demanded, partition } = proposal_of(&replies[0]);
    assert!(demanded, "all of it is in use");
    assert_eq!(partition, 0);
    assert_eq!((action.verdict, action.desired.replicas), (Verdict::ScaleOut, 7));
    assert_eq!(action.prediction_id, up.envelope.id);
    assert!(!action.dry_run && !action.reasons.is_empty());
    assert_eq!(replies[1], Reply::Drop(STALE));
    let hold = stage.apply(vec![input("web", "fleet:a", 1060, 6.0, 7)]).unwrap();
    assert_eq!(hold, [Reply::Drop(HOLD)]);
}

#[test]
fn a_restart_and_another_cut_change_no_action() {
    let inputs: Vec<_> = (0..120)
        .map(|i| {
            let demand = 4.0 + 3.0 * (f64::from(i) / 9.0).sin();
            input(["web", "batch"][i as usize % 2], "fleet:a", 1000 + 60 * i64::from(i), demand, 4)
        })
        .collect();
    let factory = factory();
    let wanted = factory.create(0).apply(inputs.clone()).unwrap();
    assert!(wanted.iter().flat_map(said).filter(|r| matches!(r.said, Said::Proposal(_))).count() > 2);
    let mut first = factory.create(0);
    let mut got = first.apply(inputs[..37].to_vec()).unwrap();
    let mut second = factory.restore(0, &first.snapshot()).unwrap();
    got.extend(inputs[37..].iter().flat_map(|i| second.apply(vec![i.clone()]).unwrap()));
    assert_eq!(got, wanted);
    assert!(factory.restore(0, b"nonsense").is_err());
}

#[test]
fn a_workload_that_fell_silent_is_forgotten_by_its_own_sources_clock() {
    let mut stage = factory().create(0);
    let day = 86_400;
    for (name, source, at_s) in
        [("gone", "fleet:a", 0), ("other", "replay:b", 0), ("web", "fleet:a", day), ("web", "fleet:a", 9 * day)]
    {
        stage.apply(vec![input(name, source, at_s, 1.0, 1)]).unwrap();
    }
    let left: Vec<&str> = stage.proposer.workloads().map(WorkloadId::as_str).collect();
    assert_eq!(left, ["other", "web"]);
}

#[test]
fn what_is_seen_of_a_fleet_stands_around_what_is_proposed() {
    let mut stage = factory().create(3);
    stage.apply(vec![input("web", "fleet:a", 1200, 3.0, 4), input("db", "fleet:a", 1200, 3.0, 4)]).unwrap();
    let replies =
        stage.apply(vec![input("web", "fleet:a", 1500, 6.0, 4), input("db", "fleet:a", 1500, 3.9, 4)]).unwrap();
    let first = said(&replies[0]);
    assert!(first.iter().all(|record| record.key.as_str() == "fleet:a"));
    let [Said::View(before), Said::Proposal(_)] = &first.iter().map(|r| r.said.clone()).collect::<Vec<_>>()[..] else {
        panic!("{first:?}");
    };
    assert_eq!((before.partition, before.known, before.present, before.at), (3, 2, 2, EventTime::from_s(1200)));
    assert!(matches!(said(&replies[1]).last().map(|r| r.said.clone()), Some(Said::View(v)) if v.present == 2));
}

#[test]
fn a_copied_workload_is_remembered_as_the_other() {
    let mut stage = factory().create(0);
    stage.apply(vec![input("web", "fleet:a", 1000, 6.0, 4)]).unwrap();
    let [from, to] = ["web", "copy"].map(|name| WorkloadId::new(name).unwrap());
    stage.copy_workload(&from, &to);
    assert_eq!(stage.apply(vec![input("copy", "fleet:a", 1000, 6.0, 4)]).unwrap(), [Reply::Drop(STALE)]);
    assert_eq!(stage.proposer.workloads().count(), 2);
}
