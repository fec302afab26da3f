//! An action as it was taken from the log.

use prescale_chassis::audit::Place;
use prescale_contracts::Envelope;
use prescale_domain::action::Action;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::sync::Arc;

/// What is done about a withdrawal may be done for so long after the withdrawn action was decided, in seconds.
const WITHDRAWAL_FOR_S: i64 = 3600;
/// An action is remembered for at least so long after it was decided, in seconds, so that what comes behind it and is
/// older, or comes twice, is known.
const REMEMBERED_FOR_S: i64 = 3600;

/// An action with where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Where it lies in topic `actions`.
    pub place: Place,
    /// Its headers, from which the id of its result follows.
    pub envelope: Envelope,
    /// What is to be done.
    pub action: Action,
}

impl Order {
    /// Its id.
    pub fn id(&self) -> &Arc<str> {
        &self.envelope.id
    }

    /// Whose capacity it changes.
    pub fn workload(&self) -> &WorkloadId {
        &self.action.workload
    }

    /// Nothing is sent for it from here on.
    pub fn valid_until(&self) -> EventTime {
        if self.action.is_withdrawal() {
            self.action.decided_at.plus_s(WITHDRAWAL_FOR_S)
        } else {
            self.action.valid_until
        }
    }

    /// It is remembered until then.
    pub fn remembered_until(&self) -> EventTime {
        self.action.valid_until.max(self.action.decided_at.plus_s(REMEMBERED_FOR_S))
    }

    /// Why it was withdrawn, where it withdraws the action that was decided at its instant.
    pub fn withdrawn_for(&self) -> Option<String> {
        let why = || self.action.reasons.last().map(|reason| reason.text.clone());
        self.action.is_withdrawal().then(|| why().unwrap_or_else(|| "the action is void".to_owned()))
    }
}
