//! What must follow from samples, by the log alone: each has its fingerprint, but for those of an instant that had
//! one, and those behind a gap, which wait for the watermark.

use prescale_chassis::audit::{Audit, Judged, NO_OUTPUT, NOT_UNDERSTOOD, Place, Read, WAITING};
use prescale_domain::sample::Sample;
use prescale_domain::time::EventTime;
use std::collections::HashMap;

/// Reason of samples of an instant of which there was one.
const DUPLICATE: &str = "duplicate";

/// The samples of all workloads.
#[derive(Default)]
struct Samples {
    workloads: HashMap<Vec<u8>, Lane>,
}

/// Those of one workload.
#[derive(Default)]
struct Lane {
    /// Instants of the fingerprints, in milliseconds.
    told_ms: Vec<i64>,
    /// The newest of them, with the step of its sample.
    newest: Option<(EventTime, u32)>,
    open: Vec<Unused>,
}

/// A sample that nothing has followed from.
struct Unused {
    place: Place,
    at: EventTime,
    step_s: u32,
}

/// Of the fingerprinter.
pub(crate) fn audit() -> Box<dyn Audit> {
    Box::<Samples>::default()
}

impl Audit for Samples {
    fn judge(&mut self, read: &Read<'_>) -> Judged {
        if read.is_rejected {
            return Judged::Ended;
        }
        let Some(Sample { at, step_s, .. }) = read.decode() else { return Judged::Wrong(NOT_UNDERSTOOD) };
        let lane = self.workloads.entry(read.key().to_vec()).or_default();
        if read.found.is_empty() {
            lane.open.push(Unused { place: read.place(), at, step_s });
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
        lanes.flat_map(Lane::close).collect()
    }

    fn counted(&self) -> &[&'static str] {
        &[DUPLICATE, WAITING]
    }
}

impl Lane {
    fn close(mut self) -> Vec<(Place, Judged)> {
        self.told_ms.sort_unstable();
        let open = std::mem::take(&mut self.open);
        open.into_iter().map(|unused| (unused.place, self.judged(&unused))).collect()
    }

    fn judged(&self, unused: &Unused) -> Judged {
        let Unused { at, step_s, .. } = *unused;
        let step_s = step_s.max(1);
        let bin = at.bin(step_s);
        let [from_ms, to_ms] = [bin, bin + 1].map(|bin| EventTime::of_bin(bin, step_s).as_ms());
        let first = self.told_ms.partition_point(|ms| *ms < from_ms);
        if self.told_ms.get(first).is_some_and(|ms| *ms < to_ms) {
            return Judged::Without(DUPLICATE);
        }
        let is_due = self.newest.is_some_and(|(newest, of_step_s)| {
            let newest_bin = newest.bin(step_s);
            bin < newest_bin || bin == newest_bin + 1 && step_s == of_step_s
        });
        if is_due { Judged::Wrong(NO_OUTPUT) } else { Judged::Without(WAITING) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::tests::enveloped;
    use prescale_bus::ConsumedRecord;
    use prescale_chassis::audit::Found;
    use prescale_chassis::output_record;
    use prescale_contracts::topics;

    fn record(offset: i64, at_s: i64) -> ConsumedRecord {
        let sample = enveloped("vm-1", at_s, 60, Vec::new());
        let record = output_record(&sample.envelope, topics::RAW_KPIS, &sample.sample).unwrap();
        record.read_at(0, offset)
    }

    /// What becomes of samples of these minutes, those with `true` followed by their fingerprints.
    fn closed(samples: &[(i64, bool)]) -> Vec<(i64, Judged)> {
        let mut audit = audit();
        for (offset, (minute, has_output)) in (0..).zip(samples) {
            let found = Found { topic: topics::FINGERPRINTS, ordinal: 0, at: None };
            let found = if *has_output { vec![found] } else { Vec::new() };
            let record = record(offset, 60 * minute);
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
    fn what_is_not_understood_has_to_be_a_dead_letter() {
        let torn = ConsumedRecord { value: Some(vec![0, 1]), ..record(0, 60) };
        let read = |is_rejected| Read { record: &torn, found: &[], is_rejected };
        assert_eq!(audit().judge(&read(false)), Judged::Wrong(NOT_UNDERSTOOD));
        assert_eq!(audit().judge(&read(true)), Judged::Ended);
    }
}
