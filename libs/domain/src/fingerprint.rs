//! A fingerprint: how a workload behaved over the short and the long window ending at an instant.

use crate::anomaly::AnomalyScore;
use crate::kpi::KpiName;
use crate::sample::{Capacity, Platform};
use crate::source::SourceName;
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
///
/// The short window is exact; the long one reaches back to the start of its oldest pane (see
/// [`crate::window`]). Seasons and autocorrelation other than [`Self::season_1h`] are of the
/// short window's slots and twelfths, and of the long window's 1/168 (hours of seven days), as of
/// the last one that is complete.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WindowFeatures {
    /// Samples present.
    pub count: u64,
    /// Share of the window's grid without a sample, 0 to 1; a window that is not yet full misses
    /// what lies before the first sample.
    pub missing_share: f64,
    /// Arithmetic mean.
    pub mean: Option<f64>,
    /// Sample standard deviation (n - 1).
    pub std_dev: Option<f64>,
    /// Least value.
    pub min: Option<f64>,
    /// Greatest value.
    pub max: Option<f64>,
    /// Median, within [`crate::window::log_histogram::RELATIVE_ERROR_MAX`] of the sample of that
    /// rank, rounded down.
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
    /// Strongest periods that fit the window a whole number of times, strongest first.
    pub top_seasons: Vec<Season>,
    /// Season of exactly one hour, of deviations from the mean (in the long window, from each
    /// pane's). `None` above a step of 20 minutes or below three quarters of an hour of samples.
    pub season_1h: Option<Season>,
    /// Season of exactly 24 hours, over the newest whole days.
    pub season_24h: Option<Season>,
    /// Season of exactly 7 days, over the newest whole weeks.
    pub season_7d: Option<Season>,
    /// Autocorrelation at a lag of one hour: Pearson's correlation of what is in the window with
    /// what was one lag earlier. The lag may reach out of a window of just that length.
    pub acf_1h: Option<f64>,
    /// Autocorrelation at a lag of 24 hours, likewise.
    pub acf_24h: Option<f64>,
    /// Autocorrelation at a lag of 7 days, likewise; in a window of that length over means of
    /// three hours.
    pub acf_7d: Option<f64>,
    /// Burstiness (σ - μ) / (σ + μ) of Goh and Barabási, EPL 81 (2008) 48002: -1 regular, 0 as a
    /// Poisson process, towards 1 bursty. `None` for a negative mean.
    pub burstiness: Option<f64>,
    /// The features that the configuration adds by SQL, by name.
    pub extra: BTreeMap<String, Option<f64>>,
}

impl WindowFeatures {
    /// Rounds all numbers to what 32 bits can say, which is what travels; what is beyond them is not known.
    pub fn round_to_single(&mut self) {
        let optional = [
            &mut self.mean,
            &mut self.std_dev,
            &mut self.min,
            &mut self.max,
            &mut self.p50,
            &mut self.p90,
            &mut self.p95,
            &mut self.p99,
            &mut self.trend_per_h,
            &mut self.trend_std_err,
            &mut self.trend_r2,
            &mut self.acf_1h,
            &mut self.acf_24h,
            &mut self.acf_7d,
            &mut self.burstiness,
        ];
        for value in optional.into_iter().chain(self.extra.values_mut()) {
            *value = value.and_then(single);
        }
        self.missing_share = single(self.missing_share).unwrap_or(1.0);
        for season in [&mut self.season_1h, &mut self.season_24h, &mut self.season_7d] {
            *season = season.and_then(Season::single);
        }
        self.top_seasons = self.top_seasons.iter().copied().filter_map(Season::single).collect();
    }
}

impl Season {
    fn single(self) -> Option<Self> {
        Some(Self {
            period_s: single(self.period_s)?,
            amplitude: single(self.amplitude)?,
            phase_rad: single(self.phase_rad)?,
            strength: single(self.strength)?,
        })
    }
}

/// The nearest number of 32 bits; `None` beyond them.
pub fn single(x: f64) -> Option<f64> {
    let rounded = f64::from(x as f32);
    rounded.is_finite().then_some(rounded)
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
    /// Features over both windows; `None` between the closes of bins, where only the newest values travel.
    pub windows: Option<Box<Windows>>,
}

/// Features of one KPI over both windows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Windows {
    /// Over the short window.
    pub short: WindowFeatures,
    /// Over the long window.
    pub long: WindowFeatures,
}

impl Windows {
    /// On the heap, as a KPI has them.
    pub fn boxed(short: WindowFeatures, long: WindowFeatures) -> Option<Box<Self>> {
        Some(Box::new(Self { short, long }))
    }
}

/// A record of topic `fingerprints`: when a bin closes, the features of all KPIs; between closes, the newest values
/// alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Fingerprint {
    /// Whose fingerprint.
    pub workload: WorkloadId,
    /// Stream that its samples came from.
    pub source: SourceName,
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
    /// The KPIs, by name ascending; all of them have windows, or none has.
    pub kpis: Vec<KpiFingerprint>,
    /// How unusual the workload was in the bin that closes, all its KPIs together; `None` between closes, and where too
    /// little is known to tell.
    pub anomaly: Option<AnomalyScore>,
    /// Capacity at that instant, where known.
    pub capacity: Option<Capacity>,
    /// What runs the workload.
    pub platform: Platform,
}

impl Fingerprint {
    /// Where a KPI stands among those of the fingerprint.
    pub fn place_of(&self, name: &KpiName) -> Option<usize> {
        self.kpis.binary_search_by(|kpi| kpi.name.cmp(name)).ok()
    }

    /// The KPI of that name.
    pub fn kpi(&self, name: &KpiName) -> Option<&KpiFingerprint> {
        self.place_of(name).map(|place| &self.kpis[place])
    }

    /// The newest value of the KPI of that name; `None` where it is missing.
    pub fn last_of(&self, name: &str) -> Option<f64> {
        let place = self.kpis.binary_search_by(|kpi| kpi.name.as_str().cmp(name)).ok()?;
        self.kpis[place].last
    }

    /// Whether it has features, and not the newest values alone.
    pub fn has_features(&self) -> bool {
        self.kpis.iter().any(|kpi| kpi.windows.is_some())
    }
}
