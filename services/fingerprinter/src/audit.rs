//! What must follow from samples, by the log alone: each has its fingerprint, or is a part of one that has it, but for
//! those that bring nothing to what was there, and those that wait for the watermark: behind a gap, or for a part.

use prescale_chassis::audit::{Audit, Judged, NO_OUTPUT, NOT_UNDERSTOOD, Place, Read, WAITING};
use prescale_domain::kpi::{Kpi, KpiName};
use prescale_domain::sample::Sample;
use prescale_domain::time::EventTime;
use std::collections::{BTreeMap, HashMap};

/// Reason of samples of an instant of which there was one, with all that they have.
const DUPLICATE: &str = "duplicate";
/// Reason of parts of a sample whose fingerprint follows from another part.
const MERGED: &str = "merged";
/// Newest bins of a workload of which it is known what they have: the stage takes no part of an older one.
const KNOWN_BINS_MAX: usize = 128;

/// The samples of all workloads.
#[derive(Default)]
struct Samples {
    workloads: HashMap<Vec<u8>, Lane>,
    sets: KpiSets,
}

/// Sets of KPIs, each once, by number.
#[derive(Default)]
struct KpiSets {
    sets: Vec<Vec<KpiName>>,
    numbers: HashMap<Vec<KpiName>, usize>,
}

/// Those of one workload.
#[derive(Default)]
struct Lane {
    /// Instants of the fingerprints, in milliseconds.
    told_ms: Vec<i64>,
    /// The newest of them, with the step of its sample.
    newest: Option<(EventTime, u32)>,
    open: Vec<Unused>,
    /// By where they begin, in milliseconds, and their width: the KPIs that the parts of a bin come to.
    bins: BTreeMap<(i64, u32), usize>,
    /// The KPIs of what was rejected: the stage may wait for them.
    rejected: Option<usize>,
}

/// A sample that nothing has followed from.
struct Unused {
    place: Place,
    at: EventTime,
    step_s: u32,
    /// Whether its bin has something of it.
    is_part: bool,
}

/// Of the fingerprinter.
pub(crate) fn audit() -> Box<dyn Audit> {
    Box::<Samples>::default()
}

impl Audit for Samples {
    fn judge(&mut self, read: &Read<'_>) -> Judged {
        let sample: Option<Sample> = read.decode();
        if read.is_rejected {
            if let Some(lane) = self.workloads.get_mut(read.key())
                && let Some(Sample { kpis, .. }) = sample
            {
                lane.rejected = Some(self.sets.with(lane.rejected, &kpis));
            }
            return Judged::Ended;
        }
        let Some(sample) = sample else { return Judged::Wrong(NOT_UNDERSTOOD) };
        let Sample { at, step_s, .. } = sample;
        let lane = self.workloads.entry(read.key().to_vec()).or_default();
        let is_part = lane.take(&sample, &mut self.sets);
        if read.found.is_empty() {
            lane.open.push(Unused { place: read.place(), at, step_s, is_part });
            return Judged::Open;
        }
        lane.told_ms.push(at.as_ms());
        if lane.newest.is_none_or(|(newest, _)| newest < at) {
            lane.newest = Some((at, step_s));
        }
        Judged::Ended
    }

    fn close(&mut self) -> Vec<(Place, Judged)> {
        let lanes = std::mem::take(&mut self.workloads).into_values().filter(|lane| !lane.open.is_empty());
        lanes.flat_map(|lane| lane.close(&self.sets)).collect()
    }

    fn counted(&self) -> &[&'static str] {
        &[DUPLICATE, WAITING]
    }
}

impl KpiSets {
    /// The set that those of `set` and these make.
    fn with(&mut self, set: Option<usize>, kpis: &[Kpi]) -> usize {
        let mut names = set.map(|set| self.names(set).to_vec()).unwrap_or_default();
        names.extend(kpis.iter().map(|kpi| kpi.name.clone()));
        names.sort_unstable();
        names.dedup();
        if let Some(number) = self.numbers.get(&names) {
            return *number;
        }
        let number = self.sets.len();
        self.sets.push(names.clone());
        self.numbers.insert(names, number);
        number
    }

