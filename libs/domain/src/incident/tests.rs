//! Incidents of made-up anomalies.

use super::*;
use crate::group::GroupName;
use crate::kpi::{CPU_CORES_USED, LATENCY_MS, MEMORY_BYTES};
use crate::policy::fixtures::workload;
use crate::sample::Platform;
use crate::selector::Selector;
use crate::source::SourceName;
use proptest::prelude::*;

fn anomaly(name: &str, started_s: i64, kpi: &str) -> Anomaly {
    Anomaly {
        workload: workload(name),
        source: SourceName::new("fleet:test").unwrap(),
        anomaly_id: format!("{name}@{started_s}").into(),
        at: EventTime::from_s(started_s + 600),
        started_at: EventTime::from_s(started_s),
        ended_at: None,
        p_value: 1e-5,
        severity: Severity::Info,
        kpis: vec![KpiName::new(kpi)],
        unusual_bins: 2,
        watched_bins: 3,
        platform: Platform::SIMULATED,
    }
}

fn ended(begun: &Anomaly, after_s: i64) -> Anomaly {
    let ended_at = Some(begun.started_at.plus_s(after_s));
    Anomaly { ended_at, at: begun.started_at.plus_s(after_s + 1800), ..begun.clone() }
}

fn of_fleet(fleet: &str, anomaly: &Anomaly) -> FleetAnomaly {
    FleetAnomaly { fleet: workload(fleet), anomaly: anomaly.clone(), known: FleetPart::default() }
}

fn alarm(anomaly: &Anomaly) -> FleetAnomaly {
    of_fleet("shop", anomaly)
}

#[test]
fn what_begins_in_a_moment_for_the_same_reason_is_one_incident_and_the_first_mover_stands_first() {
    let (rules, mut incidents) = (IncidentRules::default(), Incidents::default());
    let (web, db, batch) =
        (anomaly("web", 1300, CPU_CORES_USED), anomaly("db", 1000, CPU_CORES_USED), anomaly("b", 1300, MEMORY_BYTES));
    let first = incidents.take(&rules, &alarm(&web)).remove(0);
    assert_eq!((first.workloads, first.ended_at, first.is_repetition), (1, None, false));
    let second = incidents.take(&rules, &alarm(&db)).remove(0);
    assert_eq!((&second.incident_id, second.workloads), (&first.incident_id, 2));
    assert_eq!((second.members[0].workload.as_str(), second.started_at), ("db", EventTime::from_s(1000)));
    let other = incidents.take(&rules, &alarm(&batch)).remove(0);
    assert_ne!(other.incident_id, first.incident_id);
    assert_ne!(
        incidents.take(&rules, &of_fleet("lab", &anomaly("c", 1300, CPU_CORES_USED)))[0].incident_id,
        first.incident_id
    );
    let later = incidents.take(&rules, &alarm(&anomaly("late", 9000, CPU_CORES_USED))).remove(0);
    assert_ne!(later.incident_id, first.incident_id);
    assert_eq!(incidents.lasting(), 4);
}

#[test]
fn it_ends_with_its_last_member_and_says_when_it_gets_worse() {
    let (rules, mut incidents) = (IncidentRules::default(), Incidents::default());
    let (web, db) = (anomaly("web", 1300, CPU_CORES_USED), anomaly("db", 1000, CPU_CORES_USED));
    incidents.take(&rules, &alarm(&web));
    incidents.take(&rules, &alarm(&db));
    assert_eq!(incidents.take(&rules, &alarm(&Anomaly { p_value: 1e-9, ..web.clone() })), [], "no more severe");
    let worse = incidents.take(&rules, &alarm(&Anomaly { severity: Severity::Critical, ..web.clone() }));
    assert_eq!(worse[0].severity, Severity::Critical);
    assert_eq!(incidents.take(&rules, &alarm(&ended(&db, 600))), []);
    let over = incidents.take(&rules, &alarm(&ended(&web, 900))).remove(0);
    assert_eq!(over.ended_at, Some(EventTime::from_s(2200)));
    assert_eq!(incidents.lasting(), 0);
    assert_eq!(incidents.take(&rules, &alarm(&ended(&web, 900))), [], "it is told once");
}

