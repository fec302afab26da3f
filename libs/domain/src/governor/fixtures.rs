//! A governor on made-up proposals and views.

use super::core::{Governor, Heard};
use super::orders::{Effect, Order, Scope};
use super::rules::GovernorRules;
use super::ruling::Ruling;
use super::{Proposal, View};
use crate::policy::fixtures::{action, workload};
use crate::time::EventTime;
use crate::workload::WorkloadId;

pub(super) const PARTITIONS: u32 = 2;

pub(super) fn fleet() -> WorkloadId {
    workload("demo")
}

pub(super) fn view(partition: u32, bin: i64, known: u32, present: u32) -> View {
    let at = EventTime::from_s(bin * 300 + 240);
    View { partition, at, told_at: at, known, present, lost_kpi: 0, step_s: 60 }
}

/// A change by a replica, decided so many seconds into a bin.
pub(super) fn proposal(partition: u32, name: &str, (bin, second): (i64, i64), grows: bool) -> Proposal {
    let (from, to) = if grows { (4, 5) } else { (4, 3) };
    Proposal { action: action(name, bin * 300 + second, from, to), demanded: false, partition }
}

pub(super) fn order(scope: &str, effect: Effect, at_s: i64) -> Order {
    let scope = Scope::parse(scope).expect("a scope");
    let (why, by) = ("a test".to_owned(), "someone".to_owned());
    Order { scope, effect, at: EventTime::from_s(at_s), why, by, is_repetition: false }
}

/// One partition of the governor with one fleet. Tags are names of workloads.
pub(super) struct Court {
    pub(super) governor: Governor<String>,
    pub(super) rules: GovernorRules,
}

impl Court {
    pub(super) fn new() -> Self {
        Self { governor: Governor::default(), rules: GovernorRules::default() }
    }

    pub(super) fn propose(&mut self, proposal: Proposal) -> Vec<Ruling<String>> {
        let as_of = proposal.action.decided_at;
        self.propose_as_of(proposal, as_of)
    }

    pub(super) fn propose_as_of(&mut self, proposal: Proposal, as_of: EventTime) -> Vec<Ruling<String>> {
        let tag = proposal.action.workload.to_string();
        rulings(self.governor.propose(&self.rules, PARTITIONS, &fleet(), (tag, proposal), as_of))
    }

    pub(super) fn view(&mut self, view: View) -> Vec<Ruling<String>> {
        rulings(self.governor.view(&self.rules, PARTITIONS, &fleet(), &view))
    }

    /// Views of a bin of both partitions, each with half of `known` and of `present`; then the fleet comes to the
    /// next bin.
    pub(super) fn close(&mut self, bin: i64, known: u32, present: u32) -> Vec<Ruling<String>> {
        let mut rulings = self.view(view(0, bin, known / 2, present / 2));
        rulings.extend(self.view(view(1, bin, known - known / 2, present - present / 2)));
        rulings.extend(self.pass(bin + 1));
        rulings
    }

    /// The fleet comes to a bin, with a dry run's increase of a workload of no concern.
    pub(super) fn pass(&mut self, bin: i64) -> Vec<Ruling<String>> {
        let mut clock = proposal(0, "clock", (bin, 0), true);
        clock.action.dry_run = true;
        let mut rulings = self.propose(clock);
        rulings.retain(|ruling| match ruling {
            Ruling::Admitted { tag, .. } | Ruling::Held { tag, .. } => tag != "clock",
            Ruling::Released(_) | Ruling::Withdrawn(_) => true,
        });
        rulings
    }

    pub(super) fn order(&mut self, order: &Order) -> Vec<Ruling<String>> {
        rulings(self.governor.order(order))
    }
}

fn rulings(heard: Heard<String>) -> Vec<Ruling<String>> {
    match heard {
        Heard::Used { rulings, .. } => rulings,
        Heard::Stale => Vec::new(),
    }
}

/// Each ruling as `name rule`.
pub(super) fn words(rulings: &[Ruling<String>]) -> Vec<String> {
    let word = |ruling: &Ruling<String>| match ruling {
        Ruling::Admitted { tag, action } => format!("{tag} {}", action.reasons.last().map_or("", |r| &r.rule)),
        Ruling::Held { tag, why, .. } => format!("{tag} {}", why.rule),
        Ruling::Released(action) => format!("{} released", action.workload),
        Ruling::Withdrawn(action) => format!("{} withdrawn", action.workload),
    };
    rulings.iter().map(word).collect()
}
