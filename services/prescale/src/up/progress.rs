//! How far a replay and the fleet's history have come, as a bar where someone watches.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use prescale_collector::Event;
use prescale_domain::time::EventTime;
use std::io::IsTerminal;

/// A bar on standard error; nothing where that is no terminal.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new() -> Self {
        let target =
            if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {percent} % {eta}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    pub(super) fn show(&self, event: &Event) {
        match event {
            Event::ReplayProgress { rows_done, rows_total } => self.at("replay", *rows_done, *rows_total),
            Event::FleetProgress { at, until } => self.until("fleet's history", *at, *until),
            Event::PrometheusProgress { at, until } => self.until("history of the Prometheus", *at, *until),
            Event::RemoteWriteListens { url } => self.0.suspend(|| println!("remote write: {url}")),
            Event::InfluxListens { url } => self.0.suspend(|| println!("line protocol: {url}")),
            Event::OtlpListens { url } => self.0.suspend(|| println!("OTLP, gRPC and HTTP: {url}")),
            Event::ReplayEnded(_) | Event::FleetLive | Event::PrometheusLive | Event::FleetEnded { .. } => {
                self.0.finish_and_clear();
            }
        }
    }

    fn until(&self, what: &'static str, at: EventTime, until: EventTime) {
        let left_ms = u64::try_from(until.as_ms() - at.as_ms()).unwrap_or(0);
        let total_ms = self.0.length().unwrap_or(0).max(left_ms);
        self.at(what, total_ms - left_ms, total_ms);
    }

    fn at(&self, what: &'static str, done: u64, total: u64) {
        if self.0.message() != what {
            self.0.set_message(what);
        }
        self.0.set_length(total);
        self.0.set_position(done);
    }
}
