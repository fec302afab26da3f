//! What was changed lately, so that shares and budgets can be kept.

use crate::time::EventTime;
use crate::workload::WorkloadId;
use bitcode::{Decode, Encode};
use std::collections::BTreeSet;

/// Scale-ins are counted over so long, in seconds.
pub(super) const HOUR_S: i64 = 3600;

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Entry {
    at: EventTime,
    workload: WorkloadId,
    change: Change,
}

/// What a change does to its workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) enum Change {
    /// It takes something away.
    Shrinks,
    /// It adds what live use demands.
    Demanded,
    /// It adds what nothing but a forecast wants.
    Wanted,
}

/// The changes of a fleet that were admitted lately.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct Books(Vec<Entry>);

impl Books {
    /// Notes a change decided at `at`.
    pub(super) fn note(&mut self, at: EventTime, workload: WorkloadId, change: Change) {
        self.0.push(Entry { at, workload, change });
    }

    /// How many other workloads changed later than `window_s` before `at`. What was decided after `at` counts
    /// too: so no window of that length ever holds more than was allowed, in whatever order they came.
    pub(super) fn others_changed(&self, at: EventTime, window_s: i64, workload: &WorkloadId) -> usize {
        let since = at.plus_s(-window_s);
        let others = self.0.iter().filter(|e| e.at > since && e.workload != *workload).map(|e| &e.workload);
        others.collect::<BTreeSet<_>>().len()
    }

    /// How many scale-ins there were later than an hour before `at`.
    pub(super) fn scale_ins(&self, at: EventTime) -> usize {
        let since = at.plus_s(-HOUR_S);
        self.0.iter().filter(|e| e.change == Change::Shrinks && e.at > since).count()
    }

    /// How many workloads grew for a forecast's sake later than `window_s` before `at`.
    pub(super) fn wanted(&self, at: EventTime, window_s: i64) -> usize {
        let since = at.plus_s(-window_s);
        let wanted = self.0.iter().filter(|e| e.at > since && e.change == Change::Wanted).map(|e| &e.workload);
        wanted.collect::<BTreeSet<_>>().len()
    }

    /// Forgets what was decided before.
    pub(super) fn forget_before(&mut self, at: EventTime) {
        self.0.retain(|e| e.at >= at);
    }
}
