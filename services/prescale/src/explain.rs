//! `prescale explain WORKLOAD`: why its capacity is what it is.
//!
//! Actions carry their reasons. A decision to leave the capacity as it is leaves no record, so it is
//! made again from the predictions on the log, by the rules of the configuration. The prices follow from a whole
//! partition, so all of its predictions are gone through, not the workload's alone.

mod worth;

use crate::pretty_json;
use anyhow::{Context as _, Result, bail};
use prescale_bus::partitioner::partition_of;
use prescale_bus::{Bus, CaughtUp, ConsumedRecord, ReadFrom};
use prescale_contracts::{Contract, Envelope, record_json, rfc3339, topics, worth_json};
use prescale_domain::action::{Action, ActionOutcome, ActionResult};
use prescale_domain::evaluation::sums::Span;
use prescale_domain::evaluation::wording::sentence;
use prescale_domain::governor::{FleetRecord, Held, Said};
use prescale_domain::policy::{Decision, Planning, RuleBook, explain, explain_hold};
use prescale_domain::prediction::{HorizonForecast, Prediction, ResourceForecast};
use prescale_domain::quantiles::QUANTILE_LEVELS;
use prescale_domain::time::EventTime;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const HELD: &str = "io.prescale.v1.Held";
/// The rule that holds what was asked for before.
const STANDS: &str = "governor.stands";
const PAGE_RECORDS: usize = 5_000;
const WAIT: Duration = Duration::from_millis(500);

/// What is to be explained.
pub struct Question<'a> {
    /// Whose capacity.
    pub workload: &'a str,
    /// Most actions shown, the newest first.
    pub actions_max: usize,
    /// Records of each topic that are read back, over all partitions.
    pub back_records: u64,
    /// As of this instant; the newest if none.
    pub at: Option<EventTime>,
    /// JSON instead of text.
    pub as_json: bool,
}

impl Question<'_> {
    fn reaches(&self, at: EventTime) -> bool {
        self.at.is_none_or(|last| at <= last)
    }
}

struct Answer {
    newest: Option<(Prediction, Decision)>,
    actions: VecDeque<(Arc<str>, ConsumedRecord)>,
    results: BTreeMap<Arc<str>, ConsumedRecord>,
    /// What the governor held, the newest first.
    held: VecDeque<Held>,
    /// What the last seven days were worth.
    week: Option<Span>,
}

/// The explanation as text or JSON.
///
/// # Errors
/// When nothing is known of the workload, a topic is missing or the bus cannot be read.
pub fn explained(
    bus: &dyn Bus,
    rules: &RuleBook,
    question: &Question<'_>,
    shutdown: &CancellationToken,
) -> Result<String> {
    let answer = gather(bus, rules, question, shutdown)?;
    if answer.newest.is_none() && answer.actions.is_empty() && answer.held.is_empty() {
        bail!(
            "nothing is known of workload {:?} in the last {} predictions: `prescale bus tail {} --limit 20` shows the names in use, --back reads further",
            question.workload,
            question.back_records,
            topics::RAW_KPIS
        );
    }
    if question.as_json { as_json(question.workload, &answer) } else { as_text(&answer) }
}

fn gather(bus: &dyn Bus, rules: &RuleBook, question: &Question<'_>, shutdown: &CancellationToken) -> Result<Answer> {
    let week = worth::last_week(bus, question, shutdown)?;
    let mut answer =
        Answer { newest: None, actions: VecDeque::new(), results: BTreeMap::new(), held: VecDeque::new(), week };
    let mut planning = Planning::default();
    let partitions = partitions_of(bus, topics::PREDICTIONS)?;
    let partition = partition_of(question.workload.as_bytes(), partitions);
    let is_beside = |record: &ConsumedRecord| record.partition == partition;
    each_that(bus, topics::PREDICTIONS, question, shutdown, is_beside, |id, record| {
        let prediction = Prediction::decode(value(&record))?;
        if question.reaches(prediction.made_at)
            && let Some(decision) = planning.step(rules, &prediction, &id)
            && prediction.workload.as_str() == question.workload
        {
            answer.newest = Some((prediction, decision));
        }
        Ok(())
    })?;
    each(bus, topics::ACTIONS, question, shutdown, |id, record| {
        if !question.reaches(Action::decode(value(&record))?.decided_at) {
            return Ok(());
        }
        answer.actions.push_front((id, record));
        answer.actions.truncate(question.actions_max);
        Ok(())
    })?;
    each(bus, topics::ACTION_RESULTS, question, shutdown, |_, record| {
        let result = ActionResult::decode(value(&record))?;
        answer.results.insert(result.action_id, record);
        Ok(())
    })?;
    let is_held = |r: &ConsumedRecord| r.header("ce_type") == Some(HELD.as_bytes());
    each_that(bus, topics::PROPOSALS, question, shutdown, is_held, |_, record| {
        if let Said::Held(held) = FleetRecord::decode(value(&record))?.said
            && held.workload.as_str() == question.workload
            && question.reaches(held.decided_at)
            && &*held.rule != STANDS
        {
            answer.held.push_front(held);
            answer.held.truncate(question.actions_max);
        }
        Ok(())
    })?;
    Ok(answer)
}

