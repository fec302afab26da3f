//! `prescale up`: every service in this process, each on a thread of its own, over one bus.

mod progress;
mod rendered;
mod replay_end;
mod status;

use crate::services::{self, Launch, ServiceEntry, Told};
use crate::settings::Settings;
use crate::topics;
use anyhow::{Context as _, Result};
use prescale_bus::{Bus, cancelled_within};
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
/// of a day that passes: the patience of [`PATIENT`] then.
const REPLAY_PATIENCE_S: u32 = 86_400;

/// The services that wait for partitions that are behind.
const PATIENT: [&str; 2] = ["grouper", "governor"];

/// How long the end of a replay or a history is waited for at a time.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// After so long the bus is asked again, where it could not say how far the stages are.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(2);

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
    let with_trace = settings.collector.replay.is_enabled().then(|| patient(settings));
    let settings = with_trace.as_ref().unwrap_or(settings);
    let graph = services::graph(services, settings);
    let (context, stop) = (Context::new(&settings.bus).with_graph(graph), shutdown.child_token());
    let bus =
        with_registry(open_bus(&settings.bus)?, &settings.bus, &settings.schema_registry, &context.health, &stop)?;
    bus.ensure_topics(&topics::specs(&context.graph, settings.bus.partitions, settings.bus.replication))?;
    let house = House::new(settings, context, bus, stop);
    let (report, ended) = sync_channel(1);
    let progress = Progress::new();
    let tell = |told| match told {
        Told::Console(url) => println!("console: {url}"),
        Told::Scaler(url) => println!("external scaler: {url}"),
        Told::Collected(event) => {
            progress.show(&event);
            if event == Event::PrometheusLive {
                house.history_read.cancel();
            }
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
            house.start(scope, service.name, move |house| house.run(service, tell));
        }
        if house.patient.is_some() {
            house.start(scope, "history", House::await_history);
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

/// The settings, with the patience that a trace or a history asks for.
fn patient(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    settings.governor.patience_s = REPLAY_PATIENCE_S;
    settings.grouper.patience_s = REPLAY_PATIENCE_S;
    settings
}

/// What all services of this process share.
struct House<'a> {
    settings: &'a Settings,
    /// What [`PATIENT`] begin with where a history is read before what is live; `None` where none is.
    patient: Option<Settings>,
    context: Context,
    bus: Arc<dyn Bus>,
    stop: CancellationToken,
    /// The history is on the bus, or everything stops.
    history_read: CancellationToken,
    /// The stages have come through it, or everything stops.
    history_through: CancellationToken,
    failure: Mutex<Option<anyhow::Error>>,
}

impl<'a> House<'a> {
    fn new(settings: &'a Settings, context: Context, bus: Arc<dyn Bus>, stop: CancellationToken) -> Self {
        let collector = &settings.collector;
        let reads_history = collector.prometheus.is_enabled() && !collector.replay.is_enabled();
        Self {
            settings,
            patient: reads_history.then(|| patient(settings)),
            context,
            bus,
            history_read: stop.child_token(),
            history_through: stop.child_token(),
            stop,
            failure: Mutex::new(None),
        }
    }

    fn launch<'l>(
        &'l self,
        (settings, stop): (&'l Settings, &'l CancellationToken),
        tell: &'l (dyn Fn(Told) + Sync),
    ) -> Launch<'l> {
        Launch { settings, context: &self.context, bus: &self.bus, stop, tell }
    }

    /// Runs a service until everything stops. While a history is read, who waits for partitions that are behind has a
    /// day's patience; then it begins anew, from the state that it has left, with the configured one.
    fn run(&self, service: &ServiceEntry, tell: &(dyn Fn(Told) + Sync)) -> Result<()> {
        if let Some(patient) = self.patient.as_ref().filter(|_| PATIENT.contains(&service.name)) {
            (service.run)(&self.launch((patient, &self.history_through), tell))?;
            if self.stop.is_cancelled() {
                return Ok(());
            }
            tracing::info!(service = service.name, "the history is through: it goes on with the configured patience_s");
        }
        (service.run)(&self.launch((self.settings, &self.stop), tell))
    }

    /// Waits until the history is read and the stages have come through it.
    fn await_history(&self) -> Result<()> {
        while !cancelled_within(&self.history_read, LOOK_EVERY) {}
        while let Err(error) = self.context.settled(self.bus.as_ref(), &self.stop) {
            tracing::warn!("cannot see whether the stages have come through the history, trying again: {error}");
            if cancelled_within(&self.stop, ASK_AGAIN_AFTER) {
                break;
            }
        }
        self.history_through.cancel();
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::{Log, TOY};
    use std::sync::mpsc::channel;

    /// A service that tells what patience it is run with.
    const WAITS: ServiceEntry = ServiceEntry { name: "governor", run: wait, ..TOY };

    fn wait(launch: &Launch<'_>) -> Result<()> {
        (launch.tell)(Told::Console(launch.settings.governor.patience_s.to_string()));
        while !cancelled_within(launch.stop, LOOK_EVERY) {}
        Ok(())
    }

    #[test]
    fn a_day_is_waited_for_until_the_stages_have_come_through_the_history() {
        let log = Log::of("", 3);
        let mut settings = log.settings.clone();
        settings.collector.prometheus.url = "http://127.0.0.1:9090".to_owned();
        let (stop, (told, heard)) = (CancellationToken::new(), channel());
        let house = House::new(&settings, log.context.clone(), Arc::clone(&log.bus), stop.clone());
        let tell = |what: Told| {
            if let Told::Console(patience_s) = what {
                told.send(patience_s).unwrap();
            }
        };
        std::thread::scope(|threads| {
            let _stop_all = stop.clone().drop_guard();
            let running = threads.spawn(|| house.run(&WAITS, &tell));
            let history = threads.spawn(|| house.await_history());
            assert_eq!(heard.recv().unwrap(), "86400");
            house.history_read.cancel();
            assert!(heard.try_recv().is_err(), "three samples are on the bus that no stage has seen");
            log.run();
            assert_eq!(heard.recv().unwrap(), settings.governor.patience_s.to_string());
            history.join().unwrap().unwrap();
            stop.cancel();
            running.join().unwrap().unwrap();
        });
        assert_ne!(settings.governor.patience_s, REPLAY_PATIENCE_S);
    }

    #[test]
    fn without_a_history_and_with_a_trace_it_stays_as_it_began() {
        let log = Log::of("", 1);
        let reads_history = |settings: &Settings| {
            let stop = CancellationToken::new();
            House::new(settings, log.context.clone(), Arc::clone(&log.bus), stop).patient.is_some()
        };
        assert!(!reads_history(&log.settings));
        let mut traced = log.settings.clone();
        traced.collector.prometheus.url = "http://127.0.0.1:9090".to_owned();
        assert!(reads_history(&traced));
        traced.collector.replay.file = "trace.csv".into();
        assert!(!reads_history(&traced), "the trace has a day's patience until its end");
        assert_eq!(patient(&traced).grouper.patience_s, REPLAY_PATIENCE_S);
    }
}
