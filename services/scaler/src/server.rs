//! What handlers share: what is known, and who may ask.

use crate::clock::Clock;
use crate::exposition::Shown;
use crate::forecasts::Forecasts;
use axum::http::HeaderMap;
use prescale_chassis::Secret;
use prescale_chassis::listen_access::bearer;
use prescale_domain::time::EventTime;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// What the readers fill and the handlers look at.
pub(crate) struct Shared {
    forecasts: Mutex<Forecasts>,
    /// Goes on with each change.
    changed: watch::Sender<u64>,
}

/// What requests are answered with.
pub(crate) struct Server {
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: Clock,
    /// Empty for none.
    pub(crate) token: Secret,
    pub(crate) shown: Shown,
    /// For each stream one.
    pub(crate) streams: Arc<Semaphore>,
    /// Streams end with it.
    pub(crate) stop: CancellationToken,
}

impl Shared {
    pub(crate) fn new(forecasts: Forecasts) -> Self {
        Self { forecasts: Mutex::new(forecasts), changed: watch::Sender::new(0) }
    }

    /// Changes what is known, and tells those who wait for that.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Forecasts)) {
        change(&mut self.forecasts.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.send_modify(|changes| *changes += 1);
    }

    /// Hears of changes.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

impl Server {
    /// What is seen in what is known now.
    pub(crate) fn look<T>(&self, see: impl FnOnce(&Forecasts, EventTime) -> T) -> T {
        see(&self.shared.forecasts.lock().unwrap_or_else(PoisonError::into_inner), (self.clock)())
    }

    /// Whether a request has the token, where there is one.
    pub(crate) fn lets_in(&self, headers: &HeaderMap) -> bool {
        self.token.expose().is_empty() || bearer(headers).is_some_and(|given| self.token.is(given))
    }
}
