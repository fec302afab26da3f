//! One action on its way to its result. Pure.

use super::call::CallError;
use super::driver::{Aim, Standing};
use super::order::Order;
use super::step::{Request, Step};
use prescale_bus::Backoff;
use prescale_bus::backoff::seed_of;
use prescale_domain::action::{ActionOutcome, ShownRequest};
use prescale_domain::sample::Capacity;
use prescale_domain::time::EventTime;
use std::sync::Arc;
use std::time::Duration;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// What has changed meanwhile is looked at again after so long, in milliseconds, so many times in a row; then it is in the way
/// for good, and pauses grow.
const CONFLICT_PAUSE_MS: u64 = 100;
const CONFLICTS_QUICK: u32 = 5;
/// A cloud that cannot be looked at is asked again for so long, in milliseconds, where something may be left half done there.
/// Below what the account of the actuator's results waits for.
const UNSEEN_MS_MAX: u64 = 6 * 3600 * 1000;
/// What was sent is looked at after so long, in milliseconds: a cloud needs a moment to do anything about it.
const FIRST_LOOK_MS: u64 = 500;

/// The time, by two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// By the wall's, which may jump. Actions are valid by it.
    pub at: EventTime,
    /// By one that never goes back, in milliseconds. Pauses and rates go by it.
    pub ms: u64,
}

/// The next call for an action.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// Looks at what is there.
    Look,
    /// Changes something.
    Send(Request),
    /// Asks whether the cloud would take a change.
    Check(Request),
}

/// What a look came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// How far what is there is from what is asked for.
    pub standing: Standing,
    /// What comes next.
    pub step: Step,
}

/// What becomes of an action after a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It goes on, once this clock has come so far.
    Goes {
        /// In milliseconds.
        at_ms: u64,
    },
    /// This is its result.
    Ends(ActionOutcome),
}

/// What went wrong.
#[derive(Clone, Debug)]
struct Trouble {
    why: String,
    /// Whether the cloud refused to be called at all.
    is_refusal: bool,
    /// Whether it was in looking.
    in_looking: bool,
}

/// An action on its way.
#[derive(Clone, Debug)]
pub struct Open {
    aim: Aim,
    call: Call,
    /// Whether the call is made although the action is void.
    tidies_up: bool,
    /// Whether something may be half done, by it or by the one before it: then it is looked at also when it is void.
    may_be_half_done: bool,
    /// [`Aim::sent_from`] before the last request, which holds again where that did not take effect.
    sent_before: Option<Arc<str>>,
    /// The mark of what the request was made from that is to be sent.
    mark: Option<Arc<str>>,
    /// Since when it is known that the cloud has taken it.
    taken_ms: Option<u64>,
    /// When it was first seen to be void, of one that may have been taken.
    void_ms: Option<u64>,
    /// Since when the cloud could not be looked at.
    unseen_ms: Option<u64>,
    /// What went wrong last.
    trouble: Option<Trouble>,
    before: Option<Capacity>,
    /// So many requests in a row did not fit what was there.
    conflicts: u32,
    backoff: Backoff,
    settle_ms: u64,
}

