//! What comes next for an action that a real cloud is to carry out: one request, a pause, or the end. Whoever decides it is
//! pure: it sees what the cloud shows and the action, and calls nothing.

use prescale_domain::action::ActionOutcome;
use serde_json::Value;

/// How a request changes things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Makes something.
    Post,
    /// Puts something in the place of what is there.
    Put,
    /// Changes a part of it; the content type says how the body is to be read.
    Patch,
    /// Takes it away.
    Delete,
}

/// A call that changes something at the cloud, as plain data: a dry run shows this very value.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// How.
    pub method: Method,
    /// Path on the API's server, with its query, beginning with a slash.
    pub path: String,
    /// Type of the body, such as `application/merge-patch+json`.
    pub content_type: &'static str,
    /// The body. It carries the precondition (a `resourceVersion`, where there is one) and the action's id.
    pub body: Value,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// This call. Whatever comes of it, the cloud is looked at again before another is made.
    Send(Request),
    /// This call, also where the action is void: it brings to a close what was begun for it or for an earlier one.
    TidyUp(Request),
    /// Nothing now: something takes its time.
    Wait {
        /// What is waited for.
        why: String,
        /// The cloud is looked at again after so many seconds.
        look_again_s: u32,
    },
    /// The action has come to its end.
    Done(ActionOutcome),
}

impl Method {
    /// As HTTP has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}
