//! What too little, too much and a change cost, for a whole fleet: stated, or chosen daily so that the fleet does
//! best against the reactive rule.
//!
//! Costs are relative to what the reactive rule leaves: a weight of 0.5 on unmet demand says that leaving all that the
//! reactive rule leaves unmet is as bad as half of its spare capacity. So one list of weights serves fleets of any
//! size and unit. The choice is that of a Lagrange multiplier: each series takes the rule that is cheapest under the
//! fleet's weights, and the weights move until the fleet's sums are where they should be.

use super::budget::{Budget, Counted, Slack};
use super::rule::RULES;
use super::trial::Worth;
use bitcode::{Decode, Encode};

/// Prices in units of what the reactive rule leaves; spare capacity costs 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// Of the time short.
    pub short: f64,
    /// Of unmet demand.
    pub unmet: f64,
    /// Of changes.
    pub changes: f64,
}

const SHORT: [f64; 3] = [0.02, 0.1, 0.4];
const UNMET: [f64; 5] = [0.05, 0.15, 0.4, 1.0, 2.5];
const CHANGES: [f64; 3] = [0.1, 0.4, 1.2];

/// Number of weights to choose from.
pub const WEIGHTS: usize = SHORT.len() * UNMET.len() * CHANGES.len();

/// The weights that are used until the fleet has a day to choose by.
pub const FIRST_WEIGHTS: usize = 31;

/// The weights with that index, below [`WEIGHTS`].
pub const fn weights(index: usize) -> Weights {
    Weights {
        short: SHORT[index % SHORT.len()],
        unmet: UNMET[index / SHORT.len() % UNMET.len()],
        changes: CHANGES[index / (SHORT.len() * UNMET.len()) % CHANGES.len()],
    }
}

/// What the fleet's prices are to achieve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    /// The worst of the fleet's ratios to the reactive rule (time short, unmet demand, spare capacity) is to be as
    /// small as can be at so many changes a series and day.
    BeatReactive {
        /// Most changes a series and day, on average.
        changes_per_day_max: f64,
    },
    /// These prices, whatever comes of them.
    Weighted(Weights),
    /// A budget is to be kept, by each series and at the least price.
    Share(Budget),
}

impl Aim {
    /// A key that aims share only if they are the same.
    pub fn key(&self) -> [u64; 4] {
        match self {
            Self::BeatReactive { changes_per_day_max } => [0, changes_per_day_max.to_bits(), 0, 0],
            Self::Weighted(w) => [1, w.short.to_bits(), w.unmet.to_bits(), w.changes.to_bits()],
            Self::Share(Budget { counted: Counted::Short, share }) => [2, share.to_bits(), 0, 0],
            Self::Share(Budget { counted: Counted::Unmet, share }) => [3, share.to_bits(), 0, 0],
        }
    }
}

/// Changes a series and day that are aimed for.
pub const CHANGES_PER_DAY_MAX: f64 = 7.0;

impl Default for Aim {
    fn default() -> Self {
        Self::BeatReactive { changes_per_day_max: CHANGES_PER_DAY_MAX }
    }
}

/// Sums over a fleet. Older days count less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
struct Sums {
    short: f64,
    unmet: f64,
    spare: f64,
    changes: f64,
}

impl Sums {
    fn add(&mut self, worth: &Worth) {
        self.short += f64::from(worth.short);
        self.unmet += f64::from(worth.unmet);
        self.spare += f64::from(worth.spare);
        self.changes += f64::from(worth.changes);
    }

    fn decay(&mut self) {
        self.short *= DAILY_DECAY;
        self.unmet *= DAILY_DECAY;
        self.spare *= DAILY_DECAY;
        self.changes *= DAILY_DECAY;
    }
}

/// What serves has more to spare than what is tried: decreases wait for the governor, and live use raises between them.
const SPARE_FACTOR: f64 = 1.1;

/// What counts 14 days ago counts half.
const DAILY_DECAY: f64 = 0.951_700_1;

/// Bins of a day.
const DAY_BINS: i64 = super::demand::DAY_BINS;

