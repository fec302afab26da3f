//! The view as JSON: what the page and scripts read. Instants are milliseconds since the Unix
//! epoch, values are in the unit named beside them.

mod groups;
mod records;

pub use groups::{group, groups};

use super::View;
use super::series::{Foretold, Series, Spread};
use super::status::{LOOKAHEAD_S, Status, status};
use super::workload::{KpiCurve, TRAIL_HORIZON_S, Workload};
use prescale_contracts::worth_json;
use prescale_domain::kpi::{CPU_CORES_USED, KpiName, MEMORY_BYTES};
use prescale_domain::quantiles::QUANTILE_LEVELS;
use prescale_domain::sample::Capacity;
use records::{action_json, action_line_json, capacity_json, fingerprint_json, prediction_json};
use serde::Serialize;
use serde_json::{Value, json};

const SPARK_SLOTS: usize = 32;
const SPARK_S: u32 = 6 * 3600;
/// Index of the 95 % quantile.
const UPPER: usize = 6;

/// Use of one resource against its capacity.
#[derive(Debug, Serialize)]
struct Use {
    used: Option<f64>,
    capacity: Option<f64>,
    /// Median of the peak within the look-ahead.
    forecast_median: Option<f64>,
    /// 95 % quantile of that peak.
    forecast_upper: Option<f64>,
}

/// One row of the fleet.
#[derive(Debug, Serialize)]
struct Row {
    id: String,
    platform: String,
    source: String,
    at_ms: Option<i64>,
    status: Status,
    status_why: String,
    cpu: Use,
    memory: Use,
    capacity: Option<Value>,
    spark: Value,
    last_action: Option<Value>,
}

/// The fleet: the rows that changed after `since_revision`, or all where that is `None` or rows
/// have gone since. `None` when nothing changed. `version` is what the caller names this answer by.
pub fn fleet(view: &View, since_revision: Option<u64>, version: &str) -> Option<Value> {
    if since_revision == Some(view.revision) {
        return None;
    }
    let since = since_revision.filter(|since| *since <= view.revision && *since >= view.evicted_at_revision);
    let rows: Vec<Row> = view
        .workloads
        .values()
        .filter(|w| w.at.is_some())
        .map(|w| (w, status(w, view.stream_at.get(&w.source).copied())))
        .filter(|(w, (status, _))| since.is_none_or(|since| w.revision > since) || *status == Status::Silent)
        .map(|(w, (status, why))| row(w, status, why))
        .collect();
    Some(json!({
        "version": version,
        "full": since.is_none(),
        "newest_ms": view.newest().map(|at| at.as_ms()),
        "lookahead_s": LOOKAHEAD_S,
        "workloads_max": view.bounds.workloads_max,
        "evicted": view.evicted,
        "refused": view.refused,
        "worth": view.worth().as_ref().map(worth_json),
        "rows": rows,
    }))
}

fn row(workload: &Workload, status: Status, why: String) -> Row {
    let capacity = workload.capacity.as_ref();
    let curve = workload.kpis.iter().find(|(name, _)| name.as_str() == CPU_CORES_USED).map(|(_, curve)| curve);
    let last = workload.actions.back();
    Row {
        id: workload.id.as_str().to_owned(),
        platform: workload.platform.to_string(),
        source: workload.source.to_string(),
        at_ms: workload.at.map(|at| at.as_ms()),
        status,
        status_why: why,
        cpu: usage(workload, CPU_CORES_USED, capacity.map(Capacity::cpu_cores)),
        memory: usage(workload, MEMORY_BYTES, capacity.map(Capacity::memory_bytes)),
        capacity: capacity.map(capacity_json),
        spark: json!({"span_s": SPARK_S, "values": curve.map(|c| c.series.spark(SPARK_SLOTS, SPARK_S)).unwrap_or_default()}),
        last_action: last.map(|kept| action_line_json(kept, workload.result_of(&kept.id))),
    }
}

