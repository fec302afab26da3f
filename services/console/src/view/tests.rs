//! The view fed with records, and its JSON.

use super::*;
use crate::view::status::{Status, status};
use prescale_domain::action::{ActionOutcome, Evidence, Mechanism, Reason, Verdict};
use prescale_domain::calibration::drift::DriftState;
use prescale_domain::evaluation::{Sums, Worth};
use prescale_domain::fingerprint::{KpiFingerprint, WindowFeatures, Windows};
use prescale_domain::group::{GroupName, MemberCount};
use prescale_domain::kpi::{CPU_CORES_USED, Kpi, KpiKind, KpiName, MEMORY_BYTES};
use prescale_domain::prediction::{HorizonForecast, Interval, ResourceForecast};
use prescale_domain::quantiles::{LEVELS, Quantiles};
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::source::SourceName;
use proptest::prelude::*;

const NOW_MS: i64 = 2_000_000_000_000;

fn id(name: &str) -> WorkloadId {
    WorkloadId::new(name).unwrap()
}

fn view(workloads_max: usize) -> View {
    View::new(Bounds { workloads_max, points_max: 600 })
}

fn capacity(replicas: u32) -> Capacity {
    Capacity { replicas, cpu_cores_per_replica: 2.0, memory_bytes_per_replica: 4e9, instance_type: None }
}

fn kpi(name: &str, kind: KpiKind, value: Option<f64>) -> Kpi {
    Kpi { name: KpiName::new(name), kind, unit: "cores".into(), value }
}

fn sample(name: &str, at_s: i64, cores: f64) -> Fact {
    Fact::Sample(Sample {
        workload: id(name),
        source: SourceName::new("fleet:demo").unwrap(),
        at: EventTime::from_s(at_s),
        step_s: 60,
        kpis: vec![kpi(CPU_CORES_USED, KpiKind::Gauge, Some(cores)), kpi(MEMORY_BYTES, KpiKind::Gauge, Some(1e9))],
        capacity: Some(capacity(1)),
        platform: Platform::SIMULATED,
    })
}

fn horizon(horizon_s: u32, median: f64, spread: f64) -> HorizonForecast {
    let quantiles =
        Quantiles::rearranged(std::array::from_fn(|i| median + spread * (i as f64 - 3.0) / (LEVELS as f64 - 5.0)))
            .unwrap();
    let interval = Interval {
        nominal_coverage: 0.9,
        lower: median - spread,
        upper: median + spread,
        trailing_coverage: None,
        scored: 0,
    };
    HorizonForecast {
        horizon_s,
        value: quantiles,
        maximum: quantiles,
        value_interval: interval,
        maximum_interval: interval,
    }
}

/// The 95 % quantile is the median plus `spread`.
fn prediction(name: &str, at_s: i64, cpu: (f64, f64), memory: (f64, f64)) -> Fact {
    let resource = |resource: &str, (median, spread)| ResourceForecast {
        resource: KpiName::new(resource),
        unit: "cores".into(),
        last: Some(1.0),
        model: "gru".into(),
        model_version: "1".into(),
        drift: Some(DriftState::Stable),
        started_from: Vec::new(),
        horizons: [300, 900, 3600].map(|h| horizon(h, median, spread)).to_vec(),
    };
    let prediction = Prediction {
        workload: id(name),
        source: SourceName::new("fleet:demo").unwrap(),
        made_at: EventTime::from_s(at_s),
        step_s: 60,
        resources: vec![resource(CPU_CORES_USED, cpu), resource(MEMORY_BYTES, memory)],
        signals: Vec::new(),
        earlier: Vec::new(),
        capacity: Some(capacity(1)),
        anomaly: None,
        platform: Platform::SIMULATED,
    };
    Fact::Prediction("p".into(), prediction)
}

