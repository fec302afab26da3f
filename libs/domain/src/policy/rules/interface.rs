//! What every policy is: `Facts` in, needs out, or with a chooser of its own a ready capacity.
//!
//! It must not know which policies there are: whoever reads configuration has the list of them.

use super::{Rules, RulesError};
use crate::action::Reason;
use crate::policy::choose::{Choice, Wanted};
use crate::policy::decide::Facts;
use crate::policy::proactive::Proactive;
use crate::policy::proposal::Proposal;
use crate::policy::rate::judge::{RateCall, by_tried_rule};
use crate::policy::rate::watch::RateView;
use crate::policy::sizing::Sizing;
use crate::sample::Capacity;
use std::any::Any;
use std::fmt::Debug;
use std::ops::Deref;
use std::sync::Arc;

/// A policy with its settings. The floor under live use, guardrails and the wording of a plan are not its own.
pub trait Policy: Comparable + Debug + Send + Sync {
    /// Its name in records and configuration.
    fn name(&self) -> &'static str;

    /// Whether its settings make sense, with what capacity may be made of.
    ///
    /// # Errors
    /// With the first setting that does not, named as in the configuration.
    fn validate(&self, sizing: &Sizing) -> Result<(), RulesError>;

    /// What the demand needs, against what was asked for last (`base`).
    fn propose(&self, rules: &Rules, facts: &Facts<'_>, base: &Capacity) -> Proposal;

    /// How demand is planned by the rules that are tried on it; `None` where the policy looks at none of them. With a
    /// plan an increase may go in one step to what the last week used, and waits while a surge is young.
    fn plan(&self) -> Option<&Proactive> {
        None
    }

    /// Plans demand so, where the policy leaves that to `proactive`.
    fn plan_as(&mut self, _plan: &Proactive) {}

    /// What a rate is to have, where `served` is what was asked for last serves of it; `None` to leave it. By the rule
    /// that does best on it, unless the policy has another way.
    ///
    /// # Errors
    /// With the reason that nothing can be said.
    fn judge_rate(
        &self,
        _rules: &Rules,
        facts: &Facts<'_>,
        view: &RateView<'_>,
        served: f64,
    ) -> Result<Option<RateCall>, Reason> {
        Ok(by_tried_rule(facts, view, served))
    }

    /// Who makes a ready capacity of what is needed; `None` where that is left to sizing by the workload's mechanism.
    fn chooser(&self) -> Option<&dyn Chooser> {
        None
    }

    /// Whether it decides by nothing but forecasts.
    fn needs_forecasts(&self) -> bool {
        false
    }
}

/// Makes a ready capacity: count and size together.
pub trait Chooser {
    /// What to have of what covers `wanted`, coming from `base`.
    fn choose(&self, rules: &Rules, base: &Capacity, wanted: &Wanted) -> Choice;

    /// Why, with what else there was. `current` serves.
    fn words(&self, rules: &Rules, capacities: (&Capacity, &Capacity), wanted: &Wanted, choice: &Choice)
    -> Vec<Reason>;
}

/// What can be compared with policies of any kind.
pub trait Comparable: Any {
    /// Whether the other is of the same kind with the same settings.
    fn equals(&self, other: &(dyn Policy + 'static)) -> bool;
}

impl<P: Policy + PartialEq> Comparable for P {
    fn equals(&self, other: &(dyn Policy + 'static)) -> bool {
        let other: &dyn Any = other;
        other.downcast_ref::<P>().is_some_and(|other| self == other)
    }
}

/// A policy of any kind.
#[derive(Clone, Debug)]
pub struct AnyPolicy(Arc<dyn Policy>);

impl<P: Policy> From<P> for AnyPolicy {
    fn from(policy: P) -> Self {
        Self(Arc::new(policy))
    }
}

impl Deref for AnyPolicy {
    type Target = dyn Policy;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref()
    }
}

impl PartialEq for AnyPolicy {
    fn eq(&self, other: &Self) -> bool {
        self.0.equals(other.0.as_ref())
    }
}
