//! What tests of the bus need: its conformance suite, a real Kafka and a real schema registry. It must
//! not know the stages: without them it is built in seconds.

pub mod apicurio;
pub mod cache;
pub mod conformance;
pub mod counters;
pub mod faults;
pub mod guarded;
pub mod kafka_broker;
pub mod kafka_cluster;
mod kafka_libraries;
pub mod kafka_listeners;
pub mod plain_topic;
pub mod signals;
pub mod toxiproxy;

use std::path::PathBuf;

/// The folder of the repository that the running test belongs to. It is asked for when the test
/// runs: a build folder that several clones share would keep the place of whichever built last.
pub fn repository() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    let mut folders = PathBuf::from(package);
    while !folders.join("Cargo.lock").exists() {
        assert!(folders.pop(), "no folder above the package holds Cargo.lock");
    }
    folders
}
