//! What must follow from proposals, by the log alone: each is admitted or held, once; one that takes something away may
//! wait for its bin to be over. Of views and orders the governor only hears, and of what it held itself.

use prescale_chassis::audit::{Audit, Judged, NO_OUTPUT, NOT_UNDERSTOOD, Place, Read, STALE, WAITING};
use prescale_domain::action::Verdict;
use prescale_domain::forecast::GRID_STEP_S;
use prescale_domain::governor::{FleetRecord, Proposal, Said};
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::collections::HashMap;

/// What is wrong with a proposal that has both an action and a record of why there is none.
const BOTH: &str = "it is admitted and held";
/// The longest patience that can be configured, in bins.
const PATIENCE_BINS_MAX: i64 = 86_400 / GRID_STEP_S as i64;

/// The proposals of all fleets.
#[derive(Default)]
struct Proposals {
    /// By fleet and workload.
    workloads: HashMap<(WorkloadId, WorkloadId), Asked>,
    /// By fleet and partition of the predictions.
    parts: HashMap<(WorkloadId, u32), Part>,
}

/// What was proposed of a workload.
struct Asked {
    newest: EventTime,
    /// The fewest cores and bytes of memory.
    least: (f64, f64),
}

/// What one partition of the predictions proposed in one fleet.
#[derive(Default)]
struct Part {
    newest_view_bin: Option<i64>,
    batches: Vec<Batch>,
}

/// What takes something away and was proposed between two views: it is ruled on together.
#[derive(Default)]
struct Batch {
    /// Bin of the view behind it.
    ended_in: Option<i64>,
    is_ruled_on: bool,
    open: Vec<Place>,
}

/// Of the governor.
pub(crate) fn audit() -> Box<dyn Audit> {
    Box::<Proposals>::default()
}

impl Audit for Proposals {
    fn judge(&mut self, read: &Read<'_>) -> Judged {
        if read.is_rejected {
            return Judged::Ended;
        }
        let Some(FleetRecord { key: fleet, said }) = read.decode() else { return Judged::Wrong(NOT_UNDERSTOOD) };
        match said {
            Said::Proposal(proposal) => self.proposed(read, fleet, &proposal),
            Said::View(view) => {
                self.parts.entry((fleet, view.partition)).or_default().view(view.at.bin(GRID_STEP_S));
                Judged::Aside
            }
            Said::Order(_) | Said::Held(_) => Judged::Aside,
        }
    }

    fn close(&mut self) -> Vec<(Place, Judged)> {
        std::mem::take(&mut self.parts).into_values().flat_map(Part::close).collect()
    }

    fn counted(&self) -> &[&'static str] {
        &[STALE, WAITING]
    }
}

impl Proposals {
    fn proposed(&mut self, read: &Read<'_>, fleet: WorkloadId, proposal: &Proposal) -> Judged {
        let Proposal { action, demanded, partition } = proposal;
        let (cores, bytes) = (action.desired.cpu_cores(), action.desired.memory_bytes());
        let new = || Asked { newest: EventTime::from_ms(i64::MIN), least: (cores, bytes) };
        let asked = self.workloads.entry((fleet.clone(), action.workload.clone())).or_insert_with(new);
        let is_stale = asked.newest >= action.decided_at;
        asked.newest = action.decided_at.max(asked.newest);
        // What adds to less that is out goes out as it comes.
        let may_be_at_once = *demanded || cores > asked.least.0 || bytes > asked.least.1;
        asked.least = (cores.min(asked.least.0), bytes.min(asked.least.1));
        let rulings = read.found.iter().filter(|found| found.ordinal == 0).count();
        // One below what serves goes out at once where less is out, and may wait where it is not.
        let takes_away = action.verdict == Verdict::ScaleIn || !demanded && action.verdict != Verdict::ScaleOut;
        let part = self.parts.entry((fleet, *partition)).or_default();
        match rulings {
            0 if is_stale => Judged::Without(STALE),
            0 if takes_away => {
                part.batch().open.push(read.place());
                Judged::Open
            }
            0 => Judged::Wrong(NO_OUTPUT),
            1 => {
                if takes_away && !may_be_at_once {
                    part.batch().is_ruled_on = true;
                }
                Judged::Ended
            }
            _ => Judged::Wrong(BOTH),
        }
    }
}

impl Part {
    fn view(&mut self, bin: i64) {
        if self.newest_view_bin.is_some_and(|newest| bin <= newest) {
            return;
        }
        self.newest_view_bin = Some(bin);
        if let Some(batch) = self.batches.last_mut().filter(|batch| batch.ended_in.is_none()) {
            batch.ended_in = Some(bin);
        }
    }

    /// The batch that no view has ended yet.
    fn batch(&mut self) -> &mut Batch {
        if self.batches.last().is_none_or(|batch| batch.ended_in.is_some()) {
            self.batches.push(Batch::default());
        }
        let last = self.batches.len() - 1;
        &mut self.batches[last]
    }

