//! What others write, read into values of series or of workloads. Pure; knows neither presets nor the bus.

pub mod json;
pub mod line_protocol;
pub mod mapped;

use std::borrow::Cow;
use std::fmt;

/// Label that holds a metric's name.
const METRIC: &str = "__name__";
/// A measurement that stands for none: its fields are the metrics' names.
const NO_MEASUREMENT: &str = "prometheus";

/// The value of a series at an instant.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesValue<'a> {
    /// Names and values of its labels; the metric's name is one of them, `__name__`.
    pub labels: Vec<(&'a str, &'a str)>,
    /// Instant in milliseconds since 1970.
    pub at_ms: i64,
    /// The value; no number where the series has ended.
    pub value: f64,
}

/// Why a message cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(pub String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the series of a field is called: `MEASUREMENT_FIELD`, or the field alone where the measurement is `prometheus`.
fn metric_of<'a>(measurement: &str, field: &'a str) -> Cow<'a, str> {
    if measurement == NO_MEASUREMENT { Cow::Borrowed(field) } else { Cow::Owned(format!("{measurement}_{field}")) }
}
