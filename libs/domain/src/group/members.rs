//! The members of one group in one partition, and what they add up to.
//!
//! What a member demanded in a bin is the mean of all that was measured in it, between its predictions too.
//!
//! A part is told of a bin once: when all members that had reported in the bin before have reported in it, or
//! else with the first record of a later bin. While nobody had reported in the bin before, as when a group
//! begins, there is nobody to wait for, and the part comes at the end of the bin.

use super::sum::{QuantileSum, Rise};
use super::{CARRIED_BINS_MAX, GroupName, GroupPart, HorizonSum, MemberCount, ResourceSum};
use crate::forecast::GRID_STEP_S;
use crate::kpi::KpiName;
use crate::prediction::{Moment, Prediction, ResourceForecast};
use crate::quantiles::Quantiles;
use crate::source::SourceName;
use crate::time::EventTime;
use crate::workload::WorkloadId;
use bitcode::{Decode, Encode};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Members by workload, and the bin that is open.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Members {
    open: Option<Open>,
    members: BTreeMap<WorkloadId, Member>,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Open {
    bin: i64,
    newest_at: EventTime,
    /// Source of the newest record.
    source: SourceName,
    is_told: bool,
    /// Members that have reported in the bin before and not in this one.
    awaited: u32,
    /// Members that have reported in the bin before and in this one.
    arrived: u32,
}

/// What a member is to a bin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It has reported in the bin before and in none since.
    Awaited,
    /// It has reported in the bin before and since.
    Arrived,
    /// It had not reported in the bin before.
    Other,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Member {
    /// The newest instant that was heard of: that of its prediction.
    made_at: EventTime,
    /// The bin before its newest one that something was measured in.
    bin_before: Option<i64>,
    resources: BTreeMap<KpiName, MemberResource>,
}

/// What is known of one resource of a member.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct MemberResource {
    unit: Arc<str>,
    last: Option<f64>,
    /// Sum and count of the samples in the member's newest bin.
    open: (f64, u32),
    /// Mean of the newest bin before that.
    closed: Option<f64>,
    /// Horizon in seconds, value and maximum.
    horizons: Vec<(u32, Quantiles, Quantiles)>,
}

impl Members {
    /// Takes a member's prediction in. Gives the parts that follow, oldest first: at most that of the bin
    /// before and that of its own.
    pub fn take(&mut self, group: &GroupName, partition: u32, prediction: &Prediction) -> Vec<GroupPart> {
        let (bin, at) = (bin_of(prediction.made_at), prediction.made_at);
        let mut parts = Vec::new();
        if self.open.as_ref().is_none_or(|open| bin > open.bin) {
            parts.extend(self.tell(group, partition));
            self.open = Some(Open::new(bin, prediction, self.members.values()));
        }
        let Some(open) = &mut self.open else { return parts };
        match self.members.get_mut(&prediction.workload) {
            Some(member) if member.made_at < at => {
                let before = member.standing(open.bin);
                member.take(prediction);
                open.recount(before, member.standing(open.bin));
            }
            Some(_) => {}
            None => {
                let member = Member::of(prediction);
                open.recount(Standing::Other, member.standing(open.bin));
                self.members.insert(prediction.workload.clone(), member);
            }
        }
        if bin == open.bin {
            (open.newest_at, open.source) = (open.newest_at.max(at), prediction.source.clone());
        }
        if self.is_complete() {
            parts.extend(self.tell(group, partition));
        }
        parts
    }

    /// Hears that `source` has come to `at`. If the members were of it and are silent for too long, their
    /// group has none here any more: gives the part that says so, after which this is to be dropped.
    pub fn hear(
        &mut self,
        group: &GroupName,
        partition: u32,
        source: &SourceName,
        at: EventTime,
    ) -> Option<Vec<GroupPart>> {
        let open = self.open.as_ref().filter(|open| open.source == *source)?;
        let over = open.bin + 1 + CARRIED_BINS_MAX;
        (bin_of(at) >= over).then(|| {
            let left = GroupPart {
                group: group.clone(),
                partition,
                made_at: EventTime::of_bin(over, GRID_STEP_S),
                members: MemberCount::default(),
                resources: BTreeMap::new(),
            };
            self.tell(group, partition).into_iter().chain([left]).collect()
        })
    }

    fn is_complete(&self) -> bool {
        self.open.as_ref().is_some_and(|open| !open.is_told && open.awaited == 0 && open.arrived > 0)
    }

    /// The part of the open bin, if it is not told yet.
    fn tell(&mut self, group: &GroupName, partition: u32) -> Option<GroupPart> {
        let open = self.open.as_mut().filter(|open| !open.is_told)?;
        open.is_told = true;
        let bin = open.bin;
        self.members.retain(|_, member| bin_of(member.made_at) >= bin - CARRIED_BINS_MAX);
        let mut part = GroupPart {
            group: group.clone(),
            partition,
            made_at: open.newest_at,
            members: MemberCount::default(),
            resources: BTreeMap::new(),
        };
        for member in self.members.values() {
            let has_reported = bin_of(member.made_at) == bin;
            part.members.add(MemberCount { reported: has_reported.into(), carried: (!has_reported).into() });
            for (name, resource) in &member.resources {
                resource.add_to(&mut part, name, has_reported);
            }
        }
        Some(part)
    }
}

