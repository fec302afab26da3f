//! What may come next for the servers of a workload, before it is a request. Pure.

use super::group::Template;
use super::server::{Flavor, ResizeMark, Server};
use prescale_domain::action::ActionOutcome;

/// What comes next.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Move<'a> {
    /// So many servers are made.
    Make { zone: Option<&'a str>, count: u32, flavor: &'a Flavor, template: Box<Template> },
    /// A server is marked, and resized afterwards.
    Mark { server: &'a Server, mark: ResizeMark, flavor: &'a Flavor },
    /// A marked server is resized.
    Resize { server: &'a Server, flavor: &'a Flavor },
    /// A resize that is through is kept.
    Confirm(&'a Server),
    /// A resize that is through is taken back.
    Revert(&'a Server),
    /// A server that a resize has put into ERROR is started again, with its old flavor.
    Revive(&'a Server),
    /// A server is removed.
    Remove(&'a Server),
    /// A server is removed that an earlier action has made, and that never ran.
    Clear(&'a Server),
    /// Something takes its time.
    Wait { why: String, look_again_s: u32 },
    /// All is as the action asks for.
    Finished,
    /// It has come to another end.
    Ended(ActionOutcome),
}

impl Move<'_> {
    /// Tells it from any other of the same action that may come before or after it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Make { zone, .. } => format!("make {}", zone.unwrap_or_default()),
            Self::Mark { server, .. } => format!("mark {}", server.id),
            Self::Resize { server, .. } => format!("resize {}", server.id),
            Self::Remove(server) => format!("remove {}", server.id),
            _ => String::new(),
        }
    }

    /// Whether a guest is restarted, now or next.
    pub(super) fn restarts(&self) -> bool {
        matches!(self, Self::Mark { .. } | Self::Resize { .. })
    }
}

/// Something takes its time.
pub(super) fn wait<'a>(why: String, look_again_s: u32) -> Move<'a> {
    Move::Wait { why, look_again_s }
}

/// The end of an action that a later try would not help.
pub(super) fn failed<'a>(why: String) -> Move<'a> {
    Move::Ended(ActionOutcome::Failed { why, retryable: false })
}

/// The end of an action that a later try may help.
pub(super) fn again<'a>(why: String) -> Move<'a> {
    Move::Ended(ActionOutcome::Failed { why, retryable: true })
}
