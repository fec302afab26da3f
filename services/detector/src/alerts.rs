//! Who hears of incidents: the log, an Alertmanager, a webhook. Each is a stage without a state, whose position moves
//! when the receiver has the incident: each is told at least once, under the incident's own id.

mod alertmanager;
#[cfg(test)]
mod fixtures;
mod log;
mod post;
mod webhook;
mod words;

use crate::config::Config;
use anyhow::{Context as _, Result};
use prescale_bus::Bus;
use prescale_chassis::sink::{SinkOf, SinkRun};
use prescale_chassis::{Context, Ids, Running, StageEntry, audit};
use prescale_contracts::topics;
use prescale_domain::incident::Incident;
use tokio_util::sync::CancellationToken;

/// Alerts as lines of the log.
pub const LOG: StageEntry = receiver("alerts-log");
/// Alerts to an Alertmanager.
pub const ALERTMANAGER: StageEntry = receiver("alerts-alertmanager");
/// Alerts as JSON to whoever takes them.
pub const WEBHOOK: StageEntry = receiver("alerts-webhook");

/// Incidents are told few at a time: also a slow receiver takes them before the bus holds the stage for dead.
const INCIDENTS_MAX: usize = 5;

const fn receiver(stage: &'static str) -> StageEntry {
    StageEntry { stage, input: topics::INCIDENTS, outputs: &[], ids: Ids::OfInput, audit: audit::nothing }
}

/// The receivers that the configuration asks for.
///
/// # Errors
/// When one cannot be used.
pub(crate) fn running<'a>(config: &Config, context: &'a Context, bus: &'a dyn Bus) -> Result<Vec<Running<'a>>> {
    let mut all: Vec<(&'static str, Box<SinkOf<Incident>>)> = Vec::new();
    if config.log {
        all.push((LOG.stage, log::sinks()));
    }
    if config.alertmanager.is_on() {
        all.push((ALERTMANAGER.stage, alertmanager::sinks(&config.alertmanager)?));
    }
    if config.webhook.is_on() {
        all.push((WEBHOOK.stage, webhook::sinks(&config.webhook)?));
    }
    let running = all.into_iter().map(|(stage, sinks)| {
        let run = move |shutdown: &CancellationToken| {
            let sink = SinkRun { context, bus, stage, batch_records_max: INCIDENTS_MAX, shutdown };
            sink.run(sinks).with_context(|| format!("{stage} stopped"))
        };
        Running { name: stage, run: Box::new(run) }
    });
    Ok(running.collect())
}
