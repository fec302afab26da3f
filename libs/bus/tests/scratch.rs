//! Scratch.
#![allow(missing_docs, dead_code, unreachable_pub)]
#[path = "../../../integration-tests/tests/all/bus.rs"]
mod bus;
#[path = "../../../integration-tests/src/bus_conformance/mod.rs"]
mod bus_conformance;
#[path = "../../../integration-tests/src/counters.rs"]
mod counters;
#[path = "../../../integration-tests/src/kafka_broker.rs"]
mod kafka_broker;
#[test]
fn z_shared() {
    tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG).init();
    bus_conformance::sharing::instances_share_and_hand_over(&bus::Kafka::new());
}
