//! From what the API server shows of a workload to what matters of it here.

use super::pod::{Pod, working_sets};
use super::workload::{ReplicaSet, Workload, is_made_by};
use anyhow::Result;
use serde_json::Value;

/// What the API server shows of a workload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    /// The object that makes its pods.
    pub(crate) object: &'a Value,
    /// Its kind.
    pub(crate) kind: &'a str,
    /// Its path.
    pub(crate) path: &'a str,
    /// The pods that it selects, and the path of its namespace's pods.
    pub(crate) pods: (&'a Value, &'a str),
    /// Of a Deployment the ReplicaSets that it selects, and the path of its namespace's ReplicaSets.
    pub(crate) replica_sets: Option<(&'a Value, &'a str)>,
    /// What its pods use, where that was asked for and is measured.
    pub(crate) metrics: Option<&'a Value>,
}

/// What matters of a workload.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facts {
    /// The object that makes its pods.
    pub(super) workload: Workload,
    /// Of a Deployment its ReplicaSets, the oldest first.
    pub(super) replica_sets: Vec<ReplicaSet>,
    /// Its pods that are on nodes, by their names.
    pub(super) pods: Vec<Pod>,
}

impl Facts {
    /// Of what is shown. Pods that are selected and made by another one are left out, where it is known who makes them.
    ///
    /// # Errors
    /// When an object lacks what it must have.
    pub(crate) fn read(shown: &Shown<'_>) -> Result<Self> {
        let Shown { object, kind, path, pods: (pods, pods_path), replica_sets, metrics } = *shown;
        let workload = Workload::read(object, kind, path, pods_path)?;
        let sets = replica_sets.map(|(list, path)| ReplicaSet::read_all(list, object, path)).transpose()?;
        let used = metrics.map(working_sets).transpose()?.unwrap_or_default();
        let makers: Vec<&str> = match &sets {
            Some(sets) => sets.iter().map(|set| set.uid.as_str()).collect(),
            None => object["metadata"]["uid"].as_str().into_iter().collect(),
        };
        let is_its = |pod: &&Value| !workload.makes_its_pods() || is_made_by(pod, &makers);
        let items = pods["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let its = items.iter().filter(is_its).map(|pod| Pod::read(pod, &used));
        let mut pods: Vec<Pod> = its.filter_map(Result::transpose).collect::<Result<_>>()?;
        pods.sort_by_cached_key(|pod| pod.name.clone());
        Ok(Self { workload, replica_sets: sets.unwrap_or_default(), pods })
    }
}
