//! What was asked for since a version came into use, as one request of a family: the workloads of all partitions. It
//! depends on which of them asked, and not on the order in which they did.

use super::{RetrainingRequest, TrainedFamily};
use crate::kpi::KpiName;
use crate::time::EventTime;
use crate::workload::WorkloadId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// So many workloads are named at most: those that got worse by the most.
pub const WORKLOADS_NAMED_MAX: usize = 100;

/// A family that should be trained anew, and on what.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenRequest {
    /// Which.
    pub family: TrainedFamily,
    /// The version that forecasts worse than it did.
    pub model_version: Arc<str>,
    /// Beginning of the range in which it does.
    pub from: EventTime,
    /// End of the range.
    pub to: EventTime,
    /// The workloads, by how many times they lose what they did, the most first; at most [`WORKLOADS_NAMED_MAX`].
    pub workloads: Vec<WorkloadId>,
    /// How many more there are.
    pub more: usize,
    /// The KPIs whose demand is forecast worse, ascending.
    pub resources: BTreeSet<KpiName>,
    /// Mean over workloads and resources of what was lost before, as a share of the demand's size.
    pub loss_before: f64,
    /// The same of what is lost lately.
    pub loss_now: f64,
}

/// What is open, by family: what was asked for of the version that the newest request is about.
pub fn open_requests(asked: impl IntoIterator<Item = RetrainingRequest>) -> Vec<OpenRequest> {
    let mut families: BTreeMap<TrainedFamily, Vec<RetrainingRequest>> = BTreeMap::new();
    asked.into_iter().for_each(|request| families.entry(request.family.clone()).or_default().push(request));
    families.into_iter().filter_map(|(family, asked)| open_request(family, asked)).collect()
}

fn open_request(family: TrainedFamily, asked: Vec<RetrainingRequest>) -> Option<OpenRequest> {
    let newest = asked.iter().max_by_key(|request| (request.to, Arc::clone(&request.model_version)))?;
    let model_version = Arc::clone(&newest.model_version);
    let of_version = asked.into_iter().filter(|request| request.model_version == model_version);
    // Of a series that asked more than once its last word counts.
    let mut series: BTreeMap<(WorkloadId, KpiName), RetrainingRequest> = BTreeMap::new();
    for request in of_version {
        let key = (request.workload.clone(), request.resource.clone());
        if series.get(&key).is_none_or(|known| known.to < request.to) {
            series.insert(key, request);
        }
    }
    let all = || series.values();
    let mean = |of: fn(&RetrainingRequest) -> f64| all().map(of).sum::<f64>() / series.len() as f64;
    let mut worst: BTreeMap<&WorkloadId, f64> = BTreeMap::new();
    for request in all() {
        let times = worst.entry(&request.workload).or_insert(0.0);
        *times = times.max(request.loss_now / request.loss_before.max(f64::MIN_POSITIVE));
    }
    let mut worst: Vec<(&WorkloadId, f64)> = worst.into_iter().collect();
    worst.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    Some(OpenRequest {
        family,
        model_version,
        from: all().map(|request| request.from).min()?,
        to: all().map(|request| request.to).max()?,
        workloads: worst.iter().take(WORKLOADS_NAMED_MAX).map(|(workload, _)| (*workload).clone()).collect(),
        more: worst.len().saturating_sub(WORKLOADS_NAMED_MAX),
        resources: all().map(|request| request.resource.clone()).collect(),
        loss_before: mean(|request| request.loss_before),
        loss_now: mean(|request| request.loss_now),
    })
}
