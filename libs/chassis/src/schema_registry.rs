//! Schema ids from a registry with Confluent's REST API (Confluent Schema Registry, Apicurio's
//! ccompat, Karapace).
//!
//! Within the process every record has the ids of `schemas/ids.json`. The registry's ids are put on
//! and taken off where records pass the bus ([`bus`]), so no service knows of them, and without a
//! registry nothing changes. [`protocol`] is what is asked and how answers are meant, [`http`] asks,
//! [`known`] is what must be remembered over a restart, [`ids`] brings these together.

mod bus;
mod config;
mod http;
mod ids;
mod known;
mod protocol;
mod reader;
mod source;
mod stage;

pub use config::SchemaRegistryConfig;

use crate::bus_access::{Backend, BusConfig};
use crate::health::HealthRegistry;
use anyhow::Result;
use ids::{Ids, Naming};
use prescale_bus::Bus;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Code under which records are rejected whose schema id the registry does not know.
pub const UNKNOWN_SCHEMA: &str = "unknown_schema";

/// The bus with the registry's ids on its records; the bus itself where no registry is configured.
/// Nothing is asked yet: a stage waits for the ids of what it writes when it starts; a source gets an
/// error to try again after.
///
/// # Errors
/// When the section or a file that it names cannot be used.
pub fn with_registry(
    bus: Arc<dyn Bus>,
    bus_config: &BusConfig,
    config: &SchemaRegistryConfig,
    health: &HealthRegistry,
    shutdown: &CancellationToken,
) -> Result<Arc<dyn Bus>> {
    config.check()?;
    if !config.is_enabled() {
        return Ok(bus);
    }
    let naming = Naming {
        topic_prefix: match bus_config.backend {
            Backend::Embedded => String::new(),
            Backend::Kafka => bus_config.kafka.topic_prefix.clone(),
        },
        register: config.register,
    };
    let known = known::KnownFile::open(ids_file(bus_config), &config.url);
    let ids = Ids::new(Box::new(http::HttpApi::new(config)?), naming, known, health.clone());
    Ok(Arc::new(bus::RegistryBus::new(bus, Arc::new(ids), shutdown.clone())))
}

/// Where found ids are kept: in the state folder, or beside the embedded log.
fn ids_file(bus: &BusConfig) -> PathBuf {
    match bus.backend {
        Backend::Kafka => bus.kafka.state_dir.join("schema-ids.json"),
        Backend::Embedded => {
            let mut path = bus.embedded.path.clone().into_os_string();
            path.push(".schema-ids.json");
            path.into()
        }
    }
}

#[cfg(test)]
mod tests;
