//! Samples of points: the rate of each running total, then what series of a workload add up to, then one sample for
//! each step of a workload once the watermark has passed it.
//!
//! Points wait until their bin is over, by the clock of their source less the lateness. So it makes no difference in
//! which order they come, in how many messages, from how many senders, or how often: of points of one series and instant
//! there is one. What comes behind the watermark is too late: lost, unless a newer point of its series came before it,
//! which says that it most likely did, too.
//!
//! A workload of which nothing newer went out may lag behind its source by itself, as one whose agent was cut off and
//! makes up for that: it goes by its own points' clock less the lateness, until it has caught up, or nothing more comes of
//! it while its source goes on by a step.
//!
//! - A running total's number in a bin is its growth from its last reading before the bin to its last one in it, over
//!   the time between; a level's is the last one in the bin.
//! - A series without a point in a bin counts with its last number, for a bounded time: a scrape that failed, or came a
//!   moment after the bin's end, takes nothing away from the sum.
//! - A series that ends counts no more: a level from the bin on in which it ends, a total from the next.
//! - A sample has the instant of its newest point, and there is none without a new point.

use super::silence::FORGET_AFTER_S;
use super::source_clock::{SourceClock, Standing};
use crate::point::Point;
use crate::sample::Sample;
use crate::slots::Slots;
use crate::source::SourceName;
use crate::time::EventTime;
use crate::workload::WorkloadId;
use bitcode::{Decode, Encode};
use lane::Lane;
use std::collections::{BTreeMap, BTreeSet};

mod lane;
mod series;

pub use lane::Taken;

/// Silent workloads are looked for once in so many seconds of a source's clock.
const SWEEP_EVERY_S: i64 = FORGET_AFTER_S / 4;

/// How points are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssemblySettings {
    /// A point may come so many seconds after a newer one of its source.
    pub lateness_s: u32,
    /// An instant so many seconds ahead of the source's clock needs another that agrees before the clock follows. At
    /// least one step more than the lateness is granted.
    pub ahead_s: u32,
    /// A series without a point counts with its last number for so many seconds, and then has ended.
    pub carried_s: u32,
}

/// All that a partition's points have come to, and those that wait.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Assembly {
    sources: BTreeMap<SourceName, Source>,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Source {
    clock: SourceClock,
    lanes: Slots<Lane>,
    /// The workloads with points that wait, by where the watermark has to be for the first bin that has any.
    waiting: BTreeSet<(EventTime, WorkloadId)>,
    next_sweep: EventTime,
}

impl Assembly {
    /// Takes a point, and gives out in `made` the samples of all bins of its source that are over with it.
    pub fn offer(&mut self, settings: &AssemblySettings, point: &Point, made: &mut Vec<Sample>) -> Taken {
        let source = self.sources.entry(point.source.clone()).or_insert_with(|| Source::starting(point));
        source.offer(settings, point, made)
    }

    /// Workloads that something is kept of.
    pub fn workloads(&self) -> usize {
        self.sources.values().map(|source| source.lanes.len()).sum()
    }
}

impl Source {
    fn starting(point: &Point) -> Self {
        Self {
            clock: SourceClock::starting(&point.workload, point.at),
            lanes: Slots::default(),
            waiting: BTreeSet::new(),
            next_sweep: point.at.plus_s(SWEEP_EVERY_S),
        }
    }

    fn offer(&mut self, settings: &AssemblySettings, point: &Point, made: &mut Vec<Sample>) -> Taken {
        let granted_s = i64::from(settings.lateness_s) + i64::from(point.step_s);
        let ahead_s = i64::from(settings.ahead_s).max(granted_s);
        let standing = self.clock.observe(&point.workload, point.at, ahead_s);
        let newest = self.clock.newest();
        let ahead_of = (standing != Standing::Current).then_some(newest);
        let watermark = newest.plus_s(-i64::from(settings.lateness_s));
        let end = EventTime::of_bin(point.at.bin(point.step_s) + 1, point.step_s);
        let lane = self.lanes.get(&point.workload);
        let is_behind = end <= watermark;
        let taken = match lane {
            None if is_behind => Taken::Late,
            Some(lane) if is_behind && point.at < lane.closed_until() => lane.too_late(point),
            _ => {
                let lags_until = is_behind.then(|| watermark.plus_s(i64::from(point.step_s)));
                self.take(settings, point, (ahead_of, lags_until), made)
            }
        };
        self.close(settings.carried_s, &point.source, watermark, made);
        self.forget_silent();
        taken
    }

    /// Takes a point that may be far ahead of its source's newest, or lags and is waited for until an instant.
    fn take(
        &mut self,
        settings: &AssemblySettings,
        point: &Point,
        (ahead_of, lags_until): (Option<EventTime>, Option<EventTime>),
        made: &mut Vec<Sample>,
    ) -> Taken {
        let AssemblySettings { lateness_s, carried_s, .. } = *settings;
        let lane = self.lanes.get_or_insert_with(&point.workload, || Lane::new(point.step_s));
        let due_before = lane.due();
        if lane.step_s() != point.step_s {
            // What waits goes out by the grid that it came for.
            while let Some(end) = lane.first_end() {
                made.extend(lane.close(carried_s, &point.workload, &point.source, end));
            }
            lane.change_step(point.step_s);
        }
        let taken = lane.take(point, ahead_of);
        if taken == Taken::Kept {
            lane.lags(lags_until.map(|until| (point.at, until)));
        }
        while let Some(end) = lane.first_end_passed(lateness_s) {
            made.extend(lane.close(carried_s, &point.workload, &point.source, end));
        }
        let due_now = lane.due();
        self.wait(&point.workload, due_before, due_now);
        taken
    }

    /// Sets down by which instant a workload waits now.
    fn wait(&mut self, workload: &WorkloadId, before: Option<EventTime>, now: Option<EventTime>) {
        if before == now {
            return;
        }
        if let Some(end) = before {
            self.waiting.remove(&(end, workload.clone()));
        }
        if let Some(end) = now {
            self.waiting.insert((end, workload.clone()));
        }
    }

    fn close(&mut self, carried_s: u32, source: &SourceName, watermark: EventTime, made: &mut Vec<Sample>) {
        while self.waiting.first().is_some_and(|(due, _)| *due <= watermark)
            && let Some((_, workload)) = self.waiting.pop_first()
        {
            let Some(lane) = self.lanes.get_mut(&workload) else { continue };
            lane.lags(None);
            if let Some(end) = lane.first_end() {
                made.extend(lane.close(carried_s, &workload, source, end));
            }
            let next = lane.due();
            self.wait(&workload, None, next);
        }
    }

    fn forget_silent(&mut self) {
        let newest = self.clock.newest();
        if newest < self.next_sweep {
            return;
        }
        self.next_sweep = newest.plus_s(SWEEP_EVERY_S);
        let oldest = newest.plus_s(-FORGET_AFTER_S);
        self.lanes.retain(|_, lane| lane.first_end().is_some() || lane.closed_until() >= oldest);
    }
}

#[cfg(test)]
mod tests;
