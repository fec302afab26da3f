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
    let handle = Handle::new();
    let app = app.into_make_service();
    let serving = async {
        match tls {
            None => axum_server::from_tcp(listener)?.handle(handle.clone()).serve(app).await,
            Some(tls) => {
                let config = RustlsConfig::from_config(tls.server());
                let server = axum_server::from_tcp_rustls(listener, config.clone())?;
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
