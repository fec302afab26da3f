//! What the contenders came to, as figures: what `report.json` holds and the table and the page are made of.

use super::front::{Point, Role, standings};
use super::outcome::Outcome;
use super::policies::{BASELINE, Policy};
use super::relative::{Held, Relative, UNMET_WEIGHT};
use super::{Plan, Request};
use prescale_collector::ReplayReport;
use prescale_contracts::rfc3339;
use prescale_domain::outcome::Tally;
use prescale_domain::policy::proactive::budget::{Budget as StatedBudget, Counted};
use prescale_domain::workload::WorkloadId;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Shares of time short above which workloads are counted: three times .1, .5 and 2 %.
const SHORT_ABOVE: [f64; 3] = [0.003, 0.015, 0.06];

/// A workload that took more than so many times the stated share is counted.
const STATED_TIMES: f64 = 3.0;

/// Multiples of a stated share that a fleet which keeps it comes to.
const KEPT_WITHIN: RangeInclusive<f64> = 0.5..=1.3;

/// Largest share of the workloads of such a fleet that took more than [`STATED_TIMES`] the stated share.
const KEPT_WORKLOADS_ABOVE_MAX: f64 = 0.1;

/// Everything that a replay found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// File of the trace.
    pub trace: String,
    /// Instant of its first sample read.
    pub from: Option<String>,
    /// Of its last.
    pub to: Option<String>,
    /// First instant that counted, where it was asked for.
    pub scored_from: Option<String>,
    /// Length of the warm-up, in seconds.
    pub warm_up_s: u32,
    /// Rows read.
    pub rows_read: u64,
    /// Rows that were no samples, by reason.
    pub rows_dropped: BTreeMap<&'static str, u64>,
    /// Workloads that counted.
    pub workloads: usize,
    /// Days of a block of the bootstrap.
    pub block_days: u32,
    /// Name of the contender that others are compared with.
    pub baseline: &'static str,
    /// What of a capacity has a price.
    pub priced: Priced,
    /// Spare core-hours that an unmet one counts as, where winners and losers are told apart.
    pub unmet_weight: f64,
    /// Per lead time and policy.
    pub lines: Vec<Line>,
}

/// What of a capacity has a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Priced {
    /// Its cores.
    Cores,
    /// All of it, since a policy chooses instance types: by its type, or else by its cores and memory, which is what was
    /// bought where cores alone are sized.
    Capacity,
}

/// A policy with a lead time.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// As it was asked for, or swept.
    pub policy: String,
    /// Its name without knobs.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// Time from a decision until it serves, in seconds.
    pub lead_time_s: u32,
    /// Share of the time in which demand was above the capacity.
    pub time_short: f64,
    /// Share of the demand above the capacity.
    pub unmet: f64,
    /// Demand above the capacity, in core-hours.
    pub unmet_core_h: f64,
    /// Capacity above the demand, in core-hours.
    pub over_core_h: f64,
    /// The same as a multiple of the demand.
    pub over: f64,
    /// Changes of a workload within a day, on average.
    pub changes_per_workload_day: f64,
    /// Surges of the demand.
    pub surges: u64,
    /// Share of them that met enough capacity when they began.
    pub surges_covered: Option<f64>,
    /// What the capacity cost, as [`Report::priced`] says, in the price list's currency; `None` without a price of a core.
    pub cost: Option<f64>,
    /// Shares of the workloads that were short for more than each share of their time.
    pub workloads_short_above: Vec<(f64, f64)>,
    /// How the share that the policy states was kept; `None` where it states none.
    pub budget: Option<Budget>,
    /// By the baseline with the same lead time.
    pub relative: Relative,
    /// Whether no other policy with the same lead time has no more time short, unmet demand, capacity to spare and
    /// changes, and less of at least one. Bounds take no part.
    pub on_front: bool,
    /// The planner's policies that beat it so.
    pub beaten_by: Vec<String>,
}

/// A stated share, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Budget {
    /// What it is a share of.
    pub of: Stated,
    /// The share.
    pub stated: f64,
    /// What the fleet came to by it: above 1 is more than stated.
    pub fleet: f64,
    /// Share of the workloads that took more than three times it.
    pub workloads_above: f64,
    /// Whether the fleet came to .5 to 1.3 of it, and at most a tenth of the workloads took more than three times it.
    pub kept: bool,
}

