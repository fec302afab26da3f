//! Points in, samples out: what was pushed series by series becomes the KPIs of a workload at an instant.
//!
//! [`stage`] puts `prescale_domain::stream::assembly` on the bus, [`config`] says how long points are waited for.

pub mod config;
pub mod stage;

pub use config::Config;

use anyhow::Context as _;
use prescale_bus::{Bus, StageFactory};
use prescale_chassis::audit::each_or;
use prescale_chassis::{Context, Ids, StageEntry, stage_factory};
use prescale_contracts::topics;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Reason of points without a sample of their instant: they are part of one that has a newer point's, wait for it, or
/// came twice. Those that came too late are dead letters.
const NO_SAMPLE: &str = "no_sample_of_its_instant";

/// The stage.
pub const STAGE: StageEntry = StageEntry {
    stage: stage::NAME,
    input: topics::RAW_POINTS,
    outputs: &[topics::RAW_KPIS],
    ids: Ids::Joined,
    audit: || each_or(NO_SAMPLE),
};

/// Runs the assembler until shutdown. Blocks; call it outside of any async runtime.
///
/// # Errors
/// When the configuration cannot be used, or the bus is lost.
pub fn run(config: &Config, context: &Context, bus: Arc<dyn Bus>, shutdown: &CancellationToken) -> anyhow::Result<()> {
    context.run_stage(bus.as_ref(), factory(config)?, shutdown).context("the assembler stopped")
}

/// The stage as the bus runs it.
///
/// # Errors
/// When the configuration cannot be used.
pub fn factory(config: &Config) -> anyhow::Result<Arc<dyn StageFactory>> {
    Ok(stage_factory(stage::Factory::new(config.settings()?)))
}
