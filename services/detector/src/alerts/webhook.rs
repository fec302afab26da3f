//! Incidents as JSON to whoever takes them, signed.
//!
//! The body is the record as JSON, with a summary. Header `X-Prescale-Signature` has `sha256=` and the HMAC-SHA256 (RFC
//! 2104) of the body under the configured secret in hexadecimal; `X-Prescale-Delivery` names the telling, the same each
//! time that it is tried.

use super::post::deliver;
use super::words;
use crate::config::{WEBHOOK_ACCESS, WebhookConfig};
use anyhow::Result;
use prescale_chassis::http_post::{HttpPost, Protocol};
use prescale_chassis::patience::{GaveUp, Patience};
use prescale_chassis::sink::{Sink, SinkOf, Taken};
use prescale_contracts::rfc3339;
use prescale_domain::incident::{Incident, Member};
use prescale_domain::kpi::KpiName;
use ring::hmac;
use serde_json::{Value, json};
use std::sync::Arc;

struct Webhook {
    to: Arc<HttpPost>,
    key: Option<Arc<hmac::Key>>,
}

pub(super) fn sinks(config: &WebhookConfig) -> Result<Box<SinkOf<Incident>>> {
    let headers = &[("Content-Type", "application/json")];
    let protocol = Protocol { url: config.url.clone(), token_scheme: "Bearer", headers };
    let to = Arc::new(HttpPost::new(protocol, WEBHOOK_ACCESS, &config.access)?);
    let secret = config.secret.expose();
    let key = (!secret.is_empty()).then(|| Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())));
    Ok(Box::new(move |_| Box::new(Webhook { to: Arc::clone(&to), key: key.clone() })))
}

impl Sink<Incident> for Webhook {
    fn take(&mut self, records: &[Taken<'_, Incident>], patience: &mut Patience) -> Result<(), GaveUp> {
        for Taken { value: incident, record } in records {
            let body = body(incident).to_string();
            let delivery = format!("{}-{}", record.partition, record.offset);
            let signature = self.key.as_ref().map(|key| signature(key, body.as_bytes()));
            let mut own_headers = vec![("X-Prescale-Delivery", delivery.as_str())];
            own_headers.extend(signature.as_deref().map(|signature| ("X-Prescale-Signature", signature)));
            deliver(&self.to, body.as_bytes(), &own_headers, patience)?;
        }
        Ok(())
    }
}

fn signature(key: &hmac::Key, body: &[u8]) -> String {
    let tag = hmac::sign(key, body);
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

fn body(incident: &Incident) -> Value {
    json!({
        "incident_id": &*incident.incident_id,
        "fleet": incident.fleet.as_str(),
        "state": if incident.ended_at.is_some() { "over" } else { "lasts" },
        "severity": incident.severity.name(),
        "summary": words::summary(incident),
        "at": rfc3339(incident.at),
        "started_at": rfc3339(incident.started_at),
        "ended_at": incident.ended_at.map(rfc3339),
        "workloads": incident.workloads,
        "members": incident.members.iter().map(member).collect::<Vec<_>>(),
        "is_repetition": incident.is_repetition,
    })
}

fn member(member: &Member) -> Value {
    let kpis: Vec<&str> = member.kpis.iter().map(KpiName::as_str).collect();
    json!({
        "workload": member.workload.as_str(),
        "severity": member.severity.name(),
        "p_value": member.p_value,
        "started_at": rfc3339(member.started_at),
        "ended_at": member.ended_at.map(rfc3339),
        "kpis": kpis,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::fixtures::incident;

    #[test]
    fn a_body_is_signed_as_rfc_4231_has_it() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"Jefe");
        assert_eq!(
            signature(&key, b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn the_body_says_who_and_why() {
        let body = body(&incident());
        assert_eq!((&body["state"], &body["severity"]), (&json!("lasts"), &json!("warning")));
        assert_eq!(body["members"][0]["kpis"][0], "cpu_cores_used");
        assert_eq!(body["summary"], "2 workloads of shop are unusual, db first by cpu_cores_used");
        assert_eq!(body["ended_at"], Value::Null);
    }
}
