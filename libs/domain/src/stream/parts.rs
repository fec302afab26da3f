//! Samples that come in parts, and whether one is whole.
//!
//! A producer may send the KPIs of an instant in several records. Whether more are to come no record says, so it is
//! told by what the workload's samples lately had. A KPI counts as had also where it has no value.

use crate::kpi::{Kpi, KpiName};
use bitcode::{Decode, Encode};
use std::collections::BTreeMap;

/// A KPI that was missing in more samples in a row is not remembered: as many as there are bins for which it is
/// remembered whether they had a sample.
const MISSED_MAX: u8 = 128;

/// What may come in parts.
pub trait Part: Sized {
    /// The KPIs that it names.
    fn kpis(&self) -> &[Kpi];

    /// Takes another part of the same sample in. What both say is believed of the one that came first. Whether the
    /// other one brought anything.
    fn merge(&mut self, other: Self) -> bool;
}

/// The names of the KPIs that a partition has seen, by number.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct KpiNumbers {
    names: Vec<KpiName>,
    by_name: BTreeMap<KpiName, u32>,
}

impl KpiNumbers {
    fn number_of(&mut self, name: &KpiName) -> u32 {
        if let Some(number) = self.by_name.get(name) {
            return *number;
        }
        let number = self.names.len() as u32;
        self.names.push(name.clone());
        self.by_name.insert(name.clone(), number);
        number
    }

    fn is(&self, number: u32, kpi: &Kpi) -> bool {
        self.names.get(number as usize) == Some(&kpi.name)
    }
}

/// The KPIs that the samples of one workload lately had.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct KnownKpis {
    kpis: Vec<KnownKpi>,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct KnownKpi {
    number: u32,
    /// So many samples in a row did not have it.
    missed: u8,
}

impl KnownKpis {
    /// Whether a sample with these KPIs is whole: it has all but those that have been missing in `given_up_after`
    /// samples in a row.
    pub fn are_all_in(&self, kpis: &[Kpi], numbers: &KpiNumbers, given_up_after: u32) -> bool {
        self.kpis
            .iter()
            .enumerate()
            .all(|(place, known)| u32::from(known.missed) >= given_up_after || known.is_in(kpis, place, numbers))
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.kpis.capacity() * size_of::<KnownKpi>()
    }

    /// Whether each of these KPIs was in the last sample or one of the `samples` before it.
    pub fn had_lately(&self, kpis: &[Kpi], numbers: &KpiNumbers, samples: u32) -> bool {
        let had = |kpi: &Kpi| {
            let known = self.kpis.iter().find(|known| numbers.is(known.number, kpi));
            known.is_some_and(|known| u32::from(known.missed) <= samples)
        };
        kpis.iter().all(had)
    }

    /// Takes in what the next sample has.
    pub fn observe(&mut self, kpis: &[Kpi], numbers: &mut KpiNumbers) {
        for (place, known) in self.kpis.iter_mut().enumerate() {
            known.missed = if known.is_in(kpis, place, numbers) { 0 } else { known.missed.saturating_add(1) };
        }
        self.expect(kpis, numbers);
        self.kpis.retain(|known| known.missed <= MISSED_MAX);
    }

    /// Expects these KPIs from the next sample on.
    pub fn expect(&mut self, kpis: &[Kpi], numbers: &mut KpiNumbers) {
        for (place, kpi) in kpis.iter().enumerate() {
            if self.kpis.get(place).is_some_and(|known| known.missed == 0 && numbers.is(known.number, kpi)) {
                continue;
            }
            let number = numbers.number_of(&kpi.name);
            match self.kpis.iter_mut().find(|known| known.number == number) {
                Some(known) => known.missed = 0,
                None => {
                    self.kpis.reserve_exact(1);
                    self.kpis.push(KnownKpi { number, missed: 0 });
                }
            }
        }
    }
}

impl KnownKpi {
    /// Whether it is among the KPIs: most often it is at its own place there.
    fn is_in(&self, kpis: &[Kpi], place: usize, numbers: &KpiNumbers) -> bool {
        let is_it = |kpi: &Kpi| numbers.is(self.number, kpi);
        kpis.get(place).is_some_and(is_it) || kpis.iter().any(is_it)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kpi::KpiKind;

    fn kpis(names: &[&str]) -> Vec<Kpi> {
        let kpi = |name: &&str| Kpi { name: KpiName::new(name), kind: KpiKind::Gauge, unit: "1".into(), value: None };
        names.iter().map(kpi).collect()
    }

    #[test]
    fn what_is_missing_for_long_is_not_waited_for() {
        let (mut known, mut numbers) = (KnownKpis::default(), KpiNumbers::default());
        known.observe(&kpis(&["cpu", "memory"]), &mut numbers);
        for _ in 0..3 {
            assert!(!known.are_all_in(&kpis(&["cpu"]), &numbers, 3));
            assert!(known.are_all_in(&kpis(&["memory", "disk", "cpu"]), &numbers, 3), "in any order");
            known.observe(&kpis(&["cpu"]), &mut numbers);
        }
        assert!(known.are_all_in(&kpis(&["cpu"]), &numbers, 3));
        known.observe(&kpis(&["memory", "cpu"]), &mut numbers);
        assert!(!known.are_all_in(&kpis(&["cpu"]), &numbers, 3), "it is back");
    }

    #[test]
    fn what_a_sample_had_is_remembered_for_as_long_as_its_bin() {
        let (mut known, mut numbers) = (KnownKpis::default(), KpiNumbers::default());
        known.observe(&kpis(&["cpu", "memory"]), &mut numbers);
        for missed in 0..=u32::from(MISSED_MAX) {
            let had = |samples| known.had_lately(&kpis(&["memory"]), &numbers, samples);
            assert!(had(missed) && (missed == 0 || !had(missed - 1)), "{missed}");
            known.observe(&kpis(&["cpu"]), &mut numbers);
        }
        assert!(!known.had_lately(&kpis(&["memory"]), &numbers, u32::MAX));
        assert!(!known.had_lately(&kpis(&["cpu", "disk"]), &numbers, 9), "never seen");
        known.expect(&kpis(&["disk"]), &mut numbers);
        assert!(!known.are_all_in(&kpis(&["cpu"]), &numbers, 3));
    }
}