/// With so great a mean in both windows; between the closes of bins, without windows.
fn fingerprint(name: &str, at_s: i64, last: f64, mean: Option<f64>) -> Fact {
    let window = |mean| WindowFeatures { mean: Some(mean), ..WindowFeatures::default() };
    Fact::Fingerprint(Box::new(Fingerprint {
        workload: id(name),
        source: SourceName::new("fleet:demo").unwrap(),
        at: EventTime::from_s(at_s),
        step_s: 60,
        short_window_s: 3600,
        long_window_s: 604_800,
        feature_schema_hash: "0123456789abcdef".into(),
        kpis: vec![KpiFingerprint {
            name: KpiName::new(CPU_CORES_USED),
            unit: "cores".into(),
            last: Some(last),
            windows: mean.and_then(|mean| Windows::boxed(window(mean), window(mean))),
        }],
        capacity: Some(capacity(1)),
        anomaly: None,
        platform: Platform::SIMULATED,
    }))
}

fn action(name: &str, action_id: &str, at_s: i64) -> Fact {
    let action = Action {
        workload: id(name),
        decided_at: EventTime::from_s(at_s),
        valid_until: EventTime::from_s(at_s + 600),
        prediction_id: "p".into(),
        policy: "threshold".into(),
        verdict: Verdict::ScaleOut,
        current: capacity(1),
        desired: capacity(2),
        mechanism: Mechanism::Replicas,
        dry_run: true,
        evidence: vec![Evidence {
            resource: CPU_CORES_USED.into(),
            horizon_s: 900,
            predicted: 3.0,
            lower: 2.8,
            upper: 3.2,
            relative_width: 0.07,
            capacity: 2.0,
            model: "gru".into(),
        }],
        reasons: vec![Reason { rule: "threshold.increase".into(), text: "3 cores are above 2.4".to_owned() }],
        platform: Platform::SIMULATED,
    };
    Fact::Action(action_id.into(), Box::new(action))
}

fn result(name: &str, action_id: &str, outcome: ActionOutcome) -> Fact {
    Fact::Result(Box::new(ActionResult {
        workload: id(name),
        action_id: action_id.into(),
        at: EventTime::from_s(1000),
        outcome,
        before: capacity(1),
        after: capacity(2),
        price_per_h: Some(0.2),
        platform: Platform::SIMULATED,
    }))
}

fn status_of(view: &View, name: &str) -> (Status, String) {
    let workload = view.workload(name).unwrap();
    status(workload, view.stream_at(&workload.source))
}

#[test]
fn a_workload_shows_its_newest_values_whatever_the_order() {
    let mut view = view(10);
    assert_eq!(view.take(sample("web-1", 120, 1.5), NOW_MS), Taken::Used);
    assert_eq!(view.take(sample("web-1", 60, 9.0), NOW_MS), Taken::Used);
    let json = json::workload(&view, view.workload("web-1").unwrap(), "v");
    assert_eq!(json["at_ms"], 120_000);
    assert_eq!(json["series"][0]["last"], 1.5);
    assert_eq!(json["series"][0]["points"], serde_json::json!([[60_000, 9.0, 9.0, 9.0], [120_000, 1.5, 1.5, 1.5]]));
    assert_eq!(json["capacity"]["cpu_cores"], 2.0);
}

#[test]
fn a_counter_becomes_a_rate_that_survives_its_reset() {
    let mut view = view(10);
    for (at_s, total) in [(0, 100.0), (10, 150.0), (20, 3.0), (30, 13.0)] {
        let Fact::Sample(mut of) = sample("web-1", at_s, 1.0) else { unreachable!() };
        of.step_s = 10;
        of.kpis = vec![kpi("bytes_total", KpiKind::Counter, Some(total))];
        view.take(Fact::Sample(of), NOW_MS);
    }
    let curve = view.workload("web-1").unwrap().kpis.values().next().unwrap();
    let rates: Vec<_> = curve.series.iter().map(|(at, b)| (at.as_ms(), b.mean)).collect();
    assert_eq!(rates, [(10_000, 5.0), (30_000, 1.0)]);
    assert_eq!(&*curve.unit, "cores/s");
}

