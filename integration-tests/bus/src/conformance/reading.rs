//! Sources and readers: positions go with the records; only committed records are seen.

use super::BusUnderTest;
use super::fixture::{INPUT, PARTITIONS, inputs, make_topics, read_all, read_count, record, topic, until};
use prescale_bus::{Bus, BusError, CaughtUp, ConsumedRecord, ReadFrom, RecordReader};
use std::collections::BTreeMap;
use std::time::Duration;

/// The position is stored with the records or not at all, and outlives a restart.
pub fn a_source_position_goes_with_its_records(under_test: &dyn BusUnderTest) {
    {
        let bus = under_test.open("a");
        make_topics(bus.as_ref());
        let mut source = bus.source("meter").expect("the source opens");
        assert_eq!(source.position().expect("the position is readable"), None);
        source.append(inputs(0, 10), b"ten").expect("the records are written");
        let mut mixed = inputs(10, 10);
        mixed.push(record("nowhere", "k", "v"));
        assert!(matches!(source.append(mixed, b"twenty-one"), Err(BusError::UnknownTopic { .. })));
        assert_eq!(source.position().expect("the position is readable"), Some(b"ten".to_vec()));
        read_count(bus.as_ref(), INPUT, 10);
        assert_eq!(bus.source("other").expect("it opens").position().expect("it is readable"), None);
    }
    let bus = under_test.open("a");
    let mut source = bus.source("meter").expect("the source opens again");
    assert_eq!(source.position().expect("the position is readable"), Some(b"ten".to_vec()));
    source.append(inputs(10, 5), b"fifteen").expect("the records are written");
    source.append(vec![], b"still fifteen").expect("a position alone is written");
    assert_eq!(source.position().expect("the position is readable"), Some(b"still fifteen".to_vec()));
    read_count(bus.as_ref(), INPUT, 15);
}

/// Who opens a source last owns it: the one before is fenced and writes nothing more.
pub fn a_source_opened_again_fences_the_first(under_test: &dyn BusUnderTest) {
    let bus = under_test.open("a");
    make_topics(bus.as_ref());
    let mut first = bus.source("meter").expect("the source opens");
    first.append(inputs(0, 3), b"three").expect("the records are written");
    let mut second = bus.source("meter").expect("the source opens again");
    match first.append(inputs(3, 3), b"six") {
        Err(BusError::Fenced { .. }) => {}
        other => panic!("the first source is fenced, got {other:?}"),
    }
    assert_eq!(second.position().expect("the position is readable"), Some(b"three".to_vec()));
    second.append(inputs(3, 1), b"four").expect("the records are written");
    read_count(bus.as_ref(), INPUT, 4);
}

fn poll_until(reader: &mut dyn RecordReader, count: usize) -> Vec<ConsumedRecord> {
    let mut read = Vec::new();
    until("records to read", || {
        read.extend(reader.poll(7, Duration::from_millis(200)).expect("the topic is readable").0);
        (read.len() >= count).then_some(())
    });
    read
}

fn poll_to_end(bus: &dyn Bus, from: ReadFrom) -> Vec<ConsumedRecord> {
    read_to_end(bus.reader(INPUT, from).expect("the reader opens"))
}

fn poll_partition(bus: &dyn Bus, partition: u32, from: ReadFrom) -> Vec<ConsumedRecord> {
    read_to_end(bus.partition_reader(INPUT, partition, from).expect("the reader opens"))
}

fn read_to_end(mut reader: Box<dyn RecordReader>) -> Vec<ConsumedRecord> {
    let mut read = Vec::new();
    until("the end", || {
        let (records, caught_up) = reader.poll(1000, Duration::from_millis(100)).expect("the topic is readable");
        read.extend(records);
        (caught_up == CaughtUp::Yes).then_some(())
    });
    read
}

