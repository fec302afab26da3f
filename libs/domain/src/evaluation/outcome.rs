//! What one hour of one workload came to: a record of topic `outcomes`.

use super::Sums;
use crate::policy::rule_book::RulesFor as _;
use crate::policy::{RuleBook, Rules};
use crate::time::EventTime;
use crate::workload::WorkloadId;
use std::sync::Arc;

/// Length of what one record is about, in seconds.
pub const HOUR_S: u32 = 3600;

/// What a core costs.
#[derive(Clone, Debug, PartialEq)]
pub struct CorePrice {
    /// For an hour.
    pub per_core_h: f64,
    /// In which currency.
    pub currency: Arc<str>,
}

/// What an evaluation goes by.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// The planner's rules.
    pub rules: RuleBook,
    /// What a core costs; `None` where nobody said.
    pub price: Option<CorePrice>,
}

/// What the evaluation of one workload goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnTerms<'a> {
    pub(super) rules: &'a Rules,
    pub(super) price: Option<&'a CorePrice>,
}

impl Terms {
    /// Those of a workload of a source.
    pub(super) fn of(&self, workload: &WorkloadId, source: &str) -> OwnTerms<'_> {
        OwnTerms { rules: self.rules.rules_for(workload, source).rules, price: self.price.as_ref() }
    }
}

/// A record of topic `outcomes`: what one hour (UTC) of one workload came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Whose demand and capacity.
    pub workload: WorkloadId,
    /// Stream that its samples came from.
    pub source: Arc<str>,
    /// First instant of the hour.
    pub from: EventTime,
    /// Policy that made the plan.
    pub policy: Arc<str>,
    /// Time from a decision until it serves, in seconds: of the plan and of the reactive rule.
    pub lead_time_s: u32,
    /// Whether the plan is a dry run; otherwise the capacity follows it.
    pub is_dry_run: bool,
    /// What it came to.
    pub sums: Sums,
}

impl Outcome {
    /// End of the hour.
    pub fn to(&self) -> EventTime {
        self.from.plus_s(i64::from(HOUR_S))
    }
}
