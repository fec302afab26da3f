//! How much CPU a unit of a rate takes, learnt from a workload's own closed bins.
//!
//! It is the median of the bins' ratios of CPU to rate, over the last bins with enough load. Idle bins tell nothing: their
//! CPU is what the workload takes anyway. Enough is half of the median rate of the bins that are kept, which follows a
//! rate that grows at once and one that falls within days; a single bin, however wrong, moves neither median far.

use crate::policy::proactive::BIN_S;
use crate::time::EventTime;
use bitcode::{Decode, Encode};

/// Fewest loaded bins that something follows from.
pub const BINS_MIN: usize = 12;

/// Bins that are kept: 8 hours of load.
const KEPT: usize = 96;

/// A bin is loaded from this share of the median rate of those that are kept.
const LOADED_SHARE: f32 = 0.5;

/// What each bin that is not loaded leaves of the least load: half of it after 2.4 days.
const LOAD_DECAY: f32 = 0.999;

/// Sums over the samples of the open bin that have both.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct OpenBin {
    bin: i64,
    cpu_cores: f64,
    rate: f64,
    samples: u32,
}

/// Mean rate and CPU of a closed bin.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct Loaded {
    rate: f32,
    cpu_cores: f32,
}

/// What is learnt of one rate of one workload.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Learner {
    open: Option<OpenBin>,
    /// In a ring, where the next place is `next`.
    kept: Vec<Loaded>,
    next: u16,
    /// Least rate of a bin that is looked at.
    load_min: f32,
    /// CPU of a unit of the rate, over how many bins.
    learnt: (f32, u16),
}

impl Learner {
    /// Takes in the CPU, in cores, and the rate of an instant later than all before; either may be missing.
    pub fn observe(&mut self, at: EventTime, cpu_cores: Option<f64>, rate: Option<f64>) {
        let bin = at.bin(BIN_S as u32);
        if let Some(closed) = self.open.filter(|open| open.bin != bin) {
            self.close(&closed);
            self.open = None;
        }
        let is_measured = |x: &f64| x.is_finite() && *x >= 0.0;
        if let (Some(cpu_cores), Some(rate)) = (cpu_cores.filter(is_measured), rate.filter(is_measured)) {
            let open = self.open.get_or_insert(OpenBin { bin, cpu_cores: 0.0, rate: 0.0, samples: 0 });
            open.cpu_cores += cpu_cores;
            open.rate += rate;
            open.samples += 1;
        }
    }

    fn close(&mut self, closed: &OpenBin) {
        let mean = |sum: f64| (sum / f64::from(closed.samples)) as f32;
        let bin = Loaded { rate: mean(closed.rate), cpu_cores: mean(closed.cpu_cores) };
        if !(bin.rate > 0.0 && bin.cpu_cores > 0.0 && bin.rate >= self.load_min) {
            self.load_min *= LOAD_DECAY;
            return;
        }
        if self.kept.len() < KEPT {
            self.kept.push(bin);
        } else {
            self.kept[usize::from(self.next)] = bin;
            self.next = (self.next + 1) % KEPT as u16;
        }
        let usual = LOADED_SHARE * median(self.kept.iter().map(|bin| bin.rate).collect()).unwrap_or(0.0);
        // A bin that is let in since the rate fell lets those after it in.
        self.load_min = if bin.rate < usual { self.load_min.min(usual) } else { usual };
        let loaded = self.kept.iter().filter(|bin| bin.rate >= self.load_min);
        let ratios: Vec<f32> = loaded.map(|bin| bin.cpu_cores / bin.rate).collect();
        let bins = ratios.len() as u16;
        self.learnt = (median(ratios).unwrap_or(0.0), bins);
    }

    /// Bins with enough load that are known.
    pub fn bins(&self) -> usize {
        usize::from(self.learnt.1)
    }

    /// CPU that a unit of the rate takes, in cores; `None` before [`BINS_MIN`] bins are known.
    pub fn cpu_cores_per_unit(&self) -> Option<f64> {
        let (ratio, _) = self.learnt;
        (self.bins() >= BINS_MIN && ratio > 0.0).then(|| f64::from(ratio))
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.kept.capacity() * size_of::<Loaded>()
    }
}