/// A reader starts where it is told, goes on from there, and knows when it has caught up.
pub fn a_reader_goes_on_where_it_was(under_test: &dyn BusUnderTest) {
    let bus = under_test.open("a");
    make_topics(bus.as_ref());
    bus.ensure_topics(&[topic("empty")]).expect("the topic is made");
    assert_eq!(read_all(bus.as_ref(), "empty"), vec![]);
    let mut source = bus.source("reading").expect("the source opens");
    source.append(inputs(0, 60), b"60").expect("the records are written");

    let mut earliest = bus.reader(INPUT, ReadFrom::Earliest).expect("the reader opens");
    let mut latest = bus.reader(INPUT, ReadFrom::Latest).expect("the reader opens");
    let first = poll_until(earliest.as_mut(), 60);
    assert_eq!(first.len(), 60);
    assert_eq!(poll_to_end(bus.as_ref(), ReadFrom::Latest), vec![]);
    until("the end of the latest", || {
        let (records, caught_up) = latest.poll(10, Duration::from_millis(50)).expect("the topic is readable");
        assert_eq!(records, vec![]);
        (caught_up == CaughtUp::Yes).then_some(())
    });
    source.append(inputs(60, 15), b"75").expect("the records are written");
    assert_eq!(poll_until(latest.as_mut(), 15).len(), 15);
    let second = poll_until(earliest.as_mut(), 15);
    assert_eq!(second.len(), 15);

    for partition in 0..PARTITIONS {
        let offsets: Vec<i64> =
            first.iter().chain(&second).filter(|r| r.partition == partition).map(|r| r.offset).collect();
        assert!(offsets.is_sorted_by(|a, b| a < b), "each partition in order: {offsets:?}");
    }
    let back = poll_to_end(bus.as_ref(), ReadFrom::Back(5));
    assert!(!back.is_empty() && back.len() <= 5 * PARTITIONS as usize, "{} records back", back.len());
    assert_eq!(poll_to_end(bus.as_ref(), ReadFrom::Back(1_000_000)).len(), 75);
}

/// A reader of one partition reads that one, whole or as far back as it is told, and what comes.
pub fn a_reader_of_one_partition_reads_that_one(under_test: &dyn BusUnderTest) {
    let bus = under_test.open("a");
    make_topics(bus.as_ref());
    let mut source = bus.source("reading").expect("the source opens");
    source.append(inputs(0, 60), b"60").expect("the records are written");
    let all = read_count(bus.as_ref(), INPUT, 60);
    for partition in 0..PARTITIONS {
        let of_it: Vec<ConsumedRecord> = all.iter().filter(|r| r.partition == partition).cloned().collect();
        assert_eq!(poll_partition(bus.as_ref(), partition, ReadFrom::Earliest), of_it);
        let back = poll_partition(bus.as_ref(), partition, ReadFrom::Back(2));
        assert!(back.len() <= 2 && of_it.ends_with(&back), "the newest of partition {partition}: {back:?}");
        assert_eq!(poll_partition(bus.as_ref(), partition, ReadFrom::Latest), vec![]);
    }
    assert_eq!(poll_partition(bus.as_ref(), PARTITIONS, ReadFrom::Earliest), vec![], "there is no such partition");
    let partition = all.first().expect("there are records").partition;
    let mut latest = bus.partition_reader(INPUT, partition, ReadFrom::Latest).expect("the reader opens");
    source.append(inputs(60, 60), b"120").expect("the records are written");
    let wanted = read_count(bus.as_ref(), INPUT, 120).iter().filter(|r| r.partition == partition).count();
    let came = poll_until(latest.as_mut(), wanted - all.iter().filter(|r| r.partition == partition).count());
    assert!(came.iter().all(|r| r.partition == partition), "{came:?}");
}

/// A reader that is given offsets begins with them: with the oldest record where one names none or is negative, and with
/// what comes next where the partition ends before.
pub fn a_reader_begins_at_the_offsets_that_it_is_given(under_test: &dyn BusUnderTest) {
    let bus = under_test.open("a");
    make_topics(bus.as_ref());
    let mut source = bus.source("reading").expect("the source opens");
    source.append(inputs(0, 60), b"60").expect("the records are written");
    let all = read_count(bus.as_ref(), INPUT, 60);
    let of = |partition: u32| all.iter().filter(move |r| r.partition == partition).cloned().collect::<Vec<_>>();
    let (first, others) = (of(0), of(1));
    let middle = first.get(first.len() / 2).expect("the partition has records").offset;

    let from = |offset: i64| ReadFrom::Offsets(BTreeMap::from([(0, offset)]));
    let read = poll_to_end(bus.as_ref(), from(middle));
    let read_of = |partition: u32| read.iter().filter(move |r| r.partition == partition).cloned().collect::<Vec<_>>();
    assert_eq!(read_of(0), first.iter().filter(|r| r.offset >= middle).cloned().collect::<Vec<_>>());
    assert_eq!(read_of(1), others, "it is named no offset");
    assert_eq!(poll_partition(bus.as_ref(), 0, from(middle)), read_of(0));
    assert_eq!(poll_partition(bus.as_ref(), 0, from(-1)), first);

    let far = i64::MAX / 2;
    let mut behind = bus.partition_reader(INPUT, 0, from(far)).expect("the reader opens");
    assert!(behind.reached().expect("it is readable")[0] < far, "it tells that the partition ends before");
    source.append(inputs(60, 60), b"120").expect("the records are written");
    let wanted = read_count(bus.as_ref(), INPUT, 120).iter().filter(|r| r.partition == 0).count() - first.len();
    let came = poll_until(behind.as_mut(), wanted);
    assert!(came.len() == wanted && came.iter().all(|r| r.partition == 0 && r.offset > middle), "{came:?}");
}
