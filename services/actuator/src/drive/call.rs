//! What can become of a call to a cloud.

use std::time::Duration;

/// Why a call did not do what it was made for. Whatever it is, what it was about is looked at again before anything else
/// is sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The cloud will not do it.
    #[error("refused: {why}")]
    Refused {
        /// Its words.
        why: String,
        /// Whether a later try may do better.
        retryable: bool,
    },
    /// What was asked for no longer fits what is there.
    #[error("it has changed meanwhile: {why}")]
    Conflict {
        /// Its words.
        why: String,
    },
    /// What it is about is not there.
    #[error("it is not there: {why}")]
    Gone {
        /// Its words.
        why: String,
    },
    /// The cloud asks to be left alone.
    #[error("too many calls: {why}")]
    Throttled {
        /// Its words.
        why: String,
        /// For so long.
        pause: Duration,
    },
    /// The cloud could not do it now, and is done with it: nothing of it is on its way any more, and what came of it, if
    /// anything did, is there to be seen.
    #[error("it could not be done: {why}")]
    Aborted {
        /// What happened.
        why: String,
    },
    /// The cloud cannot be used now. What was sent may have taken effect all the same.
    #[error("it cannot be used: {why}")]
    Unavailable {
        /// What happened.
        why: String,
    },
    /// The credentials or the rights do not do.
    #[error("not allowed: {why}")]
    Unauthorised {
        /// Its words.
        why: String,
    },
    /// Nobody knows whether it took effect.
    #[error("no answer: {why}")]
    Unknown {
        /// What happened.
        why: String,
    },
}

impl CallError {
    /// Its name in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::Conflict { .. } => "conflict",
            Self::Gone { .. } => "gone",
            Self::Throttled { .. } => "throttled",
            Self::Aborted { .. } => "aborted",
            Self::Unavailable { .. } => "unavailable",
            Self::Unauthorised { .. } => "unauthorised",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// Whether it is known that a request came to nothing, unless the next look shows what came of it.
    pub fn had_no_effect(&self) -> bool {
        matches!(
            self,
            Self::Conflict { .. } | Self::Throttled { .. } | Self::Unauthorised { .. } | Self::Aborted { .. }
        )
    }

    /// Whether the cloud as such is in the way, and not what this call asked for.
    pub fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Aborted { .. } | Self::Unavailable { .. } | Self::Unauthorised { .. } | Self::Unknown { .. }
        )
    }
}
