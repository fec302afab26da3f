//! How far an anomaly threatens the capacity.

use crate::knob::Words;
use crate::prediction::Prediction;
use crate::resource::Resource;
use bitcode::{Decode, Encode};

/// A resource is nearly used up from this share of its capacity on.
const NEARLY_USED: f64 = 0.95;
/// Level of the forecast's maximum that must lie below the capacity.
const THREAT_LEVEL: f64 = 0.9;

/// How far an anomaly threatens the capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Severity {
    /// Not that one could tell.
    Info,
    /// The forecast reaches it.
    Warning,
    /// It is used up.
    Critical,
}

impl Severity {
    /// As Alertmanager's label of that name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl Words for Severity {
    const WORDS: &'static [&'static str] = &["info", "warning", "critical"];
    const VALUES: &'static [Self] = &[Self::Info, Self::Warning, Self::Critical];
}

/// How far what is known of a workload threatens its capacity: critical where CPU or memory is nearly used up, a warning
/// where the upper end of a forecast's maximum, at any horizon, reaches what there is.
pub fn threat(prediction: &Prediction) -> Severity {
    let Some(capacity) = &prediction.capacity else { return Severity::Info };
    let of = |resource: Resource| {
        let there_is = resource.of(capacity);
        let forecast = prediction.resources.iter().find(|forecast| forecast.resource.as_str() == resource.kpi());
        let Some(forecast) = forecast.filter(|_| there_is.is_finite() && there_is > 0.0) else {
            return Severity::Info;
        };
        if forecast.last.is_some_and(|used| used >= NEARLY_USED * there_is) {
            return Severity::Critical;
        }
        let reaches = forecast.horizons.iter().any(|horizon| horizon.maximum.at(THREAT_LEVEL) >= there_is);
        if reaches { Severity::Warning } else { Severity::Info }
    };
    Resource::ALL.map(of).into_iter().max().unwrap_or(Severity::Info)
}
