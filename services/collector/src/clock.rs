//! The wall clock, and waiting for an instant on it. Only this module reads it.

use prescale_bus::cancelled_within;
use prescale_domain::time::EventTime;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

/// The clock is looked at this often while waiting, so that one that is set is noticed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The instant that it is.
pub(crate) fn now() -> EventTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    EventTime::from_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Waits until an instant; false when the shutdown comes first.
pub(crate) fn wait_until(at: EventTime, shutdown: &CancellationToken) -> bool {
    loop {
        let left_ms = at.as_ms() - now().as_ms();
        let Ok(left_ms) = u64::try_from(left_ms) else { return !shutdown.is_cancelled() };
        if left_ms == 0 {
            return !shutdown.is_cancelled();
        }
        if cancelled_within(shutdown, Duration::from_millis(left_ms).min(LOOK_EVERY)) {
            return false;
        }
    }
}
