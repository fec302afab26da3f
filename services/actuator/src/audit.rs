//! What must follow from actions, by what the log says and nothing else.
//!
//! The stage answers an action at once, a driver when its cloud has. Which of the two it was is not on the log, so an
//! action on a platform that a driver may have is open for a while: until a later one of its workload has its result,
//! since that would have overtaken it, or results of its partition are told that lie so far behind its validity that
//! nothing can have kept it.

use prescale_chassis::audit::{Audit, GAP, Judged, NO_OUTPUT, NOT_UNDERSTOOD, Place, Read, WAITING};
use prescale_domain::action::Action;
use prescale_domain::sample::Platform;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::collections::BTreeMap;

/// A driver has a result at most so long after its action became void, in seconds: longer than anything may be configured
/// to take.
const SETTLED_WITHIN_S: i64 = 24 * 3600;

/// Of the actuator.
pub(crate) fn audit() -> Box<dyn Audit> {
    Box::<Actions>::default()
}

#[derive(Default)]
struct Actions {
    /// Actions without a result that may still get one.
    open: BTreeMap<WorkloadId, Vec<Open>>,
    /// By partition, when the newest result was told.
    told_at: BTreeMap<u32, EventTime>,
}

struct Open {
    place: Place,
    decided_at: EventTime,
    valid_until: EventTime,
    /// Whether one that lies behind it and was decided later has its result.
    is_overtaken: bool,
}

impl Audit for Actions {
    fn judge(&mut self, read: &Read<'_>) -> Judged {
        if read.has_gap() {
            return Judged::Wrong(GAP);
        }
        if read.is_rejected {
            return Judged::Ended;
        }
        let Some(action) = read.decode::<Action>() else { return Judged::Wrong(NOT_UNDERSTOOD) };
        let Action { workload, decided_at, valid_until, platform, .. } = action;
        if read.has_ended() {
            for before in self.open.get_mut(&workload).into_iter().flatten() {
                before.is_overtaken |= before.decided_at < decided_at;
            }
            let told_at = read.found.iter().filter_map(|found| found.at).max();
            let newest = self.told_at.entry(read.place().partition).or_insert(EventTime::from_ms(i64::MIN));
            *newest = told_at.unwrap_or(*newest).max(*newest);
            return Judged::Ended;
        }
        if [Platform::SIMULATED, Platform::OBSERVED_ONLY].contains(&platform) {
            return Judged::Wrong(NO_OUTPUT);
        }
        let open = Open { place: read.place(), decided_at, valid_until, is_overtaken: false };
        self.open.entry(workload).or_default().push(open);
        Judged::Open
    }

    fn close(&mut self) -> Vec<(Place, Judged)> {
        let open = std::mem::take(&mut self.open);
        open.values().flatten().map(|action| (action.place, self.closed(action))).collect()
    }
}

impl Actions {
    fn closed(&self, action: &Open) -> Judged {
        let told_at = self.told_at.get(&action.place.partition);
        let is_late = told_at.is_some_and(|told_at| *told_at > action.valid_until.plus_s(SETTLED_WITHIN_S));
        if action.is_overtaken || is_late { Judged::Wrong(NO_OUTPUT) } else { Judged::Without(WAITING) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::tests::input;
    use prescale_bus::ConsumedRecord;
    use prescale_chassis::audit::Found;
    use prescale_chassis::output_record;
    use prescale_contracts::topics;

    fn record(at_s: i64, platform: Platform) -> ConsumedRecord {
        let mut input = input(at_s, 2, 4);
        input.value.platform = platform;
        output_record(&input.envelope, topics::ACTIONS, &input.value).unwrap().read_at(0, at_s)
    }

    fn judged(audit: &mut dyn Audit, record: &ConsumedRecord, told_at_s: Option<i64>) -> Judged {
        let found = |at_s| Found { topic: topics::ACTION_RESULTS, ordinal: 0, at: Some(EventTime::from_s(at_s)) };
        let found: Vec<Found> = told_at_s.into_iter().map(found).collect();
        audit.judge(&Read { record, found: &found, is_rejected: false })
    }

    #[test]
    fn the_simulated_cloud_answers_at_once_and_a_real_one_when_it_can() {
        let mut audit = audit();
        let simulated = record(60, Platform::SIMULATED);
        assert_eq!(judged(audit.as_mut(), &simulated, None), Judged::Wrong(NO_OUTPUT));
        assert_eq!(judged(audit.as_mut(), &simulated, Some(60)), Judged::Ended);
        assert_eq!(judged(audit.as_mut(), &record(120, Platform::KUBERNETES), None), Judged::Open);
        let place = Place { partition: 0, offset: 120 };
        assert_eq!(audit.close(), [(place, Judged::Without(WAITING))]);
    }

    #[test]
    fn what_was_overtaken_or_is_long_void_is_missing() {
        let kubernetes = |at_s| record(at_s, Platform::KUBERNETES);
        let mut overtaken = audit();
        judged(overtaken.as_mut(), &kubernetes(120), None);
        judged(overtaken.as_mut(), &kubernetes(180), Some(200));
        assert_eq!(overtaken.close()[0].1, Judged::Wrong(NO_OUTPUT));
        let mut late = audit();
        judged(late.as_mut(), &kubernetes(500), None);
        judged(late.as_mut(), &kubernetes(180), Some(500 + 900 + SETTLED_WITHIN_S + 1));
        assert_eq!(late.close()[0].1, Judged::Wrong(NO_OUTPUT));
        let mut waiting = audit();
        judged(waiting.as_mut(), &kubernetes(500), None);
        judged(waiting.as_mut(), &kubernetes(180), Some(1400));
        assert_eq!(waiting.close()[0].1, Judged::Without(WAITING));
    }
}