#[test]
fn values_that_are_no_numbers_and_samples_from_the_future_are_left_out() {
    let mut view = view(10);
    view.take(sample("web-1", 0, f64::NAN), NOW_MS);
    let curve = view.workload("web-1").unwrap().kpis.values().next().unwrap();
    assert_eq!((curve.last, curve.series.len()), (None, 0));
    assert_eq!(view.take(sample("web-1", NOW_MS / 1000 + 3600, 1.0), NOW_MS), Taken::Ahead);
}

#[test]
fn capacity_is_kept_where_it_changes() {
    let mut view = view(10);
    for (at_s, replicas) in [(0, 1), (60, 1), (120, 2), (180, 2), (240, 1), (200, 7)] {
        let Fact::Sample(mut of) = sample("web-1", at_s, 1.0) else { unreachable!() };
        of.capacity = Some(capacity(replicas));
        view.take(Fact::Sample(of), NOW_MS);
    }
    let workload = view.workload("web-1").unwrap();
    let steps: Vec<_> = workload.capacity_steps.iter().map(|(at, c)| (at.as_ms() / 1000, c.replicas)).collect();
    assert_eq!(steps, [(0, 1), (120, 2), (240, 1)]);
    assert_eq!(workload.capacity, Some(capacity(1)));
}

#[test]
fn the_trail_lies_where_the_forecasts_pointed() {
    let mut view = view(10);
    assert_eq!(view.take(prediction("web-1", 600, (1.0, 0.5), (1e9, 1e8)), NOW_MS), Taken::Used);
    assert_eq!(view.take(prediction("web-1", 300, (7.0, 0.5), (1e9, 1e8)), NOW_MS), Taken::Known, "older");
    assert_eq!(view.take(prediction("web-1", 900, (2.0, 0.5), (1e9, 1e8)), NOW_MS), Taken::Used);
    let json = json::workload(&view, view.workload("web-1").unwrap(), "v");
    let points = &json["trail"][0]["points"];
    assert_eq!((&points[0][0], &points[0][2]), (&serde_json::json!(1_500_000), &serde_json::json!(1.0)));
    assert_eq!((&points[1][0], &points[1][2]), (&serde_json::json!(1_800_000), &serde_json::json!(2.0)));
    assert_eq!(json["prediction"]["made_at_ms"], 900_000);
    assert_eq!(json["prediction"]["resources"][0]["horizons"][1]["maximum"].as_array().unwrap().len(), LEVELS);
}

#[test]
fn newest_values_keep_the_features_of_the_last_close() {
    let mut view = view(10);
    let shown = |view: &View| json::workload(view, view.workload("a").unwrap(), "v")["fingerprint"].take();
    view.take(fingerprint("a", 60, 1.0, None), NOW_MS);
    let before = shown(&view);
    assert!(before["features_at_ms"].is_null() && before["kpis"][0]["long"].is_null(), "{before}");
    view.take(fingerprint("a", 300, 2.0, Some(1.5)), NOW_MS);
    assert_eq!(view.take(fingerprint("a", 360, 3.0, None), NOW_MS), Taken::Used);
    assert_eq!(view.take(fingerprint("a", 300, 2.0, Some(1.5)), NOW_MS), Taken::Known);
    let between = shown(&view);
    assert_eq!(between["at_ms"], 360_000);
    assert_eq!(between["features_at_ms"], 300_000);
    assert_eq!(between["kpis"][0]["last"], 3.0);
    assert_eq!(between["kpis"][0]["short"]["mean"], 1.5);
    view.take(fingerprint("a", 600, 4.0, Some(2.5)), NOW_MS);
    let after = shown(&view);
    assert_eq!(after["features_at_ms"], 600_000);
    assert_eq!(after["kpis"][0]["long"]["mean"], 2.5);
    let Fact::Fingerprint(mut other) = fingerprint("a", 660, 5.0, None) else { unreachable!() };
    other.feature_schema_hash = "fedcba9876543210".into();
    view.take(Fact::Fingerprint(other), NOW_MS);
    let other = shown(&view);
    assert!(other["features_at_ms"].is_null() && other["kpis"][0]["short"].is_null(), "another set of features");
}

