//! Actions in, results out: makes the capacity that a plan asks for, and says what came of it.
//!
//! The clouds are one list ([`clouds::CLOUDS`]). What is on it so far is pure, and part of the stage's state.
//! Drivers that call a real cloud do not belong into this stage: their effects cannot be undone with it.

pub mod clouds;
pub mod config;
pub mod in_place;
pub mod stage;

pub use config::Config;

use anyhow::Context as _;
use prescale_bus::{Bus, StageFactory};
use prescale_chassis::{Context, Ids, StageEntry, audit, stage_factory};
use prescale_contracts::topics;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The stage: every action has its result.
pub const STAGE: StageEntry = StageEntry {
    stage: stage::NAME,
    input: topics::ACTIONS,
    outputs: &[topics::ACTION_RESULTS],
    ids: Ids::OfInput,
    audit: audit::each,
};

/// Runs the actuator until shutdown. Blocks; call it outside of any async runtime.
///
/// # Errors
/// When the configuration cannot be used, or the bus is lost.
pub fn run(config: &Config, context: &Context, bus: Arc<dyn Bus>, shutdown: &CancellationToken) -> anyhow::Result<()> {
    context.run_stage(bus.as_ref(), factory(config)?, shutdown).context("the actuator stopped")
}

/// The stage as the bus runs it.
///
/// # Errors
/// When the configuration cannot be used.
pub fn factory(config: &Config) -> anyhow::Result<Arc<dyn StageFactory>> {
    Ok(stage_factory(stage::Factory::new(config)?))
}
