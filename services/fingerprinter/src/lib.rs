//! Samples in, fingerprints out: how each workload behaved over a short and a long window.
//!
//! [`partition`] holds the work of one partition, [`followed`] what is remembered of one workload, [`plausibility`] what is
//! known of values that cannot be, [`sql`] the feature set; [`stage`] puts them on the bus, `audit` says what must follow.
//! Order, windows and numbers are `prescale_domain`'s.

mod audit;
pub mod config;
pub mod followed;
pub mod partition;
pub mod plausibility;
pub mod sql;
pub mod stage;

#[cfg(test)]
mod golden;

pub use config::Config;

use anyhow::Context as _;
use prescale_bus::{Bus, StageFactory};
use prescale_chassis::{Context, Ids, StageEntry, stage_factory};
use prescale_contracts::topics;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The stage.
pub const STAGE: StageEntry = StageEntry {
    stage: stage::NAME,
    input: topics::RAW_KPIS,
    outputs: &[topics::FINGERPRINTS],
    ids: Ids::OfInput,
    audit: audit::audit,
};

/// Runs the fingerprinter until shutdown. Blocks; call it outside of any async runtime.
///
/// # Errors
/// When the configuration cannot be used, or the bus is lost.
pub fn run(config: &Config, context: &Context, bus: Arc<dyn Bus>, shutdown: &CancellationToken) -> anyhow::Result<()> {
    context.run_stage(bus.as_ref(), factory(config)?, shutdown).context("the fingerprinter stopped")
}

/// The stage as the bus runs it.
///
/// # Errors
/// When the configuration cannot be used.
pub fn factory(config: &Config) -> anyhow::Result<Arc<dyn StageFactory>> {
    let settings = Arc::new(config.settings()?);
    sql::query::FeatureQuery::new(&settings.features)?;
    Ok(stage_factory(stage::Factory::new(settings)))
}
