//! The parts of an explanation as text and as JSON. In text, memory is in MiB and GiB; in JSON, amounts are plain numbers
//! and their names say the unit.

use super::Newest;
use super::compared::{Compared, Differing};
use super::log::Begin;
use prescale_contracts::rfc3339;
use prescale_domain::action::{Action, PlanChange, Reason, Verdict};
use prescale_domain::calibration::drift::DriftState;
use prescale_domain::governor::{Effect, Held, Order};
use prescale_domain::kpi::CPU_CORES_USED;
use prescale_domain::policy::explain::amount;
use prescale_domain::policy::grounds::PricedAlternative;
use prescale_domain::policy::proactive::{Alternative, BIN_S, RuleCost};
use prescale_domain::policy::{Decision, Grounds};
use prescale_domain::prediction::{HorizonForecast, Prediction, ResourceForecast};
use prescale_domain::quantiles::QUANTILE_LEVELS;
use prescale_domain::sample::Capacity;
use serde_json::{Value, json};

/// What was forecast and how well such forecasts did, a line a resource and horizon.
pub(super) fn forecast_text(prediction: &Prediction) -> String {
    let mut text = format!("forecast as of {}, of the greatest demand within each time\n", rfc3339(prediction.made_at));
    for forecast in &prediction.resources {
        let words = |x: f64| amount(forecast.resource.as_str(), &forecast.unit, x);
        let last = forecast.last.map_or_else(|| "missing".to_owned(), words);
        let model = format!("model {} {}", forecast.model, forecast.model_version);
        text += &format!("  {}: last {last}, {model}{}\n", forecast.resource, drift_words(forecast.drift));
        for horizon in &forecast.horizons {
            let (most, interval) = (&horizon.maximum, &horizon.maximum_interval);
            let covered = interval.trailing_coverage.map_or_else(
                || "no such range has met what came yet".to_owned(),
                |covered| {
                    format!("of the last {} such ranges {:.0} % held what came", interval.scored, covered * 100.0)
                },
            );
            text += &format!(
                "    {}: {} or less in half of the cases, {} to {} in {:.0} % of them; {covered}\n",
                within_words(horizon.horizon_s),
                words(most.median()),
                words(interval.lower),
                words(interval.upper),
                interval.nominal_coverage * 100.0,
            );
        }
    }
    text
}

/// What drift has led to, as words behind the model that forecasts; nothing where there is none.
fn drift_words(drift: Option<DriftState>) -> &'static str {
    match drift {
        None | Some(DriftState::Stable) => "",
        Some(DriftState::Widened) => "; of late it was further off than it used to be, so its ranges are drawn out",
        Some(DriftState::Reset) => {
            "; of late it was further off than it used to be, so its ranges are drawn out and its correction began anew"
        }
        Some(DriftState::FallenBack) => "; it stands in for one that of late was further off than it used to be",
    }
}

/// How far ahead, in the largest unit that is whole.
fn within_words(horizon_s: u32) -> String {
    match horizon_s {
        s if s.is_multiple_of(3600) => format!("{} h", s / 3600),
        s if s.is_multiple_of(60) => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

pub(super) fn held_text(held: &Held) -> String {
    let Held { workload, decided_at, rule, why, .. } = held;
    format!("{workload} at {}: held by the governor\n  {rule}: {why}\n", rfc3339(*decided_at))
}

/// An order that stands: about what, since when, why, and what it withholds.
pub(super) fn order_text(order: &Order) -> String {
    let Order { scope, effect, at, why, by, .. } = order;
    let (what, withheld) = (effect_name(*effect), withheld_text(*effect));
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    format!(
        "{scope}: {} since {} by order of {by}{why}\n  withheld from this workload: {withheld}, until it is resumed\n",
        what.replace('_', " "),
        rfc3339(*at)
    )
}

/// Whether an order holds what an action changes.
pub(super) fn withholds(order: &Order, action: &Action) -> bool {
    match order.effect {
        Effect::Pause => true,
        Effect::PauseScaleIn => action.verdict != Verdict::ScaleOut && !action.follows_from_live_use(),
        Effect::Resume => false,
    }
}

fn effect_name(effect: Effect) -> &'static str {
    match effect {
        Effect::Pause => "paused",
        Effect::PauseScaleIn => "scale_in_paused",
        Effect::Resume => "resumed",
    }
}

fn withheld_text(effect: Effect) -> &'static str {
    match effect {
        Effect::Pause => "every change, increases that live use demands as well",
        Effect::PauseScaleIn => "what takes something away, and no increase",
        Effect::Resume => "nothing",
    }
}

pub(super) fn order_json(order: &Order) -> Value {
    let Order { scope, effect, at, why, by, .. } = order;
    json!({
        "scope": scope.to_string(),
        "effect": effect_name(*effect),
        "since": rfc3339(*at),
        "why": why,
        "by": by,
        "withholds": withheld_text(*effect),
    })
}