#[test]
fn the_state_says_what_it_rests_on() {
    let mut view = view(10);
    view.take(sample("a", 60, 1.0), NOW_MS);
    assert_eq!(status_of(&view, "a").0, Status::Learning);
    for (cpu, memory, expected) in [
        ((2.5, 0.1), (1e9, 1e8), Status::Short),
        ((1.9, 0.5), (1e9, 1e8), Status::Tight),
        ((1.2, 0.3), (1e9, 1e8), Status::Fits),
        ((0.5, 0.1), (3e9, 1e8), Status::Fits),
        ((0.5, 0.1), (5e9, 1e8), Status::Short),
        ((0.5, 0.1), (1e9, 1e8), Status::Spare),
    ] {
        let mut view = view_with_sample();
        view.take(prediction("a", 60, cpu, memory), NOW_MS);
        assert_eq!(status_of(&view, "a").0, expected, "{cpu:?} {memory:?}");
    }
    let mut short = view_with_sample();
    short.take(prediction("a", 60, (2.5, 0.1), (1e9, 1e8)), NOW_MS);
    assert_eq!(status_of(&short, "a").1, "CPU: peak within 15 min is 2.50 cores (median), capacity is 2.00 cores");
}

fn view_with_sample() -> View {
    let mut view = view(10);
    view.take(sample("a", 60, 1.0), NOW_MS);
    view
}

#[test]
fn a_workload_is_silent_when_its_stream_goes_on_without_it() {
    let mut view = view_with_sample();
    view.take(sample("b", 600, 1.0), NOW_MS);
    assert_ne!(status_of(&view, "a").0, Status::Silent);
    view.take(sample("b", 720, 1.0), NOW_MS);
    assert_eq!(status_of(&view, "a").0, Status::Silent);
    let delta = json::fleet(&view, Some(view.revision() - 1), "v").unwrap();
    let rows: Vec<_> = delta["rows"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap()).collect();
    assert_eq!(rows, ["a", "b"], "a silent row is sent though nothing came of it");
}

#[test]
fn actions_meet_their_results_in_either_order() {
    let mut view = view(10);
    let applied = ActionOutcome::Applied { effective_at: EventTime::from_s(90) };
    view.take(result("a", "1", applied), NOW_MS);
    view.take(action("a", "1", 60), NOW_MS);
    view.take(action("a", "2", 120), NOW_MS);
    assert_eq!(view.take(action("a", "2", 120), NOW_MS), Taken::Known);
    let failed = ActionOutcome::Failed { why: "quota".to_owned(), retryable: true };
    view.take(result("a", "2", failed), NOW_MS);
    let json = json::actions(&view, 10);
    let actions = json["actions"].as_array().unwrap();
    assert_eq!(actions.len(), 2);
    assert_eq!(
        (&actions[0]["id"], &actions[0]["result"]["why"]),
        (&serde_json::json!("2"), &serde_json::json!("quota"))
    );
    assert_eq!(actions[1]["result"]["effective_at_ms"], 90_000);
    assert_eq!(actions[0]["reasons"][0]["text"], "3 cores are above 2.4");
    view.take(sample("a", 60, 1.0), NOW_MS);
    let line = json::fleet(&view, None, "v").unwrap()["rows"][0]["last_action"].take();
    assert_eq!((&line["id"], &line["result"]), (&serde_json::json!("2"), &serde_json::json!({"outcome": "failed"})));
    assert_eq!(json::actions(&view, 1)["actions"].as_array().unwrap().len(), 1);
}