/// What a fleet's series came to, under the reactive rule and under each of the weights, and the weights in use.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Prices {
    bins: f64,
    demand: f64,
    reactive: Sums,
    /// What was in use.
    plan: Sums,
    by_weights: Vec<Sums>,
    by_rule: Vec<Sums>,
    day: Option<i64>,
    chosen: usize,
    slack: Slack,
}

impl Default for Prices {
    fn default() -> Self {
        Self {
            bins: 0.0,
            demand: 0.0,
            reactive: Sums::default(),
            plan: Sums::default(),
            by_weights: vec![Sums::default(); WEIGHTS],
            by_rule: vec![Sums::default(); RULES.len()],
            day: None,
            chosen: FIRST_WEIGHTS,
            slack: Slack::default(),
        }
    }
}

/// What the reactive rule leaves of a series and bin, on average: the unit of [`Weights`].
#[derive(Clone, Copy, Debug)]
pub struct Reference {
    short: f64,
    unmet: f64,
    spare: f64,
    changes: f64,
}

/// What a worth costs, by part: 1 is what the reactive rule's spare capacity of one bin costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CostParts {
    /// The time short.
    pub short: f64,
    /// Unmet demand.
    pub unmet: f64,
    /// Changes.
    pub changes: f64,
    /// Spare capacity.
    pub spare: f64,
}

impl CostParts {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.short + self.unmet + self.changes + self.spare
    }
}

impl Reference {
    fn cost_of(&self, weights: &Weights, sums: &Sums) -> f64 {
        weights.short * sums.short / self.short
            + weights.unmet * sums.unmet / self.unmet
            + weights.changes * sums.changes / self.changes
            + sums.spare / self.spare
    }

    /// What a worth costs.
    pub fn cost(&self, weights: &Weights, worth: &Worth) -> f64 {
        self.parts(weights, worth).total()
    }

    /// What each part of a worth costs.
    pub fn parts(&self, weights: &Weights, worth: &Worth) -> CostParts {
        CostParts {
            short: weights.short * f64::from(worth.short) / self.short,
            unmet: weights.unmet * f64::from(worth.unmet) / self.unmet,
            changes: weights.changes * f64::from(worth.changes) / self.changes,
            spare: f64::from(worth.spare) / self.spare,
        }
    }
}

/// What one closed bin of one series came to.
pub struct SeriesBin<'a> {
    /// Its demand.
    pub demand: f32,
    /// Under the reactive rule.
    pub reactive: Worth,
    /// Under each of [`RULES`].
    pub by_rule: &'a [Worth; RULES.len()],
    /// The rule that each of the weights has in use.
    pub selected: &'a [u8],
}

impl Prices {
    /// Index of the weights in use.
    pub fn chosen(&self) -> usize {
        self.chosen
    }

    /// How many bins of series are behind it, older ones counting less.
    pub fn bins(&self) -> f64 {
        self.bins
    }

    /// Takes in what the plan came to in a bin of a series.
    pub fn take_in_plan(&mut self, came: &Worth) {
        self.plan.add(came);
    }

    /// Takes in a closed bin of a series.
    pub fn take_in(&mut self, closed: &SeriesBin<'_>) {
        self.bins += 1.0;
        self.demand += f64::from(closed.demand);
        self.reactive.add(&closed.reactive);
        for (sums, rule) in self.by_weights.iter_mut().zip(closed.selected) {
            sums.add(&closed.by_rule[usize::from(*rule)]);
        }
        for (sums, worth) in self.by_rule.iter_mut().zip(closed.by_rule) {
            sums.add(worth);
        }
    }

