//! Instance types and what capacity costs. The names are generic and the prices made up.

use crate::resource::Resource;
use crate::sample::Capacity;
use std::cmp::Ordering;
use std::sync::Arc;

const GIB: f64 = 1_073_741_824.0;

/// A size that a VM can have, and its price.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceType {
    /// Name, unique in the list.
    pub name: Arc<str>,
    /// CPU, in cores.
    pub cpu_cores: f64,
    /// Memory, in bytes.
    pub memory_bytes: f64,
    /// Price per hour.
    pub price_per_h: f64,
    /// Whether more of it can be had.
    pub is_available: bool,
}

impl InstanceType {
    /// How much of a resource it has, in cores or bytes.
    pub fn of(&self, resource: Resource) -> f64 {
        match resource {
            Resource::Cpu => self.cpu_cores,
            Resource::Memory => self.memory_bytes,
        }
    }

    /// The capacity of so many VMs of this type.
    pub fn capacity(&self, replicas: u32) -> Capacity {
        Capacity {
            replicas,
            cpu_cores_per_replica: self.cpu_cores,
            memory_bytes_per_replica: self.memory_bytes,
            instance_type: Some(self.name.clone()),
        }
    }

    /// Order by price, then by name.
    pub fn cheaper_first(&self, other: &Self) -> Ordering {
        self.price_per_h.total_cmp(&other.price_per_h).then_with(|| self.name.cmp(&other.name))
    }
}

/// What capacity costs.
#[derive(Clone, Debug, PartialEq)]
pub struct PriceList {
    /// Instance types; names are unique.
    pub instance_types: Vec<InstanceType>,
    /// Price of a core per hour where a capacity is of no listed type; `None` when unknown.
    pub core_price_per_h: Option<f64>,
    /// Price of a GiB of memory per hour where a capacity is of no listed type; `None` when unknown.
    pub gib_price_per_h: Option<f64>,
}

impl Default for PriceList {
    fn default() -> Self {
        let family = |name: &str, sizes: &[(f64, f64, f64)]| {
            let of = |&(cpu_cores, gib, price_per_h): &(f64, f64, f64)| InstanceType {
                name: format!("{name}-{cpu_cores}").into(),
                cpu_cores,
                memory_bytes: gib * GIB,
                price_per_h,
                is_available: true,
            };
            sizes.iter().map(of).collect::<Vec<_>>()
        };
        let general = [(1.0, 4.0, 0.05), (2.0, 8.0, 0.1), (4.0, 16.0, 0.2), (8.0, 32.0, 0.4), (16.0, 64.0, 0.8)];
        let compute = [(2.0, 4.0, 0.08), (4.0, 8.0, 0.16), (8.0, 16.0, 0.32), (16.0, 32.0, 0.64)];
        let memory = [(2.0, 16.0, 0.14), (4.0, 32.0, 0.28), (8.0, 64.0, 0.56), (16.0, 128.0, 1.12)];
        Self {
            instance_types: [family("general", &general), family("compute", &compute), family("memory", &memory)]
                .concat(),
            core_price_per_h: Some(0.03),
            gib_price_per_h: Some(0.005),
        }
    }
}

impl PriceList {
    /// The type of that name.
    pub fn instance_type(&self, name: &str) -> Option<&InstanceType> {
        self.instance_types.iter().find(|t| &*t.name == name)
    }

    /// Price of a capacity per hour: by its instance type where that is listed, else by cores and
    /// memory. `None` when neither is known.
    pub fn price_per_h(&self, capacity: &Capacity) -> Option<f64> {
        if let Some(listed) = capacity.instance_type.as_deref().and_then(|name| self.instance_type(name)) {
            return Some(f64::from(capacity.replicas) * listed.price_per_h);
        }
        let (core, gib) = (self.core_price_per_h?, self.gib_price_per_h?);
        Some(capacity.cpu_cores() * core + capacity.memory_bytes() / GIB * gib)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_type_has_its_price_and_anything_else_is_priced_by_size() {
        let prices = PriceList::default();
        let listed = prices.instance_type("general-4").expect("is listed").capacity(3);
        assert!((prices.price_per_h(&listed).expect("has a price") - 0.6).abs() < 1e-12);
        let odd = Capacity { instance_type: Some("bespoke".into()), ..listed };
        assert!((prices.price_per_h(&odd).expect("has a price") - (12.0 * 0.03 + 48.0 * 0.005)).abs() < 1e-12);
        let unpriced = PriceList { core_price_per_h: None, ..prices };
        assert_eq!(unpriced.price_per_h(&odd), None);
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = PriceList::default().instance_types.iter().map(|t| t.name.clone()).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