    fn names(&self, set: usize) -> &[KpiName] {
        self.sets.get(set).map(Vec::as_slice).unwrap_or_default()
    }

    fn covers(&self, set: usize, other: usize) -> bool {
        let names = self.names(set);
        set == other || self.names(other).iter().all(|name| names.binary_search(name).is_ok())
    }
}

impl Lane {
    /// Takes a sample in. Whether its bin has something of it.
    fn take(&mut self, sample: &Sample, sets: &mut KpiSets) -> bool {
        let place = bin_of(sample.at, sample.step_s);
        let known = self.bins.get(&place).copied();
        let is_full = self.bins.len() >= KNOWN_BINS_MAX;
        if known.is_none() && is_full && self.bins.first_key_value().is_some_and(|(oldest, _)| *oldest > place) {
            return false;
        }
        let kpis = sets.with(known, &sample.kpis);
        self.bins.insert(place, kpis);
        if self.bins.len() > KNOWN_BINS_MAX {
            self.bins.pop_first();
        }
        known != Some(kpis)
    }

    fn close(mut self, sets: &KpiSets) -> Vec<(Place, Judged)> {
        self.told_ms.sort_unstable();
        let open = std::mem::take(&mut self.open);
        open.into_iter().map(|unused| (unused.place, self.judged(&unused, sets))).collect()
    }

    fn judged(&self, unused: &Unused, sets: &KpiSets) -> Judged {
        let Unused { at, step_s, is_part, .. } = *unused;
        let (from_ms, step_s) = bin_of(at, step_s);
        let bin = at.bin(step_s);
        let to_ms = EventTime::of_bin(bin + 1, step_s).as_ms();
        let first = self.told_ms.partition_point(|ms| *ms < from_ms);
        if self.told_ms.get(first).is_some_and(|ms| *ms < to_ms) {
            return Judged::Without(if is_part { MERGED } else { DUPLICATE });
        }
        let is_due = self.newest.is_some_and(|(newest, of_step_s)| {
            let newest_bin = newest.bin(step_s);
            let is_next = bin == newest_bin + 1 && step_s == of_step_s;
            // What lacks a part may wait for it, or have it where the stage has not come to yet.
            let is_old = bin.saturating_add(KNOWN_BINS_MAX as i64) < newest_bin;
            is_old || (bin < newest_bin || is_next) && self.is_whole((from_ms, step_s), newest, sets)
        });
        if is_due { Judged::Wrong(NO_OUTPUT) } else { Judged::Without(WAITING) }
    }

    /// Whether a bin has all KPIs that those lately had whose fingerprints there are.
    fn is_whole(&self, place: (i64, u32), newest: EventTime, sets: &KpiSets) -> bool {
        let Some(own) = self.bins.get(&place) else { return true };
        let told = self.bins.range(..=(newest.as_ms(), u32::MAX)).map(|(_, told)| *told);
        told.chain(self.rejected).all(|kpis| sets.covers(*own, kpis))
    }
}

