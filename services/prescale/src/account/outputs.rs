//! The outputs of one stage, and which of them follow from which input: ids say so, and nothing else is believed.

use prescale_bus::ConsumedRecord;
use prescale_chassis::audit::{Found, Place, event_time};
use prescale_chassis::stage::ids_of;
use prescale_chassis::{Ids, StageEntry};
use prescale_contracts::envelope::following_id;
use prescale_contracts::topics::{Retention, table};
use prescale_domain::time::EventTime;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Ordinals are numbered without a gap; so many that are missing in a row end them all the same.
const MISSING_ORDINALS_MAX: u32 = 2;
/// An input may be older in event time by so many milliseconds than one that was read before it.
const OUT_OF_ORDER_MS: i64 = 3_600_000;

/// A `ce_id` of ours, or a trace id, as a number: 32 hex digits.
pub(super) type Id = u128;

/// All that a stage has written.
pub(super) struct Outputs<'a> {
    entry: &'a StageEntry,
    is_compacted: Vec<bool>,
    all: Vec<Output>,
    /// The last one of an id; the others are chained to it.
    by_id: HashMap<Id, usize>,
    /// Where outputs may have keys of their own.
    by_trace: HashMap<Id, Vec<usize>>,
    /// Where outputs are joined: by key and instant.
    by_instant: HashMap<(Vec<u8>, EventTime), usize>,
    /// Those that were there before.
    pub(super) repeated: Vec<String>,
}

struct Output {
    /// Index in the topics of the stage.
    topic: usize,
    id: Option<Id>,
    /// Only where outputs may have keys of their own.
    key: Vec<u8>,
    key_hash: u64,
    at: Option<EventTime>,
    appended_at_ms: i64,
    place: Place,
    /// Another output of the same id, on another topic.
    same: Option<usize>,
    is_followed: bool,
}

/// What the log still holds of a stage's input.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Whether the oldest records are gone in some partition.
    pub(super) has_lost_its_beginning: bool,
    /// By hash of the key the oldest record that is kept: its instant, and when it was appended.
    oldest: HashMap<u64, (EventTime, i64)>,
}

/// An output that follows from no input.
pub(super) enum Orphan {
    /// Its input may have been removed by retention.
    MayBeRetention,
    /// It was never there.
    Stray(String),
}

impl Kept {
    /// Takes an input in, in the order of its partition.
    pub(super) fn take(&mut self, record: &ConsumedRecord) {
        if let Some(at) = event_time(record) {
            self.oldest.entry(key_hash(record)).or_insert((at, record.appended_at_ms));
        }
    }

    /// Whether the input of an output would still have to be there.
    fn would_have(&self, output: &Output) -> bool {
        let is_older = |(at, appended_at_ms): &(EventTime, i64)| {
            let is_before = |output_at: EventTime| at.as_ms().saturating_add(OUT_OF_ORDER_MS) < output_at.as_ms();
            *appended_at_ms <= output.appended_at_ms && output.at.is_some_and(is_before)
        };
        !self.has_lost_its_beginning || self.oldest.get(&output.key_hash).is_some_and(is_older)
    }
}

impl<'a> Outputs<'a> {
    /// None yet.
    pub(super) fn of(entry: &'a StageEntry) -> Self {
        let compacted: Vec<String> =
            table().into_iter().filter(|topic| topic.retention == Retention::Compact).map(|topic| topic.name).collect();
        Self {
            entry,
            is_compacted: entry.outputs.iter().map(|topic| compacted.iter().any(|name| name == topic)).collect(),
            all: Vec::new(),
            by_id: HashMap::new(),
            by_trace: HashMap::new(),
            by_instant: HashMap::new(),
            repeated: Vec::new(),
        }
    }

    /// Takes a record of the stage's topic of that index in.
    pub(super) fn take(&mut self, topic: usize, record: &ConsumedRecord) {
        let (at, id, number) = (event_time(record), id_of(record), self.all.len());
        let mut output = Output {
            topic,
            id,
            key: Vec::new(),
            key_hash: key_hash(record),
            at,
            appended_at_ms: record.appended_at_ms,
            place: Place::of(record),
            same: None,
            is_followed: false,
        };
        if let Some(id) = id {
            output.same = self.by_id.get(&id).copied();
            if self.has_in_chain(output.same, topic) {
                let place = self.shown(&output);
                self.repeated.push(place);
                return;
            }
            self.by_id.insert(id, number);
        }
        let key = record.key.clone().unwrap_or_default();
        match self.entry.ids {
            Ids::OfInput => {}
            Ids::OfOutput => {
                output.key = key;
                if let Some(trace) = trace_of(record) {
                    self.by_trace.entry(trace).or_default().push(number);
                }
            }
            Ids::Joined => {
                if let Some(at) = at
                    && self.by_instant.insert((key, at), number).is_some()
                {
                    let place = self.shown(&output);
                    self.repeated.push(place);
                }
            }
        }
        self.all.push(output);
    }

