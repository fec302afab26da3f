//! What receivers of pushed points share, whichever protocol they speak: a port with TLS and a token, what is let in and
//! how much of it, the way to the log, and what is said where there is no room. A receiver adds how its requests are read
//! and answered.
//!
//! A request is acknowledged when its points are on the log. One that is sent again adds nothing: its points are the same
//! records, and of a series and an instant there is one point. What no rule of the preset means is left out and counted;
//! what a rule means and cannot be used is refused, never dropped behind a success.

use crate::append;
use crate::config::ReceiverKeys;
use crate::event::Event;
use crate::inputs::Launch;
use crate::prometheus::preset::Preset;
use anyhow::{Context as _, Result, anyhow, ensure};
use axum::Router;
use mapping::Mapping;
use prescale_chassis::{BusRetry, ComponentHealth, ListenTls, SourceEntry, Use, listen};
use prescale_contracts::topics;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::{Builder, scope};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use writer::Writer;

pub(crate) mod gzip;
pub(crate) mod intake;
pub(crate) mod known;
pub(crate) mod mapping;
pub(crate) mod series;
#[cfg(test)]
pub(crate) mod testing;
mod writer;

pub(crate) use intake::{Intake, Refusal, point_record};

/// What a receiver does on the bus beside writing samples.
pub(crate) const POINTS: Use = Use::Writes(SourceEntry { id: None, topics: &[topics::RAW_POINTS] });
/// Requests that wait for the log.
const JOBS_MAX: usize = 16;
/// Open requests may take so long to end.
const DRAIN: Duration = Duration::from_secs(2);

/// What one receiver has of its own.
pub(crate) struct Protocol<'a, R> {
    /// For threads and messages, such as `remote write`.
    pub(crate) name: &'static str,
    /// Its input's health.
    pub(crate) health: ComponentHealth,
    /// Its section.
    pub(crate) keys: ReceiverKeys<'a>,
    /// Below the address, where senders write to; empty where that differs.
    pub(crate) path: &'static str,
    /// The application that answers requests.
    pub(crate) router: R,
    /// That it listens, and where.
    pub(crate) listens: fn(String) -> Event,
}

/// Refuses what a section says that cannot be, or a preset that says nothing of pushed series.
///
/// # Errors
/// With the key.
pub(crate) fn check(keys: &ReceiverKeys<'_>) -> Result<()> {
    keys.check()?;
    if keys.is_enabled() { preset(keys).map(drop) } else { Ok(()) }
}

fn preset(keys: &ReceiverKeys<'_>) -> Result<Preset> {
    pushed_preset(keys.section, keys.preset)
}

/// The preset that `section` names, which must say something of pushed series.
///
/// # Errors
/// When there is none, or it does not.
pub(crate) fn pushed_preset(section: &str, name: &str) -> Result<Preset> {
    let preset = Preset::load(section, name)?;
    ensure!(
        !preset.pushed.is_empty(),
        "[{section}] preset = {name:?}: it says nothing of pushed series: give one with a table `series`"
    );
    Ok(preset)
}

/// Receives until the shutdown.
///
/// # Errors
/// When the address or the preset cannot be used, or the bus refuses for good.
pub(crate) fn run<R: FnOnce(Arc<Intake>) -> Router>(launch: &Launch<'_>, protocol: Protocol<'_, R>) -> Result<()> {
    let Protocol { name, health, keys, path, router, listens } = protocol;
    let source = keys.source()?;
    let mapping = Mapping::new(preset(&keys)?, source.clone(), keys.step_s);
    let tls = keys.tls()?.map(ListenTls::with_http2);
    let retry = BusRetry::new(&source, health, launch.stop);
    let Some((log, stored)) = append::open(launch.bus, &retry)? else { return Ok(()) };
    let (address, section) = (keys.address()?, keys.section);
    let listener = TcpListener::bind(address)
        .with_context(|| format!("cannot listen on {address}: set [{section}] listen to a free address"))?;
    let address = listener.local_addr().context("the receiver's listener has no address")?;
    let (jobs, queue) = mpsc::channel(JOBS_MAX);
    let app = router(Arc::new(Intake::new(&keys, mapping, source.shared(), jobs)));
    let stop = launch.stop.child_token();
    let mut writer = Writer::new(log, stored, retry)?;
    scope(|threads| {
        let stop = &stop;
        // Also when this thread panics.
        let ends = stop.clone().drop_guard();
        let serving = move || {
            let served = serve(name, listener, tls, app, stop);
            stop.cancel();
            served
        };
        let serving = Builder::new().name(name.to_owned()).spawn_scoped(threads, serving)?;
        writer.ready();
        let url = format!("{}://{address}{path}", keys.tls.scheme());
        tracing::info!(source = writer.id(), "receiving at {url}");
        (launch.observe)(listens(url));
        let written = writer.write_all(queue);
        drop(ends);
        let served = serving.join().unwrap_or_else(|_| Err(anyhow!("the receiver of {name} panicked")));
        written.and(served)
    })
}

/// Serves until `stop`. When it is back nobody is left who could send anything to the log.
fn serve(
    name: &'static str,
    listener: TcpListener,
    tls: Option<ListenTls>,
    app: Router,
    stop: &CancellationToken,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(format!("{name} http"))
        .enable_all()
        .build()
        .context("cannot start the receiver's runtime")?;
    runtime.block_on(listen::serve(listener, tls, app, stop, DRAIN))
}
