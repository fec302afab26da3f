//! How far a source has come in event time.

use crate::time::EventTime;
use crate::workload::WorkloadId;
use bitcode::{Decode, Encode};

/// The newest instant of a source that can be trusted.
///
/// An instant more than `ahead_s` past the newest does not move the clock by itself: a single
/// broken one would make all others late. It does when the next sample to come is as far ahead
/// and is another one, as it is when a source goes on after an outage. A source's first instant
/// is trusted on the same terms.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct SourceClock {
    newest: EventTime,
    unconfirmed: Option<Witness>,
    candidate: Option<Witness>,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Witness {
    workload: WorkloadId,
    at: EventTime,
}

/// Where a sample stands against its source's clock, after the clock has seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// At or before the newest.
    Current,
    /// Ahead of the clock by so many seconds, and no other sample agrees yet.
    Ahead {
        /// Seconds ahead.
        by_s: i64,
    },
}

impl SourceClock {
    /// A clock at a source's first sample.
    pub fn starting(workload: &WorkloadId, at: EventTime) -> Self {
        Self { newest: at, unconfirmed: Some(Witness { workload: workload.clone(), at }), candidate: None }
    }

    /// The newest trusted instant.
    pub fn newest(&self) -> EventTime {
        self.newest
    }

    /// Takes note of a sample.
    pub fn observe(&mut self, workload: &WorkloadId, at: EventTime, ahead_s: i64) -> Standing {
        let by_s = (at.as_ms() - self.newest.as_ms()).div_euclid(1000);
        if by_s > ahead_s {
            return self.observe_ahead(workload, at, by_s, ahead_s);
        }
        self.candidate = None;
        if let Some(first) = &self.unconfirmed {
            if first.workload == *workload && first.at == at {
                return Standing::Current;
            }
            if by_s < -ahead_s {
                *self = Self::starting(workload, at);
                return Standing::Current;
            }
            self.unconfirmed = None;
        }
        self.newest = self.newest.max(at);
        Standing::Current
    }

    fn observe_ahead(&mut self, workload: &WorkloadId, at: EventTime, by_s: i64, ahead_s: i64) -> Standing {
        let agreeing = self.candidate.as_ref().filter(|c| {
            let apart_ms = (c.at.as_ms() - at.as_ms()).abs();
            apart_ms <= ahead_s * 1000 && !(c.workload == *workload && c.at == at)
        });
        if let Some(candidate) = agreeing {
            self.newest = candidate.at.max(at);
            self.candidate = None;
            self.unconfirmed = None;
            return Standing::Current;
        }
        self.candidate = Some(Witness { workload: workload.clone(), at });
        Standing::Ahead { by_s }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vm(name: &str) -> WorkloadId {
        WorkloadId::new(name).unwrap()
    }

    #[test]
    fn one_instant_from_the_future_does_not_move_the_clock() {
        let mut clock = SourceClock::starting(&vm("a"), EventTime::from_s(0));
        assert_eq!(clock.observe(&vm("b"), EventTime::from_s(60), 300), Standing::Current);
        assert_eq!(clock.observe(&vm("a"), EventTime::from_s(4000), 300), Standing::Ahead { by_s: 3940 });
        assert_eq!(clock.observe(&vm("a"), EventTime::from_s(4000), 300), Standing::Ahead { by_s: 3940 });
        assert_eq!(clock.observe(&vm("b"), EventTime::from_s(120), 300), Standing::Current);
        assert_eq!(clock.newest(), EventTime::from_s(120));
    }

    #[test]
    fn two_that_agree_move_it() {
        let mut clock = SourceClock::starting(&vm("a"), EventTime::from_s(0));
        clock.observe(&vm("b"), EventTime::from_s(0), 300);
        assert!(matches!(clock.observe(&vm("a"), EventTime::from_s(4060), 300), Standing::Ahead { .. }));
        assert_eq!(clock.observe(&vm("b"), EventTime::from_s(4000), 300), Standing::Current);
        assert_eq!(clock.newest(), EventTime::from_s(4060));
    }

    #[test]
    fn a_first_instant_from_the_future_is_forgotten() {
        let mut clock = SourceClock::starting(&vm("a"), EventTime::from_s(1_000_000));
        clock.observe(&vm("b"), EventTime::from_s(60), 300);
        assert_eq!(clock.newest(), EventTime::from_s(60));
        clock.observe(&vm("c"), EventTime::from_s(60), 300);
        clock.observe(&vm("b"), EventTime::from_s(1_000_000), 300);
        assert_eq!(clock.newest(), EventTime::from_s(60));
    }
}