/// The median; of an even number the greater of the two in the middle.
fn median(mut values: Vec<f32>) -> Option<f32> {
    if values.is_empty() {
        return None;
    }
    let middle = values.len() / 2;
    Some(*values.select_nth_unstable_by(middle, f32::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bins with CPU and rate, with a sample a minute.
    fn learnt(bins: &[(f64, f64)]) -> Learner {
        let mut learner = Learner::default();
        for (bin, (cpu_cores, rate)) in bins.iter().enumerate() {
            for minute in 0..5 {
                let at = EventTime::from_s(bin as i64 * BIN_S + minute * 60);
                learner.observe(at, Some(*cpu_cores), Some(*rate));
            }
        }
        learner.observe(EventTime::from_s(bins.len() as i64 * BIN_S), None, None);
        learner
    }

    fn near(learner: &Learner, wanted: f64) {
        let found = learner.cpu_cores_per_unit().unwrap();
        assert!((found / wanted - 1.0).abs() < 1e-6, "{found} instead of {wanted}");
    }

    #[test]
    fn it_is_the_median_of_the_ratios_once_twelve_bins_are_known() {
        let bins: Vec<(f64, f64)> = (0..12).map(|i| (0.02 * 100.0 + 0.1 * f64::from(i), 100.0)).collect();
        let few = learnt(&bins[..11]);
        assert_eq!((few.bins(), few.cpu_cores_per_unit()), (11, None));
        near(&learnt(&bins), 0.026);
    }

    #[test]
    fn idle_bins_teach_nothing() {
        let busy = (3.0, 200.0);
        let idle = (0.5, 2.0);
        let mut bins = vec![busy; 20];
        bins.extend(vec![idle; 300]);
        let learner = learnt(&bins);
        assert_eq!(learner.bins(), 20);
        near(&learner, 0.015);
        assert_eq!(learnt(&[(0.5, 0.0); 40]).bins(), 0, "no rate at all");
    }

    #[test]
    fn a_young_workload_grows_out_of_its_idle_bins() {
        let bins: Vec<(f64, f64)> = [vec![(0.5, 1.0); 8], vec![(2.0, 100.0); 13]].concat();
        let learner = learnt(&bins);
        assert_eq!(learner.bins(), 13);
        near(&learner, 0.02);
    }

    #[test]
    fn it_follows_a_rate_that_fell_for_good_and_a_release_that_takes_more() {
        let fell = [vec![(4.0, 200.0); 96], vec![(0.9, 30.0); 2500]].concat();
        near(&learnt(&fell), 0.03);
        near(&learnt(&[vec![(4.0, 200.0); 96], vec![(6.0, 200.0); 60]].concat()), 0.03);
    }

    #[test]
    fn one_impossible_bin_changes_little() {
        let mut bins = vec![(4.0, 200.0); 30];
        bins[10] = (4.0, 1e12);
        bins[20] = (1e9, 200.0);
        near(&learnt(&bins), 0.02);
    }

    #[test]
    fn gaps_are_left_out() {
        let mut learner = Learner::default();
        for minute in 0..200 {
            let at = EventTime::from_s(minute * 60);
            learner.observe(at, (minute % 2 == 0).then_some(1.0), (minute % 3 == 0).then_some(50.0));
        }
        near(&learner, 0.02);
    }

    proptest! {
        #[test]
        fn it_lies_among_the_ratios_and_goes_on_from_a_snapshot(
            bins in prop::collection::vec((0.01f64..8.0, 0.0f64..500.0), 1..200), cut in 0usize..200,
        ) {
            let ratios = bins.iter().filter(|(_, rate)| *rate > 0.0).map(|(cpu, rate)| cpu / rate);
            let (least, most) = ratios.fold((f64::INFINITY, 0.0f64), |(a, b), r| (a.min(r), b.max(r)));
            let learner = learnt(&bins);
            if let Some(found) = learner.cpu_cores_per_unit() {
                prop_assert!(found >= least * 0.999_99 && found <= most * 1.000_01);
            }
            let mut resumed = Learner::default();
            for (i, (cpu, rate)) in bins.iter().enumerate() {
                if i == cut {
                    resumed = bitcode::decode(&bitcode::encode(&resumed)).unwrap();
                }
                for minute in 0..5 {
                    resumed.observe(EventTime::from_s(i as i64 * BIN_S + minute * 60), Some(*cpu), Some(*rate));
                }
            }
            resumed.observe(EventTime::from_s(bins.len() as i64 * BIN_S), None, None);
            prop_assert_eq!(resumed, learner);
        }
    }
}
