//! Incidents as lines of the log.

use super::words;
use prescale_chassis::patience::{GaveUp, Patience};
use prescale_chassis::sink::{Sink, SinkOf, Taken};
use prescale_domain::alarm::Severity;
use prescale_domain::incident::Incident;

struct Lines;

pub(super) fn sinks() -> Box<SinkOf<Incident>> {
    Box::new(|_| Box::new(Lines))
}

impl Sink<Incident> for Lines {
    fn take(&mut self, records: &[Taken<'_, Incident>], _patience: &mut Patience) -> Result<(), GaveUp> {
        for Taken { value: incident, .. } in records.iter().filter(|taken| !taken.value.is_repetition) {
            let (incident_id, summary) = (&*incident.incident_id, words::summary(incident));
            match (incident.ended_at, incident.severity) {
                (Some(ended_at), _) => tracing::info!(incident_id, %ended_at, "it is over: {summary}"),
                (None, Severity::Info) => tracing::info!(incident_id, started_at = %incident.started_at, "{summary}"),
                (None, severity) => {
                    let severity = severity.name();
                    tracing::warn!(incident_id, severity, started_at = %incident.started_at, "{summary}");
                }
            }
        }
        Ok(())
    }
}
