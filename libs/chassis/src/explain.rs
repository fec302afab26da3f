//! Why a workload's capacity is what it is, as of any instant that the log holds: for the command line and the
//! console.
//!
//! Actions carry their reasons. A decision to leave the capacity as it is leaves no record, so it is
//! made again from the predictions on the log, by the rules of the configuration as it is today. What the log tells of the
//! decisions that were made then is held against that, and where they differ it is said. A planner knows what it has seen:
//! one that is made again from a part of the log says so, since it may decide otherwise.

mod compared;
mod heard;
mod log;
mod shown;

use compared::Compared;
use log::{Answered, Begin, Decisions, Log, Published};
use prescale_bus::{Bus, ConsumedRecord};
use prescale_contracts::{ContractError, record_json, rfc3339, topics, worth_json};
use prescale_domain::action::{ActionOutcome, ActionResult, ShownRequest};
use prescale_domain::evaluation::sums::Span;
use prescale_domain::evaluation::wording::sentence;
use prescale_domain::governor::{Fleets, Held, Order};
use prescale_domain::policy::{Decision, Grounds, RuleBook, explain, explain_hold};
use prescale_domain::prediction::Prediction;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use serde_json::{Value, json};
use shown::{
    begin_json, compared_json, decision_json, forecast_text, held_json, held_text, order_json, order_text, withholds,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Most actions that are shown unless told otherwise.
pub const ACTIONS_SHOWN: usize = 3;
/// [`Question::back_records`] for all that the log holds of the workload's partition.
pub const BACK_WHOLE: u64 = u64::MAX;
const DAY_S: u32 = 86_400;
const HOUR_S: i64 = 3600;

/// What is to be explained.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Whose capacity.
    pub workload: &'a str,
    /// Most actions shown, the newest first.
    pub actions_max: usize,
    /// Records of the workload's partition that are read back of each topic. Of what is kept by fleet at most so many
    /// are read over all partitions.
    pub back_records: u64,
    /// As of this instant; the newest if none.
    pub at: Option<EventTime>,
}

impl Question<'_> {
    fn reaches(&self, at: EventTime) -> bool {
        self.at.is_none_or(|last| at <= last)
    }
}

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The log holds nothing of the workload as of that instant.
    #[error("{0}")]
    Unknown(String),
    /// A topic is missing, or the bus or a record cannot be read.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

/// A decision, made again, with the prediction that it is of and what it goes by.
struct Newest {
    prediction: Prediction,
    decision: Decision,
    grounds: Grounds,
}

/// The forecast, the last decision and the last actions, with their reasons, what the governor held, which orders stand,
/// and what the last seven days were worth.
pub struct Explanation {
    workload: String,
    newest: Option<Newest>,
    /// How the newest decision, and those shortly before, agree with what the log tells of them.
    compared: Compared,
    /// Those that stand of the workload.
    orders: Vec<Order>,
    /// The newest first.
    actions: VecDeque<Published>,
    results: BTreeMap<Arc<str>, Answered>,
    /// The newest first.
    held: VecDeque<Held>,
    week: Option<Span>,
    /// Where the reading of the predictions began, from which the planner was made again.
    planned_from: Option<Begin>,
    /// Where the reading of the outcomes began.
    told_from: Option<Begin>,
    back_records: u64,
}

/// Reads the log and explains, by the planner's rules and the fleets that workloads belong to.
///
/// # Errors
/// When the log holds nothing of the workload, a topic is missing, the bus cannot be read, or `shutdown` comes first.
pub fn explained(
    bus: &dyn Bus,
    (rules, fleets): (&RuleBook, &Fleets),
    question: &Question<'_>,
    shutdown: &CancellationToken,
) -> Result<Explanation, ExplainError> {
    let Ok(workload) = WorkloadId::new(question.workload) else {
        return Err(ExplainError::Unknown(unknown(question, None)));
    };
    let log = Log { bus, question, shutdown };
    let (week, told_from) = log.last_week()?;
    let Decisions { from, newest, acts, planned_from } = log.decisions(rules)?;
    let fleet = fleets.of(&workload, newest.as_ref().map_or("", |newest| &*newest.prediction.source));
    let decided_at = newest.as_ref().map(|newest| newest.prediction.made_at);
    let heard = log.heard(&fleet, decided_at)?;
    let orders = log.orders(&heard)?;
    let compared = from.zip(decided_at).map(|span| Compared::of(span, &acts, &heard)).unwrap_or_default();
    let explanation = Explanation {
        workload: question.workload.to_owned(),
        newest,
        compared,
        orders: orders.covering(&fleet, &workload).cloned().collect(),
        actions: log.actions()?,
        results: log.results()?,
        held: heard.held,
        week,
        planned_from,
        told_from,
        back_records: question.back_records,
    };
    if explanation.is_empty() { Err(ExplainError::Unknown(unknown(question, from))) } else { Ok(explanation) }
}

