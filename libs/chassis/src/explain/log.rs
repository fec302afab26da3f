//! What the log holds of one workload, as of the instant that is asked for.

use super::Question;
use anyhow::{Context as _, Result, ensure};
use prescale_bus::partitioner::partition_of;
use prescale_bus::{Bus, CaughtUp, ConsumedRecord, ReadFrom};
use prescale_contracts::{Contract, Envelope, topics};
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

const HELD: &str = "io.prescale.v1.Held";
/// The rule that holds what was asked for before.
const STANDS: &str = "governor.stands";
const PAGE_RECORDS: usize = 5_000;
const WAIT: Duration = Duration::from_millis(500);

/// The log, read for one question.
pub(super) struct Log<'a> {
    pub(super) bus: &'a dyn Bus,
    pub(super) question: &'a Question<'a>,
    pub(super) shutdown: &'a CancellationToken,
}

/// The decisions on the workload.
#[derive(Default)]
pub(super) struct Decisions {
    /// Instant of the first one that is held.
    pub(super) from: Option<EventTime>,
    /// The newest, with the prediction that it is of.
    pub(super) newest: Option<(Prediction, Decision)>,
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
        let partitions = self.partitions_of(topics::PREDICTIONS)?;
        let partition = partition_of(self.question.workload.as_bytes(), partitions);
        let is_beside = |record: &ConsumedRecord| record.partition == partition;
        self.each_that(topics::PREDICTIONS, is_beside, |id, record| {
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
        })?;
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
        let is_held = |record: &ConsumedRecord| record.header("ce_type") == Some(HELD.as_bytes());
        self.each_that(topics::PROPOSALS, is_held, |_, record| {
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

    /// What the last seven days were worth; `None` where no hour is over, or nothing evaluates.
    pub(super) fn last_week(&self) -> Result<Option<Span>> {
        if !self.bus.topics()?.iter().any(|(name, _)| name == topics::OUTCOMES) {
            return Ok(None);
        }
        let mut week = Week::default();
        self.each(topics::OUTCOMES, |_, record| {
            let outcome = Outcome::decode(value(&record))?;
            if self.question.reaches(outcome.to()) {
                week.take(&outcome);
            }
            Ok(())
        })?;
        Ok(week.span())
    }

    fn partitions_of(&self, topic: &str) -> Result<u32> {
        Ok(self.bus.topics()?.iter().find(|(name, _)| name == topic).map_or(1, |(_, n)| (*n).max(1)))
    }

    /// Calls `take` with each record of the workload and its id.
    fn each(&self, topic: &str, take: impl FnMut(Arc<str>, ConsumedRecord) -> Result<()>) -> Result<()> {
        let is_its = |record: &ConsumedRecord| record.key.as_deref() == Some(self.question.workload.as_bytes());
        self.each_that(topic, is_its, take)
    }

    /// Calls `take` with each record that is wanted and its id.
    fn each_that(
        &self,
        topic: &str,
        is_wanted: impl Fn(&ConsumedRecord) -> bool,
        mut take: impl FnMut(Arc<str>, ConsumedRecord) -> Result<()>,
    ) -> Result<()> {
        let partitions = u64::from(self.partitions_of(topic)?);
        let mut reader = self.bus.reader(topic, ReadFrom::Back(self.question.back_records.div_ceil(partitions)))?;
        loop {
            ensure!(!self.shutdown.is_cancelled(), "stopped before all of {topic} was read");
            let (records, caught_up) = reader.poll(PAGE_RECORDS, WAIT)?;
            for record in records.into_iter().filter(&is_wanted) {
                let place = format!("{topic}/{}@{}", record.partition, record.offset);
                let headers = record.headers.iter().map(|h| (h.name.as_str(), h.value.as_slice()));
                let read = Envelope::from_headers(headers);
                let id = read.with_context(|| format!("cannot read the headers of {place}"))?.id;
                take(id, record).with_context(|| format!("cannot read {place}"))?;
            }
            if caught_up == CaughtUp::Yes {
                return Ok(());
            }
        }
    }
}

fn value(record: &ConsumedRecord) -> &[u8] {
    record.value.as_deref().unwrap_or_default()
}
