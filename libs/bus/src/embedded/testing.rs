//! What the tests of the embedded bus share.

use super::{EmbeddedBus, EmbeddedOptions};
use crate::{Bus, Cleanup, OutputRecord, ReadFrom, TopicSpec};
use std::path::Path;
use std::time::Duration;

pub(super) const FAR_FUTURE_MS: i64 = 1 << 50;

pub(super) fn open(folder: &Path) -> EmbeddedBus {
    let options = EmbeddedOptions { maintenance_every: None, ..EmbeddedOptions::default() };
    EmbeddedBus::open(folder.join("log.db"), options).expect("the log opens")
}

pub(super) fn with_topic(bus: &EmbeddedBus, cleanup: Cleanup) {
    let topic = TopicSpec { name: "topic".to_owned(), partitions: 2, replication: 1, cleanup };
    bus.ensure_topics(&[topic]).expect("the topic is made");
}

pub(super) fn write(bus: &EmbeddedBus, records: &[(&str, Option<&str>)]) {
    let records = records
        .iter()
        .map(|(key, value)| OutputRecord {
            topic: "topic".into(),
            key: key.as_bytes().to_vec(),
            value: value.map(|v| v.as_bytes().to_vec()),
            headers: Vec::new(),
        })
        .collect();
    bus.source("test").expect("the source opens").append(records, b"").expect("the records are written");
}

pub(super) fn read(bus: &EmbeddedBus) -> Vec<(Vec<u8>, Option<Vec<u8>>, i64)> {
    let mut reader = bus.reader("topic", ReadFrom::Earliest).expect("the reader opens");
    let (records, _) = reader.poll(100_000, Duration::ZERO).expect("the topic is readable");
    let mut read: Vec<_> = records.into_iter().map(|r| (r.key.expect("tests write keys"), r.value, r.offset)).collect();
    read.sort();
    read
}
