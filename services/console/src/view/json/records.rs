//! The field's records as JSON.

use crate::view::workload::KeptAction;
use prescale_domain::action::{ActionOutcome, ActionResult, Evidence, Mechanism, PlanChange, Verdict};
use prescale_domain::calibration::drift::DriftState;
use prescale_domain::fingerprint::{Fingerprint, KpiFingerprint, Season, WindowFeatures};
use prescale_domain::prediction::{HorizonForecast, Interval, ResourceForecast};
use prescale_domain::sample::Capacity;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use serde_json::{Value, json};

pub(super) fn capacity_json(capacity: &Capacity) -> Value {
    json!({
        "replicas": capacity.replicas,
        "cpu_cores_per_replica": capacity.cpu_cores_per_replica,
        "memory_bytes_per_replica": capacity.memory_bytes_per_replica,
        "instance_type": capacity.instance_type.as_deref(),
        "cpu_cores": capacity.cpu_cores(),
        "memory_bytes": capacity.memory_bytes(),
    })
}

/// What a line of the fleet shows of an action; there may be thousands of lines.
pub(super) fn action_line_json(kept: &KeptAction, result: Option<&ActionResult>) -> Value {
    let mut action = action_json(kept, result);
    let outcome = action["result"]["outcome"].take();
    json!({
        "id": action["id"].take(),
        "verdict": action["verdict"].take(),
        "plan": action["plan"].take(),
        "decided_at_ms": action["decided_at_ms"].take(),
        "current": action["current"].take(),
        "desired": action["desired"].take(),
        "result": if outcome.is_null() { Value::Null } else { json!({ "outcome": outcome }) },
    })
}

pub(super) fn action_json(kept: &KeptAction, result: Option<&ActionResult>) -> Value {
    let action = &kept.action;
    let reasons: Vec<Value> = action.reasons.iter().map(|r| json!({"rule": &*r.rule, "text": r.text})).collect();
    json!({
        "id": &*kept.id,
        "workload": action.workload.as_str(),
        "decided_at_ms": action.decided_at.as_ms(),
        "valid_until_ms": action.valid_until.as_ms(),
        "prediction_id": &*action.prediction_id,
        "policy": &*action.policy,
        "verdict": match action.verdict {
            Verdict::ScaleOut => "scale-out",
            Verdict::ScaleIn => "scale-in",
            Verdict::Reshape => "reshape",
        },
        "plan": action.plan_change().map(|change| match change {
            PlanChange::Raised => "raised",
            PlanChange::Lowered => "lowered",
        }),
        "mechanism": match action.mechanism {
            Mechanism::Replicas => "replicas",
            Mechanism::Limits => "limits",
            Mechanism::InstanceType => "instance-type",
        },
        "dry_run": action.dry_run,
        "current": capacity_json(&action.current),
        "desired": capacity_json(&action.desired),
        "evidence": action.evidence.iter().map(evidence_json).collect::<Vec<_>>(),
        "reasons": reasons,
        "result": result.map(result_json),
    })
}

fn evidence_json(evidence: &Evidence) -> Value {
    json!({
        "resource": &*evidence.resource,
        "horizon_s": evidence.horizon_s,
        "predicted": evidence.predicted,
        "lower": evidence.lower,
        "upper": evidence.upper,
        "relative_width": evidence.relative_width,
        "capacity": evidence.capacity,
        "model": &*evidence.model,
    })
}

fn result_json(result: &ActionResult) -> Value {
    let (outcome, effective_at, why, retryable) = match &result.outcome {
        ActionOutcome::Applied { effective_at } => ("applied", Some(effective_at.as_ms()), None, None),
        ActionOutcome::DryRun { said, .. } => ("dry-run", None, said.as_ref(), None),
        ActionOutcome::Superseded { why } => ("superseded", None, Some(why), None),
        ActionOutcome::Failed { why, retryable } => ("failed", None, Some(why), Some(*retryable)),
    };
    json!({
        "outcome": outcome,
        "at_ms": result.at.as_ms(),
        "effective_at_ms": effective_at,
        "why": why,
        "retryable": retryable,
        "before": capacity_json(&result.before),
        "after": capacity_json(&result.after),
        "price_per_h": result.price_per_h,
        "request": request_json(&result.outcome),
    })
}

