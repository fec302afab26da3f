//! Samples from where they arise: this machine, a Prometheus that is asked or pushes, an OpenTelemetry Collector or a
//! Telegraf that pushes, topics of others on a Kafka, a Kubernetes cluster, a trace from a file, a generated fleet.
//!
//! The inputs are one list ([`inputs::INPUTS`]). Each has a thread, a name for good and a position on the bus, written
//! with its samples in one step: after a stop or a crash it goes on, and nothing is left out or written twice. This is
//! an edge of the system, so it reads the clock; what it makes of it is in the samples.

mod append;
mod clock;
pub mod config;
pub mod event;
mod fleet;
pub mod formats;
mod host;
mod influx;
pub mod inputs;
mod kafka_topics;
#[cfg(test)]
mod kill_tests;
mod kubernetes;
mod otlp;
pub mod preview;
pub mod prometheus;
pub mod pushed;
pub mod received;
mod receiver;
mod remote_write;
pub mod replay;
mod run;
#[cfg(test)]
mod testing;
mod tick;
pub mod topic_preview;
pub mod untrusted;

pub use config::Config;
pub use event::{Event, ReplayReport};
pub use replay::mapping::Mapping;
pub use run::{run_observed, run_reporting};
