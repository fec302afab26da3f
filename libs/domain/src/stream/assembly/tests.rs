//! Tests of [`super`]: numbers, ends, gaps, and that neither order nor repetition nor cuts make a difference.

use super::*;
use crate::kpi::{KpiKind, KpiName};
use crate::platform::Platform;
use crate::point::{AddUp, Measured};
use proptest::prelude::*;

const SETTINGS: AssemblySettings = AssemblySettings { lateness_s: 120, ahead_s: 300, carried_s: 300 };

/// The number of a series at a second.
fn point(workload: &str, series: &str, at_s: i64, value: Option<f64>) -> Point {
    Point {
        workload: WorkloadId::new(workload).unwrap(),
        source: SourceName::new("remote-write:test").unwrap(),
        at: EventTime::from_s(at_s),
        step_s: 60,
        series: series.into(),
        measured: Measured::Kpi(KpiName::new("memory_bytes")),
        kind: KpiKind::Gauge,
        unit: "By".into(),
        is_total: false,
        add_up: AddUp::Sum,
        value,
        platform: Platform::KUBERNETES,
    }
}

fn total(workload: &str, series: &str, at_s: i64, value: Option<f64>) -> Point {
    let measured = Measured::Kpi(KpiName::new("cpu_cores_used"));
    Point { measured, unit: "cores".into(), is_total: true, ..point(workload, series, at_s, value) }
}

fn offered(assembly: &mut Assembly, settings: &AssemblySettings, points: &[Point]) -> Vec<Sample> {
    let mut made = Vec::new();
    for point in points {
        assembly.offer(settings, point, &mut made);
    }
    made
}

/// By minute, what the one KPI of workload `web` is once the clock has gone so far.
fn numbers(points: &[Point], until_s: i64) -> Vec<(i64, Option<f64>)> {
    let ticks = (0..=until_s / 60).map(|minute| point("tick", "a", 60 * minute, Some(0.0)));
    let mut all: Vec<Point> = points.iter().cloned().chain(ticks).collect();
    all.sort_by_key(|point| point.at);
    let made = offered(&mut Assembly::default(), &SETTINGS, &all);
    let of = made.iter().filter(|sample| sample.workload.as_str() == "web");
    of.map(|sample| (sample.at.bin(60), sample.kpis[0].value)).collect()
}

#[test]
fn series_add_up_and_a_sample_has_the_instant_of_its_newest_point() {
    let points = [("a", 5, 1.0), ("a", 35, 2.0), ("b", 20, 10.0)]
        .map(|(name, at_s, value)| point("web", name, at_s, Some(value)));
    let mut assembly = Assembly::default();
    assert!(offered(&mut assembly, &SETTINGS, &points).is_empty());
    assert!(offered(&mut assembly, &SETTINGS, &[point("tick", "a", 179, Some(0.0))]).is_empty());
    let made = offered(&mut assembly, &SETTINGS, &[point("tick", "a", 180, Some(0.0))]);
    let [sample] = &made[..] else { panic!("{made:?}") };
    assert_eq!((sample.at, sample.step_s, sample.platform), (EventTime::from_s(35), 60, Platform::KUBERNETES));
    assert_eq!(sample.kpis.iter().map(|kpi| kpi.value).collect::<Vec<_>>(), [Some(12.0)]);
    assert_eq!(assembly.workloads(), 2);
}

#[test]
fn a_total_is_its_growth_over_the_time_between_and_a_reset_counts_from_zero() {
    let totals = [(10, 100.0), (40, 130.0), (70, 160.0), (130, 30.0), (190, 90.0)];
    let points = totals.map(|(at_s, value)| total("web", "a", at_s, Some(value)));
    let minutes = [(0, Some(1.0)), (1, Some(1.0)), (2, Some(0.5)), (3, Some(1.0))];
    assert_eq!(numbers(&points, 600), minutes);
    assert_eq!(numbers(&points[..1], 600), [], "one reading is no rate");
}

#[test]
fn a_series_that_was_missed_is_carried_and_one_that_ended_is_not() {
    let mut points: Vec<Point> = (0..12).map(|minute| point("web", "a", 60 * minute, Some(1.0))).collect();
    points.extend([0, 1, 3, 4].map(|minute| point("web", "b", 60 * minute, Some(10.0))));
    let carried: Vec<f64> = (0..12).map(|minute| if minute < 9 { 11.0 } else { 1.0 }).collect();
    let of = |points: &[Point]| numbers(points, 900).into_iter().filter_map(|(_, value)| value).collect::<Vec<f64>>();
    assert_eq!(of(&points), carried, "until 300 s after its last point");
    points.push(point("web", "b", 270, None));
    let ended: Vec<f64> = (0..12).map(|minute| if minute < 4 { 11.0 } else { 1.0 }).collect();
    assert_eq!(of(&points), ended);
}

