//! Proposals in, actions out: what holds of a whole fleet, and the orders of operators.
//!
//! What is admitted, and why, is `prescale_domain::governor`'s; [`stage`] puts it on the bus, `audit` says what must
//! follow.

mod audit;
pub mod config;
pub mod stage;

pub use config::Config;

use anyhow::Context as _;
use prescale_bus::{Bus, BusError, StageFactory, cancelled_within};
use prescale_chassis::{Context, Ids, StageEntry, stage_factory};
use prescale_contracts::topics;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The stage.
pub const STAGE: StageEntry = StageEntry {
    stage: stage::NAME,
    input: topics::PROPOSALS,
    outputs: &[topics::ACTIONS, topics::PROPOSALS, topics::CONTROL],
    ids: Ids::OfOutput,
    audit: audit::audit,
};

/// How long a wait for the bus is at a time.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Runs the governor until shutdown. Blocks; call it outside of any async runtime.
///
/// # Errors
/// When the configuration cannot be used, or the bus is lost.
pub fn run(config: &Config, context: &Context, bus: Arc<dyn Bus>, shutdown: &CancellationToken) -> anyhow::Result<()> {
    config.rules()?;
    let Some(partitions) = partitions(context, bus.as_ref(), shutdown)? else { return Ok(()) };
    context.run_stage(bus.as_ref(), factory(config, partitions)?, shutdown).context("the governor stopped")
}

/// The stage as the bus runs it, over topics of so many partitions.
///
/// # Errors
/// When the configuration cannot be used.
pub fn factory(config: &Config, partitions: u32) -> anyhow::Result<Arc<dyn StageFactory>> {
    Ok(stage_factory(stage::Factory::new(Arc::new(config.rules()?), partitions)))
}

/// How many partitions the topics have; `None` when the shutdown comes first.
fn partitions(context: &Context, bus: &dyn Bus, shutdown: &CancellationToken) -> anyhow::Result<Option<u32>> {
    let health = context.health.component(stage::NAME);
    loop {
        match bus.topics() {
            Ok(topics) => {
                let found = topics.into_iter().find(|(name, _)| name == topics::PROPOSALS);
                let missing = || BusError::UnknownTopic { topic: topics::PROPOSALS.to_owned() };
                return Ok(Some(found.map(|(_, partitions)| partitions).ok_or_else(missing)?));
            }
            Err(BusError::Backend { retryable: true, context, message }) => {
                tracing::warn!("cannot see the topics, trying again: {context}: {message}");
                health.failed(format!("cannot see the topics: {message}"));
            }
            Err(error) => return Err(error).context("the governor cannot see the topics"),
        }
        if cancelled_within(shutdown, RETRY_AFTER) {
            return Ok(None);
        }
    }
}
