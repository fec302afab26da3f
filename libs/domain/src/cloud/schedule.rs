//! The capacity of a workload over time: what serves, and what will from when.

use crate::sample::Capacity;
use crate::time::EventTime;
use bitcode::{Decode, Encode};

/// What serves, and what will from when. Whoever feels the results of actions keeps one of these
/// and calls [`CapacitySchedule::change`] for each result that was applied, in their order.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct CapacitySchedule {
    serving: Capacity,
    coming: Vec<(EventTime, Capacity)>,
}

impl CapacitySchedule {
    /// A capacity that serves and will go on to.
    pub fn new(serving: Capacity) -> Self {
        Self { serving, coming: Vec::new() }
    }

    /// From `at` on it is `capacity`; whatever was to come then or later is called off.
    pub fn change(&mut self, at: EventTime, capacity: Capacity) {
        self.coming.retain(|(from, _)| *from < at);
        self.coming.push((at, capacity));
    }

    /// At `at` this capacity was seen to serve, whatever was to serve by then. What is still to come stays to come.
    pub fn felt(&mut self, at: EventTime, capacity: Capacity) {
        self.settle(at);
        self.serving = capacity;
    }

    /// The capacity that serves at `at`, which is no earlier than at the last
    /// [`CapacitySchedule::settle`].
    pub fn at(&self, at: EventTime) -> &Capacity {
        self.coming.iter().rev().find(|(from, _)| *from <= at).map_or(&self.serving, |(_, capacity)| capacity)
    }

    /// The capacity that serves once everything has come.
    pub fn last(&self) -> &Capacity {
        self.coming.last().map_or(&self.serving, |(_, capacity)| capacity)
    }

    /// What is still to come after `at`, in order.
    pub fn coming_after(&self, at: EventTime) -> impl Iterator<Item = &(EventTime, Capacity)> {
        self.coming.iter().filter(move |(from, _)| *from > at)
    }

    /// What serves costs from `begin` to `end`, by the price of a capacity for an hour; `None` where one has no price.
    pub fn cost(
        &self,
        begin: EventTime,
        end: EventTime,
        price_per_h: impl Fn(&Capacity) -> Option<f64>,
    ) -> Option<f64> {
        let (mut at, mut serving, mut cost) = (begin, self.at(begin), 0.0);
        for (from, next) in self.coming_after(begin).filter(|(from, _)| *from < end) {
            cost += price_per_h(serving)? * from.hours_since(at);
            (at, serving) = (*from, next);
        }
        Some(cost + price_per_h(serving)? * end.hours_since(at))
    }

    /// Forgets what no longer serves at `at`.
    pub fn settle(&mut self, at: EventTime) {
        let past = self.coming.partition_point(|(from, _)| *from <= at);
        if let Some((_, capacity)) = self.coming.drain(..past).next_back() {
            self.serving = capacity;
        }
    }

    /// Bytes on the heap, names of instance types apart.
    pub fn heap_bytes(&self) -> usize {
        self.coming.capacity() * size_of::<(EventTime, Capacity)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::fixtures::capacity;

    #[test]
    fn changes_come_in_order_and_an_earlier_one_calls_off_later_ones() {
        let at = EventTime::from_s;
        let mut schedule = CapacitySchedule::new(capacity(4));
        schedule.change(at(100), capacity(8));
        schedule.change(at(200), capacity(10));
        let seen = |s: &CapacitySchedule| [0, 99, 100, 199, 200].map(|t| s.at(at(t)).replicas);
        assert_eq!(seen(&schedule), [4, 4, 8, 8, 10]);
        schedule.change(at(150), capacity(3));
        assert_eq!(seen(&schedule), [4, 4, 8, 3, 3]);
        schedule.settle(at(120));
        assert_eq!((schedule.at(at(120)).replicas, schedule.last().replicas), (8, 3));
        assert_eq!(schedule.coming_after(at(120)).count(), 1);
        schedule.felt(at(130), capacity(9));
        assert_eq!([130, 149, 150].map(|t| schedule.at(at(t)).replicas), [9, 9, 3]);
    }

    #[test]
    fn each_capacity_costs_for_as_long_as_it_serves() {
        let at = EventTime::from_s;
        let mut schedule = CapacitySchedule::new(capacity(4));
        schedule.change(at(1800), capacity(8));
        let per_replica = |c: &Capacity| (c.replicas < 9).then_some(f64::from(c.replicas));
        assert_eq!(schedule.cost(at(0), at(3600), per_replica), Some(2.0 + 4.0));
        assert_eq!(schedule.cost(at(1800), at(3600), per_replica), Some(4.0));
        schedule.change(at(2700), capacity(9));
        assert_eq!(schedule.cost(at(0), at(2700), per_replica), Some(2.0 + 2.0));
        assert_eq!(schedule.cost(at(0), at(3600), per_replica), None, "one of them has no price");
    }
}
