//! Running the sources that the configuration asks for.

use crate::config::Config;
use crate::event::{Event, ReplayReport};
use crate::{fleet, host, prometheus, replay};
use anyhow::{Context as _, Result, anyhow};
use prescale_bus::{Bus, cancelled_within};
use prescale_chassis::Context;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, ScopedJoinHandle, scope};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// As [`run_observed`]; `on_replay_end` is told what became of the trace once it is at its end.
///
/// # Errors
/// As [`run_observed`].
pub fn run_reporting(
    config: &Config,
    context: &Context,
    bus: Arc<dyn Bus>,
    shutdown: &CancellationToken,
    on_replay_end: impl FnOnce(ReplayReport) + Send,
) -> Result<()> {
    let on_replay_end = Mutex::new(Some(on_replay_end));
    run_observed(config, context, bus, shutdown, &|event| {
        if let Event::ReplayEnded(report) = event
            && let Some(tell) = on_replay_end.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            tell(report);
        }
    })
}

/// Runs the collector until shutdown, also when all sources have come to their end; `observe` is told of progress
/// and ends, from the threads of the sources. Blocks; call it outside of any async runtime. The stages that sources wait
/// for are those of the context.
///
/// # Errors
/// When the configuration cannot be used, a source cannot go on, or the bus refuses for good.
pub fn run_observed(
    config: &Config,
    context: &Context,
    bus: Arc<dyn Bus>,
    shutdown: &CancellationToken,
    observe: &(dyn Fn(Event) + Sync),
) -> Result<()> {
    config.check()?;
    let stop = shutdown.child_token();
    let bus = bus.as_ref();
    let host = || host::run(&config.host, context, bus, &stop);
    let prometheus = || prometheus::run(&config.prometheus, context, bus, &stop, observe);
    let replay = || replay::run(&config.replay, context, bus, &stop, observe);
    let fleet = || fleet::run(&config.fleet, context, bus, &stop, observe);
    let sources: [(&str, bool, Source<'_>); 4] = [
        (host::COMPONENT, config.host.enabled, &host),
        (prometheus::COMPONENT, config.prometheus.is_enabled(), &prometheus),
        (replay::COMPONENT, config.replay.is_enabled(), &replay),
        (fleet::COMPONENT, config.fleet.enabled, &fleet),
    ];
    let ended = scope(|threads| -> Result<()> {
        let mut running: Vec<ScopedJoinHandle<'_, Result<()>>> = Vec::new();
        for (component, _, source) in sources.into_iter().filter(|(_, enabled, _)| *enabled) {
            let health = context.health.component(component);
            let stop = &stop;
            let guarded = move || {
                let _on_panic = CancelOnPanic(stop);
                source().inspect_err(|error| {
                    tracing::error!("{component} stopped: {error:#}");
                    health.failed(format!("{error:#}"));
                    stop.cancel();
                })
            };
            let name = component.trim_start_matches("collector.");
            let started = Builder::new().name(name.to_owned()).spawn_scoped(threads, guarded);
            running.push(started.inspect_err(|_| stop.cancel()).context("cannot start a source's thread")?);
        }
        if running.is_empty() {
            tracing::warn!(
                "no source is enabled: see [collector.host], [collector.prometheus], [collector.replay] and [collector.fleet]"
            );
        }
        let join = |thread: ScopedJoinHandle<'_, Result<()>>| {
            thread.join().unwrap_or_else(|_| Err(anyhow!("a source of the collector panicked")))
        };
        let results: Vec<Result<()>> = running.into_iter().map(join).collect();
        results.into_iter().collect()
    });
    ended.inspect_err(|_| stop.cancel())?;
    while !cancelled_within(shutdown, Duration::from_secs(3600)) {}
    Ok(())
}

/// What runs one source until it ends or is told to stop.
type Source<'a> = &'a (dyn Fn() -> Result<()> + Sync);

struct CancelOnPanic<'a>(&'a CancellationToken);

impl Drop for CancelOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.cancel();
        }
    }
}
