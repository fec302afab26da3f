//! What the log holds of one workload, as of the instant that is asked for.
//!
//! Its partition is a function of its name, and no other one tells of it: not of its actions, nor of what its planner
//! knew. What is keyed by fleet is looked for in all of them.

use super::Question;
use anyhow::{Context as _, Result, ensure};
use prescale_bus::partitioner::partition_of;
use prescale_bus::{Bus, CaughtUp, ConsumedRecord, ReadFrom, RecordReader};
use prescale_contracts::{Contract, ContractError, Envelope, event_types, topics};
use prescale_domain::action::{Action, ActionResult};
use prescale_domain::evaluation::sums::Span;
use prescale_domain::evaluation::{Outcome, Week};
use prescale_domain::governor::{FleetRecord, Held, Said};
use prescale_domain::policy::{Decision, Planning, RuleBook};
use prescale_domain::prediction::Prediction;
use prescale_domain::time::EventTime;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The rule that holds what was asked for before.
const STANDS: &str = "governor.stands";
const PAGE_RECORDS: usize = 5_000;
const WAIT: Duration = Duration::from_millis(500);
/// Most records that are read back of what is keyed by fleet: the newest few of them are shown.
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

/// The decisions on the workload.
#[derive(Default)]
pub(super) struct Decisions {
    /// Instant of the first one that is held.
    pub(super) from: Option<EventTime>,
    /// The newest, with the prediction that it is of.
    pub(super) newest: Option<(Prediction, Decision)>,
    /// Where the predictions begin that the planner was made again from.
    pub(super) planned_from: Option<Begin>,
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
            |id, record| {
                let prediction = Prediction::decode(value(&record))?;
                let is_its = prediction.workload.as_str() == self.question.workload;
                if is_its {
                    found.from.get_or_insert(prediction.made_at);
                }
                if self.question.reaches(prediction.made_at)
                    && let Some(decision) = planning.step(rules, &prediction, &id)
                    && is_its
                {
                    found.newest = Some((prediction, decision));
                }
                Ok(())
            },
        )?;
        Ok(found)
    }

    /// The actions, the newest first.
    pub(super) fn actions(&self) -> Result<VecDeque<Published>> {
        let mut actions = VecDeque::new();
        self.each(topics::ACTIONS, |id, record| {
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

    /// What the governor held, the newest first; that the plan stood already only of the decision of `newest`.
    pub(super) fn held(&self, newest: Option<EventTime>) -> Result<VecDeque<Held>> {
        let mut found = VecDeque::new();
        let is_held = |record: &ConsumedRecord| record.header("ce_type") == Some(event_types::HELD.as_bytes());
        self.each_that((topics::PROPOSALS, self.of_fleets(topics::PROPOSALS)?), is_held, |_, record| {
            if let Said::Held(held) = FleetRecord::decode(value(&record))?.said
                && held.workload.as_str() == self.question.workload
                && self.question.reaches(held.decided_at)
                && (&*held.rule != STANDS || newest == Some(held.decided_at))
            {
                found.push_front(held);
                found.truncate(self.question.actions_max);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// What the last seven days were worth, `None` where no hour is over, or nothing evaluates; and where the outcomes
    /// begin that were read.
    pub(super) fn last_week(&self) -> Result<(Option<Span>, Option<Begin>)> {
        if !self.bus.topics()?.iter().any(|(name, _)| name == topics::OUTCOMES) {
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

    /// Calls `take` with each record of the workload and its id. Where the reading of its partition began, if there
    /// was anything.
    fn each(&self, topic: &str, take: impl FnMut(Arc<str>, ConsumedRecord) -> Result<()>) -> Result<Option<Begin>> {
        let is_its = |record: &ConsumedRecord| record.key.as_deref() == Some(self.question.workload.as_bytes());
        self.each_that((topic, self.of_partition(topic)?), is_its, take)
    }

    /// Calls `take` with each record that is wanted and its id. Where the reading began, if there was anything.
    fn each_that(
        &self,
        (topic, mut reader): (&str, Box<dyn RecordReader>),
        is_wanted: impl Fn(&ConsumedRecord) -> bool,
        mut take: impl FnMut(Arc<str>, ConsumedRecord) -> Result<()>,
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
                let place = format!("{topic}/{}@{}", record.partition, record.offset);
                let id = envelope(&record).with_context(|| format!("cannot read the headers of {place}"))?.id;
                take(id, record).with_context(|| format!("cannot read {place}"))?;
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

fn value(record: &ConsumedRecord) -> &[u8] {
    record.value.as_deref().unwrap_or_default()
}
