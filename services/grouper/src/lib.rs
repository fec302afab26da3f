//! Forecasts of groups of workloads: predictions in, predictions of groups out.
//!
//! Two stages, since a group's members lie in several partitions: [`parts`] sums up those of one partition,
//! [`forecaster`] joins the parts. What a sum of forecasts is worth is `prescale_domain::group`'s to say;
//! [`config`] says which workloads are a group, `audit` what must follow.

mod audit;
pub mod config;
pub mod forecaster;
pub mod parts;

pub use config::Config;

use anyhow::Context as _;
use prescale_bus::{Bus, StageFactory, cancelled_within};
use prescale_chassis::{Context, Ids, Running, StageEntry, run_together, stage_factory};
use prescale_contracts::topics;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The stages, where there are groups.
pub const STAGES: [StageEntry; 2] = [
    StageEntry {
        stage: parts::NAME,
        input: topics::PREDICTIONS,
        outputs: &[topics::GROUP_PARTS],
        ids: Ids::OfOutput,
        audit: audit::of_parts,
    },
    StageEntry {
        stage: forecaster::NAME,
        input: topics::GROUP_PARTS,
        outputs: &[topics::GROUP_PREDICTIONS],
        ids: Ids::Joined,
        audit: audit::of_forecasts,
    },
];

/// How long a wait for the shutdown is at a time.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// Runs both stages until shutdown, or until one of them loses the bus. Blocks; call it outside of any async
/// runtime. Without a group it does nothing and waits.
///
/// # Errors
/// When the configuration cannot be used, or the bus is lost.
pub fn run(config: &Config, context: &Context, bus: Arc<dyn Bus>, shutdown: &CancellationToken) -> anyhow::Result<()> {
    if config.groups()?.is_empty() {
        tracing::info!("no group is configured: name one in [grouper.groups]");
        while !cancelled_within(shutdown, LOOK_EVERY) {}
        return Ok(());
    }
    let running = |factory: Arc<dyn StageFactory>| -> Running<'_> {
        let (name, bus) = (factory.name(), bus.as_ref());
        let run = move |stop: &CancellationToken| {
            context.run_stage(bus, factory, stop).with_context(|| format!("{name} stopped"))
        };
        Running { name, run: Box::new(run) }
    };
    run_together(factories(config)?.into_iter().map(running).collect(), shutdown)
}

/// Both stages as the bus runs them.
///
/// # Errors
/// When the configuration cannot be used.
pub fn factories(config: &Config) -> anyhow::Result<Vec<Arc<dyn StageFactory>>> {
    let parts = parts::Factory::new(Arc::new(config.groups()?));
    let forecaster = forecaster::Factory::new(config.patience_bins()?);
    Ok(vec![stage_factory(parts), stage_factory(forecaster)])
}