#[test]
fn a_total_counts_to_its_end_and_the_one_that_takes_over_from_its_second_reading() {
    let old = (0..4).map(|minute| total("web", "old", 60 * minute, Some(60.0 * minute as f64)));
    let end = total("web", "old", 200, None);
    let new = (0..4).map(|minute| total("web", "new", 200 + 60 * minute, Some(120.0 * minute as f64)));
    let points: Vec<Point> = old.chain([end]).chain(new).collect();
    let minutes = [(1, Some(1.0)), (2, Some(1.0)), (3, Some(1.0)), (4, Some(2.0)), (5, Some(2.0)), (6, Some(2.0))];
    assert_eq!(numbers(&points, 900), minutes);
}

#[test]
fn capacity_is_made_of_points_as_well() {
    let of =
        |name: &str, value| Point { measured: Measured::of_name(name.into()), ..point("web", name, 0, Some(value)) };
    let mut points = vec![point("web", "a", 0, Some(5.0)), of("capacity.replicas", 2.0), of("capacity.cpu_cores", 3.0)];
    points.push(of("capacity.memory_bytes", 8.0));
    points.push(point("tick", "a", 180, Some(0.0)));
    let made = offered(&mut Assembly::default(), &SETTINGS, &points);
    let capacity = made[0].capacity.as_ref().unwrap();
    assert_eq!((capacity.replicas, capacity.cpu_cores(), capacity.memory_bytes()), (2, 3.0, 8.0));
    assert_eq!(made[0].kpis.len(), 1);
}

#[test]
fn what_comes_behind_the_watermark_is_late_and_what_comes_twice_is_told() {
    let mut assembly = Assembly::default();
    let mut made = Vec::new();
    let mut taken = |point: &Point| assembly.offer(&SETTINGS, point, &mut made);
    assert_eq!(taken(&point("web", "a", 0, Some(1.0))), Taken::Kept);
    assert_eq!(taken(&point("web", "a", 0, Some(1.0))), Taken::Duplicate);
    assert_eq!(taken(&point("app", "a", 180, Some(1.0))), Taken::Kept);
    assert_eq!(taken(&point("web", "b", 59, Some(1.0))), Taken::Late);
    assert_eq!(taken(&point("web", "a", 0, Some(1.0))), Taken::Passed, "it was there before");
    assert_eq!(taken(&point("web", "a", 59, Some(1.0))), Taken::Late, "newer than all of its series");
    assert_eq!(taken(&point("new", "a", 59, Some(1.0))), Taken::Late);
    assert_eq!(taken(&point("web", "b", 60, Some(1.0))), Taken::Kept);
    assert_eq!(taken(&point("web", "b", 59, Some(1.0))), Taken::Passed, "a newer one waits");
    let far = |nth: i64| point("web", "a", 1_000_000 * nth, Some(1.0));
    let verdicts: Vec<Taken> = (1..7).map(|nth| taken(&far(nth))).collect();
    assert_eq!(verdicts[0], Taken::Kept);
    assert_eq!(verdicts[5], Taken::FromTheFuture);
    assert_eq!(made.len(), 1);
}

#[test]
fn another_step_begins_where_the_last_one_ended() {
    let mut assembly = Assembly::default();
    let longer = |at_s| Point { step_s: 300, ..point("web", "a", at_s, Some(2.0)) };
    let ticks = [600, 720].map(|at_s| point("tick", "a", at_s, Some(0.0)));
    let points = [point("web", "a", 10, Some(1.0)), longer(70), longer(310)];
    let points: Vec<Point> = points.into_iter().chain(ticks).collect();
    let made = offered(&mut assembly, &SETTINGS, &points);
    let steps: Vec<(i64, u32)> = made.iter().map(|sample| (sample.at.as_ms() / 1000, sample.step_s)).collect();
    assert_eq!(steps, [(10, 60), (70, 300), (310, 300)]);
}

#[test]
fn who_lags_is_waited_for_until_it_is_silent_for_a_step_or_has_caught_up() {
    let mut assembly = Assembly::default();
    let tick = |at_s: i64| point("tick", "a", at_s, Some(0.0));
    let known: Vec<Point> = [point("web", "a", 0, Some(1.0)), tick(0), tick(200), tick(400), tick(600)].to_vec();
    assert_eq!(offered(&mut assembly, &SETTINGS, &known).len(), 4, "all but what is within the lateness");
    let lagging = [point("web", "a", 70, Some(2.0)), point("web", "b", 75, Some(3.0))];
    assert!(offered(&mut assembly, &SETTINGS, &lagging).is_empty(), "more may come");
    assert!(offered(&mut assembly, &SETTINGS, &[tick(659)]).is_empty());
    let made = offered(&mut assembly, &SETTINGS, &[tick(660)]);
    let of_web: Vec<_> = made.iter().filter(|sample| sample.workload.as_str() == "web").collect();
    assert_eq!(of_web.iter().map(|s| (s.at.as_ms() / 1000, s.kpis[0].value)).collect::<Vec<_>>(), [(75, Some(5.0))]);
    let behind = offered(&mut assembly, &SETTINGS, &[point("web", "a", 130, Some(4.0))]);
    assert!(behind.is_empty(), "more may come");
    let caught_up = offered(&mut assembly, &SETTINGS, &[point("web", "a", 650, Some(5.0))]);
    assert_eq!(caught_up.iter().map(|s| s.at.as_ms() / 1000).collect::<Vec<_>>(), [130]);
}

