//! Series that a Prometheus pushes, or what writes as it does: remote write 1.0 and 2.0, into points.
//!
//! A request is acknowledged when its points are on the log. One that is sent again adds nothing: its points are the same
//! records, and of a series and an instant there is one point. What no rule of the preset means is left out and counted;
//! what a rule means and cannot be used is refused by status, never dropped behind a success.

use crate::append;
use crate::config::RemoteWriteConfig;
use crate::event::Event;
use crate::inputs::{self, InputEntry, Launch};
use crate::prometheus::preset::Preset;
use crate::retry::BusRetry;
use anyhow::{Context as _, Result, anyhow, ensure};
use http::{Job, Receiver};
use known::Known;
use points::Mapping;
use prescale_bus::{BusError, OutputRecord, Source};
use prescale_chassis::{ListenTls, SourceEntry, Use, listen};
use prescale_contracts::topics;
use std::net::TcpListener;
use std::sync::Mutex;
use std::thread::{Builder, scope};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

mod http;
mod known;
mod points;
mod wire;

#[cfg(test)]
mod tests;

/// As one of the inputs.
pub(crate) const ENTRY: InputEntry = InputEntry {
    name: "remote_write",
    table: None,
    check: |config| check(&config.remote_write),
    is_on: |config| config.remote_write.is_enabled(),
    uses: |_, _| vec![Use::Writes(POINTS)],
    run,
};

const POINTS: SourceEntry = SourceEntry { id: None, topics: &[topics::RAW_POINTS] };
/// Requests that wait for the log.
const JOBS_MAX: usize = 16;
/// Open requests may take so long to end.
const DRAIN: Duration = Duration::from_secs(2);

fn check(config: &RemoteWriteConfig) -> Result<()> {
    config.check()?;
    if config.is_enabled() { preset(config).map(drop) } else { Ok(()) }
}

/// The preset, which must say something of pushed series.
fn preset(config: &RemoteWriteConfig) -> Result<Preset> {
    let preset = Preset::load(RemoteWriteConfig::SECTION, &config.preset)?;
    ensure!(
        !preset.pushed.is_empty(),
        "[collector.remote_write] preset = {:?}: it says nothing of pushed series: give one with a table `series`",
        config.preset
    );
    Ok(preset)
}

/// Receives until the shutdown.
fn run(launch: &Launch<'_>) -> Result<()> {
    let config = &launch.config.remote_write;
    let source = config.source()?;
    let mapping = Mapping::new(preset(config)?, source.clone(), config.step_s);
    let tls = config.tls.read("collector.remote_write.tls")?;
    let retry = BusRetry::new(&source, inputs::health(launch.context, &ENTRY), launch.stop);
    let Some((log, stored)) = append::open(launch.bus, &retry)? else { return Ok(()) };
    let address = config.address()?;
    let listener = TcpListener::bind(address).with_context(|| {
        format!("cannot listen on {address}: set [collector.remote_write] listen to a free address")
    })?;
    let address = listener.local_addr().context("the receiver's listener has no address")?;
    let (jobs, queue) = mpsc::channel(JOBS_MAX);
    let receiver = Receiver {
        mapping,
        known: Mutex::new(Known::new(config.series_max)),
        source: source.shared(),
        token: config.token.clone(),
        request_bytes_max: config.request_bytes_max,
        jobs,
    };
    let stop = launch.stop.child_token();
    let mut writer = Writer { log, number: number_of(stored)?, retry };
    scope(|threads| {
        let stop = &stop;
        // Also when this thread panics.
        let ends = stop.clone().drop_guard();
        let serving = move || {
            let served = serve(listener, tls, receiver, stop);
            stop.cancel();
            served
        };
        let serving = Builder::new().name("remote write".to_owned()).spawn_scoped(threads, serving)?;
        writer.retry.health().ready();
        let url = format!("{}://{address}{}", config.tls.scheme(), http::PATH);
        tracing::info!(source = writer.retry.id(), "receiving at {url}");
        (launch.observe)(Event::RemoteWriteListens { url });
        let written = writer.write_all(queue);
        drop(ends);
        let served = serving.join().unwrap_or_else(|_| Err(anyhow!("the receiver of remote write panicked")));
        written.and(served)
    })
}

/// Serves until `stop`. When it is back nobody is left who could send anything to the log.
fn serve(listener: TcpListener, tls: Option<ListenTls>, receiver: Receiver, stop: &CancellationToken) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("remote write http")
        .enable_all()
        .build()
        .context("cannot start the receiver's runtime")?;
    runtime.block_on(listen::serve(listener, tls, http::router(receiver), stop, DRAIN))
}

/// The number of the last write, by the stored position.
fn number_of(stored: Option<Vec<u8>>) -> Result<u64> {
    let Some(stored) = stored else { return Ok(0) };
    let bytes: [u8; 8] =
        stored.try_into().map_err(|_| anyhow!("the stored position of the source is none of remote write's"))?;
    Ok(u64::from_be_bytes(bytes))
}

/// Writes to the log what requests hand over.
struct Writer {
    log: Box<dyn Source>,
    /// Of the last write; positions must differ.
    number: u64,
    retry: BusRetry,
}

impl Writer {
    /// Writes until nobody is left who could send. What waits is written together.
    fn write_all(&mut self, mut queue: mpsc::Receiver<Job>) -> Result<()> {
        while let Some(first) = queue.blocking_recv() {
            let (mut records, mut waiting) = (first.records, vec![first.done]);
            while let Ok(next) = queue.try_recv() {
                records.extend(next.records);
                waiting.push(next.done);
            }
            self.retry.health().alive();
            let written = self.write(records).with_context(|| format!("source {} cannot write", self.retry.id()));
            self.retry.health().idle();
            let written = written?;
            for done in waiting {
                // Who does not wait any more will send it again.
                let _ = done.send(written.clone());
            }
        }
        Ok(())
    }

    /// Writes all of them, or says why it cannot now.
    ///
    /// # Errors
    /// When trying again cannot help.
    fn write(&mut self, records: Vec<OutputRecord>) -> Result<Result<(), String>, BusError> {
        self.number += 1;
        let position = self.number.to_be_bytes();
        let error = match self.log.append(records, &position) {
            Ok(()) => {
                self.retry.health().ready();
                return Ok(Ok(()));
            }
            Err(error @ BusError::Backend { retryable: true, .. }) => error,
            Err(error) => return Err(error),
        };
        let is_written = self.log.position().is_ok_and(|stored| stored.as_deref() == Some(position.as_slice()));
        if is_written {
            return Ok(Ok(()));
        }
        tracing::warn!(source = self.retry.id(), %error, "the sender is to try again");
        self.retry.health().failed(format!("the bus cannot be used: {error}"));
        Ok(Err(format!("the log cannot take it now: {error}\n")))
    }
}
