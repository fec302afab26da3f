//! What lists of an API server come to: samples of the workloads that are meant. Pure.

use super::api::{List, Silent};
use anyhow::{Context as _, Result};
use prescale_domain::kpi::{CPU_CORES_USED, Kpi, KpiKind, KpiName, MEMORY_BYTES};
use prescale_domain::sample::{Capacity, Platform, Sample};
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use prescale_kubernetes::quantity::Quantity;
use prescale_kubernetes::resources::Resources;
use prescale_kubernetes::selector::encoded;
use prescale_kubernetes::workload::{id, is_enabled};
use serde_json::Value;
use std::collections::BTreeMap;

/// Pods that are ready (gauge, pods).
const REPLICAS_READY: &str = "replicas_ready";
/// The kinds of workloads, and what lists of them are called.
const KINDS: [(&str, &str); 2] = [("Deployment", "deployments"), ("StatefulSet", "statefulsets")];
const APPS: &str = "/apis/apps/v1";
const PODS: &str = "/api/v1/pods";
const METRICS: &str = "/apis/metrics.k8s.io/v1beta1/pods";

/// Namespace and name.
type Key = (String, String);

/// The workloads that are meant, with their running pods.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cluster {
    /// By their ids.
    workloads: BTreeMap<String, Vec<Pod>>,
    metrics: Metrics,
}

/// What the metrics server says of what pods use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Metrics {
    /// It has told.
    Told,
    /// It does not answer now, for this reason.
    Silent(String),
    /// There is none.
    Absent,
}

/// A running pod.
#[derive(Clone, Debug, PartialEq)]
struct Pod {
    is_ready: bool,
    /// Cores and bytes that it may use; `None` where one of its containers has neither limit nor request.
    cpu_cores: Option<f64>,
    memory_bytes: Option<f64>,
    /// Cores and bytes that it uses, where that is measured.
    used: Option<(f64, f64)>,
}

impl Cluster {
    /// Asks for the lists that are needed and takes them together. What is used is not known while the metrics server does
    /// not answer; all else is all the same.
    ///
    /// # Errors
    /// When one cannot be had.
    pub(super) fn look(mut get: impl FnMut(&List) -> Result<Option<Value>>, selector: &str) -> Result<Self> {
        let mut workloads: BTreeMap<String, Vec<Pod>> = BTreeMap::new();
        let query = if selector.is_empty() { String::new() } else { format!("&labelSelector={}", encoded(selector)) };
        for (kind, plural) in KINDS {
            let list = asked(&mut get, &format!("{APPS}/{plural}?resourceVersion=0{query}"), true)?;
            let meant = items(&list).iter().map(|item| &item["metadata"]).filter(|metadata| is_enabled(metadata));
            workloads.extend(
                meant.map(|metadata| (id(text(&metadata["namespace"]), kind, text(&metadata["name"])), Vec::new())),
            );
        }
        let mut cluster = Self { workloads, metrics: Metrics::Told };
        if cluster.workloads.is_empty() {
            return Ok(cluster);
        }
        let sets = asked(&mut get, &format!("{APPS}/replicasets?resourceVersion=0"), true)?;
        let pods = asked(&mut get, &format!("{PODS}?resourceVersion=0&fieldSelector=status.phase%3DRunning"), false)?;
        let used = match get(&List { path: METRICS.to_owned(), metadata_alone: false }) {
            Ok(Some(metrics)) => used_by_pod(&metrics)?,
            Ok(None) => {
                cluster.metrics = Metrics::Absent;
                BTreeMap::new()
            }
            Err(error) => {
                let Silent { why } = error.downcast()?;
                cluster.metrics = Metrics::Silent(why);
                BTreeMap::new()
            }
        };
        let owners: BTreeMap<Key, (&str, &str)> =
            items(&sets).iter().filter_map(|set| Some((key(set), controller(set)?))).collect();
        for pod in items(&pods).iter().filter(|pod| pod["status"]["phase"] == "Running") {
            let Some(owner) = owner(pod, &owners) else { continue };
            let Some(of_owner) = cluster.workloads.get_mut(&owner) else { continue };
            let read = Pod::read(pod, used.get(&key(pod)).copied());
            of_owner.push(read.with_context(|| format!("pod {}/{}", key(pod).0, key(pod).1))?);
        }
        Ok(cluster)
    }

    /// How many workloads are meant.
    pub(super) fn workloads(&self) -> usize {
        self.workloads.len()
    }

