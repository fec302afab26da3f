//! Which rules hold for which workload: the general ones, with those of sections on top of them.
//!
//! Sections go on top of each other by their priority and then by name, the later on top. All combinations of sections
//! that may hold for one workload are composed when the book is made, so that rules that contradict each other are
//! found then, and not when such a workload appears.
//!
//! It must not know what sections override, nor how that is written.

use super::rules::Rules;
use crate::selector::Selector;
use crate::workload::WorkloadId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most combinations of sections that may hold for one workload.
pub const COMBINATIONS_MAX: usize = 4096;

/// Workloads for which a section holds: one selector of each list must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reach(pub Vec<Vec<Selector>>);

impl Reach {
    fn holds(&self, workload: &WorkloadId, source: &str) -> bool {
        self.0.iter().all(|any| any.iter().any(|selector| selector.holds(workload, source)))
    }

    fn may_meet(&self, other: &Self) -> bool {
        let meet = |a: &[Selector], b: &[Selector]| a.iter().any(|p| b.iter().any(|q| p.may_meet(q)));
        self.0.iter().all(|a| other.0.iter().all(|b| meet(a, b)))
    }
}

/// Rules for some workloads.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// Its name, unique in the book.
    pub name: Arc<str>,
    /// Those of a higher priority go on top of those of a lower one.
    pub priority: i64,
    /// For whom.
    pub reach: Reach,
}

/// Rules, and where they come from.
#[derive(Clone, Debug, PartialEq)]
struct Composed {
    rules: Rules,
    from: Vec<Arc<str>>,
}

/// All rules, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleBook {
    general: Composed,
    /// In the order in which they go on top of each other.
    sections: Vec<Section>,
    /// By the sections that hold, as indices, ascending.
    composed: BTreeMap<Vec<usize>, Composed>,
}

/// Why no book can be made.
#[derive(Debug, thiserror::Error)]
pub enum RuleBookError<E> {
    /// The rules of some sections on top of each other make no sense.
    #[error("{0}")]
    Rules(E),
    /// Too many sections may hold for one workload.
    #[error(
        "{} may all hold for one workload, which is over {COMBINATIONS_MAX} combinations: give them patterns that begin or \
         end otherwise",
        .0.join(", ")
    )]
    TooMany(Vec<String>),
}

/// The rules that hold for a workload.
#[derive(Clone, Copy, Debug)]
pub struct Ruled<'a> {
    /// The rules.
    pub rules: &'a Rules,
    /// The sections on top of the general rules, the lowest first.
    pub from: &'a [Arc<str>],
}

/// Who says which rules hold for a workload: [`Rules`] that are the same for all, or a [`RuleBook`].
pub trait RulesFor {
    /// The rules for a workload of a source.
    fn rules_for(&self, workload: &WorkloadId, source: &str) -> Ruled<'_>;
}

impl RulesFor for Rules {
    fn rules_for(&self, _workload: &WorkloadId, _source: &str) -> Ruled<'_> {
        Ruled { rules: self, from: &[] }
    }
}

impl RulesFor for RuleBook {
    fn rules_for(&self, workload: &WorkloadId, source: &str) -> Ruled<'_> {
        let holding = self.sections.iter().enumerate().filter(|(_, section)| section.reach.holds(workload, source));
        let holding: Vec<usize> = holding.map(|(index, _)| index).collect();
        let composed = if holding.is_empty() { None } else { self.composed.get(&holding) };
        let Composed { rules, from } = composed.unwrap_or(&self.general);
        Ruled { rules, from }
    }
}

impl RuleBook {
    /// Of the general rules and sections. `compose` says what the rules are with the sections of those names, the
    /// lowest first, on top of the general ones.
    ///
    /// # Errors
    /// When `compose` refuses, or too many sections may hold for one workload.
    pub fn new<E>(
        general: Rules,
        mut sections: Vec<Section>,
        mut compose: impl FnMut(&[Arc<str>]) -> Result<Rules, E>,
    ) -> Result<Self, RuleBookError<E>> {
        sections.sort_by(|a, b| (a.priority, &a.name).cmp(&(b.priority, &b.name)));
        let mut composed: BTreeMap<Vec<usize>, Composed> = BTreeMap::new();
        for (index, section) in sections.iter().enumerate() {
            let meets = |with: &&Vec<usize>| with.iter().all(|&i| sections[i].reach.may_meet(&section.reach));
            let below: Vec<Vec<usize>> =
                std::iter::once(Vec::new()).chain(composed.keys().filter(meets).cloned()).collect();
            for mut with in below {
                with.push(index);
                let from: Vec<Arc<str>> = with.iter().map(|&i| Arc::clone(&sections[i].name)).collect();
                if composed.len() == COMBINATIONS_MAX {
                    return Err(RuleBookError::TooMany(widest(&composed)));
                }
                let rules = compose(&from).map_err(RuleBookError::Rules)?;
                composed.insert(with, Composed { rules, from });
            }
        }
        Ok(Self { general: Composed { rules: general, from: Vec::new() }, sections, composed })
    }

    /// The general rules.
    pub fn general(&self) -> &Rules {
        &self.general.rules
    }

    /// The general rules, and those with each section alone on top of them, with its name.
    pub fn alone(&self) -> impl Iterator<Item = (Option<&str>, &Rules)> {
        let of_sections = self.composed.values().filter_map(|Composed { rules, from }| match from.as_slice() {
            [section] => Some((Some(&**section), rules)),
            _ => None,
        });
        std::iter::once((None, &self.general.rules)).chain(of_sections)
    }

    /// The sections, the lowest first.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }
}

impl From<Rules> for RuleBook {
    fn from(rules: Rules) -> Self {
        let general = Composed { rules, from: Vec::new() };
        Self { general, sections: Vec::new(), composed: BTreeMap::new() }
    }
}

fn widest(composed: &BTreeMap<Vec<usize>, Composed>) -> Vec<String> {
    let widest = composed.values().max_by_key(|c| c.from.len());
    widest.map(|c| c.from.iter().map(ToString::to_string).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
