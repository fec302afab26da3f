//! How a workload fares, in one word and one sentence.

use super::workload::Workload;
use prescale_domain::kpi::{CPU_CORES_USED, MEMORY_BYTES};
use prescale_domain::prediction::HorizonForecast;
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::time::EventTime;
use serde::Serialize;

/// Horizon that the state looks ahead, in seconds.
pub const LOOKAHEAD_S: u32 = 900;
/// Below this share of capacity the upper bound of the forecast peak counts as spare.
const SPARE_SHARE: f64 = 0.5;
/// A workload is silent when its stream is so many steps further.
const SILENT_STEPS: i64 = 10;
const SILENT_S: i64 = 300;
/// Index of the 95 % quantile.
const UPPER: usize = 6;

/// The state's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// The median of the forecast peak is above the capacity.
    Short,
    /// The upper bound of the forecast peak is above the capacity.
    Tight,
    /// No sample for a while, though its stream goes on.
    Silent,
    /// Even the upper bound is below half of every capacity.
    Spare,
    /// The forecast peak fits.
    Fits,
    /// There is no forecast yet.
    Learning,
    /// Its capacity is not known.
    Observed,
}

/// The state of a workload, with the sentence that explains it. `stream_at` is the newest instant
/// of its stream.
pub fn status(workload: &Workload, stream_at: Option<EventTime>) -> (Status, String) {
    if let (Some(at), Some(stream_at)) = (workload.at, stream_at) {
        let behind_s = (stream_at.as_ms() - at.as_ms()) / 1000;
        if behind_s > (SILENT_STEPS * i64::from(workload.step_s)).max(SILENT_S) {
            return (
                Status::Silent,
                format!("no sample for {} min while others of {} go on", behind_s / 60, workload.source),
            );
        }
    }
    let Some(capacity) = &workload.capacity else {
        return (
            Status::Observed,
            "its capacity is not known, so there is nothing to compare the forecast with".to_owned(),
        );
    };
    let found: Vec<_> = resources(capacity)
        .into_iter()
        .filter_map(|r| workload.forecast(r.kpi, LOOKAHEAD_S).map(|forecast| r.judge(forecast)))
        .collect();
    match found.into_iter().reduce(|a, b| if urgency(b.0) < urgency(a.0) { b } else { a }) {
        None => (Status::Learning, "no forecast yet".to_owned()),
        Some((Status::Spare, why)) if workload.platform == Platform::OBSERVED_ONLY => (Status::Fits, why),
        Some(worst) => worst,
    }
}

fn urgency(status: Status) -> u8 {
    match status {
        Status::Short => 0,
        Status::Tight => 1,
        Status::Fits => 2,
        _ => 3,
    }
}

struct Resource {
    kpi: &'static str,
    title: &'static str,
    capacity: f64,
    divisor: f64,
    unit: &'static str,
}

fn resources(capacity: &Capacity) -> [Resource; 2] {
    const GIB: f64 = 1_073_741_824.0;
    [
        Resource { kpi: CPU_CORES_USED, title: "CPU", capacity: capacity.cpu_cores(), divisor: 1.0, unit: "cores" },
        Resource { kpi: MEMORY_BYTES, title: "memory", capacity: capacity.memory_bytes(), divisor: GIB, unit: "GiB" },
    ]
}

impl Resource {
    fn judge(&self, forecast: &HorizonForecast) -> (Status, String) {
        let (median, upper) = (forecast.maximum.median(), forecast.maximum.values()[UPPER]);
        let minutes = forecast.horizon_s / 60;
        let (status, words, value) = if median > self.capacity {
            (Status::Short, "median", median)
        } else if upper > self.capacity {
            (Status::Tight, "95 % quantile", upper)
        } else if upper < self.capacity * SPARE_SHARE {
            (Status::Spare, "95 % quantile", upper)
        } else {
            (Status::Fits, "95 % quantile", upper)
        };
        let Self { title, unit, divisor, capacity, .. } = self;
        let text = format!(
            "{title}: peak within {minutes} min is {:.2} {unit} ({words}), capacity is {:.2} {unit}",
            value / divisor,
            capacity / divisor
        );
        (status, text)
    }
}
