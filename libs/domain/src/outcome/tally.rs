//! Sums over the time of one series under one capacity. Tallies of other series, or of parts of one, add up.

use bitcode::{Decode, Encode};

/// Relative slack against rounding errors: a capacity that was made from the demand covers it.
pub(super) const SLACK: f64 = 1e-9;

/// Whether demand is above the capacity.
pub fn is_short(demand: f64, capacity: f64) -> bool {
    demand > capacity + SLACK * demand.abs()
}

/// What a capacity was worth. Amounts are in the resource's unit times hours (core-hours).
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub struct Tally {
    /// Time with a known demand, in hours.
    pub hours: f64,
    /// Of these, the hours in which demand was above the capacity.
    pub hours_short: f64,
    /// Demand.
    pub demand: f64,
    /// Capacity.
    pub capacity: f64,
    /// Demand above the capacity.
    pub unmet: f64,
    /// Capacity above the demand.
    pub over: f64,
    /// Changes that were asked for.
    pub changes: u64,
    /// Surges of the demand.
    pub surges: u64,
    /// Of these, the ones that met enough capacity when they began.
    pub surges_covered: u64,
}

impl Tally {
    /// Adds a time in which demand and capacity stayed the same.
    pub fn add_time(&mut self, hours: f64, demand: f64, capacity: f64) {
        self.hours += hours;
        self.demand += demand * hours;
        self.capacity += capacity * hours;
        if is_short(demand, capacity) {
            self.hours_short += hours;
            self.unmet += (demand - capacity) * hours;
        } else {
            self.over += (capacity - demand).max(0.0) * hours;
        }
    }

    /// Adds a surge that began with this demand and capacity.
    pub fn add_surge(&mut self, demand: f64, capacity: f64) {
        self.surges += 1;
        self.surges_covered += u64::from(!is_short(demand, capacity));
    }

    /// Adds the sums of another.
    pub fn add(&mut self, other: &Self) {
        self.hours += other.hours;
        self.hours_short += other.hours_short;
        self.demand += other.demand;
        self.capacity += other.capacity;
        self.unmet += other.unmet;
        self.over += other.over;
        self.changes += other.changes;
        self.surges += other.surges;
        self.surges_covered += other.surges_covered;
    }

    /// Share of the time in which demand was above the capacity; `None` without any time.
    pub fn time_short(&self) -> Option<f64> {
        share(self.hours_short, self.hours)
    }

    /// Share of the demand above the capacity; `None` without any demand.
    pub fn unmet_share(&self) -> Option<f64> {
        share(self.unmet, self.demand)
    }

    /// Capacity above the demand as a multiple of the demand; `None` without any demand.
    pub fn over_share(&self) -> Option<f64> {
        share(self.over, self.demand)
    }

    /// Changes within 24 hours, on average; `None` without any time.
    pub fn changes_per_day(&self) -> Option<f64> {
        share(self.changes as f64, self.hours / 24.0)
    }

    /// Share of the surges that met enough capacity; `None` without any.
    pub fn surges_covered_share(&self) -> Option<f64> {
        share(self.surges_covered as f64, self.surges as f64)
    }

    /// What the capacity cost at so much a unit and hour.
    pub fn cost(&self, price_per_unit_h: f64) -> f64 {
        self.capacity * price_per_unit_h
    }
}

fn share(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_spare_hours_are_told_apart() {
        let mut tally = Tally::default();
        tally.add_time(0.5, 3.0, 2.0);
        tally.add_time(1.0, 1.0, 2.0);
        tally.add_time(0.5, 2.0, 2.0);
        assert_eq!((tally.hours, tally.hours_short, tally.demand), (2.0, 0.5, 3.5));
        assert_eq!((tally.unmet, tally.over, tally.capacity), (0.5, 1.0, 4.0));
        assert_eq!(tally.time_short(), Some(0.25));
        assert_eq!(tally.unmet_share(), Some(0.5 / 3.5));
        assert_eq!(tally.cost(0.25), 1.0);
    }

    #[test]
    fn a_capacity_made_from_the_demand_covers_it() {
        assert!(!is_short(0.7, 0.1 + 0.2 + 0.4));
        assert!(is_short(0.7, 0.6999));
        assert!(is_short(1e-6, 0.0) && !is_short(0.0, 0.0));
    }

    #[test]
    fn surges_count_as_covered_by_the_capacity_that_they_meet() {
        let mut tally = Tally::default();
        tally.add_surge(2.0, 2.0);
        tally.add_surge(2.0, 1.0);
        assert_eq!(tally.surges_covered_share(), Some(0.5));
        assert_eq!(Tally::default().surges_covered_share(), None);
    }
}
