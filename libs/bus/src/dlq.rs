//! Dead letters: the record as it came, with the reason in its headers (named as Kafka Connect
//! names them, so that existing tools show them).

use crate::record::{ConsumedRecord, Header};
use crate::stage::Rejection;
use crate::step::{Placement, Write};

/// Name of a topic's dead letter queue.
pub fn dlq_topic(topic: &str) -> String {
    format!("{topic}.dlq")
}

/// The dead letter of a rejected record. It keeps its partition, so that order is kept.
pub(crate) fn dead_letter(stage: &str, record: &ConsumedRecord, rejection: &Rejection) -> Write {
    let mut headers = record.headers.clone();
    let mut add = |name: &str, value: String| {
        headers.push(Header { name: format!("__connect.errors.{name}"), value: value.into_bytes() });
    };
    add("topic", record.topic.to_string());
    add("partition", record.partition.to_string());
    add("offset", record.offset.to_string());
    add("stage", stage.to_owned());
    add("class.name", rejection.code.to_owned());
    add("exception.message", rejection.message.clone());
    Write {
        topic: dlq_topic(&record.topic).into(),
        placement: Placement::LikeInput(record.partition),
        key: record.key.clone(),
        value: record.value.clone(),
        headers,
    }
}
