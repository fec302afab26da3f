//! Holding the lease: taken before anything is called, renewed while it is held, and given back at the end.
//!
//! A lease alone keeps nobody from acting who has lost it and does not know. What was decided on an older version of an
//! object is refused by the server, and results by a former holder by the bus.

use super::client::Client;
use super::lease::{Claim, DURATION_MS, Turn};
use crate::drive::call::CallError;
use crate::drive::session::Clock;
use prescale_bus::backoff::any_seed;
use prescale_chassis::ComponentHealth;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// A lease is renewed, or asked for, so often.
const RENEWED_EVERY: Duration = Duration::from_secs(2);
/// Who could not renew it for so long takes it for lost, before anybody else does.
const LOST_AFTER_MS: u64 = DURATION_MS * 2 / 3;
/// A call about it may take so long.
const CALL_DEADLINE: Duration = Duration::from_secs(5);

/// A process that wants to lead.
pub(super) struct Leader {
    client: Client,
    claim: Claim,
    clock: Clock,
    health: ComponentHealth,
}

impl Leader {
    /// With a lease in that namespace; empty for the client's own.
    pub(super) fn new(client: Client, namespace: &str, clock: Clock, health: ComponentHealth) -> Self {
        let namespace = if namespace.is_empty() { client.namespace() } else { namespace };
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "prescale".to_owned());
        let claim = Claim::of(namespace, format!("{host}-{:016x}", any_seed()));
        Self { client, claim, clock, health }
    }

    /// Waits until it holds the lease; false when the shutdown comes first.
    pub(super) async fn acquire(&mut self, stop: &CancellationToken) -> bool {
        let mut told = String::new();
        loop {
            let waits_for = match self.ask().await {
                Ok(None) => {
                    tracing::info!("it holds the lease {}, and calls the cluster", self.claim.path());
                    return true;
                }
                Ok(Some(holder)) => {
                    self.health.ready();
                    format!("{holder} holds the lease {}: it stands by", self.claim.path())
                }
                Err(error) => {
                    let why = format!("the lease {} cannot be had: {error}", self.claim.path());
                    self.health.failed(&why);
                    why
                }
            };
            if told != waits_for {
                tracing::info!("{waits_for}");
                told = waits_for;
            }
            tokio::select! {
                () = stop.cancelled() => return false,
                () = sleep(RENEWED_EVERY) => {}
            }
        }
    }

    /// Renews the lease until the term ends, and ends it when the lease is lost.
    pub(super) async fn renew(&mut self, term: &CancellationToken) {
        let mut renewed_ms = (self.clock)().ms;
        while !term.is_cancelled() {
            tokio::select! {
                () = term.cancelled() => return,
                () = sleep(RENEWED_EVERY) => {}
            }
            let asked_ms = (self.clock)().ms;
            match self.ask().await {
                Ok(None) => renewed_ms = asked_ms,
                Ok(Some(holder)) => {
                    tracing::warn!("{holder} has taken the lease {}", self.claim.path());
                    term.cancel();
                }
                Err(error) => {
                    tracing::warn!("the lease {} could not be renewed: {error}", self.claim.path());
                    if (self.clock)().ms.saturating_sub(renewed_ms) >= LOST_AFTER_MS {
                        term.cancel();
                    }
                }
            }
        }
    }

    /// Gives the lease back, if it holds it and the server takes that.
    pub(super) async fn release(&self) {
        let Ok(Ok(lease)) = timeout(CALL_DEADLINE, self.client.get(&self.claim.path())).await else { return };
        if let Some(request) = self.claim.release(&lease, (self.clock)().at) {
            drop(timeout(CALL_DEADLINE, self.client.write(&request)).await);
        }
    }

    /// Takes or renews the lease: `None` when it is held, else who holds it.
    async fn ask(&mut self) -> Result<Option<String>, CallError> {
        let path = self.claim.path();
        let lease = match in_time(self.client.get(&path)).await {
            Ok(lease) => Some(lease),
            Err(CallError::Gone { .. }) => None,
            Err(error) => return Err(error),
        };
        let now = (self.clock)();
        match self.claim.turn(lease.as_ref(), now.at, now.ms) {
            Turn::Waits { holder } => Ok(Some(holder)),
            Turn::Asks(request) => in_time(self.client.write(&request)).await.map(|_| None),
        }
    }
}

async fn in_time<T>(call: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
    let late = || CallError::Unknown { why: format!("it took longer than {} s", CALL_DEADLINE.as_secs()) };
    timeout(CALL_DEADLINE, call).await.unwrap_or_else(|_| Err(late()))
}
