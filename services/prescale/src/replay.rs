//! `prescale replay`: policies over a trace in a closed loop, beside the simple rules in use elsewhere, and what
//! each would have been worth.
//!
//! Every contender has a capacity of its own for each workload, which follows what it decides after the lead
//! time; the trace's demand is held against it. A row of a trace holds the mean of a step, so it is known when
//! the step ends: there the contenders decide, and what they order serves a lead time later. Demand is CPU; where a
//! policy chooses instance types, it sizes memory as well, by the trace's use of it, and what counts is still CPU.

mod contender;
mod course;
mod follower;
mod foreseer;
mod front;
mod html;
mod outcome;
mod planner;
mod plots;
mod policies;
mod relative;
mod report;
mod table;
#[cfg(test)]
mod tests;

use crate::lanes;
use crate::settings::Settings;
use crate::write_report;
use anyhow::{Context as _, Result, ensure};
use contender::Contender;
use course::{Course, Forecaster, Memory};
use glob::Pattern;
use outcome::Outcome;
use planner::Basis;
use policies::{Kind, Policy};
use prescale_collector::ReplayReport;
use prescale_collector::config::ReplayConfig;
use prescale_collector::replay::read::TraceExtent;
use prescale_domain::cloud::PriceList;
use prescale_domain::evaluation::Terms;
use prescale_domain::forecast::Family;
use prescale_domain::governor::{Fleets, GovernorRules};
use prescale_domain::kpi::{CPU_CORES_USED, MEMORY_BYTES};
use prescale_domain::outcome::Tally;
use prescale_domain::policy::RuleBook;
use prescale_domain::time::EventTime;
use prescale_predictor::config::Choice;
use prescale_predictor::partition::Partition;
use prescale_predictor::registry::Registry;
pub use report::Report;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

/// What is to be compared on what.
#[derive(Clone, Debug)]
pub struct Request {
    /// The trace, its mapping and range, warm-up included.
    pub trace: ReplayConfig,
    /// First instant that counts; a warm-up after the trace's beginning if none.
    pub scored_from: Option<EventTime>,
    /// Length of the warm-up, in seconds.
    pub warm_up_s: u32,
    /// Times from a decision until it serves, in seconds.
    pub lead_times_s: Vec<u32>,
    /// The policies, each `NAME` or `NAME+KEY=VALUE+...`; empty for all.
    pub policies: Vec<String>,
    /// Whether the simple rules and the planner are also run with other values of their knobs.
    pub sweep: bool,
    /// Which workloads; all if none.
    pub workloads: Option<Pattern>,
    /// Whether the predictor runs; otherwise policies see the last value alone.
    pub forecasts: bool,
    /// Whether the governor lets what is decided out, as in `up`; otherwise all of it goes out at once.
    pub governor: bool,
    /// Which end of its step a row's instant is.
    pub stamped: Stamped,
    /// Which demand policies see.
    pub shown: ShownDemand,
    /// Smallest step of a capacity, in cores.
    pub grain_cores: f64,
    /// Length of the bootstrap's blocks, in days.
    pub block_days: u32,
    /// Folder for `report.json`, `report.html` and the plots of what is traded.
    pub report: Option<PathBuf>,
}

/// Which end of its step a row's instant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamped {
    /// A row at `t` is about the step from `t` on.
    Start,
    /// A row at `t` is about the step up to `t`.
    End,
}

impl Stamped {
    /// The step that a row of this instant is about. It is known when it ends.
    fn step(self, at: EventTime, step_s: u32) -> (EventTime, EventTime) {
        let step_s = i64::from(step_s);
        match self {
            Self::Start => (at, at.plus_s(step_s)),
            Self::End => (at.plus_s(-step_s), at),
        }
    }

    /// From a row's instant until it is known, in seconds.
    fn known_after_s(self, step_s: u32) -> u32 {
        match self {
            Self::Start => step_s,
            Self::End => 0,
        }
    }
}

/// Which demand policies see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownDemand {
    /// The trace's.
    Measured,
    /// No more than the capacity that serves: what is short shows its capacity. Forecasts are of the trace's.
    Capped,
}

/// Whether the request makes sense, before the trace is looked at.
///
/// # Errors
/// With the argument that cannot be used, and what to write instead.
pub fn check(settings: &Settings, request: &Request) -> Result<()> {
    policies_of(settings, request).map(|_| ())
}

fn policies_of(settings: &Settings, request: &Request) -> Result<Vec<Policy>> {
    ensure!(!request.lead_times_s.is_empty(), "--lead-time: name at least one");
    ensure!(request.block_days > 0, "--block-days: at least one day");
    ensure!(request.grain_cores.is_finite() && request.grain_cores > 0.0, "--grain: give cores above 0");
    let policies = policies::chosen(settings, request)?;
    for policy in &policies {
        let Kind::Planner(planning) = &policy.kind else { continue };
        // A step that only the trace says is a second at least.
        let known_after_s = request.stamped.known_after_s(request.trace.step_s.max(1));
        for lead_s in &request.lead_times_s {
            planning.rules_with(&policy.label, *lead_s, known_after_s)?;
        }
    }
    Ok(policies)
}

