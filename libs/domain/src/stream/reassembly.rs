//! One workload's samples in the order of their grid bins, each bin once: of one or of several parts.

use super::parts::{KnownKpis, KpiNumbers, Part};
use bitcode::{Decode, Encode};

/// Bins before the last released one for which it is remembered whether they had a sample.
const REMEMBERED_BINS: i64 = 128;

/// Samples held that are ahead of the source's clock; more would let a broken clock fill memory.
const HELD_AHEAD_MAX: usize = 4;

/// The samples of one workload that wait, and what went out.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Reassembly<T> {
    last_bin: Option<i64>,
    /// Bit i: bin `last_bin - i` had a sample.
    present: u128,
    /// Bit i: it was whole.
    whole: u128,
    /// What a sample has to have to be whole.
    known: KnownKpis,
    /// By bin ascending, unique.
    held: Vec<(i64, T)>,
}

/// What became of a sample on offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is held, alone or as a part of one that is; [`Reassembly::release`] gives it out when its turn has come.
    Accepted,
    /// There was one for this bin, with all that it has.
    Duplicate,
    /// It is a part of one that was whole without it and is out, with a KPI that the workload lately did not have.
    /// The next ones wait for that.
    Unexpected,
    /// Its bin was given up.
    Late,
    /// It is ahead of its source's clock, as are others that are held.
    FromTheFuture,
}

/// A sample's place against its source's watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its grid bin.
    pub bin: i64,
    /// Bins before this one are given up.
    pub watermark_bin: i64,
    /// Whether it is ahead of the source's clock.
    pub is_ahead: bool,
}

/// When the turn of a sample comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// With it: it is whole, and directly follows the last one.
    AtOnce,
    /// When the watermark reaches this bin: its own where it is whole, since then none before it can come; else the
    /// next one, since then no other part can.
    Watermark(i64),
}

impl Due {
    fn has_come(self, watermark_bin: i64) -> bool {
        match self {
            Self::AtOnce => true,
            Self::Watermark(bin) => bin <= watermark_bin,
        }
    }
}

impl<T> Default for Reassembly<T> {
    fn default() -> Self {
        Self { last_bin: None, present: 0, whole: 0, known: KnownKpis::default(), held: Vec::new() }
    }
}

impl<T> Reassembly<T> {
    /// The bin that went out last.
    pub fn last_bin(&self) -> Option<i64> {
        self.last_bin
    }

    /// Samples that wait.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Bytes on the heap of what is known of its KPIs.
    pub fn known_bytes(&self) -> usize {
        self.known.heap_bytes()
    }

    /// The newest bin that went out or waits.
    pub fn newest_bin(&self) -> Option<i64> {
        self.held.last().map(|(bin, _)| *bin).or(self.last_bin)
    }
}

impl<T: Part> Reassembly<T> {
    /// When the turn of the first bin that waits comes. A KPI that was missing in `given_up_after` samples in a row is
    /// not waited for.
    pub fn head_due(&self, numbers: &KpiNumbers, given_up_after: u32) -> Option<(i64, Due)> {
        let (bin, item) = self.held.first()?;
        Some((*bin, self.due(*bin, item, numbers, given_up_after)))
    }

    fn due(&self, bin: i64, item: &T, numbers: &KpiNumbers, given_up_after: u32) -> Due {
        let Some(last) = self.last_bin else { return Due::Watermark(bin + 1) };
        if !self.known.are_all_in(item.kpis(), numbers, given_up_after) {
            Due::Watermark(bin + 1)
        } else if last == bin - 1 {
            Due::AtOnce
        } else {
            Due::Watermark(bin)
        }
    }

    /// Takes a sample or a part of one in, or says why not.
    pub fn offer(&mut self, place: Place, item: T, numbers: &mut KpiNumbers) -> Verdict {
        let bin = place.bin;
        if let Some(age) = self.last_bin.map(|last| last - bin).filter(|age| *age >= 0) {
            return self.offer_behind(age, &item, numbers);
        }
        let slot = match self.held.binary_search_by_key(&bin, |(b, _)| *b) {
            Ok(slot) => return if self.held[slot].1.merge(item) { Verdict::Accepted } else { Verdict::Duplicate },
            Err(slot) => slot,
        };
        // Behind the watermark, but nothing newer of it went out: it lags by itself, and nobody is the worse for it.
        if bin < place.watermark_bin && self.last_bin.is_none() {
            return Verdict::Late;
        }
        if place.is_ahead && self.held.len() >= HELD_AHEAD_MAX {
            return Verdict::FromTheFuture;
        }
        self.held.insert(slot, (bin, item));
        Verdict::Accepted
    }

