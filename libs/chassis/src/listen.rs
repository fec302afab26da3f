//! A port of HTTP: what is served on it, with TLS where asked for, until it is to stop. Must not know what that is.

use crate::listen_tls::ListenTls;
use anyhow::{Context as _, Result};
use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use std::net::TcpListener;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often files with certificates are looked at.
const RENEWED_EVERY: Duration = Duration::from_secs(60);

/// Requests that a client may have open on one connection of HTTP/2, where nothing else is said.
const STREAMS_MAX: u32 = 200;

/// A connection of HTTP/2 on which nothing comes is asked this often whether its client is still there.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(30);

/// Serves until `stop`; open requests may take `drain` to end then.
///
/// # Errors
/// When the listener cannot be used any more.
pub async fn serve(
    listener: TcpListener,
    tls: Option<ListenTls>,
    app: Router,
    stop: &CancellationToken,
    drain: Duration,
) -> Result<()> {
    serve_streams(listener, tls, app, STREAMS_MAX, stop, drain).await
}

/// As [`serve`], to clients that may have so many requests open on one connection.
///
/// # Errors
/// As [`serve`].
pub async fn serve_streams(
    listener: TcpListener,
    tls: Option<ListenTls>,
    app: Router,
    streams_max: u32,
    stop: &CancellationToken,
    drain: Duration,
) -> Result<()> {
    let handle = Handle::new();
    let app = app.into_make_service();
    let serving = async {
        match tls {
            None => {
                let mut server = axum_server::from_tcp(listener)?;
                server.http_builder().http2().max_concurrent_streams(streams_max).keep_alive_interval(KEEP_ALIVE_EVERY);
                server.handle(handle.clone()).serve(app).await
            }
            Some(tls) => {
                let config = RustlsConfig::from_config(tls.server());
                let mut server = axum_server::from_tcp_rustls(listener, config.clone())?;
                server.http_builder().http2().max_concurrent_streams(streams_max).keep_alive_interval(KEEP_ALIVE_EVERY);
                tokio::select! {
                    done = server.handle(handle.clone()).serve(app) => done,
                    never = renew(tls, config) => match never {},
                }
            }
        }
    };
    let stopped = async {
        stop.cancelled().await;
        handle.graceful_shutdown(Some(drain));
        tokio::time::sleep(drain).await;
    };
    tokio::select! {
        done = serving => done.context("the server ended"),
        () = stopped => Ok(()),
    }
}

async fn renew(mut tls: ListenTls, config: RustlsConfig) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(RENEWED_EVERY).await;
        if let Some(server) = tls.renewed() {
            config.reload_from_config(server);
        }
    }
}
