//! Predictions in, actions out: what capacity each workload should have, and why.
//!
//! How that is decided is `prescale_domain::policy`'s; [`stage`] puts it on the bus.

pub mod config;
pub mod stage;

pub use config::Config;

use anyhow::Context as _;
use prescale_bus::Bus;
use prescale_chassis::{Context, stage_factory};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Runs the planner until shutdown. Blocks; call it outside of any async runtime.
///
/// # Errors
/// When the configuration cannot be used, or the bus is lost.
pub fn run(config: &Config, context: &Context, bus: Arc<dyn Bus>, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let factory = stage_factory(stage::Factory::new(Arc::new(config.rules()?)));
    context.run_stage(bus.as_ref(), factory, shutdown).context("the planner stopped")
}
