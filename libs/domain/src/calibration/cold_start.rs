//! Where a young series starts from: the corrections of the series whose fingerprints are nearest.
//!
//! A sample of the series that have run for some days is kept, with what their fingerprints were like and how
//! their forecasts were corrected ([`Exemplars`]). Once a young one's short window is full, it takes over the mean
//! of the nearest, k nearest neighbours in standardised features (Cover and Hart 1967, "Nearest Neighbor Pattern
//! Classification"), and the family that most of them have as champion. The sample is the series whose names have
//! the smallest hashes (bottom-k, Broder 1997, "On the Resemblance and Containment of Documents"), so it does not
//! depend on the order in which they come, and a storm of new series costs each of them the same.

use super::tracking::Tracker;
use crate::fingerprint::WindowFeatures;
use crate::forecast::{DAY_BINS, Family};
use crate::workload::WorkloadId;
use bitcode::{Decode, Encode};
use std::collections::BTreeMap;

/// Bins of a series after which it looks for its neighbours: an hour, the default short window.
pub const START_BINS: u64 = 12;

/// Bins of a series before which it is no example: two days.
pub const EXEMPLARY_BINS_MIN: u64 = 2 * DAY_BINS as u64;

/// How many neighbours by default.
pub const NEIGHBOURS: usize = 5;

/// Most series kept of one resource and partition.
pub const EXEMPLARS_MAX: usize = 256;

/// Fewest that neighbours are looked for among.
pub const EXEMPLARS_MIN: usize = 20;

/// One that was not heard of for so many bins is dropped: eight days.
const STALE_BINS: i64 = 8 * DAY_BINS as i64;

const TRAITS: usize = 6;

/// What of a fingerprint tells how its forecasts will have to be corrected; free of the demand's size.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
pub struct Traits([Option<f32>; TRAITS]);

impl Traits {
    /// Of the short window; `capacity` of the resource where known.
    pub fn of(window: &WindowFeatures, capacity: Option<f64>) -> Self {
        let size = window.mean.map(|mean| mean.abs().max(1e-12));
        let relative = |value: Option<f64>| Some(value? / size?);
        let logarithm = |ratio: Option<f64>| ratio.map(|ratio| libm::log(ratio.clamp(1e-4, 1e4)));
        let capacity = capacity.filter(|capacity| *capacity > 0.0);
        let traits = [
            logarithm(capacity.and_then(|capacity| Some(size? / capacity))),
            logarithm(relative(window.std_dev).map(|deviation| 1.0 + deviation)),
            logarithm(relative(window.p95)),
            logarithm(relative(window.max)),
            relative(window.trend_per_h).map(|trend| trend.clamp(-2.0, 2.0)),
            window.season_1h.map(|season| season.strength),
        ];
        Self(traits.map(|value| value.map(|value| value as f32).filter(|value| value.is_finite())))
    }
}

/// How the forecasts of a series are corrected.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Corrections {
    /// By horizon and [`super::Statistic`].
    pub trackers: Vec<[Tracker; 2]>,
    /// The family that won, if one did.
    pub champion: Option<Family>,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Exemplar {
    workload: WorkloadId,
    bin: i64,
    traits: Traits,
    corrections: Corrections,
}

/// The series kept of one resource and partition, by the hash of their names.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Exemplars(BTreeMap<u64, Exemplar>);

impl Exemplars {
    /// Whether a series of that name would be kept.
    pub fn wants(&self, workload: &WorkloadId) -> bool {
        let hash = workload.hash64();
        let greatest = self.0.last_key_value().map(|(greatest, _)| *greatest);
        self.0.len() < EXEMPLARS_MAX || greatest.is_some_and(|greatest| hash <= greatest)
    }

    /// Keeps a series, as of `bin`, in place of what is known of it.
    pub fn keep(&mut self, workload: &WorkloadId, bin: i64, traits: Traits, corrections: Corrections) {
        self.0.retain(|_, exemplar| exemplar.bin >= bin - STALE_BINS);
        self.0.insert(workload.hash64(), Exemplar { workload: workload.clone(), bin, traits, corrections });
        if self.0.len() > EXEMPLARS_MAX {
            self.0.pop_last();
        }
    }

