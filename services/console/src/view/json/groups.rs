//! Groups as JSON: all of them in short, and one in full, which has what a workload has as far as a group has it.

use super::records::prediction_json;
use super::{SPARK_S, SPARK_SLOTS, UPPER, series_json, trail_json};
use crate::view::View;
use crate::view::groups::Group;
use crate::view::status::LOOKAHEAD_S;
use crate::view::workload::horizon_near;
use prescale_domain::calibration::LOWER;
use prescale_domain::prediction::ResourceForecast;
use prescale_domain::quantiles::QUANTILE_LEVELS;
use serde_json::{Value, json};

/// All groups, by name.
pub fn groups(view: &View) -> Value {
    let newest_ms = view.groups.iter().map(|group| group.newest.made_at.as_ms()).max();
    let rows: Vec<Value> = view.groups.iter().map(row).collect();
    json!({"newest_ms": newest_ms, "lookahead_s": LOOKAHEAD_S, "groups": rows})
}

fn row(group: &Group) -> Value {
    let resources: Vec<Value> = group.newest.resources.iter().map(|forecast| resource_json(group, forecast)).collect();
    json!({
        "id": group.newest.group.as_str(),
        "made_at_ms": group.newest.made_at.as_ms(),
        "reported": group.newest.members.reported,
        "known": group.newest.members.known(),
        "resources": resources,
    })
}

fn resource_json(group: &Group, forecast: &ResourceForecast) -> Value {
    let peak = horizon_near(&forecast.horizons, LOOKAHEAD_S).map(|horizon| horizon.maximum);
    let curve = group.demand.get(&forecast.resource);
    json!({
        "resource": forecast.resource.as_str(),
        "unit": &*forecast.unit,
        "last": forecast.last,
        "peak_lower": peak.map(|quantiles| quantiles.values()[LOWER]),
        "peak_median": peak.map(|quantiles| quantiles.median()),
        "peak_upper": peak.map(|quantiles| quantiles.values()[UPPER]),
        "spark": curve.map(|curve| curve.spark(SPARK_SLOTS, SPARK_S)).unwrap_or_default(),
    })
}

/// One group in full; `version` is what the caller names this answer by.
pub fn group(group: &Group, version: &str) -> Value {
    let of_resource = |forecast: &ResourceForecast| {
        let curve = group.demand.get(&forecast.resource)?;
        Some(series_json(&forecast.resource, &forecast.unit, forecast.last, curve))
    };
    let (newest, at_ms) = (&group.newest, group.newest.made_at.as_ms());
    json!({
        "version": version,
        "id": newest.group.as_str(),
        "at_ms": at_ms,
        "reported": newest.members.reported,
        "known": newest.members.known(),
        "series": newest.resources.iter().filter_map(of_resource).collect::<Vec<_>>(),
        "capacity_steps": [],
        "quantile_levels": QUANTILE_LEVELS,
        "prediction": prediction_json(&group.id, newest.made_at, &newest.resources),
        "trail": group.trails.iter().map(|(name, trail)| trail_json(name, trail)).collect::<Vec<_>>(),
        "actions": [],
    })
}
