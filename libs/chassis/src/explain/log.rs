//! What the log holds of one workload, as of the instant that is asked for.
//!
//! Its partition is a function of its name, and no other one tells of it: not of its actions, nor of what its planner
//! knew. What is keyed by fleet is looked for in all of them.

use super::heard::{COMPARED_S, Heard, Place, value};
use super::{Newest, Question};
use anyhow::{Context as _, Result, ensure};
use prescale_bus::partitioner::partition_of;
use prescale_bus::{Bus, CaughtUp, ConsumedRecord, ReadFrom, RecordReader};
use prescale_contracts::{Contract, ContractError, Envelope, event_types, topics};
use prescale_domain::action::{Action, ActionResult};
use prescale_domain::evaluation::sums::Span;
use prescale_domain::evaluation::{Outcome, Week};
use prescale_domain::governor::{Orders, StandingOrder};
use prescale_domain::policy::{Decision, Grounds, Planning, RuleBook};
use prescale_domain::prediction::Prediction;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What is read of topic `proposals`.
const SAID: [&str; 4] = [event_types::PROPOSAL, event_types::FLEET_VIEW, event_types::ORDER, event_types::HELD];
const PAGE_RECORDS: usize = 5_000;
const WAIT: Duration = Duration::from_millis(500);
/// Most records that are read back of what is keyed by fleet: no more than a day of it is told.
const OF_FLEETS_MAX: u64 = 200_000;

/// The log, read for one question.
pub(super) struct Log<'a> {
    pub(super) bus: &'a dyn Bus,
    pub(super) question: &'a Question<'a>,
    pub(super) shutdown: &'a CancellationToken,
}

/// Where the reading of a partition began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Begin {
    offset: i64,
    /// Instant of the first record that was read.
    pub(super) at: EventTime,
}

impl Begin {
    /// Whether that is where the partition began: nothing was ever before it.
    pub(super) const fn is_whole(&self) -> bool {
        self.offset == 0
    }
}

/// The decisions on the workload, made again.
#[derive(Default)]
pub(super) struct Decisions {
    /// Instant of the first one that is held.
    pub(super) from: Option<EventTime>,
    /// The newest.
    pub(super) newest: Option<Newest>,
    /// Those of the last [`COMPARED_S`] that change something, by their instants.
    pub(super) acts: BTreeMap<EventTime, Action>,
    /// Where the predictions begin that the planner was made again from.
    pub(super) planned_from: Option<Begin>,
}

impl Decisions {
    fn take(&mut self, newest: Newest) {
        if let Decision::Act(action) = &newest.decision {
            self.acts = self.acts.split_off(&action.decided_at.plus_s(-COMPARED_S));
            self.acts.insert(action.decided_at, (**action).clone());
        }
        self.newest = Some(newest);
    }
}

/// An action that went out.
pub(super) struct Published {
    pub(super) id: Arc<str>,
    pub(super) action: Action,
    pub(super) record: ConsumedRecord,
}

/// What came of an action.
pub(super) struct Answered {
    pub(super) result: ActionResult,
    pub(super) record: ConsumedRecord,
}

