//! What must follow from what the two stages read, by the log alone.
//!
//! Which workloads are a group's members the log does not say, so a prediction may always be without a part. Parts are
//! joined: a bin has a prediction of its group once the partitions have parts in it that made the prediction of the bin
//! before.

use prescale_chassis::audit::{Audit, Judged, NO_OUTPUT, NOT_UNDERSTOOD, Place, Read, WAITING, each_or};
use prescale_domain::forecast::GRID_STEP_S;
use prescale_domain::group::GroupPart;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Reason of predictions that completed no part.
const NO_PART: &str = "no_part";
/// Reason of parts whose group's prediction follows from another part of the bin.
const JOINED: &str = "joined";
/// Reason of parts whose bin may have been over, or may have had nobody that counts.
const NOT_COUNTED: &str = "not_counted";

/// Of the stage that sums up members.
pub(crate) fn of_parts() -> Box<dyn Audit> {
    each_or(NO_PART)
}

/// The parts of all groups.
#[derive(Default)]
struct Parts {
    groups: HashMap<Vec<u8>, Group>,
}

#[derive(Default)]
struct Group {
    /// The newest bin that was read.
    newest: Option<i64>,
    bins: BTreeMap<i64, Bin>,
}

#[derive(Default)]
struct Bin {
    partitions: BTreeSet<u32>,
    is_predicted: bool,
    /// Whether a part may have come late, or has nobody in it.
    is_doubtful: bool,
    open: Vec<Place>,
}

/// Of the stage that joins the parts.
pub(crate) fn of_forecasts() -> Box<dyn Audit> {
    Box::<Parts>::default()
}

impl Audit for Parts {
    fn judge(&mut self, read: &Read<'_>) -> Judged {
        if read.is_rejected {
            return Judged::Ended;
        }
        let Some(part) = read.decode::<GroupPart>() else { return Judged::Wrong(NOT_UNDERSTOOD) };
        let number = part.made_at.bin(GRID_STEP_S);
        let group = self.groups.entry(read.key().to_vec()).or_default();
        let may_be_late = group.newest.is_some_and(|newest| newest > number + 1);
        group.newest = group.newest.max(Some(number));
        let bin = group.bins.entry(number).or_default();
        bin.partitions.insert(part.partition);
        bin.is_doubtful |= may_be_late || part.members.known() == 0;
        if read.found.is_empty() {
            bin.open.push(read.place());
            return Judged::Open;
        }
        bin.is_predicted = true;
        Judged::Ended
    }

    fn close(&mut self) -> Vec<(Place, Judged)> {
        std::mem::take(&mut self.groups).into_values().flat_map(Group::close).collect()
    }
}

impl Group {
    fn close(self) -> Vec<(Place, Judged)> {
        let newest_predicted = self.bins.iter().filter(|(_, bin)| bin.is_predicted).map(|(number, _)| *number).max();
        let mut closed = Vec::new();
        for (number, bin) in &self.bins {
            let before = self.bins.get(&(number - 1)).filter(|before| before.is_predicted);
            let judged = if bin.is_predicted {
                Judged::Without(JOINED)
            } else if newest_predicted.is_none_or(|newest| newest < *number) {
                Judged::Without(WAITING)
            } else if !bin.is_doubtful && before.is_some_and(|before| before.partitions.is_subset(&bin.partitions)) {
                Judged::Wrong(NO_OUTPUT)
            } else {
                Judged::Without(NOT_COUNTED)
            };
            closed.extend(bin.open.iter().map(|place| (*place, judged)));
        }
        closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prescale_chassis::audit::Found;
    use prescale_chassis::output_record;
    use prescale_contracts::{Contract, Envelope, topics};
    use prescale_domain::group::{GroupName, MemberCount};
    use prescale_domain::time::EventTime;

    /// What becomes of parts of these partitions and bins, with so many members, those with `true` followed by a
    /// prediction.
    fn closed(parts: &[(u32, i64, u32, bool)]) -> Vec<(i64, Judged)> {
        let mut audit = of_forecasts();
        for (offset, (partition, bin, reported, has_output)) in (0..).zip(parts) {
            let group = GroupName::new("web").unwrap();
            let part = GroupPart {
                group: group.clone(),
                partition: *partition,
                made_at: EventTime::of_bin(*bin, GRID_STEP_S).plus_s(240),
                members: MemberCount { reported: *reported, carried: 0 },
                resources: BTreeMap::new(),
            };
            let envelope = Envelope::root("test", GroupPart::EVENT_TYPE, group.key(), part.made_at, "");
            let record = output_record(&envelope, topics::GROUP_PARTS, &part).unwrap();
            let record = record.read_at(0, offset);
            let prediction = [Found { topic: topics::GROUP_PREDICTIONS, ordinal: 0, at: None }];
            let found: &[Found] = if *has_output { &prediction } else { &[] };
            let judged = audit.judge(&Read { record: &record, found, is_rejected: false });
            assert_eq!(judged, if *has_output { Judged::Ended } else { Judged::Open });
        }
        audit.close().into_iter().map(|(place, judged)| (place.offset, judged)).collect()
    }

    #[test]
    fn a_bin_between_others_needs_its_prediction() {
        let sound = closed(&[(0, 1, 5, true), (1, 1, 5, false), (0, 2, 5, true), (0, 3, 5, false)]);
        assert_eq!(sound, [(1, Judged::Without(JOINED)), (3, Judged::Without(WAITING))]);
        let missing = closed(&[(0, 1, 5, true), (0, 2, 5, false), (1, 2, 5, false), (0, 3, 5, true)]);
        assert_eq!(missing, [(1, Judged::Wrong(NO_OUTPUT)), (2, Judged::Wrong(NO_OUTPUT))]);
    }

    #[test]
    fn a_bin_may_have_had_nobody_that_counts() {
        let not_counted = |parts: &[(u32, i64, u32, bool)]| {
            let closed = closed(parts);
            assert!(closed.iter().all(|(_, judged)| *judged == Judged::Without(NOT_COUNTED)), "{closed:?}");
            closed.len()
        };
        assert_eq!(not_counted(&[(0, 1, 5, false), (0, 2, 5, true)]), 1, "nobody is known from before");
        assert_eq!(not_counted(&[(0, 1, 5, true), (1, 2, 5, false), (0, 3, 5, true)]), 1, "another partition");
        assert_eq!(not_counted(&[(0, 1, 5, true), (0, 2, 0, false), (0, 3, 5, true)]), 1, "its members have left");
        assert_eq!(not_counted(&[(0, 1, 5, true), (0, 4, 5, true), (0, 2, 5, false)]), 1, "it came late");
    }
}