    fn has_in_chain(&self, mut next: Option<usize>, topic: usize) -> bool {
        while let Some(output) = next.and_then(|number| self.all.get(number)) {
            if output.topic == topic {
                return true;
            }
            next = output.same;
        }
        false
    }

    /// Marks what follows from an input, and gives it but for what lies on compacted topics.
    pub(super) fn following(&mut self, input: &ConsumedRecord) -> Vec<Found> {
        let mut found = Vec::new();
        if self.entry.ids == Ids::Joined {
            self.mark_joined(input, &mut found);
            return found;
        }
        let Ok((parent, trace)) = ids_of(input) else { return found };
        let key = input.key.as_deref().unwrap_or_default();
        if let Ok(key) = std::str::from_utf8(key) {
            let (mut ordinal, mut missing) = (0, 0);
            while missing < MISSING_ORDINALS_MAX {
                let id = following_id(&parent, self.entry.stage, key, ordinal);
                missing = if self.mark(id, ordinal, &mut found) { 0 } else { missing + 1 };
                ordinal += 1;
            }
        }
        if let Ok(trace) = Id::from_str_radix(&trace, 16) {
            self.mark_of_trace(trace, &parent, key, &mut found);
        }
        found
    }

    /// Marks outputs of a trace whose ids are made with their own keys.
    fn mark_of_trace(&mut self, trace: Id, parent: &str, key: &[u8], found: &mut Vec<Found>) {
        let Some(numbers) = self.by_trace.get(&trace) else { return };
        let most = numbers.len() as u32 + MISSING_ORDINALS_MAX;
        let mut matches = Vec::new();
        for output in numbers.iter().filter_map(|number| self.all.get(*number)) {
            let own_key = std::str::from_utf8(&output.key).ok().filter(|own| own.as_bytes() != key);
            let (Some(own_key), Some(id), false) = (own_key, output.id, output.is_followed) else { continue };
            let is_it = |ordinal: &u32| following_id(parent, self.entry.stage, own_key, *ordinal) == id;
            matches.extend((0..most).find(is_it).map(|ordinal| (id, ordinal)));
        }
        for (id, ordinal) in matches {
            self.mark(id, ordinal, found);
        }
    }

    fn mark_joined(&mut self, input: &ConsumedRecord, found: &mut Vec<Found>) {
        let Some(at) = event_time(input) else { return };
        let place = (input.key.clone().unwrap_or_default(), at);
        let Some(number) = self.by_instant.get(&place).copied() else { return };
        if let Some(output) = self.all.get_mut(number) {
            output.is_followed = true;
            found.push(Found { topic: self.entry.outputs[output.topic], ordinal: 0, at: output.at });
        }
    }

    /// Marks the outputs of an id; whether there are any.
    fn mark(&mut self, id: Id, ordinal: u32, found: &mut Vec<Found>) -> bool {
        let first = self.by_id.get(&id).copied();
        let mut next = first;
        while let Some(number) = next {
            let Some(output) = self.all.get_mut(number) else { break };
            output.is_followed = true;
            if !self.is_compacted[output.topic] {
                found.push(Found { topic: self.entry.outputs[output.topic], ordinal, at: output.at });
            }
            next = output.same;
        }
        first.is_some()
    }

    /// Those that follow from no input.
    pub(super) fn orphans(&self, kept: &Kept) -> impl Iterator<Item = Orphan> {
        let orphan = move |output: &Output| {
            if kept.would_have(output) { Orphan::Stray(self.shown(output)) } else { Orphan::MayBeRetention }
        };
        self.all.iter().filter(|output| !output.is_followed).map(orphan)
    }

    fn shown(&self, output: &Output) -> String {
        shown(self.entry.outputs[output.topic], output.place)
    }
}

/// A place as messages name it.
pub(super) fn shown(topic: &str, place: Place) -> String {
    format!("{topic}/{}@{}", place.partition, place.offset)
}

/// A record's id; one that is no 32 hex digits, as of other producers, by its hash.
pub(super) fn id_of(record: &ConsumedRecord) -> Option<Id> {
    let text = std::str::from_utf8(record.header("ce_id")?).ok()?;
    let own = if text.len() == 32 { Id::from_str_radix(text, 16).ok() } else { None };
    Some(own.unwrap_or_else(|| following_id(text, "", "", 0)))
}

fn trace_of(record: &ConsumedRecord) -> Option<Id> {
    let parent = std::str::from_utf8(record.header("traceparent")?).ok()?;
    Id::from_str_radix(parent.split('-').nth(1)?, 16).ok()
}

fn key_hash(record: &ConsumedRecord) -> u64 {
    let mut hasher = DefaultHasher::new();
    record.key.hash(&mut hasher);
    hasher.finish()
}
