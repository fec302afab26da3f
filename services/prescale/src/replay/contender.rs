//! A policy with a lead time over the workloads of a lane.

use super::Request;
use super::follower::{Follower, Mind};
use super::foreseer::Foreseer;
use super::planner::Planner;
use super::policies::{Kind, Policy};
use anyhow::{Context as _, Result};
use prescale_domain::outcome::Tally;
use prescale_domain::prediction::Prediction;
use prescale_domain::time::EventTime;
use std::collections::BTreeMap;
use std::ops::AddAssign;

/// One step of one workload, as every contender meets it.
pub(super) struct Step<'a> {
    /// Number of the workload in its lane.
    pub workload: usize,
    /// First instant of the step.
    pub begin: EventTime,
    /// Its end, at which it is known.
    pub end: EventTime,
    /// Length, in seconds.
    pub step_s: u32,
    /// Mean demand, in cores; `None` where it is missing.
    pub demand: Option<f64>,
    /// The capacity that the trace says, in cores.
    pub bought: Option<f64>,
    /// Whether it counts.
    pub is_scored: bool,
    /// Whether a surge begins with it.
    pub is_surge: bool,
    /// The predictor's prediction; with no forecasts the last value alone.
    pub prediction: Option<&'a Prediction>,
    /// The same by the naive forecast.
    pub naive: Option<&'a Prediction>,
}

/// What the ratios of the fleet are made of, in hours and core-hours.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sums {
    pub hours_short: f64,
    pub unmet: f64,
    pub over: f64,
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.hours_short += other.hours_short;
        self.unmet += other.unmet;
        self.over += other.over;
    }
}

/// What a contender came to.
#[derive(Default)]
pub(super) struct Outcome {
    /// By number of the workload.
    pub tallies: Vec<Tally>,
    /// By day since 1970, over all workloads.
    pub days: BTreeMap<i64, Sums>,
}

impl Outcome {
    /// The tally of a workload.
    pub(super) fn of(&mut self, workload: usize) -> &mut Tally {
        if self.tallies.len() <= workload {
            self.tallies.resize(workload + 1, Tally::default());
        }
        &mut self.tallies[workload]
    }

    /// Changes the tally of a workload, and adds what came to it to the day's sums.
    pub(super) fn on_day(&mut self, workload: usize, at: EventTime, change: impl FnOnce(&mut Tally)) {
        let tally = self.of(workload);
        let before = *tally;
        change(tally);
        let came = Sums {
            hours_short: tally.hours_short - before.hours_short,
            unmet: tally.unmet - before.unmet,
            over: tally.over - before.over,
        };
        *self.days.entry(at.bin(86_400)).or_default() += came;
    }
}

/// A policy with a lead time.
pub(super) enum Contender {
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
    pub(super) fn new(policy: &Policy, lead_s: u32, known_after_s: u32, request: &Request) -> Result<Self> {
        let ahead_s = lead_s + known_after_s;
        let mind = match &policy.kind {
            Kind::Foresight(changes_max) => return Ok(Self::Foreseer(Foreseer::new(*changes_max))),
            Kind::Simple(simple, knobs) => Mind::Simple { simple, knobs: knobs.clone(), ahead_s },
            Kind::Planner(planning) => {
                let rules = planning.rules(ahead_s).with_context(|| format!("--policies {:?}", policy.label))?;
                Mind::Planner { planner: Box::new(Planner::new(rules)), is_naive: planning.is_naive }
            }
        };
        Ok(Self::Follower(Box::new(Follower::new(mind, lead_s, request))))
    }

    /// Takes a step in, in order of a workload's steps.
    pub(super) fn take(&mut self, step: &Step<'_>) {
        match self {
            Self::Follower(follower) => follower.take(step),
            Self::Foreseer(foreseer) => foreseer.take(step),
        }
    }

    /// What it came to.
    pub(super) fn finish(self) -> Outcome {
        match self {
            Self::Follower(follower) => follower.outcome,
            Self::Foreseer(foreseer) => foreseer.finish(),
        }
    }
}
