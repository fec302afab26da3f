//! Dead letters: the record as it came, with the reason in its headers (named as Kafka Connect
//! names them, so that existing tools show them). What is in a queue, and the way back.

mod letter;
mod ranges;
mod replay;
mod walk;

pub use letter::{DeadLetter, LetterFilter};
pub use replay::{ReplayReport, ReplayRequest, Unreplayable, replay};
pub use walk::each_letter;

use crate::record::{ConsumedRecord, Header, OutputRecord};
use crate::stage::Rejection;
use crate::write::{Placement, Write};

const SUFFIX: &str = ".dlq";
/// What the names of the headers that a dead letter has beside the record's own begin with.
const HEADER_PREFIX: &str = "__connect.errors.";
/// A message of others that has more bytes is no part of its letter: that would be more than a bus has to take.
const FOREIGN_BYTES_MAX: usize = 900_000;
/// What is said of it has at most so many characters.
const FOREIGN_REASON_MAX: usize = 1000;

/// Name of a topic's dead letter queue.
pub fn dlq_topic(topic: &str) -> String {
    format!("{topic}{SUFFIX}")
}

/// The topic whose dead letter queue this is; `None` when it is none.
pub fn topic_of_dlq(dlq: &str) -> Option<&str> {
    dlq.strip_suffix(SUFFIX)
}

/// The dead letter of a rejected record. It keeps its partition, so that order is kept.
pub(crate) fn dead_letter(stage: &str, record: &ConsumedRecord, rejection: &Rejection) -> Write {
    Write {
        topic: dlq_topic(&record.topic).into(),
        placement: Placement::LikeInput(record.partition),
        key: record.key.clone(),
        value: record.value.clone(),
        headers: headers_of(stage, record, record.headers.clone(), rejection),
    }
}

/// The dead letter of a message of others that a source cannot use, in the queue of the topic that it writes to. It has the
/// message, unless that is too large for any queue, and of its headers those that do not say where it lay.
pub fn foreign_letter(source: &str, topic: &str, message: &ConsumedRecord, rejection: &Rejection) -> OutputRecord {
    let headers = message.headers.iter().filter(|header| !header.name.starts_with(HEADER_PREFIX));
    let bytes = [&message.key, &message.value].into_iter().flatten().map(Vec::len).sum::<usize>()
        + headers.clone().map(|header| header.name.len() + header.value.len()).sum::<usize>();
    let mut why: String = rejection.message.chars().take(FOREIGN_REASON_MAX).collect();
    let (key, value, headers) = if bytes <= FOREIGN_BYTES_MAX {
        (message.key.clone().unwrap_or_default(), message.value.clone(), headers.cloned().collect())
    } else {
        why += &format!(" (it has {bytes} bytes, too many for a letter: see it where it lies)");
        (Vec::new(), None, Vec::new())
    };
    let rejection = Rejection { code: rejection.code, message: why };
    let headers = headers_of(source, message, headers, &rejection);
    OutputRecord { topic: dlq_topic(topic).into(), key, value, headers }
}

/// What says where a record lay and why it was rejected, behind the headers that are its own.
fn headers_of(stage: &str, record: &ConsumedRecord, mut headers: Vec<Header>, rejection: &Rejection) -> Vec<Header> {
    let mut add = |name: &str, value: String| {
        headers.push(Header { name: format!("{HEADER_PREFIX}{name}").into(), value: value.into_bytes().into() });
    };
    add("topic", record.topic.to_string());
    add("partition", record.partition.to_string());
    add("offset", record.offset.to_string());
    add("stage", stage.to_owned());
    add("class.name", rejection.code.to_owned());
    add("exception.message", rejection.message.clone());
    headers
}
