//! The collector's look at a cluster, with the rights that the chart gives it for that.

use super::rights::{FORBIDDEN, Right, asked, rights, rules, until_known};
use super::{deployment, user};
use integration_tests::kubernetes::Cluster;
use integration_tests::kubernetes::chart::objects;
use integration_tests::processes::{binary, count, until};
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_contracts::topics;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const PART: &str = "discover";
/// There is no metrics server, so that who may ask for what is used hears that nobody knows.
const ALLOWED: [Range<u16>; 2] = [200..300, 404..405];

/// A collector, with what it may see.
struct Collector {
    cluster: &'static Cluster,
    namespace: String,
    user: String,
    folder: TempDir,
    child: Option<Child>,
}

impl Collector {
    /// One that does not run yet, with the chart's rights, and a Deployment that is meant.
    fn stopped() -> Self {
        let cluster = Cluster::shared();
        let namespace = cluster.namespace();
        cluster.apply(&deployment(&namespace, "web", 2));
        let values = json!({ "up": { "enabled": false }, "rights": { "parts": [PART] } });
        objects(&namespace, &values).iter().for_each(|object| drop(cluster.apply(object)));
        let folder = tempfile::tempdir().expect("a folder");
        let text = "[telemetry]\nlisten = \"127.0.0.1:0\"\n\n[collector.host]\nenabled = false\n\n\
                    [collector.kubernetes]\nenabled = true\nevery_s = 1\n";
        fs::write(folder.path().join("prescale.toml"), text).expect("the folder is writable");
        let user = user(&namespace, &namespace);
        Self { cluster, namespace, user, folder, child: None }
    }

    fn command(&self, program: &str) -> Command {
        let token = self.cluster.token_of(&self.namespace, &self.namespace);
        let mut command = Command::new(binary(program));
        command
            .current_dir(self.folder.path())
            .env_remove("RUST_LOG")
            .env_remove("PRESCALE_CONFIG")
            .env("KUBECONFIG", self.cluster.kubeconfig(&self.cluster.url(), Some(&token)))
            .stdout(Stdio::null());
        command
    }

    fn start(&mut self) {
        let made = self.command("prescale").args(["topics", "apply"]).status().expect("prescale starts");
        assert!(made.success());
        self.child = Some(self.command("prescale-collector").spawn().expect("the collector starts"));
    }

    /// What it has asked for and been given.
    fn allowed(&self) -> BTreeSet<Right> {
        ALLOWED.iter().flat_map(|statuses| asked(self.cluster, &self.user, statuses)).collect()
    }

    /// Samples that it has written.
    fn samples(&self) -> i64 {
        let options = EmbeddedOptions { maintenance_every: None, ..EmbeddedOptions::default() };
        let bus = EmbeddedBus::open(self.folder.path().join("prescale.db"), options).expect("the log opens");
        count(&bus, topics::RAW_KPIS)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn each_right_that_discovery_takes_is_used_and_needed_and_none_is_lacking() {
    let rights: Vec<Right> = rights(&[PART]).into_iter().map(|(_, right)| right).collect();
    let mut whole = Collector::stopped();
    rights.iter().for_each(|right| until_known(whole.cluster, &whole.user, "", right, true));
    whole.start();
    until("samples", || whole.samples() > 0);
    assert_eq!(whole.allowed(), rights.iter().cloned().collect::<BTreeSet<_>>(), "what is used is what there is");
    assert_eq!(asked(whole.cluster, &whole.user, &FORBIDDEN), BTreeSet::new());
    let rights = &rights;
    std::thread::scope(|scope| {
        for lacking in rights {
            scope.spawn(move || lacks(rights, lacking));
        }
    });
}

/// Fails where there are samples without this one.
fn lacks(rights: &[Right], lacking: &Right) {
    let mut collector = Collector::stopped();
    collector.cluster.apply(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": { "name": collector.namespace },
        "rules": rules(rights.iter().filter(|right| *right != lacking)),
    }));
    until_known(collector.cluster, &collector.user, "", lacking, false);
    collector.start();
    until("a right to be missed", || asked(collector.cluster, &collector.user, &FORBIDDEN).contains(lacking));
    assert_eq!(collector.samples(), 0, "without {lacking:?}");
}
