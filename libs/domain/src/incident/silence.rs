//! Maintenance windows and silences: workloads of which nobody is to hear for a time.

use crate::selector::Selector;
use crate::time::EventTime;
use crate::workload::WorkloadId;

/// Workloads of which nobody is to hear for a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Silence {
    /// Which.
    pub members: Selector,
    /// From when on; `None` for ever before.
    pub from: Option<EventTime>,
    /// Until when; `None` for good.
    pub until: Option<EventTime>,
}

impl Silence {
    /// Whether it holds for an anomaly of a workload of a source that began at an instant.
    pub fn holds(&self, workload: &WorkloadId, source: &str, at: EventTime) -> bool {
        let is_in = self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until);
        is_in && self.members.holds(workload, source)
    }
}
