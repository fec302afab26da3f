//! Laws of the detector, how often it alarms on ordinary series, and which kinds of anomalies it finds.

use super::*;
use crate::time::EventTime;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rand_distr::{Distribution as _, StandardNormal};

const BIN_S: u32 = 300;
const DAY_BINS: i64 = 288;

fn close_at(bin: i64) -> Close {
    Close { at: EventTime::of_bin(bin, BIN_S), bin_s: BIN_S }
}

fn values(numbers: &[Option<f64>]) -> Vec<Value> {
    (0..).zip(numbers).map(|(kpi, value)| Value { kpi, value: *value }).collect()
}

/// Four KPIs with a day's wave: the first three follow a load that wanders, the last one scatters by itself.
struct Ordinary {
    random: ChaCha8Rng,
    load: f64,
}

impl Ordinary {
    fn new(seed: u64) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), load: 0.0 }
    }

    fn next(&mut self, bin: i64) -> [f64; 4] {
        let mut noise = || -> f64 { StandardNormal.sample(&mut self.random) };
        let [wander, a, b, c, d] = [noise(), noise(), noise(), noise(), noise()];
        self.load = 0.9 * self.load + 0.3 * wander;
        let day = (std::f64::consts::TAU * bin as f64 / DAY_BINS as f64).sin();
        let load = 10.0 + 4.0 * day + self.load;
        [load + 0.1 * a, 5.0 * load + 0.5 * b, 100.0 - 2.0 * load + 0.2 * c, 50.0 + 3.0 * d]
    }
}

fn found(detector: &mut Detector, bin: i64, numbers: &[f64]) -> Option<Found> {
    let numbers: Vec<Option<f64>> = numbers.iter().copied().map(Some).collect();
    detector.add(&values(&numbers));
    detector.close(close_at(bin))
}

/// A detector that has seen six ordinary days, and what goes on.
fn after_six_days(seed: u64) -> (Detector, Ordinary, i64) {
    let (mut detector, mut ordinary) = (Detector::default(), Ordinary::new(seed));
    for bin in 0..6 * DAY_BINS {
        found(&mut detector, bin, &ordinary.next(bin));
    }
    (detector, ordinary, 6 * DAY_BINS)
}

#[test]
fn about_one_in_a_thousand_ordinary_bins_is_rarer_than_one_in_a_thousand() {
    let mut p_values = Vec::new();
    for seed in 0..20 {
        let (mut detector, mut ordinary) = (Detector::default(), Ordinary::new(seed));
        let each = (0..28 * DAY_BINS).filter_map(|bin| found(&mut detector, bin, &ordinary.next(bin))?.p_value);
        p_values.extend(each);
    }
    assert!(p_values.len() > 140_000, "{}", p_values.len());
    let rare = p_values.iter().filter(|p| **p < ANOMALY_P_MAX).count() as f64 / p_values.len() as f64;
    assert!((3e-4..1.3e-3).contains(&rare), "{rare}");
    let uncommon = p_values.iter().filter(|p| **p < 0.05).count() as f64 / p_values.len() as f64;
    assert!((0.03..0.08).contains(&uncommon), "{uncommon}");
}

#[test]
fn nothing_is_said_before_a_day_is_learnt_and_as_much_is_scored() {
    let (mut detector, mut ordinary) = (Detector::default(), Ordinary::new(1));
    let first = (0..4 * DAY_BINS)
        .find(|bin| found(&mut detector, *bin, &ordinary.next(*bin)).is_some_and(|found| found.p_value.is_some()));
    assert!(first.is_some_and(|first| (2 * DAY_BINS..2 * DAY_BINS + 3).contains(&first)), "{first:?}");
}

/// What it finds within three hours of a change of the ordinary bins: the least p-value, and what is blamed then.
fn least_after(change: impl Fn(&mut [f64; 4], &[f64; 4])) -> (f64, Vec<u32>) {
    let (mut detector, mut ordinary, from) = after_six_days(3);
    let before = ordinary.next(from);
    found(&mut detector, from, &before);
    let mut least = (1.0, Vec::new());
    for bin in from + 1..from + 37 {
        let mut numbers = ordinary.next(bin);
        change(&mut numbers, &before);
        let found = found(&mut detector, bin, &numbers).unwrap();
        if let Some(p_value) = found.p_value.filter(|p_value| *p_value < least.0) {
            least = (p_value, found.blamed);
        }
    }
    least
}

