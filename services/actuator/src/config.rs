//! Configuration of the actuator: section `[actuator]`.

use anyhow::{Context as _, ensure};
use prescale_chassis::PricesConfig;
use prescale_domain::cloud::CloudRules;
use serde::{Deserialize, Serialize};

/// Section `[actuator]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Section `[actuator.simulated]`.
    pub simulated: SimulatedConfig,
}

/// Section `[actuator.simulated]`: how the simulated cloud behaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SimulatedConfig {
    /// Time until an added VM or replica serves, in seconds.
    pub vm_boot_s: u32,
    /// Time until limits changed in place hold, in seconds.
    pub limits_s: u32,
    /// Time that a change of the instance type takes, in seconds.
    pub instance_type_s: u32,
    /// Removed VMs leave service at once and give their cores back to the quota after this, in
    /// seconds.
    pub drain_s: u32,
    /// Share of the requests that fail, from 0 to 1.
    pub failure_probability: f64,
    /// Chooses which.
    pub seed: u64,
    /// Most cores of the workloads of one partition, together; 0 for no quota.
    pub cpu_cores_quota_per_partition: f64,
    /// Section `[actuator.simulated.prices]`.
    pub prices: PricesConfig,
}

impl Default for SimulatedConfig {
    fn default() -> Self {
        let rules = CloudRules::default();
        Self {
            vm_boot_s: rules.vm_boot_s,
            limits_s: rules.limits_s,
            instance_type_s: rules.instance_type_s,
            drain_s: rules.drain_s,
            failure_probability: rules.failure_probability,
            seed: rules.seed,
            cpu_cores_quota_per_partition: rules.cpu_cores_quota.unwrap_or(0.0),
            prices: PricesConfig::default(),
        }
    }
}

impl Config {
    /// The rules of the simulated cloud, checked.
    ///
    /// # Errors
    /// With the key that is out of range.
    pub fn cloud_rules(&self) -> anyhow::Result<CloudRules> {
        let s = &self.simulated;
        ensure!(
            (0.0..=1.0).contains(&s.failure_probability),
            "[actuator.simulated] failure_probability = {}: give a share from 0 to 1",
            s.failure_probability
        );
        ensure!(
            s.cpu_cores_quota_per_partition.is_finite() && s.cpu_cores_quota_per_partition >= 0.0,
            "[actuator.simulated] cpu_cores_quota_per_partition = {}: give a number of cores, or 0 for no quota",
            s.cpu_cores_quota_per_partition
        );
        Ok(CloudRules {
            vm_boot_s: s.vm_boot_s,
            limits_s: s.limits_s,
            instance_type_s: s.instance_type_s,
            drain_s: s.drain_s,
            failure_probability: s.failure_probability,
            seed: s.seed,
            cpu_cores_quota: (s.cpu_cores_quota_per_partition > 0.0).then_some(s.cpu_cores_quota_per_partition),
            prices: s.prices.price_list().context("[actuator.simulated.prices]")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_domains() {
        assert_eq!(Config::default().cloud_rules().unwrap(), CloudRules::default());
    }

    #[test]
    fn wrong_values_name_their_key() {
        let message = |change: fn(&mut SimulatedConfig)| {
            let mut config = Config::default();
            change(&mut config.simulated);
            format!("{:#}", config.cloud_rules().unwrap_err())
        };
        assert!(message(|s| s.failure_probability = 2.0).contains("failure_probability = 2"));
        assert!(message(|s| s.cpu_cores_quota_per_partition = f64::NAN).contains("cpu_cores_quota_per_partition"));
        assert!(message(|s| s.prices.gib_price_per_h = -1.0).contains("gib_price_per_h"));
    }
}
