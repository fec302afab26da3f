//! The headers of a record: CloudEvents in binary mode, and the W3C trace context.
//!
//! Ids are deterministic, so that a consumer can drop a duplicate whoever wrote it and however
//! often: a root's id is a hash of its source and position there, every other one of the id of the
//! record that it follows from. A foreign record, of a producer that sets no CloudEvents headers, has no id of its own;
//! it gets one of where it lies.

use crate::error::ContractError;
use crate::names::shared;
use crate::rfc3339;
use bitcode::{Decode, Encode};
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// CloudEvents version of the headers.
const SPEC_VERSION: &str = "1.0";
/// What the names of CloudEvents headers begin with.
const PREFIX: &str = "ce_";
const CONTENT_TYPE: &str = "application/avro";
const SPAN_ID_BYTES: usize = 8;
const ID_BYTES: usize = 16;

/// Where a foreign record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position<'a> {
    /// Topic, as it is named here.
    pub topic: &'a str,
    /// Partition.
    pub partition: u32,
    /// Offset in it.
    pub offset: i64,
}

impl Position<'_> {
    /// The id of the foreign record that lies there, which is also its trace's.
    pub fn id(&self) -> String {
        id_of(&[b"foreign", self.topic.as_bytes(), &self.partition.to_be_bytes(), &self.offset.to_be_bytes()])
    }
}

/// Whether headers of these names are those of a foreign record: none is of CloudEvents.
pub fn is_foreign<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
    !names.any(|name| name.starts_with(PREFIX))
}

/// Who made a record, what it is, and what it follows from.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Envelope {
    /// `ce_id`: 32 lower hex digits, the same however often the record is made.
    pub id: Arc<str>,
    /// `ce_source`: `/prescale/<stage or source>`.
    pub source: Arc<str>,
    /// `ce_type`: full name of the Avro record, such as `io.prescale.v1.Sample`.
    pub event_type: Arc<str>,
    /// `ce_time`: event time.
    pub time: EventTime,
    /// `ce_asof`: how far the source had come in event time when the turn of this record, or of the one that it follows
    /// from, had come. Not before `time`, and left out where it is that. It follows from the data, as all else does.
    pub as_of: EventTime,
    /// `traceparent`: the trace id is the root record's id, the span id begins this record's.
    pub trace_parent: Arc<str>,
}

impl Envelope {
    /// Of a record that follows from nothing on the bus. `position` names its place in the source:
    /// the same producer, position, workload and instant always give the same id.
    pub fn root(producer: &str, event_type: &str, workload: &WorkloadId, at: EventTime, position: &str) -> Self {
        let at_ms = at.as_ms().to_be_bytes();
        let id = id_of(&[
            b"root",
            producer.as_bytes(),
            event_type.as_bytes(),
            workload.as_str().as_bytes(),
            &at_ms,
            position.as_bytes(),
        ]);
        let trace_parent = trace_parent(&id, &id);
        Self::of(id, producer, event_type, (at, at), trace_parent)
    }

    /// Of a foreign record of `source` at a position.
    pub fn foreign(position: Position<'_>, source: &str, event_type: &str, at: EventTime) -> Self {
        let id = position.id();
        let trace_parent = trace_parent(&id, &id);
        Self::of(id, source, event_type, (at, at), trace_parent)
    }

    /// Of the record number `ordinal` that `stage` makes of this one for `workload`.
    pub fn following(&self, stage: &str, event_type: &str, workload: &WorkloadId, at: EventTime, ordinal: u32) -> Self {
        let id = hex(following_digest(&self.id, stage, workload.as_str(), ordinal));
        let trace_parent = trace_parent(self.trace_id(), &id);
        Self::of(id, stage, event_type, (at, self.as_of.max(at)), trace_parent)
    }

    fn of(
        id: String,
        producer: &str,
        event_type: &str,
        (time, as_of): (EventTime, EventTime),
        trace_parent: String,
    ) -> Self {
        Self {
            id: id.into(),
            source: shared(&format!("/prescale/{producer}")),
            event_type: shared(event_type),
            time,
            as_of,
            trace_parent: trace_parent.into(),
        }
    }

