//! The last bins of one workload, and the alarm that they raise.

use super::Severity;
use super::evidence::Evidence;
use super::rules::{AlarmRules, BIN_S};
use crate::anomaly::P_VALUE_MIN;
use crate::kpi::KpiName;
use crate::time::EventTime;
use bitcode::{Decode, Encode};

/// A raised alarm is forgotten over so many bins: three days.
const FORGOTTEN_BINS: f64 = 3.0 * 288.0;

/// An alarm is told again once its p-value has fallen to this part of what was told.
const WORSE_RATIO: f64 = 0.1;

/// And once so many bins have passed, an hour: so one hears that it lasts, and that time goes on.
pub(super) const TOLD_AGAIN_BINS: i64 = 12;

/// So many p-values are combined at most where the least one is to raise an alarm by itself.
const COMBINED_MAX: f64 = 10.0;

/// What is known of a workload at an instant.
#[derive(Clone, Debug)]
pub(super) struct Seen<'a> {
    pub(super) at: EventTime,
    /// Bins from one of its instants to the next, at least 1: a workload that is looked at each hour has a bin in twelve.
    pub(super) step_bins: i64,
    /// `None` where there is no score, as of a young workload.
    pub(super) p_value: Option<f64>,
    pub(super) blamed: &'a [KpiName],
    pub(super) severity: Severity,
}

/// The last bins of one workload.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct Watch {
    /// The newest bin.
    bin: i64,
    /// Whether a bin was unusual: the newest in the lowest bit.
    unusual: u32,
    /// Whether one counts among those that raise an alarm, likewise.
    raising: u32,
    /// Least p-value of the newest bin.
    newest_p_value: Option<f64>,
    evidence: Evidence,
    /// Alarms that were raised lately.
    raised: f32,
    open: Option<Box<Open>>,
}

/// An alarm that lasts.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) struct Open {
    pub(super) started_at: EventTime,
    /// The last bin that was unusual.
    last_unusual: i64,
    pub(super) p_value: f64,
    pub(super) severity: Severity,
    pub(super) blamed: Vec<KpiName>,
    pub(super) unusual_bins: u32,
    /// The p-value that was told last.
    told_p_value: f64,
    told_severity: Severity,
    /// When.
    told_bin: i64,
}

/// What is to be told of an alarm.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    pub(super) alarm: Open,
    pub(super) ended_at: Option<EventTime>,
    pub(super) watched_bins: u32,
}

impl Watch {
    /// Takes in what is known at an instant that is later than those before. What is to be told of it, if anything.
    pub(super) fn take(&mut self, rules: &AlarmRules, seen: &Seen<'_>) -> Option<Told> {
        let bin = seen.at.bin(BIN_S);
        self.go_to(rules, bin, seen.step_bins);
        let is_unusual = seen.p_value.is_some_and(|p| p <= rules.p_value_max);
        if let Some(p) = seen.p_value {
            self.raising |= u32::from(p <= rules.raise_p_value_max * self.bar(rules));
            let before = self.newest_p_value;
            let least = before.map_or(p, |least| least.min(p));
            if self.open.is_none() {
                self.evidence.take(bin, least, before, rules.correlated_bins);
            }
            self.newest_p_value = Some(least);
        }
        let was_unusual = self.unusual & 1 == 1;
        self.unusual |= u32::from(is_unusual);
        if self.open.is_some() {
            return self.go_on(rules, seen, is_unusual, is_unusual && !was_unusual);
        }
        let first_bin = if is_unusual { self.raised_from(rules, seen.step_bins) } else { None };
        first_bin.map(|first_bin| self.raise(seen, first_bin))
    }

    /// Moves to a bin; those that are skipped were not unusual, but for those between its steps.
    fn go_to(&mut self, rules: &AlarmRules, bin: i64, step_bins: i64) {
        if bin <= self.bin {
            return;
        }
        let bins = u32::try_from(((bin - self.bin) / step_bins).max(1)).unwrap_or(u32::MAX);
        self.unusual = self.unusual.checked_shl(bins).unwrap_or(0);
        self.raising = self.raising.checked_shl(bins).unwrap_or(0);
        self.evidence.pass(bin, bins - 1, rules.correlated_bins);
        let forgotten = libm::exp(-((bin - self.bin) as f64) / FORGOTTEN_BINS);
        self.raised = (f64::from(self.raised) * forgotten) as f32;
        (self.bin, self.newest_p_value) = (bin, None);
    }

    /// What lies behind counts against what comes: p-values have to be lower by this factor.
    fn bar(&self, rules: &AlarmRules) -> f64 {
        libm::pow(rules.again_ratio, self.raised.into())
    }

