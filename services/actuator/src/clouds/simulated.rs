//! The simulated cloud, which is pure: its state is part of the stage's.

use super::{Cloud, CloudEntry, CloudFactory, How};
use anyhow::{Context as _, ensure};
use prescale_chassis::PricesConfig;
use prescale_chassis::config::{KnobSection, PartKind, Parts};
use prescale_domain::action::{Action, ActionResult, Mechanism};
use prescale_domain::cloud::{CloudRules, SimulatedCloud};
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::sync::Arc;

/// Its entry in the list of clouds.
pub(super) const ENTRY: CloudEntry = CloudEntry {
    platform: Platform::SIMULATED,
    mechanisms: &[Mechanism::Replicas, Mechanism::Limits, Mechanism::InstanceType],
    section: PartKind::of::<SimulatedConfig>(NAME),
    how: How::InStage(make),
};

const NAME: &str = "simulated";

fn make(tables: &Parts) -> anyhow::Result<Arc<dyn CloudFactory>> {
    let config: &SimulatedConfig = tables.get(NAME).context("[actuator.simulated] was not read")?;
    Ok(Arc::new(Factory { rules: Arc::new(config.rules()?) }))
}

/// Section `[actuator.simulated]`: how the simulated cloud behaves. The keys are the rules' own knobs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SimulatedConfig {
    /// All but the prices.
    #[serde(flatten)]
    pub rules: KnobSection<CloudRules>,
    /// Section `[actuator.simulated.prices]`.
    pub prices: PricesConfig,
}

impl<'de> Deserialize<'de> for SimulatedConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ConfigVisitor)
    }
}

struct ConfigVisitor;

impl<'de> Visitor<'de> for ConfigVisitor {
    type Value = SimulatedConfig;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a section")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SimulatedConfig, A::Error> {
        let mut config = SimulatedConfig::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "prices" => config.prices = map.next_value()?,
                key => config.rules.take(key, &mut map)?,
            }
        }
        Ok(config)
    }
}

impl SimulatedConfig {
    /// The rules of the simulated cloud, checked.
    ///
    /// # Errors
    /// With the key that is out of range.
    fn rules(&self) -> anyhow::Result<CloudRules> {
        let prices = self.prices.price_list().context("[actuator.simulated.prices]")?;
        let rules = CloudRules { prices, ..self.rules.0.clone() };
        ensure!(
            (0.0..=1.0).contains(&rules.failure_probability),
            "[actuator.simulated] failure_probability = {}: give a share from 0 to 1",
            rules.failure_probability
        );
        if let Some(quota) = rules.cpu_cores_quota {
            ensure!(
                quota.is_finite() && quota > 0.0,
                "[actuator.simulated] cpu_cores_quota_per_partition = {quota}: give a number of cores, or 0 for no quota"
            );
        }
        Ok(rules)
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
    use prescale_chassis::read_strictly;

    #[test]
    fn the_defaults_are_the_domains() {
        assert_eq!(SimulatedConfig::default().rules().unwrap(), CloudRules::default());
    }

    #[test]
    fn what_is_written_is_read_again_and_what_nobody_knows_is_told() {
        let text = "vm_boot_s = 5\nseed = 7\ncpu_cores_quota_per_partition = 0\n[prices]\ncore_price_per_h = 0.5\n";
        let read: SimulatedConfig = toml::from_str(text).unwrap();
        let rules = read.rules().unwrap();
        assert_eq!((rules.vm_boot_s, rules.seed, rules.cpu_cores_quota), (5, 7, None));
        assert_eq!((rules.limits_s, read.prices.core_price_per_h), (CloudRules::default().limits_s, 0.5));
        assert_eq!(toml::from_str::<SimulatedConfig>(&toml::to_string(&read).unwrap()).unwrap(), read);
        let refused = |text: &str| read_strictly::<SimulatedConfig>(&text.parse().unwrap()).unwrap_err();
        assert!(refused("vm_boot = 5").starts_with("vm_boot: unknown key, did you mean \"vm_boot_s\"?"));
        assert!(refused("[prices]\ncore_price = 5").starts_with("prices.core_price: unknown key"));
        assert!(refused("drain_s = -1").starts_with("drain_s: invalid value"));
    }

    #[test]
    fn wrong_values_name_their_key() {
        let message = |change: fn(&mut SimulatedConfig)| {
            let mut config = SimulatedConfig::default();
            change(&mut config);
            format!("{:#}", config.rules().unwrap_err())
        };
        assert!(message(|s| s.rules.failure_probability = 2.0).contains("failure_probability = 2"));
        assert!(message(|s| s.rules.cpu_cores_quota = Some(f64::NAN)).contains("cpu_cores_quota_per_partition"));
        assert!(message(|s| s.rules.cpu_cores_quota = Some(-1.0)).contains("cpu_cores_quota_per_partition = -1"));
        assert!(message(|s| s.prices.gib_price_per_h = -1.0).contains("gib_price_per_h"));
    }
}
