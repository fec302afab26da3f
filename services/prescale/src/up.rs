//! `prescale up`: every service in this process, each on a thread of its own, over one bus.

mod progress;
mod rendered;
mod replay_end;
mod status;

use crate::settings::Settings;
use crate::topics;
use anyhow::{Context as _, Result};
use prescale_bus::Bus;
use prescale_chassis::telemetry::Metrics;
use prescale_chassis::{Context, open_bus, with_registry};
use prescale_collector::{Event, ReplayReport};
use progress::Progress;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;
use tokio_util::sync::CancellationToken;

/// While a trace goes through as fast as it can, partitions are further apart than the records of a day that
/// passes: the patience of grouper and governor then.
const REPLAY_PATIENCE_S: u32 = 86_400;

/// Runs until `shutdown`, until a service fails, or with `until_done` until the replay is through.
/// Blocks; prints what goes on to standard output.
///
/// # Errors
/// When a service cannot start or fails, or the account of a finished replay has a gap.
pub fn up(settings: &Settings, until_done: bool, shutdown: &CancellationToken) -> Result<()> {
    // Before anything is counted: what is counted earlier is lost.
    let metrics = Metrics::install()?;
    let (context, stop) = (Context::new(&settings.bus), shutdown.child_token());
    let bus =
        with_registry(open_bus(&settings.bus)?, &settings.bus, &settings.schema_registry, &context.health, &stop)?;
    bus.ensure_topics(&topics::specs(settings.bus.partitions, settings.bus.replication))?;
    let services = Services { settings, context, bus, stop, failure: Mutex::new(None) };
    let mut replayed = Ok(());
    std::thread::scope(|scope| {
        let ended = services.start_all(scope);
        services.start(scope, "status", |s| status::run(s.bus.as_ref(), &s.context, &metrics, &s.stop));
        if until_done && let Ok(report) = ended.recv() {
            replayed = services.finish_replay(&report, &metrics);
            services.stop.cancel();
        }
    });
    match services.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(failure) => Err(failure),
        None => replayed,
    }
}

struct Services<'a> {
    settings: &'a Settings,
    context: Context,
    bus: Arc<dyn Bus>,
    stop: CancellationToken,
    failure: Mutex<Option<anyhow::Error>>,
}

impl Services<'_> {
    /// Starts every service. The receiver gets the replay's report, or is closed without one when
    /// there is no replay or it ended early.
    fn start_all<'s>(&'s self, scope: &'s Scope<'s, '_>) -> std::sync::mpsc::Receiver<ReplayReport> {
        let (report, ended) = std::sync::mpsc::sync_channel(1);
        self.start(scope, "actuator", |s| prescale_actuator::run(&s.settings.actuator, &s.context, s.bus(), &s.stop));
        let mut governor = self.settings.governor.clone();
        if self.settings.collector.replay.is_enabled() {
            governor.patience_s = REPLAY_PATIENCE_S;
        }
        self.start(scope, "governor", move |s| prescale_governor::run(&governor, &s.context, s.bus(), &s.stop));
        self.start(scope, "planner", |s| {
            prescale_planner::run(&s.settings.planner, s.settings.named(), &s.context, s.bus(), &s.stop)
        });
        if !self.settings.evaluator.inputs().is_empty() {
            self.start(scope, "evaluator", |s| {
                let planner = (&s.settings.planner, &s.settings.grouper.groups);
                prescale_evaluator::run(&s.settings.evaluator, planner, &s.context, s.bus(), &s.stop)
            });
        }
        self.start(scope, "predictor", |s| {
            prescale_predictor::run(&s.settings.predictor, &s.context, s.bus(), &s.stop)
        });
        self.start(scope, "fingerprinter", |s| {
            prescale_fingerprinter::run(&s.settings.fingerprinter, &s.context, s.bus(), &s.stop)
        });
        if !self.settings.grouper.inputs().is_empty() {
            let mut config = self.settings.grouper.clone();
            if self.settings.collector.replay.is_enabled() {
                config.patience_s = REPLAY_PATIENCE_S;
            }
            self.start(scope, "grouper", move |s| prescale_grouper::run(&config, &s.context, s.bus(), &s.stop));
        }
        if !self.settings.archiver.inputs().is_empty() {
            self.start(scope, "archiver", |s| {
                prescale_archiver::run(&s.settings.archiver, &s.context, s.bus(), &s.stop)
            });
        }
        self.start(scope, "console", |s| {
            let console = &s.settings.console;
            let planner = (&s.settings.planner, s.settings.named());
            let bound = |address: SocketAddr| println!("console: {}://{address}", console.scheme());
            prescale_console::run_reporting(console, planner, &s.context, s.bus(), &s.stop, bound)
        });
        self.start(scope, "collector", move |s| {
            let progress = Progress::new();
            prescale_collector::run_observed(&s.settings.collector, &s.context, s.bus(), &s.stop, &|event| {
                progress.show(&event);
                if let Event::ReplayEnded(ended) = event {
                    // Nobody waits for it without --until-done.
                    let _ = report.try_send(ended);
                }
            })
        });
        ended
    }

    fn bus(&self) -> Arc<dyn Bus> {
        Arc::clone(&self.bus)
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

    fn finish_replay(&self, report: &ReplayReport, metrics: &Metrics) -> Result<()> {
        let sinks = self.settings.archiver.inputs();
        let accounted = self.settings.accounted();
        for stages in [&accounted, &self.settings.grouper.inputs(), &sinks] {
            let settled = self.context.settled_through(stages, self.bus.as_ref(), &self.stop);
            settled.context("cannot wait for the stages")?;
        }
        let counted = rendered::Rendered::parse(&metrics.render());
        let text =
            replay_end::account(self.bus.as_ref(), &self.context, (report, &accounted, &sinks), &counted, &self.stop)?;
        print!("{text}");
        Ok(())
    }
}
