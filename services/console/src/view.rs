//! The view: all that the console knows, in bounded memory. Pure: it has no clock, reads no bus
//! and knows no HTTP.

pub mod groups;
pub mod json;
pub mod series;
pub mod status;
#[cfg(test)]
mod tests;
pub mod workload;

use groups::Groups;
use prescale_domain::action::{Action, ActionResult};
use prescale_domain::evaluation::Outcome;
use prescale_domain::evaluation::sums::Span;
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::group::GroupPrediction;
use prescale_domain::prediction::Prediction;
use prescale_domain::sample::Sample;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use workload::Workload;

/// Points over all curves that the view aims to stay under: about 80 MB.
const POINTS_TOTAL: usize = 4_000_000;
/// Every curve may have so many points, however large the fleet.
const POINTS_MIN: usize = 48;
/// A workload without a record for so long may make room for another.
const IDLE_MS: i64 = 15 * 60 * 1000;
/// A sample from so far ahead of the time it was taken in would push all history out.
const AHEAD_MS: i64 = 5 * 60 * 1000;
const RECENT_ACTIONS_MAX: usize = 2_000;
const SOURCES_MAX: usize = 1_000;

/// Bounds of the view.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Most workloads kept.
    pub workloads_max: usize,
    /// Most points of one curve.
    pub points_max: usize,
}

/// One record about a workload, of a topic that the view follows; ids are the records' `ce_id`.
#[derive(Clone, Debug)]
pub enum Fact {
    /// Of `raw-kpis`.
    Sample(Sample),
    /// Of `fingerprints`.
    Fingerprint(Box<Fingerprint>),
    /// Of `predictions`.
    Prediction(Arc<str>, Prediction),
    /// Of `actions`.
    Action(Arc<str>, Box<Action>),
    /// Of `action-results`.
    Result(Box<ActionResult>),
    /// Of `outcomes`.
    Outcome(Box<Outcome>),
}

impl Fact {
    fn workload(&self) -> &WorkloadId {
        match self {
            Self::Sample(s) => &s.workload,
            Self::Fingerprint(f) => &f.workload,
            Self::Prediction(_, p) => &p.workload,
            Self::Action(_, a) => &a.workload,
            Self::Result(r) => &r.workload,
            Self::Outcome(o) => &o.workload,
        }
    }

    fn at(&self) -> EventTime {
        match self {
            Self::Sample(s) => s.at,
            Self::Fingerprint(f) => f.at,
            Self::Prediction(_, p) => p.made_at,
            Self::Action(_, a) => a.decided_at,
            Self::Result(r) => r.at,
            Self::Outcome(o) => o.from,
        }
    }
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in the view.
    Used,
    /// The view had it, or something newer, already.
    Known,
    /// The view is full of other workloads.
    NoRoom,
    /// It is from the future.
    Ahead,
}

/// All that the console knows.
#[derive(Debug)]
pub struct View {
    bounds: Bounds,
    workloads: BTreeMap<WorkloadId, Workload>,
    groups: Groups,
    recent_actions: VecDeque<(EventTime, WorkloadId, Arc<str>)>,
    stream_at: BTreeMap<Arc<str>, EventTime>,
    series_count: usize,
    revision: u64,
    evicted: u64,
    evicted_at_revision: u64,
    refused: u64,
    /// No workload was touched before this; may be too low, never too high.
    stalest_ms: i64,
}

