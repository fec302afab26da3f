//! The fault suite: whatever happens to processes, brokers, the network and the disk, nothing is
//! lost, repeated or reordered, and work goes on within a minute.
//!
//! Each scenario's course follows from `FAULT_SEED`. With `FAULT_MINUTES` those with random faults
//! go on for that long.

mod brokers;
mod crash_points;
mod disk;
mod processes;
mod sequences;

use bus_tests::faults::copy::BusAt;
use bus_tests::faults::pipeline::Installation;
use bus_tests::kafka_broker::TestBroker;
use bus_tests::kafka_cluster::{Reach, TestCluster};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Puts an installation together; logs and snapshots go into a folder of its own.
fn installation(replication: u16, buses: impl FnOnce(&std::path::Path) -> (BusAt, BusAt)) -> Installation {
    let folder = tempfile::tempdir().expect("a folder for the installation");
    let (bus, observed) = buses(folder.path());
    let binary = env!("CARGO_BIN_EXE_copy-stage").into();
    Installation { binary, bus, observed, replication, extra: BTreeMap::new(), folder }
}

/// An embedded log.
fn embedded() -> Installation {
    installation(1, |folder| {
        let at = BusAt::Embedded(folder.join("log.db"));
        (at.clone(), at)
    })
}

fn kafka_at(servers: String, prefix: &str, folder: &std::path::Path) -> BusAt {
    BusAt::Kafka { servers, prefix: prefix.to_owned(), state_dir: folder.join("state") }
}

/// The broker that all scenarios share which do no harm to it.
fn one_broker() -> Installation {
    installation(1, |folder| {
        let at = kafka_at(TestBroker::shared().bootstrap_servers(), &TestBroker::unique_prefix(), folder);
        (at.clone(), at)
    })
}

/// A cluster of three, for one scenario at a time.
fn cluster() -> MutexGuard<'static, TestCluster> {
    static CLUSTER: OnceLock<Mutex<TestCluster>> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| Mutex::new(TestCluster::start(3, Reach::Linked)));
    let mut cluster = cluster.lock().unwrap_or_else(PoisonError::into_inner);
    cluster.run_all();
    cluster.await_in_sync();
    cluster
}

/// An installation on the cluster, through its links; the test itself goes around them.
fn on(cluster: &TestCluster) -> Installation {
    installation(3, |folder| {
        let prefix = TestBroker::unique_prefix();
        let at = |servers| kafka_at(servers, &prefix, folder);
        (at(cluster.bootstrap_servers()), at(cluster.direct_servers()))
    })
}
