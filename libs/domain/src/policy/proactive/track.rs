//! One series: its demand, the trials of all rules on it, and the rule that serves it.
//!
//! The rule with the least realised cost follows the leader ("follow the leader", Cesa-Bianchi and Lugosi,
//! "Prediction, Learning, and Games", 2006), on sums that halve in a week, with a margin against changing often.

use super::demand::{BIN_S, DAY_BINS, DemandRing};
use super::prices::{Aim, FIRST_RULE, Prices, SeriesBin, WEIGHTS, Weights, weights};
use super::reactive::Reactive;
use super::rule::{FORECAST_LEVELS, Maxima, RULES, View};
use super::trial::{BinDemand, ClosedBin, DELAY_BINS_MAX, Order, Trial, Worth};
use bitcode::{Decode, Encode};

/// How the rules are tried on a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Time until a change serves, in seconds.
    pub lead_time_s: u32,
    /// Time between two demands, in seconds.
    pub step_s: u32,
    /// Time that a decision serves until the next can, in seconds.
    pub hold_s: u32,
    /// What the prices are to achieve.
    pub aim: Aim,
    /// Demand over this is always asked for.
    pub floor_utilisation: f32,
}

impl Settings {
    /// Bins from one to the first that a decision on its newest demand serves the whole of.
    pub fn delay_bins(&self) -> usize {
        let newest_s = (BIN_S - i64::from(self.step_s)).max(0);
        let served_s = newest_s + i64::from(self.lead_time_s);
        ((served_s + BIN_S - 1) / BIN_S).clamp(1, DELAY_BINS_MAX as i64) as usize
    }

    /// From a decision until the next one can serve, in seconds.
    pub fn serves_until_s(&self) -> u32 {
        self.lead_time_s.saturating_add(BIN_S as u32)
    }

    fn hold_bins(&self) -> usize {
        ((i64::from(self.hold_s) + BIN_S - 1) / BIN_S).clamp(1, DAY_BINS) as usize
    }
}

/// Bins in which what was counts half: a week.
const DECAY: f32 = 0.999_656_25;

/// A cheaper rule takes over only when it is cheaper by more than this share.
const SWITCH_SHARE: f64 = 0.03;

/// Bins before a series' own sums decide: until then the fleet's do.
const OWN_BINS_MIN: u32 = DAY_BINS as u32 / 2;

/// How far a series' allowance moves with each bin short, in its logarithm.
const ALLOWANCE_STEP: f32 = 0.2;

/// All that is kept of one series.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Track {
    ring: DemandRing,
    maxima: Maxima,
    trials: Vec<Trial>,
    reactive: Reactive,
    /// The rule in use under each of the weights.
    selected: Vec<u8>,
    /// The rule in use where the aim is a share of the time, and how the series did under it.
    budgeted: u8,
    plan: Trial,
    /// Logarithm of the allowed share over the stated one.
    allowance: f32,
    bins: u32,
    open: Option<OpenBin>,
}

/// The bin that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct OpenBin {
    bin: i64,
    /// Greatest demand so far.
    greatest: Option<BinDemand>,
    /// As of the newest demand.
    forecast: ForecastAhead,
}

impl Default for Track {
    fn default() -> Self {
        Self {
            ring: DemandRing::default(),
            maxima: Maxima::default(),
            trials: vec![Trial::default(); RULES.len()],
            reactive: Reactive::default(),
            selected: vec![FIRST_RULE; WEIGHTS],
            budgeted: FIRST_RULE,
            plan: Trial::default(),
            allowance: 0.0,
            bins: 0,
            open: None,
        }
    }
}

/// A capacity to have, and the rule that says so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asked {
    /// Index into [`RULES`].
    pub rule: usize,
    /// The capacity, in the series' unit.
    pub amount: f32,
    /// The rule shrinks only by more than this share.
    pub shrink_share: f32,
}

/// The forecast at each of [`FORECAST_LEVELS`], over the time that a decision serves.
pub type ForecastAhead = Option<[f32; FORECAST_LEVELS.len()]>;

