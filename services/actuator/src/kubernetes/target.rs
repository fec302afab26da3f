//! What an action is about: the object behind a workload's name, and its paths on the server.

use super::config::{KindConfig, is_segment};
use prescale_domain::workload::WorkloadId;
use std::collections::BTreeMap;

const APPS: &str = "apps";
const VERSION: &str = "v1";
/// Kinds of group `apps` with a `scale` subresource.
const KINDS: [(&str, &str); 3] =
    [("Deployment", "deployments"), ("ReplicaSet", "replicasets"), ("StatefulSet", "statefulsets")];

/// An object with a `scale` subresource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) namespace: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) group: String,
    /// Path of the object.
    pub(super) path: String,
}

impl Target {
    /// The object that a workload's name means: `NAMESPACE/KIND/NAME`, as the presets of the collector make them.
    ///
    /// # Errors
    /// With the reason when it means none, or one of a kind that is not known.
    pub(super) fn of(workload: &WorkloadId, kinds: &BTreeMap<String, KindConfig>) -> Result<Self, String> {
        let workload = workload.as_str();
        let parts: Vec<&str> = workload.split('/').collect();
        let [namespace, kind, name] = parts[..] else {
            return Err(format!("{workload:?} is no object of Kubernetes: workloads there are NAMESPACE/KIND/NAME"));
        };
        if ![namespace, name].into_iter().all(is_segment) {
            return Err(format!(
                "{workload:?} is no object of Kubernetes: its names have characters that none has there"
            ));
        }
        let of_apps = KINDS.iter().find(|(known, _)| *known == kind).map(|(_, plural)| (APPS, VERSION, *plural));
        let configured =
            || kinds.get(kind).map(|kind| (kind.group.as_str(), kind.version.as_str(), kind.plural.as_str()));
        let Some((group, version, plural)) = of_apps.or_else(configured) else {
            return Err(format!(
                "objects of kind {kind} are not scaled: if they have a scale subresource, set [actuator.kubernetes.kinds.{kind}]"
            ));
        };
        Ok(Self {
            path: format!("/apis/{group}/{version}/namespaces/{namespace}/{plural}/{name}"),
            namespace: namespace.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            group: group.to_owned(),
        })
    }

    /// Path of its `scale` subresource.
    pub(super) fn scale_path(&self) -> String {
        format!("{}/scale", self.path)
    }

    /// Path of the pods of its namespace.
    pub(super) fn pods_path(&self) -> String {
        format!("/api/v1/namespaces/{}/pods", self.namespace)
    }

    /// Path of the ReplicaSets of its namespace, where its pods are made by some.
    pub(super) fn replica_sets_path(&self) -> Option<String> {
        let makes_sets = (self.group.as_str(), self.kind.as_str()) == (APPS, "Deployment");
        makes_sets.then(|| format!("/apis/{APPS}/{VERSION}/namespaces/{}/replicasets", self.namespace))
    }

    /// Path of what the pods of its namespace use.
    pub(super) fn metrics_path(&self) -> String {
        format!("/apis/metrics.k8s.io/v1beta1/namespaces/{}/pods", self.namespace)
    }

    /// Whether the object itself says how many replicas it should have and has; else its `scale` does.
    pub(super) fn says_its_replicas(&self) -> bool {
        self.group == APPS
    }

    /// Whether a reference of an autoscaler (`apiVersion`, `kind`, `name`) is to it.
    pub(super) fn is_meant_by(&self, api_version: &str, kind: &str, name: &str) -> bool {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        (group, kind, name) == (self.group.as_str(), self.kind.as_str(), self.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(workload: &str) -> Result<Target, String> {
        let rollout = KindConfig { group: "argoproj.io".into(), version: "v1alpha1".into(), plural: "rollouts".into() };
        let kinds = BTreeMap::from([("Rollout".to_owned(), rollout)]);
        Target::of(&WorkloadId::new(workload).unwrap(), &kinds)
    }

    #[test]
    fn a_workloads_name_leads_to_its_object() {
        let web = target("shop/Deployment/web").unwrap();
        assert_eq!(web.scale_path(), "/apis/apps/v1/namespaces/shop/deployments/web/scale");
        assert!(web.is_meant_by("apps/v1", "Deployment", "web") && !web.is_meant_by("apps/v1", "StatefulSet", "web"));
        let rollout = target("shop/Rollout/web").unwrap();
        assert_eq!(rollout.path, "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/web");
        for (wrong, words) in [
            ("web", "NAMESPACE/KIND/NAME"),
            ("shop/Deployment/web/scale", "NAMESPACE/KIND/NAME"),
            ("shop/Deployment/..", "characters"),
            ("shop/Deployment/web?x", "characters"),
            ("shop/deployment/web", "objects of kind deployment"),
            ("shop/DaemonSet/web", "[actuator.kubernetes.kinds.DaemonSet]"),
        ] {
            let refused = target(wrong).unwrap_err();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
