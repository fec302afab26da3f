//! A fingerprint: how a workload behaved over the short and the long window ending at an instant.

use crate::kpi::KpiName;
use crate::sample::{Capacity, Platform};
use crate::time::EventTime;
use crate::workload::WorkloadId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A season found in a window by Fourier analysis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Season {
    /// Period, in seconds.
    pub period_s: f64,
    /// Amplitude, in the KPI's unit.
    pub amplitude: f64,
    /// Phase of the cosine at the Unix epoch, in radians within (-π, π].
    pub phase_rad: f64,
    /// Share of the window's variance that this period explains, 0 to 1.
    pub strength: f64,
}

/// Features of one KPI over one window. A feature is `None` where the window has too few samples
/// to define it; it is never a zero that stands for "unknown".
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WindowFeatures {
    /// Samples present.
    pub count: u64,
    /// Share of the window's grid without a sample, 0 to 1.
    pub missing_share: f64,
    /// Arithmetic mean.
    pub mean: Option<f64>,
    /// Sample standard deviation (n - 1).
    pub std_dev: Option<f64>,
    /// Least value.
    pub min: Option<f64>,
    /// Greatest value.
    pub max: Option<f64>,
    /// Median, within the sketch's stated bound.
    pub p50: Option<f64>,
    /// 90th percentile, likewise.
    pub p90: Option<f64>,
    /// 95th percentile, likewise.
    pub p95: Option<f64>,
    /// 99th percentile, likewise.
    pub p99: Option<f64>,
    /// Slope of the least-squares line, in units per hour.
    pub trend_per_h: Option<f64>,
    /// Standard error of that slope.
    pub trend_std_err: Option<f64>,
    /// R² of that line.
    pub trend_r2: Option<f64>,
    /// Strongest periods, strongest first.
    pub top_seasons: Vec<Season>,
    /// Season of exactly one hour.
    pub season_1h: Option<Season>,
    /// Season of exactly 24 hours.
    pub season_24h: Option<Season>,
    /// Season of exactly 7 days.
    pub season_7d: Option<Season>,
    /// Autocorrelation at a lag of one hour.
    pub acf_1h: Option<f64>,
    /// Autocorrelation at a lag of 24 hours.
    pub acf_24h: Option<f64>,
    /// Autocorrelation at a lag of 7 days.
    pub acf_7d: Option<f64>,
    /// Burstiness (σ - μ) / (σ + μ) of Goh and Barabási, EPL 81 (2008) 48002: -1 regular, 0 as a
    /// Poisson process, towards 1 bursty.
    pub burstiness: Option<f64>,
    /// The features that the configuration adds by SQL, by name.
    pub extra: BTreeMap<String, Option<f64>>,
}

/// One KPI of a fingerprint.
#[derive(Clone, Debug, PartialEq)]
pub struct KpiFingerprint {
    /// What was measured.
    pub name: KpiName,
    /// Unit of the values.
    pub unit: Arc<str>,
    /// The value at the instant (a counter's rate per second); `None` when missing.
    pub last: Option<f64>,
    /// Features over the short window.
    pub short: WindowFeatures,
    /// Features over the long window.
    pub long: WindowFeatures,
}

/// A record of topic `fingerprints`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fingerprint {
    /// Whose fingerprint.
    pub workload: WorkloadId,
    /// Stream that its samples came from.
    pub source: Arc<str>,
    /// End of both windows: the instant of the sample that this follows from.
    pub at: EventTime,
    /// Width of the sampling grid, in seconds.
    pub step_s: u32,
    /// Length of the short window, in seconds.
    pub short_window_s: u32,
    /// Length of the long window, in seconds.
    pub long_window_s: u32,
    /// First 16 hex digits of the SHA-256 over the feature set's definition.
    pub feature_schema_hash: Arc<str>,
    /// The KPIs, by name ascending.
    pub kpis: Vec<KpiFingerprint>,
    /// Capacity at that instant, where known.
    pub capacity: Option<Capacity>,
    /// What runs the workload.
    pub platform: Platform,
}
