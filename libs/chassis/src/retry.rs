//! Calls to the bus that are tried again while it cannot be used, with pauses that grow to a bound.

use crate::health::ComponentHealth;
use prescale_bus::backoff::any_seed;
use prescale_bus::{Backoff, BusError, cancelled_within};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Who calls: for the log, the health, and the end of the waiting.
#[derive(Clone, Debug)]
pub struct BusRetry {
    id: String,
    health: ComponentHealth,
    shutdown: CancellationToken,
}

impl BusRetry {
    /// For the source of that id.
    pub fn new(id: &str, health: ComponentHealth, shutdown: &CancellationToken) -> Self {
        Self { id: id.to_owned(), health, shutdown: shutdown.clone() }
    }

    /// The source's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The source's health.
    pub fn health(&self) -> &ComponentHealth {
        &self.health
    }

    /// Ends the waiting.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Tries until it works; `None` when the shutdown comes first.
    ///
    /// # Errors
    /// When trying again cannot help.
    pub fn run<T>(&self, mut attempt: impl FnMut() -> Result<T, BusError>) -> Result<Option<T>, BusError> {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE, any_seed());
        let mut has_failed = false;
        loop {
            let error = match attempt() {
                Ok(value) if !has_failed => return Ok(Some(value)),
                Ok(value) => {
                    tracing::info!(source = self.id, "the bus is back");
                    self.health.ready();
                    return Ok(Some(value));
                }
                Err(error) => error,
            };
            if !matches!(error, BusError::Backend { retryable: true, .. }) {
                return Err(error);
            }
            has_failed = true;
            let pause = backoff.pause();
            tracing::warn!(source = self.id, %error, "trying again in {} ms", pause.as_millis());
            self.health.failed(format!("the bus cannot be used: {error}"));
            self.health.idle();
            if cancelled_within(&self.shutdown, pause) {
                return Ok(None);
            }
            self.health.alive();
        }
    }
}