/// What a stated share is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stated {
    /// The time short.
    TimeShort,
    /// The demand unmet.
    Unmet,
}

impl Report {
    pub(super) fn of(
        plan: &Plan,
        request: &Request,
        read: &ReplayReport,
        workloads: &[WorkloadId],
        mut outcomes: Vec<Outcome>,
    ) -> Self {
        outcomes.iter_mut().for_each(|outcome| outcome.tallies.resize(workloads.len(), Tally::default()));
        let held = |i: usize| Held { workloads, tallies: &outcomes[i].tallies, days: &outcomes[i].days };
        let baseline = |lead_s: u32| {
            let is_it = |(policy, lead): &(Policy, u32)| policy.label == BASELINE && *lead == lead_s;
            plan.contenders.iter().position(is_it).unwrap_or(0)
        };
        let priced = if plan.sizes_memory { Priced::Capacity } else { Priced::Cores };
        let line = |(i, (policy, lead_s)): (usize, &(Policy, u32))| {
            let (held, compared) = (held(i), held(baseline(*lead_s)));
            let cost = |sum: &Tally| match priced {
                Priced::Capacity => Some(outcomes[i].cost),
                Priced::Cores => plan.prices.core_price_per_h.map(|price| sum.cost(price)),
            };
            Line::of((policy, *lead_s), &held, Relative::of(&held, &compared, request.block_days), cost)
        };
        let mut lines: Vec<Line> = plan.contenders.iter().enumerate().map(line).collect();
        compare(&mut lines);
        let counted = |tallies: &[Tally]| tallies.iter().filter(|tally| tally.hours > 0.0).count();
        Self {
            trace: request.trace.file.display().to_string(),
            from: read.first_at.map(rfc3339),
            to: read.last_at.map(rfc3339),
            scored_from: request.scored_from.map(rfc3339),
            warm_up_s: request.warm_up_s,
            rows_read: read.rows_read,
            rows_dropped: read.rows_dropped.clone(),
            workloads: outcomes.first().map_or(0, |outcome| counted(&outcome.tallies)),
            block_days: request.block_days,
            baseline: BASELINE,
            priced,
            unmet_weight: UNMET_WEIGHT,
            lines,
        }
    }

    /// What a reader has to know of memory and money; nothing where CPU alone is sized and priced.
    pub(super) fn note_of_memory(&self) -> Option<&'static str> {
        match self.priced {
            Priced::Cores => None,
            Priced::Capacity => Some(
                "Cost is that of whole capacities: of an instance type its price, else that of cores and memory, which is \
                 what was bought where cores alone are sized. What is short, unmet and over is CPU; memory that is short \
                 does not count.",
            ),
        }
    }

    /// The lead times, in the order that they were asked for.
    pub(super) fn lead_times_s(&self) -> Vec<u32> {
        let mut lead_times_s: Vec<u32> = self.lines.iter().map(|line| line.lead_time_s).collect();
        lead_times_s.dedup();
        lead_times_s
    }
}

impl Line {
    /// `cost` says what the capacity of all workloads together cost.
    fn of(
        (policy, lead_time_s): (&Policy, u32),
        held: &Held<'_>,
        relative: Relative,
        cost: impl FnOnce(&Tally) -> Option<f64>,
    ) -> Self {
        let mut sum = Tally::default();
        held.tallies.iter().for_each(|tally| sum.add(tally));
        let shares: Vec<f64> = held.tallies.iter().filter_map(Tally::time_short).collect();
        Self {
            policy: policy.label.clone(),
            name: policy.name.clone(),
            role: policy.role(),
            lead_time_s,
            time_short: sum.time_short().unwrap_or(0.0),
            unmet: sum.unmet_share().unwrap_or(0.0),
            unmet_core_h: sum.unmet,
            over_core_h: sum.over,
            over: sum.over_share().unwrap_or(0.0),
            changes_per_workload_day: sum.changes_per_day().unwrap_or(0.0),
            surges: sum.surges,
            surges_covered: sum.surges_covered_share(),
            cost: cost(&sum),
            workloads_short_above: SHORT_ABOVE.map(|most| (most, share_above(&shares, most))).to_vec(),
            budget: policy.stated_budget().map(|stated| Budget::of(stated, &sum, held.tallies)),
            relative,
            on_front: false,
            beaten_by: Vec::new(),
        }
    }