/// The newest decision, made again, and whether the log tells the same of it.
pub(super) fn decision_json(newest: &Newest, agrees_with_log: Option<bool>) -> Value {
    let Newest { prediction, decision, grounds } = newest;
    let (verdict, reasons, proposed) = match decision {
        Decision::Act(action) => ("act", &action.reasons, Some(&action.desired)),
        Decision::Hold(reasons) => ("hold", reasons, None),
    };
    let reason = |r: &Reason| json!({"rule": &*r.rule, "text": r.text});
    json!({
        "made_at": rfc3339(prediction.made_at),
        "verdict": verdict,
        "dry_run": grounds.dry_run,
        "serves_now": grounds.serves.as_ref().map(capacity_json),
        "planned": grounds.planned.as_ref().map(capacity_json),
        "proposed": proposed.map(capacity_json),
        "reasons": reasons.iter().map(reason).collect::<Vec<_>>(),
        "alternatives": alternatives_json(grounds),
        "forecasts": prediction.resources.iter().map(forecast_json).collect::<Vec<_>>(),
        "made_again_with": "the rules of today",
        "agrees_with_log": agrees_with_log,
    })
}

/// What is or could be had: the rules that CPU is sized by, and what the price list has.
fn alternatives_json(grounds: &Grounds) -> Vec<Value> {
    let by_rule = grounds.by_rule.iter().map(rule_json);
    by_rule.chain(grounds.by_price.iter().map(priced_json)).collect()
}

fn rule_json(alternative: &Alternative) -> Value {
    let Alternative { rule, amount, cost, is_chosen } = alternative;
    json!({
        "of": CPU_CORES_USED,
        "rule": rule,
        "capacity": {"cpu_cores": amount},
        "cost": cost.as_ref().map(cost_json),
        "chosen": is_chosen,
    })
}

/// What a rule would have cost of late: in prices, and what those are of.
fn cost_json(RuleCost { parts, worth, of_budget }: &RuleCost) -> Value {
    let core_h = |bins: f32| f64::from(bins) * BIN_S as f64 / 3600.0;
    json!({
        "total": parts.total(),
        "short": parts.short,
        "unmet": parts.unmet,
        "spare": parts.spare,
        "changes": parts.changes,
        "worth": {
            "short_s": f64::from(worth.short) * BIN_S as f64,
            "unmet_core_h": core_h(worth.unmet),
            "spare_core_h": core_h(worth.spare),
            "changes": worth.changes,
        },
        "budget": of_budget.map(|share| json!({"taken_share": share.taken, "allowed_share": share.allowed})),
    })
}

fn priced_json(PricedAlternative { priced, is_chosen }: &PricedAlternative) -> Value {
    let size = priced.capacity.instance_type.as_deref().unwrap_or("the present size");
    json!({
        "of": "capacity",
        "rule": format!("by price: {} of {size}", priced.capacity.replicas),
        "capacity": capacity_json(&priced.capacity),
        "cost": {"price_per_h": priced.price_per_h},
        "chosen": is_chosen,
    })
}

fn capacity_json(capacity: &Capacity) -> Value {
    json!({
        "replicas": capacity.replicas,
        "cpu_cores_per_replica": capacity.cpu_cores_per_replica,
        "memory_bytes_per_replica": capacity.memory_bytes_per_replica,
        "instance_type": capacity.instance_type.as_deref(),
        "cpu_cores": capacity.cpu_cores(),
        "memory_bytes": capacity.memory_bytes(),
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
        "model_version": &*forecast.model_version,
        "drift": forecast.drift.map(DriftState::name),
        "horizons": forecast.horizons.iter().map(horizon).collect::<Vec<_>>(),
    })
}

/// What was held against the log, and the decisions that it tells otherwise.
pub(super) fn compared_json(compared: &Compared) -> Value {
    let differing = |Differing { at, made_again, logged }: &Differing| {
        json!({
            "at": rfc3339(*at),
            "made_again": made_again.as_ref().map(change_json),
            "log": logged.as_ref().map(change_json),
        })
    };
    json!({
        "compared": compared.span.map(|(from, to)| json!({"from": rfc3339(from), "to": rfc3339(to)})),
        "differing": compared.differing.iter().map(differing).collect::<Vec<_>>(),
    })
}

fn change_json(action: &Action) -> Value {
    let verdict = match action.verdict {
        Verdict::ScaleOut => "scale_out",
        Verdict::ScaleIn => "scale_in",
        Verdict::Reshape => "reshape",
    };
    json!({
        "verdict": verdict,
        "plan": action.plan_change().map(|change| match change {
            PlanChange::Raised => "raised",
            PlanChange::Lowered => "lowered",
        }),
        "policy": &*action.policy,
        "dry_run": action.dry_run,
        "proposed": capacity_json(&action.desired),
        "valid_until": rfc3339(action.valid_until),
    })
}

/// Where a reading began; of a partition without a record it is null.
pub(super) fn begin_json(begin: Option<Begin>) -> Value {
    begin.map_or(Value::Null, |begin| json!({"from": rfc3339(begin.at), "whole": begin.is_whole()}))
}

pub(super) fn held_json(held: &Held) -> Value {
    let Held { decided_at, proposal_id, rule, why, .. } = held;
    json!({"decided_at": rfc3339(*decided_at), "proposal_id": &**proposal_id, "rule": &**rule, "why": why})
}