    /// Trace id of `traceparent`: 32 lower hex digits.
    pub fn trace_id(&self) -> &str {
        self.trace_parent.split('-').nth(1).unwrap_or("")
    }

    /// As headers of a record.
    pub fn headers(&self) -> Vec<(&'static str, Arc<str>)> {
        let as_of = (self.as_of > self.time).then(|| rfc3339::text(self.as_of));
        [
            ("ce_specversion", shared(SPEC_VERSION)),
            ("ce_id", Arc::clone(&self.id)),
            ("ce_source", Arc::clone(&self.source)),
            ("ce_type", Arc::clone(&self.event_type)),
            ("ce_time", rfc3339::text(self.time).into()),
            ("content-type", shared(CONTENT_TYPE)),
            ("traceparent", Arc::clone(&self.trace_parent)),
        ]
        .into_iter()
        .chain(as_of.map(|as_of| ("ce_asof", as_of.into())))
        .collect()
    }

    /// From the headers of a record. A record without `traceparent` begins a trace of its own.
    ///
    /// # Errors
    /// When a required header is missing, empty or malformed.
    pub fn from_headers<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<Self, ContractError> {
        let mut found: [Option<&'a [u8]>; NAMES.len()] = [None; NAMES.len()];
        for (name, value) in headers {
            if let Some(i) = NAMES.iter().position(|n| *n == name) {
                found[i].get_or_insert(value);
            }
        }
        let [version, id, source, event_type, time, trace, as_of] = found;
        let version = required(NAMES[0], version)?;
        if version != SPEC_VERSION {
            return Err(header_error(NAMES[0], format!("{version:?}: this build reads {SPEC_VERSION}")));
        }
        let id = required(NAMES[1], id)?;
        let time = instant(NAMES[4], required(NAMES[4], time)?)?;
        let as_of = match as_of {
            None => time,
            Some(_) => instant(NAMES[6], required(NAMES[6], as_of)?)?.max(time),
        };
        let trace_parent = match trace {
            None => trace_parent(&id_of(&[b"trace", id.as_bytes()]), &id_of(&[b"span", id.as_bytes()])),
            Some(_) => checked_trace_parent(required(NAMES[5], trace)?)?.to_owned(),
        };
        Ok(Self {
            id: id.into(),
            source: shared(required(NAMES[2], source)?),
            event_type: shared(required(NAMES[3], event_type)?),
            time,
            as_of,
            trace_parent: trace_parent.into(),
        })
    }
}

const NAMES: [&str; 7] = ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "traceparent", "ce_asof"];

fn header_error(name: &'static str, problem: String) -> ContractError {
    ContractError::Header { name, problem }
}

fn required<'a>(name: &'static str, value: Option<&'a [u8]>) -> Result<&'a str, ContractError> {
    let value = value.ok_or_else(|| {
        header_error(name, "is missing: records carry the CloudEvents headers of binary mode".to_owned())
    })?;
    match std::str::from_utf8(value) {
        Ok("") => Err(header_error(name, "is empty".to_owned())),
        Ok(text) => Ok(text),
        Err(_) => Err(header_error(name, "is not UTF-8".to_owned())),
    }
}

