//! Tests of [`super`]: order, accounting, sources apart, and clocks that lie.

use super::*;
use crate::kpi::Kpi;
use proptest::prelude::*;

const SETTINGS: AdmissionSettings =
    AdmissionSettings { lateness_steps: 2, ahead_s: 300, reject_ahead_s: 86_400, forget_after_s: 8 * 86_400 };

type Item = (usize, i64);

/// Nothing is known to be missing of what has no KPIs.
impl Part for Item {
    fn kpis(&self) -> &[Kpi] {
        &[]
    }

    fn merge(&mut self, _other: Self) -> bool {
        false
    }
}

#[derive(Default)]
struct Run {
    admission: Admission<Item>,
    verdicts: Vec<Verdict>,
    released: Vec<Item>,
    /// In minutes.
    turns: BTreeMap<Item, i64>,
}

impl Run {
    fn offer(&mut self, source: &str, vm: usize, minute: i64) -> Verdict {
        self.offer_step(source, vm, minute, 60)
    }

    fn offer_step(&mut self, source: &str, vm: usize, minute: i64, step_s: u32) -> Verdict {
        let workload = WorkloadId::new(&format!("vm-{vm}")).unwrap();
        let source = SourceName::new(source).unwrap();
        let mut out = Vec::new();
        let arrival = Arrival {
            workload: &workload,
            source: &source,
            at: EventTime::from_s(60 * minute),
            step_s,
            item: (vm, minute),
        };
        let verdict = self.admission.offer(&SETTINGS, arrival, &mut out);
        let held = self.admission.lanes.values().map(|lane| lane.reassembly.held());
        assert_eq!(self.admission.held(), held.sum::<usize>());
        self.turns.extend(out.iter().map(|r| (r.item, r.turn_at.bin(60))));
        self.released.extend(out.into_iter().map(|r| r.item));
        self.verdicts.push(verdict);
        verdict
    }

    fn count(&self, wanted: Verdict) -> usize {
        self.verdicts.iter().filter(|v| **v == wanted).count()
    }

    fn of(&self, vm: usize) -> Vec<i64> {
        self.released.iter().filter(|(w, _)| *w == vm).map(|(_, m)| *m).collect()
    }
}

#[test]
fn a_turn_comes_with_the_sample_or_with_the_watermark_behind_a_gap() {
    let mut run = Run::default();
    for (vm, minute) in [(1, 0), (1, 1), (2, 2), (1, 4), (2, 3), (2, 4), (2, 5), (1, 5), (2, 6), (1, 6), (1, 7)] {
        run.offer("s", vm, minute);
    }
    let turns: Vec<(i64, i64)> = run.of(1).into_iter().map(|minute| (minute, run.turns[&(1, minute)])).collect();
    assert_eq!(turns, [(0, 3), (1, 3), (4, 6), (5, 6), (6, 6), (7, 7)]);
}

#[test]
fn an_idle_source_does_not_hold_others_back() {
    let mut run = Run::default();
    run.offer("idle", 9, 0);
    for minute in 100..105 {
        run.offer("live", 1, minute);
    }
    assert_eq!(run.of(1), vec![100, 101, 102, 103, 104]);
    assert_eq!(run.of(9), Vec::<i64>::new());
}

#[test]
fn past_the_bound_is_late() {
    let mut run = Run::default();
    for minute in [0, 1, 2, 3, 7, 9] {
        run.offer("s", 1, minute);
    }
    assert_eq!(run.of(1), vec![0, 1, 2, 3, 7]);
    assert_eq!(run.offer("s", 1, 4), Verdict::Late);
    assert_eq!(run.offer("s", 1, 6), Verdict::Late);
    assert_eq!(run.offer("s", 1, 8), Verdict::Accepted);
    assert_eq!(run.of(1), vec![0, 1, 2, 3, 7, 8, 9]);
}

#[test]
fn who_lags_behind_its_source_by_itself_loses_nothing() {
    let mut run = Run::default();
    for minute in 0..4 {
        run.offer("s", 1, minute);
        run.offer("s", 2, minute);
    }
    for minute in 4..500 {
        run.offer("s", 2, minute);
    }
    for minute in 4..500 {
        assert_eq!(run.offer("s", 1, minute), Verdict::Accepted);
    }
    assert_eq!(run.of(1), (0..500).collect::<Vec<_>>());
    assert_eq!(run.of(2), run.of(1));
    assert_eq!(run.offer("s", 3, 4), Verdict::Late, "nothing is known of it");
}

#[test]
fn one_sample_from_the_future_makes_nobody_late() {
    let mut run = Run::default();
    for minute in 0..4 {
        run.offer("s", 1, minute);
        run.offer("s", 2, minute);
    }
    assert_eq!(run.offer("s", 1, 60), Verdict::Accepted);
    assert_eq!(run.offer("s", 1, 50_000), Verdict::FromTheFuture);
    for minute in 4..70 {
        run.offer("s", 2, minute);
        run.offer("s", 1, minute);
    }
    assert_eq!(run.of(1), (0..70).collect::<Vec<_>>());
    assert_eq!(run.of(2), (0..70).collect::<Vec<_>>());
    assert_eq!(run.count(Verdict::Late), 0);
}

