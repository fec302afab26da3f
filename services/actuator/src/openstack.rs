//! OpenStack: servers that belong together, added and removed, and resized with what Nova asks for afterwards (confirm or
//! revert). A server belongs to the workload that its metadata names.
//!
//! What comes next is pure (`plan`). Nova knows no versions of objects, so what must happen once is guarded by what it
//! shows: servers bear the action that made them, a server that is to be resized is marked first, and its record of what was
//! done to it tells whether a resize was begun. Where that does not tell, nothing is sent again.

mod api;
mod config;
mod driver;
mod group;
mod leftovers;
mod moves;
mod plan;
mod request;
mod run;
mod server;
mod windows;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod testing;

pub use config::{GroupConfig, OpenStackConfig, ResizeMode};
pub use run::run;

use prescale_domain::action::Mechanism;

/// Its name among the clouds.
pub const NAME: &str = "openstack";
/// Id of the source that writes its results.
pub const SOURCE: &str = "actuator.openstack";
/// How it changes capacity.
pub const MECHANISMS: &[Mechanism] = &[Mechanism::Replicas, Mechanism::InstanceType];
