//! Kubernetes: the number of replicas of whatever has a `scale` subresource, one request at a time, each under the version
//! of the object that it was decided on and under the action's id as the field's manager.
//!
//! What comes next is pure (`scale`, `autoscaler`); `client` makes calls, `leader` sees to it that one process at a
//! time makes them, and under both the server refuses what was decided on an older version.

mod annotations;
mod autoscaler;
mod client;
mod config;
mod driver;
mod headroom;
mod leader;
mod lease;
mod limits;
mod object;
mod run;
mod scale;
mod target;

#[cfg(test)]
mod testing;

pub use config::{AutoscalerMode, KindConfig, KubernetesConfig, NodeHeadroom};
pub use run::{run, run_by};

use prescale_domain::action::Mechanism;

/// Its name among the clouds.
pub const NAME: &str = "kubernetes";
/// Id of the source that writes its results.
pub const SOURCE: &str = "actuator.kubernetes";
/// How it changes capacity.
pub const MECHANISMS: &[Mechanism] = &[Mechanism::Replicas, Mechanism::Limits];
