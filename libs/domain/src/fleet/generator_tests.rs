//! The fleet as its users meet it.

use super::*;
use crate::fleet::serving::CPU_BURST;
use proptest::prelude::*;

/// 2024-01-01T00:00:00Z, a Monday.
const MONDAY: EventTime = EventTime::from_s(1_704_067_200);

fn settings(workloads: u32, seed: u64) -> FleetSettings {
    FleetSettings {
        name: "test".into(),
        workloads,
        step_s: 60,
        seed,
        missing_samples_share: 0.01,
        missing_values_share: 0.01,
    }
}

fn ticks(fleet: &Fleet, state: &mut FleetState, count: usize) -> Vec<Sample> {
    (0..count).flat_map(|_| fleet.tick(state)).collect()
}

fn applied(workload: &WorkloadId, effective_at: EventTime, after: Capacity) -> ActionResult {
    ActionResult {
        workload: workload.clone(),
        action_id: "a".into(),
        at: effective_at,
        outcome: ActionOutcome::Applied { effective_at },
        before: after.clone(),
        after,
        price_per_h: None,
        platform: Platform::SIMULATED,
    }
}

fn value(sample: &Sample, name: &str) -> Option<f64> {
    sample.kpis.iter().find(|k| k.name.as_str() == name).and_then(|k| k.value)
}

#[test]
fn samples_are_valid_and_carry_what_they_should() {
    let fleet = Fleet::new(settings(40, 1)).unwrap();
    let samples = ticks(&fleet, &mut fleet.start(MONDAY), 300);
    for sample in &samples {
        crate::stream::validity::check(sample).unwrap();
        assert_eq!((sample.step_s, &*sample.source, sample.platform), (60, "fleet:test", Platform::SIMULATED));
        assert!(sample.kpis.len() == 9 || sample.kpis.len() == 6, "with and without requests");
        let capacity = sample.capacity.as_ref().unwrap();
        assert!(value(sample, kpi::CPU_CORES_USED).is_none_or(|v| v <= CPU_BURST * capacity.cpu_cores()));
        assert!(value(sample, kpi::MEMORY_BYTES).is_none_or(|v| v <= capacity.memory_bytes()));
    }
    let whole = 40.0 * 300.0;
    let missing = 1.0 - samples.len() as f64 / whole;
    assert!((0.004..0.02).contains(&missing), "{missing}");
    let values = samples.iter().flat_map(|s| &s.kpis).filter(|k| k.value.is_none()).count();
    let share = values as f64 / samples.iter().map(|s| s.kpis.len()).sum::<usize>() as f64;
    assert!((0.007..0.013).contains(&share), "{share}");
}

#[test]
fn counters_only_grow_between_resets() {
    let fleet = Fleet::new(settings(20, 2)).unwrap();
    let mut state = fleet.start(MONDAY);
    let (mut last, mut resets) = (BTreeMap::new(), 0);
    for sample in ticks(&fleet, &mut state, 2880) {
        let Some(total) = value(&sample, NETWORK_TRANSMIT_BYTES_TOTAL) else { continue };
        if last.insert(sample.workload, total).is_some_and(|before| total < before) {
            resets += 1;
        }
    }
    assert!((5..50).contains(&resets), "{resets} resets of 20 workloads in two days");
}

#[test]
fn a_change_is_felt_from_the_next_sample_on_and_never_before() {
    let fleet = Fleet::new(FleetSettings { missing_samples_share: 0.0, ..settings(3, 5) }).unwrap();
    let mut state = fleet.start(MONDAY);
    ticks(&fleet, &mut state, 10);
    let workload = &fleet.workloads()[1];
    let wider = Capacity { replicas: workload.initial_capacity.replicas + 3, ..workload.initial_capacity.clone() };
    let late = applied(&workload.id, MONDAY.plus_s(60), wider.clone());
    assert!(fleet.feel(&mut state, &late), "it took effect while nobody heard of it");
    let replicas =
        |samples: &[Sample]| samples.iter().map(|s| s.capacity.as_ref().unwrap().replicas).collect::<Vec<_>>();
    let before = fleet.workloads()[1].initial_capacity.replicas;
    assert_eq!(replicas(&fleet.tick(&mut state))[1], before + 3);
    let coming = applied(&workload.id, MONDAY.plus_s(13 * 60), workload.initial_capacity.clone());
    assert!(fleet.feel(&mut state, &coming));
    let seen: Vec<u32> = (0..3).map(|_| replicas(&fleet.tick(&mut state))[1]).collect();
    assert_eq!(seen, [before + 3, before + 3, before]);
}