impl Open {
    /// One that is taken up, and that may have been sent before, from what that mark tells. What the cloud has taken
    /// comes into effect within `settle_ms` in which it can be looked at, or has failed.
    pub fn new(order: Arc<Order>, sent_from: Option<Arc<str>>, settle_ms: u64) -> Self {
        let backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE, seed_of(order.id()));
        Self {
            aim: Aim { order, sent_from },
            call: Call::Look,
            tidies_up: false,
            may_be_half_done: false,
            sent_before: None,
            mark: None,
            taken_ms: None,
            void_ms: None,
            unseen_ms: None,
            trouble: None,
            before: None,
            conflicts: 0,
            backoff,
            settle_ms,
        }
    }

    /// What it drives towards.
    pub fn aim(&self) -> &Aim {
        &self.aim
    }

    /// Capacity that was there when it was first looked at.
    pub fn before(&self) -> Option<&Capacity> {
        self.before.as_ref()
    }

    /// Whether anything may have come of it, or something may be left of what was begun before it.
    pub fn may_have_acted(&self) -> bool {
        self.taken_ms.is_some() || self.aim.sent_from.is_some() || self.may_be_half_done
    }

    /// It takes the place of one that may have left something half done.
    pub fn follows_what_has_acted(&mut self) {
        self.may_be_half_done = true;
    }

    /// Its end where it is void and nothing has come of it.
    pub fn void(&self, now: Now) -> Option<ActionOutcome> {
        let is_void = now.at >= self.aim.order.valid_until();
        (is_void && !self.may_have_acted()).then(|| self.void_for("it was void before it was carried out", now))
    }

    /// The next call. A request counts as sent from here on.
    pub fn start(&mut self) -> Call {
        let call = std::mem::replace(&mut self.call, Call::Look);
        if matches!(call, Call::Send(_)) && !self.tidies_up {
            self.sent_before = std::mem::replace(&mut self.aim.sent_from, self.mark.take());
        }
        call
    }

    /// What is there is looked at before anything is sent.
    pub fn look_instead(&mut self) {
        (self.call, self.mark) = (Call::Look, None);
    }

    /// Whether its next call changes something that an action which is void may not change.
    pub fn is_void_to_send(&self, now: Now) -> bool {
        matches!(self.call, Call::Send(_)) && !self.tidies_up && now.at >= self.aim.order.valid_until()
    }

    /// Takes in what was seen.
    pub fn looked(&mut self, seen: Seen, now: Now) -> Fate {
        let Seen { standing, step } = seen;
        if self.trouble.as_ref().is_some_and(|trouble| trouble.in_looking) {
            self.trouble = None;
        }
        self.sees_again(now);
        if self.before.is_none() {
            self.before = standing.capacity;
        }
        if standing.is_taken {
            self.taken_ms.get_or_insert(now.ms);
        }
        if self.aim.order.action.dry_run || standing.is_dry_run {
            return self.dry_run(step, now);
        }
        match step {
            Step::Done(outcome) => Fate::Ends(outcome),
            Step::Wait { why, look_again_s } => self.waits(&why, look_again_s, now),
            Step::Send(request) => self.wants(request, standing.mark, now),
            Step::TidyUp(request) => {
                // It is nothing of what the action asks for, so that does not count as sent.
                (self.call, self.mark, self.tidies_up) = (Call::Send(request), None, true);
                self.may_be_half_done = true;
                Fate::Goes { at_ms: now.ms }
            }
        }
    }

    /// Takes in that a request was answered.
    pub fn sent(&mut self, now: Now) -> Fate {
        self.trouble = None;
        self.backoff.reset();
        self.conflicts = 0;
        if !self.tidies_up {
            self.taken_ms.get_or_insert(now.ms);
        }
        Fate::Goes { at_ms: now.ms + FIRST_LOOK_MS }
    }

    /// Takes in that the cloud would take a request.
    pub fn checked(request: &Request) -> Fate {
        Fate::Ends(ActionOutcome::DryRun { request: Some(shown(request, Some(true))), said: None })
    }

    /// Takes in that a call did not do what it was made for.
    pub fn failed(&mut self, call: &Call, error: CallError, now: Now) -> Fate {
        if let Call::Check(request) = call
            && matches!(error, CallError::Refused { .. } | CallError::Gone { .. } | CallError::Conflict { .. })
        {
            let said = Some(error.to_string());
            return Fate::Ends(ActionOutcome::DryRun { request: Some(shown(request, Some(false))), said });
        }
        if matches!(call, Call::Send(_)) && !self.tidies_up && error.had_no_effect() {
            // Who has changed the object since is none who has undone it.
            self.aim.sent_from = self.sent_before.take();
        }
        let in_looking = matches!(call, Call::Look);
        let trouble = |why: String, is_refusal: bool| Trouble { why, is_refusal, in_looking };
        match error {
            CallError::Refused { why, retryable } => self.fails(why, retryable),
            CallError::Gone { why } => self.fails(why, false),
            CallError::Conflict { why } => {
                self.conflicts = self.conflicts.saturating_add(1);
                let pause_ms = if self.conflicts <= CONFLICTS_QUICK { CONFLICT_PAUSE_MS } else { self.pause_ms() };
                self.goes_wrong(trouble(why, false), pause_ms, now)
            }
            CallError::Throttled { why, pause } => {
                let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                self.goes_wrong(trouble(why, false), pause_ms, now)
            }
            CallError::Unauthorised { why } => {
                let pause_ms = self.pause_ms();
                self.goes_wrong(trouble(why, true), pause_ms, now)
            }
            CallError::Aborted { why } | CallError::Unavailable { why } | CallError::Unknown { why } => {
                let pause_ms = self.pause_ms();
                self.goes_wrong(trouble(why, false), pause_ms, now)
            }
        }
    }

    fn fails(&self, why: String, retryable: bool) -> Fate {
        Fate::Ends(match self.aim.order.withdrawn_for() {
            Some(why) => ActionOutcome::Superseded { why },
            None => ActionOutcome::Failed { why, retryable },
        })
    }

    fn pause_ms(&mut self) -> u64 {
        u64::try_from(self.backoff.pause().as_millis()).unwrap_or(u64::MAX)
    }

    fn waits(&mut self, why: &str, look_again_s: u32, now: Now) -> Fate {
        let taken_ms = self.taken_ms;
        match taken_ms {
            Some(since_ms) if now.ms.saturating_sub(since_ms) >= self.settle_ms => {
                let within_s = self.settle_ms / 1000;
                let why = format!("the cloud has taken it, and it was not in effect after {within_s} s: {why}");
                Fate::Ends(ActionOutcome::Failed { why, retryable: false })
            }
            None if self.is_over(now) => Fate::Ends(self.void_for(why, now)),
            _ => Fate::Goes { at_ms: now.ms + 1000 * u64::from(look_again_s.max(1)) },
        }
    }

    fn wants(&mut self, request: Request, mark: Arc<str>, now: Now) -> Fate {
        if now.at < self.aim.order.valid_until() {
            (self.call, self.mark, self.tidies_up) = (Call::Send(request), Some(mark), false);
            return Fate::Goes { at_ms: now.ms };
        }
        if self.taken_ms.is_some() {
            let why = "it was void before all of it was done".to_owned();
            return Fate::Ends(ActionOutcome::Failed { why, retryable: true });
        }
        Fate::Ends(self.void_for("it was void before the cloud had taken it", now))
    }

    fn dry_run(&mut self, step: Step, now: Now) -> Fate {
        let said = match step {
            Step::Send(request) | Step::TidyUp(request) => {
                self.call = Call::Check(request);
                return Fate::Goes { at_ms: now.ms };
            }
            Step::Wait { why, .. } => why,
            Step::Done(ActionOutcome::Applied { .. }) => "it is so already".to_owned(),
            Step::Done(ActionOutcome::Superseded { why } | ActionOutcome::Failed { why, .. }) => why,
            Step::Done(dry_run @ ActionOutcome::DryRun { .. }) => return Fate::Ends(dry_run),
        };
        Fate::Ends(ActionOutcome::DryRun { request: None, said: Some(said) })
    }

    /// Looks again after a pause, as long as that is of use.
    fn goes_wrong(&mut self, trouble: Trouble, pause_ms: u64, now: Now) -> Fate {
        if trouble.in_looking {
            self.unseen_ms.get_or_insert(now.ms);
        }
        self.trouble = Some(trouble);
        if now.at >= self.aim.order.valid_until() {
            let is_over = self.is_over(now);
            if is_over && self.taken_ms.is_none() && self.aim.sent_from.is_none() {
                return Fate::Ends(self.void_for("it was void before it was carried out", now));
            }
            if is_over {
                let why = self.with_trouble("nobody knows whether it took effect");
                return Fate::Ends(ActionOutcome::Failed { why, retryable: true });
            }
        }
        Fate::Goes { at_ms: now.ms.saturating_add(pause_ms) }
    }

    /// The time in which the cloud could not be looked at is none in which anything was waited for.
    fn sees_again(&mut self, now: Now) {
        let Some(since_ms) = self.unseen_ms.take() else { return };
        let unseen_ms = now.ms.saturating_sub(since_ms);
        for begun_ms in [&mut self.taken_ms, &mut self.void_ms].into_iter().flatten() {
            *begun_ms = begun_ms.saturating_add(unseen_ms).min(now.ms);
        }
    }

    /// Whether there is nothing left to wait for. One whose request may still be on its way, or that may have left something
    /// half done, is waited for a while, and longer where that cannot be seen.
    fn is_over(&mut self, now: Now) -> bool {
        if now.at < self.aim.order.valid_until() {
            return false;
        }
        let since_ms = *self.void_ms.get_or_insert(now.ms);
        let (since_ms, max_ms) = match self.unseen_ms {
            Some(unseen_ms) => (unseen_ms, UNSEEN_MS_MAX),
            None => (since_ms, self.settle_ms),
        };
        !self.may_have_acted() || now.ms.saturating_sub(since_ms) >= max_ms
    }

    /// Its end as one that is void. Where the cloud would not be called, that is what it failed by.
    fn void_for(&self, why: &str, now: Now) -> ActionOutcome {
        if let Some(withdrawn) = self.aim.order.withdrawn_for() {
            return ActionOutcome::Superseded { why: withdrawn };
        }
        match &self.trouble {
            Some(Trouble { why: refused, is_refusal: true, .. }) => {
                ActionOutcome::Failed { why: refused.clone(), retryable: true }
            }
            _ => {
                let by_s = (now.at.as_ms() - self.aim.order.valid_until().as_ms()) / 1000;
                ActionOutcome::Superseded { why: self.with_trouble(&format!("{why}, {by_s} s ago")) }
            }
        }
    }

    fn with_trouble(&self, what: &str) -> String {
        match &self.trouble {
            Some(Trouble { why, .. }) => format!("{what}; at last: {why}"),
            None => what.to_owned(),
        }
    }
}

/// A request as results show it; whether the cloud would take it, where it was asked.
pub fn shown(request: &Request, is_accepted: Option<bool>) -> ShownRequest {
    ShownRequest {
        method: request.method.name().to_owned(),
        path: request.path.clone(),
        content_type: request.content_type.to_owned(),
        body: request.body.to_string(),
        is_accepted,
    }
}