    /// What a series is to start from, with that many neighbours, the nearest first. `None` while too few are
    /// known, and where none are asked for.
    pub fn start(&self, traits: &Traits, neighbours: usize) -> Option<(Corrections, Vec<WorkloadId>)> {
        if self.0.len() < EXEMPLARS_MIN || neighbours == 0 {
            return None;
        }
        let weights = self.weights();
        let mut by_distance: Vec<(f64, &Exemplar)> =
            self.0.values().map(|exemplar| (distance(&weights, traits, &exemplar.traits), exemplar)).collect();
        by_distance.sort_by(|a, b| a.0.total_cmp(&b.0));
        by_distance.truncate(neighbours);
        let nearest: Vec<&Exemplar> = by_distance.into_iter().map(|(_, exemplar)| exemplar).collect();
        let corrections = Corrections {
            trackers: mean_trackers(&nearest)?,
            champion: Family::ALL.into_iter().find(|family| {
                2 * nearest.iter().filter(|e| e.corrections.champion == Some(*family)).count() > nearest.len()
            }),
        };
        Some((corrections, nearest.into_iter().map(|exemplar| exemplar.workload.clone()).collect()))
    }

    /// Has other horizons: each with how the one in that place is corrected.
    pub fn rearrange(&mut self, places: &[Option<usize>]) {
        for Exemplar { corrections: Corrections { trackers, .. }, .. } in self.0.values_mut() {
            let of = |place: &Option<usize>| place.and_then(|place| trackers.get(place)).copied().unwrap_or_default();
            *trackers = places.iter().map(of).collect();
        }
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        let of = |exemplar: &Exemplar| {
            size_of::<(u64, Exemplar)>()
                + exemplar.workload.as_str().len()
                + exemplar.corrections.trackers.capacity() * size_of::<[Tracker; 2]>()
        };
        self.0.values().map(of).sum()
    }

    /// One over the variance of each trait; 0 where it does not tell them apart.
    fn weights(&self) -> [f64; TRAITS] {
        std::array::from_fn(|i| {
            let known = || self.0.values().filter_map(|e| e.traits.0[i]).map(f64::from);
            let count = known().count() as f64;
            let mean = known().sum::<f64>() / count;
            let variance = known().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count;
            if variance > 1e-12 { 1.0 / variance } else { 0.0 }
        })
    }
}

/// Mean weighted square over the traits that both have; without one, they are as far apart as can be.
fn distance(weights: &[f64; TRAITS], a: &Traits, b: &Traits) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for ((weight, a), b) in weights.iter().zip(a.0).zip(b.0) {
        if let (Some(a), Some(b)) = (a, b) {
            let apart = f64::from(a) - f64::from(b);
            sum += weight * apart * apart;
            count += 1.0;
        }
    }
    if count > 0.0 { sum / count } else { f64::INFINITY }
}