    fn point(&self) -> Point {
        let measures = [self.time_short, self.unmet, self.over_core_h, self.changes_per_workload_day];
        Point { role: self.role, lead_time_s: self.lead_time_s, measures }
    }
}

impl Budget {
    /// What the fleet and each of its workloads came to.
    fn of(StatedBudget { counted, share: stated }: StatedBudget, fleet: &Tally, workloads: &[Tally]) -> Self {
        let of = match counted {
            Counted::Short => Stated::TimeShort,
            Counted::Unmet => Stated::Unmet,
        };
        let workloads: Vec<f64> = workloads.iter().filter_map(|workload| of.taken(workload)).collect();
        let workloads_above = share_above(&workloads, STATED_TIMES * stated);
        let fleet = of.taken(fleet).unwrap_or(0.0) / stated;
        let kept = KEPT_WITHIN.contains(&fleet) && workloads_above <= KEPT_WORKLOADS_ABOVE_MAX;
        Self { of, stated, fleet, workloads_above, kept }
    }
}

impl Stated {
    /// The share of it in what a capacity was worth.
    fn taken(self, tally: &Tally) -> Option<f64> {
        match self {
            Self::TimeShort => tally.time_short(),
            Self::Unmet => tally.unmet_share(),
        }
    }
}

/// Share of the values that are above one.
fn share_above(values: &[f64], most: f64) -> f64 {
    values.iter().filter(|value| **value > most).count() as f64 / values.len().max(1) as f64
}

/// Notes for each line whether it is on the front, and which of the planner's beat it.
fn compare(lines: &mut [Line]) {
    let found = standings(&lines.iter().map(Line::point).collect::<Vec<_>>());
    let names: Vec<String> = lines.iter().map(|line| line.policy.clone()).collect();
    for (line, standing) in lines.iter_mut().zip(found) {
        line.on_front = standing.on_front;
        line.beaten_by = standing.beaten_by.into_iter().map(|index| names[index].clone()).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a workload that was short for so many of 100 hours, in which so much of a demand of 50 was unmet.
    fn tally(hours_short: f64, unmet: f64) -> Tally {
        Tally { hours: 100.0, hours_short, demand: 50.0, unmet, ..Tally::default() }
    }

    fn budget(stated: StatedBudget, workloads: &[Tally]) -> Budget {
        let mut fleet = Tally::default();
        workloads.iter().for_each(|workload| fleet.add(workload));
        Budget::of(stated, &fleet, workloads)
    }

    #[test]
    fn a_budget_is_held_against_the_fleet_and_each_workload() {
        let workloads = [tally(0.0, 0.5), tally(2.0, 0.5), tally(6.5, 0.0), tally(3.5, 0.0)];
        let short = budget(StatedBudget::of_time(0.02), &workloads);
        let wanted = Budget { of: Stated::TimeShort, stated: 0.02, fleet: 1.5, workloads_above: 0.25, kept: false };
        assert_eq!(short, wanted);
        let unmet = budget(StatedBudget::of_demand(0.005), &workloads);
        let wanted = Budget { of: Stated::Unmet, stated: 0.005, fleet: 1.0, workloads_above: 0.0, kept: true };
        assert_eq!(unmet, wanted);
        let none = budget(StatedBudget::of_demand(0.5), &[]);
        assert_eq!((none.fleet, none.workloads_above, none.kept), (0.0, 0.0, false));
    }

    #[test]
    fn a_budget_is_kept_where_the_fleet_comes_to_it_and_few_take_far_more() {
        let kept = |hours_short: &[f64]| {
            let workloads: Vec<Tally> = hours_short.iter().map(|hours| tally(*hours, 0.0)).collect();
            budget(StatedBudget::of_time(0.02), &workloads).kept
        };
        assert!(kept(&[1.1]) && kept(&[2.5]) && !kept(&[0.9]) && !kept(&[2.7]));
        let one_in = |workloads: usize| [vec![8.0], vec![1.5; workloads - 1]].concat();
        assert!(kept(&one_in(11)) && !kept(&one_in(9)));
    }
}
