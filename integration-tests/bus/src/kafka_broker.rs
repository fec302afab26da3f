//! A real Apache Kafka for tests: a cluster of one broker, without anything between it and clients.

use crate::kafka_cluster::{Reach, TestCluster};
use crate::kafka_libraries::java;
use crate::kafka_listeners::SecureListeners;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
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

    /// Starts a broker that also has listeners with TLS and logins, and that gives no right to
    /// anybody who has none, save over the plaintext listener.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub fn start_secured() -> Self {
        Self(TestCluster::start_secured())
    }

    /// The broker that the tests of this process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<TestBroker> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// The secured broker that the tests of this process share.
    pub fn shared_secured() -> &'static Self {
        static SHARED: OnceLock<TestBroker> = OnceLock::new();
        SHARED.get_or_init(Self::start_secured)
    }

    /// The listeners with TLS and logins.
    ///
    /// # Panics
    /// When the broker has none.
    pub fn secure(&self) -> &SecureListeners {
        self.0.secure()
    }

    /// Runs commands of `kafka-acls.sh` against this broker.
    ///
    /// # Panics
    /// When one of them fails.
    pub fn run_acl_commands(&self, commands: &[String]) {
        let folder = tempfile::tempdir().expect("a folder for the script");
        let script = folder.path().join("kafka-acls.sh");
        let java = java("org.apache.kafka.tools.AclCommand", 256).join("' '");
        fs::write(&script, format!("#!/bin/sh\nexec '{java}' \"$@\"\n")).expect("the folder is writable");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("the script is executable");
        let path = std::env::var("PATH").expect("PATH is set");
        let output = Command::new("sh")
            .args(["-ec", &commands.join("\n")])
            .env("PATH", format!("{}:{path}", folder.path().display()))
            .output()
            .expect("sh starts");
        assert!(output.status.success(), "{commands:#?}\n{output:?}");
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
