//! Maintenance windows and silences: workloads of which nobody is to hear for a time.

use crate::alarm::Anomaly;
use crate::selector::Selector;
use crate::time::EventTime;

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

/// What began while it held stays silenced for so long after it, in seconds; what lasts for longer is heard of.
const ENDS_WITHIN_S: i64 = 3600;

impl Silence {
    /// Whether nobody is to hear of what is told of an anomaly.
    pub fn holds(&self, anomaly: &Anomaly) -> bool {
        let is_in = |at: EventTime, until: Option<EventTime>| {
            self.from.is_none_or(|from| from <= at) && until.is_none_or(|until| at < until)
        };
        let late = self.until.map(|until| until.plus_s(ENDS_WITHIN_S));
        let is_due =
            is_in(anomaly.at, self.until) || (is_in(anomaly.started_at, self.until) && is_in(anomaly.at, late));
        is_due && self.members.holds(&anomaly.workload, &anomaly.source)
    }
}
