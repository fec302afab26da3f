//! A namespace with actuators before it: they have the chart's rights and no others, and speak through a proxy. The
//! controllers are real ([`World::controlled`]), or the test plays them: what a Deployment is to have it then has at once.

use super::user;
use integration_tests::actuators::Actuators;
use integration_tests::kubernetes::Cluster;
use integration_tests::kubernetes::audit::Event;
use integration_tests::kubernetes::chart::objects;
use integration_tests::kubernetes::faults::Proxy;
use integration_tests::processes::until;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The controllers look so often.
const CONTROLLED_EVERY: Duration = Duration::from_millis(100);

/// What a test of actuators needs.
pub(super) struct World {
    pub(super) cluster: &'static Cluster,
    pub(super) namespace: String,
    pub(super) proxy: Proxy,
    pub(super) actuators: Actuators,
    pub(super) kubeconfig: PathBuf,
    pub(super) user: String,
    stopped: Arc<AtomicBool>,
    controllers: Option<JoinHandle<()>>,
}

impl World {
    /// With the rights of these parts of the chart's file, and these keys in `[actuator.kubernetes]`; the test plays the
    /// controllers.
    pub(super) fn new(parts: &[&str], kubernetes: &str) -> Self {
        let mut world = Self::on(Cluster::shared(), parts, kubernetes);
        let (cluster, name, ends) = (world.cluster, world.namespace.clone(), Arc::clone(&world.stopped));
        world.controllers = Some(std::thread::spawn(move || control(cluster, &name, &ends)));
        world
    }

    /// The same where controllers and nodes are real.
    pub(super) fn controlled(parts: &[&str], kubernetes: &str) -> Self {
        Self::on(Cluster::controlled(), parts, kubernetes)
    }

    fn on(cluster: &'static Cluster, parts: &[&str], kubernetes: &str) -> Self {
        let namespace = cluster.namespace();
        let rights = json!({ "parts": parts, "namespaces": [namespace.as_str()] });
        let values = json!({ "up": { "enabled": false }, "rights": rights });
        objects(&namespace, &values).iter().for_each(|object| drop(cluster.apply(object)));
        let token = cluster.token_of(&namespace, &namespace);
        let proxy = Proxy::before(cluster);
        let kubeconfig = cluster.kubeconfig(proxy.url(), Some(&token));
        let lease = format!("lease_namespace = \"{namespace}\"\n{kubernetes}");
        Self {
            cluster,
            user: user(&namespace, &namespace),
            namespace,
            proxy,
            actuators: Actuators::new(&lease),
            kubeconfig,
            stopped: Arc::default(),
            controllers: None,
        }
    }

    /// Starts one more actuator.
    pub(super) fn start(&mut self) {
        self.actuators.start(&self.kubeconfig);
    }

    /// Path of a Deployment.
    pub(super) fn path(&self, name: &str) -> String {
        format!("/apis/apps/v1/namespaces/{}/deployments/{name}", self.namespace)
    }

    /// What a Deployment is to have.
    pub(super) fn replicas(&self, name: &str) -> u64 {
        self.cluster.done("GET", &self.path(name), &Value::Null)["spec"]["replicas"].as_u64().expect("a number")
    }

    /// What lies at a path.
    pub(super) fn get(&self, path: &str) -> Value {
        self.cluster.done("GET", path, &Value::Null)
    }

    /// Pods with label `app` of this name that are not on their way out.
    pub(super) fn pods(&self, app: &str) -> Vec<Value> {
        let list = self.get(&format!("/api/v1/namespaces/{}/pods?labelSelector=app%3D{app}", self.namespace));
        let stays = |pod: &&Value| pod["metadata"]["deletionTimestamp"].is_null();
        list["items"].as_array().expect("a list").iter().filter(stays).cloned().collect()
    }

    /// Waits until all replicas of a Deployment are there, ready, and of its template.
    pub(super) fn until_ready(&self, name: &str) {
        until(&format!("{name} to be ready"), || {
            let object = self.get(&self.path(name));
            let (spec, status) = (&object["spec"], &object["status"]);
            let all = ["replicas", "updatedReplicas", "readyReplicas"];
            let is_observed = status["observedGeneration"] == object["metadata"]["generation"];
            is_observed && all.into_iter().all(|count| status[count] == spec["replicas"])
        });
    }

    /// What the actuators have asked for, by the server's audit log.
    pub(super) fn asked(&self) -> Vec<Event> {
        asked_by(self.cluster, &self.user)
    }

    /// What has come of it for an object of this name.
    pub(super) fn effects_on(&self, name: &str) -> Vec<Event> {
        self.asked().into_iter().filter(|event| event.is_effect() && event.name == name).collect()
    }
}

/// What somebody has asked for, by the server's audit log.
pub(super) fn asked_by(cluster: &Cluster, user: &str) -> Vec<Event> {
    cluster.audited().into_iter().filter(|event| event.user == user).collect()
}

impl Drop for World {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        if let Some(controllers) = self.controllers.take() {
            // It has said so if it panicked.
            let _ = controllers.join();
        }
    }
}

/// One round after the other: autoscalers see to their least number, and what is to be there is there.
fn control(cluster: &Cluster, namespace: &str, stopped: &AtomicBool) {
    let group = |group: &str| format!("/apis/{group}/namespaces/{namespace}");
    let scaled = group("apps/v1");
    let autoscalers = [
        (group("autoscaling/v2") + "/horizontalpodautoscalers", "minReplicas"),
        (group("keda.sh/v1alpha1") + "/scaledobjects", "minReplicaCount"),
    ];
    while !stopped.load(Ordering::Relaxed) {
        for (path, min) in &autoscalers {
            for autoscaler in items(cluster, path) {
                raise(cluster, &scaled, &autoscaler["spec"]["scaleTargetRef"], &autoscaler["spec"][min]);
            }
        }
        for plural in ["deployments", "replicasets", "statefulsets"] {
            let path = format!("{scaled}/{plural}");
            items(cluster, &path).iter().for_each(|object| serve(cluster, &path, object));
        }
        std::thread::park_timeout(CONTROLLED_EVERY);
    }
}

/// None where there is no such kind.
fn items(cluster: &Cluster, path: &str) -> Vec<Value> {
    let (_, list) = cluster.ask("GET", path, &Value::Null);
    list["items"].as_array().cloned().unwrap_or_default()
}

fn raise(cluster: &Cluster, scaled: &str, target: &Value, min: &Value) {
    let text = |field: &str| target[field].as_str().expect("a reference is whole").to_lowercase();
    let path = format!("{scaled}/{}s/{}/scale", text("kind"), text("name"));
    let (_, scale) = cluster.ask("GET", &path, &Value::Null);
    if scale["spec"]["replicas"].as_u64() < min.as_u64() {
        cluster.ask("PATCH", &path, &json!({ "spec": { "replicas": min } }));
    }
}

fn serve(cluster: &Cluster, path: &str, object: &Value) {
    let (generation, replicas) = (&object["metadata"]["generation"], &object["spec"]["replicas"]);
    if object["status"]["observedGeneration"] == *generation {
        return;
    }
    let status = json!({
        "observedGeneration": generation,
        "replicas": replicas,
        "updatedReplicas": replicas,
        "readyReplicas": replicas,
        "availableReplicas": replicas,
    });
    let name = object["metadata"]["name"].as_str().expect("a name");
    cluster.ask("PATCH", &format!("{path}/{name}/status"), &json!({ "status": status }));
}
