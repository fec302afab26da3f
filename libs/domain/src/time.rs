//! Event time. Nothing here reads a clock.

use bitcode::{Decode, Encode};
use std::fmt;

/// Milliseconds since 1970-01-01T00:00:00Z, in event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct EventTime(i64);

impl EventTime {
    /// From milliseconds since the Unix epoch.
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// From seconds since the Unix epoch.
    pub const fn from_s(s: i64) -> Self {
        Self(s * 1000)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_ms(self) -> i64 {
        self.0
    }

    /// This instant moved by `seconds`, which may be negative.
    pub const fn plus_s(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// Hours since an earlier instant.
    pub fn hours_since(self, earlier: Self) -> f64 {
        (self.0 - earlier.0) as f64 / 3_600_000.0
    }

    /// Number of the grid bin of width `step_s` that holds this instant; bins start at the epoch.
    pub const fn bin(self, step_s: u32) -> i64 {
        self.0.div_euclid(step_s as i64 * 1000)
    }

    /// Start of grid bin `bin` of width `step_s`.
    pub const fn of_bin(bin: i64, step_s: u32) -> Self {
        Self(bin * step_s as i64 * 1000)
    }
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}