    /// What is open is overdue once others of its batch, or of one that is later by more than any patience, are ruled
    /// on.
    fn close(self) -> Vec<(Place, Judged)> {
        let ruled_on_until = self.batches.iter().filter(|batch| batch.is_ruled_on).filter_map(|b| b.ended_in).max();
        let is_overdue = |batch: &Batch| {
            let is_passed = |bin| ruled_on_until.is_some_and(|until| until > bin + PATIENCE_BINS_MAX);
            batch.is_ruled_on || batch.ended_in.is_some_and(is_passed)
        };
        let mut closed = Vec::new();
        for batch in &self.batches {
            let judged = if is_overdue(batch) { Judged::Wrong(NO_OUTPUT) } else { Judged::Without(WAITING) };
            closed.extend(batch.open.iter().map(|place| (*place, judged)));
        }
        closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::tests;
    use prescale_bus::ConsumedRecord;
    use prescale_chassis::audit::Found;
    use prescale_chassis::{Input, output_record};
    use prescale_contracts::topics;

    fn record(at_s: i64, said: Input<FleetRecord>) -> ConsumedRecord {
        output_record(&said.envelope, topics::PROPOSALS, &said.value).unwrap().read_at(0, at_s)
    }

    fn view(at_s: i64) -> ConsumedRecord {
        record(at_s, tests::view(0, at_s, 1))
    }

    fn proposal(workload: &str, at_s: i64, replicas: u32) -> ConsumedRecord {
        record(at_s, tests::proposal(workload, at_s, replicas, false))
    }

    fn judged(audit: &mut dyn Audit, record: &ConsumedRecord, topics: &[&'static str]) -> Judged {
        let found = |topic: &&'static str| Found { topic, ordinal: 0, at: None };
        let found: Vec<Found> = topics.iter().map(found).collect();
        audit.judge(&Read { record, found: &found, is_rejected: false })
    }

    fn closed(audit: &mut dyn Audit) -> Vec<(i64, Judged)> {
        let mut closed: Vec<_> = audit.close().into_iter().map(|(place, judged)| (place.offset, judged)).collect();
        closed.sort_by_key(|(offset, _)| *offset);
        closed
    }

    #[test]
    fn an_increase_is_ruled_on_as_it_comes_and_once() {
        let mut audit = audit();
        let audit = audit.as_mut();
        assert_eq!(judged(audit, &proposal("web", 60, 6), &[topics::ACTIONS]), Judged::Ended);
        assert_eq!(judged(audit, &proposal("web", 60, 6), &[]), Judged::Without(STALE));
        assert_eq!(judged(audit, &proposal("web", 120, 6), &[]), Judged::Wrong(NO_OUTPUT));
        assert_eq!(judged(audit, &proposal("web", 180, 6), &[topics::PROPOSALS]), Judged::Ended);
        assert_eq!(judged(audit, &proposal("web", 240, 6), &[topics::ACTIONS, topics::PROPOSALS]), Judged::Wrong(BOTH));
        assert_eq!(judged(audit, &view(299), &[]), Judged::Aside);
        assert!(closed(audit).is_empty());
    }

    #[test]
    fn a_decrease_may_wait_but_not_beyond_those_that_it_waits_with() {
        let mut audit = audit();
        let audit = audit.as_mut();
        assert_eq!(judged(audit, &proposal("a", 310, 3), &[]), Judged::Open);
        assert_eq!(judged(audit, &view(599), &[]), Judged::Aside);
        assert_eq!(judged(audit, &proposal("b", 610, 3), &[]), Judged::Open);
        assert_eq!(judged(audit, &proposal("c", 620, 3), &[topics::PROPOSALS]), Judged::Ended);
        assert_eq!(judged(audit, &view(899), &[]), Judged::Aside);
        assert_eq!(judged(audit, &proposal("d", 910, 3), &[]), Judged::Open);
        let waits = Judged::Without(WAITING);
        assert_eq!(closed(audit), [(310, waits), (610, Judged::Wrong(NO_OUTPUT)), (910, waits)]);
    }

    #[test]
    fn what_adds_to_less_that_is_out_says_nothing_of_those_that_wait() {
        let mut audit = audit();
        let audit = audit.as_mut();
        assert_eq!(judged(audit, &proposal("a", 310, 2), &[topics::ACTIONS]), Judged::Ended);
        assert_eq!(judged(audit, &view(599), &[]), Judged::Aside);
        assert_eq!(judged(audit, &proposal("b", 610, 3), &[]), Judged::Open);
        assert_eq!(judged(audit, &proposal("a", 620, 3), &[topics::ACTIONS]), Judged::Ended);
        assert_eq!(judged(audit, &view(899), &[]), Judged::Aside);
        assert_eq!(closed(audit), [(610, Judged::Without(WAITING))]);
    }

    #[test]
    fn nothing_waits_longer_than_any_patience() {
        let mut audit = audit();
        let audit = audit.as_mut();
        assert_eq!(judged(audit, &proposal("a", 310, 3), &[]), Judged::Open);
        assert_eq!(judged(audit, &view(599), &[]), Judged::Aside);
        assert_eq!(judged(audit, &proposal("b", 90_010, 3), &[topics::ACTIONS]), Judged::Ended);
        assert_eq!(judged(audit, &view(90_299), &[]), Judged::Aside);
        assert_eq!(closed(audit), [(310, Judged::Wrong(NO_OUTPUT))]);
    }
}
