//! Fingerprints in, predictions out: quantiles of each workload's demand at and up to each horizon.
//!
//! [`partition`] holds the work of one partition, [`held`] what waits for its next prediction, [`series`],
//! [`scatter`], [`fitted`] and [`joined`] what is known of one demand; `anomaly` says how unusual a workload is;
//! [`registry`] says which models there are, [`weights`] loads them, [`lineup`] says which is in use when, [`parted`]
//! which were before their family had gone, [`wave`] runs them; `scored` tells how forecasts did; [`stage`] puts all on the
//! bus, `audit` says what must follow; [`retrainer`] watches over the scores, [`decider`] decides trials and [`promoter`]
//! carries that out. The statistical families and the calibration are `prescale_domain`'s.

mod anomaly;
mod audit;
pub mod config;
pub mod decider;
pub mod fitted;
pub mod held;
pub mod job;
pub mod joined;
pub mod lineup;
pub mod network;
pub mod parted;
pub mod partition;
pub mod promoter;
pub mod registry;
pub mod retrainer;
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
use prescale_chassis::{Context, Ids, Running, StageEntry, run_together, stage_factory};
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

/// The stage that asks for retraining.
pub const RETRAINER: StageEntry = StageEntry {
    stage: retrainer::NAME,
    input: topics::FORECAST_SCORES,
    outputs: &[topics::RETRAINING, topics::TRIALS],
    ids: Ids::OfInput,
    audit: retrainer::audit,
};

/// The stage that decides trials.
pub const DECIDER: StageEntry = StageEntry {
    stage: decider::NAME,
    input: topics::TRIALS,
    outputs: &[topics::MODEL_DECISIONS],
    ids: Ids::OfInput,
    audit: decider::audit,
};

/// The stage that carries out what is decided, where there is a folder of models.
pub const PROMOTER: StageEntry = StageEntry {
    stage: promoter::NAME,
    input: topics::MODEL_DECISIONS,
    outputs: &[],
    ids: Ids::OfInput,
    audit: prescale_chassis::audit::nothing,
};

impl Config {
    /// The stages.
    pub fn stages(&self) -> Vec<StageEntry> {
        let promoter = (!self.models_dir.as_os_str().is_empty()).then_some(PROMOTER);
        [STAGE, RETRAINER, DECIDER].into_iter().chain(promoter).collect()
    }
}

/// Runs the stages until shutdown, or until one of them loses the bus. Blocks; call it outside of any async runtime.
///
/// # Errors
/// When the configuration cannot be used, a model that it names is refused, or the bus is lost.
pub fn run(config: &Config, context: &Context, bus: Arc<dyn Bus>, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let registry = Arc::new(Registry::open_recording(Arc::new(config.settings()?))?);
    let running = |factory: Arc<dyn StageFactory>| -> Running<'_> {
        let (name, bus) = (factory.name(), bus.as_ref());
        let run = move |stop: &CancellationToken| {
            context.run_stage(bus, factory, stop).with_context(|| format!("the {name} stopped"))
        };
        Running { name, run: Box::new(run) }
    };
    let factories = [
        stage_factory(stage::Factory::of(Arc::clone(&registry))),
        stage_factory(retrainer::Factory),
        stage_factory(decider::Factory),
    ];
    let promoter = registry.settings().models_dir.as_deref().map(|models_dir| -> Running<'_> {
        let bus = bus.as_ref();
        let run = move |stop: &CancellationToken| {
            promoter::run(models_dir, context, bus, stop).context("the promoter stopped")
        };
        Running { name: promoter::NAME, run: Box::new(run) }
    });
    let ended = shutdown.child_token();
    std::thread::scope(|scope| {
        let watcher =
            std::thread::Builder::new().name("models".to_owned()).spawn_scoped(scope, || registry.watch(&ended));
        watcher.context("cannot start the thread that looks at the models")?;
        let _guard = ended.clone().drop_guard();
        run_together(factories.into_iter().map(running).chain(promoter).collect(), shutdown)
    })
}

/// The stages as the bus runs them, with the models as they are now; without the one whose effect is outside of it.
///
/// # Errors
/// When the configuration cannot be used, or a model that it names is refused.
pub fn factories(config: &Config) -> anyhow::Result<Vec<Arc<dyn StageFactory>>> {
    let predictor = stage_factory(stage::Factory::new(config.settings()?)?);
    Ok(vec![predictor, stage_factory(retrainer::Factory), stage_factory(decider::Factory)])
}
