//! Writes that meet mishaps: nothing is lost and nothing is there twice.

use super::*;
use crate::testing::{Mishap, Mishappen, TestBus};
use prescale_chassis::HealthRegistry;
use prescale_domain::kpi::{Kpi, KpiKind, KpiName};
use prescale_domain::sample::Platform;
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use tokio_util::sync::CancellationToken;

fn placed(minute: i64, value: f64) -> PlacedSample {
    let kpi = Kpi { name: KpiName::new("x"), kind: KpiKind::Gauge, unit: "1".into(), value: Some(value) };
    let sample = Sample {
        workload: WorkloadId::new("vm-1").unwrap(),
        source: SourceName::new("test").unwrap(),
        at: EventTime::from_s(60 * minute),
        step_s: 60,
        kpis: vec![kpi],
        capacity: None,
        platform: Platform::OBSERVED_ONLY,
    };
    PlacedSample { sample, place: minute.to_string() }
}

fn retry(health: &HealthRegistry, shutdown: &CancellationToken) -> BusRetry {
    BusRetry::new("test", health.component("test"), shutdown)
}

#[test]
fn a_bus_that_fails_for_a_moment_gets_each_batch_once() {
    for mishap in [Mishap::FailBefore, Mishap::FailAfter] {
        let (test, shutdown) = (TestBus::new(), CancellationToken::new());
        let bus = Mishappen::new(&test.bus, 1, mishap, &shutdown);
        let health = HealthRegistry::default();
        let (mut appender, stored) = Appender::open(&bus, retry(&health, &shutdown)).unwrap().unwrap();
        assert_eq!(stored, None);
        for minute in 0..3 {
            let position = [minute as u8];
            assert_eq!(appender.append(&[placed(minute, 1.0)], &position).unwrap(), Appended::Yes);
        }
        let minutes: Vec<i64> = test.samples().iter().map(|s| s.at.as_ms() / 60_000).collect();
        assert_eq!(minutes, [0, 1, 2], "{mishap:?}");
        assert!(health.not_ready().is_empty(), "the bus is back");
        let (_, stored) = Appender::open(&bus, retry(&health, &shutdown)).unwrap().unwrap();
        assert_eq!(stored, Some(vec![2]));
    }
}

#[test]
fn the_shutdown_ends_the_waiting_with_nothing_written() {
    let (test, shutdown) = (TestBus::new(), CancellationToken::new());
    let bus = Mishappen::new(&test.bus, 0, Mishap::StopBefore, &shutdown);
    let (mut appender, _) = Appender::open(&bus, retry(&HealthRegistry::default(), &shutdown)).unwrap().unwrap();
    assert_eq!(appender.append(&[placed(0, 1.0)], &[1]).unwrap(), Appended::Shutdown);
    assert!(test.samples().is_empty());
}

#[test]
fn a_bad_record_and_a_source_that_was_taken_over_end_it() {
    let (test, shutdown) = (TestBus::new(), CancellationToken::new());
    let health = HealthRegistry::default();
    let (mut first, _) = Appender::open(&*test.bus, retry(&health, &shutdown)).unwrap().unwrap();
    let error = first.append(&[placed(0, f64::NAN)], &[1]).unwrap_err();
    assert!(format!("{error:#}").contains("vm-1"), "{error:#}");
    let (mut second, _) = Appender::open(&*test.bus, retry(&health, &shutdown)).unwrap().unwrap();
    assert!(format!("{:#}", first.append(&[placed(0, 1.0)], &[1]).unwrap_err()).contains("fenced"));
    assert_eq!(second.append(&[placed(0, 1.0)], &[1]).unwrap(), Appended::Yes);
}
