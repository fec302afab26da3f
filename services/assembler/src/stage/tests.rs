//! The stage over records: the same samples with the same ids, whatever the order, the cut and the restarts.

use super::*;
use crate::Config;
use prescale_bus::{ConsumedRecord, Outcome, StageFactory};
use prescale_chassis::{output_record, stage_factory};
use prescale_contracts::{Contract, Envelope};
use prescale_domain::kpi::KpiKind;
use prescale_domain::point::{AddUp, Measured};
use prescale_domain::sample::Platform;
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::collections::BTreeMap;
use std::sync::Arc;

fn factory() -> Arc<dyn StageFactory> {
    stage_factory(Factory::new(Config::default().settings().unwrap()))
}

/// Of two workloads, one KPI of two series each, at 15 s.
fn points() -> Vec<Point> {
    let point = |nth: i64, workload: &str, series: &str| Point {
        workload: WorkloadId::new(workload).unwrap(),
        source: SourceName::new("remote-write:test").unwrap(),
        at: EventTime::from_s(15 * nth),
        step_s: 60,
        series: series.into(),
        measured: Measured::of_name("cpu_cores_used".into()),
        kind: KpiKind::Gauge,
        unit: "cores".into(),
        is_total: true,
        add_up: AddUp::Sum,
        value: Some(15.0 * nth as f64),
        platform: Platform::KUBERNETES,
    };
    let names = [("web", "a"), ("web", "b"), ("app", "a"), ("app", "b")];
    (0..60).flat_map(|nth| names.map(|(workload, series)| point(nth, workload, series))).collect()
}

fn records(points: &[Point]) -> Vec<ConsumedRecord> {
    let record = |(offset, point): (i64, &Point)| {
        let envelope = Envelope::root("test", Point::EVENT_TYPE, &point.workload, point.at, &point.series);
        output_record(&envelope, topics::RAW_POINTS, point).unwrap().read_at(0, offset)
    };
    (0..).zip(points).map(record).collect()
}

/// By id, what the outcomes hold.
fn emitted(outcomes: &[Outcome]) -> BTreeMap<Vec<u8>, Sample> {
    let records = outcomes.iter().flat_map(|outcome| match outcome {
        Outcome::Emit(records) => records.as_slice(),
        _ => &[],
    });
    let read = |record: &prescale_bus::OutputRecord| {
        let id = record.headers.iter().find(|header| header.name.as_str() == "ce_id").unwrap();
        (id.value.as_slice().to_vec(), Sample::decode(record.value.as_deref().unwrap()).unwrap())
    };
    records.map(read).collect()
}

#[test]
fn samples_and_their_ids_do_not_depend_on_order_or_restarts() {
    let ordered = records(&points());
    let wanted = emitted(&factory().create(0).apply(&ordered).unwrap());
    assert_eq!(wanted.len(), 2 * 13, "60 x 15 s less the lateness, by minute");
    for sample in wanted.values() {
        assert_eq!(sample.kpis[0].value, Some(2.0), "{sample:?}");
    }
    let mut shuffled = points();
    // Within a minute the other way round, and each twice.
    shuffled.sort_by_key(|point| (point.at.bin(60), -point.at.as_ms()));
    let shuffled: Vec<Point> = shuffled.into_iter().flat_map(|point| [point.clone(), point]).collect();
    let shuffled = records(&shuffled);
    let mut stage = factory().create(0);
    let mut outcomes = stage.apply(&shuffled[..101]).unwrap();
    let mut stage = factory().restore(0, &stage.snapshot()).unwrap();
    outcomes.extend(stage.apply(&shuffled[101..]).unwrap());
    assert_eq!(emitted(&outcomes), wanted);
    let repeated = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Drop(DUPLICATE))).count();
    assert_eq!(repeated, points().len());
}

#[test]
fn what_is_late_or_far_ahead_goes_to_the_dead_letters_and_what_came_before_is_counted() {
    let mut points = points();
    let last = points[points.len() - 1].clone();
    points.push(Point { at: EventTime::from_s(30), ..last.clone() });
    points.push(Point { at: EventTime::from_s(30), series: "new".into(), ..last.clone() });
    points.extend((1..6).map(|nth| Point { at: EventTime::from_s(1_000_000 * nth), ..last.clone() }));
    let outcomes = factory().create(0).apply(&records(&points)).unwrap();
    let behind = &outcomes[outcomes.len() - 7..];
    assert!(matches!(behind[0], Outcome::Drop(PASSED)), "{behind:?}");
    let Outcome::Reject(late) = &behind[1] else { panic!("{behind:?}") };
    assert!(late.code == LATE && late.message.contains("cpu_cores_used of app at "), "{late:?}");
    assert!(late.message.contains("by more than [assembler] lateness_s"), "{late:?}");
    assert!(matches!(&behind[6], Outcome::Reject(rejection) if rejection.code == FROM_THE_FUTURE), "{behind:?}");
    assert!(factory().restore(0, &[1, 2, 3]).is_err());
}
