//! What members say, and the part that follows.

use super::*;
use crate::calibration::NOMINAL_COVERAGE;
use crate::prediction::{HorizonForecast, Interval, Reading};
use crate::quantiles::QUANTILE_LEVELS;
use crate::sample::Platform;
use proptest::prelude::*;

const PARTITION: u32 = 3;

fn group() -> GroupName {
    GroupName::new("web").unwrap()
}

/// A prediction around ten times the demand, with a maximum that is 5 above it.
fn prediction(workload: &str, at_s: i64, demand: f64) -> Prediction {
    let around = |median: f64| Quantiles::rearranged(QUANTILE_LEVELS.map(|level| median + level - 0.5)).unwrap();
    let interval =
        Interval { nominal_coverage: NOMINAL_COVERAGE, lower: 0.0, upper: 0.0, trailing_coverage: None, scored: 0 };
    let horizon = HorizonForecast {
        horizon_s: 300,
        value: around(10.0 * demand),
        maximum: around(10.0 * demand + 5.0),
        value_interval: interval,
        maximum_interval: interval,
    };
    Prediction {
        workload: WorkloadId::new(workload).unwrap(),
        source: SourceName::new("fleet:test").unwrap(),
        made_at: EventTime::from_s(at_s),
        step_s: 60,
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
    }
}

/// Instant of the newest forecast, members reported and carried, sum of last and of closed demands.
type Told = (i64, u32, u32, f64, Option<f64>);

fn told(part: &GroupPart) -> Told {
    let cpu = part.resources.values().next();
    (
        part.made_at.as_ms() / 1000,
        part.members.reported,
        part.members.carried,
        cpu.map_or(0.0, |sum| sum.last),
        cpu.and_then(|sum| sum.closed),
    )
}

fn take(members: &mut Members, workload: &str, at_s: i64, demand: f64) -> Vec<Told> {
    members.take(&group(), PARTITION, &prediction(workload, at_s, demand)).iter().map(told).collect()
}

#[test]
fn a_part_comes_when_the_last_of_those_who_had_reported_has() {
    let mut members = Members::default();
    assert_eq!(take(&mut members, "a", 0, 1.0), []);
    assert_eq!(take(&mut members, "b", 0, 2.0), []);
    assert_eq!(take(&mut members, "a", 240, 3.0), []);
    // The first bin's comes at its end, a's first record of the next.
    assert_eq!(take(&mut members, "a", 300, 4.0), [(240, 2, 0, 5.0, None)]);
    assert_eq!(take(&mut members, "a", 360, 6.0), []);
    assert_eq!(take(&mut members, "b", 300, 8.0), [(360, 2, 0, 14.0, Some(2.0 + 2.0))]);
    assert_eq!(take(&mut members, "b", 420, 9.0), []);
    // A new one is not waited for, and is in the next part.
    assert_eq!(take(&mut members, "c", 540, 10.0), []);
    assert_eq!(take(&mut members, "a", 600, 1.0), []);
    assert_eq!(take(&mut members, "b", 600, 1.0), []);
    assert_eq!(take(&mut members, "c", 600, 1.0), [(600, 3, 0, 3.0, Some(5.0 + 8.5 + 10.0))]);
}

/// A prediction, and what was measured every minute before it.
fn after_readings(workload: &str, at_s: i64, earlier: &[f64], demand: f64) -> Prediction {
    let mut made = prediction(workload, at_s, demand);
    let begin_s = at_s - 60 * earlier.len() as i64;
    let reading = |(minute, demand): (i64, &f64)| Reading {
        at: EventTime::from_s(begin_s + 60 * minute),
        resources: vec![Some(*demand)],
        signals: Vec::new(),
    };
    made.earlier = (0..).zip(earlier).map(reading).collect();
    made
}

#[test]
fn a_bins_demand_is_the_mean_of_all_that_was_measured_in_it() {
    let mut members = Members::default();
    let mut take = |workload, at_s, earlier: &[f64], demand| -> Vec<Told> {
        let made = after_readings(workload, at_s, earlier, demand);
        members.take(&group(), PARTITION, &made).iter().map(told).collect()
    };
    assert_eq!(take("a", 240, &[1.0, 2.0, 3.0, 4.0], 5.0), []);
    assert_eq!(take("b", 240, &[10.0], 20.0), []);
    assert_eq!(take("a", 540, &[2.0, 2.0, 2.0, 2.0], 7.0), [(240, 2, 0, 25.0, None)]);
    assert_eq!(take("b", 540, &[8.0, 8.0, 8.0, 8.0], 8.0), [(540, 2, 0, 15.0, Some(3.0 + 15.0))]);
    // One of the next bin that was known before its last sample, and one without the last sample of its bin.
    assert_eq!(take("a", 660, &[4.0], 6.0), []);
    assert_eq!(take("b", 960, &[9.0, 9.0, 9.0, 9.0, 1.0], 1.0), [(660, 1, 1, 14.0, Some(3.0 + 8.0))]);
    assert_eq!(take("a", 960, &[6.0, 4.0, 5.0, 1.0], 3.0), [(960, 2, 0, 4.0, Some(5.0 + 9.0))]);
}

