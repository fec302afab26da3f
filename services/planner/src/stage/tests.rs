//! The planner on made-up predictions.

use super::*;
use crate::config::{Config, PolicyName};
use prescale_chassis::{GroupsConfig, Loader};
use prescale_contracts::{Contract, Envelope};
use prescale_domain::action::Verdict;
use prescale_domain::calibration::drift::DriftState;
use prescale_domain::governor::{FleetRecord, Proposal, Said};
use prescale_domain::kpi::{CPU_CORES_USED, KpiName, MEMORY_BYTES};
use prescale_domain::prediction::{HorizonForecast, Interval, ResourceForecast};
use prescale_domain::quantiles::{LEVELS, Quantiles};
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::path::Path;

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
        anomaly: None,
        platform: Platform::SIMULATED,
    };
    Input { envelope, value }
}

fn factory() -> Factory {
    let mut config = Config { policy: PolicyName::Threshold, ..Config::default() };
    config.guardrails.pace.cooldown_out_s = 300;
    Factory::new(Arc::new(config.terms(&GroupsConfig::new()).unwrap()), Arc::default())
}

fn said(reply: &Reply) -> Vec<FleetRecord> {
    let Reply::Emit(outgoing) = reply else { return Vec::new() };
    let records = outgoing.iter().map(|o| &o.records()[0]).filter(|record| *record.topic == *topics::PROPOSALS);
    records.map(|record| Contract::decode(record.value.as_deref().unwrap()).unwrap()).collect()
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

fn read(text: &str) -> Result<Config, String> {
    let loader = Loader::from_text(Path::new("prescale.toml"), text, []).map_err(|e| e.to_string())?;
    loader.section("planner").map_err(|e| e.to_string())
}

#[test]
fn a_policy_that_is_in_the_list_is_configured_checked_and_decides() {
    let text = "[planner]\npolicy = \"toy\"\n[planner.toy]\ncores = 6\n\
                [planner.for.db]\nworkloads = [\"db-*\"]\ntoy.cores = 5\n\
                [planner.for.plain]\nworkloads = [\"plain\"]\npolicy = \"threshold\"\n";
    let terms = read(text).unwrap().terms(&GroupsConfig::new()).unwrap();
    let mut stage = Factory::new(Arc::new(terms), Arc::default()).create(0);
    let mut decided = |name: &str| {
        let reply = stage.apply(vec![input(name, "fleet:a", 1000, 3.0, 4)]).unwrap().remove(0);
        let Proposal { action, demanded, .. } = proposal_of(&reply);
        assert!(!demanded && action.reasons.iter().any(|reason| &*reason.rule == "toy.cores"), "{action:?}");
        (action.policy.to_string(), action.desired.replicas)
    };
    assert_eq!((decided("web"), decided("db-1")), (("toy".to_owned(), 6), ("toy".to_owned(), 5)));
    assert_eq!(stage.apply(vec![input("plain", "fleet:a", 1000, 3.5, 4)]).unwrap(), [Reply::Drop(HOLD)], "threshold");
    let error = read("[planner]\ntoy.cors = 6\n").unwrap_err();
    assert_eq!(error, "prescale.toml:2: [planner] toy.cors: unknown key, did you mean \"cores\"?");
    let wrong = read("[planner]\n[planner.for.web]\nworkloads = [\"*\"]\n[planner.for.web.toy]\ncores = \"six\"\n");
    let wrong = wrong.unwrap_err();
    assert!(wrong.starts_with("prescale.toml:5: [planner] for.web.toy.cores: invalid type: string"), "{wrong}");
    let none = read("[planner]\npolicy = \"toy\"\ntoy.cores = 0\n").unwrap().rules(&GroupsConfig::new()).unwrap_err();
    assert!(format!("{none:#}").contains("cores is 0: give more"), "{none:#}");
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

#[test]
fn other_rules_shape_no_state_and_what_was_decided_again_under_them_is_forgotten() {
    let mut config = Config { policy: PolicyName::Threshold, ..Config::default() };
    config.guardrails.pace.cooldown_out_s = 300;
    let under = |config: &Config| {
        Factory::new(Arc::new(config.terms(&GroupsConfig::new()).unwrap()), Arc::default()).state_schema()
    };
    let before = under(&config);
    config.guardrails.pace.cooldown_out_s = 600;
    let (before, now) = (StateSchema::from(before.as_str()), StateSchema::from(under(&config).as_str()));
    assert_eq!(before.changes_of_shape(&now), []);
    assert_eq!(before.changes_of_terms(&now).len(), 1);

    let mut stage = factory().create(0);
    proposal_of(&stage.apply(vec![input("web", "fleet:a", 1000, 6.0, 4)]).unwrap()[0]);
    let known = stage.snapshot();
    stage.repeated_under_other_terms();
    assert_ne!(stage.snapshot(), known);
    assert_eq!(stage.apply(vec![input("web", "fleet:a", 1000, 6.0, 4)]).unwrap(), [Reply::Drop(STALE)]);
}