#[test]
fn a_group_is_related_and_a_fleet_that_is_unusual_as_a_whole_is_one_incident() {
    let members = Selector::new(&["shop-*".to_owned()], &[]).unwrap();
    let groups = vec![(GroupName::new("shop").unwrap(), members)];
    let rules = IncidentRules { groups, ..IncidentRules::default() };
    let mut incidents = Incidents::default();
    let web = incidents.take(&rules, &alarm(&anomaly("shop-web", 1000, CPU_CORES_USED))).remove(0);
    let db = incidents.take(&rules, &alarm(&anomaly("shop-db", 1000, LATENCY_MS))).remove(0);
    assert_eq!(db.incident_id, web.incident_id);
    for i in 0..3 {
        incidents.take(&rules, &alarm(&anomaly(&format!("vm{i}"), 1000, CPU_CORES_USED)));
    }
    let any = incidents.take(&rules, &alarm(&anomaly("other", 1300, MEMORY_BYTES))).remove(0);
    assert_eq!((&any.incident_id, any.workloads), (&web.incident_id, 6));
}

#[test]
fn nobody_hears_of_what_is_silenced_and_what_lasts_is_told_again() {
    let members = Selector::new(&["web".to_owned()], &[]).unwrap();
    let until = Some(EventTime::from_s(5000));
    let silences = vec![Silence { members, from: Some(EventTime::from_s(1000)), until }];
    let rules = IncidentRules { silences, repeat_s: 43_200, ..IncidentRules::default() };
    let mut incidents = Incidents::default();
    let silenced = anomaly("web", 2000, CPU_CORES_USED);
    assert_eq!(incidents.take(&rules, &alarm(&silenced)), []);
    assert_eq!(incidents.take(&rules, &alarm(&ended(&silenced, 600))), []);
    let first = incidents.take(&rules, &alarm(&anomaly("web", 5000, CPU_CORES_USED))).remove(0);
    for hour in 1..16 {
        let still = Anomaly { at: EventTime::from_s(5600 + 3600 * hour), ..anomaly("web", 5000, CPU_CORES_USED) };
        let told = incidents.take(&rules, &alarm(&still));
        let seen: Vec<bool> = told.iter().map(|incident| incident.is_repetition).collect();
        assert_eq!(seen, if hour == 12 { vec![true] } else { vec![] }, "{hour}");
        assert!(told.iter().all(|told| told.incident_id == first.incident_id && told.at == still.at));
    }
}

#[test]
fn what_outlasts_its_silence_is_heard_of() {
    let members = Selector::new(&["web".to_owned()], &[]).unwrap();
    let silences = vec![Silence { members, from: None, until: Some(EventTime::from_s(5000)) }];
    let rules = IncidentRules { silences, ..IncidentRules::default() };
    let mut incidents = Incidents::default();
    let at = |s| Anomaly { at: EventTime::from_s(s), ..anomaly("web", 4900, CPU_CORES_USED) };
    assert_eq!(incidents.take(&rules, &alarm(&at(5500))), [], "it began in the window");
    assert_eq!(incidents.take(&rules, &alarm(&at(8600))).len(), 1);
}

#[test]
fn an_incident_of_workloads_that_are_gone_ends() {
    let (rules, mut incidents) = (IncidentRules::default(), Incidents::default());
    let web = incidents.take(&rules, &alarm(&anomaly("web", 1000, CPU_CORES_USED))).remove(0);
    let told = incidents.take(&rules, &alarm(&anomaly("db", 1000 + 7 * 3600, MEMORY_BYTES)));
    let over = told.iter().find(|told| told.incident_id == web.incident_id).unwrap();
    assert_eq!((over.ended_at, told.len()), (Some(EventTime::from_s(1600)), 2));
    assert_eq!(incidents.lasting(), 1);
}

#[test]
fn what_goes_on_in_a_large_fleet_is_not_one_incident_and_is_not_told_workload_by_workload() {
    let (rules, mut incidents) = (IncidentRules::default(), Incidents::default());
    let mut take = |i: i64, every_s: i64| {
        incidents.take(&rules, &alarm(&anomaly(&format!("w{i}"), 1000 + every_s * i, CPU_CORES_USED)))
    };
    let told: Vec<Incident> = (0..1000).flat_map(|i| take(i, 0)).collect();
    assert!((10..80).contains(&told.len()), "{} records", told.len());
    assert!(told.iter().all(|incident| incident.incident_id == told[0].incident_id));
    let hours: std::collections::BTreeSet<_> =
        (1..40).flat_map(|i| take(i, 900)).map(|incident| incident.incident_id).collect();
    assert!(hours.len() > 3, "{hours:?}");
}

