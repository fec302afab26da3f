//! The wall clock, by which forecasts are stale and plans are void. Only this module reads it.

use prescale_domain::time::EventTime;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What tells the instant that it is.
pub(crate) type Clock = Arc<dyn Fn() -> EventTime + Send + Sync>;

/// The wall clock.
pub(crate) fn wall() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        EventTime::from_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    })
}