fn usage(workload: &Workload, kpi: &str, capacity: Option<f64>) -> Use {
    let forecast = workload.forecast(kpi, LOOKAHEAD_S);
    Use {
        used: workload.last_of(kpi),
        capacity,
        forecast_median: forecast.map(|f| f.maximum.median()),
        forecast_upper: forecast.map(|f| f.maximum.values()[UPPER]),
    }
}

/// One workload in full.
pub fn workload(view: &View, workload: &Workload, version: &str) -> Value {
    let (status, why) = status(workload, view.stream_at.get(&workload.source).copied());
    let at = workload.at.or_else(|| workload.actions.back().map(|kept| kept.action.decided_at));
    let actions: Vec<Value> =
        workload.actions.iter().rev().map(|kept| action_json(kept, workload.result_of(&kept.id))).collect();
    let steps: Vec<Value> = workload
        .capacity_steps
        .iter()
        .map(|(at, capacity)| {
            let mut step = capacity_json(capacity);
            step["at_ms"] = json!(at.as_ms());
            step
        })
        .collect();
    let series_of = |(name, curve): (&KpiName, &KpiCurve)| series_json(name, &curve.unit, curve.last, &curve.series);
    json!({
        "version": version,
        "id": workload.id.as_str(),
        "platform": workload.platform.as_str(),
        "source": &*workload.source,
        "step_s": workload.step_s,
        "at_ms": at.map(|at| at.as_ms()),
        "newest_ms": view.newest().map(|at| at.as_ms()),
        "status": status,
        "status_why": why,
        "capacity": workload.capacity.as_ref().map(capacity_json),
        "capacity_steps": steps,
        "series": workload.kpis.iter().map(series_of).collect::<Vec<_>>(),
        "quantile_levels": QUANTILE_LEVELS,
        "prediction": workload.prediction.as_ref().map(|(id, p)| prediction_json(id, p.made_at, &p.resources)),
        "trail": workload.trails.iter().map(|(name, trail)| trail_json(name, trail)).collect::<Vec<_>>(),
        "actions": actions,
        "worth": workload.week.span().as_ref().map(worth_json),
        "fingerprint": workload.fingerprint.as_deref().map(|newest| fingerprint_json(newest, workload.features_at)),
    })
}

fn series_json(name: &KpiName, unit: &str, last: Option<f64>, series: &Series<Spread>) -> Value {
    let points: Vec<(i64, f32, f32, f32)> = series.iter().map(|(at, b)| (at.as_ms(), b.mean, b.min, b.max)).collect();
    json!({"kpi": name.as_str(), "unit": unit, "last": last, "resolution_s": series.width_s(), "points": points})
}

fn trail_json(name: &KpiName, trail: &Series<Foretold>) -> Value {
    let points: Vec<(i64, f32, f32, f32)> =
        trail.iter().map(|(at, b)| (at.as_ms(), b.lower, b.median, b.upper)).collect();
    json!({"resource": name.as_str(), "horizon_s": TRAIL_HORIZON_S, "resolution_s": trail.width_s(), "points": points})
}

/// The newest actions of all workloads, newest first.
pub fn actions(view: &View, limit: usize) -> Value {
    let found: Vec<Value> = view
        .recent_actions
        .iter()
        .rev()
        .filter_map(|(_, workload, id)| {
            let workload = view.workloads.get(workload)?;
            let kept = workload.actions.iter().rev().find(|kept| kept.id == *id)?;
            Some(action_json(kept, workload.result_of(id)))
        })
        .take(limit)
        .collect();
    json!({"actions": found, "kept": view.recent_actions.len()})
}

/// How full the view is.
pub fn kept(view: &View) -> Value {
    json!({
        "workloads": view.workloads.len(),
        "workloads_max": view.bounds.workloads_max,
        "points": view.workloads.values().map(Workload::points).sum::<usize>(),
        "points_per_series": view.points_max(),
    })
}
