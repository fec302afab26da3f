//! Both stages one after the other: what members say becomes what their group says.

use super::*;
use crate::config::Config;
use crate::parts;
use prescale_chassis::{GroupConfig, Reply};
use prescale_contracts::{Contract, Envelope};
use prescale_domain::calibration::NOMINAL_COVERAGE;
use prescale_domain::group::GroupPrediction;
use prescale_domain::kpi::KpiName;
use prescale_domain::prediction::{HorizonForecast, Interval, Prediction, ResourceForecast};
use prescale_domain::quantiles::{QUANTILE_LEVELS, Quantiles};
use prescale_domain::sample::Platform;
use prescale_domain::source::SourceName;
use prescale_domain::workload::WorkloadId;
use std::sync::Arc;

fn prediction(workload: &str, at_s: i64, demand: f64) -> Input<Prediction> {
    let around = |median: f64| Quantiles::rearranged(QUANTILE_LEVELS.map(|level| median + level - 0.5)).unwrap();
    let interval =
        Interval { nominal_coverage: NOMINAL_COVERAGE, lower: 0.0, upper: 0.0, trailing_coverage: None, scored: 0 };
    let horizon = HorizonForecast {
        horizon_s: 300,
        value: around(demand),
        maximum: around(demand),
        value_interval: interval,
        maximum_interval: interval,
    };
    let workload = WorkloadId::new(workload).unwrap();
    let made_at = EventTime::from_s(at_s);
    let envelope = Envelope::root("test", Prediction::EVENT_TYPE, &workload, made_at, &at_s.to_string());
    let value = Prediction {
        workload,
        source: SourceName::new("fleet:test").unwrap(),
        made_at,
        step_s: 300,
        resources: vec![ResourceForecast {
            resource: KpiName::new("cpu_cores_used"),
            unit: "cores".into(),
            last: Some(demand),
            model: "gru".into(),
            model_version: "1".into(),
            drift: None,
            started_from: Vec::new(),
            horizons: vec![horizon],
        }],
        signals: Vec::new(),
        earlier: Vec::new(),
        capacity: None,
        anomaly: None,
        platform: Platform::SIMULATED,
    };
    Input { envelope, value }
}

fn emitted<C: Contract>(replies: &[Reply]) -> Vec<Input<C>> {
    let outgoing = replies.iter().flat_map(|reply| match reply {
        Reply::Emit(outgoing) => outgoing.as_slice(),
        Reply::Drop(_) | Reply::Reject(_) => &[],
    });
    let records = outgoing.flat_map(|outgoing| outgoing.records());
    let read = |record: &prescale_bus::OutputRecord| {
        let headers = record.headers.iter().map(|h| (h.name.as_str(), h.value.as_slice()));
        let envelope = Envelope::from_headers(headers).unwrap();
        Input { envelope, value: C::decode(record.value.as_deref().unwrap()).unwrap() }
    };
    records.map(read).collect()
}

fn parts_factory() -> parts::Factory {
    let group = |pattern: &str| GroupConfig { workloads: vec![pattern.to_owned()], sources: Vec::new() };
    let config = Config {
        groups: [("all".to_owned(), group("*")), ("web".to_owned(), group("web-*"))].into(),
        ..Config::default()
    };
    parts::Factory::new(Arc::new(config.groups().unwrap()))
}

/// Two partitions, the second restored from its snapshot all the time.
fn run(bins: i64) -> (Vec<Reply>, Vec<GroupPrediction>) {
    let factory = parts_factory();
    let mut stages = [factory.create(0), factory.create(1)];
    let mut forecaster = Factory::new(6).create(0);
    let (mut part_replies, mut made) = (Vec::new(), Vec::new());
    for bin in 0..bins {
        for (partition, workload, demand) in [(0, "web-1", 1.0), (1, "web-2", 2.0), (1, "db", 4.0)] {
            let replies = stages[partition].apply(vec![prediction(workload, 300 * bin, demand)]).unwrap();
            stages[1] = factory.restore(1, &stages[1].snapshot()).unwrap();
            let replies_2 = forecaster.apply(emitted::<GroupPart>(&replies)).unwrap();
            forecaster = Factory::new(6).restore(0, &forecaster.snapshot()).unwrap();
            made.extend(emitted::<GroupPrediction>(&replies_2).into_iter().map(|input| input.value));
            part_replies.extend(replies);
        }
    }
    (part_replies, made)
}

