//! Series as senders of any protocol have them, before it is known what they measure.

/// One sample of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct FloatSample {
    /// Instant in milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// Its value. A NaN ends the series.
    pub(crate) value: f64,
    /// What it is a total of, where its sender says so.
    pub(crate) since: Since,
}

impl FloatSample {
    /// Of which nothing else is said.
    pub(crate) fn new(at_ms: i64, value: f64) -> Self {
        Self { at_ms, value, since: Since::Unsaid }
    }
}

/// Since when a value counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Since {
    /// It is not said, or it does not count.
    Unsaid,
    /// Since that instant, in milliseconds since 1970: the total began at zero there.
    Total {
        /// The instant.
        start_ms: i64,
    },
    /// Since that instant, and what comes next counts from this one on.
    Delta {
        /// The instant.
        start_ms: i64,
    },
}

/// One series of a request.
#[derive(Debug, Default)]
pub(crate) struct SeriesOf<'a> {
    /// Names and values, as they came.
    pub(crate) labels: Vec<(&'a str, &'a str)>,
    /// Its samples.
    pub(crate) samples: Vec<FloatSample>,
}
