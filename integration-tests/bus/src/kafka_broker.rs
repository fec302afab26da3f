//! A real Apache Kafka for tests: a cluster of one broker, without anything between it and clients.

use crate::kafka_cluster::{Reach, TestCluster};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A broker of one's own; it is killed when this is dropped.
pub struct TestBroker(TestCluster);

impl TestBroker {
    /// Starts a broker with nothing in it.
    ///
    /// # Panics
    /// When Java or Maven is missing, or the broker does not come up; with what to do about it.
    pub fn start() -> Self {
        Self(TestCluster::start(1, Reach::Direct))
    }

    /// The broker that the tests of this process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<TestBroker> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Where clients connect.
    pub fn bootstrap_servers(&self) -> String {
        self.0.bootstrap_servers()
    }

    /// A prefix that no other test of this process has.
    pub fn unique_prefix() -> String {
        static PREFIXES: AtomicU32 = AtomicU32::new(0);
        format!("t{}.", PREFIXES.fetch_add(1, Ordering::Relaxed))
    }

    /// Kills the broker at once (SIGKILL); its log stays.
    pub fn kill(&mut self) {
        self.0.kill(0);
    }

    /// Starts it again on the same port with the same log, and waits until it answers.
    pub fn run(&mut self) {
        self.0.kill(0);
        self.0.run(0);
        self.0.await_answer();
    }
}