/// That nothing is known, and from when on something is.
fn unknown(question: &Question<'_>, from: Option<EventTime>) -> String {
    let Question { workload, at, .. } = question;
    match (at, from) {
        (Some(at), Some(from)) => format!(
            "nothing is known of workload {workload:?} as of {}: in what was read it begins at {}",
            rfc3339(*at),
            rfc3339(from)
        ),
        _ => format!("nothing is known of workload {workload:?} in what was read"),
    }
}

/// First instant of the seven days (UTC) whose last hour ends at `to`.
fn first_of_week(to: EventTime) -> EventTime {
    EventTime::of_bin(to.plus_s(-HOUR_S).bin(DAY_S) - 6, DAY_S)
}

impl Explanation {
    fn is_empty(&self) -> bool {
        self.newest.is_none() && self.actions.is_empty() && self.held.is_empty()
    }

    /// What it does not follow from since it was not read, and what the log tells otherwise, as sentences.
    fn warnings(&self) -> Vec<String> {
        let why = match self.back_records {
            BACK_WHOLE => "the log holds no earlier ones".to_owned(),
            records => format!("at most {records} records are read back"),
        };
        let mut warnings = Vec::new();
        if let Some(begin) = self.planned_from.filter(|begin| self.newest.is_some() && !begin.is_whole()) {
            warnings.push(format!(
                "the planner was made again from the predictions since {} alone ({why}): it lacks what the running \
                 planner remembers from before, so it may decide for other reasons",
                rfc3339(begin.at)
            ));
        }
        if self.newest.is_none() && self.back_records != BACK_WHOLE {
            warnings.push(format!(
                "no prediction of the workload is among what was read ({why}), so no decision was made again"
            ));
        }
        let week_to = self.week.as_ref().map(|week| week.to);
        let to = week_to.or_else(|| self.newest.as_ref().map(|newest| newest.prediction.made_at));
        let is_cut = |begin: &Begin| !begin.is_whole() && to.is_some_and(|to| begin.at > first_of_week(to));
        if let Some(begin) = self.told_from.filter(is_cut) {
            warnings.push(format!(
                "the outcomes were read since {} alone ({why}): there may be more to the last 7 days than is told",
                rfc3339(begin.at)
            ));
        }
        warnings.extend(self.compared.warnings(self.all_was_read()));
        warnings
    }

    /// Whether the planner was made again from all that there ever was.
    fn all_was_read(&self) -> bool {
        self.planned_from.is_some_and(|begin| begin.is_whole())
    }

    /// That less than a day of history is behind the newest decision, which makes the account of it look bad.
    fn youth(&self) -> Option<String> {
        let youth = self.newest.as_ref()?.grounds.youth()?;
        Some(if self.all_was_read() { youth } else { format!("in what was read, {youth}") })
    }

    /// As text for people.
    pub fn text(&self) -> String {
        let mut text: String = self.warnings().iter().map(|warning| format!("warning: {warning}\n")).collect();
        text.extend(self.orders.iter().map(order_text));
        if let Some(newest) = &self.newest {
            text += &self.decision_text(newest);
            text += &self.logged_text();
            text += &forecast_text(&newest.prediction);
        }
        if let Some(week) = &self.week {
            text += &format!("{}\n", sentence(week));
        }
        if let Some(youth) = self.youth() {
            text += &format!("{youth}\n");
        }
        for held in &self.held {
            text += &held_text(held);
        }
        for published in &self.actions {
            if !text.is_empty() {
                text.push('\n');
            }
            text += &self.action_text(published);
        }
        text
    }

