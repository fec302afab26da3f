//! What makes a cluster of an API server: Kubernetes' own controllers and scheduler, and kwok, which plays the kubelets of its
//! nodes. Pods are ready at once, and are resized at once, but for those that a test answers for itself ([`UNANSWERED`]).

use super::{Cluster, MODULE, program};
use bus_tests::conformance::fixture::until;
use bus_tests::guarded::Guarded;
use bus_tests::repository;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

/// kwok does nothing about the resizes of pods with this label, whatever its value.
pub const UNANSWERED: &str = "resizes-unanswered";
/// Annotation of a node: as many cores as its pods may ask for, a thousand without it.
pub const CORES: &str = "cores";
/// Nodes that pods are placed on.
const NODES: usize = 3;

impl Cluster {
    /// The one with controllers and nodes that the tests of this process share; each takes a namespace of its own.
    pub fn controlled() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| {
            let mut cluster = Self::start();
            cluster.control();
            cluster
        })
    }

    /// Starts controllers, scheduler and kwok, and waits until the nodes are ready.
    fn control(&mut self) {
        let program = program("controllers").display().to_string();
        let kubeconfig = format!("--kubeconfig={}", self.kubeconfig(&self.url(), None).display());
        let stages = repository().join(MODULE).join("kwok.yaml");
        let quick = ["--kube-api-qps=500".to_owned(), "--kube-api-burst=1000".to_owned()];
        let alone = ["--leader-elect=false".to_owned(), "--secure-port=0".to_owned()];
        let manager = [
            format!("--controllers={}", CONTROLLERS.join(",")),
            "--horizontal-pod-autoscaler-sync-period=1s".to_owned(),
            "--horizontal-pod-autoscaler-downscale-stabilization=1s".to_owned(),
        ];
        let nodes = ["--manage-all-nodes=true".to_owned(), format!("--config={}", stages.display())];
        let mut started: Vec<(Guarded, PathBuf)> = [
            ("kube-controller-manager", [&alone[..], &quick[..], &manager[..]].concat()),
            ("kube-scheduler", [&alone[..], &quick[..]].concat()),
            ("kwok", nodes.to_vec()),
        ]
        .into_iter()
        .map(|(name, flags)| {
            let command = [vec![program.clone(), name.to_owned(), kubeconfig.clone()], flags].concat();
            let log = self.folder.path().join(format!("{name}.log"));
            // Debian's etcd is too old for the streams by which clients would list otherwise.
            let variables = [("KUBE_FEATURE_WatchListClient", "false".to_owned())];
            (Guarded::start(&command, &variables, &log), log)
        })
        .collect();
        for number in 0..NODES {
            let metadata = json!({ "name": format!("node-{number}"), "annotations": { "kwok.x-k8s.io/node": "fake" } });
            self.apply(&json!({ "apiVersion": "v1", "kind": "Node", "metadata": metadata }));
        }
        until("the nodes to be ready", || {
            for (server, log) in &mut started {
                assert!(!server.has_ended(), "{}:\n{}", log.display(), fs::read_to_string(&*log).unwrap_or_default());
            }
            let nodes = self.done("GET", "/api/v1/nodes", &Value::Null);
            let nodes = nodes["items"].as_array().expect("a list");
            let is_ready = |node: &Value| {
                let conditions = node["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
                conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
            };
            nodes.iter().all(is_ready).then_some(())
        });
        let servers = std::mem::take(&mut self.servers);
        self.servers = started.into_iter().map(|(server, _)| server).chain(servers).collect();
    }
}

/// Those that workloads take.
const CONTROLLERS: [&str; 6] = [
    "deployment-controller",
    "replicaset-controller",
    "statefulset-controller",
    "horizontal-pod-autoscaler-controller",
    "garbage-collector-controller",
    "namespace-controller",
];