#[test]
fn a_large_fleet_is_what_happened_only_where_a_share_of_it_is_unusual() {
    let kpis = [CPU_CORES_USED, MEMORY_BYTES, LATENCY_MS];
    let incidents_of = |partition_workloads: [u32; 2]| {
        let (rules, mut incidents) = (IncidentRules::default(), Incidents::default());
        let told = (0..12).flat_map(|i: usize| {
            let anomaly = anomaly(&format!("w{i}"), 1000, kpis[i % 3]);
            let partition = (i % 2) as u32;
            let known = FleetPart { partition, workloads: partition_workloads[i % 2] };
            incidents.take(&rules, &FleetAnomaly { known, ..alarm(&anomaly) })
        });
        told.map(|incident| incident.incident_id).collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!(incidents_of([500, 600]), 3, "twelve of 1100 have three reasons");
    let few = incidents_of([40, 20]);
    assert!((1..=3).contains(&few), "{few}");
    let (rules, mut incidents) = (IncidentRules::default(), Incidents::default());
    let mut take = |name: &str, kpi: &str| {
        let known = FleetPart { partition: 0, workloads: 40 };
        incidents.take(&rules, &FleetAnomaly { known, ..alarm(&anomaly(name, 1000, kpi)) }).remove(0).incident_id
    };
    let first = take("a", CPU_CORES_USED);
    (0..4).for_each(|i| {
        take(&format!("b{i}"), CPU_CORES_USED);
    });
    assert_eq!(take("c", MEMORY_BYTES), first, "five of forty are the fleet");
}

#[test]
fn who_falls_silent_together_is_one_incident() {
    let (rules, mut incidents) = (IncidentRules::default(), Incidents::default());
    let mut take = |name: &str| {
        let silent = Anomaly { kpis: vec![KpiName::new(crate::alarm::MISSING_DATA)], ..anomaly(name, 1000, "x") };
        incidents.take(&rules, &alarm(&silent)).remove(0)
    };
    let (first, second) = (take("a"), take("b"));
    assert_eq!((first.incident_id, second.workloads), (second.incident_id, 2));
}

#[test]
fn a_silence_names_workloads_by_pattern_and_source_and_leaves_the_rest_of_an_incident() {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let of = |workloads: &[&str], sources: &[&str], at_s: i64| {
        let members = Selector::new(&texts(workloads), &texts(sources)).unwrap();
        let (from, until) = (Some(EventTime::from_s(1000)), Some(EventTime::from_s(9000)));
        let rules = IncidentRules { silences: vec![Silence { members, from, until }], ..IncidentRules::default() };
        let mut incidents = Incidents::default();
        let mut take = |name: &str| incidents.take(&rules, &alarm(&anomaly(name, at_s, CPU_CORES_USED)));
        let all: Vec<Incident> = ["db-1", "web-1", "web-2"].into_iter().flat_map(&mut take).collect();
        all.last().map_or(0, |incident| incident.workloads)
    };
    assert_eq!(of(&["db-*"], &[], 2000), 2);
    assert_eq!(of(&["*"], &["fleet:*"], 2000), 0);
    assert_eq!(of(&["*"], &["host:*"], 2000), 3, "another source");
    assert_eq!(of(&["*"], &[], 9000), 3, "the window is over");
    assert_eq!(of(&["*"], &[], 300), 3, "it has not begun when it is told of");
}

#[test]
fn a_workload_counts_once() {
    let (rules, mut incidents) = (IncidentRules::default(), Incidents::default());
    incidents.take(&rules, &alarm(&anomaly("web", 1000, CPU_CORES_USED)));
    incidents.take(&rules, &alarm(&anomaly("web", 1300, MEMORY_BYTES)));
    let both = incidents.take(&rules, &alarm(&anomaly("db", 1300, CPU_CORES_USED))).remove(0);
    assert_eq!((both.workloads, both.members.len()), (2, 3));
}

proptest! {
    /// Whatever comes in whatever order: an incident begins once, ends once, and a snapshot changes nothing.
    #[test]
    fn incidents_begin_and_end_once(
        starts in prop::collection::vec((0..20usize, 0..40i64, any::<bool>()), 1..60), cut in 0..60usize,
    ) {
        let (rules, mut incidents, mut again) = (IncidentRules::default(), Incidents::default(), Incidents::default());
        let mut open = std::collections::BTreeMap::new();
        for (i, (name, bin, is_over)) in starts.iter().enumerate() {
            let begun = anomaly(&format!("w{name}"), 300 * bin, [CPU_CORES_USED, MEMORY_BYTES][name % 2]);
            let told_of = if *is_over { ended(&begun, 900) } else { begun };
            let told = incidents.take(&rules, &alarm(&told_of));
            prop_assert_eq!(&again.take(&rules, &alarm(&told_of)), &told);
            if i == cut {
                again = bitcode::decode(&bitcode::encode(&incidents)).expect("it was encoded here");
            }
            for incident in told {
                prop_assert!((1..=incident.members.len()).contains(&(incident.workloads as usize)));
                let was_over = open.insert(incident.incident_id.clone(), incident.ended_at.is_some());
                prop_assert!(was_over != Some(true) || incident.ended_at.is_some());
            }
        }
    }
}
