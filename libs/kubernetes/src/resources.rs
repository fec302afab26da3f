//! What a container asks for: requests and limits of CPU and memory, as they stand in the objects of an API server.

use crate::quantity::{Quantity, QuantityError};
use serde_json::Value;

/// Of CPU and of memory, each where it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Millicores.
    pub cpu_millis: Option<u64>,
    /// Bytes.
    pub memory_bytes: Option<u64>,
}

impl Amounts {
    /// Of a resource list, such as `{"cpu": "250m", "memory": "1Gi"}`. Other resources are left out.
    ///
    /// # Errors
    /// When one of the two is no quantity.
    pub fn read(list: &Value) -> Result<Self, QuantityError> {
        let cpu = quantity(&list["cpu"])?;
        let memory = quantity(&list["memory"])?;
        Ok(Self { cpu_millis: cpu.map(Quantity::millis), memory_bytes: memory.map(Quantity::units) })
    }

    /// Each of the two that is there, or else that of `other`.
    pub fn or(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.or(other.cpu_millis),
            memory_bytes: self.memory_bytes.or(other.memory_bytes),
        }
    }
}

/// What a container asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// What is kept for it, by which pods are placed.
    pub requests: Amounts,
    /// The most that it gets.
    pub limits: Amounts,
}

impl Resources {
    /// Of what stands under `resources` of a container, or of its status.
    ///
    /// # Errors
    /// When a quantity is none.
    pub fn read(resources: &Value) -> Result<Self, QuantityError> {
        Ok(Self { requests: Amounts::read(&resources["requests"])?, limits: Amounts::read(&resources["limits"])? })
    }

    /// What counts as its capacity: its limit, and where it has none, what it requests.
    pub fn size(&self) -> Amounts {
        self.limits.or(self.requests)
    }
}

/// The quantity that a value is; `None` of null.
fn quantity(value: &Value) -> Result<Option<Quantity>, QuantityError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Quantity::parse(text).map(Some),
        other => Quantity::parse(&other.to_string()).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requests_and_limits_are_read_as_they_stand() {
        let resources =
            json!({"requests": {"cpu": "250m", "nvidia.com/gpu": "1"}, "limits": {"cpu": 1, "memory": "1Gi"}});
        let read = Resources::read(&resources).unwrap();
        assert_eq!(read.requests, Amounts { cpu_millis: Some(250), memory_bytes: None });
        assert_eq!(read.limits, Amounts { cpu_millis: Some(1000), memory_bytes: Some(1 << 30) });
        assert_eq!(Resources::read(&Value::Null).unwrap(), Resources::default());
        assert!(Resources::read(&json!({"limits": {"cpu": "much"}})).is_err());
        assert!(Resources::read(&json!({"limits": {"cpu": {}}})).is_err());
    }

    #[test]
    fn a_size_is_the_limit_or_else_the_request() {
        let size = |resources: Value| Resources::read(&resources).unwrap().size();
        let both = json!({"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}});
        assert_eq!(size(both), Amounts { cpu_millis: Some(250), memory_bytes: Some(2 << 30) });
        assert_eq!(size(json!({})), Amounts::default());
    }
}