/// `None` when they are of other horizons than each other.
fn mean_trackers(nearest: &[&Exemplar]) -> Option<Vec<[Tracker; 2]>> {
    let horizons = nearest.first()?.corrections.trackers.len();
    let all: Vec<_> = nearest.iter().map(|exemplar| &exemplar.corrections.trackers).collect();
    let is_alike = all.iter().all(|trackers| trackers.len() == horizons);
    let mean = |horizon: usize| [0, 1].map(|s| Tracker::mean(all.iter().map(|trackers| &trackers[horizon][s])));
    is_alike.then(|| (0..horizons).map(mean).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantiles::LEVELS;
    use proptest::prelude::*;

    fn id(name: &str) -> WorkloadId {
        WorkloadId::new(name).unwrap()
    }

    fn traits(utilisation: f64, deviation: f64) -> Traits {
        let short = WindowFeatures {
            mean: Some(4.0),
            std_dev: Some(4.0 * deviation),
            p95: Some(5.0),
            max: Some(6.0),
            ..WindowFeatures::default()
        };
        Traits::of(&short, Some(4.0 / utilisation))
    }

    /// A tracker that has seen so many truths above everything.
    fn tracker(truths: usize) -> Tracker {
        let mut tracker = Tracker::default();
        (0..truths).for_each(|_| tracker.push(&[0.0; LEVELS], 1.0, None, 1));
        tracker
    }

    fn corrections(truths: usize, champion: Option<Family>) -> Corrections {
        Corrections { trackers: vec![[tracker(truths), Tracker::default()]], champion }
    }

    /// Busy ones that are corrected upwards, the more the busier, and idle ones that are not.
    fn exemplars() -> Exemplars {
        let mut exemplars = Exemplars::default();
        for i in 0..20 {
            let busy = traits(0.7 + 0.005 * i as f64, 0.1);
            exemplars.keep(&id(&format!("busy-{i}")), 0, busy, corrections(i, Some(Family::LastValue)));
            let idle = traits(0.01 + 0.001 * i as f64, 1.0);
            exemplars.keep(&id(&format!("idle-{i}")), 0, idle, corrections(0, None));
        }
        exemplars
    }

    #[test]
    fn a_young_series_starts_from_the_nearest() {
        let (start, neighbours) = exemplars().start(&traits(0.75, 0.1), NEIGHBOURS).unwrap();
        let names: Vec<&str> = neighbours.iter().map(WorkloadId::as_str).collect();
        assert_eq!(names[0], "busy-10");
        assert!(names.contains(&"busy-8") && names.contains(&"busy-12") && names.len() == NEIGHBOURS, "{names:?}");
        assert_eq!(start.champion, Some(Family::LastValue));
        let [value, maximum] = start.trackers[0];
        assert_ne!(value, Tracker::default());
        assert_eq!(maximum, Tracker::default());
        let (idle, _) = exemplars().start(&traits(0.012, 0.9), NEIGHBOURS).unwrap();
        assert_eq!(idle, corrections(0, None));
    }

    #[test]
    fn what_is_not_known_does_not_count() {
        let unknown = Traits::of(&WindowFeatures::default(), None);
        assert!(unknown.0.iter().all(Option::is_none));
        assert_eq!(exemplars().start(&unknown, NEIGHBOURS).unwrap().1.len(), NEIGHBOURS);
        let mut busy = traits(0.75, 0.1);
        busy.0[0] = None;
        let (_, neighbours) = exemplars().start(&busy, NEIGHBOURS).unwrap();
        assert!(neighbours.iter().all(|workload| workload.as_str().starts_with("busy")), "{neighbours:?}");
    }

    #[test]
    fn few_examples_are_none_and_old_ones_are_dropped() {
        let mut few = Exemplars::default();
        for i in 0..EXEMPLARS_MIN as i64 {
            few.keep(&id(&format!("vm-{i}")), i, traits(0.5, 0.5), corrections(1, None));
            assert_eq!(few.start(&traits(0.5, 0.5), NEIGHBOURS).is_some(), i + 1 == EXEMPLARS_MIN as i64);
        }
        few.keep(&id("vm-later"), STALE_BINS + 10, traits(0.5, 0.5), corrections(1, None));
        assert_eq!(few.0.len(), EXEMPLARS_MIN - 10 + 1);
        few.keep(&id("vm-later"), STALE_BINS + 10, traits(0.5, 0.5), Corrections { trackers: vec![], champion: None });
        assert!(few.0.values().any(|exemplar| exemplar.corrections.trackers.is_empty()), "replaced");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn the_sample_is_the_same_in_any_order(order in Just((0..400usize).collect::<Vec<_>>()).prop_shuffle()) {
            let kept = |order: &[usize]| {
                let mut exemplars = Exemplars::default();
                for i in order {
                    let workload = id(&format!("vm-{i}"));
                    if exemplars.wants(&workload) {
                        exemplars.keep(&workload, 0, traits(0.5, *i as f64), corrections(0, None));
                    }
                }
                exemplars
            };
            let wanted = kept(&(0..400).collect::<Vec<_>>());
            prop_assert_eq!(wanted.0.len(), EXEMPLARS_MAX);
            prop_assert!(wanted.heap_bytes() < 256 * 400);
            prop_assert!(kept(&order) == wanted, "another sample");
            let hundreds = |hundred: &str| {
                wanted.0.values().filter(|e| e.workload.as_str().starts_with(&format!("vm-{hundred}"))).count()
            };
            prop_assert!([hundreds("1"), hundreds("2"), hundreds("3")].iter().all(|count| (50..90).contains(count)));
        }
    }
}
