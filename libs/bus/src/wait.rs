//! Waiting with a bound, from a thread without a runtime: for a cancellation, for an answer.

use crate::error::BusError;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future to its end on this thread; whoever completes it lives elsewhere.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        thread::park();
    }
}

/// Waits until `shutdown` or for `at_most`; tells whether it was the shutdown.
pub fn cancelled_within(shutdown: &CancellationToken, at_most: Duration) -> bool {
    let deadline = Instant::now() + at_most;
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut cancelled = pin!(shutdown.cancelled());
    loop {
        if cancelled.as_mut().poll(&mut context) == Poll::Ready(()) {
            return true;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        thread::park_timeout(left);
    }
}

/// Pauses of a millisecond first, then of twice as long each time, up to 16 ms: what one waits for
/// mostly comes at once.
pub(crate) struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(Duration::from_millis(1))
    }
}

impl Pauses {
    /// Waits for the next pause's length.
    pub(crate) fn pause(&mut self) {
        thread::park_timeout(self.0);
        self.0 = (self.0 * 2).min(Duration::from_millis(16));
    }
}

/// Asks until there is an answer, or an error that asking again does not mend, or the time is over:
/// clients learn only by asking that partitions have new leaders.
///
/// # Errors
/// With the last error.
pub(crate) fn asked_again<T>(at_most: Duration, mut ask: impl FnMut() -> Result<T, BusError>) -> Result<T, BusError> {
    let deadline = Instant::now() + at_most;
    let mut pauses = Pauses::default();
    loop {
        match ask() {
            Err(BusError::Backend { retryable: true, .. }) if Instant::now() < deadline => pauses.pause(),
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_at_the_bound_or_with_the_cancellation() {
        let token = CancellationToken::new();
        assert!(!cancelled_within(&token, Duration::ZERO));
        let other = token.clone();
        let canceller = thread::spawn(move || other.cancel());
        assert!(cancelled_within(&token, Duration::from_secs(60)));
        canceller.join().expect("the canceller ends");
    }
}