/// Where the bin of an instant begins, in milliseconds, and its width.
fn bin_of(at: EventTime, step_s: u32) -> (i64, u32) {
    let step_s = step_s.max(1);
    (EventTime::of_bin(at.bin(step_s), step_s).as_ms(), step_s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::tests::enveloped;
    use prescale_bus::ConsumedRecord;
    use prescale_chassis::audit::Found;
    use prescale_chassis::output_record;
    use prescale_contracts::topics;
    use prescale_domain::kpi::KpiKind;

    fn record(offset: i64, at_s: i64) -> ConsumedRecord {
        named(offset, at_s, "")
    }

    /// The record of a sample with these KPIs.
    fn named(offset: i64, at_s: i64, names: &str) -> ConsumedRecord {
        let kpi = |name| Kpi { name: KpiName::new(name), kind: KpiKind::Gauge, unit: "1".into(), value: None };
        let sample = enveloped("vm-1", at_s, 60, names.split_whitespace().map(kpi).collect());
        let record = output_record(&sample.envelope, topics::RAW_KPIS, &sample.sample).unwrap();
        record.read_at(0, offset)
    }

    /// What becomes of samples of these minutes, those with `true` followed by their fingerprints.
    fn closed(samples: &[(i64, bool)]) -> Vec<(i64, Judged)> {
        closed_parts(&samples.iter().map(|(minute, has_output)| (*minute, "", *has_output)).collect::<Vec<_>>())
    }

    /// As [`closed`], of parts with these KPIs.
    fn closed_parts(parts: &[(i64, &str, bool)]) -> Vec<(i64, Judged)> {
        let mut audit = audit();
        for (offset, (minute, names, has_output)) in (0..).zip(parts) {
            let found = Found { topic: topics::FINGERPRINTS, ordinal: 0, at: None };
            let found = if *has_output { vec![found] } else { Vec::new() };
            let record = named(offset, 60 * minute, names);
            let judged = audit.judge(&Read { record: &record, found: &found, is_rejected: false });
            assert_eq!(judged, if *has_output { Judged::Ended } else { Judged::Open });
        }
        audit.close().into_iter().map(|(place, judged)| (place.offset, judged)).collect()
    }

    #[test]
    fn a_sample_without_a_fingerprint_waits_behind_a_gap_or_is_one_too_many() {
        let one = closed(&[(10, true), (10, false), (11, true), (13, false)]);
        assert_eq!(one, [(1, Judged::Without(DUPLICATE)), (3, Judged::Without(WAITING))]);
        assert_eq!(closed(&[(10, false)]), [(0, Judged::Without(WAITING))], "the first one waits");
    }

    #[test]
    fn a_fingerprint_that_is_missing_is_found_out() {
        assert_eq!(closed(&[(10, true), (11, false), (12, true)]), [(1, Judged::Wrong(NO_OUTPUT))]);
        assert_eq!(closed(&[(10, true), (11, false)]), [(1, Judged::Wrong(NO_OUTPUT))], "it was to go at once");
    }

    #[test]
    fn parts_are_merged_into_what_followed_and_others_bring_nothing() {
        let judged = closed_parts(&[
            (10, "a", true),
            (10, "b", false),
            (10, "a b", false),
            (11, "a b", true),
            (11, "b", false),
            (12, "c", false),
            (12, "a", true),
            (13, "a b", false),
        ]);
        let merged = Judged::Without(MERGED);
        let duplicate = Judged::Without(DUPLICATE);
        let waits = Judged::Without(WAITING);
        assert_eq!(judged, [(1, merged), (2, duplicate), (4, duplicate), (5, merged), (7, waits)], "13 lacks c");
    }

    #[test]
    fn a_lost_fingerprint_of_parts_is_found_out() {
        let lost = Judged::Wrong(NO_OUTPUT);
        let judged = closed_parts(&[(10, "a b", true), (11, "a", false), (11, "b", false)]);
        assert_eq!(judged, [(1, lost), (2, lost)], "it was to go at once");
        let judged = closed_parts(&[(10, "a b", true), (11, "a", false), (500, "a b", true)]);
        assert_eq!(judged, [(1, lost)], "it was to go without the part that is missing");
    }

    #[test]
    fn what_a_rejected_part_has_may_be_waited_for() {
        let mut audit = audit();
        let found = [Found { topic: topics::FINGERPRINTS, ordinal: 0, at: None }];
        let told = named(0, 600, "a");
        assert_eq!(audit.judge(&Read { record: &told, found: &found, is_rejected: false }), Judged::Ended);
        let rejected = named(1, 600, "b");
        assert_eq!(audit.judge(&Read { record: &rejected, found: &[], is_rejected: true }), Judged::Ended);
        let next = named(2, 660, "a");
        assert_eq!(audit.judge(&Read { record: &next, found: &[], is_rejected: false }), Judged::Open);
        assert_eq!(audit.close(), [(Place { partition: 0, offset: 2 }, Judged::Without(WAITING))]);
    }

    #[test]
    fn what_is_not_understood_has_to_be_a_dead_letter() {
        let torn = ConsumedRecord { value: Some(vec![0, 1]), ..record(0, 60) };
        let read = |is_rejected| Read { record: &torn, found: &[], is_rejected };
        assert_eq!(audit().judge(&read(false)), Judged::Wrong(NOT_UNDERSTOOD));
        assert_eq!(audit().judge(&read(true)), Judged::Ended);
    }
}
