//! Fingerprints in, predictions out: quantiles of each workload's demand at and up to each horizon.
//!
//! [`partition`] holds the work of one partition, [`held`] what waits for its next prediction, [`series`],
//! [`scatter`], [`fitted`] and [`joined`] what is known of one demand;
//! [`registry`] says which models there are, [`weights`] loads them, [`lineup`] says which is in use when, [`parted`]
//! which were before their family had gone, [`wave`] runs them; `scored` tells how forecasts did; [`stage`] puts all on the
//! bus, `audit` says what must follow. The statistical families and the calibration are `prescale_domain`'s.

mod audit;
pub mod config;
pub mod fitted;
pub mod held;
pub mod job;
pub mod joined;
pub mod lineup;
pub mod network;
pub mod parted;
pub mod partition;
pub mod registry;
pub mod scatter;
mod scored;
pub mod series;
pub mod stage;
pub mod wave;
pub mod weights;
mod workload;

pub use config::Config;

use anyhow::Context as _;
use prescale_bus::{Bus, StageFactory};
use prescale_chassis::{Context, Ids, StageEntry, stage_factory};
use prescale_contracts::topics;
use registry::Registry;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The stage.
pub const STAGE: StageEntry = StageEntry {
    stage: stage::NAME,
    input: topics::FINGERPRINTS,
    outputs: &[topics::FORECAST_SCORES, topics::PREDICTIONS, topics::PREDICTIONS_LATEST],
    ids: Ids::OfInput,
    audit: audit::audit,
};

/// Runs the predictor until shutdown. Blocks; call it outside of any async runtime.
///
/// # Errors
/// When the configuration cannot be used, a model that it names is refused, or the bus is lost.
pub fn run(config: &Config, context: &Context, bus: Arc<dyn Bus>, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let registry = Arc::new(Registry::open_recording(Arc::new(config.settings()?))?);
    let factory = stage_factory(stage::Factory::of(Arc::clone(&registry)));
    let ended = shutdown.child_token();
    std::thread::scope(|scope| {
        let watcher =
            std::thread::Builder::new().name("models".to_owned()).spawn_scoped(scope, || registry.watch(&ended));
        watcher.context("cannot start the thread that looks at the models")?;
        let _guard = ended.clone().drop_guard();
        context.run_stage(bus.as_ref(), factory, shutdown).context("the predictor stopped")
    })
}

/// The stage as the bus runs it, with the models as they are now.
///
/// # Errors
/// When the configuration cannot be used, or a model that it names is refused.
pub fn factory(config: &Config) -> anyhow::Result<Arc<dyn StageFactory>> {
    Ok(stage_factory(stage::Factory::new(config.settings()?)?))
}
