//! Admission of a partition's samples: which are used, in what order, and which are not.
//!
//! The watermark of a source is its clock less `lateness_steps` steps of the workload's grid. A
//! source that falls idle keeps its clock to itself, so it holds nobody else back. A workload that lags behind it by
//! itself, as one whose agent was cut off, is late with what lies before its own last sample alone.

use super::parts::{KpiNumbers, Part};
use super::reassembly::{Due, Place, Reassembly, Verdict};
use super::source_clock::{SourceClock, Standing};
use crate::slots::Slots;
use crate::source::SourceName;
use crate::time::EventTime;
use crate::workload::WorkloadId;
use bitcode::{Decode, Encode};
use std::collections::{BTreeMap, BTreeSet};

/// What is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionSettings {
    /// A sample may come so many steps after a newer one of its source.
    pub lateness_steps: u32,
    /// An instant so many seconds ahead of the source's clock needs another that agrees before
    /// the clock follows. At least one step more than the lateness is granted.
    pub ahead_s: u32,
    /// An instant so many seconds ahead of the source's clock is rejected, unless the sample
    /// before it agrees.
    pub reject_ahead_s: u32,
    /// A workload without samples for so many seconds of its source's clock is forgotten.
    pub forget_after_s: u32,
}

impl AdmissionSettings {
    /// A KPI that was missing in so many samples of its workload in a row is not waited for.
    const fn given_up_after(&self) -> u32 {
        self.lateness_steps.saturating_add(1)
    }
}

/// A sample, or a part of one, that arrived.
#[derive(Clone, Debug)]
pub struct Arrival<'a, T> {
    /// Whose sample.
    pub workload: &'a WorkloadId,
    /// Stream that it came from.
    pub source: &'a SourceName,
    /// Its instant.
    pub at: EventTime,
    /// Its sampling step, in seconds.
    pub step_s: u32,
    /// What is held until its turn has come.
    pub item: T,
}

/// A sample whose turn has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Released<T> {
    /// Its bin on the grid of its workload's step.
    pub bin: i64,
    /// When its turn had come by its source's clock: behind a gap, when the watermark had passed that; where it lacks
    /// something, when the watermark had passed it. It follows from what there is of its workload, not from the order
    /// in which that came.
    pub turn_at: EventTime,
    /// What was held.
    pub item: T,
}

