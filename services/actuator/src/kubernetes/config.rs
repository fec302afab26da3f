//! Section `[actuator.kubernetes]`.

use crate::in_place::config::ResizeConfig;
use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const CALLS_IN_FLIGHT_MAX: usize = 1_000;
const CALL_DEADLINE_S_MAX: u32 = 60;
/// Below what the account of the actuator's results waits for.
const SETTLE_S_MAX: u32 = 6 * 3600;

/// Section `[actuator.kubernetes]`: how Kubernetes is called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KubernetesConfig {
    /// Whether actions on Kubernetes are carried out.
    pub enabled: bool,
    /// File with the cluster's address and the credentials. Empty for the pod's own account where this runs in the
    /// cluster, else for what `kubectl` would take.
    pub kubeconfig: String,
    /// Context of that file; empty for its current one.
    pub context: String,
    /// Namespace of the lease by which one actuator at a time calls the cluster; empty for that of the pod or of the
    /// context.
    pub lease_namespace: String,
    /// Whether only objects with the annotation `prescale.io/enabled: "true"` are changed. One that says `"false"` never
    /// is.
    pub require_annotation: bool,
    /// What is done where an autoscaler owns the number of replicas.
    pub autoscaler: AutoscalerMode,
    /// How nodes are asked for room for replicas that an autoscaler will add which is left alone.
    pub node_headroom: NodeHeadroom,
    /// Most calls under way at a time.
    pub calls_in_flight_max: usize,
    /// Most calls a second.
    pub calls_per_s_max: f64,
    /// A call that takes longer is given up, and what came of it is looked at, in seconds.
    pub call_deadline_s: u32,
    /// What the cluster has taken is ready within so many seconds, or has failed.
    pub settle_s: u32,
    /// Section `[actuator.kubernetes.resize]`: how pods are resized in place.
    pub resize: ResizeConfig,
    /// Sections `[actuator.kubernetes.kinds.NAME]`: further kinds with a `scale` subresource, by kind.
    pub kinds: BTreeMap<String, KindConfig>,
}

/// What is done where a HorizontalPodAutoscaler or a KEDA ScaledObject owns the number of replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AutoscalerMode {
    /// Nothing: the action fails.
    Refuse,
    /// Its least number of replicas is raised, and given back.
    RaiseMin,
}

/// How nodes are asked for room for replicas that an autoscaler will add which is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeHeadroom {
    /// Not at all.
    Off,
    /// By a CapacityBuffer, which Karpenter and the cluster autoscaler heed.
    Buffer,
    /// By pods that do nothing, of priority class `prescale-placeholder`, which has to be there.
    Placeholder,
}

/// Section `[actuator.kubernetes.kinds.NAME]`: where objects of a kind are found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KindConfig {
    /// API group, such as `argoproj.io`.
    pub group: String,
    /// Its version, such as `v1alpha1`.
    pub version: String,
    /// Name of the objects in paths, such as `rollouts`.
    pub plural: String,
}

/// Whether a name can be a part of a path as it is.
pub(super) fn is_segment(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    !name.is_empty() && name.bytes().all(is_plain) && name.bytes().any(|byte| byte != b'.')
}

impl Default for KubernetesConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            kubeconfig: String::new(),
            context: String::new(),
            lease_namespace: String::new(),
            require_annotation: true,
            autoscaler: AutoscalerMode::Refuse,
            node_headroom: NodeHeadroom::Off,
            calls_in_flight_max: 16,
            calls_per_s_max: 20.0,
            call_deadline_s: 10,
            settle_s: 600,
            resize: ResizeConfig::default(),
            kinds: BTreeMap::new(),
        }
    }
}

impl KubernetesConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// With the key that is out of range.
    pub fn check(&self) -> Result<()> {
        let Self { calls_in_flight_max, calls_per_s_max, call_deadline_s, settle_s, .. } = self;
        ensure!(
            (1..=CALLS_IN_FLIGHT_MAX).contains(calls_in_flight_max),
            "[actuator.kubernetes] calls_in_flight_max = {calls_in_flight_max}: give 1 to {CALLS_IN_FLIGHT_MAX}"
        );
        ensure!(
            calls_per_s_max.is_finite() && *calls_per_s_max >= 0.1,
            "[actuator.kubernetes] calls_per_s_max = {calls_per_s_max}: give 0.1 or more"
        );
        ensure!(
            (1..=CALL_DEADLINE_S_MAX).contains(call_deadline_s),
            "[actuator.kubernetes] call_deadline_s = {call_deadline_s}: give 1 to {CALL_DEADLINE_S_MAX}"
        );
        ensure!(
            (1..=SETTLE_S_MAX).contains(settle_s),
            "[actuator.kubernetes] settle_s = {settle_s}: give 1 to {SETTLE_S_MAX}"
        );
        self.resize.check()?;
        for (kind, KindConfig { group, version, plural }) in &self.kinds {
            let is_named = [kind, group, version, plural].iter().all(|name| is_segment(name));
            ensure!(is_named, "[actuator.kubernetes.kinds.{kind}]: give group, version and plural, as paths have them");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prescale_chassis::read_strictly;

    #[test]
    fn what_is_written_is_read_again_and_what_is_out_of_range_names_its_key() {
        let text = "autoscaler = \"raise-min\"\n[kinds.Rollout]\ngroup = \"argoproj.io\"\nversion = \"v1alpha1\"\nplural = \"rollouts\"\n";
        let read: KubernetesConfig = read_strictly(&text.parse().unwrap()).unwrap();
        read.check().unwrap();
        assert_eq!((read.autoscaler, read.kinds["Rollout"].plural.as_str()), (AutoscalerMode::RaiseMin, "rollouts"));
        assert_eq!(toml::from_str::<KubernetesConfig>(&toml::to_string(&read).unwrap()).unwrap(), read);
        let refused = |text: &str| {
            let config: KubernetesConfig = read_strictly(&text.parse().unwrap()).unwrap();
            config.check().unwrap_err().to_string()
        };
        for (text, key) in [
            ("calls_in_flight_max = 0", "calls_in_flight_max = 0"),
            ("calls_per_s_max = 0.0", "calls_per_s_max = 0"),
            ("call_deadline_s = 0", "call_deadline_s = 0"),
            ("settle_s = 1000000", "settle_s = 1000000"),
            ("[resize]\npods_share_max = 2.0", "pods_share_max = 2"),
            ("[kinds.Rollout]\ngroup = \"a/b\"", "kinds.Rollout"),
        ] {
            assert!(refused(text).contains(key), "{text}: {}", refused(text));
        }
        let misspelt = read_strictly::<KubernetesConfig>(&"autoscaler = \"raise\"".parse().unwrap()).unwrap_err();
        assert!(misspelt.starts_with("autoscaler: "), "{misspelt}");
    }
}
