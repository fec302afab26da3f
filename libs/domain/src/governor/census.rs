//! How many workloads a fleet has and how many of them are there, from the views of its partitions, and
//! which partitions a bin waits for.
//!
//! Who counts in a bin follows from views that lie up to a patience before it, never from what came later
//! in the log: so it is the same however the partitions interleave, as long as none is behind by more.

use super::View;
use crate::forecast::GRID_STEP_S;
use bitcode::{Decode, Encode};
use std::collections::BTreeMap;

/// A step longer than this, in seconds, prolongs no patience.
const STEP_S_MAX: u32 = 3600;
/// Bins that a fleet stays closed for scale-ins at most once it was gone: a day.
const GONE_BINS_MAX: i64 = 86_400 / GRID_STEP_S as i64;

/// What is known of one partition of a fleet.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Part {
    /// The first bin ever.
    first: i64,
    /// The first bin after its last long silence.
    since: i64,
    newest: i64,
    /// By bin: those of open bins, and the newest before them.
    views: BTreeMap<i64, View>,
}

/// The partitions of one fleet.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct Census {
    parts: BTreeMap<u32, Part>,
    /// The first bin of any.
    first: Option<i64>,
    step_s: u32,
    /// Since most of it went: the bin, and how many were known then.
    gone: Option<(i64, u32)>,
}

/// A fleet as of one bin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) known: u32,
    pub(super) present: u32,
    pub(super) lost_kpi: u32,
    /// How many were known when most of it went, while it has not come back.
    pub(super) known_before_gone: Option<u32>,
}

impl Census {
    /// Whether a view is not newer than the last one of its partition.
    pub(super) fn has(&self, view: &View) -> bool {
        self.parts.get(&view.partition).is_some_and(|part| view.at.bin(GRID_STEP_S) <= part.newest)
    }

    /// Takes a new view in. Gives the bin that what was proposed before it belongs to.
    pub(super) fn take(&mut self, view: &View, patience_s: u32) -> i64 {
        let bin = view.at.bin(GRID_STEP_S);
        self.step_s = self.step_s.max(view.step_s.min(STEP_S_MAX));
        let patience = self.patience_bins(patience_s);
        self.first = Some(self.first.map_or(bin, |first| first.min(bin)));
        let new = || Part { first: bin, since: bin, newest: bin - 1, views: BTreeMap::new() };
        let part = self.parts.entry(view.partition).or_insert_with(new);
        if bin > part.newest + 1 + patience {
            part.since = bin;
        }
        part.newest = bin;
        part.views.insert(bin, *view);
        let since = part.since;
        if self.counts(since, bin, patience) { bin } else { bin + patience }
    }

    /// The patience in bins; a fleet of a long sampling step has a longer one.
    pub(super) fn patience_bins(&self, patience_s: u32) -> i64 {
        i64::from(patience_s.max(3 * self.step_s).div_ceil(GRID_STEP_S))
    }

    /// The newest bin of any partition.
    pub(super) fn newest(&self) -> Option<i64> {
        self.parts.values().map(|part| part.newest).max()
    }

    /// The oldest bin after `over` that a partition has a view of.
    pub(super) fn next_after(&self, over: Option<i64>) -> Option<i64> {
        let next = |part: &Part| match over {
            Some(over) => part.views.range(over + 1..).next().map(|(bin, _)| *bin),
            None => part.views.keys().next().copied(),
        };
        self.parts.values().filter_map(next).min()
    }

    /// Whether a partition that was first heard of in `since` counts in `bin`: at once while the fleet is new,
    /// when everything waits for who may still come, and after a patience later on.
    fn counts(&self, since: i64, bin: i64, patience: i64) -> bool {
        let is_first = self.first.is_some_and(|first| since <= first + patience);
        since <= bin && (is_first || since + patience <= bin)
    }

    /// If `bin` is over, in a topic of so many partitions: the bin that it took until then. It is over when everyone
    /// whom it waits for has come past it, or when the newest is beyond it by more than the patience. While a fleet
    /// is new it waits for every partition: who belongs to it is not known yet.
    pub(super) fn closing(&self, bin: i64, patience_s: u32, partitions: u32) -> Option<i64> {
        let (patience, newest) = (self.patience_bins(patience_s), self.newest()?);
        let heard_of = self.parts.values().filter(|part| part.first <= bin).count();
        let is_new = self.first.is_none_or(|first| bin <= first + patience);
        let is_unsure = is_new && (heard_of as u64) < u64::from(partitions);
        let is_awaited =
            |part: &Part| part.newest < bin && part.newest + patience >= bin && self.counts(part.since, bin, patience);
        if !is_unsure && !self.parts.values().any(is_awaited) {
            return Some(bin);
        }
        (newest > bin + patience).then_some(bin + patience + 1)
    }

    /// The fleet as of a bin that is over.
    pub(super) fn close(&mut self, bin: i64, gone_share_max: f64, patience_s: u32) -> Count {
        let patience = self.patience_bins(patience_s);
        let mut count = Count::default();
        for part in self.parts.values().filter(|part| self.counts(part.first, bin, patience)) {
            let is_back = self.counts(part.since, bin, patience);
            // One that was silent is judged by what it had before, until it has been back for a patience.
            let until = if is_back { bin } else { part.since - 1 };
            let Some((at, view)) = part.views.range(..=until).next_back() else { continue };
            count.known += view.known;
            if is_back && part.newest >= bin && *at + patience >= bin {
                count.present += view.present;
                count.lost_kpi += view.lost_kpi;
            }
        }
        self.note_gone(bin, gone_share_max, &count);
        count.known_before_gone = self.gone.map(|(_, known)| known);
        for part in self.parts.values_mut() {
            let needed = if part.since + patience > bin { bin.min(part.since - 1) } else { bin };
            let keep = part.views.range(..=needed).next_back().map_or(needed, |(at, _)| *at);
            part.views.retain(|at, _| *at >= keep);
        }
        self.parts.retain(|_, part| part.newest + GONE_BINS_MAX > bin);
        count
    }

    /// A fleet that went stays gone until it is back, or for a day: who is not known any more would otherwise
    /// be missed by nobody.
    fn note_gone(&mut self, bin: i64, gone_share_max: f64, count: &Count) {
        let is_gone = |known: u32| is_share(known.saturating_sub(count.present), known, gone_share_max);
        match self.gone {
            Some((since, known)) if is_gone(known) && bin - since < GONE_BINS_MAX => {}
            _ if is_gone(count.known) => self.gone = Some((bin, count.known)),
            _ => self.gone = None,
        }
    }
}

/// Whether so many of so many are at least that share.
fn is_share(part: u32, of: u32, share: f64) -> bool {
    of > 0 && f64::from(part) >= share * f64::from(of)
}
