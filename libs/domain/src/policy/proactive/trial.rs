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

/// A capacity that follows targets with a delay, and what it was worth, older bins counting less.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Trial {
    /// What was asked for last; `None` before the first target.
    ordered: Option<f32>,
    /// What was asked for at the close of each of the last bins, by bin modulo the length; [`UNKNOWN`] for nothing.
    orders: [f32; DELAY_BINS_MAX + 1],
    /// Decayed sums.
    pub worth: Worth,
}

impl Default for Trial {
    fn default() -> Self {
        Self { ordered: None, orders: [UNKNOWN; DELAY_BINS_MAX + 1], worth: Worth::default() }
    }
}

fn place(bin: i64) -> usize {
    bin.rem_euclid(DELAY_BINS_MAX as i64 + 1) as usize
}

impl Trial {
    /// What was asked for last.
    pub fn ordered(&self) -> Option<f32> {
        self.ordered
    }

    /// Closes a bin: what its demand (`None` for a gap) makes of the capacity that served it, and what is asked for
    /// from here on: the target, where it leads out of the deadband or the demand needs more than was asked for (`floor`).
    pub fn close(&mut self, closed: &ClosedBin, order: &Order) -> Worth {
        let &ClosedBin { bin, delay_bins, demand, decay, .. } = closed;
        let &Order { target, floor, deadband } = order;
        let served = self.orders[place(bin - delay_bins.clamp(1, DELAY_BINS_MAX) as i64)];
        let serving = if served < 0.0 { self.ordered } else { Some(served) };
        let mut changed = false;
        if let Some(target) = target {
            let sized = closed.sized(target);
            let before = *self.ordered.get_or_insert(sized);
            let is_due = floor > before || deadband.direction(target, before).is_some();
            changed = is_due && sized != before;
            if changed {
                self.ordered = Some(sized);
            }
        }
        self.orders[place(bin)] = self.ordered.unwrap_or(UNKNOWN);
        let worth = match (demand, serving) {
            (Some(demand), Some(capacity)) => Worth::of_bin(demand, capacity, changed),
            _ => Worth { changes: f32::from(u8::from(changed)), ..Worth::default() },
        };
        self.worth = self.worth.scaled(decay);
        self.worth.add(&worth);
        worth
    }

    /// Bins without a record: what was asked for goes on.
    pub fn skip(&mut self, first: i64, last: i64) {
        let newest = (last - DELAY_BINS_MAX as i64).max(first);
        for bin in newest..=last {
            self.orders[place(bin)] = self.ordered.unwrap_or(UNKNOWN);
        }
    }
}
