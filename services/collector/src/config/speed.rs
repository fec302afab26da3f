//! How fast a trace is replayed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Speed of a replay. Written as `max` or as a number above zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Speed {
    /// As fast as the bus takes it.
    #[default]
    Max,
    /// So many seconds of the trace in one second.
    Times(f64),
}

impl Speed {
    /// Time on the clock that so much of the trace takes.
    pub fn on_the_clock(self, trace_ms: i64) -> Duration {
        match self {
            Self::Max => Duration::ZERO,
            Self::Times(factor) => {
                Duration::try_from_secs_f64(trace_ms.max(0) as f64 / 1000.0 / factor).unwrap_or(Duration::MAX)
            }
        }
    }
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.parse::<f64>() {
            Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(Self::Times(factor)),
            _ => Err(format!("{text:?} is no speed: write \"max\", or a number above 0 (1 is as it was)")),
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => f.write_str("max"),
            Self::Times(factor) => factor.fmt(f),
        }
    }
}
