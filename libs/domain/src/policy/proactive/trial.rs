//! What a rule would have cost: a capacity that follows the rule's targets with the lead time, on the demand that
//! came, without the rule being in use.

use crate::resource::Direction;
use bitcode::{Decode, Encode};

/// Changes that a rule leaves, as shares of what was asked for; what live use demands is never left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Deadband {
    /// Growth of no more than this.
    pub grow_share: f32,
    /// Shrinking by no more than this.
    pub shrink_share: f32,
}

impl Deadband {
    /// With the growth that most rules leave.
    pub const fn shrinking_by(shrink_share: f32) -> Self {
        Self { grow_share: 0.05, shrink_share }
    }

    /// Where a target leads from what was asked for before; `None` to leave it.
    pub fn direction(&self, target: f32, before: f32) -> Option<Direction> {
        if target > before * (1.0 + self.grow_share) {
            Some(Direction::Out)
        } else if target < before * (1.0 - self.shrink_share) {
            Some(Direction::In)
        } else {
            None
        }
    }
}

/// Most bins from the bin whose close is decided on to the first that the decision serves.
pub const DELAY_BINS_MAX: usize = 25;

/// The greatest demand of a bin.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
pub struct BinDemand {
    /// In the series' unit.
    pub amount: f32,
    /// Whether it may have been greater: the workload used all that it had.
    pub is_bound: bool,
}

/// What a capacity was worth over some bins of one series; amounts in the series' unit times bins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub struct Worth {
    /// Bins whose demand was above the capacity.
    pub short: f32,
    /// Demand above the capacity.
    pub unmet: f32,
    /// Capacity above the demand.
    pub spare: f32,
    /// Changes of the capacity.
    pub changes: f32,
}

impl BinDemand {
    /// A demand of which all was seen.
    pub fn seen(amount: f32) -> Self {
        Self { amount, is_bound: false }
    }

    /// Of this and an earlier part of the bin.
    pub fn with(self, earlier: Option<Self>) -> Self {
        earlier.map_or(self, |earlier| Self {
            amount: self.amount.max(earlier.amount),
            is_bound: self.is_bound || earlier.is_bound,
        })
    }
}

impl Worth {
    /// Of one bin. Where the demand is a lower bound, what it leaves of a larger capacity is not known to be spare.
    pub fn of_bin(demand: BinDemand, capacity: f32, changed: bool) -> Self {
        let changes = f32::from(u8::from(changed));
        let BinDemand { amount: demand, is_bound } = demand;
        if demand > capacity * (1.0 + 1e-6) {
            Self { short: 1.0, unmet: demand - capacity, spare: 0.0, changes }
        } else {
            let spare = if is_bound { 0.0 } else { capacity - demand };
            Self { short: 0.0, unmet: 0.0, spare, changes }
        }
    }

    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        self.short += other.short;
        self.unmet += other.unmet;
        self.spare += other.spare;
        self.changes += other.changes;
    }

    /// All of it times a factor.
    pub fn scaled(&self, factor: f32) -> Self {
        Self {
            short: self.short * factor,
            unmet: self.unmet * factor,
            spare: self.spare * factor,
            changes: self.changes * factor,
        }
    }
}

/// An order of a bin in which nothing had been asked for.
const UNKNOWN: f32 = -1.0;

/// A bin that is over.
#[derive(Clone, Copy, Debug)]
pub struct ClosedBin {
    /// The bin.
    pub bin: i64,
    /// From this bin to the first that a target can serve, at least 1.
    pub delay_bins: usize,
    /// Its demand; `None` for a gap.
    pub demand: Option<BinDemand>,
    /// What older bins count for.
    pub decay: f32,
    /// Capacity comes in multiples of this; 0 where it may be any.
    pub grain: f32,
}

impl ClosedBin {
    /// The least capacity that there is and that covers an amount.
    fn sized(&self, amount: f32) -> f32 {
        if self.grain > 0.0 { (amount / self.grain - 1e-4).ceil().max(1.0) * self.grain } else { amount }
    }

    /// Bins from the one whose close the capacity was decided on with, to this one.
    fn delay(&self) -> usize {
        self.delay_bins.clamp(1, DELAY_BINS_MAX)
    }
}

/// What is asked for at a bin's close.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// By the rule; `None` to leave what was asked for.
    pub target: Option<f32>,
    /// Demanded by live use.
    pub floor: f32,
    /// Changes that are left.
    pub deadband: Deadband,
}

/// What follows targets, and what it was worth, older bins counting less.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct Follower {
    /// What was asked for last; [`UNKNOWN`] before the first target.
    order: f32,
    /// Decayed sums.
    worth: Worth,
}