impl Log<'_> {
    /// The decisions, made again. The prices follow from a whole partition, so all of its predictions are gone
    /// through, not the workload's alone.
    pub(super) fn decisions(&self, rules: &RuleBook) -> Result<Decisions> {
        let (mut planning, mut found) = (Planning::default(), Decisions::default());
        let reader = self.of_partition(topics::PREDICTIONS)?;
        found.planned_from = self.each_that(
            (topics::PREDICTIONS, reader),
            |_| true,
            |Envelope { id, .. }, record| {
                let prediction = Prediction::decode(value(&record))?;
                let is_its = prediction.workload.as_str() == self.question.workload;
                if is_its {
                    found.from.get_or_insert(prediction.made_at);
                }
                if !self.question.reaches(prediction.made_at) {
                    return Ok(());
                }
                if !is_its {
                    planning.step(rules, &prediction, &id);
                } else if let Some((decision, grounds)) = planning.step_seen(rules, &prediction, &id, Grounds::of) {
                    found.take(Newest { prediction, decision, grounds });
                }
                Ok(())
            },
        )?;
        Ok(found)
    }

    /// The actions, the newest first.
    pub(super) fn actions(&self) -> Result<VecDeque<Published>> {
        let mut actions = VecDeque::new();
        self.each(topics::ACTIONS, |Envelope { id, .. }, record| {
            let action = Action::decode(value(&record))?;
            if self.question.reaches(action.decided_at) {
                actions.push_front(Published { id, action, record });
                actions.truncate(self.question.actions_max);
            }
            Ok(())
        })?;
        Ok(actions)
    }

    /// What came of actions, by their ids.
    pub(super) fn results(&self) -> Result<BTreeMap<Arc<str>, Answered>> {
        let mut results = BTreeMap::new();
        self.each(topics::ACTION_RESULTS, |_, record| {
            let result = ActionResult::decode(value(&record))?;
            results.insert(Arc::clone(&result.action_id), Answered { result, record });
            Ok(())
        })?;
        Ok(results)
    }

    /// What was said of the workload of that fleet; `newest` is the instant of its newest decision.
    pub(super) fn heard<'f>(&'f self, fleet: &'f WorkloadId, newest: Option<EventTime>) -> Result<Heard<'f>> {
        let home = partition_of(fleet.as_str().as_bytes(), self.partitions_of(topics::PROPOSALS)?);
        let lane = partition_of(self.question.workload.as_bytes(), self.partitions_of(topics::PREDICTIONS)?);
        let mut heard = Heard::new(self.question, Place { fleet, home, lane }, newest);
        let reader = self.of_fleets(topics::PROPOSALS)?;
        let is_known =
            |record: &ConsumedRecord| SAID.iter().any(|kind| record.header("ce_type") == Some(kind.as_bytes()));
        self.each_that((topics::PROPOSALS, reader), is_known, |envelope, record| heard.take(&envelope, &record))?;
        Ok(heard)
    }

    /// The orders that are known as of the instant that is asked for: those that were heard by then, and of scopes that
    /// no order was heard for after it, those that are shown.
    pub(super) fn orders(&self, heard: &Heard<'_>) -> Result<Orders> {
        let mut orders = heard.orders.clone();
        if !self.has(topics::CONTROL)? {
            return Ok(orders);
        }
        let reader = self.bus.reader(topics::CONTROL, ReadFrom::Earliest)?;
        let has_value = |record: &ConsumedRecord| record.value.is_some();
        self.each_that((topics::CONTROL, reader), has_value, |_, record| {
            let StandingOrder { order } = StandingOrder::decode(value(&record))?;
            if !heard.is_later(&order.scope) {
                orders.take(&order);
            }
            Ok(())
        })?;
        Ok(orders)
    }

    /// What the last seven days were worth, `None` where no hour is over; and where the outcomes begin that were read.
    pub(super) fn last_week(&self) -> Result<(Option<Span>, Option<Begin>)> {
        if !self.has(topics::OUTCOMES)? {
            return Ok((None, None));
        }
        let mut week = Week::default();
        let told_from = self.each(topics::OUTCOMES, |_, record| {
            let outcome = Outcome::decode(value(&record))?;
            if self.question.reaches(outcome.to()) {
                week.take(&outcome);
            }
            Ok(())
        })?;
        Ok((week.span(), told_from))
    }

    fn has(&self, topic: &str) -> Result<bool> {
        Ok(self.bus.topics()?.iter().any(|(name, _)| name == topic))
    }

    fn partitions_of(&self, topic: &str) -> Result<u32> {
        Ok(self.bus.topics()?.iter().find(|(name, _)| name == topic).map_or(1, |(_, n)| (*n).max(1)))
    }

    /// A reader of the workload's partition.
    fn of_partition(&self, topic: &str) -> Result<Box<dyn RecordReader>> {
        let partition = partition_of(self.question.workload.as_bytes(), self.partitions_of(topic)?);
        Ok(self.bus.partition_reader(topic, partition, ReadFrom::Back(self.question.back_records))?)
    }

    /// A reader of all partitions.
    fn of_fleets(&self, topic: &str) -> Result<Box<dyn RecordReader>> {
        let back_records = self.question.back_records.min(OF_FLEETS_MAX);
        let partitions = u64::from(self.partitions_of(topic)?);
        Ok(self.bus.reader(topic, ReadFrom::Back(back_records.div_ceil(partitions)))?)
    }

    /// Calls `take` with each record of the workload and its headers. Where the reading of its partition began, if there
    /// was anything.
    fn each(&self, topic: &str, take: impl FnMut(Envelope, ConsumedRecord) -> Result<()>) -> Result<Option<Begin>> {
        let is_its = |record: &ConsumedRecord| record.key.as_deref() == Some(self.question.workload.as_bytes());
        self.each_that((topic, self.of_partition(topic)?), is_its, take)
    }

    /// Calls `take` with each record that is wanted and its headers. Where the reading began, if there was anything.
    fn each_that(
        &self,
        (topic, mut reader): (&str, Box<dyn RecordReader>),
        is_wanted: impl Fn(&ConsumedRecord) -> bool,
        mut take: impl FnMut(Envelope, ConsumedRecord) -> Result<()>,
    ) -> Result<Option<Begin>> {
        let mut begin = None;
        loop {
            ensure!(!self.shutdown.is_cancelled(), "stopped before all of {topic} was read");
            let (records, caught_up) = reader.poll(PAGE_RECORDS, WAIT)?;
            for record in records {
                if begin.is_none() {
                    begin = envelope(&record).ok().map(|of| Begin { offset: record.offset, at: of.time });
                }
                if !is_wanted(&record) {
                    continue;
                }
                let (partition, offset) = (record.partition, record.offset);
                let place = || format!("{topic}/{partition}@{offset}");
                let of = envelope(&record).with_context(|| format!("cannot read the headers of {}", place()))?;
                take(of, record).with_context(|| format!("cannot read {}", place()))?;
            }
            if caught_up == CaughtUp::Yes {
                return Ok(begin);
            }
        }
    }
}

fn envelope(record: &ConsumedRecord) -> Result<Envelope, ContractError> {
    Envelope::from_headers(record.headers.iter().map(|h| (h.name.as_str(), h.value.as_slice())))
}
