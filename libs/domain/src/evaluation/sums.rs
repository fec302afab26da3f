//! Sums over time of what capacities were worth. Those of other hours and other workloads add up.

use super::Outcome;
use crate::outcome::Tally;
use crate::time::EventTime;
use std::collections::VecDeque;
use std::sync::Arc;

const HOUR_S: f64 = 3600.0;
const DAY_S: u32 = 86_400;
const WEEK_DAYS: i64 = 7;

/// What one capacity was worth.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Worth {
    /// Time in which demand was above it, in seconds.
    pub short_s: f64,
    /// Demand above it, in core-seconds.
    pub unmet_core_s: f64,
    /// Capacity above the demand, in core-seconds.
    pub over_core_s: f64,
    /// Capacity, in core-seconds.
    pub capacity_core_s: f64,
    /// What it cost; `None` without a price.
    pub cost: Option<f64>,
    /// Changes that were asked for; of the capacity as it was, those that were seen.
    pub changes: u64,
}

/// The three capacities over the same time.
#[derive(Clone, Debug, PartialEq)]
pub struct Sums {
    /// Time in which demand and capacity were known, in seconds.
    pub observed_s: f64,
    /// Of this, the time in which more may have been wanted than was used, in seconds: use was at the capacity or above it,
    /// or throttling, latency, errors or the run queue told of a shortage.
    pub censored_s: f64,
    /// Demand, in core-seconds.
    pub demand_core_s: f64,
    /// The capacity as it was.
    pub capacity: Worth,
    /// The plan.
    pub plan: Worth,
    /// The reactive rule.
    pub reactive: Worth,
    /// Currency of the costs, where there is a price.
    pub currency: Option<Arc<str>>,
}

impl Worth {
    /// Of a tally of a capacity that cost so much.
    pub(super) fn of(tally: &Tally, cost: Option<f64>) -> Self {
        Self {
            short_s: seconds(tally.hours_short),
            unmet_core_s: tally.unmet * HOUR_S,
            over_core_s: tally.over * HOUR_S,
            capacity_core_s: tally.capacity * HOUR_S,
            cost,
            changes: tally.changes,
        }
    }

    fn add(&mut self, other: &Self) {
        self.short_s += other.short_s;
        self.unmet_core_s += other.unmet_core_s;
        self.over_core_s += other.over_core_s;
        self.capacity_core_s += other.capacity_core_s;
        self.cost = self.cost.zip(other.cost).map(|(a, b)| a + b);
        self.changes += other.changes;
    }
}

/// Hours in seconds. Instants are of milliseconds, so these are whole.
pub(super) fn seconds(hours: f64) -> f64 {
    (hours * HOUR_S * 1000.0).round() / 1000.0
}

impl Sums {
    /// Adds those of other hours or workloads. Costs are lost where one of them has none, or another currency.
    pub fn add(&mut self, other: &Self) {
        self.observed_s += other.observed_s;
        self.censored_s += other.censored_s;
        self.demand_core_s += other.demand_core_s;
        let is_one_currency = self.currency == other.currency;
        for (sum, more) in [
            (&mut self.capacity, &other.capacity),
            (&mut self.plan, &other.plan),
            (&mut self.reactive, &other.reactive),
        ] {
            sum.add(more);
            sum.cost = sum.cost.filter(|_| is_one_currency);
        }
        self.currency = self.currency.take().filter(|_| is_one_currency);
    }
}

/// A time and the sums over it.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// First instant.
    pub from: EventTime,
    /// Its end.
    pub to: EventTime,
    /// Whether the newest plan in it was a dry run.
    pub is_dry_run: bool,
    /// The sums.
    pub sums: Sums,
}

impl Span {
    fn of(outcome: &Outcome) -> Self {
        let Outcome { from, is_dry_run, sums, .. } = outcome;
        Self { from: *from, to: outcome.to(), is_dry_run: *is_dry_run, sums: sums.clone() }
    }

    /// Adds another, of the same workload or another one.
    pub fn add(&mut self, other: &Self) {
        self.is_dry_run = if other.to >= self.to { other.is_dry_run } else { self.is_dry_run };
        (self.from, self.to) = (self.from.min(other.from), self.to.max(other.to));
        self.sums.add(&other.sums);
    }
}

/// The last seven days (UTC) of one workload, the day of its newest hour counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Week {
    /// By day, ascending.
    days: VecDeque<(i64, Span)>,
}

impl Week {
    /// Takes an hour in; false when it is not newer than what came before.
    pub fn take(&mut self, outcome: &Outcome) -> bool {
        if self.days.back().is_some_and(|(_, newest)| outcome.from < newest.to) {
            return false;
        }
        let (day, span) = (outcome.from.bin(DAY_S), Span::of(outcome));
        match self.days.back_mut() {
            Some((open, sum)) if *open == day => sum.add(&span),
            _ => self.days.push_back((day, span)),
        }
        while self.days.front().is_some_and(|(first, _)| *first <= day - WEEK_DAYS) {
            self.days.pop_front();
        }
        true
    }

    /// The sums; `None` before the first hour.
    pub fn span(&self) -> Option<Span> {
        self.days.iter().map(|(_, span)| span.clone()).reduce(|mut sum, day| {
            sum.add(&day);
            sum
        })
    }
}
