//! Fingerprints in, predictions out: quantiles of each workload's demand at and up to each horizon.
//!
//! [`partition`] holds the work of one partition, [`series`] and [`fitted`] what is known of one demand,
//! [`network`] and [`wave`] the GRU, [`stage`] puts all on the bus. The statistical families and the
//! calibration are `prescale_domain`'s.

pub mod config;
pub mod fitted;
pub mod network;
pub mod partition;
pub mod series;
pub mod stage;
pub mod wave;

pub use config::Config;

use anyhow::Context as _;
use prescale_bus::Bus;
use prescale_chassis::{Context, stage_factory};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Runs the predictor until shutdown. Blocks; call it outside of any async runtime.
///
/// # Errors
/// When the configuration cannot be used, the model is refused, or the bus is lost.
pub fn run(config: &Config, context: &Context, bus: Arc<dyn Bus>, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let factory = stage_factory(stage::Factory::new(config.settings()?)?);
    context.run_stage(bus.as_ref(), factory, shutdown).context("the predictor stopped")
}
