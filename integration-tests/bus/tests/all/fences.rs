//! Who is told wrongly by the broker that another has taken its place goes on, and who is not told that another has
//! done its work finds out.

use bus_tests::conformance::BusUnderTest;
use bus_tests::conformance::backends::Kafka;
use bus_tests::conformance::fixture::{
    GROUP, INPUT, OUTPUT, PARTITIONS, RunningStage, assert_exactly, assert_written_exactly, await_no_lag, inputs,
    make_topics, options, read_count, until, write,
};
use bus_tests::conformance::stage::ChainingFactory;
use bus_tests::kafka_broker::TestBroker;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::time::Duration;

/// Begins and ends a producer with this transactional id, which fences the one that has it.
fn fence_producer(under_test: &Kafka, transactional_id: &str) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", TestBroker::shared().bootstrap_servers())
        .set("transactional.id", format!("{}{transactional_id}", under_test.prefix))
        .create()
        .expect("a producer is made");
    producer.init_transactions(Duration::from_secs(30)).expect("it takes over the id");
}

/// Joins the group under this name until it is given partitions, which fences the member that has it.
fn fence_member(under_test: &Kafka, instance: &str) {
    let member: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", TestBroker::shared().bootstrap_servers())
        .set("group.id", format!("{}{GROUP}", under_test.prefix))
        .set("group.instance.id", instance)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", "3000")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer is made");
    member.subscribe(&[&format!("{}{INPUT}", under_test.prefix)]).expect("it subscribes");
    until("the member to be given partitions", || {
        drop(member.poll(Duration::from_millis(50)));
        member.assignment().is_ok_and(|given| given.count() > 0).then_some(())
    });
}

/// A stage goes on after `fence`.
fn goes_on_after(fence: impl FnOnce(&Kafka)) {
    let under_test = Kafka::fresh();
    let bus = under_test.open("a");
    make_topics(bus.as_ref());
    let mut source = bus.source("meter").expect("the source opens");
    write(source.as_mut(), inputs(0, 50));
    let stage = RunningStage::start(&bus, ChainingFactory::new(INPUT, OUTPUT), options(GROUP, 20));
    await_no_lag(bus.as_ref(), GROUP);
    fence(&under_test);
    write(source.as_mut(), inputs(50, 50));
    await_no_lag(bus.as_ref(), GROUP);
    stage.stop().expect("the stage has gone on");
    assert_exactly(bus.as_ref(), &inputs(0, 100));
}

#[test]
fn a_stage_whose_producer_is_fenced_by_nobody_that_takes_its_place_goes_on() {
    goes_on_after(|under_test| fence_producer(under_test, &format!("stage.{GROUP}.a")));
}

#[test]
fn a_stage_whose_membership_is_fenced_by_nobody_that_takes_its_place_goes_on() {
    goes_on_after(|under_test| fence_member(under_test, "a"));
}

#[test]
fn a_source_that_is_fenced_by_nobody_that_takes_its_place_goes_on() {
    let under_test = Kafka::fresh();
    let bus = under_test.open("a");
    make_topics(bus.as_ref());
    let mut source = bus.source("meter").expect("the source opens");
    write(source.as_mut(), inputs(0, 50));
    fence_producer(&under_test, "source.meter");
    until("the source to write again", || source.append(inputs(50, 50), b"100").ok());
    assert_eq!(source.position().expect("the position is readable"), Some(b"100".to_vec()));
    assert_written_exactly(bus.as_ref(), &inputs(0, 100));
}

/// Moves the group's position on every partition to 0, as its member could not.
fn move_positions_to_0(under_test: &Kafka) {
    let config = || {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", TestBroker::shared().bootstrap_servers());
        config
    };
    let group = format!("{}{GROUP}", under_test.prefix);
    let outsider: BaseConsumer = config().set("group.id", &group).create().expect("a consumer is made");
    let producer: BaseProducer =
        config().set("transactional.id", format!("{group}.outsider")).create().expect("a producer is made");
    let mut positions = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        let partition = i32::try_from(partition).expect("few partitions");
        let input = format!("{}{INPUT}", under_test.prefix);
        positions.add_partition_offset(&input, partition, Offset::Offset(0)).expect("an offset");
    }
    let patience = Duration::from_secs(30);
    producer.init_transactions(patience).expect("the id is free");
    producer.begin_transaction().expect("a transaction begins");
    let no_member = outsider.group_metadata().expect("the consumer has metadata");
    producer.send_offsets_to_transaction(&positions, &no_member, patience).expect("the positions are moved");
    producer.commit_transaction(patience).expect("they are committed");
}

/// What an instance keeps over a rebalance it may have lost in between, without being told.
#[test]
fn a_partition_whose_position_another_has_moved_is_not_kept_over_a_rebalance() {
    let under_test = Kafka::fresh();
    let bus = under_test.open("a");
    make_topics(bus.as_ref());
    write(bus.source("meter").expect("the source opens").as_mut(), inputs(0, 50));
    let start = |bus| RunningStage::start(bus, ChainingFactory::new(INPUT, OUTPUT), options(GROUP, 20));
    let first = start(&bus);
    await_no_lag(bus.as_ref(), GROUP);
    read_count(bus.as_ref(), OUTPUT, 50);
    move_positions_to_0(&under_test);
    let second = start(&under_test.open("b"));
    read_count(bus.as_ref(), OUTPUT, 100);
    await_no_lag(bus.as_ref(), GROUP);
    for stage in [first, second] {
        stage.stop().expect("the stage stops");
    }
    read_count(bus.as_ref(), OUTPUT, 100);
}
