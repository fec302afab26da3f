//! Alarms on made-up p-values.

use super::rules::BIN_S;
use super::watch::{Seen, Told, Watch};
use super::*;
use crate::anomaly::AnomalyScore;
use crate::policy::fixtures::{prediction, workload};
use crate::prediction::Prediction;
use crate::source::SourceName;
use crate::workload::WorkloadId;
use proptest::prelude::*;

/// k of n bins and a lone one, nothing else.
fn rules() -> AlarmRules {
    AlarmRules {
        p_value_max: 1e-3,
        raise_p_value_max: 1e-3,
        lone_p_value_max: 1e-6,
        evidence_min: 0.0,
        again_ratio: 1.0,
        silent_bins: 0,
        ..AlarmRules::default()
    }
}

fn fleet() -> WorkloadId {
    workload("fleet:test")
}

fn seen(bin: i64, p_value: f64) -> Seen<'static> {
    let at = EventTime::of_bin(bin, BIN_S);
    Seen { at, step_bins: 1, p_value: Some(p_value), blamed: &[], severity: Severity::Info }
}

/// What is told of p-values, one a bin from bin 100 on.
fn told(rules: &AlarmRules, p_values: &[f64]) -> Vec<(i64, Told)> {
    let mut watch = Watch::default();
    let told = (100..).zip(p_values).filter_map(|(bin, p)| Some((bin, watch.take(rules, &seen(bin, *p))?)));
    told.collect()
}

#[test]
fn some_of_the_last_bins_raise_an_alarm_and_usual_ones_in_a_row_end_it() {
    let (low, high) = (5e-4, 0.5);
    let mut p_values = vec![high, low, high, low, high, low];
    p_values.extend([high; 8]);
    let rules = rules();
    let all = told(&rules, &p_values);
    let [(103, raised), (111, ended)] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(raised.alarm.started_at, EventTime::of_bin(101, BIN_S));
    assert_eq!((raised.ended_at, raised.alarm.unusual_bins, raised.watched_bins), (None, 2, 3));
    assert_eq!(ended.ended_at, Some(EventTime::of_bin(106, BIN_S)));
    assert_eq!((ended.alarm.started_at, ended.alarm.unusual_bins), (raised.alarm.started_at, 3));
    assert!(told(&rules, &[high, low, high, high, low, high, high, low]).is_empty(), "one in three is chance");
}

#[test]
fn one_that_is_hardly_possible_raises_it_alone_and_what_gets_worse_is_told_again() {
    let rules = rules();
    let all = told(&rules, &[0.5, 1e-7, 1e-7, 5e-8, 1e-9, 0.5]);
    let bins: Vec<i64> = all.iter().map(|(bin, _)| *bin).collect();
    assert_eq!(bins, [101, 104]);
    assert_eq!(all[1].1.alarm.p_value, 1e-9);
    let mut watch = Watch::default();
    watch.take(&rules, &seen(100, 1e-7));
    let worse = Seen { severity: Severity::Critical, ..seen(101, 1e-4) };
    let told = watch.take(&rules, &worse).unwrap();
    assert_eq!((told.alarm.severity, told.alarm.p_value), (Severity::Critical, 1e-7));
}

#[test]
fn a_bin_counts_once_and_a_gap_is_not_unusual() {
    let rules = AlarmRules { raise_bins: 2, of_bins: 2, ..rules() };
    let mut watch = Watch::default();
    let at = |s| Seen { at: EventTime::from_s(s), ..seen(0, 1e-4) };
    assert_eq!(watch.take(&rules, &at(30_000)), None);
    assert_eq!(watch.take(&rules, &at(30_060)), None, "it is the same bin");
    assert_eq!(watch.take(&rules, &at(30_600)), None, "the one between is not known");
    assert!(watch.take(&rules, &at(30_900)).is_some());
}

#[test]
fn a_workload_that_is_looked_at_each_hour_has_its_bins_in_a_row() {
    let (rules, mut watch) = (rules(), Watch::default());
    let mut at = |hour: i64, p_value| watch.take(&rules, &Seen { step_bins: 12, ..seen(12 * hour, p_value) });
    assert_eq!(at(10, 5e-4), None);
    let raised = at(12, 5e-4).expect("two of three");
    assert_eq!((raised.alarm.started_at, raised.alarm.unusual_bins), (EventTime::of_bin(120, BIN_S), 2));
    assert!((13..18).all(|hour| at(hour, 0.5).is_none_or(|told| told.ended_at.is_none())));
    assert_eq!(at(18, 0.5).expect("it ends").ended_at, Some(EventTime::of_bin(145, BIN_S)));
}

#[test]
fn what_lasts_is_told_each_hour() {
    let all = told(&rules(), &[1e-7; 40]);
    let bins: Vec<i64> = all.iter().map(|(bin, _)| *bin).collect();
    assert_eq!(bins, [100, 112, 124, 136]);
}