#[test]
fn a_source_goes_on_after_an_outage() {
    let mut run = Run::default();
    for minute in (0..4).chain(500..505) {
        run.offer("s", 1, minute);
        run.offer("s", 2, minute);
    }
    assert_eq!(run.of(1), vec![0, 1, 2, 3, 500, 501, 502, 503, 504]);
    assert_eq!(run.of(2), run.of(1));
}

#[test]
fn a_new_step_starts_anew_after_what_was_held() {
    let mut run = Run::default();
    for minute in [0, 1, 2, 3, 5] {
        run.offer("s", 1, minute);
    }
    for minute in [10, 15, 20, 25] {
        run.offer_step("s", 1, minute, 300);
    }
    assert_eq!(run.of(1), vec![0, 1, 2, 3, 5, 10, 15, 20, 25]);
    assert_eq!(run.offer_step("s", 1, 9, 60), Verdict::Late);
}

#[test]
fn silent_workloads_are_forgotten() {
    let mut run = Run::default();
    run.offer("s", 1, 0);
    for minute in 0..20 * 1440 {
        run.offer("s", 2, minute);
    }
    let forgotten = run.admission.forget_silent(&SETTINGS, &SourceName::new("s").unwrap());
    assert_eq!(forgotten, BTreeSet::from([WorkloadId::new("vm-1").unwrap()]));
    assert_eq!(run.admission.workloads(), 1);
    assert!(run.admission.forget_silent(&SETTINGS, &SourceName::new("s").unwrap()).is_empty());
}

/// Samples of some workloads with gaps, in order of time.
fn in_order() -> impl Strategy<Value = Vec<(usize, i64)>> {
    proptest::collection::vec(proptest::collection::vec(proptest::bool::weighted(0.85), 60), 1..4).prop_map(|present| {
        let minutes = present[0].len();
        (0..minutes)
            .flat_map(|minute| {
                let present = &present;
                (0..present.len()).filter(move |vm| present[*vm][minute]).map(move |vm| (vm, minute as i64))
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn shuffled_within_the_bound_is_as_in_order(
        samples in in_order(),
        delays in proptest::collection::vec(0i64..=2, 200),
        repeats in proptest::collection::vec(proptest::bool::weighted(0.2), 200),
    ) {
        let mut ordered = Run::default();
        for (vm, minute) in &samples {
            ordered.offer("s", *vm, *minute);
        }
        let mut delayed: Vec<(i64, usize, i64)> =
            samples.iter().zip(delays.iter().cycle()).map(|((vm, minute), delay)| (minute + delay, *vm, *minute)).collect();
        delayed.sort_by_key(|(arrives, vm, minute)| (*arrives, (vm * 7 + *minute as usize * 13) % 11));
        let mut shuffled = Run::default();
        for ((_, vm, minute), repeat) in delayed.iter().zip(repeats.iter().cycle()) {
            prop_assert_eq!(shuffled.offer("s", *vm, *minute), Verdict::Accepted);
            if *repeat {
                prop_assert_eq!(shuffled.offer("s", *vm, *minute), Verdict::Duplicate);
            }
        }
        for vm in 0..4 {
            prop_assert_eq!(shuffled.of(vm), ordered.of(vm));
        }
        prop_assert_eq!(&shuffled.turns, &ordered.turns);
        prop_assert_eq!(shuffled.admission.held(), ordered.admission.held());
    }

    #[test]
    fn nothing_is_unaccounted_for(offers in proptest::collection::vec((0usize..3, 0usize..2, 0i64..3000, 0u8..10), 1..300)) {
        let mut run = Run::default();
        for (i, (vm, source, jump, kind)) in offers.iter().enumerate() {
            let minute = i as i64 + if *kind == 0 { *jump } else { 0 } - if *kind == 1 { 5 } else { 0 };
            run.offer(["a", "b"][*source], *vm, minute.max(0));
        }
        let accepted = run.count(Verdict::Accepted);
        prop_assert_eq!(accepted, run.released.len() + run.admission.held());
        for vm in 0..3 {
            let minutes = run.of(vm);
            prop_assert!(minutes.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }

    #[test]
    fn a_snapshot_mid_way_changes_nothing(samples in in_order(), cut in 0usize..60) {
        let mut whole = Run::default();
        let mut resumed = Run::default();
        for (i, (vm, minute)) in samples.iter().enumerate() {
            whole.offer("s", *vm, *minute);
            if i == cut {
                let bytes = bitcode::encode(&resumed.admission);
                resumed.admission = bitcode::decode(&bytes).unwrap();
            }
            resumed.offer("s", *vm, *minute);
        }
        prop_assert_eq!(&whole.released, &resumed.released);
        prop_assert_eq!(bitcode::encode(&whole.admission), bitcode::encode(&resumed.admission));
    }
}