/// Reads the trace and holds every contender's capacity against it.
///
/// # Errors
/// When the configuration, a policy, the mapping or the trace cannot be used, or the report cannot be written.
pub fn replay(settings: &Settings, request: &Request) -> Result<Report> {
    let plan = Plan::of(settings, request)?;
    let mut course = plan.course(request);
    let deal = |samples, contenders| {
        let steps = Arc::new(course.steps(samples)?);
        Ok(vec![steps; contenders])
    };
    let contenders = |extent: &TraceExtent| plan.contenders(request, extent);
    let (outcomes, read): (Vec<Outcome>, ReplayReport) = lanes::run(&request.trace, contenders, deal)?;
    let is_scored = |tally: &Tally| tally.hours > 0.0;
    ensure!(
        outcomes.iter().flat_map(|outcome| &outcome.tallies).any(is_scored),
        "nothing was scored: the trace has {} samples; it needs some of {CPU_CORES_USED} after the warm-up of {} s, \
         and of a workload that is asked for",
        read.samples_written,
        request.warm_up_s,
    );
    let report = Report::of(&plan, request, &read, &course.workloads(), outcomes);
    if let Some(folder) = &request.report {
        write_report(folder, &report, &html::page(&report)?)?;
        for lead_s in report.lead_times_s() {
            for (name, picture) in plots::trades(&report, lead_s)? {
                let file = folder.join(name);
                fs::write(&file, picture).with_context(|| format!("cannot write {}", file.display()))?;
            }
        }
    }
    Ok(report)
}

/// The contenders, each a policy and a lead time, and what they share.
struct Plan {
    contenders: Vec<(Policy, u32)>,
    predictor: Option<Arc<Registry>>,
    naive: Option<Arc<Registry>>,
    prices: Arc<PriceList>,
    /// Whether a policy sizes memory beside CPU.
    sizes_memory: bool,
    partitions: u32,
    governor: Option<Arc<GovernorRules>>,
    fleets: Arc<Fleets>,
}

impl Plan {
    fn of(settings: &Settings, request: &Request) -> Result<Self> {
        let policies = policies_of(settings, request)?;
        let needs = |naive: bool| request.forecasts && policies.iter().any(|p| p.needs_forecasts(naive));
        let mut config = settings.predictor.clone();
        let sizes_memory = policies.iter().any(Policy::sizes_memory);
        config.resources = vec![CPU_CORES_USED.to_owned()];
        config.resources.extend(sizes_memory.then(|| MEMORY_BYTES.to_owned()));
        let predictor = needs(false).then(|| Registry::open(Arc::new(config.settings()?))).transpose()?.map(Arc::new);
        config.models = vec![Family::LastValue.name().to_owned()];
        config.choice = Choice::Order;
        let naive = needs(true).then(|| Registry::open(Arc::new(config.settings()?))).transpose()?.map(Arc::new);
        let lead_times_s = &request.lead_times_s;
        let contenders = lead_times_s.iter().flat_map(|lead_s| policies.iter().map(|p| (p.clone(), *lead_s))).collect();
        let prices = Arc::new(settings.planner.prices.price_list()?);
        let governor = settings.governor.rules()?;
        let governor = request.governor.then(|| Arc::new(governor));
        let fleets = Arc::new(prescale_chassis::fleets(&settings.governor.fleets)?);
        let partitions = settings.bus.partitions.max(1);
        Ok(Self { contenders, predictor, naive, prices, sizes_memory, partitions, governor, fleets })
    }

    fn contenders(&self, request: &Request, extent: &TraceExtent) -> Result<Vec<Contender>> {
        let known_after_s = request.stamped.known_after_s(extent.step_s);
        let scored_from = request.scored_from.unwrap_or(extent.from.plus_s(i64::from(request.warm_up_s)));
        let contender = |of: &(Policy, u32)| Contender::new(self, of, known_after_s, scored_from, request);
        self.contenders.iter().map(contender).collect()
    }

    fn course(&self, request: &Request) -> Course {
        let partition = |registry: &Option<Arc<Registry>>| registry.as_ref().map(|r| Partition::new(Arc::clone(r)));
        let forecaster = |_| Forecaster { predictor: partition(&self.predictor), naive: partition(&self.naive) };
        let has_planner = self.contenders.iter().any(|(policy, _)| matches!(policy.kind, Kind::Planner(_)));
        let forecasters = (0..self.partitions).map(forecaster).collect();
        let memory = if self.sizes_memory { Memory::Needed } else { Memory::Unneeded };
        Course::new(request.stamped, request.workloads.clone(), has_planner, memory, forecasters)
    }

    /// The prices of whole capacities, where they are what capacity costs; elsewhere its cores alone have a price.
    fn capacity_prices(&self) -> Option<Arc<PriceList>> {
        self.sizes_memory.then(|| Arc::clone(&self.prices))
    }

    fn basis(&self, rules: RuleBook) -> Basis {
        let (governor, fleets) = (self.governor.clone(), Arc::clone(&self.fleets));
        let terms = Terms { rules, pricing: None };
        Basis { terms, governor, fleets, partitions: self.partitions }
    }
}