    /// The first bin of what raises an alarm; `None` where nothing does. No p-value is less than [`P_VALUE_MIN`], nor than
    /// a few times that where several are combined, so that such a one raises it however often there were others.
    fn raised_from(&self, rules: &AlarmRules, step_bins: i64) -> Option<i64> {
        let bar = self.bar(rules);
        let is_lone =
            self.newest_p_value.is_some_and(|p| p <= (rules.lone_p_value_max * bar).max(COMBINED_MAX * P_VALUE_MIN));
        let is_lone = is_lone && rules.lone_p_value_max > 0.0;
        let raising = (self.raising & watched(rules.of_bins)).count_ones();
        if is_lone || raising >= rules.raise_bins {
            let unusual = self.unusual & watched(rules.of_bins);
            let oldest = i64::from(u32::BITS - 1 - unusual.leading_zeros().min(u32::BITS - 1));
            return Some(self.bin - oldest * step_bins);
        }
        let evidence_min = rules.evidence_min - libm::log(bar);
        let has_evidence = rules.evidence_min > 0.0 && self.evidence.sum() >= evidence_min;
        has_evidence.then(|| self.evidence.since_bin())
    }

    fn raise(&mut self, seen: &Seen<'_>, first_bin: i64) -> Told {
        let watched_bins = u32::try_from((self.bin - first_bin) / seen.step_bins + 1).unwrap_or(u32::MAX);
        let p_value = seen.p_value.unwrap_or(1.0);
        let alarm = Open {
            started_at: EventTime::of_bin(first_bin, BIN_S).min(seen.at),
            last_unusual: self.bin,
            p_value,
            severity: seen.severity,
            blamed: seen.blamed.to_vec(),
            unusual_bins: (self.unusual & watched(watched_bins)).count_ones(),
            told_p_value: p_value,
            told_severity: seen.severity,
            told_bin: self.bin,
        };
        self.open = Some(Box::new(alarm.clone()));
        self.evidence = Evidence::default();
        self.raised += 1.0;
        Told { alarm, ended_at: None, watched_bins }
    }

    fn go_on(&mut self, rules: &AlarmRules, seen: &Seen<'_>, is_unusual: bool, is_new_bin: bool) -> Option<Told> {
        let mut open = self.open.take()?;
        let watched_bins = u32::try_from(self.bin - open.started_at.bin(BIN_S) + 1).unwrap_or(u32::MAX);
        if is_unusual {
            open.last_unusual = self.bin;
            open.unusual_bins = open.unusual_bins.saturating_add(u32::from(is_new_bin));
            if let Some(p) = seen.p_value.filter(|p| *p < open.p_value) {
                open.p_value = p;
                open.blamed = seen.blamed.to_vec();
            }
            open.severity = open.severity.max(seen.severity);
        } else if self.bin - open.last_unusual >= i64::from(rules.end_bins) * seen.step_bins {
            let ended_at = EventTime::of_bin(open.last_unusual + 1, BIN_S);
            // The next alarm is another one, and does not begin in this one.
            (self.unusual, self.raising) = (0, 0);
            return Some(Told { alarm: *open, ended_at: Some(ended_at), watched_bins });
        }
        let is_worse = open.p_value <= WORSE_RATIO * open.told_p_value || open.severity > open.told_severity;
        let is_due = is_worse || self.bin - open.told_bin >= TOLD_AGAIN_BINS;
        if is_due {
            (open.told_p_value, open.told_severity, open.told_bin) = (open.p_value, open.severity, self.bin);
        }
        let told = is_due.then(|| Told { alarm: (*open).clone(), ended_at: None, watched_bins });
        self.open = Some(open);
        told
    }

    /// The alarm that lasts, ended at its last unusual bin: of a workload that nobody hears from any more.
    pub(super) fn abandon(&mut self) -> Option<Told> {
        let open = self.open.take()?;
        let ended_at = EventTime::of_bin(open.last_unusual + 1, BIN_S);
        let watched_bins = u32::try_from(self.bin - open.started_at.bin(BIN_S) + 1).unwrap_or(u32::MAX);
        Some(Told { alarm: *open, ended_at: Some(ended_at), watched_bins })
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| size_of::<Open>() + open.blamed.capacity() * size_of::<KpiName>())
    }
}

/// The lowest so many bits.
fn watched(bins: u32) -> u32 {
    u32::MAX.checked_shr(u32::BITS - bins.clamp(1, u32::BITS)).unwrap_or(u32::MAX)
}