    /// The newest decision, unless it is among the actions.
    fn decision_text(&self, Newest { prediction, decision, grounds }: &Newest) -> String {
        let is_other = self.compared.of_newest().is_some();
        let made_again = if is_other { "made again with the rules of today\n" } else { "" };
        let action = match decision {
            Decision::Hold(reasons) => return format!("{made_again}{}", explain_hold(prediction, grounds, reasons)),
            Decision::Act(action) => action,
        };
        if self.is_published(action.decided_at) {
            return String::new();
        }
        let is_held = self.held.iter().any(|held| held.decided_at == action.decided_at);
        let withheld_by = self.orders.iter().find(|order| withholds(order, action));
        let verdict = match (is_held, withheld_by) {
            (true, _) => "held, see below".to_owned(),
            (false, Some(order)) => format!("none yet; the order about {} withholds it", order.scope),
            (false, None) => "none yet".to_owned(),
        };
        format!("{made_again}{}governor\n  {verdict}\n", explain(action, grounds.planned.as_ref()))
    }

    /// What the log holds of the newest decision where that is something else, unless it is among the actions.
    fn logged_text(&self) -> String {
        let logged = self.compared.of_newest().and_then(|differing| differing.logged.as_ref());
        let unseen = logged.filter(|action| !self.is_published(action.decided_at));
        unseen.map_or_else(String::new, |action| format!("the log holds at that time\n{}", explain(action, None)))
    }

    fn is_published(&self, decided_at: EventTime) -> bool {
        self.actions.iter().any(|published| published.action.decided_at == decided_at)
    }

    fn action_text(&self, Published { id, action, .. }: &Published) -> String {
        let result = self.results.get(id).map_or_else(|| "none yet".to_owned(), |a| outcome_text(&a.result));
        format!("{}result\n  {result}\n", explain(action, None))
    }

    /// As JSON.
    ///
    /// # Errors
    /// When a record cannot be shown as JSON.
    pub fn json(&self) -> anyhow::Result<Value> {
        let newest = self.newest.as_ref().map(|newest| decision_json(newest, self.compared.newest_agrees));
        let actions =
            self.actions.iter().map(|published| self.action_json(published)).collect::<Result<Vec<_>, _>>()?;
        Ok(json!({
            "workload": self.workload,
            "warnings": self.warnings(),
            "read": {"predictions": begin_json(self.planned_from), "outcomes": begin_json(self.told_from)},
            "orders": self.orders.iter().map(order_json).collect::<Vec<_>>(),
            "newest_decision": newest,
            "log": compared_json(&self.compared),
            "worth": self.week.as_ref().map(worth_json),
            "history": {
                "watched_s": self.newest.as_ref().and_then(|newest| newest.grounds.watched_s),
                "youth": self.youth(),
            },
            "held": self.held.iter().map(held_json).collect::<Vec<_>>(),
            "actions": actions,
        }))
    }

    fn action_json(&self, Published { id, record, .. }: &Published) -> Result<Value, ContractError> {
        let shown = |topic, record: &ConsumedRecord| record_json(topic, record.value.as_deref().unwrap_or_default());
        let result =
            self.results.get(id).map(|answered| shown(topics::ACTION_RESULTS, &answered.record)).transpose()?;
        Ok(json!({"id": &**id, "action": shown(topics::ACTIONS, record)?, "result": result}))
    }
}

/// What came of an action, in a sentence.
pub fn outcome_text(result: &ActionResult) -> String {
    match &result.outcome {
        ActionOutcome::Applied { effective_at } => format!("applied, serves from {}", rfc3339(*effective_at)),
        ActionOutcome::DryRun { request, said } => dry_run_text(request.as_ref(), said.as_deref()),
        ActionOutcome::Superseded { why } => format!("not carried out: {why}"),
        ActionOutcome::Failed { why, retryable: true } => format!("failed, a later try may succeed: {why}"),
        ActionOutcome::Failed { why, retryable: false } => format!("failed: {why}"),
    }
}

fn dry_run_text(request: Option<&ShownRequest>, said: Option<&str>) -> String {
    let said = said.map(|said| format!(": {said}")).unwrap_or_default();
    let Some(ShownRequest { method, path, body, is_accepted, .. }) = request else {
        return format!("dry run, nothing was called{said}");
    };
    let answer = match is_accepted {
        Some(true) => "would take",
        Some(false) => "would refuse",
        None => "was not asked about",
    };
    format!("dry run, the cloud {answer} {method} {path} {body}{said}")
}

#[cfg(test)]
mod tests;
