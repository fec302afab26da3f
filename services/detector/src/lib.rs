//! Predictions in, anomalies out, what of them is one event as incidents, and those to whoever is to hear of them.
//!
//! When an alarm is raised is `prescale_domain::alarm`'s, what is one event `prescale_domain::incident`'s. The stages are
//! in [`stage`] and [`incidents`]; each receiver of alerts ([`alerts`]) is a stage of its own, so that one that is down
//! holds up no other.

pub mod alerts;
pub mod config;
pub mod incidents;
pub mod stage;

pub use config::Config;

use anyhow::{Context as _, Result};
use prescale_bus::{Bus, StageFactory};
use prescale_chassis::audit::{self, Audit, Newest};
use prescale_chassis::{Context, Ids, Named, Running, StageEntry, fleets, run_together, stage_factory};
use prescale_contracts::topics;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The stage that raises alarms.
pub const STAGE: StageEntry = StageEntry {
    stage: stage::NAME,
    input: topics::PREDICTIONS,
    outputs: &[topics::ANOMALIES, topics::ALARMS],
    ids: Ids::OfInput,
    audit: audit_of_detector,
};

/// The stage that makes incidents of them.
pub const INCIDENTS: StageEntry = StageEntry {
    stage: incidents::NAME,
    input: topics::ALARMS,
    outputs: &[topics::INCIDENTS],
    ids: Ids::OfInput,
    audit: audit_of_incidents,
};

fn audit_of_detector() -> Box<dyn Audit> {
    Box::new(Newest::or(stage::NOTHING_NEW))
}

fn audit_of_incidents() -> Box<dyn Audit> {
    audit::each_or(incidents::NOTHING_NEW)
}

impl Config {
    /// The stages: two, and one for each receiver of alerts.
    pub fn stages(&self) -> Vec<StageEntry> {
        let receivers = [
            (self.log, alerts::LOG),
            (self.alertmanager.is_on(), alerts::ALERTMANAGER),
            (self.webhook.is_on(), alerts::WEBHOOK),
        ];
        let on = receivers.into_iter().filter(|(is_on, _)| *is_on).map(|(_, stage)| stage);
        [STAGE, INCIDENTS].into_iter().chain(on).collect()
    }
}

/// Runs the stages and the receivers of alerts until shutdown. Blocks; call it outside of any async runtime.
///
/// # Errors
/// When the configuration cannot be used, or the bus is lost.
pub fn run(
    config: &Config,
    named: Named<'_>,
    context: &Context,
    bus: Arc<dyn Bus>,
    shutdown: &CancellationToken,
) -> Result<()> {
    let bus = bus.as_ref();
    let stages = factories(config, named)?.into_iter().map(|factory| {
        let name = factory.name();
        let run = move |shutdown: &CancellationToken| {
            context.run_stage(bus, factory, shutdown).with_context(|| format!("{name} stopped"))
        };
        Running { name, run: Box::new(run) }
    });
    let receivers = alerts::running(config, context, bus)?;
    run_together(stages.chain(receivers).collect(), shutdown)
}

/// The stages as the bus runs them.
///
/// # Errors
/// When the configuration cannot be used.
pub fn factories(config: &Config, named: Named<'_>) -> Result<Vec<Arc<dyn StageFactory>>> {
    let fleets = Arc::new(fleets(named.fleets)?);
    let alarms = stage::Factory::new(Arc::new(config.alarm_rules()?), fleets);
    let incidents = incidents::Factory::new(Arc::new(config.incident_rules(named.groups)?));
    Ok(vec![stage_factory(alarms), stage_factory(incidents)])
}
