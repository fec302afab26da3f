//! What must follow from fingerprints, by the log alone: a full one of a workload that is forecast has a prediction;
//! one between the closes of bins may have none. How an hour's forecasts did is told beside a prediction, which has the
//! next number then: so one without the other is found out.

use prescale_chassis::audit::{Audit, GAP, Judged, NO_OUTPUT, NOT_UNDERSTOOD, Read, STALE};
use prescale_contracts::topics;
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::forecast::GRID_STEP_S;
use prescale_domain::kpi::KpiName;
use prescale_domain::time::EventTime;
use std::collections::HashMap;

/// Reason of fingerprints that carry the newest values alone.
const BETWEEN_CLOSES: &str = "between_closes";
/// Reason of fingerprints whose step is longer than a bin.
const STEP_ABOVE_GRID: &str = "step_above_grid";
/// Reason of full ones of workloads that have no forecast yet, or lack a KPI that had one.
const NOT_FORECAST: &str = "not_forecast";
/// A workload that was silent for so many seconds may have to begin anew.
const SILENT_S: i64 = 86_400;

/// The fingerprints of all workloads.
#[derive(Default)]
struct Fingerprints {
    workloads: HashMap<Vec<u8>, Known>,
}

struct Known {
    newest: EventTime,
    /// The KPIs of the first that had a prediction.
    forecast: Option<Vec<KpiName>>,
}

/// Of the predictor.
pub(crate) fn audit() -> Box<dyn Audit> {
    Box::<Fingerprints>::default()
}

impl Audit for Fingerprints {
    fn judge(&mut self, read: &Read<'_>) -> Judged {
        if read.is_rejected {
            return Judged::Ended;
        }
        let Some(at) = read.at() else { return Judged::Wrong(NOT_UNDERSTOOD) };
        let new = || Known { newest: EventTime::from_ms(i64::MIN), forecast: None };
        let known = self.workloads.entry(read.key().to_vec()).or_insert_with(new);
        if known.newest >= at {
            return if read.has_ended() { Judged::Ended } else { Judged::Without(STALE) };
        }
        let silent_s = at.as_ms().saturating_sub(known.newest.as_ms()) / 1000;
        known.newest = at;
        if silent_s > SILENT_S {
            known.forecast = None;
        }
        let is_predicted = read.found.iter().any(|found| found.topic == topics::PREDICTIONS);
        if read.has_gap() || read.has_ended() && !is_predicted {
            return Judged::Wrong(GAP);
        }
        if read.has_ended() && known.forecast.is_some() {
            return Judged::Ended;
        }
        let Some(fingerprint) = read.decode::<Fingerprint>() else { return Judged::Wrong(NOT_UNDERSTOOD) };
        if read.has_ended() {
            known.forecast = Some(fingerprint.kpis.iter().map(|kpi| kpi.name.clone()).collect());
            return Judged::Ended;
        }
        without(&fingerprint, known.forecast.as_deref())
    }
}

/// Why a fingerprint may have no prediction, if it may.
fn without(fingerprint: &Fingerprint, forecast: Option<&[KpiName]>) -> Judged {
    let has = |name: &KpiName| fingerprint.kpi(name).is_some();
    if fingerprint.step_s > GRID_STEP_S {
        Judged::Without(STEP_ABOVE_GRID)
    } else if !fingerprint.has_features() {
        Judged::Without(BETWEEN_CLOSES)
    } else if forecast.is_some_and(|names| names.iter().all(has)) {
        Judged::Wrong(NO_OUTPUT)
    } else {
        Judged::Without(NOT_FORECAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prescale_bus::ConsumedRecord;
    use prescale_chassis::audit::Found;
    use prescale_chassis::output_record;
    use prescale_contracts::{Contract, Envelope};
    use prescale_domain::fingerprint::{KpiFingerprint, WindowFeatures, Windows};
    use prescale_domain::sample::Platform;
    use prescale_domain::source::SourceName;
    use prescale_domain::workload::WorkloadId;

    fn record(at_s: i64, kpis: &[&str], is_full: bool) -> ConsumedRecord {
        let windows = || Windows::boxed(WindowFeatures::default(), WindowFeatures::default());
        let kpi = |name: &&str| KpiFingerprint {
            name: KpiName::new(name),
            unit: "1".into(),
            last: Some(1.0),
            windows: if is_full { windows() } else { None },
        };
        let (workload, at) = (WorkloadId::new("web").unwrap(), EventTime::from_s(at_s));
        let envelope = Envelope::root("test", Fingerprint::EVENT_TYPE, &workload, at, "");
        let fingerprint = Fingerprint {
            workload,
            source: SourceName::new("fleet:test").unwrap(),
            at,
            step_s: 60,
            short_window_s: 3600,
            long_window_s: 604_800,
            feature_schema_hash: "0123456789abcdef".into(),
            kpis: kpis.iter().map(kpi).collect(),
            capacity: None,
            anomaly: None,
            platform: Platform::SIMULATED,
        };
        let record = output_record(&envelope, topics::FINGERPRINTS, &fingerprint).unwrap();
        record.read_at(0, at_s)
    }

    fn judged(audit: &mut dyn Audit, record: &ConsumedRecord, has_output: bool) -> Judged {
        judged_with(audit, record, if has_output { &[(topics::PREDICTIONS, 0)] } else { &[] })
    }

    fn judged_with(audit: &mut dyn Audit, record: &ConsumedRecord, outputs: &[(&'static str, u32)]) -> Judged {
        let found = |(topic, ordinal): &(&'static str, u32)| Found { topic, ordinal: *ordinal, at: None };
        let found: Vec<Found> = outputs.iter().map(found).collect();
        audit.judge(&Read { record, found: &found, is_rejected: false })
    }

    #[test]
    fn of_a_score_and_its_prediction_neither_is_lost_unseen() {
        let (scored, predicted) = ((topics::FORECAST_SCORES, 0), (topics::PREDICTIONS, 1));
        for (outputs, wanted) in [
            (&[scored, predicted][..], Judged::Ended),
            (&[predicted], Judged::Wrong(GAP)),
            (&[scored], Judged::Wrong(GAP)),
        ] {
            assert_eq!(judged_with(audit().as_mut(), &record(300, &["cpu"], true), outputs), wanted);
        }
    }

    #[test]
    fn a_full_fingerprint_of_a_forecast_workload_needs_a_prediction() {
        let mut audit = audit();
        let audit = audit.as_mut();
        assert_eq!(judged(audit, &record(300, &["cpu"], true), false), Judged::Without(NOT_FORECAST));
        assert_eq!(judged(audit, &record(600, &["cpu"], true), true), Judged::Ended);
        assert_eq!(judged(audit, &record(660, &["cpu"], false), false), Judged::Without(BETWEEN_CLOSES));
        assert_eq!(judged(audit, &record(900, &["cpu"], true), false), Judged::Wrong(NO_OUTPUT));
        assert_eq!(judged(audit, &record(900, &["cpu"], true), false), Judged::Without(STALE));
        assert_eq!(judged(audit, &record(1200, &["other"], true), false), Judged::Without(NOT_FORECAST));
        assert_eq!(judged(audit, &record(1500, &["cpu", "other"], true), false), Judged::Wrong(NO_OUTPUT));
        assert_eq!(judged(audit, &record(90_000, &["cpu"], true), false), Judged::Without(NOT_FORECAST));
    }
}
