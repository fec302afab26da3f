//! Predictions in, proposals out: what capacity each workload should have, and why; and what is seen of the fleets. And
//! outcomes: hour by hour what the capacity, the plan and the reactive rule were worth.
//!
//! How that is decided is `prescale_domain::policy`'s, how it is reckoned `prescale_domain::evaluation`'s; [`stage`] puts
//! it on the bus, `audit` says what must follow.

mod audit;
pub mod config;
pub mod stage;

pub use config::Config;

use anyhow::Context as _;
use prescale_bus::{Bus, StageFactory};
use prescale_chassis::{Context, Ids, Named, StageEntry, stage_factory};
use prescale_contracts::topics;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The stage.
pub const STAGE: StageEntry = StageEntry {
    stage: stage::NAME,
    input: topics::PREDICTIONS,
    outputs: &[topics::OUTCOMES, topics::PROPOSALS],
    ids: Ids::OfInput,
    audit: audit::audit,
};

/// Runs the planner until shutdown. Blocks; call it outside of any async runtime.
///
/// # Errors
/// When the configuration cannot be used, or the bus is lost.
pub fn run(
    config: &Config,
    named: Named<'_>,
    context: &Context,
    bus: Arc<dyn Bus>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    context.run_stage(bus.as_ref(), factory(config, named)?, shutdown).context("the planner stopped")
}

/// The stage as the bus runs it.
///
/// # Errors
/// When the configuration cannot be used.
pub fn factory(config: &Config, named: Named<'_>) -> anyhow::Result<Arc<dyn StageFactory>> {
    let fleets = prescale_chassis::fleets(named.fleets)?;
    let terms = config.terms(named.groups)?;
    Ok(stage_factory(stage::Factory::new(Arc::new(terms), Arc::new(fleets))))
}
