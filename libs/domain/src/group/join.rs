//! One group's parts of all partitions, joined bin by bin.
//!
//! Which partitions a bin waits for follows from what lies a patience before it. So the forecasts are the
//! same however the partitions' parts interleave, as long as none falls behind by more than that; and members in a
//! partition that had none before count after that time.

use super::members::bin_of;
use super::series::GroupSeries;
use super::{CARRIED_BINS_MAX, GroupPart, GroupPrediction, MemberCount, ResourceSum};
use crate::kpi::KpiName;
use crate::time::EventTime;
use bitcode::{Decode, Encode};
use std::collections::BTreeMap;

/// What became of a part.
#[derive(Clone, Debug, PartialEq)]
pub enum Joined {
    /// It was taken in; these follow from it, oldest first.
    Made(Vec<GroupPrediction>),
    /// Its bin was over.
    Late,
}

/// The bins from which on and up to which a partition was heard of without a long pause.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct Standing {
    since: i64,
    until: i64,
}

/// What is remembered of one group.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Join {
    /// The newest bin that is over.
    over: Option<i64>,
    /// By partition its newest part of those bins.
    known: BTreeMap<u32, GroupPart>,
    /// By partition.
    standing: BTreeMap<u32, Standing>,
    /// By bin and partition.
    waiting: BTreeMap<i64, BTreeMap<u32, GroupPart>>,
    series: BTreeMap<KpiName, GroupSeries>,
}

impl Join {
    /// Takes a part in. Those of one partition must come in the order of their bins. A bin waits for a partition
    /// that is behind by no more than `patience_bins`; for as long after that has changed, forecasts may depend on how
    /// parts interleave.
    pub fn take(&mut self, part: GroupPart, patience_bins: i64) -> Joined {
        let bin = bin_of(part.made_at);
        let standing = self.standing.entry(part.partition).or_insert(Standing { since: bin, until: bin });
        if bin > standing.until + patience_bins {
            standing.since = bin;
        }
        standing.until = standing.until.max(bin);
        if self.over.is_some_and(|over| bin <= over) {
            self.know(part);
            return Joined::Late;
        }
        self.waiting.entry(bin).or_default().insert(part.partition, part);
        let mut made = Vec::new();
        while self.is_first_complete(patience_bins)
            && let Some((bin, parts)) = self.waiting.pop_first()
        {
            made.extend(self.close(bin, parts, patience_bins));
        }
        Joined::Made(made)
    }

    /// Newest instant that it has heard of.
    pub fn newest_at(&self) -> Option<EventTime> {
        let waiting = self.waiting.values().flat_map(BTreeMap::values);
        waiting.chain(self.known.values()).map(|part| part.made_at).max()
    }

    /// Whether the oldest bin that waits has all that it waits for.
    fn is_first_complete(&self, patience_bins: i64) -> bool {
        let Some((bin, parts)) = self.waiting.first_key_value() else { return false };
        let newest = self.waiting.last_key_value().map_or(*bin, |(newest, _)| *newest);
        let is_past = |partition: u32| {
            parts.contains_key(&partition) || self.waiting.values().any(|later| later.contains_key(&partition))
        };
        newest > bin + patience_bins || self.expected(*bin, patience_bins).all(is_past)
    }

    /// The partitions that `bin` waits for.
    fn expected(&self, bin: i64, patience_bins: i64) -> impl Iterator<Item = u32> {
        let is_live = move |part: &GroupPart| part.members.known() > 0 && bin_of(part.made_at) >= bin - patience_bins;
        let is_long_known = move |partition: &u32| {
            self.standing.get(partition).is_some_and(|standing| standing.since <= bin - patience_bins)
        };
        let live = self.known.iter().filter(move |(_, part)| is_live(part)).map(|(partition, _)| *partition);
        live.filter(is_long_known)
    }

    fn know(&mut self, part: GroupPart) {
        let known = self.known.get(&part.partition);
        if known.is_none_or(|known| known.made_at < part.made_at) {
            self.known.insert(part.partition, part);
        }
    }

    /// Ends a bin: the sum over the partitions that it waited for.
    fn close(&mut self, bin: i64, parts: BTreeMap<u32, GroupPart>, patience_bins: i64) -> Option<GroupPrediction> {
        let expected: Vec<u32> = self.expected(bin, patience_bins).collect();
        for part in parts.values().cloned() {
            self.know(part);
        }
        self.over = Some(bin);
        let mut members = MemberCount::default();
        let mut sums: BTreeMap<KpiName, ResourceSum> = BTreeMap::new();
        let (mut group, mut made_at) = (None, None);
        let counts = |part: &&GroupPart| bin_of(part.made_at) >= bin - CARRIED_BINS_MAX;
        for part in expected.iter().filter_map(|partition| self.known.get(partition)).filter(counts) {
            let is_of_bin = bin_of(part.made_at) == bin;
            let carried = MemberCount { reported: 0, carried: part.members.known() };
            members.add(if is_of_bin { part.members } else { carried });
            made_at = made_at.max(is_of_bin.then_some(part.made_at));
            group = Some(part.group.clone());
            for (name, sum) in &part.resources {
                match sums.get_mut(name) {
                    Some(known) if known.unit != sum.unit => {}
                    Some(known) => known.add(sum),
                    None => {
                        sums.insert(name.clone(), sum.clone());
                    }
                }
            }
        }
        self.known.retain(|_, part| part.members.known() > 0 && bin_of(part.made_at) > bin - patience_bins);
        self.standing.retain(|_, standing| standing.until > bin - patience_bins);
        self.series.retain(|name, _| sums.contains_key(name));
        let series = &mut self.series;
        let resources: Vec<_> =
            sums.iter().filter_map(|(n, sum)| series.entry(n.clone()).or_default().forecast(bin, n, sum)).collect();
        let made = GroupPrediction { group: group?, made_at: made_at?, members, resources };
        (!made.resources.is_empty()).then_some(made)
    }
}

#[cfg(test)]
mod tests;
