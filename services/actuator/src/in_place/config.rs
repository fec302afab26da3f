//! Section `[actuator.kubernetes.resize]`: how pods are resized in place.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// What becomes of a resize that a node has no room for, or does not come to an end with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnStuck {
    /// What waits is taken back, and the action has failed.
    #[default]
    GiveUp,
    /// The pods are replaced by new ones of that size, as the workload's strategy says.
    Rollout,
}

/// What becomes of the template once its pods have their size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TemplateRule {
    /// It follows, where it can without replacing pods.
    #[default]
    Follow,
    /// It stays as it is: pods that come later are resized when the next action asks for it.
    Leave,
}

/// Section `[actuator.kubernetes.resize]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResizeConfig {
    /// What becomes of a resize that is deferred for five minutes, in progress for an hour, or can never be: `give-up` or
    /// `rollout`. `[actuator.kubernetes] settle_s` bounds all of it.
    pub on_stuck: OnStuck,
    /// What becomes of the template: `follow` or `leave`.
    pub template: TemplateRule,
    /// So large a share of a workload's pods may be resized at a time, above 0 and up to 1; at least one pod.
    pub pods_share_max: f64,
}

impl Default for ResizeConfig {
    fn default() -> Self {
        Self { on_stuck: OnStuck::default(), template: TemplateRule::default(), pods_share_max: 0.25 }
    }
}

impl ResizeConfig {
    /// Checks what no type can.
    ///
    /// # Errors
    /// With the key that is out of range.
    pub(crate) fn check(&self) -> Result<()> {
        let share = self.pods_share_max;
        ensure!(
            share > 0.0 && share <= 1.0,
            "[actuator.kubernetes.resize] pods_share_max = {share}: give a share above 0 and up to 1"
        );
        Ok(())
    }

    /// So many of these pods may be resized at a time.
    pub(super) fn pods_max(&self, pods: usize) -> usize {
        ((pods as f64 * self.pods_share_max) as usize).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_is_refused_and_one_pod_may_always_be_resized() {
        let config: ResizeConfig = toml::from_str("on_stuck = \"rollout\"\ntemplate = \"leave\"\n").unwrap();
        assert_eq!((config.on_stuck, config.template), (OnStuck::Rollout, TemplateRule::Leave));
        assert!(config.check().is_ok());
        assert_eq!([1, 4, 7, 8, 100].map(|pods| config.pods_max(pods)), [1, 1, 1, 2, 25]);
        for share in [0.0, -1.0, 1.1, f64::NAN] {
            let error = ResizeConfig { pods_share_max: share, ..config }.check().unwrap_err().to_string();
            assert!(error.contains("pods_share_max"), "{error}");
        }
    }
}
