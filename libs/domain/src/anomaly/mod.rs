//! How unusual a workload is, several KPIs together, as a p-value that is calibrated on its own past.
//!
//! At each close of a bin every KPI is compared with what it was like lately, at this hour of the day, and just before;
//! KPIs that move together are whitened, so that one which leaves the others stands out. What remains is one score. Its
//! p-value is its rank among the workload's own earlier scores, and beyond them follows from their tail. What a KPI has
//! never done so far has a p-value of its own; the least of both counts.
//!
//! It must not know what the KPIs are, nor what is done about an anomaly.

mod combined;
mod detector;
mod expected;
mod held;
mod novelty;
mod p_values;
mod residual;
mod together;

pub use combined::combined;
pub use detector::{Close, Detector, Found, KPIS_MAX, Value};
pub use residual::Residuals;

use crate::kpi::KpiName;
use bitcode::{Decode, Encode};

/// A workload whose p-value is below this has an anomaly, where nothing else is configured.
pub const ANOMALY_P_MAX: f64 = 0.001;

/// No p-value is less.
pub const P_VALUE_MIN: f64 = 1e-9;

/// KPIs that are named as those to blame, at most.
pub const BLAMED_MAX: usize = 3;

/// How unusual a workload is.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct AnomalyScore {
    /// How often a workload that goes on as before is at least as unusual, above 0 and up to 1.
    pub p_value: f32,
    /// The KPIs that are furthest from what is expected of them, the furthest first; at most [`BLAMED_MAX`].
    pub kpis: Vec<KpiName>,
}

#[cfg(test)]
mod tests;