impl Default for Follower {
    fn default() -> Self {
        Self { order: UNKNOWN, worth: Worth::default() }
    }
}

impl Follower {
    /// What was asked for last; `None` before the first target.
    fn ordered(&self) -> Option<f32> {
        (self.order != UNKNOWN).then_some(self.order)
    }

    /// Closes a bin: what its demand (`None` for a gap) makes of the capacity that served it, and what is asked for
    /// from here on: the target, where it leads out of the deadband or the demand needs more than was asked for (`floor`).
    /// `served` is what was asked for at the close of the bin that it comes from.
    fn close(&mut self, closed: &ClosedBin, order: &Order, served: f32) -> Worth {
        let &ClosedBin { demand, decay, .. } = closed;
        let &Order { target, floor, deadband } = order;
        let serving = if served < 0.0 { self.ordered() } else { Some(served) };
        let mut changed = false;
        if let Some(target) = target {
            let sized = closed.sized(target);
            let before = self.ordered().unwrap_or(sized);
            let is_due = floor > before || deadband.direction(target, before).is_some();
            changed = is_due && sized != before;
            self.order = if changed { sized } else { before };
        }
        let worth = match (demand, serving) {
            (Some(demand), Some(capacity)) => Worth::of_bin(demand, capacity, changed),
            _ => Worth { changes: f32::from(u8::from(changed)), ..Worth::default() },
        };
        self.worth = self.worth.scaled(decay);
        self.worth.add(&worth);
        worth
    }
}

/// A capacity that follows targets with a delay.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Trial {
    follower: Follower,
    /// What was asked for at the close of each of the last bins, by bin modulo the length; [`UNKNOWN`] for nothing.
    orders: [f32; DELAY_BINS_MAX + 1],
}

impl Default for Trial {
    fn default() -> Self {
        Self { follower: Follower::default(), orders: [UNKNOWN; DELAY_BINS_MAX + 1] }
    }
}

fn place(bin: i64) -> usize {
    bin.rem_euclid(DELAY_BINS_MAX as i64 + 1) as usize
}

impl Trial {
    /// What was asked for last.
    pub fn ordered(&self) -> Option<f32> {
        self.follower.ordered()
    }

    /// Decayed sums.
    pub fn worth(&self) -> &Worth {
        &self.follower.worth
    }

    /// Closes a bin: what its demand (`None` for a gap) makes of the capacity that served it, and what is asked for
    /// from here on: the target, where it leads out of the deadband or the demand needs more than was asked for (`floor`).
    pub fn close(&mut self, closed: &ClosedBin, order: &Order) -> Worth {
        let served = self.orders[place(closed.bin - closed.delay() as i64)];
        let worth = self.follower.close(closed, order, served);
        self.orders[place(closed.bin)] = self.follower.order;
        worth
    }

    /// Bins without a record: what was asked for goes on.
    pub fn skip(&mut self, first: i64, last: i64) {
        let newest = (last - DELAY_BINS_MAX as i64).max(first);
        for bin in newest..=last {
            self.orders[place(bin)] = self.follower.order;
        }
    }
}

/// Trials of `N` rules on the same series, each of whose bins is closed or skipped, in their order. What they had asked
/// for is kept as their changes, which most of them make seldom.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Trials<const N: usize> {
    followers: [Follower; N],
    /// Those of the last [`DELAY_BINS_MAX`] bins, the oldest first.
    changes: Vec<Change>,
}

/// What a trial had asked for until it changed that.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct Change {
    /// As [`UNKNOWN`] has it.
    before: f32,
    /// Number of the trial.
    trial: u8,
    /// Bins over since then.
    bins_ago: u8,
}

impl<const N: usize> Default for Trials<N> {
    fn default() -> Self {
        const { assert!(N <= u8::MAX as usize, "they have numbers of 8 bits") };
        Self { followers: [Follower::default(); N], changes: Vec::new() }
    }
}

impl<const N: usize> Trials<N> {
    /// Whether a trial has asked for anything yet.
    pub fn has_begun(&self, trial: usize) -> bool {
        self.followers[trial].ordered().is_some()
    }