#[test]
fn who_is_silent_counts_as_before_for_a_while() {
    let mut members = Members::default();
    for bin in 0..3 {
        take(&mut members, "a", 300 * bin, 1.0);
        take(&mut members, "b", 300 * bin, 2.0);
    }
    let parts: Vec<Told> = (3..8).flat_map(|bin| take(&mut members, "a", 300 * bin, 4.0)).collect();
    let wanted = [
        (900, 1, 1, 6.0, Some(1.0 + 2.0)),
        (1200, 1, 1, 6.0, Some(4.0 + 2.0)),
        (1500, 1, 1, 6.0, Some(4.0 + 2.0)),
        (1800, 1, 0, 4.0, Some(4.0)),
        (2100, 1, 0, 4.0, Some(4.0)),
    ];
    // The first of them ends the bin in which b is missed; from then on nobody waits for b.
    assert_eq!(parts, wanted);
}

#[test]
fn the_forecasts_add_up() {
    let mut members = Members::default();
    take(&mut members, "a", 0, 1.0);
    take(&mut members, "b", 0, 2.0);
    let parts = members.take(&group(), PARTITION, &prediction("a", 300, 1.0));
    let sum = &parts[0].resources[&KpiName::new("cpu_cores_used")].horizons[&300];
    assert_eq!((sum.forecasts, sum.value.median, sum.maximum.median), (2, 30.0, 40.0));
    assert_eq!((sum.rise.sum, sum.rise.squares), (10.0, 50.0));
    assert!((sum.value.deviations[0] + 0.9).abs() < 1e-9 && (sum.value.squares[0] - 2.0 * 0.45 * 0.45).abs() < 1e-9);
    assert_eq!((parts[0].partition, parts[0].group.as_str()), (PARTITION, "web"));
}

#[test]
fn a_record_that_is_not_newer_changes_nothing() {
    let mut members = Members::default();
    take(&mut members, "a", 600, 1.0);
    let before = members.clone();
    assert_eq!(take(&mut members, "a", 600, 7.0), []);
    assert_eq!(take(&mut members, "a", 0, 7.0), []);
    assert_eq!(members, before);
}

#[test]
fn a_group_whose_members_are_gone_says_so() {
    let mut members = Members::default();
    take(&mut members, "a", 0, 1.0);
    let source = SourceName::new("fleet:test").unwrap();
    let mut hear = |source: &SourceName, at_s| members.hear(&group(), PARTITION, source, EventTime::from_s(at_s));
    assert_eq!(hear(&source, 1199), None);
    assert_eq!(hear(&SourceName::new("fleet:other").unwrap(), 1200), None);
    let parts = hear(&source, 1200).unwrap();
    let parts: Vec<Told> = parts.iter().map(told).collect();
    assert_eq!(parts, [(0, 1, 0, 1.0, None), (1200, 0, 0, 0.0, None)]);
}

#[test]
fn what_is_measured_in_other_units_is_not_added() {
    let mut members = Members::default();
    take(&mut members, "a", 0, 1.0);
    let mut other = prediction("b", 0, 2.0);
    other.resources[0].unit = "percent".into();
    members.take(&group(), PARTITION, &other);
    assert_eq!(take(&mut members, "a", 300, 1.0), [(0, 2, 0, 1.0, None)]);
    let restored: Members = bitcode::decode(&bitcode::encode(&members)).unwrap();
    assert_eq!(restored, members);
}

proptest! {
    /// Members report in bins and between, come late, leave out bins and are forgotten.
    #[test]
    fn a_bin_is_complete_when_a_walk_through_all_members_says_so(
        steps in prop::collection::vec((0_usize..5, -2_i64..8, 0_usize..8), 1..120),
    ) {
        let mut members = Members::default();
        let mut minute = 0;
        for (workload, minutes, earlier) in steps {
            minute += minutes;
            let workload = ["a", "b", "c", "d", "e"][workload];
            let was_told = members.open.as_ref().map(|open| (open.bin, open.is_told));
            members.take(&group(), PARTITION, &after_readings(workload, 60 * minute, &vec![1.0; earlier], 1.0));
            let open = members.open.as_ref().unwrap();
            let before = open.bin - 1;
            let is_awaited = members.members.values().any(|member| bin_of(member.made_at) == before);
            let is_complete = !is_awaited && members.members.values().any(|member| member.bin_before == Some(before));
            prop_assert_eq!(open.is_told, is_complete || was_told == Some((open.bin, true)));
            let restored: Members = bitcode::decode(&bitcode::encode(&members)).unwrap();
            prop_assert_eq!(&restored, &members);
        }
    }
}
