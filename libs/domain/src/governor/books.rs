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
    shrinks: bool,
}

/// The changes of a fleet that were admitted lately.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct Books(Vec<Entry>);

impl Books {
    /// Notes a change decided at `at`.
    pub(super) fn note(&mut self, at: EventTime, workload: WorkloadId, shrinks: bool) {
        self.0.push(Entry { at, workload, shrinks });
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
        self.0.iter().filter(|e| e.shrinks && e.at > since).count()
    }

    /// Forgets what was decided before.
    pub(super) fn forget_before(&mut self, at: EventTime) {
        self.0.retain(|e| e.at >= at);
    }
}
