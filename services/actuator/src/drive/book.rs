//! Of each workload the newest action, how far it is, and what is to be called next. Pure: the time, what was seen and
//! what calls came to are handed in.
//!
//! An action has one result. Of one workload the one that was decided last counts; what it overtakes is superseded, and
//! never is more than one call under way for a workload.

use super::call::CallError;
use super::driver::Aim;
use super::open::{Call, Fate, Now, Open, Seen};
use super::order::Order;
use super::pace::Pace;
use prescale_chassis::audit::Place;
use prescale_domain::action::{ActionOutcome, Mechanism};
use prescale_domain::sample::Capacity;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An id is known for at least so long after it was read, in seconds.
const KNOWN_FOR_S: i64 = 3600;

/// What a cloud is called within.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Most calls under way at a time.
    pub calls_in_flight_max: usize,
    /// Most calls a second.
    pub calls_per_s_max: f64,
    /// What the cloud has taken comes into effect within so many seconds, or has failed.
    pub settle_s: u32,
}

/// What is known of a record that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It was not read before.
    New,
    /// It was taken up before and had no result; with what it was sent from, if it was.
    Open(Option<Arc<str>>),
    /// It has its result.
    Answered,
}

/// A call to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// What for.
    pub aim: Aim,
    /// Which.
    pub call: Call,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Came {
    /// This was seen.
    Seen(Seen),
    /// What was sent or asked was taken.
    Taken,
    /// It did not do what it was made for.
    Failed(CallError),
}

/// An action with its result.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// The action.
    pub order: Arc<Order>,
    /// What became of it.
    pub outcome: ActionOutcome,
    /// Capacity that was there before, where it was looked at.
    pub before: Option<Capacity>,
}

/// What is kept of a workload.
#[derive(Default)]
struct Entry {
    /// What was decided last.
    newest: Option<Newest>,
    /// Ids that had a turn, each until it need not be known any more.
    ids: Vec<(Arc<str>, EventTime)>,
    open: Option<Open>,
    is_called: bool,
    /// When its turn comes, where it is among those that wait.
    due_ms: Option<u64>,
}

struct Newest {
    decided_at: EventTime,
    is_withdrawal: bool,
}

/// The book of one cloud.
pub struct Book {
    limits: Limits,
    mechanisms: &'static [Mechanism],
    undoes_withdrawn: bool,
    entries: BTreeMap<WorkloadId, Entry>,
    /// Those that wait for their turn, by when it comes.
    due: BTreeSet<(u64, WorkloadId)>,
    pace: Pace,
    in_flight: usize,
    ended: Vec<Ended>,
}

impl Book {
    /// An empty one, of a cloud that changes capacity by these mechanisms, and that has something to do about what was
    /// withdrawn, or not.
    pub fn new(limits: Limits, mechanisms: &'static [Mechanism], undoes_withdrawn: bool) -> Self {
        let pace = Pace::new(limits.calls_per_s_max);
        let (entries, due) = (BTreeMap::new(), BTreeSet::new());
        Self { limits, mechanisms, undoes_withdrawn, entries, due, pace, in_flight: 0, ended: Vec::new() }
    }

    /// Takes up an action, in the order of the log. One whose id had its turn lately is left out; whether one that comes
    /// later than [`Order::remembered_until`] had it is for `kept` to say.
    pub fn take(&mut self, order: Order, kept: Kept, now: Now) {
        let (workload, order) = (order.workload().clone(), Arc::new(order));
        let entry = self.entries.entry(workload.clone()).or_default();
        if entry.knows(order.id()) {
            return;
        }
        entry.ids.retain(|(_, until)| *until > now.at);
        let until = order.remembered_until().max(now.at.plus_s(KNOWN_FOR_S));
        entry.ids.push((Arc::clone(order.id()), until));
        let is_answered = kept == Kept::Answered;
        if entry.has_newer_than(&order) {
            if !is_answered {
                let why = order.withdrawn_for().unwrap_or_else(|| "a newer action is out".to_owned());
                self.end(order, ActionOutcome::Superseded { why }, None);
            }
            return;
        }
        let (decided_at, is_withdrawal) = (order.action.decided_at, order.action.is_withdrawal());
        entry.newest = Some(Newest { decided_at, is_withdrawal });
        self.overtake(&workload, &order);
        if is_answered {
            return;
        }
        match self.refused(&order) {
            Some(outcome) => self.end(order, outcome, None),
            None => self.open_up(workload, order, kept, now),
        }
    }

    /// The calls to be made now. What is to be sent has to be written down first ([`Book::open`]).
    pub fn jobs(&mut self, now: Now) -> Vec<Job> {
        let mut jobs = Vec::new();
        while let Some((due_ms, workload)) = self.due.first().cloned()
            && due_ms <= now.ms
        {
            let Some(entry) = self.entries.get_mut(&workload) else {
                self.due.remove(&(due_ms, workload));
                continue;
            };
            if let Some(outcome) = entry.open.as_ref().and_then(|open| open.void(now)) {
                self.finish(&workload, outcome);
                continue;
            }
            let Some(open) = entry.open.as_mut() else {
                entry.due_ms = None;
                self.due.remove(&(due_ms, workload));
                continue;
            };
            if open.is_void_to_send(now) {
                // It became void while it waited for its turn: what there is decides what that means.
                open.look_instead();
            }
            if self.in_flight >= self.limits.calls_in_flight_max || !self.pace.take(now.ms) {
                break;
            }
            let call = open.start();
            jobs.push(Job { aim: open.aim().clone(), call });
            (entry.is_called, entry.due_ms) = (true, None);
            self.in_flight += 1;
            self.due.remove(&(due_ms, workload));
        }
        jobs
    }

