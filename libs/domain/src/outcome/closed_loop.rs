//! A capacity that follows orders, each so long after it was given.

use super::tally::{SLACK, Tally};
use crate::time::EventTime;
use bitcode::{Decode, Encode};
use std::collections::VecDeque;

/// A capacity and the orders that do not serve yet.
///
/// Each order serves a lead time after it was given, and until the next one serves: later orders neither hasten
/// nor cancel it. That is how a cloud behaves that takes one call after another.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct ClosedLoop {
    lead_s: u32,
    serving: f64,
    /// By the instant from which they serve, ascending.
    waiting: VecDeque<(EventTime, f64)>,
}

impl ClosedLoop {
    /// With a capacity that serves already, and the time from an order until it serves, in seconds.
    pub fn new(serving: f64, lead_s: u32) -> Self {
        Self { lead_s, serving, waiting: VecDeque::new() }
    }

    /// Orders serve so long after they are given from now on, in seconds.
    pub fn set_lead_s(&mut self, lead_s: u32) {
        self.lead_s = lead_s;
    }

    /// This capacity serves from now on, and nothing is on the way.
    pub fn begin_anew(&mut self, serving: f64) {
        self.serving = serving;
        self.waiting.clear();
    }

    /// Orders a capacity at an instant that is not before that of any earlier order. Whether that is a change of
    /// what was ordered last.
    pub fn order(&mut self, at: EventTime, capacity: f64) -> bool {
        let ordered = self.ordered();
        if (capacity - ordered).abs() <= SLACK * ordered.abs() {
            return false;
        }
        let serves_from = at.plus_s(i64::from(self.lead_s));
        while self.waiting.back().is_some_and(|(from, _)| *from >= serves_from) {
            self.waiting.pop_back();
        }
        self.waiting.push_back((serves_from, capacity));
        true
    }

    /// What was ordered last, whether it serves yet or not.
    pub fn ordered(&self) -> f64 {
        self.waiting.back().map_or(self.serving, |(_, capacity)| *capacity)
    }

    /// The capacity that serves at an instant not before the last one that was passed to [`Self::forget`].
    pub fn capacity_at(&self, at: EventTime) -> f64 {
        let begun = self.waiting.iter().take_while(|(from, _)| *from <= at).last();
        begun.map_or(self.serving, |(_, capacity)| *capacity)
    }

    /// This capacity was seen to serve at an instant, whatever was ordered to serve by then. What is still on the way
    /// stays on the way.
    pub fn felt(&mut self, at: EventTime, capacity: f64) {
        self.forget(at);
        self.serving = capacity;
    }

    /// What the capacity was worth from `begin` to `end`, with one demand.
    pub fn worth(&self, begin: EventTime, end: EventTime, demand: f64) -> Tally {
        let mut tally = Tally::default();
        self.pieces(begin, end, |hours, capacity| tally.add_time(hours, demand, capacity));
        tally
    }

    /// Calls `piece` with each time of an unchanged capacity from `begin` to `end`: its hours and the capacity.
    pub fn pieces(&self, begin: EventTime, end: EventTime, mut piece: impl FnMut(f64, f64)) {
        let (mut at, mut capacity) = (begin, self.capacity_at(begin));
        for (from, next) in self.waiting.iter().filter(|(from, _)| *from > begin && *from < end) {
            piece(from.hours_since(at), capacity);
            (at, capacity) = (*from, *next);
        }
        piece(end.hours_since(at), capacity);
    }

    /// Forgets what served before an instant.
    pub fn forget(&mut self, before: EventTime) {
        while let Some((from, capacity)) = self.waiting.front().copied()
            && from <= before
        {
            self.serving = capacity;
            self.waiting.pop_front();
        }
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.waiting.capacity() * size_of::<(EventTime, f64)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> EventTime {
        EventTime::from_s(s)
    }

    #[test]
    fn an_order_serves_after_its_lead_time_until_the_next_one_does() {
        let mut capacity = ClosedLoop::new(1.0, 600);
        assert!(capacity.order(at(0), 2.0));
        assert!(!capacity.order(at(100), 2.0), "the same again is no change");
        assert!(capacity.order(at(300), 3.0));
        assert_eq!(capacity.ordered(), 3.0);
        let served: Vec<f64> = [0, 599, 600, 899, 900].iter().map(|s| capacity.capacity_at(at(*s))).collect();
        assert_eq!(served, [1.0, 1.0, 2.0, 2.0, 3.0]);
        capacity.forget(at(700));
        assert_eq!((capacity.capacity_at(at(700)), capacity.capacity_at(at(900))), (2.0, 3.0));
    }

    #[test]
    fn what_is_felt_takes_the_place_of_what_was_to_serve() {
        let mut capacity = ClosedLoop::new(1.0, 600);
        capacity.order(at(0), 2.0);
        capacity.order(at(300), 3.0);
        capacity.felt(at(600), 1.0);
        assert_eq!([600, 899, 900].map(|s| capacity.capacity_at(at(s))), [1.0, 1.0, 3.0]);
        let worth = capacity.worth(at(0), at(1800), 2.0);
        assert_eq!((worth.hours_short, worth.unmet, worth.over), (0.25, 0.25, 0.25));
    }

    #[test]
    fn a_time_is_cut_where_the_capacity_changes() {
        let mut capacity = ClosedLoop::new(1.0, 0);
        capacity.order(at(1800), 4.0);
        let mut pieces = Vec::new();
        capacity.pieces(at(0), at(3600), |hours, amount| pieces.push((hours, amount)));
        assert_eq!(pieces, [(0.5, 1.0), (0.5, 4.0)]);
        pieces.clear();
        capacity.pieces(at(1800), at(3600), |hours, amount| pieces.push((hours, amount)));
        assert_eq!(pieces, [(0.5, 4.0)]);
    }
}