/// The call that a dry run would have made.
fn request_json(outcome: &ActionOutcome) -> Option<Value> {
    let ActionOutcome::DryRun { request: Some(request), .. } = outcome else { return None };
    Some(json!({
        "method": request.method,
        "path": request.path,
        "body": request.body,
        "accepted": request.is_accepted,
    }))
}

pub(super) fn prediction_json(id: &str, made_at: EventTime, resources: &[ResourceForecast]) -> Value {
    let resources: Vec<Value> = resources
        .iter()
        .map(|r| {
            json!({"resource": r.resource.as_str(), "unit": &*r.unit, "last": r.last, "model": &*r.model,
                   "model_version": &*r.model_version, "drift": r.drift.map(DriftState::name),
                   "started_from": r.started_from.iter().map(WorkloadId::as_str).collect::<Vec<_>>(),
                   "horizons": r.horizons.iter().map(horizon_json).collect::<Vec<_>>()})
        })
        .collect();
    json!({"id": id, "made_at_ms": made_at.as_ms(), "resources": resources})
}

fn horizon_json(horizon: &HorizonForecast) -> Value {
    json!({
        "horizon_s": horizon.horizon_s,
        "value": horizon.value.values(),
        "maximum": horizon.maximum.values(),
        "value_interval": interval_json(&horizon.value_interval),
        "maximum_interval": interval_json(&horizon.maximum_interval),
    })
}

fn interval_json(interval: &Interval) -> Value {
    json!({
        "nominal_coverage": interval.nominal_coverage,
        "lower": interval.lower,
        "upper": interval.upper,
        "trailing_coverage": interval.trailing_coverage,
        "scored": interval.scored,
    })
}

/// Newest values, with the features as of `features_at`, which is an earlier instant between the closes of bins.
pub(super) fn fingerprint_json(fingerprint: &Fingerprint, features_at: Option<EventTime>) -> Value {
    json!({
        "at_ms": fingerprint.at.as_ms(),
        "features_at_ms": features_at.map(|at| at.as_ms()),
        "step_s": fingerprint.step_s,
        "short_window_s": fingerprint.short_window_s,
        "long_window_s": fingerprint.long_window_s,
        "feature_schema_hash": &*fingerprint.feature_schema_hash,
        "kpis": fingerprint.kpis.iter().map(kpi_json).collect::<Vec<_>>(),
    })
}

fn kpi_json(kpi: &KpiFingerprint) -> Value {
    let windows = kpi.windows.as_deref();
    json!({"name": kpi.name.as_str(), "unit": &*kpi.unit, "last": kpi.last,
           "short": windows.map(|w| window_json(&w.short)), "long": windows.map(|w| window_json(&w.long))})
}

fn window_json(window: &WindowFeatures) -> Value {
    let w = window;
    json!({
        "count": w.count, "missing_share": w.missing_share, "mean": w.mean, "std_dev": w.std_dev,
        "min": w.min, "max": w.max, "p50": w.p50, "p90": w.p90, "p95": w.p95, "p99": w.p99,
        "trend_per_h": w.trend_per_h, "trend_std_err": w.trend_std_err, "trend_r2": w.trend_r2,
        "top_seasons": w.top_seasons.iter().map(season_json).collect::<Vec<_>>(),
        "season_1h": w.season_1h.as_ref().map(season_json),
        "season_24h": w.season_24h.as_ref().map(season_json),
        "season_7d": w.season_7d.as_ref().map(season_json),
        "acf_1h": w.acf_1h, "acf_24h": w.acf_24h, "acf_7d": w.acf_7d,
        "burstiness": w.burstiness, "extra": w.extra,
    })
}

fn season_json(season: &Season) -> Value {
    json!({"period_s": season.period_s, "amplitude": season.amplitude,
           "phase_rad": season.phase_rad, "strength": season.strength})
}
