//! Orders of operators: what is to stand still, on whose word, and which of them stand.

use crate::time::EventTime;
use crate::workload::{WorkloadId, WorkloadIdError};
use bitcode::{Decode, Encode};
use std::collections::BTreeMap;
use std::fmt;

const ALL: &str = "all";
const FLEET: &str = "fleet:";
const WORKLOAD: &str = "workload:";

/// What an order is about: `all`, `fleet:NAME` or `workload:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Scope(WorkloadId);

/// Why a text is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// It has none of the three forms.
    #[error("{text:?} is no scope: give all, fleet:NAME or workload:NAME")]
    Unknown {
        /// The text.
        text: String,
    },
    /// Its name cannot be one.
    #[error("scope {text:?}: {source}")]
    Name {
        /// The text.
        text: String,
        /// What is wrong with it.
        source: WorkloadIdError,
    },
}

impl Scope {
    /// Every workload.
    pub fn all() -> Self {
        Self(WorkloadId::of_static(ALL))
    }

    /// Reads a scope.
    ///
    /// # Errors
    /// When it has none of the three forms, or the name cannot be one.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        let name = text.strip_prefix(FLEET).or_else(|| text.strip_prefix(WORKLOAD));
        if text != ALL && name.is_none_or(str::is_empty) {
            return Err(ScopeError::Unknown { text: text.to_owned() });
        }
        WorkloadId::new(text).map(Self).map_err(|source| ScopeError::Name { text: text.to_owned(), source })
    }

    /// The scope as a key.
    pub fn key(&self) -> &WorkloadId {
        &self.0
    }

    /// Whether it is a fleet.
    pub fn is_fleet(&self) -> bool {
        self.0.as_str().starts_with(FLEET)
    }

    /// Whether a workload of a fleet is in it.
    pub fn covers(&self, fleet: &WorkloadId, workload: &WorkloadId) -> bool {
        let text = self.0.as_str();
        text == ALL
            || text.strip_prefix(FLEET).is_some_and(|name| name == fleet.as_str())
            || text.strip_prefix(WORKLOAD).is_some_and(|name| name == workload.as_str())
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an order does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Effect {
    /// Nothing changes.
    Pause,
    /// Nothing shrinks.
    PauseScaleIn,
    /// The order before for the same scope is lifted.
    Resume,
}

/// An order of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Order {
    /// What it is about.
    pub scope: Scope,
    /// What it does.
    pub effect: Effect,
    /// When it was given. The newest of a scope counts.
    pub at: EventTime,
    /// Why, in the operator's words; empty when none were given.
    pub why: String,
    /// Who gave it.
    pub by: String,
    /// Whether the governor has repeated it, so that it outlives what the log keeps.
    pub is_repetition: bool,
}

/// The newest order of each scope, also where that lifted another: an older one that is repeated late
/// must not come back.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Orders(BTreeMap<Scope, Order>);

impl Orders {
    /// Takes an order in; false when it brings nothing new.
    pub fn take(&mut self, order: &Order) -> bool {
        let is_newer = self.0.get(&order.scope).is_none_or(|known| known.at < order.at);
        if is_newer {
            self.0.insert(order.scope.clone(), Order { is_repetition: false, ..order.clone() });
        }
        is_newer
    }

    /// The order that holds a change of a workload, if one does: one that holds all before one that holds
    /// only what shrinks.
    pub(super) fn holding(&self, fleet: &WorkloadId, workload: &WorkloadId, shrinks: bool) -> Option<&Order> {
        let holds = |order: &&Order| match order.effect {
            Effect::Pause => true,
            Effect::PauseScaleIn => shrinks,
            Effect::Resume => false,
        };
        let found = self.0.values().filter(|order| order.scope.covers(fleet, workload)).filter(holds);
        found.min_by_key(|order| order.effect != Effect::Pause)
    }

    /// When an operator last said that a workload of a fleet may change.
    pub(super) fn resumed_at(&self, fleet: &WorkloadId, workload: &WorkloadId) -> Option<EventTime> {
        let resumes = |order: &&Order| order.effect == Effect::Resume && order.scope.covers(fleet, workload);
        self.0.values().filter(resumes).map(|order| order.at).max()
    }

    /// Those that hold something and cover a workload, by scope.
    pub fn covering(&self, fleet: &WorkloadId, workload: &WorkloadId) -> impl Iterator<Item = &Order> {
        self.standing().filter(move |order| order.scope.covers(fleet, workload))
    }

    /// Those that hold something.
    pub(super) fn standing(&self) -> impl Iterator<Item = &Order> {
        self.0.values().filter(|order| order.effect != Effect::Resume)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::fixtures::workload;

    fn order(scope: &str, effect: Effect, at_s: i64) -> Order {
        Order {
            scope: Scope::parse(scope).unwrap(),
            effect,
            at: EventTime::from_s(at_s),
            why: String::new(),
            by: "someone".into(),
            is_repetition: false,
        }
    }

    #[test]
    fn a_scope_has_one_of_three_forms() {
        for good in ["all", "fleet:demo", "workload:a:b"] {
            assert_eq!(Scope::parse(good).unwrap().to_string(), good);
        }
        for bad in ["", "everything", "fleet:", "workload:", "Fleet:x"] {
            assert!(Scope::parse(bad).unwrap_err().to_string().contains("fleet:NAME"), "{bad}");
        }
        assert!(Scope::parse(&format!("workload:{}", "x".repeat(250))).unwrap_err().to_string().contains("259 bytes"));
        let (fleet, web) = (workload("demo"), workload("web"));
        let covers = |scope: &str| Scope::parse(scope).unwrap().covers(&fleet, &web);
        assert!(covers("all") && covers("fleet:demo") && covers("workload:web"));
        assert!(!covers("fleet:web") && !covers("workload:demo"));
        assert_eq!(Scope::all(), Scope::parse("all").unwrap());
    }

    #[test]
    fn the_newest_order_of_a_scope_stands_whatever_is_repeated_late() {
        let mut orders = Orders::default();
        let (fleet, web) = (workload("demo"), workload("web"));
        assert!(orders.take(&order("all", Effect::PauseScaleIn, 10)));
        assert!(orders.holding(&fleet, &web, true).is_some() && orders.holding(&fleet, &web, false).is_none());
        assert!(orders.take(&order("workload:web", Effect::Pause, 11)));
        assert_eq!(orders.holding(&fleet, &web, true).map(|o| o.effect), Some(Effect::Pause));
        assert!(orders.take(&order("workload:web", Effect::Resume, 12)));
        assert!(!orders.take(&Order { is_repetition: true, ..order("workload:web", Effect::Pause, 11) }));
        assert!(orders.holding(&fleet, &web, false).is_none());
        assert_eq!(orders.standing().count(), 1);
        assert!(orders.take(&order("fleet:demo", Effect::Pause, 13)));
        assert!(orders.take(&order("workload:db", Effect::Pause, 14)));
        let covering: Vec<String> = orders.covering(&fleet, &web).map(|o| o.scope.to_string()).collect();
        assert_eq!(covering, ["all", "fleet:demo"]);
    }
}