fn partitions_of(bus: &dyn Bus, topic: &str) -> Result<u32> {
    Ok(bus.topics()?.iter().find(|(name, _)| name == topic).map_or(1, |(_, n)| (*n).max(1)))
}

fn value(record: &ConsumedRecord) -> &[u8] {
    record.value.as_deref().unwrap_or_default()
}

/// Calls `take` with each record of the workload and its id.
fn each(
    bus: &dyn Bus,
    topic: &str,
    question: &Question<'_>,
    shutdown: &CancellationToken,
    take: impl FnMut(Arc<str>, ConsumedRecord) -> Result<()>,
) -> Result<()> {
    let is_its = |record: &ConsumedRecord| record.key.as_deref() == Some(question.workload.as_bytes());
    each_that(bus, topic, question, shutdown, is_its, take)
}

/// Calls `take` with each record that is wanted and its id.
fn each_that(
    bus: &dyn Bus,
    topic: &str,
    question: &Question<'_>,
    shutdown: &CancellationToken,
    is_wanted: impl Fn(&ConsumedRecord) -> bool,
    mut take: impl FnMut(Arc<str>, ConsumedRecord) -> Result<()>,
) -> Result<()> {
    let partitions = partitions_of(bus, topic)?;
    let mut reader = bus.reader(topic, ReadFrom::Back(question.back_records.div_ceil(u64::from(partitions))))?;
    while !shutdown.is_cancelled() {
        let (records, caught_up) = reader.poll(PAGE_RECORDS, WAIT)?;
        for record in records.into_iter().filter(&is_wanted) {
            let place = format!("{topic}/{}@{}", record.partition, record.offset);
            let headers = record.headers.iter().map(|h| (h.name.as_str(), h.value.as_slice()));
            let id = Envelope::from_headers(headers).with_context(|| format!("cannot read the headers of {place}"))?.id;
            take(id, record).with_context(|| format!("cannot read {place}"))?;
        }
        if caught_up == CaughtUp::Yes {
            break;
        }
    }
    Ok(())
}

fn as_text(answer: &Answer) -> Result<String> {
    let mut text = String::new();
    if let Some((prediction, decision)) = &answer.newest {
        if let Decision::Hold(reasons) = decision {
            text += &explain_hold(prediction, reasons);
        }
        text += &forecast_text(prediction);
    }
    if let Some(week) = &answer.week {
        text += &format!("{}\n", sentence(week));
    }
    for held in &answer.held {
        text += &format!(
            "{} at {}: held by the governor\n  {}: {}\n",
            held.workload,
            rfc3339(held.decided_at),
            held.rule,
            held.why
        );
    }
    for (id, record) in &answer.actions {
        if !text.is_empty() {
            text.push('\n');
        }
        text += &explain(&Action::decode(value(record))?);
        text += &match answer.results.get(id) {
            Some(record) => format!("result\n  {}\n", outcome_text(&ActionResult::decode(value(record))?)),
            None => "result\n  none yet\n".to_owned(),
        };
    }
    Ok(text)
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

/// What came of an action, in a sentence.
pub(crate) fn outcome_text(result: &ActionResult) -> String {
    match &result.outcome {
        ActionOutcome::Applied { effective_at } => format!("applied, serves from {}", rfc3339(*effective_at)),
        ActionOutcome::DryRun => "dry run: nothing was called".to_owned(),
        ActionOutcome::Superseded { why } => format!("not carried out: {why}"),
        ActionOutcome::Failed { why, retryable: true } => format!("failed, a later try may succeed: {why}"),
        ActionOutcome::Failed { why, retryable: false } => format!("failed: {why}"),
    }
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

fn as_json(workload: &str, answer: &Answer) -> Result<String> {
    let newest = answer.newest.as_ref().map(|(prediction, decision)| {
        let (verdict, reasons) = match decision {
            Decision::Act(action) => ("act", &action.reasons),
            Decision::Hold(reasons) => ("hold", reasons),
        };
        let reasons: Vec<Value> = reasons.iter().map(|r| json!({"rule": &*r.rule, "text": r.text})).collect();
        let forecasts: Vec<Value> = prediction.resources.iter().map(forecast_json).collect();
        json!({
            "made_at": rfc3339(prediction.made_at),
            "verdict": verdict,
            "reasons": reasons,
            "forecasts": forecasts,
        })
    });
    let actions = answer
        .actions
        .iter()
        .map(|(id, record)| {
            let result = answer.results.get(id).map(|r| record_json(topics::ACTION_RESULTS, value(r))).transpose()?;
            Ok(json!({"id": &**id, "action": record_json(topics::ACTIONS, value(record))?, "result": result}))
        })
        .collect::<Result<Vec<Value>>>()?;
    let held: Vec<Value> = answer
        .held
        .iter()
        .map(|h| {
            json!({"decided_at": rfc3339(h.decided_at), "proposal_id": &*h.proposal_id, "rule": &*h.rule, "why": h.why})
        })
        .collect();
    let document = json!({
        "workload": workload,
        "newest_decision": newest,
        "worth": answer.week.as_ref().map(worth_json),
        "held": held,
        "actions": actions,
    });
    pretty_json(&document)
}
