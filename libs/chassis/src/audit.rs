//! What must follow from the inputs of a stage, by what the log says and nothing else: for whoever accounts for every
//! record. A stage that knows better than the general rules here has an audit of its own.

use prescale_bus::ConsumedRecord;
use prescale_contracts::{Contract, parse_rfc3339};
use prescale_domain::time::EventTime;
use std::collections::HashMap;

/// An input without an output that should have one.
pub const NO_OUTPUT: &str = "nothing has followed from it";
/// An input with an output behind one that is missing.
pub const GAP: &str = "one of its outputs is missing";
/// An input that is neither understood nor among the dead letters.
pub const NOT_UNDERSTOOD: &str = "it cannot be decoded, and is no dead letter";
/// Reason of inputs that are not newer than the last one of their key.
pub const STALE: &str = "stale";
/// Reason of inputs that wait in the stage's state.
pub const WAITING: &str = "waiting";

/// Where a record lies in its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Partition.
    pub partition: u32,
    /// Offset in it.
    pub offset: i64,
}

impl Place {
    /// Of a record.
    pub fn of(record: &ConsumedRecord) -> Self {
        Self { partition: record.partition, offset: record.offset }
    }
}

/// An output that follows from an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its topic: none that is compacted.
    pub topic: &'static str,
    /// Its number among those of its input and key; 0 where outputs are not numbered.
    pub ordinal: u32,
    /// Its instant in event time, where it says one.
    pub at: Option<EventTime>,
}

/// An input that a stage is past, with what became of it.
#[derive(Clone, Copy, Debug)]
pub struct Read<'a> {
    /// The input.
    pub record: &'a ConsumedRecord,
    /// What follows from it.
    pub found: &'a [Found],
    /// Whether it is among the stage's dead letters.
    pub is_rejected: bool,
}

impl Read<'_> {
    /// Whether it came to an end that can be seen: an output or a dead letter.
    pub fn has_ended(&self) -> bool {
        self.is_rejected || !self.found.is_empty()
    }

    /// Whether its outputs, which are numbered from 0, lack one before the last.
    pub fn has_gap(&self) -> bool {
        let has = |ordinal: u32| self.found.iter().any(|found| found.ordinal == ordinal);
        let last = self.found.iter().map(|found| found.ordinal).max();
        last.is_some_and(|last| !(0..last).all(has))
    }

    /// Where it lies.
    pub fn place(&self) -> Place {
        Place::of(self.record)
    }

    /// Its key; empty where it has none.
    pub fn key(&self) -> &[u8] {
        self.record.key.as_deref().unwrap_or_default()
    }

    /// Its instant in event time, where its header says one.
    pub fn at(&self) -> Option<EventTime> {
        event_time(self.record)
    }

    /// What it says; `None` where that is not understood.
    pub fn decode<C: Contract>(&self) -> Option<C> {
        C::decode(self.record.value.as_deref()?).ok()
    }
}

/// A record's instant in event time, where its header says one.
pub fn event_time(record: &ConsumedRecord) -> Option<EventTime> {
    parse_rfc3339(std::str::from_utf8(record.header("ce_time")?).ok()?)
}

