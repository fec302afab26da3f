//! `prescale retraining`: the trained families that should be trained anew, and on what.
//!
//! Which they are follows from what workloads of all partitions asked for on topic `retraining`, and from the versions in
//! use: once another version is promoted, what was asked for of the one before is done with.

use anyhow::Result;
use prescale_bus::{Bus, CaughtUp, ReadFrom};
use prescale_chassis::stage::decode_record;
use prescale_contracts::{rfc3339, topics};
use prescale_domain::kpi::KpiName;
use prescale_domain::retraining::{OpenRequest, RetrainingRequest, open_requests};
use prescale_domain::workload::WorkloadId;
use prescale_inference::store::{ModelStore, Verdict};
use prescale_predictor::config::Settings;
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const PAGE_RECORDS: usize = 5_000;
const WAIT: Duration = Duration::from_millis(500);
/// So many workloads are named in a text.
const SHOWN_MAX: usize = 5;

/// The open requests of versions that are in use.
///
/// # Errors
/// When the bus or the store of models cannot be read.
pub fn open(bus: &dyn Bus, settings: &Settings, shutdown: &CancellationToken) -> Result<Vec<OpenRequest>> {
    let mut reader = bus.reader(topics::RETRAINING, ReadFrom::Earliest)?;
    let mut asked = Vec::new();
    while !shutdown.is_cancelled() {
        let (records, caught_up) = reader.poll(PAGE_RECORDS, WAIT)?;
        for record in &records {
            match decode_record::<RetrainingRequest>(record) {
                Ok(input) => asked.push(input.value),
                Err(why) => {
                    let (partition, offset) = (record.partition, record.offset);
                    tracing::warn!(partition, offset, %why, "a record of topic retraining is left out");
                }
            }
        }
        if caught_up == CaughtUp::Yes {
            break;
        }
    }
    let mut open = Vec::new();
    for request in open_requests(asked) {
        if is_of_version_in_use(settings, &request)? {
            open.push(request);
        }
    }
    Ok(open)
}

/// Whether no other version was promoted since.
fn is_of_version_in_use(settings: &Settings, request: &OpenRequest) -> Result<bool> {
    let Some(root) = &settings.models_dir else { return Ok(true) };
    let switches = ModelStore::new(root).switches(request.family.family().name())?;
    let last = switches.iter().rfind(|switch| !matches!(switch.verdict, Some(Verdict::Refused(_))));
    let promoted = last.and_then(|switch| switch.to.as_ref());
    Ok(promoted.is_none_or(|promoted| *promoted.version == *request.model_version))
}

/// As JSON. Losses are shares of the demand's size, instants milliseconds since 1970.
pub fn as_json(open: &[OpenRequest]) -> Value {
    let one = |request: &OpenRequest| {
        json!({
            "family": request.family.family().name(),
            "model_version": &*request.model_version,
            "from_ms": request.from.as_ms(),
            "to_ms": request.to.as_ms(),
            "workloads": request.workloads.iter().map(WorkloadId::as_str).collect::<Vec<_>>(),
            "more_workloads": request.more,
            "resources": request.resources.iter().map(KpiName::as_str).collect::<Vec<_>>(),
            "loss_before": request.loss_before,
            "loss_now": request.loss_now,
        })
    };
    open.iter().map(one).collect()
}

/// As text.
pub fn as_text(open: &[OpenRequest]) -> String {
    if open.is_empty() {
        return "No family has to be trained anew.\n".to_owned();
    }
    open.iter().map(sentence).collect()
}

fn sentence(request: &OpenRequest) -> String {
    let OpenRequest { family, model_version, from, to, workloads, more, resources, .. } = request;
    let shown: Vec<&str> = workloads.iter().take(SHOWN_MAX).map(WorkloadId::as_str).collect();
    let others = workloads.len() + more - shown.len();
    let others = if others > 0 { format!(" and {others} more") } else { String::new() };
    let resources: Vec<&str> = resources.iter().map(KpiName::as_str).collect();
    format!(
        "{} {model_version} should be trained anew: of {} it loses {:.1} % of the demand in place of {:.1} %, from {} to {}, \
         on {}{others}\n",
        family.family().name(),
        resources.join(", "),
        100.0 * request.loss_now,
        100.0 * request.loss_before,
        rfc3339(*from),
        rfc3339(*to),
        shown.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use prescale_domain::retraining::TrainedFamily;
    use prescale_domain::source::SourceName;
    use prescale_domain::time::EventTime;
    use prescale_inference::store::{Pinned, Switch};
    use prescale_predictor::config::Config;

    fn request(workload: usize) -> RetrainingRequest {
        RetrainingRequest {
            family: TrainedFamily::named("lstm").unwrap(),
            model_version: "2".into(),
            workload: WorkloadId::new(&format!("vm-{workload}")).unwrap(),
            source: SourceName::new("fleet:test").unwrap(),
            resource: KpiName::new("cpu_cores_used"),
            from: EventTime::from_s(1_767_225_600),
            to: EventTime::from_s(1_767_398_400),
            loss_before: 0.04,
            loss_now: 0.09,
        }
    }

    #[test]
    fn it_says_what_is_open_and_why() {
        let open = open_requests((0..7).map(request));
        let text = as_text(&open);
        assert!(text.starts_with("lstm 2 should be trained anew: of cpu_cores_used it loses 9.0 % of the"), "{text}");
        assert!(text.contains("2026-01-01T00:00:00") && text.contains("vm-4 and 2 more"), "{text}");
        let json = as_json(&open);
        assert_eq!(
            (json[0]["from_ms"].as_i64(), json[0]["more_workloads"].as_i64()),
            (Some(1_767_225_600_000), Some(0))
        );
        assert_eq!(json[0]["workloads"].as_array().map(Vec::len), Some(7));
        assert!(as_text(&[]).starts_with("No family"));
    }

    #[test]
    fn a_request_is_open_until_another_version_is_promoted() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("lstm")).unwrap();
        let settings = Config { models_dir: folder.path().to_owned(), ..Config::default() }.settings().unwrap();
        let open = open_requests([request(0)]);
        let is_open = || is_of_version_in_use(&settings, &open[0]).unwrap();
        assert!(is_open());
        let promote = |version: &str, from_s| {
            let to = Some(Pinned { version: version.to_owned(), manifest_sha256: "0".repeat(64) });
            let switch = Switch { from: Some(EventTime::from_s(from_s)), to, verdict: None };
            ModelStore::new(folder.path()).add("lstm", switch).unwrap();
        };
        promote("2", 300);
        assert!(is_open());
        promote("3", 600);
        assert!(!is_open());
    }
}