    /// Chooses anew where a day has begun since.
    pub fn pass(&mut self, bin: i64, aim: &Aim) {
        let day = bin.div_euclid(DAY_BINS);
        let Some(before) = self.day else {
            self.day = Some(day);
            return;
        };
        if day <= before {
            return;
        }
        self.day = Some(day);
        match aim {
            Aim::BeatReactive { changes_per_day_max } => {
                self.chosen = self.best(*changes_per_day_max).unwrap_or(self.chosen);
            }
            Aim::Share(budget) if self.has_a_day() => self.slack.pass_day(budget, self.came(budget)),
            Aim::Share(_) | Aim::Weighted(_) => {}
        }
        for _ in before..day.min(before + 60) {
            (self.bins, self.demand) = (self.bins * DAILY_DECAY, self.demand * DAILY_DECAY);
            let all = self.by_weights.iter_mut().chain(&mut self.by_rule).chain(std::iter::once(&mut self.reactive));
            all.for_each(Sums::decay);
            self.plan.decay();
        }
    }

    fn best(&self, changes_per_day_max: f64) -> Option<usize> {
        let reference = self.reference();
        if self.bins < DAY_BINS as f64 / 2.0 {
            return None;
        }
        let ratios = |s: &Sums| {
            let per_bin = |x: f64| x / self.bins;
            let worst = (per_bin(s.short) / reference.short)
                .max(per_bin(s.unmet) / reference.unmet)
                .max(SPARE_FACTOR * per_bin(s.spare) / reference.spare);
            let changes = per_bin(s.changes) * DAY_BINS as f64;
            // Above the allowed changes, the fewer the better.
            if changes > changes_per_day_max { 1e6 + changes } else { worst }
        };
        let ranked = self.by_weights.iter().enumerate().map(|(index, sums)| (ratios(sums), index));
        ranked.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, index)| index)
    }

    /// The share that a series may take of a budget, for the fleet to keep it: series that take hardly any leave room
    /// to others.
    pub fn allowed_share(&self, budget: &Budget) -> f64 {
        if self.has_a_day() { self.slack.allowed(budget, self.came(budget)) } else { budget.share }
    }

    fn has_a_day(&self) -> bool {
        self.bins >= DAY_BINS as f64
    }

    /// The share of a budget's whole that the plan came to.
    fn came(&self, budget: &Budget) -> f64 {
        self.share_of(budget, &self.plan)
    }

    fn share_of(&self, budget: &Budget, sums: &Sums) -> f64 {
        match budget.counted {
            Counted::Short => sums.short / self.bins.max(1.0),
            Counted::Unmet => sums.unmet / self.demand.max(1e-9),
        }
    }

    /// What the reactive rule leaves of a series and bin.
    pub fn reference(&self) -> Reference {
        let bins = self.bins.max(1.0);
        let demand = (self.demand / bins).max(1e-9);
        Reference {
            short: (self.reactive.short / bins).max(0.002),
            unmet: (self.reactive.unmet / bins).max(0.002 * demand),
            spare: (self.reactive.spare / bins).max(0.05 * demand),
            changes: (self.reactive.changes / bins).max(1.0 / DAY_BINS as f64),
        }
    }

    /// The rule that would have cost the fleet least under these weights: where a young series begins.
    pub fn pooled_rule(&self, weights: &Weights) -> u8 {
        let reference = self.reference();
        self.least_over_windows(|sums| reference.cost_of(weights, sums))
    }

    /// The rule that would have kept the budget at the least cost to the fleet, or come nearest to it.
    pub(super) fn pooled_rule_within(&self, budget: &Budget, weights: &Weights) -> u8 {
        let reference = self.reference();
        let excess = |sums: &Sums| (self.share_of(budget, sums) - budget.share).max(0.0) / budget.share * 1e6;
        if self.has_a_day() {
            self.least_over_windows(|sums| excess(sums) + reference.cost_of(weights, sums) / self.bins)
        } else {
            FIRST_RULE
        }
    }

    fn least_over_windows(&self, cost: impl Fn(&Sums) -> f64) -> u8 {
        let windows = RULES.iter().zip(&self.by_rule).enumerate().filter(|(_, (rule, _))| rule.begins_at_once());
        let ranked = windows.map(|(index, (_, sums))| (cost(sums), index));
        ranked.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(FIRST_RULE, |(_, index)| index as u8)
    }
}

/// Index of the rule that serves before anything is known.
pub const FIRST_RULE: u8 = 15;