impl Open {
    /// A bin that begins with a prediction of it, later than all that the members have reported.
    fn new<'a>(bin: i64, first: &Prediction, members: impl Iterator<Item = &'a Member>) -> Self {
        let (newest_at, source) = (first.made_at, first.source.clone());
        let mut open = Self { bin, newest_at, source, is_told: false, awaited: 0, arrived: 0 };
        members.for_each(|member| open.recount(Standing::Other, member.standing(bin)));
        open
    }

    /// Counts a member no more as what it was, but as what it is.
    fn recount(&mut self, was: Standing, is: Standing) {
        match was {
            Standing::Awaited => self.awaited -= 1,
            Standing::Arrived => self.arrived -= 1,
            Standing::Other => {}
        }
        match is {
            Standing::Awaited => self.awaited += 1,
            Standing::Arrived => self.arrived += 1,
            Standing::Other => {}
        }
    }
}

impl Member {
    /// What it is to a bin.
    fn standing(&self, bin: i64) -> Standing {
        if bin_of(self.made_at) == bin - 1 {
            Standing::Awaited
        } else if self.bin_before == Some(bin - 1) {
            Standing::Arrived
        } else {
            Standing::Other
        }
    }

    fn of(prediction: &Prediction) -> Self {
        let begins_at = prediction.moments().next().map_or(prediction.made_at, |first| first.at());
        let mut member = Self { made_at: begins_at, bin_before: None, resources: BTreeMap::new() };
        prediction.moments().for_each(|moment| member.hear(&moment));
        member.foresee(prediction);
        member
    }

    fn take(&mut self, prediction: &Prediction) {
        for moment in prediction.moments() {
            if moment.at() > self.made_at {
                self.hear(&moment);
            }
        }
        self.foresee(prediction);
    }

    /// Takes in what was measured at an instant, not before the newest.
    fn hear(&mut self, moment: &Moment<'_>) {
        let bin = bin_of(self.made_at);
        if bin_of(moment.at()) > bin {
            self.bin_before = Some(bin);
            self.resources.values_mut().for_each(MemberResource::close);
        }
        self.made_at = moment.at();
        for (forecast, demand) in moment.demands() {
            let known = self.resources.entry(forecast.resource.clone());
            known.or_insert_with(|| MemberResource::of(forecast)).add(demand);
        }
    }

    /// Takes the forecasts in of a prediction that was heard.
    fn foresee(&mut self, prediction: &Prediction) {
        let is_there = |name: &KpiName| prediction.resources.iter().any(|forecast| forecast.resource == *name);
        self.resources.retain(|name, _| is_there(name));
        for forecast in &prediction.resources {
            if let Some(known) = self.resources.get_mut(&forecast.resource) {
                known.unit = Arc::clone(&forecast.unit);
                known.horizons = forecast.horizons.iter().map(|h| (h.horizon_s, h.value, h.maximum)).collect();
            }
        }
    }
}

impl MemberResource {
    /// Of which nothing was measured yet.
    fn of(forecast: &ResourceForecast) -> Self {
        Self { unit: Arc::clone(&forecast.unit), last: None, open: (0.0, 0), closed: None, horizons: Vec::new() }
    }

    /// Closes its newest bin.
    fn close(&mut self) {
        self.closed = self.open_mean().or(self.closed);
        self.open = (0.0, 0);
    }

    /// Adds what was demanded at an instant of the newest bin.
    fn add(&mut self, demand: Option<f64>) {
        let Some(demand) = demand else { return };
        self.last = Some(demand);
        self.open = (self.open.0 + demand, self.open.1 + 1);
    }

    fn open_mean(&self) -> Option<f64> {
        (self.open.1 > 0).then(|| self.open.0 / f64::from(self.open.1))
    }

    fn add_to(&self, part: &mut GroupPart, name: &KpiName, has_reported: bool) {
        let Some(last) = self.last else { return };
        let closed = if has_reported { self.closed } else { self.open_mean().or(self.closed) };
        let term = |(horizon_s, value, maximum): &(u32, Quantiles, Quantiles)| {
            let rise = Rise::of(maximum.median() - value.median());
            let (value, maximum) = (QuantileSum::of(value), QuantileSum::of(maximum));
            (*horizon_s, HorizonSum { forecasts: 1, value, maximum, rise })
        };
        let term = ResourceSum {
            unit: Arc::clone(&self.unit),
            last,
            closed,
            horizons: self.horizons.iter().map(term).collect(),
        };
        match part.resources.get_mut(name) {
            // What is measured otherwise cannot be added.
            Some(sum) if sum.unit != term.unit => {}
            Some(sum) => sum.add(&term),
            None => {
                part.resources.insert(name.clone(), term);
            }
        }
    }
}

pub(super) fn bin_of(at: EventTime) -> i64 {
    at.bin(GRID_STEP_S)
}

#[cfg(test)]
mod tests;