#[test]
fn an_alarm_is_severe_where_it_threatens_the_capacity() {
    let mut made = prediction("a", 1000, 1.0, 1.0, 4);
    assert_eq!(threat(&made), Severity::Info);
    made.resources[0].last = Some(7.7);
    assert_eq!(threat(&made), Severity::Critical, "of 8 cores");
    assert_eq!(threat(&prediction("a", 1000, 7.5, 1.0, 4)), Severity::Warning, "an hour ahead");
    assert_eq!(threat(&prediction("a", 1000, 1.0, 40.0, 4)), Severity::Warning, "of 32 GiB");
    made.capacity = None;
    assert_eq!(threat(&made), Severity::Info);
}

fn at_bin(bin: i64, p_value: Option<f32>) -> Prediction {
    let kpis = vec![KpiName::new("cpu_cores_used")];
    let anomaly = p_value.map(|p_value| AnomalyScore { p_value, kpis });
    Prediction { anomaly, ..prediction("a", i64::from(BIN_S) * bin, 1.0, 1.0, 4) }
}

#[test]
fn an_anomaly_has_one_id_and_ends_also_when_its_workload_is_gone() {
    let rules = rules();
    let mut alarms = Alarms::default();
    let first = alarms.take(&rules, &fleet(), &at_bin(1000, Some(1e-8))).unwrap();
    let [begun] = first.as_slice() else { panic!("{first:?}") };
    assert_eq!((begun.workload.as_str(), begun.kpis[0].as_str(), begun.ended_at), ("a", "cpu_cores_used", None));
    assert_eq!(alarms.take(&rules, &fleet(), &at_bin(1000, Some(1e-8))), None, "it is not newer");
    assert_eq!(alarms.take(&rules, &fleet(), &at_bin(1001, None)).unwrap(), []);
    let nine_days = Prediction { workload: workload("b"), ..at_bin(1000 + 12 * 24 * 9, Some(0.5)) };
    let last = alarms.take(&rules, &fleet(), &nine_days).unwrap();
    let [ended] = last.as_slice() else { panic!("{last:?}") };
    assert_eq!((&ended.anomaly_id, ended.ended_at), (&begun.anomaly_id, Some(EventTime::of_bin(1001, BIN_S))));
    assert_eq!(ended.platform, begun.platform);
    assert!(alarms.workload_bytes(&workload("a")).is_none());
    assert!(alarms.workload_bytes(&workload("b")).unwrap() < 600);
}

#[test]
fn evidence_of_many_bins_raises_an_alarm_that_none_of_them_would() {
    let rules = AlarmRules { evidence_min: 13.0, p_value_max: 1e-2, lone_p_value_max: 0.0, ..rules() };
    let rules = AlarmRules { raise_p_value_max: 1e-5, ..rules };
    let mut p_values = vec![0.5; 20];
    p_values.extend([1e-3; 80]);
    let all = told(&rules, &p_values);
    let (bin, raised) = &all[0];
    assert!((150..190).contains(bin), "{bin}");
    assert_eq!(raised.alarm.started_at, EventTime::of_bin(120, BIN_S), "since it gathers");
    assert!(raised.alarm.unusual_bins > 20 && raised.watched_bins >= raised.alarm.unusual_bins);
    assert_eq!(told(&AlarmRules { evidence_min: 0.0, ..rules }, &p_values), []);
}

#[test]
fn who_alarms_each_day_has_to_be_ever_less_likely_and_is_heard_again_after_quiet_days() {
    let rules = AlarmRules { again_ratio: 0.1, ..rules() };
    let mut watch = Watch::default();
    let mut raises = |day: i64, p_value: f64| {
        let bins = 288 * day..288 * day + 20;
        let told = bins.filter_map(|bin| watch.take(&rules, &seen(bin, if bin % 288 < 2 { p_value } else { 0.5 })));
        told.filter(|told| told.ended_at.is_none()).count()
    };
    let raised: Vec<usize> = (10..18).map(|day| raises(day, 5e-4)).collect();
    assert_eq!(raised[0], 1);
    assert!(raised.iter().sum::<usize>() < 4, "{raised:?}");
    assert_eq!(raises(18, 1e-8), 1, "what is hardly possible is told of anyhow");
    assert_eq!(raises(60, 5e-4), 1);
}

#[test]
fn who_falls_silent_while_others_go_on_has_an_alarm_of_its_own() {
    let rules = AlarmRules { silent_bins: 3, ..rules() };
    let mut alarms = Alarms::default();
    let named = |name: &str, bin: i64| Prediction { workload: workload(name), ..at_bin(bin, Some(0.5)) };
    let mut told: Vec<Anomaly> = Vec::new();
    for bin in 1000..1400 {
        for name in ["a", "b"] {
            let is_silent = name == "a" && (1330..1350).contains(&bin);
            if !is_silent {
                told.extend(alarms.take(&rules, &fleet(), &named(name, bin)).expect("it is newer"));
            }
        }
    }
    let seen: Vec<(&str, Option<EventTime>)> = told.iter().map(|a| (a.workload.as_str(), a.ended_at)).collect();
    let until = Some(EventTime::of_bin(1350, BIN_S));
    assert_eq!(seen, [("a", None), ("a", None), ("a", until)]);
    assert_eq!((told[0].at, told[0].started_at), (EventTime::of_bin(1333, BIN_S), EventTime::of_bin(1330, BIN_S)));
    assert!(told.iter().all(|a| a.anomaly_id == told[0].anomaly_id && a.kpis == [KpiName::new(MISSING_DATA)]));
    assert_eq!(alarms.fleet_workloads(&fleet()), 2);
}

