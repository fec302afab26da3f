//! What one hour of one workload came to: a record of topic `outcomes`.

use super::Sums;
use crate::policy::rule_book::RulesFor as _;
use crate::policy::{RuleBook, Rules};
use crate::sample::Capacity;
use crate::source::SourceName;
use crate::time::EventTime;
use crate::workload::WorkloadId;
use std::sync::Arc;

/// Length of what one record is about, in seconds.
pub const HOUR_S: u32 = 3600;

/// What capacity costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Pricing {
    /// In which currency.
    pub currency: Arc<str>,
    /// What a core costs for an hour, whatever it is part of; `None` where it is the price list of a workload's rules
    /// that says what its capacity costs.
    pub per_core_h: Option<f64>,
}

/// What decisions and their account go by.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// The planner's rules.
    pub rules: RuleBook,
    /// What capacity costs; `None` where nothing is to be said of money.
    pub pricing: Option<Pricing>,
}

/// What the evaluation of one workload goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnTerms<'a> {
    pub(super) rules: &'a Rules,
    pub(super) pricing: Option<&'a Pricing>,
    /// Time from a decision that is made now until it serves, in seconds.
    pub(super) lead_time_s: u32,
}

impl Terms {
    /// Those of a workload of a source, whose decisions serve so long after they are made.
    pub(super) fn of(&self, workload: &WorkloadId, source: &str, lead_time_s: u32) -> OwnTerms<'_> {
        let rules = self.rules.rules_for(workload, source).rules;
        OwnTerms { rules, pricing: self.pricing.as_ref(), lead_time_s }
    }
}

impl OwnTerms<'_> {
    /// What a capacity costs for an hour; `None` where no price is known. One of 0 in the list is none: it says that
    /// nobody listed one.
    pub(super) fn price_per_h(&self, capacity: &Capacity) -> Option<f64> {
        match self.pricing?.per_core_h {
            Some(per_core_h) => Some(capacity.cpu_cores() * per_core_h),
            None => self.rules.sizing.prices.price_per_h(capacity).filter(|price| *price > 0.0),
        }
    }
}

/// A record of topic `outcomes`: what one hour (UTC) of one workload came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Whose demand and capacity.
    pub workload: WorkloadId,
    /// Stream that its samples came from.
    pub source: SourceName,
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
