//! Running Kubernetes' driver: a runtime for its calls, the lease, and a session while that is held.

use super::client::Client;
use super::config::KubernetesConfig;
use super::driver::KubernetesDriver;
use super::leader::Leader;
use super::{NAME, SOURCE};
use crate::drive::book::Limits;
use crate::drive::session::{self, Clock, Setup, system_clock};
use anyhow::{Context as _, Result};
use prescale_bus::Bus;
use prescale_chassis::Context;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Threads for calls, which mostly wait.
const THREADS: usize = 2;
/// Who was fenced waits so long before it asks for the lease again.
const FENCED_PAUSE: Duration = Duration::from_secs(5);

/// Carries out the actions on Kubernetes until the shutdown. Blocks; call it outside of any async runtime.
///
/// # Errors
/// When there is no access to a cluster, or the bus is lost.
pub fn run(config: &KubernetesConfig, context: &Context, bus: &dyn Bus, stop: &CancellationToken) -> Result<()> {
    run_by(config, context, bus, stop, &system_clock())
}

/// As [`run`], by another clock.
///
/// # Errors
/// As [`run`].
pub fn run_by(
    config: &KubernetesConfig,
    context: &Context,
    bus: &dyn Bus,
    stop: &CancellationToken,
    clock: &Clock,
) -> Result<()> {
    config.check()?;
    let health = context.health.component(SOURCE);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name(NAME)
        .enable_all()
        .build()
        .context("cannot start the threads that call Kubernetes")?;
    let client = runtime.block_on(Client::new(config)).inspect_err(|error| health.failed(error.to_string()))?;
    let driver = Arc::new(KubernetesDriver::new(client.clone(), config));
    // The lease is renewed by the real time, whatever clock actions are valid by.
    let mut leader = Leader::new(client, &config.lease_namespace, system_clock(), health.clone());
    let limits = Limits {
        calls_in_flight_max: config.calls_in_flight_max,
        calls_per_s_max: config.calls_per_s_max,
        settle_s: config.settle_s,
    };
    while !stop.is_cancelled() && runtime.block_on(leader.acquire(stop)) {
        let term = stop.child_token();
        let renewing = {
            let term = term.clone();
            runtime.spawn(async move {
                leader.renew(&term).await;
                leader
            })
        };
        let setup = Setup {
            cloud: NAME,
            source: SOURCE,
            limits: limits.clone(),
            call_deadline: Duration::from_secs(config.call_deadline_s.into()),
            bus,
            health: health.clone(),
            runtime: runtime.handle(),
            clock: Arc::clone(clock),
        };
        let ended = session::run(&driver, &setup, &term);
        term.cancel();
        leader = runtime.block_on(renewing).context("the lease's task panicked")?;
        runtime.block_on(leader.release());
        session::after(ended, "Kubernetes", &health, stop, FENCED_PAUSE)?;
    }
    health.failed("stopped");
    runtime.shutdown_background();
    Ok(())
}
