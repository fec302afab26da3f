//! Who asks for retraining, when, and what that comes to.

use super::open::WORKLOADS_NAMED_MAX;
use super::watch::{LASTING_HOURS, LEARNT_HOURS_MIN};
use super::*;
use crate::calibration::drift::DriftState;
use crate::forecast_score::{ForecastScore, HorizonScore, PairedLoss, ResourceScore, StatisticScore};
use proptest::prelude::*;

const USUAL_HOURS: i64 = 10 * 24;

/// What an hour of a workload came to: what the GRU lost, the size of the demand, and the drift.
type Hour = (f64, f64, DriftState);

fn score(hour: i64, (loss, size, drift): Hour, is_paired: bool) -> ForecastScore {
    let statistic =
        StatisticScore { scored: 12, pinball_loss: loss, realised: size, median: size, judged: 12, held: 11 };
    let paired = PairedLoss { model: "gru".into(), model_version: "1".into(), pinball_loss: loss };
    let rival = PairedLoss { model: "seasonal-naive".into(), pinball_loss: 9.0 * loss, ..paired.clone() };
    ForecastScore {
        workload: WorkloadId::new("web").unwrap(),
        source: SourceName::new("fleet:test").unwrap(),
        from: EventTime::from_s(3600 * hour),
        hours: 1,
        resources: vec![ResourceScore {
            resource: KpiName::new("cpu_cores_used"),
            unit: "cores".into(),
            // Another family forecasts where the GRU is only paired.
            model: if is_paired { "seasonal-naive".into() } else { "gru".into() },
            model_version: "1".into(),
            drift: Some(drift),
            horizons: vec![HorizonScore { horizon_s: 300, value: Some(statistic), maximum: None }],
            rounds: u32::from(is_paired),
            paired: if is_paired { vec![rival, paired] } else { Vec::new() },
            trials: Vec::new(),
        }],
    }
}

/// What is asked for with each hour, after as many as it takes to know what is usual.
fn asked(is_paired: bool, hours: impl Iterator<Item = Hour>) -> Vec<(i64, RetrainingRequest)> {
    let usual = (0..USUAL_HOURS).map(|hour| (if hour % 2 == 0 { 0.5 } else { 1.5 }, 10.0, DriftState::Stable));
    let (mut watch, mut all) = (DriftWatch::default(), Vec::new());
    for (hour, of_hour) in (0..).zip(usual.chain(hours)) {
        let requests = watch.step(&score(hour, of_hour, is_paired)).unwrap();
        all.extend(requests.into_iter().map(|request| (hour - USUAL_HOURS, request)));
        if hour % 50 == 7 {
            watch = bitcode::decode(&bitcode::encode(&watch)).unwrap();
        }
    }
    all
}

#[test]
fn what_is_worse_for_good_is_asked_for_once() {
    for is_paired in [false, true] {
        let hours = std::iter::repeat_n((3.0, 10.0, DriftState::Reset), 20 * 24);
        let asked = asked(is_paired, hours);
        let [(after_h, request)] = asked.as_slice() else { panic!("{asked:?}") };
        let hours = i64::from(LASTING_HOURS);
        assert!((hours - 1..hours + 12).contains(after_h), "{after_h}");
        assert_eq!((request.family.key().as_str(), &*request.model_version), ("gru", "1"));
        let range_h = (request.to.as_ms() - request.from.as_ms()) / 3_600_000;
        assert_eq!((range_h, request.to.as_ms() / 3_600_000), (hours, USUAL_HOURS + after_h + 1));
        assert!((request.loss_before - 0.1).abs() < 0.02, "{request:?}");
        assert!((request.loss_now - 0.3).abs() < 0.03, "{request:?}");
    }
}

#[test]
fn what_passes_or_grows_or_gave_no_alarm_is_not() {
    let lasting = 20 * 24;
    let grown = std::iter::repeat_n((4.0, 40.0, DriftState::Widened), lasting);
    assert_eq!(asked(true, grown), []);
    let unalarmed = std::iter::repeat_n((3.0, 10.0, DriftState::Stable), lasting);
    assert_eq!(asked(true, unalarmed), []);
    let bursts = (0..lasting).map(|hour| (if hour % 72 < 12 { 4.0 } else { 1.0 }, 10.0, DriftState::Reset));
    assert_eq!(asked(true, bursts), []);
}

#[test]
fn who_is_new_or_repeated_asks_for_nothing() {
    let mut watch = DriftWatch::default();
    for hour in 0..i64::from(LEARNT_HOURS_MIN) {
        let loss = if hour < 10 { 1.0 } else { 9.0 };
        assert_eq!(watch.step(&score(hour, (loss, 10.0, DriftState::Reset), false)), Some(Vec::new()));
    }
    assert_eq!(watch.step(&score(9, (1.0, 10.0, DriftState::Stable), false)), None);
    assert_eq!(watch.workloads(), 1);
}

fn request(workload: usize, version: &str, from_h: i64, now: f64) -> RetrainingRequest {
    RetrainingRequest {
        family: TrainedFamily::named("gru").unwrap(),
        model_version: version.into(),
        workload: WorkloadId::new(&format!("vm-{workload:03}")).unwrap(),
        source: SourceName::new("fleet:test").unwrap(),
        resource: KpiName::new("cpu_cores_used"),
        from: EventTime::from_s(3600 * from_h),
        to: EventTime::from_s(3600 * (from_h + 48)),
        loss_before: 0.1,
        loss_now: now,
    }
}

#[test]
fn a_request_names_those_that_got_worse_by_the_most() {
    let lstm = RetrainingRequest { family: TrainedFamily::named("lstm").unwrap(), ..request(7, "3", 5, 0.2) };
    let mut all: Vec<_> = (0..130).map(|nth| request(nth, "2", 100 + nth as i64, 0.2 + 0.01 * nth as f64)).collect();
    all.extend([request(500, "1", 0, 9.0), lstm]);
    let open = open_requests(all);
    let [gru, lstm] = open.as_slice() else { panic!("{open:?}") };
    assert_eq!((gru.workloads.len(), gru.more, &*gru.model_version), (WORKLOADS_NAMED_MAX, 30, "2"));
    assert_eq!((gru.workloads[0].as_str(), gru.workloads[99].as_str()), ("vm-129", "vm-030"));
    assert_eq!((gru.from, gru.to), (EventTime::from_s(3600 * 100), EventTime::from_s(3600 * 277)));
    assert_eq!((lstm.workloads.len(), lstm.more, lstm.family.key().as_str()), (1, 0, "lstm"));
    assert_eq!(TrainedFamily::named("seasonal-naive"), None);
}

proptest! {
    #[test]
    fn it_does_not_matter_who_asked_first(
        asked in proptest::collection::vec((0usize..9, 0u8..3, 0i64..500, 0.1..2.0f64), 1..40),
        by in 0usize..40,
    ) {
        // Each asks once at an instant.
        let mut all: Vec<_> = asked
            .iter()
            .map(|(workload, version, hour, now)| request(*workload, &version.to_string(), *hour, *now))
            .collect();
        all.sort_by_key(|request| (request.workload.clone(), request.to));
        all.dedup_by_key(|request| (request.workload.clone(), request.to));
        let wanted = open_requests(all.clone());
        let middle = by % all.len();
        all.rotate_left(middle);
        all.reverse();
        prop_assert_eq!(open_requests(all), wanted);
    }
}
