//! Which workloads have been silent for so long that they can be forgotten: what bounds the memory
//! of a stage that keeps something of each workload.

use crate::time::EventTime;
use bitcode::{Decode, Encode};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The clocks of the sources that a stage has heard of, and when to look for the silent next.
///
/// A workload is silent by the clock of its own source: a trace of last year does not age by today's
/// samples.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct SilenceWatch {
    sources: BTreeMap<Arc<str>, SourceAge>,
}

#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct SourceAge {
    newest: EventTime,
    next_sweep: EventTime,
}

impl SilenceWatch {
    /// Takes note of an instant of `source`. When it is time to sweep, which it is once in a quarter
    /// of `forget_after_s`, returns the instant before which a workload of that source is silent.
    pub fn observe(&mut self, source: &Arc<str>, at: EventTime, forget_after_s: u32) -> Option<EventTime> {
        let sweep_at = |newest: EventTime| newest.plus_s(i64::from(forget_after_s / 4));
        let Some(age) = self.sources.get_mut(source) else {
            self.sources.insert(Arc::clone(source), SourceAge { newest: at, next_sweep: sweep_at(at) });
            return None;
        };
        age.newest = age.newest.max(at);
        if age.newest < age.next_sweep {
            return None;
        }
        age.next_sweep = sweep_at(age.newest);
        Some(age.newest.plus_s(-i64::from(forget_after_s)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_is_swept_by_its_own_clock() {
        let (live, replay): (Arc<str>, Arc<str>) = ("host:a".into(), "replay:b".into());
        let at = EventTime::from_s;
        let mut watch = SilenceWatch::default();
        assert_eq!(watch.observe(&live, at(1_000_000), 400), None);
        assert_eq!(watch.observe(&replay, at(1000), 400), None);
        assert_eq!(watch.observe(&replay, at(1099), 400), None);
        assert_eq!(watch.observe(&replay, at(1100), 400), Some(at(700)));
        assert_eq!(watch.observe(&replay, at(1150), 400), None);
        assert_eq!(watch.observe(&replay, at(900), 400), None);
        assert_eq!(watch.observe(&live, at(1_000_099), 400), None);
    }
}
