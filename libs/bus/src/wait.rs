//! Waiting with a bound, from a thread without a runtime: for a cancellation, for an answer.

use crate::error::BusError;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
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

/// What a call answers that may never come back. It is made on a thread of its own, which is left behind after
/// `at_most`, with all that the call has taken; `None` then.
pub(crate) fn answered_within<T: Send + 'static>(
    at_most: Duration,
    thread_name: &str,
    call: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, answer) = sync_channel(1);
    let calling = move || drop(done.send(call()));
    thread::Builder::new().name(thread_name.to_owned()).spawn(calling).ok()?;
    answer.recv_timeout(at_most).ok()
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
    fn a_call_that_does_not_come_back_is_left_behind() {
        assert_eq!(answered_within(Duration::from_secs(60), "answers", || 7), Some(7));
        assert_eq!(
            answered_within(Duration::from_millis(1), "parks", || loop {
                thread::park()
            }),
            None::<()>
        );
    }

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
