//! How far each source has come in event time, and which of its workloads are silent for so long that
//! they are to be forgotten: what bounds the memory of a stage that keeps something of each workload.
//! Knows nothing of what that is.
//!
//! A workload is silent by the clock of its own source: a trace of last year does not age by today's
//! samples.

use crate::source::SourceName;
use crate::time::EventTime;
use bitcode::{Decode, Encode};
use std::collections::BTreeMap;

/// A workload without records for so many seconds of its source's event time is forgotten: a day more
/// than the topics keep records.
pub const FORGET_AFTER_S: i64 = 8 * 86_400;

/// Silent workloads are looked for once in so many seconds of event time.
const SWEEP_EVERY_S: i64 = FORGET_AFTER_S / 4;

/// Number of a source, in the order of their first records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct SourceNumber(u32);

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Source {
    number: SourceNumber,
    newest: EventTime,
    next_sweep: EventTime,
}

/// The sources of a partition.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Sources(BTreeMap<SourceName, Source>);

/// A source after a record of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The source.
    pub source: SourceNumber,
    /// When it is time to look: its workloads whose last record is before this are to be forgotten.
    pub forget_before: Option<EventTime>,
}

impl Sources {
    /// Takes in that a source has a record of `at`.
    pub fn observe(&mut self, source: &SourceName, at: EventTime) -> Observed {
        let Some(known) = self.0.get_mut(source) else {
            let number = SourceNumber(self.0.len() as u32);
            let next_sweep = at.plus_s(SWEEP_EVERY_S);
            self.0.insert(source.clone(), Source { number, newest: at, next_sweep });
            return Observed { source: number, forget_before: None };
        };
        known.newest = known.newest.max(at);
        let is_time = known.newest >= known.next_sweep;
        if is_time {
            known.next_sweep = known.newest.plus_s(SWEEP_EVERY_S);
        }
        let forget_before = is_time.then(|| known.newest.plus_s(-FORGET_AFTER_S));
        Observed { source: known.number, forget_before }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_a_clock_of_its_own_and_sweeps_are_rare() {
        let name = |text: &str| SourceName::new(text).unwrap();
        let (mut sources, a, b) = (Sources::default(), name("a"), name("b"));
        let at = |days: i64| EventTime::from_s(days * 86_400);
        let first = sources.observe(&a, at(0));
        assert_eq!(first.forget_before, None);
        let other = sources.observe(&b, at(100));
        assert_ne!(first.source, other.source);
        assert_eq!(sources.observe(&a, at(1)), first);
        let swept = sources.observe(&a, at(9));
        assert_eq!((swept.source, swept.forget_before), (first.source, Some(at(1))));
        assert_eq!(sources.observe(&a, at(10)).forget_before, None);
        assert_eq!(sources.observe(&a, at(3)).forget_before, None);
        assert_eq!(sources.observe(&a, at(11)).forget_before, Some(at(3)));
    }
}
