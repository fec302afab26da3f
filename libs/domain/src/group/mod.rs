//! Forecasts of groups of workloads: the sums of their members', so that a group and its members agree.
//!
//! Members lie in several partitions. Each partition sums up its own ([`members`]) into one part a bin; the
//! parts are joined ([`join`]), and their sum is calibrated by what the group then needed ([`series`]). A
//! group's median is the sum of its members' medians, until the group's own misses say otherwise. How far its other
//! quantiles are from it depends on whether the members miss together ([`sum`]).
//!
//! Nothing here knows which workloads make up a group.

pub mod join;
pub mod members;
pub mod series;
pub mod sum;

use crate::kpi::KpiName;
use crate::prediction::ResourceForecast;
use crate::time::EventTime;
use crate::workload::{WorkloadId, WorkloadIdError};
use bitcode::{Decode, Encode};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use sum::{QuantileSum, Rise};

/// A member that is silent counts with its last forecast for so many bins, and then no more.
pub const CARRIED_BINS_MAX: i64 = 3;

/// Name of a group. It is the key of what is said of the group, so what makes a workload's id makes one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct GroupName(WorkloadId);

impl GroupName {
    /// Checks and wraps a name.
    ///
    /// # Errors
    /// As [`WorkloadId::new`].
    pub fn new(text: &str) -> Result<Self, WorkloadIdError> {
        WorkloadId::new(text).map(Self)
    }

    /// As the key of the group's records.
    pub fn key(&self) -> &WorkloadId {
        &self.0
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A record of topic `group-parts`: what the members of a group that lie in one partition add up to.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct GroupPart {
    /// Name of the group.
    pub group: GroupName,
    /// Partition of the members.
    pub partition: u32,
    /// Instant of the newest forecast in it. Its bin is what the part is as of.
    pub made_at: EventTime,
    /// How many members it is of.
    pub members: MemberCount,
    /// By resource; none where there is no member left.
    pub resources: BTreeMap<KpiName, ResourceSum>,
}

/// How many members a sum is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct MemberCount {
    /// Members with a forecast as of the bin.
    pub reported: u32,
    /// Members that are silent, with their last one.
    pub carried: u32,
}

impl MemberCount {
    /// All.
    pub fn known(self) -> u32 {
        self.reported.saturating_add(self.carried)
    }

    fn add(&mut self, other: Self) {
        self.reported = self.reported.saturating_add(other.reported);
        self.carried = self.carried.saturating_add(other.carried);
    }
}

/// The sum over members that have the resource.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct ResourceSum {
    /// Unit of all values.
    pub unit: Arc<str>,
    /// Demand, as their newest forecasts have it.
    pub last: f64,
    /// Mean demand of the bin before, of those that had been there.
    pub closed: Option<f64>,
    /// By horizon in seconds.
    pub horizons: BTreeMap<u32, HorizonSum>,
}

/// The sum of forecasts of one horizon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub struct HorizonSum {
    /// How many.
    pub forecasts: u32,
    /// Of the demand at the horizon.
    pub value: QuantileSum,
    /// Of the maximum up to it.
    pub maximum: QuantileSum,
    /// By how much the medians of the maxima are above those of the values.
    pub rise: Rise,
}

impl ResourceSum {
    fn add(&mut self, other: &Self) {
        self.last += other.last;
        self.closed = match (self.closed, other.closed) {
            (Some(a), Some(b)) => Some(a + b),
            (one, other) => one.or(other),
        };
        for (horizon_s, sum) in &other.horizons {
            self.horizons.entry(*horizon_s).or_default().add(sum);
        }
    }
}

impl HorizonSum {
    fn add(&mut self, other: &Self) {
        self.forecasts = self.forecasts.saturating_add(other.forecasts);
        self.value.add(&other.value);
        self.maximum.add(&other.maximum);
        self.rise.add(other.rise);
    }
}

/// A record of topic `group-predictions`.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupPrediction {
    /// Name of the group.
    pub group: GroupName,
    /// Instant of the newest forecast in it: no later sample went into it.
    pub made_at: EventTime,
    /// How many members it is of.
    pub members: MemberCount,
    /// Resources, by name ascending; at least one.
    pub resources: Vec<ResourceForecast>,
}