#[test]
fn only_what_was_applied_to_one_of_its_own_changes_anything() {
    let fleet = Fleet::new(settings(3, 5)).unwrap();
    let mut state = fleet.start(MONDAY);
    let workload = &fleet.workloads()[0];
    let result = applied(&workload.id, MONDAY, workload.initial_capacity.clone());
    let stranger = applied(&WorkloadId::new("vm-1").unwrap(), MONDAY, workload.initial_capacity.clone());
    let refused = ActionOutcome::Failed { why: "quota".into(), retryable: true };
    for outcome in [ActionOutcome::DRY_RUN, ActionOutcome::Superseded { why: "newer".into() }, refused] {
        assert!(!fleet.feel(&mut state, &ActionResult { outcome, ..result.clone() }));
    }
    assert!(!fleet.feel(&mut state, &stranger));
    assert_eq!(state, fleet.start(MONDAY));
}

#[test]
fn less_capacity_is_felt_as_latency_and_errors() {
    let fleet = Fleet::new(FleetSettings { missing_samples_share: 0.0, missing_values_share: 0.0, ..settings(1, 5) });
    let fleet = fleet.unwrap();
    let at = MONDAY.plus_s(11 * 3600);
    let plenty = fleet.tick(&mut fleet.start(at)).remove(0);
    let mut state = fleet.start(at);
    let tiny = Capacity { replicas: 1, cpu_cores_per_replica: 0.1, memory_bytes_per_replica: 1e8, instance_type: None };
    fleet.feel(&mut state, &applied(&fleet.workloads()[0].id, at, tiny));
    let scarce = fleet.tick(&mut state).remove(0);
    assert_eq!(value(&scarce, kpi::CPU_CORES_USED), Some(CPU_BURST * 0.1));
    assert!(value(&scarce, kpi::LATENCY_MS) > value(&plenty, kpi::LATENCY_MS));
    assert!(value(&scarce, kpi::ERRORS_PER_S).unwrap() > 10.0 * value(&plenty, kpi::ERRORS_PER_S).unwrap());
    assert!(value(&scarce, kpi::REQUESTS_PER_S) < value(&plenty, kpi::REQUESTS_PER_S));
}

#[test]
fn the_state_of_a_large_fleet_stays_small() {
    let fleet = Fleet::new(settings(10_000, 1)).unwrap();
    let mut state = fleet.start(MONDAY);
    fleet.tick(&mut state);
    let untouched = bitcode::encode(&state).len();
    for workload in fleet.workloads() {
        fleet.feel(&mut state, &applied(&workload.id, MONDAY.plus_s(60), workload.initial_capacity.clone()));
    }
    let touched = bitcode::encode(&state).len();
    assert!(untouched < 100_000 && touched < 900_000, "{untouched} and {touched} bytes");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_same_seed_gives_the_same_samples_also_over_a_restart(
        seed: u64, start_s in 0i64..2_000_000_000, stop in 0usize..60, change in 0usize..60,
    ) {
        let fleet = Fleet::new(settings(12, seed)).unwrap();
        let begin = EventTime::from_s(start_s);
        let result = |at: EventTime| {
            let workload = &fleet.workloads()[4];
            applied(&workload.id, at.plus_s(150), Capacity { replicas: 9, ..workload.initial_capacity.clone() })
        };
        let run = |restart_at: Option<usize>| {
            let mut state = fleet.start(begin);
            let mut samples = Vec::new();
            for tick in 0..60 {
                if tick == change {
                    let heard_at = fleet.next_at(&state);
                    fleet.feel(&mut state, &result(heard_at));
                }
                if restart_at == Some(tick) {
                    state = bitcode::decode(&bitcode::encode(&state)).unwrap();
                }
                samples.extend(fleet.tick(&mut state));
            }
            samples
        };
        let whole = run(None);
        prop_assert_eq!(&whole, &run(Some(stop)));
        prop_assert!(whole.iter().all(|s| s.at >= begin && s.at.as_ms() % 60_000 == 0));
    }
}
