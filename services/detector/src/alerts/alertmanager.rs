//! Incidents to an Alertmanager, by its API of version 2.
//!
//! An alert is known there by its labels, and people route by its severity, which may rise and never falls. So each telling
//! has the alert of its severity, and those of lesser ones as ended. Of one that never fired nobody hears by itself; a
//! receiver that groups alerts of several severities may name it among those that are resolved. What lasts is told to end
//! in two days, and told again before that.

use super::post::deliver;
use super::words;
use crate::config::{ALERTMANAGER_ACCESS, AlertmanagerConfig, OWN_LABELS};
use anyhow::Result;
use prescale_chassis::http_post::{HttpPost, Protocol};
use prescale_chassis::patience::{GaveUp, Patience};
use prescale_chassis::sink::{Sink, SinkOf, Taken};
use prescale_contracts::rfc3339;
use prescale_domain::alarm::Severity;
use prescale_domain::incident::Incident;
use prescale_domain::time::EventTime;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An incident that lasts is told again well within this time.
const LASTS_S: i64 = 2 * 86_400;

const SEVERITIES: [Severity; 3] = [Severity::Info, Severity::Warning, Severity::Critical];

struct Alertmanager {
    to: Arc<HttpPost>,
    labels: BTreeMap<String, String>,
}

pub(super) fn sinks(config: &AlertmanagerConfig) -> Result<Box<SinkOf<Incident>>> {
    let url = format!("{}/api/v2/alerts", config.url.trim_end_matches('/'));
    let headers = &[("Content-Type", "application/json")];
    let protocol = Protocol { url, token_scheme: "Bearer", headers };
    let to = Arc::new(HttpPost::new(protocol, ALERTMANAGER_ACCESS, &config.access)?);
    let labels = config.labels.clone();
    Ok(Box::new(move |_| Box::new(Alertmanager { to: Arc::clone(&to), labels: labels.clone() })))
}

impl Sink<Incident> for Alertmanager {
    fn take(&mut self, records: &[Taken<'_, Incident>], patience: &mut Patience) -> Result<(), GaveUp> {
        for Taken { value: incident, .. } in records {
            let body = Value::from(alerts(incident, &self.labels)).to_string();
            deliver(&self.to, body.as_bytes(), &[], patience)?;
        }
        Ok(())
    }
}

/// An incident as its API takes it: the alert of its severity first.
fn alerts(incident: &Incident, own: &BTreeMap<String, String>) -> Vec<Value> {
    let lasts_until = incident.ended_at.unwrap_or_else(|| incident.at.plus_s(LASTS_S));
    let lesser = SEVERITIES.into_iter().filter(|severity| *severity < incident.severity);
    let of_now = std::iter::once(alert(incident, own, (incident.severity, lasts_until)));
    of_now.chain(lesser.map(|severity| alert(incident, own, (severity, incident.at)))).collect()
}

fn alert(incident: &Incident, own: &BTreeMap<String, String>, (severity, ends_at): (Severity, EventTime)) -> Value {
    let mut labels: BTreeMap<&str, &str> = own.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let values = ["PrescaleAnomaly", incident.fleet.as_str(), &*incident.incident_id, severity.name()];
    labels.extend(OWN_LABELS.into_iter().zip(values));
    json!({
        "labels": labels,
        "annotations": {
            "summary": words::summary(incident),
            "description": words::description(incident),
            "workloads": incident.workloads.to_string(),
        },
        "startsAt": rfc3339(incident.started_at),
        "endsAt": rfc3339(ends_at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::fixtures::incident;
    use prescale_domain::alarm::Severity;

    #[test]
    fn each_telling_ends_the_alerts_of_lesser_severities() {
        let own = BTreeMap::from([("team".to_owned(), "shop".to_owned())]);
        let begun = incident();
        let firing = |incident: &Incident| {
            let all = alerts(incident, &own);
            let now = rfc3339(incident.at);
            let lasting: Vec<Value> = all.into_iter().filter(|alert| alert["endsAt"] != now.as_str()).collect();
            let [one] = lasting.as_slice() else { panic!("{lasting:?}") };
            one.clone()
        };
        let first = firing(&begun);
        assert_eq!((&first["labels"]["team"], &first["labels"]["severity"]), (&json!("shop"), &json!("warning")));
        assert_eq!(
            (&first["startsAt"], &first["endsAt"]),
            (&json!(rfc3339(begun.started_at)), &json!(rfc3339(begun.at.plus_s(LASTS_S))))
        );
        let mut worse = Incident { severity: Severity::Critical, workloads: 9, ..begun.clone() };
        let second = firing(&worse);
        assert_eq!(second["labels"]["severity"], "critical");
        assert_eq!((alerts(&begun, &own).len(), alerts(&worse, &own).len()), (2, 3), "none that is worse");
        let known: Vec<Value> = alerts(&worse, &own).into_iter().map(|alert| alert["labels"].clone()).collect();
        assert!(known.contains(&first["labels"]), "the one that was told first is ended");
        worse.ended_at = Some(worse.at.plus_s(600));
        assert_eq!(
            (&firing(&worse)["labels"], &firing(&worse)["endsAt"]),
            (&second["labels"], &json!(rfc3339(worse.at.plus_s(600))))
        );
    }
}