    /// The trials that have asked for anything.
    pub fn begun(&self) -> impl Iterator<Item = usize> + '_ {
        (0..N).filter(|trial| self.has_begun(*trial))
    }

    /// Decayed sums of a trial.
    pub fn worth(&self, trial: usize) -> &Worth {
        &self.followers[trial].worth
    }

    /// Closes a bin of all of them, as [`Trial::close`], with what each asks for. One that begins with it is credited
    /// with `worth_before`.
    pub fn close(&mut self, closed: &ClosedBin, orders: &[Order; N], worth_before: &Worth) -> [Worth; N] {
        let served = self.asked_for(closed.delay());
        self.pass(1);
        let mut came = [Worth::default(); N];
        for (trial, follower) in self.followers.iter_mut().enumerate() {
            let before = *follower;
            came[trial] = follower.close(closed, &orders[trial], served[trial]);
            if follower.order == before.order {
                continue;
            }
            if before.ordered().is_none() {
                follower.worth = *worth_before;
            }
            if self.changes.len() == self.changes.capacity() {
                self.changes.reserve_exact(N / 2);
            }
            self.changes.push(Change { before: before.order, trial: trial as u8, bins_ago: 0 });
        }
        came
    }

    /// What each had asked for at the close of the bin that is so many before the one to be closed next.
    fn asked_for(&self, delay_bins: usize) -> [f32; N] {
        let mut asked = self.followers.map(|follower| follower.order);
        let later = self.changes.iter().rev().take_while(|change| usize::from(change.bins_ago) + 1 < delay_bins);
        later.for_each(|change| asked[usize::from(change.trial)] = change.before);
        asked
    }

    /// Bins without a record: what was asked for goes on.
    pub fn skip(&mut self, first: i64, last: i64) {
        self.pass(last - first + 1);
    }

    /// So many bins more are over.
    fn pass(&mut self, bins: i64) {
        let bins = u8::try_from(bins.max(0)).unwrap_or(u8::MAX);
        for change in &mut self.changes {
            change.bins_ago = change.bins_ago.saturating_add(bins);
        }
        let gone = self.changes.partition_point(|change| usize::from(change.bins_ago) >= DELAY_BINS_MAX);
        self.changes.drain(..gone);
        let room = self.changes.len() + N / 2;
        if self.changes.capacity() > 2 * room {
            self.changes.shrink_to(room);
        }
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.changes.capacity() * size_of::<Change>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULES: usize = 3;

    /// What each of the rules asks for at the close of a bin, its demand, how long changes take, and bins skipped after.
    type Step = ([Option<f32>; RULES], Option<f32>, usize, i64);

    fn step() -> impl Strategy<Value = Step> {
        let amount = || prop::sample::select(vec![0.0f32, 1.0, 1.02, 1.5, 2.0, 7.0]);
        let target = prop::option::weighted(0.9, amount());
        let skipped = prop_oneof![9 => Just(0i64), 2 => 1..4i64, 1 => 20..400i64];
        (prop::array::uniform3(target), prop::option::weighted(0.8, amount()), 0..30usize, skipped)
    }

    proptest! {
        /// Many in one are as each alone, but that those which begin are credited.
        #[test]
        fn trials_kept_together_are_as_each_alone(
            start in -100i64..100,
            steps in prop::collection::vec(step(), 1..120),
        ) {
            let (mut together, mut alone) = (Trials::<RULES>::default(), vec![Trial::default(); RULES]);
            let mut bin = start;
            for (targets, demand, delay_bins, skipped) in steps {
                let demand = demand.map(BinDemand::seen);
                let closed = ClosedBin { bin, delay_bins, demand, decay: 0.5, grain: 0.0 };
                let deadband = Deadband::shrinking_by(0.1);
                let orders = targets.map(|target| Order { target, floor: 0.0, deadband });
                let credit = Worth { spare: 5.0, ..Worth::default() };
                let came = together.close(&closed, &orders, &credit);
                for (i, trial) in alone.iter_mut().enumerate() {
                    let has_begun = trial.ordered().is_some();
                    prop_assert_eq!(came[i], trial.close(&closed, &orders[i]));
                    if !has_begun && trial.ordered().is_some() {
                        trial.follower.worth = credit;
                    }
                    trial.skip(bin + 1, bin + skipped);
                    prop_assert_eq!(together.worth(i), trial.worth());
                    prop_assert_eq!(together.has_begun(i), trial.ordered().is_some());
                }
                together.skip(bin + 1, bin + skipped);
                bin += 1 + skipped;
            }
            prop_assert!(together.changes.len() <= RULES * DELAY_BINS_MAX);
        }
    }

    #[test]
    fn trials_that_hardly_change_take_little() {
        let mut trials = Trials::<30>::default();
        let order = |target| Order { target: Some(target), floor: 0.0, deadband: Deadband::shrinking_by(0.3) };
        for bin in 0..2000 {
            let target = if bin % 20 == 0 { 2.0 } else { 1.0 };
            let demand = Some(BinDemand::seen(0.5));
            let closed = ClosedBin { bin, delay_bins: 2, demand, decay: 1.0, grain: 0.0 };
            trials.close(&closed, &[order(target); 30], &Worth::default());
        }
        assert!(trials.heap_bytes() <= 30 * 5 * 8, "{} bytes", trials.heap_bytes());
    }
}
