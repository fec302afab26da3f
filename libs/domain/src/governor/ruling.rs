//! What is decided about a proposal.

use crate::action::{Action, Reason};
use crate::time::EventTime;
use crate::workload::WorkloadId;

/// What is decided about a proposal.
#[derive(Clone, Debug, PartialEq)]
pub enum Ruling<T> {
    /// It is to be carried out, with why it may be among its reasons.
    Admitted {
        /// Where the proposal came from.
        tag: T,
        /// The action.
        action: Box<Action>,
    },
    /// It is not.
    Held {
        /// Where the proposal came from.
        tag: T,
        /// Whose capacity.
        workload: WorkloadId,
        /// When it was decided.
        decided_at: EventTime,
        /// Why it is held.
        why: Reason,
    },
    /// An action that an order held is to be carried out now that it does not any more, or what an order left of one that
    /// was admitted takes its place.
    Released(Box<Action>),
    /// An action that was admitted is withdrawn.
    Withdrawn(Box<Action>),
}

impl<T> Ruling<T> {
    pub(super) fn held(tag: T, action: &Action, why: Reason) -> Self {
        Self::Held { tag, workload: action.workload.clone(), decided_at: action.decided_at, why }
    }
}
