//! Predictions in, outcomes out: hour by hour what the capacity, the plan and the reactive rule were worth.
//!
//! How that is reckoned is `prescale_domain::evaluation`'s; [`stage`] puts it on the bus, `audit` says what must follow.

mod audit;
pub mod config;
pub mod stage;

pub use config::Config;

use anyhow::Context as _;
use prescale_bus::{Bus, StageFactory, cancelled_within};
use prescale_chassis::{Context, GroupsConfig, Ids, StageEntry, stage_factory};
use prescale_contracts::topics;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The stage.
pub const STAGE: StageEntry = StageEntry {
    stage: stage::NAME,
    input: topics::PREDICTIONS,
    outputs: &[topics::OUTCOMES],
    ids: Ids::OfInput,
    audit: audit::audit,
};

/// How long a wait for the shutdown is at a time.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// Runs the evaluator until shutdown, by the planner's section and the groups that it may name. Blocks; call it outside of any async runtime. Where it is not enabled it does
/// nothing and waits.
///
/// # Errors
/// When a section cannot be used, or the bus is lost.
pub fn run(
    config: &Config,
    (planner, groups): (&prescale_planner::Config, &GroupsConfig),
    context: &Context,
    bus: Arc<dyn Bus>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let factory = factory(config, (planner, groups))?;
    if !config.enabled {
        tracing::info!("the evaluator is off: [evaluator] enabled");
        while !cancelled_within(shutdown, LOOK_EVERY) {}
        return Ok(());
    }
    context.run_stage(bus.as_ref(), factory, shutdown).context("the evaluator stopped")
}

/// The stage as the bus runs it, by the planner's section and the groups that it may name.
///
/// # Errors
/// When a section cannot be used.
pub fn factory(
    config: &Config,
    (planner, groups): (&prescale_planner::Config, &GroupsConfig),
) -> anyhow::Result<Arc<dyn StageFactory>> {
    Ok(stage_factory(stage::Factory::new(Arc::new(config.terms(planner, groups)?))))
}