/// An hour of a dry run that would have saved so many core-hours.
fn outcome(name: &str, hour: i64, saved_core_h: f64) -> Fact {
    let worth = |over_core_h: f64| Worth {
        over_core_s: 3600.0 * over_core_h,
        capacity_core_s: 3600.0 * (1.0 + over_core_h),
        ..Worth::default()
    };
    Fact::Outcome(Box::new(Outcome {
        workload: id(name),
        source: SourceName::new("fleet:demo").unwrap(),
        from: EventTime::from_s(3600 * hour),
        policy: "proactive".into(),
        lead_time_s: 300,
        is_dry_run: true,
        sums: Sums {
            observed_s: 3600.0,
            censored_s: 0.0,
            demand_core_s: 3600.0,
            capacity: worth(10.0),
            plan: worth(10.0 - saved_core_h),
            reactive: worth(6.0),
            currency: None,
        },
    }))
}

#[test]
fn outcomes_add_up_by_workload_and_over_the_fleet() {
    let mut view = view(10);
    for (name, hour) in [("a", 0), ("a", 1), ("b", 1)] {
        assert_eq!(view.take(outcome(name, hour, 4.0), NOW_MS), Taken::Used);
    }
    assert_eq!(view.take(outcome("a", 1, 4.0), NOW_MS), Taken::Known, "each hour counts once");
    let spare = |worth: &serde_json::Value| worth["plan"]["over_core_s"].as_f64().unwrap() / 3600.0;
    let of_a = json::workload(&view, view.workload("a").unwrap(), "v");
    assert_eq!(spare(&of_a["worth"]), 12.0);
    let fleet = json::fleet(&view, None, "v").unwrap();
    assert_eq!(spare(&fleet["worth"]), 18.0);
    let sentence = fleet["worth"]["sentence"].as_str().unwrap();
    assert!(
        sentence.starts_with("the last 2 hours: the plan would have saved 12 core-hours of 30 spare"),
        "{sentence}"
    );
    view.take(outcome("b", 24 * 9, 4.0), NOW_MS);
    assert_eq!(spare(&json::workload(&view, view.workload("b").unwrap(), "v")["worth"]), 6.0, "older days are gone");
}

/// Of a group with a demand of so many cores, as its newest forecast has it.
fn group(name: &str, at_s: i64, cores: f64) -> GroupPrediction {
    let Fact::Prediction(_, Prediction { made_at, mut resources, .. }) =
        prediction(name, at_s, (2.0 * cores, 1.0), (1e9, 1e8))
    else {
        panic!("it is a prediction")
    };
    resources[0].last = Some(cores);
    let group = GroupName::new(name).unwrap();
    GroupPrediction { group, made_at, members: MemberCount { reported: 9, carried: 1 }, resources }
}