/// What is right or wrong about an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// It came to an end that can be seen.
    Ended,
    /// The stage only hears of it: no output has to follow.
    Aside,
    /// It has no output, for this reason.
    Without(&'static str),
    /// It lacks what should have followed, as this says.
    Wrong(&'static str),
    /// What comes later in the log decides.
    Open,
}

/// Judges the inputs of one stage, of all partitions.
pub trait Audit {
    /// Judges an input; those of a partition come in its order, each id once.
    fn judge(&mut self, read: &Read<'_>) -> Judged;

    /// What became of those that were left open, after the last input.
    fn close(&mut self) -> Vec<(Place, Judged)> {
        Vec::new()
    }

    /// The reasons for having no output that the stage counts as well, under the same names: all of them together
    /// come to the same number as its counters.
    fn counted(&self) -> &[&'static str] {
        &[]
    }
}

/// An input without an output is this.
struct Each(Judged);

impl Audit for Each {
    fn judge(&mut self, read: &Read<'_>) -> Judged {
        if read.has_gap() {
            Judged::Wrong(GAP)
        } else if read.has_ended() {
            Judged::Ended
        } else {
            self.0
        }
    }
}

/// Each input has an output, or is a dead letter.
pub fn each() -> Box<dyn Audit> {
    Box::new(Each(Judged::Wrong(NO_OUTPUT)))
}

/// Each input may be without an output, for this reason.
pub fn each_or(reason: &'static str) -> Box<dyn Audit> {
    Box::new(Each(Judged::Without(reason)))
}

/// Of stages whose inputs may each be without an output, for one reason or because they are stale: the log cannot
/// tell which of them should have had one.
pub struct Newest {
    counted: [&'static str; 2],
    newest: HashMap<Vec<u8>, EventTime>,
}

impl Newest {
    /// With the reason of those that are not stale.
    pub fn or(reason: &'static str) -> Self {
        Self { counted: [reason, STALE], newest: HashMap::new() }
    }

    /// Whether an input is not newer than the newest of its key before it.
    fn is_stale(&mut self, read: &Read<'_>) -> bool {
        let Some(at) = read.at() else { return false };
        match self.newest.get_mut(read.key()) {
            Some(newest) if *newest >= at => true,
            Some(newest) => {
                *newest = at;
                false
            }
            None => {
                self.newest.insert(read.key().to_vec(), at);
                false
            }
        }
    }
}

impl Audit for Newest {
    fn judge(&mut self, read: &Read<'_>) -> Judged {
        if read.is_rejected {
            return Judged::Ended;
        }
        let is_stale = self.is_stale(read);
        if read.has_gap() {
            Judged::Wrong(GAP)
        } else if read.has_ended() {
            Judged::Ended
        } else if is_stale {
            Judged::Without(STALE)
        } else {
            Judged::Without(self.counted[0])
        }
    }

    fn counted(&self) -> &[&'static str] {
        &self.counted
    }
}

struct Nothing;

impl Audit for Nothing {
    fn judge(&mut self, _read: &Read<'_>) -> Judged {
        Judged::Ended
    }
}

/// Nothing follows on the bus: the stage's effect is outside of it.
pub fn nothing() -> Box<dyn Audit> {
    Box::new(Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prescale_bus::Header;
    use prescale_contracts::rfc3339;

    fn record(key: &str, at_s: i64) -> ConsumedRecord {
        let time = rfc3339(EventTime::from_s(at_s)).into_bytes();
        ConsumedRecord {
            topic: "in".into(),
            partition: 0,
            offset: at_s,
            appended_at_ms: 0,
            key: Some(key.as_bytes().to_vec()),
            value: None,
            headers: vec![Header { name: "ce_time".into(), value: time.into() }],
        }
    }

    fn judged(audit: &mut dyn Audit, record: &ConsumedRecord, ordinals: &[u32], is_rejected: bool) -> Judged {
        let found = |ordinal: &u32| Found { topic: "out", ordinal: *ordinal, at: None };
        let found: Vec<Found> = ordinals.iter().map(found).collect();
        audit.judge(&Read { record, found: &found, is_rejected })
    }

    #[test]
    fn each_input_needs_an_output_or_a_dead_letter() {
        let (mut audit, record) = (each(), record("web", 60));
        assert_eq!(judged(audit.as_mut(), &record, &[0], false), Judged::Ended);
        assert_eq!(judged(audit.as_mut(), &record, &[], true), Judged::Ended);
        assert_eq!(judged(audit.as_mut(), &record, &[], false), Judged::Wrong(NO_OUTPUT));
        assert_eq!(judged(audit.as_mut(), &record, &[1], false), Judged::Wrong(GAP));
        assert_eq!(judged(audit.as_mut(), &record, &[1, 0], false), Judged::Ended);
    }

    #[test]
    fn what_is_not_newer_is_stale_and_the_rest_has_the_reason_of_the_stage() {
        let mut audit = Newest::or("hold");
        assert_eq!(judged(&mut audit, &record("web", 60), &[], false), Judged::Without("hold"));
        assert_eq!(judged(&mut audit, &record("web", 60), &[], false), Judged::Without(STALE));
        assert_eq!(judged(&mut audit, &record("app", 30), &[0], false), Judged::Ended);
        assert_eq!(judged(&mut audit, &record("web", 120), &[0, 2], false), Judged::Wrong(GAP));
        assert_eq!(judged(&mut audit, &record("web", 90), &[], false), Judged::Without(STALE));
        assert_eq!(audit.counted(), ["hold", STALE]);
        assert_eq!(judged(nothing().as_mut(), &record("web", 60), &[], false), Judged::Ended);
    }
}
