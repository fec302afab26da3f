//! The simulated cloud, which is pure: its state is part of the stage's.

use super::{Cloud, CloudEntry, CloudFactory};
use anyhow::{Context as _, Result, ensure};
use prescale_chassis::PricesConfig;
use prescale_chassis::config::{PartKind, Parts};
use prescale_domain::action::{Action, ActionResult, Mechanism};
use prescale_domain::cloud::{CloudRules, SimulatedCloud};
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Its entry in the list of clouds.
pub(super) const ENTRY: CloudEntry = CloudEntry {
    platform: Platform::SIMULATED,
    mechanisms: &[Mechanism::Replicas, Mechanism::Limits, Mechanism::InstanceType],
    section: PartKind::of::<SimulatedConfig>(NAME),
    make,
};

const NAME: &str = "simulated";

fn make(tables: &Parts) -> Result<Arc<dyn CloudFactory>> {
    let config: &SimulatedConfig = tables.get(NAME).context("[actuator.simulated] was not read")?;
    Ok(Arc::new(Factory { rules: Arc::new(config.rules()?) }))
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

impl SimulatedConfig {
    /// The rules of the simulated cloud, checked.
    ///
    /// # Errors
    /// With the key that is out of range.
    fn rules(&self) -> Result<CloudRules> {
        ensure!(
            (0.0..=1.0).contains(&self.failure_probability),
            "[actuator.simulated] failure_probability = {}: give a share from 0 to 1",
            self.failure_probability
        );
        ensure!(
            self.cpu_cores_quota_per_partition.is_finite() && self.cpu_cores_quota_per_partition >= 0.0,
            "[actuator.simulated] cpu_cores_quota_per_partition = {}: give a number of cores, or 0 for no quota",
            self.cpu_cores_quota_per_partition
        );
        Ok(CloudRules {
            vm_boot_s: self.vm_boot_s,
            limits_s: self.limits_s,
            instance_type_s: self.instance_type_s,
            drain_s: self.drain_s,
            failure_probability: self.failure_probability,
            seed: self.seed,
            cpu_cores_quota: (self.cpu_cores_quota_per_partition > 0.0).then_some(self.cpu_cores_quota_per_partition),
            prices: self.prices.price_list().context("[actuator.simulated.prices]")?,
        })
    }
}

/// Makes the cloud of a partition.
struct Factory {
    rules: Arc<CloudRules>,
}

/// The cloud of a partition, with the rules that it goes by.
struct Simulated {
    rules: Arc<CloudRules>,
    state: SimulatedCloud,
}

impl Factory {
    fn with(&self, state: SimulatedCloud) -> Box<dyn Cloud> {
        Box::new(Simulated { rules: Arc::clone(&self.rules), state })
    }
}

impl CloudFactory for Factory {
    fn create(&self) -> Box<dyn Cloud> {
        self.with(SimulatedCloud::default())
    }

    fn restore(&self, snapshot: &[u8]) -> Result<Box<dyn Cloud>, String> {
        let state = bitcode::decode(snapshot).map_err(|e| format!("it is no state of the simulated cloud: {e}"))?;
        Ok(self.with(state))
    }
}

impl Cloud for Simulated {
    fn apply(&mut self, action_id: &Arc<str>, action: &Action) -> ActionResult {
        self.state.apply(&self.rules, action_id, action)
    }

    fn withdraw(&mut self, workload: &WorkloadId, decided_at: EventTime) {
        self.state.withdraw(workload, decided_at);
    }

    fn price_per_h(&self, capacity: &Capacity) -> Option<f64> {
        self.rules.prices.price_per_h(capacity)
    }

    fn snapshot(&self) -> Vec<u8> {
        bitcode::encode(&self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_domains() {
        assert_eq!(SimulatedConfig::default().rules().unwrap(), CloudRules::default());
    }

    #[test]
    fn wrong_values_name_their_key() {
        let message = |change: fn(&mut SimulatedConfig)| {
            let mut config = SimulatedConfig::default();
            change(&mut config);
            format!("{:#}", config.rules().unwrap_err())
        };
        assert!(message(|s| s.failure_probability = 2.0).contains("failure_probability = 2"));
        assert!(message(|s| s.cpu_cores_quota_per_partition = f64::NAN).contains("cpu_cores_quota_per_partition"));
        assert!(message(|s| s.prices.gib_price_per_h = -1.0).contains("gib_price_per_h"));
    }
}
