//! What librdkafka does in moments that a real broker can hardly be brought to, on its own mock of a cluster.
//! Must not rest on transactions: the mock shows aborted records to everybody.

use super::cluster::Cluster;
use super::member::ClientMember;
use super::options::{ConsumerUse, KafkaOptions};
use super::producer::ClientProducer;
use super::protocol::log::CommittedLog as _;
use super::protocol::port::{Kafka as _, Member as _, MemberEvent, Producer as _};
use super::protocol::provenance::Position;
use crate::error::BusError;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerGroupMetadata};
use rdkafka::mocking::{MockCluster, MockCoordinator};
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

type Event = MemberEvent<Arc<ConsumerGroupMetadata>>;

const TOPIC: &str = "in";
const GROUP: &str = "copying";
/// Longest wait for a call that has a bound of its own of some seconds.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(60);

fn mocked(brokers: i32) -> (MockCluster<'static, DefaultProducerContext>, Cluster) {
    let mock = MockCluster::new(brokers).expect("the mock starts");
    mock.create_topic(TOPIC, 1, 1).expect("the topic is made");
    let cluster = Cluster::connect(KafkaOptions {
        bootstrap_servers: mock.bootstrap_servers(),
        request_timeout: Duration::from_secs(1),
        transaction_timeout_ms: 1000,
        session_timeout_ms: 3000,
        ..KafkaOptions::default()
    });
    (mock, cluster.expect("the mock answers"))
}

/// A client that has heard once that a partition has no leader answers so by itself from then on, until it
/// looks the topic up.
#[test]
fn ends_are_asked_for_anew_after_a_leaderless_moment() {
    let (mock, cluster) = mocked(1);
    let places = cluster.places(TOPIC).expect("the topic is known");
    let log = cluster.open_log(TOPIC).expect("the log opens");
    let askers: [&dyn Fn() -> Result<(), BusError>; 3] =
        [&|| cluster.stable_ends(&places).map(drop), &|| log.bounds(0).map(drop), &|| {
            cluster.bounds(TOPIC, 0).map(drop)
        }];
    for ask in askers {
        mock.partition_leader(TOPIC, 0, None).expect("the leader is gone");
        assert!(matches!(ask(), Err(BusError::Backend { retryable: true, .. })), "there is nobody to tell the end");
        mock.partition_leader(TOPIC, 0, Some(1)).expect("the leader is back");
        ask().expect("the leader tells the end");
    }
}

/// When the group's coordinator cannot be found for a moment, librdkafka never comes back from moving positions.
#[test]
fn a_call_that_librdkafka_forgets_comes_back_as_a_failure() {
    let (mock, cluster) = mocked(2);
    let id = cluster.options.transactional_id("stage", GROUP);
    mock.coordinator(MockCoordinator::Transaction(id.clone()), 1).expect("the coordinator is set");
    mock.coordinator(MockCoordinator::Group(GROUP.to_owned()), 2).expect("the coordinator is set");
    let start = || {
        let producer = cluster.producer(&id).unwrap_or_else(|e| panic!("{e}"));
        producer.begin(0).expect("a transaction begins");
        producer
    };
    let membership = cluster.membership_of_none(GROUP).expect("the client has metadata");
    // The client that tells it knows the coordinator then, and takes none of the errors that are meant for the producer.
    cluster.stable_positions(GROUP, TOPIC, &[0], COMES_BACK_WITHIN).expect("the group has positions or none");
    let moving = |producer: ClientProducer| {
        let positions = BTreeMap::from([(0, Position { offset: 3, ..Position::default() })]);
        let membership = Arc::clone(&membership);
        move || producer.send_positions(TOPIC, &positions, &membership)
    };
    let producer = start();
    // More than the other clients can take while the call waits.
    let nowhere = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE; 64];
    mock.request_errors(RDKafkaApiKey::FindCoordinator, &nowhere);
    let (call, (done, told)) = (moving(producer), channel());
    thread::spawn(move || drop(done.send(call())));
    let told = told.recv_timeout(COMES_BACK_WITHIN).expect("the call comes back");
    told.expect_err("the coordinator was not to be found");
    mock.clear_request_errors(RDKafkaApiKey::FindCoordinator);
    moving(start())().expect("the next producer moves positions");
}