impl Track {
    /// Takes in a demand of the bin, no earlier than the open one; closes the bins before.
    pub fn take_in(
        &mut self,
        settings: &Settings,
        prices: &mut Prices,
        unit: f32,
        (bin, demand): (i64, Option<BinDemand>),
        forecast: ForecastAhead,
    ) {
        if let Some(open) = self.open
            && bin > open.bin
        {
            self.close(settings, prices, unit, &open);
            self.skip(open.bin + 1, bin - 1, settings);
            self.open = None;
        }
        let open = self.open.get_or_insert(OpenBin { bin, greatest: None, forecast });
        open.forecast = forecast;
        if let Some(demand) = demand {
            open.greatest = Some(demand.with(open.greatest));
        }
    }

    fn skip(&mut self, first: i64, last: i64, settings: &Settings) {
        if last < first {
            return;
        }
        self.ring.close(last, None);
        for trial in &mut self.trials {
            trial.skip(first, last);
        }
        self.plan.skip(first, last);
        self.reactive.skip(first, last);
        self.maxima = Maxima::of(&self.ring, settings.delay_bins(), settings.hold_bins());
    }

    fn close(&mut self, settings: &Settings, prices: &mut Prices, unit: f32, open: &OpenBin) {
        let OpenBin { bin, greatest, forecast } = *open;
        let demand = greatest.map(|greatest| greatest.amount);
        self.ring.close(bin, demand);
        let delay = settings.delay_bins();
        self.maxima = Maxima::of(&self.ring, delay, settings.hold_bins());
        let view = View {
            maxima: &self.maxima,
            open: demand.unwrap_or(0.0),
            forecast,
            unit,
            floor_utilisation: settings.floor_utilisation,
        };
        let floor = demand.unwrap_or(0.0) / settings.floor_utilisation;
        let closed = ClosedBin { bin, delay_bins: delay, demand: greatest, decay: DECAY };
        let mut by_rule = [Worth::default(); RULES.len()];
        let mut targets = [None; RULES.len()];
        for (i, rule) in RULES.iter().enumerate() {
            targets[i] = demand.and_then(|_| rule.target(&view));
            let order = Order { target: targets[i], floor, shrink_share: rule.shrink_share };
            by_rule[i] = self.trials[i].close(&closed, &order);
        }
        let reactive = self.reactive.close(&closed);
        let Some(demand) = demand else { return };
        self.bins = self.bins.saturating_add(1);
        prices.take_in(&SeriesBin { demand, reactive, by_rule: &by_rule, selected: &self.selected });
        let chosen = usize::from(self.rule_in_use(settings, prices));
        let order = Order { target: targets[chosen], floor, shrink_share: RULES[chosen].shrink_share };
        let came = self.plan.close(&closed, &order);
        prices.take_in_plan(&came);
        if let Aim::ShortShare(share) = settings.aim {
            let share = prices.allowed_share(share);
            self.allowance = (self.allowance + ALLOWANCE_STEP * (share as f32 - came.short)).clamp(-4.0, 4.0);
        }
        if bin.rem_euclid(12) == 0 || self.bins == OWN_BINS_MIN {
            self.select(settings, prices);
        }
    }

    fn select(&mut self, settings: &Settings, prices: &Prices) {
        let reference = prices.reference();
        let is_young = self.bins < OWN_BINS_MIN;
        match settings.aim {
            Aim::BeatReactive { .. } => {
                for index in 0..WEIGHTS {
                    let now = self.selected[index];
                    self.selected[index] = self.cheapest(&weights(index), prices, now, is_young);
                }
            }
            Aim::Weighted(weights) => self.budgeted = self.cheapest(&weights, prices, self.budgeted, is_young),
            Aim::ShortShare(share) => {
                let bins: f32 = (1.0 - DECAY.powf(self.bins as f32)) / (1.0 - DECAY);
                let allowed = prices.allowed_share(share) as f32 * self.allowance.exp() * bins;
                let changes = Weights { short: 0.0, unmet: 0.0, changes: 0.1 };
                let cost = |i: usize| {
                    let worth = &self.trials[i].worth;
                    let excess = f64::from((worth.short - allowed).max(0.0)) * 1e6;
                    excess + reference.cost(&changes, worth)
                };
                let usable = (0..RULES.len()).filter(|i| self.trials[*i].ordered().is_some());
                let best = usable.map(|i| (cost(i), i)).min_by(|a, b| a.0.total_cmp(&b.0));
                self.budgeted = best.map_or(FIRST_RULE, |(_, i)| i as u8);
            }
        }
    }

