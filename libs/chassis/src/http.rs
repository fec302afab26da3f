//! `/livez`, `/readyz` and `/metrics`: as a router for others to mount, and as a server with a
//! thread of its own, so that a busy stage cannot keep it from answering.

use crate::health::{HealthRegistry, STUCK_AFTER};
use crate::listen;
use crate::listen_tls::ListenTls;
use crate::telemetry::{Metrics, TelemetryConfig};
use anyhow::{Context as _, Result};
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const UPKEEP_EVERY: Duration = Duration::from_secs(5);
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The three routes.
pub fn router(health: HealthRegistry, metrics: Metrics) -> Router {
    let live = health.clone();
    Router::new()
        .route("/livez", get(move || async move { livez(&live) }))
        .route("/readyz", get(move || async move { readyz(&health) }))
        .route("/metrics", get(move || async move { ([(header::CONTENT_TYPE, PROMETHEUS_TEXT)], metrics.render()) }))
}

fn livez(health: &HealthRegistry) -> impl IntoResponse + use<> {
    let stuck = health.stuck(STUCK_AFTER);
    let lines = stuck.iter().map(|(name, silence)| format!("{name}: no progress for {} s\n", silence.as_secs()));
    answer(lines.collect())
}

fn readyz(health: &HealthRegistry) -> impl IntoResponse + use<> {
    answer(health.not_ready().iter().map(|(name, why)| format!("{name}: {why}\n")).collect())
}

fn answer(complaints: String) -> (StatusCode, String) {
    if complaints.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, complaints)
    }
}

/// The running server; it ends with the token that it was started with.
#[derive(Debug)]
pub struct TelemetryServer {
    address: SocketAddr,
    thread: JoinHandle<()>,
}

impl TelemetryServer {
    /// Starts to listen on `listen` (`host:port`, port 0 for any free one).
    ///
    /// # Errors
    /// When the address cannot be bound, or the files for TLS cannot be used.
    pub fn start(
        config: &TelemetryConfig,
        health: HealthRegistry,
        metrics: Metrics,
        shutdown: &CancellationToken,
    ) -> Result<Self> {
        let tls = config.tls.read("telemetry.tls")?;
        let listen = &config.listen;
        let listener = TcpListener::bind(listen).with_context(|| {
            format!("cannot listen on {listen}: set [telemetry] listen to a free address, or to \"\" for none")
        })?;
        let address = listener.local_addr().context("the telemetry listener has no address")?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the telemetry server's runtime")?;
        let shutdown = shutdown.clone();
        let serve = move || {
            if let Err(error) =
                runtime.block_on(serve(listener, tls, router(health, metrics.clone()), metrics, shutdown))
            {
                tracing::error!(error = format!("{error:#}"), "the telemetry server ended");
            }
        };
        let thread = std::thread::Builder::new()
            .name("telemetry".to_owned())
            .spawn(serve)
            .context("cannot start the telemetry server's thread")?;
        Ok(Self { address, thread })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for its end, after the token was cancelled.
    pub fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("the telemetry server panicked");
        }
    }
}

async fn serve(
    listener: TcpListener,
    tls: Option<ListenTls>,
    app: Router,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> Result<()> {
    let upkeep = async {
        while tokio::time::timeout(UPKEEP_EVERY, shutdown.cancelled()).await.is_err() {
            metrics.upkeep();
        }
    };
    let (served, ()) = tokio::join!(listen::serve(listener, tls, app, &shutdown, Duration::ZERO), upkeep);
    served
}

#[cfg(test)]
mod tests;
