//! Capacity and platform, which most records carry.

use super::check;
use crate::mirror::Fault;
use crate::names::{Name, shared};
use prescale_domain::sample as domain;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Platform(Name);

impl From<domain::Platform> for Platform {
    fn from(platform: domain::Platform) -> Self {
        Self(Name(shared(platform.as_str())))
    }
}

impl Platform {
    pub(crate) fn into_domain(self) -> Result<domain::Platform, Fault> {
        domain::Platform::new(&self.0).map_err(|e| Fault::new("platform", e.to_string()))
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Capacity {
    replicas: i64,
    cpu_cores_per_replica: f64,
    memory_bytes_per_replica: f64,
    instance_type: Option<String>,
}

impl Capacity {
    pub(crate) fn of(capacity: &domain::Capacity) -> Self {
        Self {
            replicas: capacity.replicas.into(),
            cpu_cores_per_replica: capacity.cpu_cores_per_replica,
            memory_bytes_per_replica: capacity.memory_bytes_per_replica,
            instance_type: capacity.instance_type.as_deref().map(str::to_owned),
        }
    }

    pub(crate) fn check(&self) -> Result<(), Fault> {
        check::count("replicas", self.replicas)?;
        check::not_negative("cpu_cores_per_replica", self.cpu_cores_per_replica)?;
        check::not_negative("memory_bytes_per_replica", self.memory_bytes_per_replica)?;
        self.instance_type.as_deref().map_or(Ok(()), |t| check::not_empty("instance_type", t))
    }

    pub(crate) fn into_domain(self) -> Result<domain::Capacity, Fault> {
        Ok(domain::Capacity {
            replicas: check::count("replicas", self.replicas)?,
            cpu_cores_per_replica: self.cpu_cores_per_replica,
            memory_bytes_per_replica: self.memory_bytes_per_replica,
            instance_type: self.instance_type.map(Into::into),
        })
    }
}
