//! A policy with a lead time over all workloads.

use super::course::Step;
use super::follower::{Follower, Mind};
use super::foreseer::Foreseer;
use super::outcome::Outcome;
use super::planner::Planner;
use super::policies::{Kind, Policy};
use super::{Plan, Request};
use crate::lanes;
use anyhow::Result;
use prescale_domain::time::EventTime;
use std::sync::Arc;

/// A policy with a lead time, and the first instant that counts.
pub(super) struct Contender {
    pub(super) way: Way,
    scored_from: EventTime,
}

/// How a capacity comes about.
pub(super) enum Way {
    /// A capacity that follows what is decided.
    Follower(Box<Follower>),
    /// The least capacity.
    Foreseer(Foreseer),
}

impl Contender {
    /// The policy; a row is known so long after its instant, in seconds.
    ///
    /// # Errors
    /// When the planner's section makes no sense with that lead time.
    pub(super) fn new(
        plan: &Plan,
        (policy, lead_s): &(Policy, u32),
        known_after_s: u32,
        scored_from: EventTime,
        request: &Request,
    ) -> Result<Self> {
        let prices = plan.capacity_prices();
        let mind = match &policy.kind {
            Kind::Foresight(changes_max) => {
                return Ok(Self { way: Way::Foreseer(Foreseer::new(*changes_max, prices)), scored_from });
            }
            Kind::Simple(simple, knobs) => {
                Mind::Simple { simple, knobs: knobs.clone(), ahead_s: lead_s.saturating_add(known_after_s) }
            }
            Kind::Planner(planning) => {
                let rules = planning.rules_with(&policy.label, *lead_s, known_after_s)?;
                let planner = Box::new(Planner::new(plan.basis(rules)));
                Mind::Planner { planner, is_naive: planning.is_naive, sizes_memory: planning.sizes_memory }
            }
        };
        Ok(Self { way: Way::Follower(Box::new(Follower::new(mind, *lead_s, request, prices))), scored_from })
    }
}

impl lanes::Lane for Contender {
    type Hand = Arc<Vec<Step>>;
    type Outcome = Outcome;

    fn take(&mut self, steps: Arc<Vec<Step>>) -> Result<()> {
        for step in steps.iter() {
            let is_scored = step.begin >= self.scored_from;
            match &mut self.way {
                Way::Follower(follower) => follower.take(step, is_scored),
                Way::Foreseer(foreseer) => foreseer.take(step, is_scored),
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Outcome> {
        Ok(match self.way {
            Way::Follower(follower) => follower.outcome,
            Way::Foreseer(foreseer) => foreseer.finish(),
        })
    }
}
