//! One workload's samples in the order of their grid bins, each bin once.

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
    /// By bin ascending, unique.
    held: Vec<(i64, T)>,
}

/// What became of a sample on offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is held; [`Reassembly::release`] gives it out when its turn has come.
    Accepted,
    /// There was one for this bin.
    Duplicate,
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

impl<T> Default for Reassembly<T> {
    fn default() -> Self {
        Self { last_bin: None, present: 0, held: Vec::new() }
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

    /// The first bin that waits.
    pub fn head_bin(&self) -> Option<i64> {
        self.held.first().map(|(bin, _)| *bin)
    }

    /// The newest bin that went out or waits.
    pub fn newest_bin(&self) -> Option<i64> {
        self.held.last().map(|(bin, _)| *bin).or(self.last_bin)
    }

    /// Takes a sample in, or says why not.
    pub fn offer(&mut self, place: Place, item: T) -> Verdict {
        let bin = place.bin;
        if let Some(age) = self.last_bin.map(|last| last - bin).filter(|age| *age >= 0) {
            let was_present = age < REMEMBERED_BINS && (self.present >> age) & 1 == 1;
            return if was_present { Verdict::Duplicate } else { Verdict::Late };
        }
        let slot = match self.held.binary_search_by_key(&bin, |(b, _)| *b) {
            Ok(_) => return Verdict::Duplicate,
            Err(slot) => slot,
        };
        if bin < place.watermark_bin {
            return Verdict::Late;
        }
        if place.is_ahead && self.held.len() >= HELD_AHEAD_MAX {
            return Verdict::FromTheFuture;
        }
        self.held.insert(slot, (bin, item));
        Verdict::Accepted
    }

    /// Gives out, in order, what directly follows the last one and what the watermark reached.
    pub fn release(&mut self, watermark_bin: i64, mut out: impl FnMut(i64, T)) {
        let mut ready = 0;
        let mut last = self.last_bin;
        for (bin, _) in &self.held {
            if *bin > watermark_bin && last != Some(*bin - 1) {
                break;
            }
            last = Some(*bin);
            ready += 1;
        }
        for (bin, item) in self.held.drain(..ready) {
            let moved = self.last_bin.map_or(REMEMBERED_BINS, |l| bin - l);
            self.present = u32::try_from(moved).ok().and_then(|m| self.present.checked_shl(m)).unwrap_or(0) | 1;
            self.last_bin = Some(bin);
            out(bin, item);
        }
        if self.held.is_empty() && ready > 0 {
            self.held = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(bin: i64, watermark_bin: i64) -> Place {
        Place { bin, watermark_bin, is_ahead: false }
    }

    fn released(lane: &mut Reassembly<i64>, watermark_bin: i64) -> Vec<i64> {
        let mut out = Vec::new();
        lane.release(watermark_bin, |_, item| out.push(item));
        out
    }

    #[test]
    fn first_waits_for_the_watermark_then_each_goes_at_once() {
        let mut lane = Reassembly::default();
        assert_eq!(lane.offer(place(5, 3), 5), Verdict::Accepted);
        assert_eq!(released(&mut lane, 3), Vec::<i64>::new());
        assert_eq!(lane.offer(place(4, 3), 4), Verdict::Accepted);
        assert_eq!(released(&mut lane, 4), vec![4, 5]);
        assert_eq!(lane.offer(place(6, 4), 6), Verdict::Accepted);
        assert_eq!(released(&mut lane, 4), vec![6]);
    }

    #[test]
    fn a_gap_waits_until_it_is_given_up() {
        let mut lane = Reassembly::default();
        lane.offer(place(1, 1), 1);
        assert_eq!(released(&mut lane, 1), vec![1]);
        lane.offer(place(3, 1), 3);
        assert_eq!(released(&mut lane, 2), Vec::<i64>::new());
        assert_eq!(lane.offer(place(3, 2), 3), Verdict::Duplicate);
        assert_eq!(released(&mut lane, 3), vec![3]);
        assert_eq!(lane.offer(place(2, 3), 2), Verdict::Late);
        assert_eq!(lane.offer(place(1, 3), 1), Verdict::Duplicate);
        assert_eq!(lane.offer(place(-500, 3), 1), Verdict::Late);
    }

    #[test]
    fn a_clock_that_is_broken_cannot_fill_memory() {
        let mut lane = Reassembly::default();
        let verdicts: Vec<_> =
            (0..6).map(|i| lane.offer(Place { bin: 1000 + i, watermark_bin: 0, is_ahead: true }, i)).collect();
        assert_eq!(verdicts[3], Verdict::Accepted);
        assert_eq!(verdicts[4], Verdict::FromTheFuture);
        assert_eq!(lane.offer(place(1, 0), 1), Verdict::Accepted);
    }
}