    /// Takes in how a call ended.
    pub fn came(&mut self, job: &Job, came: Came, now: Now) {
        let workload = job.aim.order.workload().clone();
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Came::Failed(CallError::Throttled { pause, .. }) = &came {
            self.pace.hold(now.ms.saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)));
        }
        let Some(entry) = self.entries.get_mut(&workload) else { return };
        entry.is_called = false;
        let Some(open) = entry.open.as_mut() else { return };
        if open.aim().order.id() != job.aim.order.id() {
            // It was made for an action that was overtaken meanwhile.
            self.schedule(&workload, now.ms);
            return;
        }
        let fate = match (came, &job.call) {
            (Came::Seen(seen), _) => open.looked(seen, now),
            (Came::Taken, Call::Check(request)) => Open::checked(request),
            (Came::Taken, _) => open.sent(now),
            (Came::Failed(error), call) => open.failed(call, error, now),
        };
        match fate {
            Fate::Goes { at_ms } => self.schedule(&workload, at_ms),
            Fate::Ends(outcome) => self.finish(&workload, outcome),
        }
    }

    /// The actions that have come to their end, each once.
    pub fn ended(&mut self) -> Vec<Ended> {
        std::mem::take(&mut self.ended)
    }

    /// The actions that have no result yet, by where they lie, with what they were sent from.
    pub fn open(&self) -> impl Iterator<Item = (Place, Option<&Arc<str>>)> {
        let open = self.entries.values().filter_map(|entry| entry.open.as_ref());
        open.map(|open| (open.aim().order.place, open.aim().sent_from.as_ref()))
    }

    /// When [`Book::jobs`] may have something to do; `None` while it waits for calls or records alone.
    pub fn wake_ms(&self, now: Now) -> Option<u64> {
        let (due_ms, _) = self.due.first()?;
        let has_room = self.in_flight < self.limits.calls_in_flight_max;
        has_room.then(|| (*due_ms).max(self.pace.next_ms(now.ms)))
    }

    /// Calls under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Forgets workloads of which nothing need be known any more.
    pub fn forget(&mut self, now: Now) {
        self.entries.retain(|_, entry| {
            entry.ids.retain(|(_, until)| *until > now.at);
            entry.open.is_some() || entry.is_called || !entry.ids.is_empty()
        });
    }

    /// Why an action is not taken up at all.
    fn refused(&self, order: &Order) -> Option<ActionOutcome> {
        if let Some(why) = order.withdrawn_for() {
            let has_to_be_undone = self.undoes_withdrawn && !order.action.dry_run;
            return (!has_to_be_undone).then_some(ActionOutcome::Superseded { why });
        }
        let mechanism = order.action.mechanism;
        (!self.mechanisms.contains(&mechanism)).then(|| ActionOutcome::Failed {
            why: format!(
                "its cloud, {}, cannot change capacity by {mechanism:?}: set [planner] mechanism",
                order.action.platform
            ),
            retryable: false,
        })
    }

    fn open_up(&mut self, workload: WorkloadId, order: Arc<Order>, kept: Kept, now: Now) {
        let sent_from = match kept {
            Kept::Open(sent_from) => sent_from,
            Kept::New | Kept::Answered => None,
        };
        let open = Open::new(Arc::clone(&order), sent_from, 1000 * u64::from(self.limits.settle_s));
        if let Some(outcome) = open.void(now) {
            self.end(order, outcome, None);
            return;
        }
        let Some(entry) = self.entries.get_mut(&workload) else { return };
        entry.open = Some(open);
        if !entry.is_called {
            self.schedule(&workload, now.ms);
        }
    }

    /// Ends what is open of a workload, since this one takes its place.
    fn overtake(&mut self, workload: &WorkloadId, newer: &Order) {
        let why = newer.withdrawn_for().unwrap_or_else(|| "a newer action took its place".to_owned());
        self.finish(workload, ActionOutcome::Superseded { why });
    }

    /// Ends what is open of a workload, if anything is.
    fn finish(&mut self, workload: &WorkloadId, outcome: ActionOutcome) {
        let Some(entry) = self.entries.get_mut(workload) else { return };
        if let Some(due_ms) = entry.due_ms.take() {
            self.due.remove(&(due_ms, workload.clone()));
        }
        if let Some(open) = entry.open.take() {
            self.end(Arc::clone(&open.aim().order), outcome, open.before().cloned());
        }
    }

    fn end(&mut self, order: Arc<Order>, outcome: ActionOutcome, before: Option<Capacity>) {
        self.ended.push(Ended { order, outcome, before });
    }

    fn schedule(&mut self, workload: &WorkloadId, at_ms: u64) {
        let Some(entry) = self.entries.get_mut(workload) else { return };
        if let Some(before_ms) = entry.due_ms.replace(at_ms) {
            self.due.remove(&(before_ms, workload.clone()));
        }
        self.due.insert((at_ms, workload.clone()));
    }
}

impl Entry {
    /// Whether an id had its turn.
    fn knows(&self, id: &Arc<str>) -> bool {
        let is_open = self.open.as_ref().is_some_and(|open| open.aim().order.id() == id);
        is_open || self.ids.iter().any(|(known, _)| known == id)
    }

    /// Whether what was decided last stands before this one: it was decided later, or withdraws what was decided then.
    fn has_newer_than(&self, order: &Order) -> bool {
        let decided_at = order.action.decided_at;
        self.newest.as_ref().is_some_and(|newest| {
            newest.decided_at > decided_at || (newest.decided_at == decided_at && newest.is_withdrawal)
        })
    }
}

#[cfg(test)]
mod tests;
