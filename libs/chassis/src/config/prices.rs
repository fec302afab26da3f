//! The price list as configuration has it. Planner and actuator each read one, and both have the
//! domain's as their default.

use anyhow::{Result, bail};
use prescale_domain::cloud::{InstanceType, PriceList};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

const GIB: f64 = 1_073_741_824.0;

/// What capacity costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PricesConfig {
    /// Instance types (flavors) to choose from.
    pub instance_types: Vec<InstanceTypeConfig>,
    /// Price of a core per hour where a capacity is of no listed type.
    pub core_price_per_h: f64,
    /// Price of a GiB of memory per hour where a capacity is of no listed type.
    pub gib_price_per_h: f64,
}

/// One instance type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceTypeConfig {
    /// Name, unique in the list.
    pub name: String,
    /// CPU, in cores.
    pub cpu_cores: f64,
    /// Memory, in GiB.
    pub memory_gib: f64,
    /// Price per hour.
    pub price_per_h: f64,
    /// Whether more of it can be had.
    #[serde(default = "available", skip_serializing_if = "is_available")]
    pub available: bool,
}

const fn available() -> bool {
    true
}

fn is_available(available: &bool) -> bool {
    *available
}

impl Default for PricesConfig {
    fn default() -> Self {
        let PriceList { instance_types, core_price_per_h, gib_price_per_h } = PriceList::default();
        let as_configured = |t: InstanceType| InstanceTypeConfig {
            name: t.name.to_string(),
            cpu_cores: t.cpu_cores,
            memory_gib: t.memory_bytes / GIB,
            price_per_h: t.price_per_h,
            available: t.is_available,
        };
        Self {
            instance_types: instance_types.into_iter().map(as_configured).collect(),
            core_price_per_h: core_price_per_h.unwrap_or_default(),
            gib_price_per_h: gib_price_per_h.unwrap_or_default(),
        }
    }
}

impl PricesConfig {
    /// As the domain has it.
    ///
    /// # Errors
    /// When a name is missing or comes twice, or a number is out of range; named as in the
    /// configuration.
    pub fn price_list(&self) -> Result<PriceList> {
        let mut names = BTreeSet::new();
        for t in &self.instance_types {
            if t.name.is_empty() || !names.insert(&t.name) {
                bail!("instance_types: name {:?} is empty or comes twice: give each type a name of its own", t.name);
            }
            let is_positive = |x: f64| x.is_finite() && x > 0.0;
            if !(is_positive(t.cpu_cores) && is_positive(t.memory_gib) && is_price(t.price_per_h)) {
                bail!("instance_types: {:?} needs cores and memory above 0 and a price of at least 0", t.name);
            }
        }
        for (key, price) in [("core_price_per_h", self.core_price_per_h), ("gib_price_per_h", self.gib_price_per_h)] {
            if !is_price(price) {
                bail!("{key} = {price}: give a price of at least 0");
            }
        }
        let in_domain = |t: &InstanceTypeConfig| InstanceType {
            name: t.name.as_str().into(),
            cpu_cores: t.cpu_cores,
            memory_bytes: t.memory_gib * GIB,
            price_per_h: t.price_per_h,
            is_available: t.available,
        };
        Ok(PriceList {
            instance_types: self.instance_types.iter().map(in_domain).collect(),
            core_price_per_h: Some(self.core_price_per_h),
            gib_price_per_h: Some(self.gib_price_per_h),
        })
    }
}

fn is_price(x: f64) -> bool {
    x.is_finite() && x >= 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_domains() {
        assert_eq!(PricesConfig::default().price_list().unwrap(), PriceList::default());
    }

    #[test]
    fn a_list_that_makes_no_sense_is_refused_by_name() {
        let with = |change: fn(&mut PricesConfig)| {
            let mut prices = PricesConfig::default();
            change(&mut prices);
            prices.price_list().unwrap_err().to_string()
        };
        assert!(with(|p| p.instance_types[1].name = p.instance_types[0].name.clone()).contains("comes twice"));
        assert!(with(|p| p.instance_types[2].memory_gib = 0.0).contains("above 0"));
        assert!(with(|p| p.core_price_per_h = -1.0).contains("core_price_per_h"));
    }

    #[test]
    fn a_type_may_be_unavailable() {
        let text = "instance_types = [\n{ name = \"a\", cpu_cores = 1, memory_gib = 1, price_per_h = 1, available = false },\n\
                    { name = \"b\", cpu_cores = 1, memory_gib = 1, price_per_h = 1 },\n]\n";
        let prices: PricesConfig = toml::from_str(text).unwrap();
        let available: Vec<bool> = prices.price_list().unwrap().instance_types.iter().map(|t| t.is_available).collect();
        assert_eq!(available, [false, true]);
        assert!(toml::to_string(&prices).unwrap().contains("available = false"));
    }
}
