//! What others write, read into values of series. Pure; knows neither presets nor the bus.

pub mod line_protocol;

/// Label that holds a metric's name.
pub(crate) const METRIC: &str = "__name__";

/// The value of a series at an instant.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesValue<'a> {
    /// Names and values of its labels; the metric's name is one of them, `__name__`.
    pub labels: Vec<(&'a str, &'a str)>,
    /// Instant in milliseconds since 1970.
    pub at_ms: i64,
    /// The value.
    pub value: f64,
}