    /// Of a bin that is `age` bins behind the one that went out last, or is that.
    fn offer_behind(&mut self, age: i64, item: &T, numbers: &mut KpiNumbers) -> Verdict {
        if age >= REMEMBERED_BINS || (self.whole >> age) & 1 == 0 {
            return Verdict::Late;
        }
        let samples_since = (self.present & ((1_u128 << age) - 1)).count_ones();
        if self.known.had_lately(item.kpis(), numbers, samples_since) {
            return Verdict::Duplicate;
        }
        self.known.expect(item.kpis(), numbers);
        Verdict::Unexpected
    }

    /// Gives out, in order, those whose turn has come, each with its bin and when it came.
    pub fn release(
        &mut self,
        watermark_bin: i64,
        numbers: &mut KpiNumbers,
        given_up_after: u32,
        mut out: impl FnMut(i64, Due, T),
    ) {
        let mut waiting = std::mem::take(&mut self.held).into_iter().peekable();
        while let Some((bin, item)) = waiting.peek() {
            let due = self.due(*bin, item, numbers, given_up_after);
            if !due.has_come(watermark_bin) {
                break;
            }
            let Some((bin, item)) = waiting.next() else { break };
            // Of the first one nobody knows what it lacks.
            let is_whole = self.last_bin.is_none() || due != Due::Watermark(bin + 1);
            let moved = self.last_bin.map_or(REMEMBERED_BINS, |last| bin - last);
            let shifted = |bins: u128| u32::try_from(moved).ok().and_then(|m| bins.checked_shl(m)).unwrap_or(0);
            self.present = shifted(self.present) | 1;
            self.whole = shifted(self.whole) | u128::from(is_whole);
            self.last_bin = Some(bin);
            self.known.observe(item.kpis(), numbers);
            out(bin, due, item);
        }
        if waiting.peek().is_some() {
            self.held = waiting.collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kpi::{Kpi, KpiKind, KpiName};

    /// What a bin has.
    #[derive(Clone, Debug, PartialEq)]
    struct Bin(i64, Vec<Kpi>);

    impl Part for Bin {
        fn kpis(&self) -> &[Kpi] {
            &self.1
        }

        fn merge(&mut self, other: Self) -> bool {
            let before = self.1.len();
            let fresh = other.1.into_iter().filter(|kpi| !self.1.contains(kpi)).collect::<Vec<_>>();
            self.1.extend(fresh);
            self.1.len() > before
        }
    }

    fn bin(bin: i64, names: &str) -> Bin {
        let kpi = |name| Kpi { name: KpiName::new(name), kind: KpiKind::Gauge, unit: "1".into(), value: None };
        Bin(bin, names.split_whitespace().map(kpi).collect())
    }

    #[derive(Default)]
    struct Lane {
        reassembly: Reassembly<Bin>,
        numbers: KpiNumbers,
    }

    impl Lane {
        fn offer(&mut self, place: Place, names: &str) -> Verdict {
            self.reassembly.offer(place, bin(place.bin, names), &mut self.numbers)
        }

        fn released(&mut self, watermark_bin: i64) -> Vec<i64> {
            let mut out = Vec::new();
            self.reassembly.release(watermark_bin, &mut self.numbers, 2, |bin, _, Bin(own, _)| {
                assert_eq!(bin, own);
                out.push(bin);
            });
            out
        }
    }

    fn place(bin: i64, watermark_bin: i64) -> Place {
        Place { bin, watermark_bin, is_ahead: false }
    }

    #[test]
    fn first_waits_until_the_watermark_has_passed_it_then_each_goes_at_once() {
        let mut lane = Lane::default();
        assert_eq!(lane.offer(place(5, 3), "a"), Verdict::Accepted);
        assert_eq!(lane.released(3), [0; 0]);
        assert_eq!(lane.offer(place(4, 3), "a"), Verdict::Accepted);
        assert_eq!(lane.released(4), [0; 0]);
        assert_eq!(lane.released(5), [4, 5]);
        assert_eq!(lane.offer(place(6, 5), "a"), Verdict::Accepted);
        assert_eq!(lane.released(5), [6]);
    }

    #[test]
    fn a_gap_waits_until_it_is_given_up() {
        let mut lane = Lane::default();
        lane.offer(place(1, 1), "a");
        assert_eq!(lane.released(2), [1]);
        lane.offer(place(3, 2), "a");
        assert_eq!(lane.released(2), [0; 0]);
        assert_eq!(lane.offer(place(3, 2), "a"), Verdict::Duplicate);
        assert_eq!(lane.released(3), [3]);
        assert_eq!(lane.offer(place(2, 3), "a"), Verdict::Late);
        assert_eq!(lane.offer(place(1, 3), "a"), Verdict::Duplicate);
        assert_eq!(lane.offer(place(-500, 3), "a"), Verdict::Late);
        assert_eq!(Lane::default().offer(place(2, 3), "a"), Verdict::Late, "nothing is known of it");
    }

    #[test]
    fn what_lags_by_itself_goes_out_as_it_comes() {
        let mut lane = Lane::default();
        lane.offer(place(1, 1), "a");
        assert_eq!(lane.released(2), [1]);
        for bin in [2, 3, 5] {
            assert_eq!(lane.offer(place(bin, 900), "a"), Verdict::Accepted);
            assert_eq!(lane.released(900), [bin]);
        }
        assert_eq!(lane.offer(place(4, 900), "a"), Verdict::Late, "a newer one went out");
    }

    #[test]
    fn a_part_waits_for_the_rest_or_for_the_watermark() {
        let mut lane = Lane::default();
        lane.offer(place(1, 0), "a");
        assert_eq!(lane.offer(place(1, 0), "b"), Verdict::Accepted);
        assert_eq!(lane.offer(place(1, 0), "a b"), Verdict::Duplicate);
        assert_eq!(lane.released(2), [1]);
        lane.offer(place(2, 2), "b");
        lane.offer(place(3, 2), "a b");
        assert_eq!(lane.released(2), [0; 0], "both wait for a part of the first");
        lane.offer(place(2, 2), "a");
        assert_eq!(lane.released(2), [2, 3]);
        lane.offer(place(4, 2), "a");
        assert_eq!(lane.released(4), [0; 0], "a part may still come");
        assert_eq!(lane.released(5), [4]);
        assert_eq!(lane.offer(place(4, 5), "b"), Verdict::Late);
        lane.offer(place(5, 5), "a");
        assert_eq!(lane.released(6), [5]);
        lane.offer(place(6, 6), "a");
        assert_eq!(lane.released(6), [6], "two samples did not have it");
    }

    #[test]
    fn a_part_that_nobody_waited_for_is_told_apart_and_waited_for_then() {
        let mut lane = Lane::default();
        lane.offer(place(1, 0), "a");
        assert_eq!(lane.released(2), [1]);
        lane.offer(place(2, 2), "a");
        assert_eq!(lane.released(2), [2]);
        assert_eq!(lane.offer(place(2, 2), "b"), Verdict::Unexpected);
        lane.offer(place(3, 2), "a");
        assert_eq!(lane.released(2), [0; 0]);
        lane.offer(place(3, 2), "b");
        assert_eq!(lane.released(2), [3]);
        assert_eq!(lane.offer(place(3, 2), "b"), Verdict::Duplicate);
    }

    #[test]
    fn a_clock_that_is_broken_cannot_fill_memory() {
        let mut lane = Lane::default();
        let ahead = |i: i64| Place { bin: 1000 + i, watermark_bin: 0, is_ahead: true };
        let verdicts: Vec<_> = (0..6).map(|i| lane.offer(ahead(i), "a")).collect();
        assert_eq!(verdicts[3], Verdict::Accepted);
        assert_eq!(verdicts[4], Verdict::FromTheFuture);
        assert_eq!(lane.offer(place(1, 0), "a"), Verdict::Accepted);
    }
}