/// As many series as may be, of three workloads over twenty minutes.
fn some_points() -> impl Strategy<Value = Vec<Point>> {
    let one = (0..3_u8, 0..3_u8, 0..1200_i64, any::<bool>(), prop::option::weighted(0.9, 0..1000_u32));
    prop::collection::vec(one, 1..120).prop_map(|drawn| {
        let mut seen = BTreeSet::new();
        let unlike = drawn
            .into_iter()
            .filter(|(workload, series, at_s, is_total, _)| seen.insert((*workload, *series, *at_s, *is_total)));
        let point_of = |(workload, series, at_s, is_total, value): (u8, u8, i64, bool, Option<u32>)| {
            let make = if is_total { total } else { point };
            make(&format!("w-{workload}"), &format!("s-{series}"), at_s, value.map(f64::from))
        };
        unlike.map(point_of).collect()
    })
}

/// All samples, by workload and instant, once the clock has gone past all points.
fn all_of(
    mut assembly: Assembly,
    settings: &AssemblySettings,
    points: &[Point],
) -> BTreeMap<(WorkloadId, EventTime), Sample> {
    let ticks: Vec<Point> = (0..80).map(|minute| point("tick", "a", 60 * minute, Some(0.0))).collect();
    let mut made = offered(&mut assembly, settings, points);
    made.extend(offered(&mut assembly, settings, &ticks));
    let of = made.into_iter().filter(|sample| sample.workload.as_str() != "tick");
    let by = |sample: Sample| ((sample.workload.clone(), sample.at), sample);
    of.map(by).collect()
}

proptest! {
    #[test]
    fn order_repetition_and_cuts_make_no_difference(
        (points, shuffled) in some_points().prop_flat_map(|points| (Just(points.clone()), Just(points).prop_shuffle())),
        repeated in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let settings = AssemblySettings { lateness_s: 2400, ..SETTINGS };
        let mut ordered = points;
        ordered.sort_by_key(|point| point.at);
        let expected = all_of(Assembly::default(), &settings, &ordered);
        let mut sent = shuffled;
        for again in &repeated {
            let at = again.index(sent.len());
            sent.push(sent[at].clone());
        }
        let (before, behind) = sent.split_at(cut.index(sent.len()));
        let mut assembly = Assembly::default();
        prop_assert!(offered(&mut assembly, &settings, before).is_empty());
        let stored: Assembly = bitcode::decode(&bitcode::encode(&assembly)).unwrap();
        prop_assert_eq!(&stored, &assembly);
        prop_assert_eq!(all_of(stored, &settings, behind), expected);
    }

    /// The clock of its source is hours ahead, by another workload.
    #[test]
    fn a_workload_that_makes_up_for_an_outage_by_itself_has_all_its_samples(points in some_points(), ahead_min in 60..600_i64) {
        let of_web = |point: &Point| Point {
            workload: WorkloadId::new("web").unwrap(),
            series: format!("{}/{}", point.workload, point.series).into(),
            at: point.at.plus_s(600),
            ..point.clone()
        };
        let mut own: Vec<Point> = points.iter().map(of_web).collect();
        own.sort_by_key(|point| point.at);
        let ticks = |from_min: i64, to_min: i64| {
            (from_min..to_min).map(|minute| point("tick", "a", 60 * minute, Some(0.0))).collect::<Vec<Point>>()
        };
        let of = |sent: Vec<Point>| {
            let made = offered(&mut Assembly::default(), &SETTINGS, &sent);
            let of_web = made.into_iter().filter(|sample| sample.workload.as_str() == "web");
            of_web.map(|sample| (sample.at, sample)).collect::<BTreeMap<EventTime, Sample>>()
        };
        let first = [vec![point("web", "known", 0, Some(1.0))], ticks(0, 10)].concat();
        let until_min = ahead_min + 40;
        let mut together = [own.clone(), ticks(10, until_min)].concat();
        together.sort_by_key(|point| point.at);
        let in_time = [first.clone(), together].concat();
        let lagging = [first, ticks(10, ahead_min), own, ticks(ahead_min, until_min)].concat();
        prop_assert_eq!(of(lagging), of(in_time));
    }

    #[test]
    fn within_the_lateness_shuffled_points_give_the_same(points in some_points(), seed in any::<u64>()) {
        let mut ordered = points;
        let ticks = (0..30).map(|minute| point("tick", "b", 60 * minute, Some(0.0)));
        ordered.extend(ticks);
        ordered.sort_by_key(|point| point.at);
        let mut shuffled = ordered.clone();
        // Each comes up to the lateness later than its place.
        let delay_s = |point: &Point| {
            let mixed = seed.wrapping_mul(point.at.as_ms() as u64 * 31 + point.series.len() as u64 + 7);
            (mixed >> 33) as i64 % i64::from(SETTINGS.lateness_s)
        };
        shuffled.sort_by_key(|point| point.at.plus_s(delay_s(point)));
        let of = |points: &[Point]| all_of(Assembly::default(), &SETTINGS, points);
        prop_assert_eq!(of(&shuffled), of(&ordered));
    }
}
