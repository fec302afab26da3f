//! Running the inputs that the configuration asks for.

use crate::config::Config;
use crate::event::{Event, ReplayReport};
use crate::inputs::{self, INPUTS, InputEntry, Launch};
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
    run_inputs(&INPUTS, config, context, bus.as_ref(), shutdown, observe)
}

/// As [`run_observed`], of these inputs.
pub(crate) fn run_inputs(
    inputs: &[InputEntry],
    config: &Config,
    context: &Context,
    bus: &dyn Bus,
    shutdown: &CancellationToken,
    observe: &(dyn Fn(Event) + Sync),
) -> Result<()> {
    inputs.iter().try_for_each(|input| (input.check)(config))?;
    let stop = shutdown.child_token();
    let launch = Launch { config, context, bus, stop: &stop, observe };
    let ended = scope(|threads| -> Result<()> {
        let mut running: Vec<ScopedJoinHandle<'_, Result<()>>> = Vec::new();
        for input in inputs.iter().filter(|input| (input.is_on)(config)) {
            let (launch, name) = (&launch, input.name);
            let health = inputs::health(context, input);
            let guarded = move || {
                let _on_panic = CancelOnPanic(launch.stop);
                (input.run)(launch).inspect_err(|error| {
                    tracing::error!("collector.{name} stopped: {error:#}");
                    health.failed(format!("{error:#}"));
                    launch.stop.cancel();
                })
            };
            let started = Builder::new().name(name.to_owned()).spawn_scoped(threads, guarded);
            running.push(started.inspect_err(|_| launch.stop.cancel()).context("cannot start a source's thread")?);
        }
        if running.is_empty() {
            let tables: Vec<String> = inputs.iter().map(|input| format!("[collector.{}]", input.name)).collect();
            tracing::warn!("no source is enabled: see {}", tables.join(", "));
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

struct CancelOnPanic<'a>(&'a CancellationToken);

impl Drop for CancelOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.cancel();
        }
    }
}
