//! Scratch.
#![allow(clippy::all, missing_docs, dead_code, unreachable_pub)]
#[path = "../../../integration-tests/tests/all/bus.rs"]
mod bus;
extern crate self as integration_tests;
#[path = "../../../integration-tests/src/bus_conformance/mod.rs"]
mod bus_conformance;
#[path = "../../../integration-tests/src/counters.rs"]
mod counters;
#[path = "../../../integration-tests/src/kafka_broker.rs"]
mod kafka_broker;
#[test]
fn a_log() {
    tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::INFO).with_test_writer().init();
}
