//! A prediction: quantiles of a workload's demand at and up to each horizon.

mod moment;

pub use moment::Moment;

use crate::anomaly::AnomalyScore;
use crate::calibration::Statistic;
use crate::calibration::drift::DriftState;
use crate::kpi::KpiName;
use crate::quantiles::Quantiles;
use crate::sample::{Capacity, Platform};
use crate::source::SourceName;
use crate::time::EventTime;
use crate::workload::WorkloadId;
use std::sync::Arc;

/// The central interval that a prediction states, with how well such intervals did lately.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Nominal coverage, such as 0.9.
    pub nominal_coverage: f64,
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// Share of the last scored intervals of this workload, resource and horizon that held the
    /// truth; `None` before the first was scored.
    pub trailing_coverage: Option<f64>,
    /// Over how many scored intervals.
    pub scored: u32,
}

/// Forecast of one resource at one horizon.
#[derive(Clone, Debug, PartialEq)]
pub struct HorizonForecast {
    /// Horizon, in seconds.
    pub horizon_s: u32,
    /// Quantiles of the demand in the grid bin that holds `made_at + horizon_s`.
    pub value: Quantiles,
    /// Quantiles of the maximum demand over the horizon, which is what capacity needs.
    pub maximum: Quantiles,
    /// Interval of the value.
    pub value_interval: Interval,
    /// Interval of the maximum.
    pub maximum_interval: Interval,
}

impl HorizonForecast {
    /// Each statistic with its quantiles and interval.
    pub fn statistics(&self) -> [(Statistic, &Quantiles, &Interval); 2] {
        [
            (Statistic::Value, &self.value, &self.value_interval),
            (Statistic::Maximum, &self.maximum, &self.maximum_interval),
        ]
    }
}

/// Forecast of one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceForecast {
    /// The KPI that is the resource's demand.
    pub resource: KpiName,
    /// Unit of all values.
    pub unit: Arc<str>,
    /// Demand at `made_at`.
    pub last: Option<f64>,
    /// Family or name of the model (`gru`, `exponential-smoothing`, `seasonal-naive`, `last-value`).
    pub model: Arc<str>,
    /// Version of the model.
    pub model_version: Arc<str>,
    /// What drift of the series has led to; `None` where the record does not say.
    pub drift: Option<DriftState>,
    /// Workloads with the nearest fingerprints, whose corrections a young series started from, the nearest
    /// first; empty where it goes by its own.
    pub started_from: Vec<WorkloadId>,
    /// One forecast a horizon, ascending.
    pub horizons: Vec<HorizonForecast>,
}

/// The newest value of a KPI that is no forecast resource, such as latency or errors, beside what is usual: what tells
/// whoever decides that a workload suffers.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// What was measured.
    pub name: KpiName,
    /// Unit of all values.
    pub unit: Arc<str>,
    /// The value at `made_at` (a counter's rate per second); `None` when missing.
    pub last: Option<f64>,
    /// Mean over the fingerprint's short window; `None` where it is not known.
    pub short_mean: Option<f64>,
    /// 95th percentile over the fingerprint's long window; `None` where it is not known.
    pub long_p95: Option<f64>,
}

/// What was measured at an instant that no prediction was made for, in the order of a prediction's resources and
/// signals.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The instant.
    pub at: EventTime,
    /// Demand by resource; `None` when missing.
    pub resources: Vec<Option<f64>>,
    /// Value by signal; `None` when missing.
    pub signals: Vec<Option<f64>>,
}

/// A record of topics `predictions` and `predictions-latest`.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Whose demand.
    pub workload: WorkloadId,
    /// Stream that its samples came from.
    pub source: SourceName,
    /// Instant that the prediction was made for: no later sample went into it.
    pub made_at: EventTime,
    /// Width of the sampling grid, in seconds.
    pub step_s: u32,
    /// Resources, by name ascending; at least one.
    pub resources: Vec<ResourceForecast>,
    /// What the configured KPIs that are no resources say, by name ascending; those that the fingerprint has.
    pub signals: Vec<Signal>,
    /// What was measured since the prediction before this one, `made_at` itself left out; the capacity was that of
    /// the prediction before.
    pub earlier: Vec<Reading>,
    /// How unusual the workload was in the bin that closes, its KPIs and how far its forecasts were off in the bin before
    /// taken together; `None` between closes, and where too little is known to tell.
    pub anomaly: Option<AnomalyScore>,
    /// Capacity at `made_at`, where known.
    pub capacity: Option<Capacity>,
    /// What runs the workload.
    pub platform: Platform,
}