    /// What the metrics server has said.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// A sample of each workload, but for those whose names are too long for an id.
    pub(super) fn samples(&self, source: &SourceName, at: EventTime, step_s: u32) -> Vec<Sample> {
        let sample = |(workload, pods): (&String, &Vec<Pod>)| {
            Some(Sample {
                workload: WorkloadId::new(workload).ok()?,
                source: source.clone(),
                at,
                step_s,
                kpis: self.kpis(pods),
                capacity: capacity(pods),
                platform: Platform::KUBERNETES,
            })
        };
        self.workloads.iter().filter_map(sample).collect()
    }

    /// What its pods use together is known where it is known of each that is ready.
    fn kpis(&self, pods: &[Pod]) -> Vec<Kpi> {
        let is_known = !pods.is_empty() && pods.iter().all(|pod| pod.used.is_some() || !pod.is_ready);
        let used =
            |of: fn((f64, f64)) -> f64| is_known.then(|| pods.iter().filter_map(|pod| pod.used).map(of).sum::<f64>());
        let gauge = |name: &str, unit: &str, value: Option<f64>| Kpi {
            name: KpiName::new(name),
            kind: KpiKind::Gauge,
            unit: unit.into(),
            value,
        };
        let ready = pods.iter().filter(|pod| pod.is_ready).count();
        let mut kpis = vec![gauge(REPLICAS_READY, "1", Some(ready as f64))];
        if self.metrics != Metrics::Absent {
            kpis.push(gauge(CPU_CORES_USED, "cores", used(|(cpu_cores, _)| cpu_cores)));
            kpis.push(gauge(MEMORY_BYTES, "By", used(|(_, memory_bytes)| memory_bytes)));
        }
        kpis
    }
}

impl Pod {
    fn read(pod: &Value, used: Option<(f64, f64)>) -> Result<Self> {
        let containers = pod["spec"]["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let size = |container: &Value| Resources::read(&container["resources"]).map(|resources| resources.size());
        let sizes = containers.iter().map(size).collect::<Result<Vec<_>, _>>()?;
        let conditions = pod["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(Self {
            is_ready: conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"),
            cpu_cores: sizes.iter().map(|size| size.cpu_millis.map(|millis| millis as f64 / 1000.0)).sum(),
            memory_bytes: sizes.iter().map(|size| size.memory_bytes.map(|bytes| bytes as f64)).sum(),
            used,
        })
    }
}

/// What the running pods have together: of each container the limit, or else the request. Known in full or not at all.
fn capacity(pods: &[Pod]) -> Option<Capacity> {
    let cpu_cores: Option<f64> = pods.iter().map(|pod| pod.cpu_cores).sum();
    let memory_bytes: Option<f64> = pods.iter().map(|pod| pod.memory_bytes).sum();
    Capacity::of_totals(Some(pods.len() as f64), cpu_cores, memory_bytes)
}

fn asked(get: &mut impl FnMut(&List) -> Result<Option<Value>>, path: &str, metadata_alone: bool) -> Result<Value> {
    let list = List { path: path.to_owned(), metadata_alone };
    get(&list)?.with_context(|| format!("the server has no {path}: is it an API server?"))
}

fn items(list: &Value) -> &[Value] {
    list["items"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn key(object: &Value) -> Key {
    (text(&object["metadata"]["namespace"]).to_owned(), text(&object["metadata"]["name"]).to_owned())
}

/// Kind and name of what controls an object.
fn controller(object: &Value) -> Option<(&str, &str)> {
    let owners = object["metadata"]["ownerReferences"].as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    Some((owner["kind"].as_str()?, owner["name"].as_str()?))
}

/// The id of the workload that a pod is of: what controls it, or the ReplicaSet that does.
fn owner(pod: &Value, of_sets: &BTreeMap<Key, (&str, &str)>) -> Option<String> {
    let namespace = text(&pod["metadata"]["namespace"]);
    let (kind, name) = controller(pod)?;
    let of_set = (kind == "ReplicaSet").then(|| of_sets.get(&(namespace.to_owned(), name.to_owned()))).flatten();
    let (kind, name) = of_set.copied().unwrap_or((kind, name));
    Some(id(namespace, kind, name))
}

/// Cores and bytes that each pod uses.
fn used_by_pod(metrics: &Value) -> Result<BTreeMap<Key, (f64, f64)>> {
    let quantity = |value: &Value| Quantity::parse(value.as_str().unwrap_or("0")).map(Quantity::as_f64);
    let of_pod = |pod: &Value| -> Result<(Key, (f64, f64))> {
        let mut used = (0.0, 0.0);
        for container in pod["containers"].as_array().map(Vec::as_slice).unwrap_or_default() {
            used.0 += quantity(&container["usage"]["cpu"])?;
            used.1 += quantity(&container["usage"]["memory"])?;
        }
        Ok((key(pod), used))
    };
    items(metrics).iter().map(of_pod).collect()
}
