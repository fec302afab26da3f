//! Running the scaler: threads that read, a server that answers.

use crate::clock;
use crate::config::Config;
use crate::follow::Follower;
use crate::forecasts::Forecasts;
use crate::http;
use crate::server::{Server, Shared};
use anyhow::{Context as _, Result};
use prescale_bus::{Bus, cancelled_within};
use prescale_chassis::{Context, ListenTls, listen};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Open requests may take so long to end.
const DRAIN: Duration = Duration::from_secs(2);
/// While it is off it waits for the shutdown, so long at a time.
const WAIT_AT_A_TIME: Duration = Duration::from_secs(3_600);
/// On each connection, beside streams: calls that are open at a time.
const CALLS_MAX: u32 = 200;

/// Runs the scaler until `shutdown`. Blocks.
///
/// # Errors
/// As [`run_reporting`].
pub fn run(config: &Config, context: &Context, bus: Arc<dyn Bus>, shutdown: &CancellationToken) -> Result<()> {
    run_reporting(config, context, bus, shutdown, |_| ())
}

/// As [`run`]; `bound` is told the URL once it is listened on, of which `[scaler] listen` leaves the port open where that
/// is 0.
///
/// # Errors
/// When a setting is out of range or the address cannot be bound.
pub fn run_reporting(
    config: &Config,
    context: &Context,
    bus: Arc<dyn Bus>,
    shutdown: &CancellationToken,
    bound: impl FnOnce(String),
) -> Result<()> {
    config.check()?;
    let shown = config.metrics.shown()?;
    if !config.is_enabled() {
        tracing::info!("the scaler is off: set [scaler] listen");
        while !cancelled_within(shutdown, WAIT_AT_A_TIME) {}
        return Ok(());
    }
    let tls = config.tls.read("scaler.tls")?.map(ListenTls::with_http2);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("scaler http")
        .enable_all()
        .build()
        .context("cannot start the scaler's runtime")?;
    let address = config.address()?;
    let listener = TcpListener::bind(address)
        .with_context(|| format!("cannot listen on {address}: set [scaler] listen to a free address"))?;
    let address = listener.local_addr().context("the scaler's listener has no address")?;
    let health = context.health.component("scaler");
    let stop = shutdown.child_token();
    let (shared, clock) = (Arc::new(Shared::new(Forecasts::new(config.terms()))), clock::wall());
    let follower = Follower {
        bus,
        shared: Arc::clone(&shared),
        clock: Arc::clone(&clock),
        health: context.health.clone(),
        stop: stop.clone(),
    };
    let threads = follower.start().context("cannot start the scaler's readers")?;
    let server = Server {
        shared,
        clock,
        token: config.token.clone(),
        shown,
        streams: Arc::new(Semaphore::new(config.streams_max as usize)),
        stop: stop.clone(),
    };
    health.ready();
    let url = format!("{}://{address}", config.tls.scheme());
    tracing::info!("external scaler at {url}");
    bound(url);
    let streams_max = config.streams_max.saturating_add(CALLS_MAX);
    let app = http::router(Arc::new(server));
    let served = runtime.block_on(listen::serve_streams(listener, tls, app, streams_max, &stop, DRAIN));
    stop.cancel();
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a reader of the scaler panicked");
        }
    }
    served
}
