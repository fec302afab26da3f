//! What each service binary needs and no one service owns: typed stages over the bus,
//! configuration, telemetry, health, shutdown.
//!
//! Only this crate and the edges of the system own a clock. It must not know any one service.

mod allocator;
pub mod audit;
pub mod bus_access;
pub mod config;
pub mod context;
pub mod explain;
pub mod graph;
pub mod grpc;
pub mod health;
pub mod http;
pub mod http_access;
pub mod http_post;
pub mod kafka_security;
pub mod listen;
pub mod listen_access;
pub mod listen_tls;
pub mod orders;
pub mod patience;
pub mod ready;
pub mod retry;
pub mod schema_registry;
pub mod service;
pub mod settle;
pub mod shutdown;
pub mod sink;
pub mod stage;
pub mod stage_run;
pub mod telemetry;
pub mod together;

pub use bus_access::{BusConfig, open_bus, stored_states};
pub use config::{
    ConfigError, FleetsConfig, FleetsSection, GroupConfig, GroupsConfig, GroupsSection, Loader, Named, PricesConfig,
    Secret, fleets, read_strictly, selector,
};
pub use context::Context;
pub use graph::{Graph, Ids, SourceEntry, StageEntry, Use};
pub use health::{ComponentHealth, HealthRegistry};
pub use http_access::{Credentials, HttpAccessConfig};
pub use listen_tls::{ListenTls, ListenTlsConfig};
pub use retry::BusRetry;
pub use schema_registry::{SchemaRegistryConfig, with_registry};
pub use service::{service_main, service_main_reading};
pub use settle::Settled;
pub use stage::{Input, Outgoing, Reply, TypedStage, TypedStageFactory, output_record, stage_factory};
pub use telemetry::TelemetryConfig;
pub use together::{Running, run_together};
