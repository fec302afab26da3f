//! Actions in, results out: makes the capacity that a plan asks for, and says what came of it.
//!
//! The clouds are one list ([`clouds::CLOUDS`]). The simulated one is pure, and part of the stage's state. What calls a real
//! cloud is a driver beside the stage ([`drive`]), since its effects cannot be undone with a step; the stage leaves that
//! cloud's actions to it.

mod audit;
pub mod clouds;
pub mod config;
pub mod drive;
pub mod in_place;
pub mod kubernetes;
pub mod openstack;
pub mod stage;

pub use config::Config;

use anyhow::Context as _;
use clouds::{CLOUDS, DriverRun, driven};
use prescale_bus::{Bus, StageFactory};
use prescale_chassis::{Context, Ids, Running, StageEntry, Use, run_together, stage_factory};
use prescale_contracts::topics;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The stage: every action has its result, of the stage or of a driver.
pub const STAGE: StageEntry = StageEntry {
    stage: stage::NAME,
    input: topics::ACTIONS,
    outputs: &[topics::ACTION_RESULTS],
    ids: Ids::OfInput,
    audit: audit::audit,
};

/// What the drivers do on the bus beside the stage.
pub fn uses(config: &Config) -> Vec<Use> {
    let of_driver = |source| {
        let read = [topics::ACTIONS, topics::ACTION_RESULTS].map(|topic| Use::Reads(topic.to_owned()));
        read.into_iter().chain([Use::Writes(source)])
    };
    driven(&CLOUDS, &config.0).flat_map(|(_, driver)| of_driver(driver.source)).collect()
}

/// Runs the actuator until shutdown: the stage, and the drivers that the configuration asks for. Blocks; call it outside
/// of any async runtime.
///
/// # Errors
/// When the configuration cannot be used, or the bus is lost.
pub fn run(config: &Config, context: &Context, bus: Arc<dyn Bus>, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let (factory, bus) = (factory(config)?, bus.as_ref());
    let stage = move |stop: &CancellationToken| -> anyhow::Result<()> { Ok(context.run_stage(bus, factory, stop)?) };
    let mut running = vec![Running { name: stage::NAME, run: Box::new(stage) }];
    for (cloud, driver) in driven(&CLOUDS, &config.0) {
        let tables = &config.0;
        let run = move |stop: &CancellationToken| -> anyhow::Result<()> {
            (driver.run)(&DriverRun { tables, context, bus, stop })
        };
        running.push(Running { name: cloud.section.name(), run: Box::new(run) });
    }
    run_together(running, shutdown).context("the actuator stopped")
}

/// The stage as the bus runs it.
///
/// # Errors
/// When the configuration cannot be used.
pub fn factory(config: &Config) -> anyhow::Result<Arc<dyn StageFactory>> {
    Ok(stage_factory(stage::Factory::new(config)?))
}