impl View {
    /// An empty view.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            workloads: BTreeMap::new(),
            groups: Groups::default(),
            recent_actions: VecDeque::new(),
            stream_at: BTreeMap::new(),
            series_count: 0,
            revision: 0,
            evicted: 0,
            evicted_at_revision: 0,
            refused: 0,
            stalest_ms: i64::MIN,
        }
    }

    /// Whether a record of this workload, taken in by the bus at `appended_ms`, would be used. Asked
    /// before decoding, so that records of workloads beyond the bound cost little; a no is counted.
    pub fn admits(&mut self, workload: &str, appended_ms: i64) -> bool {
        let admitted = WorkloadId::new(workload).is_ok_and(|id| {
            self.workloads.contains_key(&id)
                || self.workloads.len() < self.bounds.workloads_max
                || self.stalest(appended_ms).is_some()
        });
        if !admitted {
            self.refuse();
        }
        admitted
    }

    fn refuse(&mut self) {
        self.refused += 1;
        self.revision += 1;
    }

    /// The workload that may make room at `now_ms`, if there is one.
    fn stalest(&mut self, now_ms: i64) -> Option<WorkloadId> {
        let limit = now_ms.saturating_sub(IDLE_MS);
        if self.stalest_ms > limit {
            return None;
        }
        let (id, touched_ms) = self.workloads.values().map(|w| (&w.id, w.touched_ms)).min_by_key(|(_, t)| *t)?;
        self.stalest_ms = touched_ms;
        (touched_ms <= limit).then(|| id.clone())
    }

    /// Takes in a record that the bus took in at `appended_ms`.
    pub fn take(&mut self, fact: Fact, appended_ms: i64) -> Taken {
        if is_ahead(fact.at(), appended_ms) {
            return Taken::Ahead;
        }
        let id = fact.workload().clone();
        if !self.workloads.contains_key(&id) && !self.make_room(appended_ms) {
            self.refuse();
            return Taken::NoRoom;
        }
        let points_max = self.points_max();
        let workload = self.workloads.entry(id.clone()).or_insert_with(|| Workload::new(id.clone()));
        let series_before = workload.series_count();
        let at = fact.at();
        let mut recent = None;
        let used = match fact {
            Fact::Sample(sample) => {
                workload.take_sample(sample, points_max);
                true
            }
            Fact::Fingerprint(fingerprint) => workload.take_fingerprint(*fingerprint),
            Fact::Prediction(id, prediction) => workload.take_prediction(id, prediction, points_max),
            Fact::Action(action_id, action) => {
                recent = Some((at, id, action_id.clone()));
                workload.take_action(action_id, *action)
            }
            Fact::Result(result) => {
                workload.take_result(*result);
                true
            }
            Fact::Outcome(outcome) => workload.week.take(&outcome),
        };
        workload.touched_ms = workload.touched_ms.max(appended_ms);
        self.stalest_ms = self.stalest_ms.min(workload.touched_ms);
        if !used {
            return Taken::Known;
        }
        self.revision += 1;
        workload.revision = self.revision;
        self.series_count += workload.series_count() - series_before;
        let stream = workload.step_s.gt(&0).then(|| workload.source.clone()).zip(workload.at);
        self.note(stream, recent);
        Taken::Used
    }

    /// Takes in a group's forecast, with its `ce_id`, that the bus took in at `appended_ms`.
    pub fn take_group(&mut self, id: Arc<str>, prediction: GroupPrediction, appended_ms: i64) -> Taken {
        if is_ahead(prediction.made_at, appended_ms) {
            return Taken::Ahead;
        }
        let points_max = self.points_max();
        self.groups.take(id, prediction, points_max)
    }

    fn note(&mut self, stream: Option<(Arc<str>, EventTime)>, action: Option<(EventTime, WorkloadId, Arc<str>)>) {
        if let Some((source, at)) = stream {
            if self.stream_at.len() >= SOURCES_MAX && !self.stream_at.contains_key(&source) {
                let oldest = self.stream_at.iter().min_by_key(|(_, at)| **at).map(|(source, _)| source.clone());
                oldest.map(|source| self.stream_at.remove(&source));
            }
            let newest = self.stream_at.entry(source).or_insert(at);
            *newest = at.max(*newest);
        }
        if let Some(action) = action {
            let place = self.recent_actions.partition_point(|kept| kept.0 <= action.0);
            self.recent_actions.insert(place, action);
            if self.recent_actions.len() > RECENT_ACTIONS_MAX {
                self.recent_actions.pop_front();
            }
        }
    }

    fn make_room(&mut self, now_ms: i64) -> bool {
        if self.workloads.len() < self.bounds.workloads_max {
            return true;
        }
        let Some(leaver) = self.stalest(now_ms).and_then(|id| self.workloads.remove(&id)) else { return false };
        self.series_count -= leaver.series_count();
        self.evicted += 1;
        self.revision += 1;
        self.evicted_at_revision = self.revision;
        true
    }

    /// Most points that a curve may have now: fewer, the more curves there are.
    pub fn points_max(&self) -> usize {
        (POINTS_TOTAL / self.series_count.max(1)).max(POINTS_MIN).min(self.bounds.points_max)
    }

    /// Changes with every record that changes what is shown.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The workload of that name.
    pub fn workload(&self, name: &str) -> Option<&Workload> {
        WorkloadId::new(name).ok().and_then(|id| self.workloads.get(&id))
    }

    /// The groups.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Newest instant of a stream.
    pub fn stream_at(&self, source: &str) -> Option<EventTime> {
        self.stream_at.get(source).copied()
    }

    /// What the last seven days of all workloads were worth.
    pub fn worth(&self) -> Option<Span> {
        self.workloads.values().filter_map(|workload| workload.week.span()).reduce(|mut sum, one| {
            sum.add(&one);
            sum
        })
    }

    /// Newest instant over all streams.
    pub fn newest(&self) -> Option<EventTime> {
        self.stream_at.values().max().copied()
    }
}

fn is_ahead(at: EventTime, appended_ms: i64) -> bool {
    at.as_ms() > appended_ms.saturating_add(AHEAD_MS)
}
