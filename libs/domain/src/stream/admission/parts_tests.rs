//! Tests of [`super`]: samples that come in parts are those that come whole.

use super::*;
use crate::kpi::{Kpi, KpiKind, KpiName};
use proptest::prelude::*;

/// No gap is too long for the clock to follow at once.
const SETTINGS: AdmissionSettings =
    AdmissionSettings { lateness_steps: 2, ahead_s: 86_400, reject_ahead_s: 86_400, forget_after_s: 8 * 86_400 };

/// A sample, or some of its KPIs.
#[derive(Clone, Debug, PartialEq)]
struct Piece {
    vm: usize,
    minute: i64,
    kpis: Vec<Kpi>,
}

impl Part for Piece {
    fn kpis(&self) -> &[Kpi] {
        &self.kpis
    }

    fn merge(&mut self, other: Self) -> bool {
        let before = self.kpis.len();
        let fresh: Vec<Kpi> = other.kpis.into_iter().filter(|kpi| !self.kpis.contains(kpi)).collect();
        self.kpis.extend(fresh);
        self.kpis.sort_by(|a, b| a.name.cmp(&b.name));
        self.kpis.len() > before
    }
}

fn piece(vm: usize, minute: i64, names: &[&str]) -> Piece {
    let kpi = |name: &&str| Kpi { name: KpiName::new(name), kind: KpiKind::Gauge, unit: "1".into(), value: None };
    Piece { vm, minute, kpis: names.iter().map(kpi).collect() }
}

#[derive(Default)]
struct Run {
    admission: Admission<Piece>,
    /// By workload and minute, with the minute in which its turn came.
    released: BTreeMap<(usize, i64), (i64, Piece)>,
}

impl Run {
    fn offer(&mut self, piece: Piece) -> Verdict {
        let (vm, minute) = (piece.vm, piece.minute);
        let (workload, source) = (WorkloadId::new(&format!("vm-{vm}")).unwrap(), SourceName::new("s").unwrap());
        let at = EventTime::from_s(60 * minute);
        let mut out = Vec::new();
        let arrival = Arrival { workload: &workload, source: &source, at, step_s: 60, item: piece };
        let verdict = self.admission.offer(&SETTINGS, arrival, &mut out);
        for Released { bin, turn_at, item } in out {
            assert_eq!(bin, item.minute);
            assert!(self.released.range((item.vm, bin)..(item.vm + 1, i64::MIN)).next().is_none(), "in order");
            assert!(self.released.insert((item.vm, bin), (turn_at.bin(60), item)).is_none(), "once");
        }
        verdict
    }

    fn turns(&self) -> Vec<(i64, i64)> {
        self.released.iter().map(|((_, minute), (turn, _))| (*minute, *turn)).collect()
    }
}

#[test]
fn what_lacks_a_part_holds_its_workload_back_no_longer_than_until_it_is_given_up() {
    let mut run = Run::default();
    for minute in 0..4 {
        run.offer(piece(0, minute, &["cpu", "memory"]));
    }
    for minute in 4..12 {
        run.offer(piece(0, minute, &["cpu"]));
    }
    let turns = [(0, 3), (1, 3), (2, 3), (3, 3), (4, 7), (5, 8), (6, 9), (7, 9), (8, 9), (9, 9), (10, 10), (11, 11)];
    assert_eq!(run.turns(), turns);
}

#[test]
fn parts_of_others_move_the_clock_that_a_part_waits_for() {
    let mut run = Run::default();
    for minute in 0..5 {
        run.offer(piece(0, minute, &["cpu", "memory"]));
        run.offer(piece(1, minute, &["cpu"]));
    }
    run.offer(piece(0, 5, &["cpu"]));
    for minute in 5..8 {
        run.offer(piece(1, minute, &["cpu"]));
        assert!(!run.released.contains_key(&(0, 5)));
    }
    run.offer(piece(1, 8, &["cpu"]));
    assert_eq!(run.released[&(0, 5)].0, 8);
    assert_eq!(run.offer(piece(0, 5, &["memory"])), Verdict::Late);
}

const NAMES: [&str; 4] = ["cpu", "disk", "memory", "network"];

proptest! {
    /// Each sample has all KPIs, but the last from some minute on.
    #[test]
    fn any_cut_in_any_order_within_the_bound_is_as_whole_in_order(
        present in proptest::collection::vec(proptest::collection::vec(proptest::bool::weighted(0.85), 40), 1..4),
        gone_from in 0i64..60,
        places in proptest::collection::vec((0usize..3, 0i64..=2, any::<u32>(), proptest::bool::weighted(0.2)), 4 * 211),
    ) {
        let (mut whole, mut cut) = (Run::default(), Run::default());
        let mut arrivals = Vec::new();
        let mut places = places.iter().cycle();
        for minute in 0..40 {
            for vm in (0..present.len()).filter(|vm| present[*vm][minute as usize]) {
                let names = if minute < gone_from { &NAMES[..] } else { &NAMES[..3] };
                prop_assert_eq!(whole.offer(piece(vm, minute, names)), Verdict::Accepted);
                let mut parts: [Vec<&str>; 3] = Default::default();
                let mut placed = [(0, 0, false); 3];
                for (name, (part, delay, chance, repeats)) in names.iter().zip(&mut places) {
                    parts[*part].push(name);
                    placed[*part] = (minute + delay, *chance, *repeats);
                }
                for (names, (arrives, chance, repeats)) in parts.iter().zip(placed).filter(|(names, _)| !names.is_empty()) {
                    arrivals.push(((arrives, chance), piece(vm, minute, names), repeats));
                }
            }
        }
        arrivals.sort_by_key(|(arrives, ..)| *arrives);
        for (_, part, repeats) in arrivals {
            prop_assert_eq!(cut.offer(part.clone()), Verdict::Accepted);
            if repeats {
                prop_assert_eq!(cut.offer(part), Verdict::Duplicate);
            }
        }
        prop_assert_eq!(&cut.released, &whole.released);
        prop_assert_eq!(cut.admission.held(), whole.admission.held());
    }
}
