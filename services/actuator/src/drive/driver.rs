//! What a cloud has to offer to be driven.

use super::call::CallError;
use super::order::Order;
use super::step::{Request, Step};
use prescale_domain::action::Mechanism;
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::time::EventTime;
use std::sync::Arc;

/// What is driven towards.
#[derive(Clone, Debug, PartialEq)]
pub struct Aim {
    /// The newest action of its workload.
    pub order: Arc<Order>,
    /// [`Standing::mark`] as it was when a request was sent for this action; `None` where none was.
    pub sent_from: Option<Arc<str>>,
}

/// How far what a cloud shows is from what an action asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Whether the cloud shows that it has taken the action: what is there bears its id, or is what it asks for.
    pub is_taken: bool,
    /// Whether what is there asks for dry runs alone.
    pub is_dry_run: bool,
    /// Tells whether anybody has changed what the action is about. It is written down before a request is sent, so that
    /// after an answer that never came, and after a restart, it can be told whether the request took effect.
    pub mark: Arc<str>,
    /// Capacity that there is, where that is known.
    pub capacity: Option<Capacity>,
}

/// A cloud that can be driven. What it decides is pure; its calls change one thing at a time, each under a condition that
/// the cloud itself checks.
pub trait Driver: Send + Sync + 'static {
    /// What the cloud shows of a workload.
    type Facts: Send;

    /// Platform of the workloads whose capacity it changes.
    fn platform(&self) -> Platform;

    /// How it can change it.
    fn mechanisms(&self) -> &'static [Mechanism];

    /// Whether something must be done about an action that was withdrawn.
    fn undoes_withdrawn(&self) -> bool;

    /// Looks at the workload of an action.
    ///
    /// # Errors
    /// When it cannot be seen.
    fn observe(&self, aim: &Aim) -> impl Future<Output = Result<Self::Facts, CallError>> + Send;

    /// How far it is from what is asked for.
    fn standing(&self, facts: &Self::Facts, aim: &Aim) -> Standing;

    /// What comes next.
    fn next(&self, facts: &Self::Facts, aim: &Aim, now: EventTime) -> Step;

    /// Makes a call that changes something.
    ///
    /// # Errors
    /// As [`CallError`] tells them apart.
    fn send(&self, request: &Request) -> impl Future<Output = Result<(), CallError>> + Send;

    /// Asks the cloud whether it would take a call.
    ///
    /// # Errors
    /// When it would not, or cannot be asked.
    fn check(&self, request: &Request) -> impl Future<Output = Result<(), CallError>> + Send;
}