/// An ordinary bin of a workload of a source.
fn of(name: &str, source: &str, bin: i64) -> Prediction {
    let source = SourceName::new(source).expect("a name");
    Prediction { workload: workload(name), source, ..at_bin(bin, Some(0.5)) }
}

#[test]
fn a_source_that_is_silent_is_missed_by_one_that_kept_step_and_by_no_replay() {
    let rules = AlarmRules { silent_bins: 3, ..rules() };
    let mut alarms = Alarms::default();
    let mut take = |made: &Prediction| alarms.take(&rules, &fleet(), made).expect("it is newer");
    for bin in 1000..1400 {
        assert_eq!(take(&of("a", "host:a", bin)), []);
        assert_eq!(take(&of("b", "host:b", bin)), []);
        // It passes the others at full speed.
        for of_replay in 0..10 {
            assert_eq!(take(&of("r", "replay:x", 10 * (bin - 1000) + of_replay)), []);
        }
    }
    let told: Vec<Anomaly> = (1400..1410).flat_map(|bin| take(&of("b", "host:b", bin))).collect();
    let [missed] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((missed.workload.as_str(), missed.source.as_str()), ("a", "host:a"));
    assert_eq!(missed.started_at, EventTime::of_bin(1400, BIN_S));
}

#[test]
fn nobody_is_missed_when_all_come_back_from_an_outage_but_who_does_not() {
    let rules = AlarmRules { silent_bins: 3, ..rules() };
    let mut alarms = Alarms::default();
    let mut take = |made: &Prediction| alarms.take(&rules, &fleet(), made).expect("it is newer");
    let mut told: Vec<Anomaly> = Vec::new();
    for bin in (1000..1400).chain(1440..1445) {
        for (name, source) in [("a", "host:a"), ("b", "host:a"), ("c", "host:b"), ("d", "host:b")] {
            if name != "d" || bin < 1400 {
                told.extend(take(&of(name, source, bin)));
            }
        }
    }
    let [missed] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((missed.workload.as_str(), missed.ended_at), ("d", None));
    assert_eq!(missed.at, EventTime::of_bin(1441, BIN_S));
}

#[test]
fn a_workload_that_goes_to_another_fleet_counts_there() {
    let (rules, other, mut alarms) = (rules(), workload("fleet:other"), Alarms::default());
    for (bin, fleet, counts) in [(1000, fleet(), (1, 0)), (1001, other.clone(), (0, 1)), (1002, other.clone(), (0, 1))]
    {
        alarms.take(&rules, &fleet, &at_bin(bin, Some(0.5))).expect("it is newer");
        assert_eq!((alarms.fleet_workloads(&self::fleet()), alarms.fleet_workloads(&other)), counts);
    }
}

#[test]
fn an_alarm_does_not_begin_in_the_one_before() {
    let rules = AlarmRules { of_bins: 8, end_bins: 1, ..rules() };
    let all = told(&rules, &[1e-7, 0.5, 0.5, 1e-7]);
    let begun: Vec<i64> = all.iter().map(|(_, told)| told.alarm.started_at.bin(BIN_S)).collect();
    assert_eq!(begun, [100, 100, 103]);
}

proptest! {
    /// Each alarm begins once, ends at most once, and a snapshot anywhere changes nothing.
    #[test]
    fn alarms_begin_and_end_in_turn(
        p_values in prop::collection::vec(prop_oneof![Just(0.5f32), Just(5e-4), Just(1e-7)], 1..200),
        cut in 0..200usize,
    ) {
        let rules = rules();
        let (mut alarms, mut again) = (Alarms::default(), Alarms::default());
        let mut is_open: Option<std::sync::Arc<str>> = None;
        for (i, p) in p_values.iter().enumerate() {
            let made = at_bin(1000 + i as i64, Some(*p));
            let told = alarms.take(&rules, &fleet(), &made).expect("each is newer");
            prop_assert_eq!(again.take(&rules, &fleet(), &made), Some(told.clone()));
            if i == cut {
                again = bitcode::decode(&bitcode::encode(&alarms)).expect("it was encoded here");
            }
            for anomaly in told {
                match &is_open {
                    Some(open) => prop_assert_eq!(&anomaly.anomaly_id, open),
                    None => prop_assert!(anomaly.ended_at.is_none()),
                }
                prop_assert!(anomaly.started_at <= anomaly.at);
                is_open = anomaly.ended_at.is_none().then_some(anomaly.anomaly_id);
            }
        }
    }
}