#[test]
fn a_group_has_its_members_demand_and_newest_forecast() {
    let mut view = view(1);
    view.take(sample("web", 0, 1.0), NOW_MS);
    assert_eq!(view.take_group("1".into(), group("all", 300, 4.0), NOW_MS), Taken::Used, "groups need no room");
    assert_eq!(view.take_group("2".into(), group("all", 600, 5.0), NOW_MS), Taken::Used);
    assert_eq!(view.take_group("1".into(), group("all", 300, 4.0), NOW_MS), Taken::Known);
    assert_eq!(view.take_group("3".into(), group("all", NOW_MS, 5.0), NOW_MS), Taken::Ahead);
    assert!(view.workload("all").is_none() && view.groups().get("web").is_none());
    let all = json::groups(&view);
    let row = &all["groups"][0];
    assert_eq!((&row["id"], row["reported"].as_u64(), row["known"].as_u64()), (&"all".into(), Some(9), Some(10)));
    let cpu = &row["resources"][0];
    assert_eq!((cpu["last"].as_f64(), cpu["peak_median"].as_f64()), (Some(5.0), Some(10.0)));
    assert_eq!((cpu["peak_lower"].as_f64(), cpu["peak_upper"].as_f64()), (Some(9.0), Some(11.0)));
    let one = json::group(view.groups().get("all").unwrap(), "v");
    assert_eq!((&one["version"], &one["prediction"]["id"]), (&"v".into(), &"2".into()));
    let demand: Vec<(i64, f64)> =
        serde_json::from_value::<Vec<(i64, f64, f64, f64)>>(one["series"][0]["points"].clone())
            .unwrap()
            .into_iter()
            .map(|(at_ms, mean, ..)| (at_ms, mean))
            .collect();
    assert_eq!(demand, [(300_000, 4.0), (600_000, 5.0)]);
    assert_eq!(one["trail"][0]["points"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_caller_gets_only_what_changed() {
    let mut view = view(10);
    view.take(sample("a", 60, 1.0), NOW_MS);
    let revision = view.revision();
    assert!(json::fleet(&view, Some(revision), "v").is_none());
    view.take(sample("b", 60, 1.0), NOW_MS);
    let delta = json::fleet(&view, Some(revision), "v").unwrap();
    assert_eq!((&delta["full"], delta["rows"].as_array().unwrap().len()), (&serde_json::json!(false), 1));
    let full = json::fleet(&view, None, "v").unwrap();
    assert_eq!((&full["full"], full["rows"].as_array().unwrap().len()), (&serde_json::json!(true), 2));
    assert_eq!(json::fleet(&view, Some(revision + 999), "v").unwrap()["full"], true, "a revision of another run");
}

#[test]
fn a_full_view_lets_a_newcomer_in_only_for_one_that_fell_silent() {
    let mut view = view(2);
    view.take(sample("a", 60, 1.0), NOW_MS);
    view.take(sample("b", 60, 1.0), NOW_MS + 1);
    assert!(!view.admits("c", NOW_MS + 2));
    assert_eq!(view.take(sample("c", 60, 1.0), NOW_MS + 2), Taken::NoRoom);
    assert!(view.admits("a", NOW_MS + 2), "known ones are always let in");
    let revision = view.revision();
    let later = NOW_MS + IDLE_MS;
    assert!(view.admits("c", later));
    assert_eq!(view.take(sample("c", 60, 1.0), later), Taken::Used);
    assert!(view.workload("a").is_none() && view.workload("b").is_some());
    let fleet = json::fleet(&view, Some(revision), "v").unwrap();
    assert_eq!(
        (&fleet["full"], &fleet["evicted"], &fleet["refused"]),
        (&serde_json::json!(true), &serde_json::json!(1), &serde_json::json!(2))
    );
}

#[test]
fn more_curves_have_fewer_points_each() {
    let mut view = View::new(Bounds { workloads_max: 5_000, points_max: 600 });
    assert_eq!(view.points_max(), 600);
    for i in 0..5_000 {
        view.take(sample(&format!("w-{i}"), 60, 1.0), NOW_MS);
    }
    assert_eq!(view.series_count, 10_000);
    assert_eq!(view.points_max(), 400);
}

proptest! {
    #[test]
    fn memory_is_bounded_whatever_comes(records in prop::collection::vec((0..40_u8, 0..200_000_i64, 0..3_u8), 1..600)) {
        let mut view = View::new(Bounds { workloads_max: 8, points_max: 40 });
        for (i, (w, at_s, kind)) in records.into_iter().enumerate() {
            let name = format!("w-{w}");
            let fact = match kind {
                0 => sample(&name, at_s, 1.0),
                1 => prediction(&name, at_s, (1.0, 0.2), (1e9, 1e8)),
                _ => action(&name, &i.to_string(), at_s),
            };
            view.take(fact, NOW_MS + i as i64 * 20_000);
        }
        prop_assert!(view.workloads.len() <= 8);
        prop_assert_eq!(view.series_count, view.workloads.values().map(Workload::series_count).sum::<usize>());
        for workload in view.workloads.values() {
            prop_assert!(workload.kpis.values().all(|k| k.series.len() <= 40));
            prop_assert!(workload.trails.values().all(|t| t.len() <= 40));
        }
        prop_assert!(json::fleet(&view, None, "v").is_some());
    }
}