fn instant(name: &'static str, text: &str) -> Result<EventTime, ContractError> {
    rfc3339::parse(text).ok_or_else(|| header_error(name, format!("{text:?} is no RFC 3339 instant")))
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, lower case, neither id all zeros (W3C Trace Context, level 1).
fn checked_trace_parent(text: &str) -> Result<&str, ContractError> {
    let parts: Vec<&str> = text.split('-').collect();
    let widths = [2, 2 * ID_BYTES, 2 * SPAN_ID_BYTES, 2];
    let hex = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let is_zero = |part: &str| part.bytes().all(|b| b == b'0');
    let good = parts.len() == widths.len()
        && parts.iter().zip(widths).all(|(part, width)| part.len() == width && hex(part))
        && parts[0] == "00"
        && !is_zero(parts[1])
        && !is_zero(parts[2]);
    if good { Ok(text) } else { Err(header_error("traceparent", format!("{text:?} is no W3C trace context"))) }
}

fn trace_parent(trace_id: &str, record_id: &str) -> String {
    format!("00-{trace_id}-{}-01", record_id.get(..2 * SPAN_ID_BYTES).unwrap_or(record_id))
}

/// The id, as a number, of the record number `ordinal` that `stage` makes for `key` of the record with id `parent`:
/// for whoever looks for what must follow from a record.
pub fn following_id(parent: &str, stage: &str, key: &str, ordinal: u32) -> u128 {
    u128::from_be_bytes(following_digest(parent, stage, key, ordinal))
}

fn following_digest(parent: &str, stage: &str, key: &str, ordinal: u32) -> [u8; ID_BYTES] {
    digest(&[b"following", stage.as_bytes(), parent.as_bytes(), key.as_bytes(), &ordinal.to_be_bytes()])
}

fn id_of(fields: &[&[u8]]) -> String {
    hex(digest(fields))
}

/// The first 16 bytes of SHA-256 over the fields, each preceded by its length.
fn digest(fields: &[&[u8]]) -> [u8; ID_BYTES] {
    let mut hash = Sha256::new();
    for field in fields {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    let mut first = [0; ID_BYTES];
    first.copy_from_slice(&hash.finalize()[..ID_BYTES]);
    first
}

/// Lower hex.
fn hex(digest: [u8; ID_BYTES]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * ID_BYTES);
    for byte in digest {
        text.extend([byte >> 4, byte & 0xf].map(|digit| char::from(DIGITS[usize::from(digit)])));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn workload(name: &str) -> WorkloadId {
        WorkloadId::new(name).unwrap()
    }

    fn root() -> Envelope {
        Envelope::root("fleet", "io.prescale.v1.Sample", &workload("web-1"), EventTime::from_s(60), "7")
    }

    fn read(headers: &[(&'static str, Arc<str>)]) -> Result<Envelope, ContractError> {
        Envelope::from_headers(headers.iter().map(|(n, v)| (*n, v.as_bytes())))
    }

    #[test]
    fn the_id_is_a_hash_that_others_can_compute() {
        // Python: h=sha256(); for f in [b"root",b"fleet",b"io.prescale.v1.Sample",b"web-1",
        // struct.pack(">q",60000),b"7"]: h.update(struct.pack(">Q",len(f))+f); h.hexdigest()[:32]
        assert_eq!(&*root().id, "a5e8eb87e4f30d70b22ce41f9759b694");
        assert_eq!(root(), root());
    }

    #[test]
    fn ids_differ_in_every_field() {
        let parent = root();
        let w = workload("web-1");
        let at = EventTime::from_s(60);
        let base = parent.following("planner", "t", &w, at, 0);
        assert_ne!(base.id, parent.following("planner", "t", &w, at, 1).id);
        assert_ne!(base.id, parent.following("actuator", "t", &w, at, 0).id);
        assert_ne!(base.id, parent.following("planner", "t", &workload("web-2"), at, 0).id);
        assert_ne!(base.id, base.following("planner", "t", &w, at, 0).id);
        let moved = Envelope::root("fleetx", "", &w, at, "7");
        assert_ne!(Envelope::root("fleet", "x", &w, at, "7").id, moved.id, "lengths keep fields apart");
    }

    #[test]
    fn what_follows_can_be_worked_out_from_ids_alone() {
        let (parent, w) = (root(), workload("web-1"));
        for ordinal in [0, 3] {
            let child = parent.following("planner", "t", &w, EventTime::from_s(60), ordinal);
            let id = following_id(&parent.id, "planner", "web-1", ordinal);
            assert_eq!(&*child.id, format!("{id:032x}"));
        }
    }

    #[test]
    fn a_chain_shares_its_trace() {
        let parent = root();
        let child = parent.following("planner", "io.prescale.v1.Action", &workload("web-1"), EventTime::from_s(60), 0);
        assert_eq!(parent.trace_id(), &*parent.id);
        assert_eq!(child.trace_id(), parent.trace_id());
        assert_ne!(child.trace_parent, parent.trace_parent);
        assert_eq!(&*child.trace_parent, format!("00-{}-{}-01", parent.id, &child.id[..16]));
    }

    #[test]
    fn headers_read_back() {
        let child = root().following("planner", "io.prescale.v1.Action", &workload("web-1"), EventTime::from_s(60), 0);
        let headers = child.headers();
        assert_eq!(read(&headers), Ok(child));
        let time = headers.iter().find(|(n, _)| *n == "ce_time").unwrap();
        assert_eq!(&*time.1, "1970-01-01T00:01:00.000Z");
    }

    #[test]
    fn how_far_the_source_had_come_goes_along_until_time_has_caught_up() {
        let late = Envelope { as_of: EventTime::from_s(150), ..root() };
        let child = |at_s| late.following("planner", "t", &workload("web-1"), EventTime::from_s(at_s), 0);
        for (envelope, as_of_s, is_told) in
            [(root(), 60, false), (late.clone(), 150, true), (child(60), 150, true), (child(180), 180, false)]
        {
            let headers = envelope.headers();
            assert_eq!((envelope.as_of, read(&headers)), (EventTime::from_s(as_of_s), Ok(envelope)));
            assert_eq!(headers.iter().any(|(name, _)| *name == "ce_asof"), is_told);
        }
    }

    #[test]
    fn a_missing_or_wrong_header_is_named() {
        for name in ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time"] {
            let mut headers = root().headers();
            headers.retain(|(n, _)| *n != name);
            let error = read(&headers).unwrap_err();
            assert!(matches!(error, ContractError::Header { name: n, .. } if n == name), "{error}");
        }
        for (name, value) in [
            ("ce_time", "yesterday"),
            ("ce_asof", "soon"),
            ("ce_id", ""),
            ("ce_specversion", "0.3"),
            ("traceparent", "00-0-0-01"),
        ] {
            let mut headers = Envelope { as_of: EventTime::from_s(150), ..root() }.headers();
            headers.iter_mut().find(|(n, _)| *n == name).unwrap().1 = value.into();
            assert!(read(&headers).unwrap_err().to_string().contains(name));
        }
    }

    #[test]
    fn a_foreign_record_has_the_id_of_its_place() {
        let at = EventTime::from_s(60);
        let position = Position { topic: "raw-kpis", partition: 3, offset: 17 };
        let of = |position| Envelope::foreign(position, "telegraf", "io.prescale.v1.Sample", at);
        let foreign = of(position);
        // Python: h=sha256(); for f in [b"foreign",b"raw-kpis",struct.pack(">I",3),struct.pack(">q",17)]:
        // h.update(struct.pack(">Q",len(f))+f); h.hexdigest()[:32]
        assert_eq!(&*foreign.id, "28f9f4f7ab87426edcd2efa03982cfbc");
        assert_eq!((&*foreign.id, foreign.trace_id()), (&*position.id(), &*position.id()));
        assert_eq!((&*foreign.source, foreign.time, foreign.as_of), ("/prescale/telegraf", at, at));
        assert_eq!(read(&foreign.headers()), Ok(foreign.clone()));
        for other in [Position { topic: "x", ..position }, Position { partition: 4, ..position }] {
            assert_ne!(of(other).id, foreign.id);
        }
        assert_ne!(of(Position { offset: 18, ..position }).id, foreign.id);
    }

    #[test]
    fn one_header_of_cloud_events_makes_a_record_one_of_ours() {
        assert!(is_foreign(std::iter::empty()));
        assert!(is_foreign(["traceparent", "content-type", "__connect.x"].into_iter()));
        assert!(!is_foreign(["traceparent", "ce_id"].into_iter()));
    }

    #[test]
    fn a_record_without_a_trace_begins_one() {
        let mut headers = root().headers();
        headers.retain(|(n, _)| *n != "traceparent");
        let envelope = read(&headers).unwrap();
        assert!(checked_trace_parent(&envelope.trace_parent).is_ok());
        assert_eq!(read(&headers), Ok(envelope));
    }

    proptest! {
        #[test]
        fn any_headers_are_read_or_refused(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), NAMES.len())) {
            let _ = Envelope::from_headers(NAMES.iter().copied().zip(values.iter().map(Vec::as_slice)));
        }
    }
}
