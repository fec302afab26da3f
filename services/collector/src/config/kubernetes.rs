//! Section `[collector.kubernetes]`.

use super::{check_name, check_step};
use anyhow::{Context as _, ensure};
use prescale_domain::source::SourceName;
use serde::{Deserialize, Serialize};

const CALL_DEADLINE_S_MAX: u32 = 60;

/// Section `[collector.kubernetes]`: what a cluster's API server says of its workloads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KubernetesConfig {
    /// Whether workloads are looked for.
    pub enabled: bool,
    /// File with the cluster's address and the credentials. Empty for the pod's own account where this runs in the
    /// cluster, else for what `kubectl` would take.
    pub kubeconfig: String,
    /// Context of that file; empty for its current one.
    pub context: String,
    /// Names the source for good.
    pub name: String,
    /// Time between two samples of a workload, in seconds.
    pub every_s: u32,
    /// Label selector that the API server goes by, such as `team=shop`. Of what it selects, workloads with the label or
    /// annotation `prescale.io/enabled: "true"` are collected.
    pub selector: String,
    /// A call that takes longer is given up, in seconds.
    pub call_deadline_s: u32,
}

impl Default for KubernetesConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            kubeconfig: String::new(),
            context: String::new(),
            name: "main".to_owned(),
            every_s: 60,
            selector: String::new(),
            call_deadline_s: 10,
        }
    }
}

impl KubernetesConfig {
    /// Whether there is a cluster to be asked.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Name of the source.
    ///
    /// # Errors
    /// When it is too long.
    pub(crate) fn source(&self) -> anyhow::Result<SourceName> {
        SourceName::new(format!("kubernetes:{}", self.name)).context("[collector.kubernetes] name")
    }

    pub(crate) fn check(&self) -> anyhow::Result<()> {
        check_name("[collector.kubernetes] name", &self.name)?;
        ensure!(!self.name.is_empty(), "[collector.kubernetes] name = \"\": the source needs a name");
        check_step("[collector.kubernetes] every_s", self.every_s)?;
        ensure!(
            (1..=CALL_DEADLINE_S_MAX).contains(&self.call_deadline_s),
            "[collector.kubernetes] call_deadline_s = {}: 1 to {CALL_DEADLINE_S_MAX} are possible",
            self.call_deadline_s
        );
        self.source().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_is_refused_with_its_key() {
        let refused = |text: &str| {
            let config: KubernetesConfig = toml::from_str(text).unwrap();
            config.check().map_or_else(|error| format!("{error:#}"), |()| String::new())
        };
        assert_eq!(refused("enabled = true\n"), "");
        for key in ["every_s = 0", "call_deadline_s = 0", "call_deadline_s = 61", "name = \"\""] {
            assert!(refused(&format!("{key}\n")).contains(&format!("[collector.kubernetes] {key}")), "{key}");
        }
    }
}
