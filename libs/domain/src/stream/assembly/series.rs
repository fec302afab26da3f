//! One series of a workload: the points that wait, and the number that it counts with.

use crate::stream::counter::{CounterReading, Growth, growth};
use crate::time::EventTime;
use bitcode::{Decode, Encode};

/// Points held that are ahead of the source's clock; more would let a broken clock fill memory.
const HELD_AHEAD_MAX: usize = 4;

/// One series.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) struct Series {
    is_total: bool,
    /// By instant ascending, unique; `None` where it ended.
    held: Vec<(EventTime, Option<f64>)>,
    /// The last reading of a running total.
    reading: Option<CounterReading>,
    /// Instant of its last point that did not wait any more.
    heard_at: Option<EventTime>,
    /// The number that it counts with.
    counts: Option<f64>,
    has_ended: bool,
}

impl Series {
    pub(super) fn new() -> Self {
        Self { is_total: false, held: Vec::new(), reading: None, heard_at: None, counts: None, has_ended: false }
    }

    /// Holds a point; false where there was one of that instant that says as much or more. Of several a number goes
    /// before an end, and the greatest before others, whichever came first.
    pub(super) fn hold(&mut self, at: EventTime, value: Option<f64>, is_total: bool) -> bool {
        self.is_total = is_total;
        match self.held.binary_search_by_key(&at, |(held, _)| *held) {
            Err(place) => {
                self.held.insert(place, (at, value));
                true
            }
            Ok(place) => {
                let held = &mut self.held[place].1;
                let is_more = match (value, *held) {
                    (Some(new), Some(old)) => new > old,
                    (new, old) => new.is_some() && old.is_none(),
                };
                if is_more {
                    *held = value;
                }
                is_more
            }
        }
    }

    /// Whether so many points behind an instant wait that no more are held.
    pub(super) fn is_full_ahead_of(&self, newest: EventTime) -> bool {
        self.held.len() - self.held.partition_point(|(at, _)| *at <= newest) >= HELD_AHEAD_MAX
    }

    /// Instant of the first point that waits.
    pub(super) fn first_held(&self) -> Option<EventTime> {
        self.held.first().map(|(at, _)| *at)
    }

    /// Instant of its newest point, whether it waits or not.
    pub(super) fn newest(&self) -> Option<EventTime> {
        self.held.last().map(|(at, _)| *at).max(self.heard_at)
    }

    /// Takes what waits of the time before `end` in; the instant of the newest number among it.
    pub(super) fn close(&mut self, end: EventTime, carried_s: u32) -> Option<EventTime> {
        let ready = self.held.partition_point(|(at, _)| *at < end);
        let (mut newest, mut grown) = (None, Growth::default());
        for (at, value) in self.held.drain(..ready) {
            if is_over(self.heard_at, at, carried_s) {
                (self.reading, self.counts) = (None, None);
            }
            self.heard_at = Some(at);
            self.has_ended = value.is_none();
            let Some(number) = value else {
                self.reading = None;
                continue;
            };
            newest = Some(at);
            if !self.is_total {
                self.counts = Some(number);
            } else if let Some(more) = growth(&mut self.reading, number, at) {
                grown = Growth { by: grown.by + more.by, over_s: grown.over_s + more.over_s };
            }
        }
        if self.held.is_empty() {
            self.held = Vec::new();
        }
        if grown.over_s > 0.0 {
            self.counts = Some(grown.by / grown.over_s);
        } else if self.has_ended || is_over(self.heard_at, end, carried_s) {
            (self.reading, self.counts) = (None, None);
        }
        if self.has_ended && !self.is_total {
            self.counts = None;
        }
        newest
    }

    /// The number that it counts with in the bin that was closed last.
    pub(super) fn counts(&self) -> Option<f64> {
        self.counts
    }

    /// Whether any of its points was of the bin that was closed last or before; what waits tells nothing yet.
    pub(super) fn is_heard(&self) -> bool {
        self.heard_at.is_some()
    }

    /// Once its last bin went out: one that is over begins anew with what waits. Whether anything is left of it.
    pub(super) fn goes_on(&mut self, end: EventTime, carried_s: u32) -> bool {
        if !self.has_ended && !is_over(self.heard_at, end, carried_s) {
            return true;
        }
        *self = Self { is_total: self.is_total, held: std::mem::take(&mut self.held), ..Self::new() };
        !self.held.is_empty()
    }
}

/// Whether what was heard of last is too long ago to count.
fn is_over(heard_at: Option<EventTime>, now: EventTime, carried_s: u32) -> bool {
    heard_at.is_some_and(|at| now.as_ms() - at.as_ms() > i64::from(carried_s) * 1000)
}
