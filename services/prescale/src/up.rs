//! `prescale up`: every service in this process, each on a thread of its own, over one bus.

mod progress;
mod rendered;
mod replay_end;
mod status;

use crate::services::{self, Launch, ServiceEntry, Told};
use crate::settings::Settings;
use crate::topics;
use anyhow::{Context as _, Result};
use prescale_bus::Bus;
use prescale_chassis::telemetry::Metrics;
use prescale_chassis::{Context, open_bus, with_registry};
use prescale_collector::{Event, ReplayReport};
use progress::Progress;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// While a trace or a Prometheus' history goes through as fast as it can, partitions are further apart than the records
/// of a day that passes: the patience of grouper and governor then.
const REPLAY_PATIENCE_S: u32 = 86_400;

/// How long the replay's end is waited for at a time.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Runs these services until `shutdown`, until one fails, or with `until_done` until the replay is through.
/// Blocks; prints what goes on to standard output.
///
/// # Errors
/// When a service cannot start or fails, or the account of a finished replay has a gap.
pub fn up(
    services: &[ServiceEntry],
    settings: &Settings,
    until_done: bool,
    shutdown: &CancellationToken,
) -> Result<()> {
    // Before anything is counted: what is counted earlier is lost.
    let metrics = Metrics::install()?;
    let settings = &patient(settings);
    let graph = services::graph(services, settings);
    let (context, stop) = (Context::new(&settings.bus).with_graph(graph), shutdown.child_token());
    let bus =
        with_registry(open_bus(&settings.bus)?, &settings.bus, &settings.schema_registry, &context.health, &stop)?;
    bus.ensure_topics(&topics::specs(&context.graph, settings.bus.partitions, settings.bus.replication))?;
    let house = House { settings, context, bus, stop, failure: Mutex::new(None) };
    let (report, ended) = sync_channel(1);
    let progress = Progress::new();
    let tell = |told| match told {
        Told::Console(url) => println!("console: {url}"),
        Told::Collected(event) => {
            progress.show(&event);
            if let Event::ReplayEnded(ended) = event {
                // Nobody waits for it without --until-done.
                let _ = report.try_send(ended);
            }
        }
    };
    let mut replayed = Ok(());
    std::thread::scope(|scope| {
        // Who reads comes before who writes.
        for service in services.iter().rev().filter(|service| service.is_on(settings, &house.context.graph)) {
            let tell = &tell;
            house.start(scope, service.name, move |house| (service.run)(&house.launch(tell)));
        }
        house.start(scope, "status", |house| status::run(house.bus.as_ref(), &house.context, &metrics, &house.stop));
        if until_done && let Some(report) = house.await_report(&ended) {
            replayed = house.finish_replay(&report, &metrics);
            house.stop.cancel();
        }
    });
    match house.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(failure) => Err(failure),
        None => replayed,
    }
}

/// The settings, with more patience where a trace or a history goes through.
fn patient(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    if settings.collector.replay.is_enabled() || settings.collector.prometheus.is_enabled() {
        settings.governor.patience_s = REPLAY_PATIENCE_S;
        settings.grouper.patience_s = REPLAY_PATIENCE_S;
    }
    settings
}

/// What all services of this process share.
struct House<'a> {
    settings: &'a Settings,
    context: Context,
    bus: Arc<dyn Bus>,
    stop: CancellationToken,
    failure: Mutex<Option<anyhow::Error>>,
}

impl House<'_> {
    fn launch<'l>(&'l self, tell: &'l (dyn Fn(Told) + Sync)) -> Launch<'l> {
        Launch { settings: self.settings, context: &self.context, bus: &self.bus, stop: &self.stop, tell }
    }

    /// Starts one service. If it fails everything stops, and the first failure is kept.
    fn start<'s>(
        &'s self,
        scope: &'s Scope<'s, '_>,
        name: &'static str,
        run: impl FnOnce(&Self) -> Result<()> + Send + 's,
    ) {
        let guarded = move || {
            // A service that panics must not leave the others running without it.
            let stop_all = self.stop.clone().drop_guard();
            let ended = run(self);
            match ended {
                Ok(()) => {
                    stop_all.disarm();
                }
                Err(error) => self.failed(error.context(format!("{name} failed"))),
            }
        };
        if let Err(error) = std::thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, guarded) {
            self.stop.cancel();
            self.failed(anyhow::Error::new(error).context(format!("cannot start the thread of {name}")));
        }
    }

    fn failed(&self, error: anyhow::Error) {
        tracing::error!("{error:#}");
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// The replay's report; `None` when everything was stopped before its end.
    fn await_report(&self, ended: &Receiver<ReplayReport>) -> Option<ReplayReport> {
        loop {
            match ended.recv_timeout(LOOK_EVERY) {
                Ok(report) => return Some(report),
                Err(RecvTimeoutError::Timeout) if !self.stop.is_cancelled() => {}
                Err(_) => return ended.try_recv().ok(),
            }
        }
    }

    fn finish_replay(&self, report: &ReplayReport, metrics: &Metrics) -> Result<()> {
        let settled = self.context.settled_through(self.context.graph.stages(), self.bus.as_ref(), &self.stop);
        settled.context("cannot wait for the stages")?;
        let counted = rendered::Rendered::parse(&metrics.render());
        let text = replay_end::account(self.bus.as_ref(), &self.context, report, &counted, &self.stop)?;
        print!("{text}");
        Ok(())
    }
}