/// The admission of one partition.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Admission<T> {
    sources: BTreeMap<SourceName, Source>,
    lanes: Slots<Lane<T>>,
    numbers: KpiNumbers,
    /// Samples that wait, over all lanes.
    held: usize,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Source {
    clock: SourceClock,
    /// Heads that wait for the clock: the instant that it has to reach, and whose head.
    waiting: BTreeSet<(EventTime, WorkloadId)>,
    next_sweep: EventTime,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Lane<T> {
    source: SourceName,
    step_s: u32,
    waits_for: Option<EventTime>,
    /// By the grid bin, when the turn of the one that went out last had come.
    turn_bin: i64,
    reassembly: Reassembly<T>,
}

impl<T> Lane<T> {
    fn new(source: &SourceName, step_s: u32) -> Self {
        Self { source: source.clone(), step_s, waits_for: None, turn_bin: i64::MIN, reassembly: Reassembly::default() }
    }
}

impl<T: Part> Lane<T> {
    /// Gives out whose turn has come by a watermark.
    fn release(
        &mut self,
        settings: &AdmissionSettings,
        numbers: &mut KpiNumbers,
        watermark_bin: i64,
        released: &mut Vec<Released<T>>,
    ) {
        let mut turn_bin = self.turn_bin;
        self.reassembly.release(watermark_bin, numbers, settings.given_up_after(), |bin, due, item| {
            turn_bin = turn_bin.max(clock_bin(settings, bin, due));
            released.push(Released { bin, turn_at: EventTime::of_bin(turn_bin, self.step_s), item });
        });
        self.turn_bin = turn_bin;
    }
}

/// Bin that the source's clock has to reach for the turn of a bin.
fn clock_bin(settings: &AdmissionSettings, bin: i64, due: Due) -> i64 {
    match due {
        Due::AtOnce => bin,
        Due::Watermark(watermark_bin) => watermark_bin + i64::from(settings.lateness_steps),
    }
}

impl<T> Default for Admission<T> {
    fn default() -> Self {
        Self { sources: BTreeMap::new(), lanes: Slots::default(), numbers: KpiNumbers::default(), held: 0 }
    }
}

impl<T> Admission<T> {
    /// Samples that wait, over all workloads.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Workloads known.
    pub fn workloads(&self) -> usize {
        self.lanes.len()
    }

    /// Bytes that a workload takes of which nothing waits, without what the allocator adds.
    pub fn workload_bytes(&self, workload: &WorkloadId) -> Option<usize> {
        Some(Slots::<Lane<T>>::bytes_each() + self.lanes.get(workload)?.reassembly.known_bytes())
    }
}

impl<T: Part> Admission<T> {
    /// Takes a sample and, when it is accepted, gives out in `released` all whose turn has come
    /// with it: each workload's in order, and those of other workloads of the source that waited
    /// for its clock.
    pub fn offer(
        &mut self,
        settings: &AdmissionSettings,
        arrival: Arrival<'_, T>,
        released: &mut Vec<Released<T>>,
    ) -> Verdict {
        let mut numbers = std::mem::take(&mut self.numbers);
        let verdict = self.offer_numbered(settings, &mut numbers, arrival, released);
        self.numbers = numbers;
        verdict
    }

    fn offer_numbered(
        &mut self,
        settings: &AdmissionSettings,
        numbers: &mut KpiNumbers,
        arrival: Arrival<'_, T>,
        released: &mut Vec<Released<T>>,
    ) -> Verdict {
        let Arrival { workload, source, at, step_s, item } = arrival;
        let standing = self.observe(settings, workload, source, at, step_s);
        if let Standing::Ahead { by_s } = standing
            && by_s > i64::from(settings.reject_ahead_s)
        {
            return Verdict::FromTheFuture;
        }
        let Some(newest) = self.sources.get(source).map(|s| s.clock.newest()) else { return Verdict::Late };
        let watermark_bin = newest.bin(step_s) - i64::from(settings.lateness_steps);
        let place = Place { bin: at.bin(step_s), watermark_bin, is_ahead: standing != Standing::Current };
        let released_before = released.len();
        let Some(lane) = self.lane_for((settings, &mut *numbers), (workload, source), (at, step_s), place, released)
        else {
            return Verdict::Late;
        };
        let held_before = lane.reassembly.held();
        let verdict = lane.reassembly.offer(place, item, numbers);
        // A part of what waits already makes no more that wait.
        let came = lane.reassembly.held() - held_before;
        if verdict == Verdict::Accepted {
            lane.release(settings, numbers, watermark_bin, released);
            self.held += came;
            self.await_head(settings, numbers, workload);
            self.release_waiting(settings, numbers, (source, newest), released);
        }
        self.held -= released.len() - released_before;
        verdict
    }

    fn observe(
        &mut self,
        settings: &AdmissionSettings,
        workload: &WorkloadId,
        source: &SourceName,
        at: EventTime,
        step_s: u32,
    ) -> Standing {
        let Some(known) = self.sources.get_mut(source) else {
            let next_sweep = at.plus_s(i64::from(settings.forget_after_s));
            let clock = SourceClock::starting(workload, at);
            self.sources.insert(source.clone(), Source { clock, waiting: BTreeSet::new(), next_sweep });
            return Standing::Current;
        };
        let ahead_s = i64::from(settings.ahead_s).max(i64::from(settings.lateness_steps + 1) * i64::from(step_s));
        known.clock.observe(workload, at, ahead_s)
    }

    fn release_waiting(
        &mut self,
        settings: &AdmissionSettings,
        numbers: &mut KpiNumbers,
        (source, newest): (&SourceName, EventTime),
        released: &mut Vec<Released<T>>,
    ) {
        while let Some(known) = self.sources.get_mut(source)
            && known.waiting.first().is_some_and(|(instant, _)| *instant <= newest)
            && let Some((_, workload)) = known.waiting.pop_first()
        {
            let Some(lane) = self.lanes.get_mut(&workload) else { continue };
            lane.waits_for = None;
            let watermark_bin = newest.bin(lane.step_s) - i64::from(settings.lateness_steps);
            lane.release(settings, numbers, watermark_bin, released);
            self.await_head(settings, numbers, &workload);
        }
    }

    /// The workload's lane. A new step starts the lane anew, after what the old one held; a
    /// sample of another step that is late, or not newer than the lane, has no lane.
    fn lane_for(
        &mut self,
        (settings, numbers): (&AdmissionSettings, &mut KpiNumbers),
        (workload, source): (&WorkloadId, &SourceName),
        (at, step_s): (EventTime, u32),
        place: Place,
        released: &mut Vec<Released<T>>,
    ) -> Option<&mut Lane<T>> {
        let lane = self.lanes.get_or_insert_with(workload, || Lane::new(source, step_s));
        if lane.step_s == step_s && lane.source == *source {
            return Some(lane);
        }
        let newest = lane.reassembly.newest_bin().map(|bin| EventTime::of_bin(bin, lane.step_s));
        let is_late = place.bin < place.watermark_bin || newest.is_some_and(|newest| newest >= at);
        if lane.step_s != step_s && is_late {
            return None;
        }
        if let Some(known) = self.sources.get_mut(&lane.source)
            && let Some(instant) = lane.waits_for.take()
        {
            known.waiting.remove(&(instant, workload.clone()));
        }
        if lane.step_s != step_s {
            lane.release(settings, numbers, i64::MAX, released);
            *lane = Lane::new(source, step_s);
        }
        lane.source = source.clone();
        Some(lane)
    }

    /// Sets down for which instant of its source's clock the head of a workload waits.
    fn await_head(&mut self, settings: &AdmissionSettings, numbers: &KpiNumbers, workload: &WorkloadId) {
        let Some(lane) = self.lanes.get_mut(workload) else { return };
        let head = lane.reassembly.head_due(numbers, settings.given_up_after());
        let wanted = head.map(|(bin, due)| EventTime::of_bin(clock_bin(settings, bin, due), lane.step_s));
        if wanted == lane.waits_for {
            return;
        }
        let Some(known) = self.sources.get_mut(&lane.source) else { return };
        if let Some(instant) = lane.waits_for {
            known.waiting.remove(&(instant, workload.clone()));
        }
        if let Some(instant) = wanted {
            known.waiting.insert((instant, workload.clone()));
        }
        lane.waits_for = wanted;
    }

    /// The workloads to forget: those of `source` without a sample for long, by its clock. They
    /// are looked for once in a quarter of that time.
    pub fn forget_silent(&mut self, settings: &AdmissionSettings, source: &SourceName) -> BTreeSet<WorkloadId> {
        let mut silent = BTreeSet::new();
        let Some(known) = self.sources.get_mut(source) else { return silent };
        let newest = known.clock.newest();
        if newest < known.next_sweep {
            return silent;
        }
        known.next_sweep = newest.plus_s(i64::from(settings.forget_after_s / 4));
        let oldest = newest.plus_s(-i64::from(settings.forget_after_s));
        let is_silent = |lane: &Lane<T>| {
            let last = lane.reassembly.last_bin().map(|bin| EventTime::of_bin(bin, lane.step_s));
            lane.source == *source && lane.reassembly.held() == 0 && last.is_none_or(|at| at < oldest)
        };
        self.lanes.retain(|workload, lane| {
            let goes = is_silent(lane);
            if goes {
                silent.insert(workload.clone());
            }
            !goes
        });
        silent
    }
}

#[cfg(test)]
mod parts_tests;
#[cfg(test)]
mod tests;
