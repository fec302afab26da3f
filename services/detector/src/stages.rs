//! The detector's stages: what raises alarms, what makes incidents of them, and a stage for each receiver of alerts.

use crate::{incidents, stage};
use prescale_chassis::audit::{self, Audit, Newest};
use prescale_chassis::{Ids, StageEntry};
use prescale_contracts::topics;

/// Raises alarms.
pub const STAGE: StageEntry = StageEntry {
    stage: stage::NAME,
    input: topics::PREDICTIONS,
    outputs: &[topics::ANOMALIES, topics::ALARMS],
    ids: Ids::OfInput,
    audit: audit_of_detector,
};

/// Makes incidents of them.
pub const INCIDENTS: StageEntry = StageEntry {
    stage: incidents::NAME,
    input: topics::ALARMS,
    outputs: &[topics::INCIDENTS],
    ids: Ids::OfInput,
    audit: audit_of_incidents,
};

/// Alerts as lines of the log.
pub const LOG: StageEntry = receiver("alerts-log");
/// Alerts to an Alertmanager.
pub const ALERTMANAGER: StageEntry = receiver("alerts-alertmanager");
/// Alerts as JSON to whoever takes them.
pub const WEBHOOK: StageEntry = receiver("alerts-webhook");

const fn receiver(stage: &'static str) -> StageEntry {
    StageEntry { stage, input: topics::INCIDENTS, outputs: &[], ids: Ids::OfInput, audit: audit::nothing }
}

fn audit_of_detector() -> Box<dyn Audit> {
    Box::new(Newest::or(stage::NOTHING_NEW))
}

fn audit_of_incidents() -> Box<dyn Audit> {
    audit::each_or(incidents::NOTHING_NEW)
}