    fn cheapest(&self, weights: &Weights, prices: &Prices, now: u8, is_young: bool) -> u8 {
        if is_young {
            return prices.pooled_rule(weights);
        }
        let reference = prices.reference();
        let cost = |i: usize| reference.cost(weights, &self.trials[i].worth);
        let usable = (0..RULES.len()).filter(|i| self.trials[*i].ordered().is_some());
        let best = usable.map(|i| (cost(i), i)).min_by(|a, b| a.0.total_cmp(&b.0));
        match best {
            Some((least, best)) if least < (1.0 - SWITCH_SHARE) * cost(usize::from(now)) => best as u8,
            _ => now,
        }
    }

    fn rule_in_use(&self, settings: &Settings, prices: &Prices) -> u8 {
        match settings.aim {
            Aim::BeatReactive { .. } => self.selected[prices.chosen()],
            Aim::Weighted(_) | Aim::ShortShare(_) => self.budgeted,
        }
    }

    /// The capacity to have now. `None` before the first demand.
    pub fn asked(&self, settings: &Settings, prices: &Prices, unit: f32, forecast: ForecastAhead) -> Option<Asked> {
        let open = self.open.and_then(|open| open.greatest).map(|greatest| greatest.amount);
        if self.ring.is_empty() && open.is_none() {
            return None;
        }
        let open = open.unwrap_or(0.0);
        let view = View { maxima: &self.maxima, open, forecast, unit, floor_utilisation: settings.floor_utilisation };
        let in_use = usize::from(self.rule_in_use(settings, prices));
        let asked = |rule: usize| {
            let amount = RULES[rule].target(&view)?;
            Some(Asked { rule, amount, shrink_share: RULES[rule].shrink_share })
        };
        asked(in_use).or_else(|| asked(usize::from(FIRST_RULE)))
    }

    /// Why that rule serves, with what it and the next best would have cost of late.
    pub(crate) fn cost_words(&self, settings: &Settings, prices: &Prices, rule: usize) -> String {
        if self.bins < OWN_BINS_MIN {
            return format!("the workload is young ({} bins of {BIN_S} s): the fleet's best rule serves it", self.bins);
        }
        let weights = match settings.aim {
            Aim::BeatReactive { .. } => weights(prices.chosen()),
            Aim::Weighted(weights) => weights,
            Aim::ShortShare(share) => {
                let bins = (1.0 - DECAY.powf(self.bins as f32)) / (1.0 - DECAY);
                return format!(
                    "it would have been short for {:.3} % of the time, {:.3} % are allowed now",
                    self.trials[rule].worth.short / bins * 100.0,
                    prices.allowed_share(share) as f32 * self.allowance.exp() * 100.0,
                );
            }
        };
        let reference = prices.reference();
        let cost = |i: usize| reference.cost(&weights, &self.trials[i].worth);
        let usable = (0..RULES.len()).filter(|i| *i != rule && self.trials[*i].ordered().is_some());
        let next = usable.min_by(|a, b| cost(*a).total_cmp(&cost(*b)));
        let next = next.map_or_else(String::new, |next| {
            format!(", the next best ({}) {:.1} %", RULES[next].words(), cost(next) / cost(rule).max(1e-12) * 100.0)
        });
        let worth = &self.trials[rule].worth;
        format!(
            "of late it cost least (100 %: short in {:.1} bins, {:.2} unmet and {:.1} spare core-hours, {:.1} changes){next}",
            worth.short,
            worth.unmet * BIN_S as f32 / 3600.0,
            worth.spare * BIN_S as f32 / 3600.0,
            worth.changes,
        )
    }
}
