//! Decisions that are made again by the rules of today, held against what the log tells of those that were made then.
//! They differ where the configuration or the planner was another one then, and where the running planner remembers what
//! the log does not hold any more.
//!
//! To leave a capacity as it is leaves no record, so of two such decisions nothing can be told.

use super::heard::{COMPARED_S, Heard, Told};
use prescale_contracts::rfc3339;
use prescale_domain::action::Action;
use prescale_domain::policy::explain_change;
use prescale_domain::time::EventTime;
use std::collections::{BTreeMap, BTreeSet};

/// A planner tells of its part of a fleet once in a bin of so many seconds.
const TOLD_EVERY_S: i64 = 300;

/// A decision that the log tells otherwise.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Differing {
    /// Its instant.
    pub(super) at: EventTime,
    /// What it changes, made again; `None` where it leaves the capacity as it is.
    pub(super) made_again: Option<Action>,
    /// What the planner proposed then; `None` where that was nothing.
    pub(super) logged: Option<Action>,
}

/// How the decisions agree with the log.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Compared {
    /// First and last instant of those that were compared; `None` where the log tells nothing of them.
    pub(super) span: Option<(EventTime, EventTime)>,
    /// The newest first.
    pub(super) differing: Vec<Differing>,
    /// Whether the newest is as the log tells; `None` where the log does not tell yet.
    pub(super) newest_agrees: Option<bool>,
}

impl Compared {
    /// Of the decision of `newest`, and those before it that change something (`acts`). The decisions begin at `from`.
    pub(super) fn of(
        (from, newest): (EventTime, EventTime),
        acts: &BTreeMap<EventTime, Action>,
        heard: &Heard<'_>,
    ) -> Self {
        let Some(Told { from: told_from, until }) = heard.told else { return Self::default() };
        let of_time = newest.plus_s(-COMPARED_S).max(from);
        // Of the instant that a cut log begins with, a part may be missing.
        let after_cut = EventTime::from_ms(told_from.as_ms() + 1);
        let first = if heard.is_whole() { of_time } else { of_time.max(after_cut) };
        if first > newest {
            return Self::default();
        }
        let (made, logged) = (acts.range(first..=newest), heard.proposed.range(first..=newest));
        let instants: BTreeSet<EventTime> = made.chain(logged).map(|(at, _)| *at).collect();
        let is_told = |at: EventTime| at.plus_s(TOLD_EVERY_S) <= until;
        let mut compared =
            Self { span: Some((first, newest)), differing: Vec::new(), newest_agrees: is_told(newest).then_some(true) };
        for at in instants.into_iter().rev() {
            let (made_again, logged) = (acts.get(&at), heard.proposed.get(&at));
            let agrees = match (made_again, logged) {
                (Some(made_again), Some(logged)) => Some(is_same(made_again, logged)),
                (Some(_), None) => is_told(at).then_some(false),
                (None, _) => Some(false),
            };
            if at == newest {
                compared.newest_agrees = agrees;
            }
            if agrees == Some(false) {
                compared.differing.push(Differing { at, made_again: made_again.cloned(), logged: logged.cloned() });
            }
        }
        compared
    }

    /// What the log tells of the newest decision, where that is something else.
    pub(super) fn of_newest(&self) -> Option<&Differing> {
        self.differing.first().filter(|_| self.newest_agrees == Some(false))
    }

    /// What differs, as sentences; `all_was_read` says that the planner was made again from all that ever was.
    pub(super) fn warnings(&self, all_was_read: bool) -> Vec<String> {
        let why = if all_was_read {
            "the rules were others then"
        } else {
            "the rules were others then, or the planner remembered what was not read"
        };
        let of_newest = self.of_newest();
        let mut warnings = Vec::new();
        if let Some(Differing { at, made_again, logged }) = of_newest {
            warnings.push(format!(
                "the decision of {} was made again with the rules of today, which say {}; the log holds {} at that time: \
                 {why}",
                rfc3339(*at),
                made_words(made_again.as_ref()),
                logged_words(logged.as_ref())
            ));
        }
        let before = &self.differing[usize::from(of_newest.is_some())..];
        if let Some(Differing { at, made_again, logged }) = before.first() {
            warnings.push(format!(
                "made again with the rules of today, {} of the 24 h before differ from what the log holds, so what is told \
                 may not be why it was decided then; the newest is that of {}: made again it is {}, the log holds {} at that \
                 time: {why}",
                if before.len() == 1 { "1 decision".to_owned() } else { format!("{} decisions", before.len()) },
                rfc3339(*at),
                made_words(made_again.as_ref()),
                logged_words(logged.as_ref())
            ));
        }
        warnings
    }
}

fn made_words(made_again: Option<&Action>) -> String {
    made_again.map_or_else(|| "to hold".to_owned(), explain_change)
}

fn logged_words(logged: Option<&Action>) -> String {
    logged.map_or_else(|| "no proposal".to_owned(), |action| format!("a proposal to {}", explain_change(action)))
}

/// Whether both ask for the same, in the same way. How they come to it may differ.
fn is_same(a: &Action, b: &Action) -> bool {
    let asked = |action: &Action| (action.mechanism, action.dry_run, action.valid_until);
    a.desired == b.desired && a.policy == b.policy && asked(a) == asked(b)
}
