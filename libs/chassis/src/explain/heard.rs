//! What topic `proposals` says of a workload and its fleet: what its planner proposed then, what the governor held, and
//! which orders had been given. In the fleet's partition the log's order is the one that the governor goes by, whatever
//! the clocks of those who give orders say.

use super::Question;
use anyhow::Result;
use prescale_bus::ConsumedRecord;
use prescale_contracts::{Contract, Envelope, event_types};
use prescale_domain::action::Action;
use prescale_domain::governor::{FleetRecord, Held, Order, Orders, Said, Scope};
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Decisions are compared for so long before the newest, in seconds.
pub(super) const COMPARED_S: i64 = 86_400;
/// The rule that holds what was asked for before.
const STANDS: &str = "governor.stands";

/// Where what is looked for is said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The workload's fleet.
    pub(super) fleet: &'a WorkloadId,
    /// Partition of the fleet.
    pub(super) home: u32,
    /// Partition of the workload's planner.
    pub(super) lane: u32,
}

/// First and last instant that the workload's planner told of its part of the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) from: EventTime,
    pub(super) until: EventTime,
}

/// What was said.
pub(super) struct Heard<'a> {
    question: &'a Question<'a>,
    place: Place<'a>,
    /// Instant of the newest decision.
    newest: Option<EventTime>,
    /// What the governor held, the newest first.
    pub(super) held: VecDeque<Held>,
    /// What the planner proposed of late, by the instants of the decisions.
    pub(super) proposed: BTreeMap<EventTime, Action>,
    /// Those given before the fleet passed the instant that is asked for.
    pub(super) orders: Orders,
    /// What orders that were given after it are about.
    later: BTreeSet<Scope>,
    is_past: bool,
    pub(super) told: Option<Told>,
    begins_whole: Option<bool>,
}

impl<'a> Heard<'a> {
    pub(super) fn new(question: &'a Question<'a>, place: Place<'a>, newest: Option<EventTime>) -> Self {
        Self {
            question,
            place,
            newest,
            held: VecDeque::new(),
            proposed: BTreeMap::new(),
            orders: Orders::default(),
            later: BTreeSet::new(),
            is_past: false,
            told: None,
            begins_whole: None,
        }
    }

    /// Whether nothing was ever said in the fleet's partition before what was read.
    pub(super) fn is_whole(&self) -> bool {
        self.begins_whole.unwrap_or(false)
    }

    /// Whether an order about that was given only after the instant that is asked for.
    pub(super) fn is_later(&self, scope: &Scope) -> bool {
        self.later.contains(scope)
    }

    /// Takes a record in.
    ///
    /// # Errors
    /// When it cannot be decoded.
    pub(super) fn take(&mut self, envelope: &Envelope, record: &ConsumedRecord) -> Result<()> {
        let Place { fleet, home, .. } = self.place;
        let is_home = record.partition == home;
        if is_home {
            self.begins_whole.get_or_insert(record.offset == 0);
        }
        let is_of_fleet = record.key.as_deref() == Some(fleet.as_str().as_bytes());
        let kind = &*envelope.event_type;
        if is_of_fleet && [event_types::PROPOSAL, event_types::FLEET_VIEW].contains(&kind) {
            self.is_past |= !self.question.reaches(envelope.time);
        }
        let is_wanted = match kind {
            event_types::HELD => true,
            event_types::ORDER => is_home,
            event_types::FLEET_VIEW => is_of_fleet,
            event_types::PROPOSAL => self.is_compared(envelope.time),
            _ => false,
        };
        if is_wanted {
            self.hear(FleetRecord::decode(value(record))?.said);
        }
        Ok(())
    }

    fn is_compared(&self, at: EventTime) -> bool {
        self.newest.is_some_and(|newest| at <= newest && at >= newest.plus_s(-COMPARED_S))
    }

    fn hear(&mut self, said: Said) {
        let its = self.question.workload;
        let is_its = |workload: &WorkloadId| workload.as_str() == its;
        match said {
            Said::Proposal(proposal) if is_its(&proposal.action.workload) => {
                self.proposed.insert(proposal.action.decided_at, proposal.action);
            }
            Said::Held(held) if is_its(&held.workload) => self.take_held(held),
            Said::View(view) if view.partition == self.place.lane => {
                let told = self.told.get_or_insert(Told { from: view.told_at, until: view.told_at });
                told.until = told.until.max(view.told_at);
            }
            Said::Order(order) => self.take_order(&order),
            Said::Proposal(_) | Said::Held(_) | Said::View(_) => {}
        }
    }

    /// That the plan stood already is told of the newest decision alone.
    fn take_held(&mut self, held: Held) {
        let is_told = &*held.rule != STANDS || self.newest == Some(held.decided_at);
        if is_told && self.question.reaches(held.decided_at) {
            self.held.push_front(held);
            self.held.truncate(self.question.actions_max);
        }
    }

    /// What the governor repeats stood before, unless it was given in what was read.
    fn take_order(&mut self, order: &Order) {
        if self.is_past && !order.is_repetition {
            self.later.insert(order.scope.clone());
        } else if !self.later.contains(&order.scope) {
            self.orders.take(order);
        }
    }
}

pub(super) fn value(record: &ConsumedRecord) -> &[u8] {
    record.value.as_deref().unwrap_or_default()
}