#[test]
fn a_groups_median_is_the_sum_of_its_members() {
    let (_, made) = run(12);
    let of = |group: &str| -> Vec<(u32, f64, f64)> {
        let of = made.iter().filter(|p| p.group.as_str() == group);
        of.map(|p| (p.members.reported, p.resources[0].last.unwrap(), p.resources[0].horizons[0].value.median()))
            .collect()
    };
    assert_eq!(of("all"), vec![(3, 7.0, 7.0); 6]);
    assert_eq!(of("web"), vec![(2, 3.0, 3.0); 6]);
}

#[test]
fn ids_are_those_of_group_and_instant() {
    let (mut parts, mut forecaster) = (parts_factory().create(0), Factory::new(6).create(0));
    let mut ids = Vec::new();
    for bin in 0..9 {
        let replies = parts.apply(vec![prediction("db", 300 * bin, 1.0)]).unwrap();
        let made = forecaster.apply(emitted::<GroupPart>(&replies)).unwrap();
        ids.extend(emitted::<GroupPrediction>(&made).into_iter().map(|made| (made.envelope.id, made.value.made_at)));
    }
    assert_eq!(ids.len(), 3);
    let all = GroupName::new("all").unwrap();
    assert!(ids.iter().all(|(id, at)| *id == Envelope::root(NAME, GroupPrediction::EVENT_TYPE, all.key(), *at, "").id));
}

#[test]
fn who_is_in_no_group_is_counted_and_late_parts_are_too() {
    let config = Config {
        groups: [("web".to_owned(), GroupConfig { workloads: vec!["web-*".to_owned()], sources: Vec::new() })].into(),
        ..Config::default()
    };
    let mut parts = parts::Factory::new(Arc::new(config.groups().unwrap())).create(0);
    assert_eq!(parts.apply(vec![prediction("db", 0, 1.0)]).unwrap(), [Reply::Drop(parts::NO_GROUP)]);
    let (replies, _) = run(3);
    let told = emitted::<GroupPart>(&replies);
    let mut forecaster = Factory::new(6).create(0);
    forecaster.apply(vec![told[0].clone()]).unwrap();
    assert_eq!(forecaster.apply(vec![told[0].clone()]).unwrap(), [Reply::Drop(LATE)]);
}

#[test]
fn a_snapshot_goes_on_under_other_groups() {
    let group = |pattern: &str| GroupConfig { workloads: vec![pattern.to_owned()], sources: Vec::new() };
    let other = Config {
        groups: [("all".to_owned(), group("web-*")), ("db".to_owned(), group("db"))].into(),
        ..Config::default()
    };
    let other = parts::Factory::new(Arc::new(other.groups().unwrap()));
    let mut stage = parts_factory().create(0);
    let bin = |stage: &mut parts::PartsStage, bin: i64| {
        let members = [("web-1", 1.0), ("web-2", 2.0), ("db", 4.0)];
        let inputs = members.map(|(workload, demand)| prediction(workload, 300 * bin, demand)).to_vec();
        emitted::<GroupPart>(&stage.apply(inputs).unwrap())
    };
    (0..5).for_each(|nth| drop(bin(&mut stage, nth)));
    let mut stage = other.restore(0, &stage.snapshot()).unwrap();
    let parts: Vec<GroupPart> = (5..15).flat_map(|nth| bin(&mut stage, nth)).map(|input| input.value).collect();
    let last = |group: &str| parts.iter().rfind(|part| part.group.as_str() == group).map(|part| part.members.known());
    assert_eq!(last("all"), Some(2), "the one that is gone does not count any more");
    assert_eq!(last("db"), Some(1), "it began");
    assert_eq!(last("web"), Some(0), "its end was told");
    assert!(parts.iter().filter(|part| part.group.as_str() == "all").count() >= 9, "it went on");
}
