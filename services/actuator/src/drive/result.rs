//! The result of an action as a record. Pure.

use super::book::Ended;
use prescale_bus::{OutputRecord, StageFailure};
use prescale_chassis::Outgoing;
use prescale_contracts::topics;
use prescale_domain::action::{ActionOutcome, ActionResult};
use prescale_domain::time::EventTime;

/// The record of topic `action-results` that says what became of an action, told `at` this instant. It has the id that the
/// actuator's stage would have given it.
///
/// # Errors
/// When the result breaks its contract, which is a defect.
pub fn record(ended: &Ended, at: EventTime) -> Result<OutputRecord, StageFailure> {
    let action = &ended.order.action;
    let before = ended.before.clone().unwrap_or_else(|| action.current.clone());
    let is_applied = matches!(ended.outcome, ActionOutcome::Applied { .. });
    let result = ActionResult {
        workload: action.workload.clone(),
        action_id: ended.order.id().clone(),
        at,
        outcome: ended.outcome.clone(),
        after: if is_applied { action.desired.clone() } else { before.clone() },
        before,
        price_per_h: None,
        platform: action.platform,
    };
    let stage = crate::STAGE.stage;
    let outgoing = Outgoing::following(&ended.order.envelope, stage, 0, &[topics::ACTION_RESULTS], &result)?;
    let missing = || StageFailure { message: format!("{stage} made no record of a result") };
    outgoing.records().first().cloned().ok_or_else(missing)
}
