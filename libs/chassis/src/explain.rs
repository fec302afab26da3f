//! Why a workload's capacity is what it is, as of any instant that the log holds: for the command line and the
//! console.
//!
//! Actions carry their reasons. A decision to leave the capacity as it is leaves no record, so it is
//! made again from the predictions on the log, by the rules of the configuration. A planner knows what it has seen: one
//! that is made again from a part of the log says so, since it may decide otherwise.

mod log;

use log::{Answered, Begin, Decisions, Log, Published};
use prescale_bus::{Bus, ConsumedRecord};
use prescale_contracts::{ContractError, record_json, rfc3339, topics, worth_json};
use prescale_domain::action::{ActionOutcome, ActionResult, Reason};
use prescale_domain::evaluation::sums::Span;
use prescale_domain::evaluation::wording::sentence;
use prescale_domain::governor::Held;
use prescale_domain::policy::{Decision, RuleBook, explain, explain_hold};
use prescale_domain::prediction::{HorizonForecast, Prediction, ResourceForecast};
use prescale_domain::quantiles::QUANTILE_LEVELS;
use prescale_domain::time::EventTime;
use serde_json::{Value, json};
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

/// The forecast, the last decision and the last actions, with their reasons, what the governor held, and what the last
/// seven days were worth.
pub struct Explanation {
    workload: String,
    newest: Option<(Prediction, Decision)>,
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

/// Reads the log and explains.
///
/// # Errors
/// When the log holds nothing of the workload, a topic is missing, the bus cannot be read, or `shutdown` comes first.
pub fn explained(
    bus: &dyn Bus,
    rules: &RuleBook,
    question: &Question<'_>,
    shutdown: &CancellationToken,
) -> Result<Explanation, ExplainError> {
    let log = Log { bus, question, shutdown };
    let (week, told_from) = log.last_week()?;
    let Decisions { from, newest, planned_from } = log.decisions(rules)?;
    let decided_at = newest.as_ref().map(|(prediction, _)| prediction.made_at);
    let explanation = Explanation {
        workload: question.workload.to_owned(),
        newest,
        actions: log.actions()?,
        results: log.results()?,
        held: log.held(decided_at)?,
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

    /// What it does not follow from since it was not read, as sentences.
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
        let week_to = self.week.as_ref().map(|week| week.to);
        let to = week_to.or_else(|| self.newest.as_ref().map(|(prediction, _)| prediction.made_at));
        let is_cut = |begin: &Begin| !begin.is_whole() && to.is_some_and(|to| begin.at > first_of_week(to));
        if let Some(begin) = self.told_from.filter(is_cut) {
            warnings.push(format!(
                "the outcomes were read since {} alone ({why}): there may be more to the last 7 days than is told",
                rfc3339(begin.at)
            ));
        }
        warnings
    }

    /// As text for people.
    pub fn text(&self) -> String {
        let mut text: String = self.warnings().iter().map(|warning| format!("warning: {warning}\n")).collect();
        if let Some((prediction, decision)) = &self.newest {
            text += &self.decision_text(prediction, decision);
            text += &forecast_text(prediction);
        }
        if let Some(week) = &self.week {
            text += &format!("{}\n", sentence(week));
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
    fn decision_text(&self, prediction: &Prediction, decision: &Decision) -> String {
        let action = match decision {
            Decision::Hold(reasons) => return explain_hold(prediction, reasons),
            Decision::Act(action) => action,
        };
        if self.actions.iter().any(|published| published.action.decided_at == action.decided_at) {
            return String::new();
        }
        let is_held = self.held.iter().any(|held| held.decided_at == action.decided_at);
        let verdict = if is_held { "held, see below" } else { "none yet" };
        format!("{}governor\n  {verdict}\n", explain(action))
    }

    fn action_text(&self, Published { id, action, .. }: &Published) -> String {
        let result = self.results.get(id).map_or_else(|| "none yet".to_owned(), |a| outcome_text(&a.result));
        format!("{}result\n  {result}\n", explain(action))
    }

    /// As JSON.
    ///
    /// # Errors
    /// When a record cannot be shown as JSON.
    pub fn json(&self) -> anyhow::Result<Value> {
        let newest = self.newest.as_ref().map(|(prediction, decision)| decision_json(prediction, decision));
        let actions =
            self.actions.iter().map(|published| self.action_json(published)).collect::<Result<Vec<_>, _>>()?;
        Ok(json!({
            "workload": self.workload,
            "warnings": self.warnings(),
            "read": {"predictions": begin_json(self.planned_from), "outcomes": begin_json(self.told_from)},
            "newest_decision": newest,
            "worth": self.week.as_ref().map(worth_json),
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

/// What was forecast and how well such forecasts did, a line a resource and horizon.
fn forecast_text(prediction: &Prediction) -> String {
    let mut text = format!("forecast as of {}\n", rfc3339(prediction.made_at));
    for forecast in &prediction.resources {
        let last = forecast.last.map_or_else(|| "missing".to_owned(), |last| format!("{last:.3}"));
        text += &format!("  {} ({}): last {last}, model {}\n", forecast.resource, forecast.unit, forecast.model);
        for horizon in &forecast.horizons {
            let (most, interval) = (&horizon.maximum, &horizon.maximum_interval);
            let covered = interval.trailing_coverage.map_or_else(
                || "not scored yet".to_owned(),
                |covered| format!("such intervals held {:.0} % of {} times", covered * 100.0, interval.scored),
            );
            text += &format!(
                "    maximum within {} s: median {:.3}, {:.0} % interval {:.3} to {:.3}; {covered}\n",
                horizon.horizon_s,
                most.median(),
                interval.nominal_coverage * 100.0,
                interval.lower,
                interval.upper,
            );
        }
    }
    text
}

fn held_text(held: &Held) -> String {
    let Held { workload, decided_at, rule, why, .. } = held;
    format!("{workload} at {}: held by the governor\n  {rule}: {why}\n", rfc3339(*decided_at))
}

/// What came of an action, in a sentence.
pub fn outcome_text(result: &ActionResult) -> String {
    match &result.outcome {
        ActionOutcome::Applied { effective_at } => format!("applied, serves from {}", rfc3339(*effective_at)),
        ActionOutcome::DryRun => "dry run: nothing was called".to_owned(),
        ActionOutcome::Superseded { why } => format!("not carried out: {why}"),
        ActionOutcome::Failed { why, retryable: true } => format!("failed, a later try may succeed: {why}"),
        ActionOutcome::Failed { why, retryable: false } => format!("failed: {why}"),
    }
}

fn decision_json(prediction: &Prediction, decision: &Decision) -> Value {
    let (verdict, reasons) = match decision {
        Decision::Act(action) => ("act", &action.reasons),
        Decision::Hold(reasons) => ("hold", reasons),
    };
    let reason = |r: &Reason| json!({"rule": &*r.rule, "text": r.text});
    json!({
        "made_at": rfc3339(prediction.made_at),
        "verdict": verdict,
        "reasons": reasons.iter().map(reason).collect::<Vec<_>>(),
        "forecasts": prediction.resources.iter().map(forecast_json).collect::<Vec<_>>(),
    })
}

fn forecast_json(forecast: &ResourceForecast) -> Value {
    let horizon = |h: &HorizonForecast| {
        json!({
            "horizon_s": h.horizon_s,
            "levels": QUANTILE_LEVELS,
            "maximum": h.maximum.values(),
            "value": h.value.values(),
            "trailing_coverage": h.maximum_interval.trailing_coverage,
            "scored": h.maximum_interval.scored,
        })
    };
    json!({
        "resource": forecast.resource.as_str(),
        "unit": &*forecast.unit,
        "last": forecast.last,
        "model": &*forecast.model,
        "horizons": forecast.horizons.iter().map(horizon).collect::<Vec<_>>(),
    })
}

/// Where a reading began; of a partition without a record it is null.
fn begin_json(begin: Option<Begin>) -> Value {
    begin.map_or(Value::Null, |begin| json!({"from": rfc3339(begin.at), "whole": begin.is_whole()}))
}

fn held_json(held: &Held) -> Value {
    let Held { decided_at, proposal_id, rule, why, .. } = held;
    json!({"decided_at": rfc3339(*decided_at), "proposal_id": &**proposal_id, "rule": &**rule, "why": why})
}
