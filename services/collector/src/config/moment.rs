//! An end of a span of event time, as it is written in the configuration.

use prescale_contracts::{parse_rfc3339, rfc3339};
use prescale_domain::time::EventTime;
use std::fmt;
use std::str::FromStr;

/// An end of a span: empty, an instant (RFC 3339, or seconds since 1970), or `+` and a length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Moment {
    /// Not given.
    #[default]
    Open,
    /// This instant.
    At(EventTime),
    /// So long after the span's beginning.
    After {
        /// How long, in seconds.
        seconds: i64,
    },
}

impl Moment {
    /// The instant, in a span that begins at `beginning`; `None` where it is open, or relative to
    /// a beginning that is.
    pub fn after(self, beginning: Option<EventTime>) -> Option<EventTime> {
        match self {
            Self::Open => None,
            Self::At(at) => Some(at),
            Self::After { seconds } => beginning.map(|at| at.plus_s(seconds)),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::Open);
        }
        let moment = match text.strip_prefix('+') {
            Some(length) => seconds_of(length).map(|seconds| Self::After { seconds }),
            None => instant(text).map(Self::At),
        };
        moment.ok_or_else(|| {
            format!(
                "{text:?} is no instant: write RFC 3339 such as \"2013-08-01T00:00:00Z\", seconds since 1970, \
                 or a length such as \"+1d\" (s, m, h, d)"
            )
        })
    }
}

/// Seconds since 1970 or RFC 3339, from 1970 to 9999.
fn instant(text: &str) -> Option<EventTime> {
    const LAST_S: f64 = 253_402_300_799.0;
    match text.parse::<f64>() {
        Ok(s) => (0.0..=LAST_S).contains(&s).then(|| EventTime::from_ms((s * 1000.0).round() as i64)),
        Err(_) => parse_rfc3339(text).filter(|at| at.as_ms() >= 0),
    }
}

fn seconds_of(length: &str) -> Option<i64> {
    let digits = length.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_s = match &length[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let seconds = digits.parse::<u32>().ok().map(|n| i64::from(n) * unit_s)?;
    (seconds > 0).then_some(seconds)
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => Ok(()),
            Self::At(at) => f.write_str(&rfc3339(*at)),
            Self::After { seconds } => write!(f, "+{seconds}s"),
        }
    }
}