/// Its name, the KPI to blame, what it does to a bin, given the one before it all began, and below what p-value it is found.
type Kind = (&'static str, u32, fn(&mut [f64; 4], &[f64; 4]), f64);

#[test]
fn kinds_of_anomalies_are_found_and_the_kpi_is_blamed() {
    let kinds: [Kind; 4] = [
        ("spike", 1, |now, _| now[1] *= 3.0, ANOMALY_P_MAX),
        ("level shift", 3, |now, _| now[3] += 40.0, ANOMALY_P_MAX),
        // Three hours are hardly longer than what stands still by chance.
        ("stuck value", 3, |now, before| now[3] = before[3], 2.0 * ANOMALY_P_MAX),
        ("correlation broken", 2, |now, before| now[2] = before[2] + 12.0, ANOMALY_P_MAX),
    ];
    for (kind, kpi, change, below) in kinds {
        let (p_value, blamed) = least_after(change);
        assert!(p_value < below, "{kind}: {p_value}");
        // One that stands still is found by how long it does, and others' noise may then be ahead of it.
        let place = blamed.iter().position(|blamed| *blamed == kpi);
        assert!(place == Some(0) || kind == "stuck value" && place.is_some(), "{kind}: {blamed:?}");
    }
}

#[test]
fn a_kpi_that_never_changes_says_nothing_until_it_does() {
    let mut detector = Detector::default();
    for bin in 0..4 * DAY_BINS {
        let found = found(&mut detector, bin, &[7e9, 0.0]);
        assert!(found.is_none_or(|found| found.score == 0.0 && found.blamed.is_empty()), "{bin}");
    }
    let found = found(&mut detector, 4 * DAY_BINS, &[7e9, 1.0]).unwrap();
    assert!(found.score.is_finite() && found.p_value.is_some_and(|p| p < ANOMALY_P_MAX), "{found:?}");
    assert_eq!(found.blamed, [1]);
}

#[test]
fn a_constant_deviates_by_nothing_however_many_samples_a_bin_has() {
    let mut detector = Detector::default();
    for bin in 0..200 {
        (0..300 - bin % 7).for_each(|_| detector.add(&values(&[Some(7_123_456_789.0), Some(0.1)])));
        let found = detector.close(close_at(bin));
        assert!(found.is_none_or(|found| found.score == 0.0), "{bin}");
    }
}

#[test]
fn eight_kpis_take_little_memory() {
    let mut detector = Detector::default();
    (0..10).for_each(|bin| {
        found(&mut detector, bin, &[1.0; 8]);
    });
    let bytes = size_of::<Detector>() + detector.heap_bytes();
    println!("{bytes} bytes");
    assert!(bytes <= 1888, "{bytes}");
}

fn number() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        8 => (-1e3f64..1e3).prop_map(Some),
        2 => Just(Some(0.0)),
        1 => prop_oneof![Just(1e308), Just(-1e308), Just(1e-300)].prop_map(Some),
        2 => Just(None),
    ]
}

fn rows() -> impl Strategy<Value = Vec<Vec<Option<f64>>>> {
    prop::collection::vec(prop::collection::vec(number(), 3), 2..120)
}

fn scores(rows: &[Vec<Option<f64>>], see: impl Fn(&[Option<f64>]) -> Vec<Value>) -> Vec<Option<Found>> {
    let mut detector = Detector::default();
    let score = |(bin, row): (i64, &Vec<Option<f64>>)| {
        detector.add(&see(row));
        detector.close(close_at(bin))
    };
    (0..).zip(rows).map(score).collect()
}

proptest! {
    #[test]
    fn scores_are_finite_whatever_comes_and_a_snapshot_changes_none(rows in rows(), cut in 0usize..120) {
        let all = scores(&rows, values);
        for found in all.iter().flatten() {
            prop_assert!(found.score.is_finite() && found.score >= 0.0, "{:?}", found);
            prop_assert!(found.blamed.len() <= BLAMED_MAX);
        }
        let mut detector = Detector::default();
        for (bin, row) in (0..).zip(&rows) {
            if bin == cut as i64 {
                detector = bitcode::decode(&bitcode::encode(&detector)).unwrap();
            }
            detector.add(&values(row));
            prop_assert_eq!(&detector.close(close_at(bin)), &all[bin as usize]);
        }
    }

    /// A unit that is a power of two changes no digit.
    #[test]
    fn units_change_nothing(rows in prop::collection::vec(prop::collection::vec(-1e3f64..1e3, 3), 2..120)) {
        let in_unit = |unit: f64| -> Vec<Vec<Option<f64>>> {
            rows.iter().map(|row| row.iter().map(|number| Some(number * unit)).collect()).collect()
        };
        prop_assert_eq!(scores(&in_unit(1.0), values), scores(&in_unit(1024.0), values));
    }

    /// Also where some are missing: their covariance stays one, so that no KPI has to give way to another.
    #[test]
    fn the_order_of_kpis_changes_nothing_but_rounding(
        rows in prop::collection::vec(prop::collection::vec(prop::option::weighted(0.8, -1e3f64..1e3), 3), 2..120),
    ) {
        let backwards = |row: &[Option<f64>]| values(row).into_iter().rev().collect::<Vec<_>>();
        for (one, other) in scores(&rows, values).into_iter().zip(scores(&rows, backwards)) {
            let (one, other) = (one.map(|found| found.score), other.map(|found| found.score));
            prop_assert_eq!(one.is_some(), other.is_some());
            let off = one.zip(other).map_or(0.0, |(one, other)| (one - other).abs());
            prop_assert!(off <= 1e-2, "{:?} and {:?}", one, other);
        }
    }

    /// A KPI that never has a value is as none, but that one alone is taken as it is.
    #[test]
    fn what_is_always_missing_changes_nothing(rows in rows()) {
        let with_missing = |row: &[Option<f64>]| {
            let mut values = values(row);
            values.push(Value { kpi: 9, value: None });
            values
        };
        prop_assert_eq!(scores(&rows, with_missing), scores(&rows, values));
    }
}