/// A member of the group without a name, as clients of librdkafka are.
fn plain(cluster: &Cluster) -> BaseConsumer {
    let mut config = cluster.options.consumer(GROUP, ConsumerUse::Member);
    config.remove("group.instance.id");
    config.create().expect("a consumer is made")
}

/// Puts the group at the start of so many partitions of a topic.
fn start_at_0(cluster: &Cluster, topic: &str, partitions: i32) {
    let mut positions = TopicPartitionList::new();
    for partition in 0..partitions {
        positions.add_partition_offset(topic, partition, Offset::Offset(0)).expect("an offset");
    }
    plain(cluster).commit(&positions, CommitMode::Sync).expect("the positions are committed");
}

/// What a member is told of the next rebalance.
fn next_rebalance(member: &ClientMember, meanwhile: &dyn Fn()) -> Vec<Event> {
    let deadline = Instant::now() + COMES_BACK_WITHIN;
    let mut told = Vec::new();
    loop {
        meanwhile();
        match member.poll(Duration::from_millis(20)) {
            Some(MemberEvent::Joined(_)) => return told,
            Some(MemberEvent::End(_)) | None => {}
            Some(event) => told.push(event),
        }
        assert!(Instant::now() < deadline, "waited for a rebalance");
    }
}

/// librdkafka revokes nothing when a member that joins again is told that nobody knows it.
#[test]
fn what_a_member_keeps_although_the_group_had_given_it_up_is_told() {
    let (mock, cluster) = mocked(1);
    start_at_0(&cluster, TOPIC, 1);
    let member = cluster.join(GROUP, TOPIC).expect("the member joins");
    let told = next_rebalance(&member, &|| {});
    assert!(matches!(told[..], [MemberEvent::Assigned(0, _)]));
    mock.request_errors(RDKafkaApiKey::JoinGroup, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID]);
    let other = plain(&cluster);
    other.subscribe(&[TOPIC]).expect("it subscribes");
    let told = next_rebalance(&member, &|| drop(other.poll(Duration::ZERO)));
    let kept = |event: &Event| matches!(event, MemberEvent::Kept { partition: 0, position: 0, rejoins: false });
    assert!(told.iter().any(kept), "it keeps the partition");
    assert!(!told.iter().any(|event| matches!(event, MemberEvent::Revoked(_))), "and is told of no loss");
}

/// librdkafka assigns what is left, be it nothing new, right after it has revoked partitions, and joins again after
/// that. Whoever closes it in between leaves the revoked partitions to nobody.
#[test]
fn a_member_that_gives_up_partitions_is_told_that_it_joins_again() {
    const WIDE: &str = "wide";
    let (mock, cluster) = mocked(1);
    mock.create_topic(WIDE, 2, 1).expect("the topic is made");
    start_at_0(&cluster, WIDE, 2);
    let member = cluster.join(GROUP, WIDE).expect("the member joins");
    let told = next_rebalance(&member, &|| {});
    assert!(matches!(told[..], [MemberEvent::Assigned(..), MemberEvent::Assigned(..)]));
    let other = plain(&cluster);
    other.subscribe(&[WIDE]).expect("it subscribes");
    let poll_other = || drop(other.poll(Duration::ZERO));
    let told = next_rebalance(&member, &poll_other);
    assert!(matches!(told[..], [MemberEvent::Revoked(_), MemberEvent::Kept { position: 0, rejoins: true, .. }]));
    let told = next_rebalance(&member, &poll_other);
    assert!(matches!(told[..], [MemberEvent::Kept { position: 0, rejoins: false, .. }]));
}
