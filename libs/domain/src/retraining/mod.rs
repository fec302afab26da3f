//! When a trained family should be trained anew, and on what: each workload whose forecasts by it got worse for good asks
//! for it ([`watch`]), and what was asked for since a version came into use is one request ([`open`]). Nothing here trains.

pub mod open;
pub mod watch;

#[cfg(test)]
mod tests;

pub use open::{OpenRequest, open_requests};
pub use watch::DriftWatch;

use crate::forecast::Family;
use crate::kpi::KpiName;
use crate::source::SourceName;
use crate::time::EventTime;
use crate::workload::WorkloadId;
use std::sync::Arc;

/// A trained family as the key of what is said of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrainedFamily {
    family: Family,
    key: WorkloadId,
}

impl TrainedFamily {
    /// The one of that name; `None` where it is not trained, or nobody knows it.
    pub fn named(name: &str) -> Option<Self> {
        let family = Family::named(name).filter(|family| family.is_trained())?;
        Some(Self { family, key: WorkloadId::of_static(family.name()) })
    }

    /// The family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// As the key of records.
    pub fn key(&self) -> &WorkloadId {
        &self.key
    }
}

/// A record of topic `retraining`: a workload asks for it. Losses are pinball losses as a share of the demand's size, and
/// have 32 bits.
#[derive(Clone, Debug, PartialEq)]
pub struct RetrainingRequest {
    /// Which family; also the record's key.
    pub family: TrainedFamily,
    /// The version that forecasts worse than it did.
    pub model_version: Arc<str>,
    /// The workload.
    pub workload: WorkloadId,
    /// Stream that its samples came from.
    pub source: SourceName,
    /// The KPI whose demand is forecast worse.
    pub resource: KpiName,
    /// Beginning of the first hour (UTC) since which it has been.
    pub from: EventTime,
    /// End of the last one that is known.
    pub to: EventTime,
    /// What was lost before.
    pub loss_before: f64,
    /// What is lost lately.
    pub loss_now: f64,
}
