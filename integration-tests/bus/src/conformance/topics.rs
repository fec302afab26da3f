//! Topics: made once, never as a side effect; keys go where Kafka's clients would put them.

use super::BusUnderTest;
use super::fixture::{
    GROUP, INPUT, OUTPUT, PARTITIONS, RunningStage, inputs, make_topics, options, read_count, record, topic,
    values_by_key, write,
};
use super::stage::ChainingFactory;
use prescale_bus::partitioner::{murmur2, partition_of};
use prescale_bus::{BusError, ReadFrom, TopicSpec};
use std::collections::BTreeMap;

/// Making a topic that exists is fine; with another partition count it is refused.
pub fn topics_are_made_once(under_test: &dyn BusUnderTest) {
    let bus = under_test.open("a");
    make_topics(bus.as_ref());
    make_topics(bus.as_ref());
    let topics = bus.topics().expect("the topics are listed");
    assert!(topics.contains(&(INPUT.to_owned(), PARTITIONS)), "{topics:?}");
    assert!(topics.contains(&(OUTPUT.to_owned(), PARTITIONS)), "{topics:?}");
    let other = TopicSpec { partitions: PARTITIONS + 1, ..topic(INPUT) };
    match bus.ensure_topics(&[other]) {
        Err(BusError::PartitionMismatch { topic, found, wanted }) => {
            assert_eq!((topic.as_str(), found, wanted), (INPUT, PARTITIONS, PARTITIONS + 1));
        }
        other => panic!("another partition count must be refused, got {other:?}"),
    }
}

/// Reading, writing or running on a topic that does not exist says so and does not make it.
pub fn unknown_topics_are_errors(under_test: &dyn BusUnderTest) {
    let bus = under_test.open("a");
    bus.ensure_topics(&[topic(INPUT)]).expect("the topic is made");
    let unknown = |result: Result<(), BusError>, name: &str| match result {
        Err(BusError::UnknownTopic { topic }) => assert_eq!(topic, name),
        other => panic!("{name} is unknown, got {other:?}"),
    };
    unknown(bus.reader("nowhere", ReadFrom::Earliest).map(drop), "nowhere");
    unknown(bus.lag(GROUP, "nowhere").map(drop), "nowhere");
    let mut source = bus.source("unknown-topics").expect("the source opens");
    unknown(source.append(vec![record("nowhere", "k", "v")], b"1"), "nowhere");
    let stage = RunningStage::start(&bus, ChainingFactory::new("nowhere", OUTPUT), options(GROUP, 100));
    unknown(stage.ended(), "nowhere");
    let stage = RunningStage::start(&bus, ChainingFactory::new(INPUT, OUTPUT), options(GROUP, 100));
    unknown(stage.ended(), OUTPUT);
    assert!(bus.topics().expect("the topics are listed").iter().all(|(name, _)| name != "nowhere" && name != OUTPUT));
}

/// Records of one key are in one partition, the one that Kafka's Java client chooses, in order.
pub fn order_is_kept_per_key(under_test: &dyn BusUnderTest) {
    let bus = under_test.open("a");
    make_topics(bus.as_ref());
    let written = inputs(0, 300);
    let mut source = bus.source("order").expect("the source opens");
    for batch in written.chunks(70) {
        write(source.as_mut(), batch.to_vec());
    }
    let read = read_count(bus.as_ref(), INPUT, 300);
    for record in &read {
        let key = record.key.as_deref().expect("the suite writes keys");
        assert_eq!(record.partition, partition_of(key, PARTITIONS));
        assert_eq!(record.header("origin"), record.value.as_deref());
        assert_eq!(&*record.topic, INPUT);
    }
    let mut expected: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    for record in written {
        expected.entry(record.key).or_default().push(record.value.unwrap_or_default());
    }
    assert_eq!(values_by_key(&read), expected);
    assert_eq!(murmur2(b"foobar"), -790_332_482, "the golden values are in prescale_bus::partitioner");
}
