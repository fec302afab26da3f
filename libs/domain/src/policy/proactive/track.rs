//! One series: its demand, the trials of all rules on it, and the rule that serves it.
//!
//! The rule with the least realised cost follows the leader ("follow the leader", Cesa-Bianchi and Lugosi,
//! "Prediction, Learning, and Games", 2006), on sums that halve in a week, with a margin against changing often.

mod alternatives;

pub use alternatives::{Alternative, BudgetShare, RuleCost};

use super::budget::Allowance;
use super::demand::{BIN_S, DAY_BINS, DemandRing, WEEK_BINS};
use super::onset::{Due, Onsets};
use super::peers::Led;
use super::prices::{Aim, FIRST_RULE, Prices, SeriesBin, WEIGHTS, Weights, weights};
use super::reactive::Reactive;
use super::rule::{DEMAND_LEVELS, FORECAST_LEVELS, Maxima, QUANTILE_BINS, RULES, View};
use super::trial::{BinDemand, ClosedBin, DELAY_BINS_MAX, Deadband, Order, Trial, Trials, Worth};
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
    /// Demand over this is asked for once it has lasted `surge_s`.
    pub floor_utilisation: f32,
    /// Time that live use has to last before it demands capacity, in seconds.
    pub surge_s: u32,
}

impl Settings {
    /// Bins from one to the first that a decision on its newest demand serves the whole of.
    pub fn delay_bins(&self) -> usize {
        let newest_s = (BIN_S - i64::from(self.step_s)).max(0);
        let served_s = newest_s + i64::from(self.lead_time_s);
        ((served_s + BIN_S - 1) / BIN_S).clamp(1, DELAY_BINS_MAX as i64) as usize
    }

    /// From a decision until the end of the time that it serves, in seconds.
    pub fn serves_until_s(&self) -> u32 {
        self.lead_time_s.saturating_add(self.hold_s.max(BIN_S as u32))
    }

    fn surge_bins(&self) -> i64 {
        i64::from(self.surge_s) / BIN_S
    }

    fn hold_bins(&self) -> usize {
        ((i64::from(self.hold_s) + BIN_S - 1) / BIN_S).clamp(1, DAY_BINS) as usize
    }
}

/// A workload that uses all that it has is taken to want so many times as much.
const HIDDEN_FACTOR: f32 = 1.5;

/// Most bins before a demand that is seen whole which it tells of: six hours.
const HIDDEN_BINS_MAX: i64 = 72;

/// Bins of an hour.
const HOUR_BINS: i64 = 12;

/// Bins in which what was counts half: a week.
const DECAY: f32 = 0.999_656_25;

/// A cheaper rule takes over only when it is cheaper by more than this share.
const SWITCH_SHARE: f64 = 0.03;

/// Bins before a series' own sums decide: until then the fleet's do.
const OWN_BINS_MIN: u32 = DAY_BINS as u32 / 2;

/// Where a budget is kept, changes cost a little beside the spare capacity.
const BUDGETED: Weights = Weights { short: 0.0, unmet: 0.0, changes: 0.1 };

/// All that is kept of one series.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Track {
    ring: DemandRing,
    maxima: Maxima,
    /// Of the last [`QUANTILE_BINS`], as of the last hour.
    quantiles: Option<[f32; DEMAND_LEVELS.len()]>,
    onsets: Onsets,
    trials: Trials<{ RULES.len() }>,
    reactive: Reactive,
    /// The rule in use under each of the weights.
    selected: [u8; WEIGHTS],
    /// The rule in use where the aim is a share of the time, and how the series did under it.
    budgeted: u8,
    plan: Trial,
    allowance: Allowance,
    bins: u32,
    /// Bins in a row, up to the newest closed one, whose demand may have been greater.
    hidden_bins: u16,
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
    /// Whether a peer that leads had risen, as of the newest demand.
    is_led: bool,
}

impl OpenBin {
    /// Greatest demand so far, 0 for none.
    fn amount(&self) -> f32 {
        self.greatest.map_or(0.0, |greatest| greatest.amount)
    }
}

impl Default for Track {
    fn default() -> Self {
        Self {
            ring: DemandRing::default(),
            maxima: Maxima::default(),
            quantiles: None,
            onsets: Onsets::default(),
            trials: Trials::default(),
            reactive: Reactive::default(),
            selected: [FIRST_RULE; WEIGHTS],
            budgeted: FIRST_RULE,
            plan: Trial::default(),
            allowance: Allowance::default(),
            bins: 0,
            hidden_bins: 0,
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
    /// Changes that the rule leaves.
    pub deadband: Deadband,
    /// By the series' own intervals, where an onset is due and the rule looks at that.
    pub due: Option<Due>,
}

/// The forecast at each of [`FORECAST_LEVELS`], over the time that a decision serves.
pub type ForecastAhead = Option<[f32; FORECAST_LEVELS.len()]>;

/// What a rule's spare capacity of CPU counts in, in cores.
pub const CORES_UNIT: f32 = 1.0;

/// What capacity a series is sized in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measure {
    /// What a rule's spare capacity counts in.
    pub unit: f32,
    /// Capacity comes in multiples of this; 0 where it may be any.
    pub grain: f32,
}

impl Measure {
    /// Of CPU.
    pub const fn cores(grain: f32) -> Self {
        Self { unit: CORES_UNIT, grain }
    }
}

/// What is known of the time ahead.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ahead {
    /// The forecast.
    pub forecast: ForecastAhead,
    /// A peer whose rise comes before this series'.
    pub led: Option<Led>,
}

impl Track {
    /// Takes in a demand of the bin, no earlier than the open one; closes the bins before. Whether an onset begins with
    /// it.
    pub fn take_in(
        &mut self,
        settings: &Settings,
        prices: &mut Prices,
        measure: Measure,
        (bin, demand): (i64, Option<BinDemand>),
        ahead: &Ahead,
    ) -> bool {
        if let Some(open) = self.open
            && bin > open.bin
        {
            self.close(settings, prices, measure, &open);
            self.skip(open.bin + 1, bin - 1, settings);
            self.open = None;
        }
        let open = self.open.get_or_insert(OpenBin { bin, greatest: None, forecast: None, is_led: false });
        (open.forecast, open.is_led) = (ahead.forecast, ahead.led.is_some());
        let Some(demand) = demand else { return false };
        open.greatest = Some(demand.with(open.greatest));
        self.onsets.observe(&self.ring, bin, demand.amount, measure.unit)
    }

    /// The forecast that was there before a demand of that bin, for one that comes without: the newest, unless it is of so
    /// long ago that it says nothing of the time ahead.
    pub fn forecast_before(&self, bin: i64) -> ForecastAhead {
        self.open.filter(|open| bin <= open.bin + 1).and_then(|open| open.forecast)
    }

    /// The onsets of the demand.
    pub fn onsets(&self) -> &Onsets {
        &self.onsets
    }

    /// What rules look at with `newest` as the newest bin, in which the demand has lasted so high; and whether an onset
    /// is due by the series' own intervals.
    fn view_with(&self, settings: &Settings, unit: f32, newest: &OpenBin, lasting: f32) -> (View<'_>, Option<Due>) {
        let ahead_bins = (settings.delay_bins() + settings.hold_bins()) as i64;
        let due = self.onsets.due(newest.bin, ahead_bins);
        let view = View {
            maxima: &self.maxima,
            quantiles: self.quantiles,
            onset: self.onsets.level().filter(|_| due.is_some() || newest.is_led).unwrap_or(0.0),
            open: newest.amount(),
            lasting,
            forecast: newest.forecast,
            unit,
            floor_utilisation: settings.floor_utilisation,
        };
        (view, due)
    }

    /// What a demand that may have been greater is taken for where rules are tried: the greatest of the last week, or half
    /// as much again. Taken for no more than what it was, it would speak for the small capacity that has hidden the rest.
    fn believed(&self, bin: i64, demand: BinDemand) -> BinDemand {
        if !demand.is_bound {
            return demand;
        }
        let greatest = self.ring.maximum(bin - WEEK_BINS, bin - 1).unwrap_or(0.0);
        BinDemand { amount: greatest.max(demand.amount * HIDDEN_FACTOR), ..demand }
    }

    /// Once a demand is seen whole again, what was hidden in the bins right before it is remembered as that much: what
    /// recurs is not the capacity that there was.
    fn remember_hidden(&mut self, bin: i64, demand: Option<BinDemand>) {
        match demand {
            Some(BinDemand { is_bound: true, .. }) => self.hidden_bins = self.hidden_bins.saturating_add(1),
            Some(BinDemand { amount, .. }) => {
                let hidden = i64::from(std::mem::take(&mut self.hidden_bins)).min(HIDDEN_BINS_MAX);
                self.ring.raise(bin - hidden, bin - 1, amount);
            }
            None => self.hidden_bins = 0,
        }
    }

    /// The demand that has lasted for as long as live use has to before it demands capacity: the least of that time.
    fn lasting(&self, settings: &Settings, open: f32) -> f32 {
        let Some(newest) = self.ring.newest() else { return open };
        let before = (0..settings.surge_bins()).map(|age| self.ring.at(newest - age).unwrap_or(0.0));
        before.fold(open, f32::min)
    }

    fn skip(&mut self, first: i64, last: i64, settings: &Settings) {
        if last < first {
            return;
        }
        self.ring.close(last, None);
        self.hidden_bins = 0;
        self.trials.skip(first, last);
        self.plan.skip(first, last);
        self.reactive.skip(first, last);
        self.maxima = Maxima::of(&self.ring, settings.delay_bins(), settings.hold_bins());
    }

    fn close(&mut self, settings: &Settings, prices: &mut Prices, measure: Measure, open: &OpenBin) {
        let OpenBin { bin, greatest, .. } = *open;
        let demand = greatest.map(|greatest| greatest.amount);
        let believed = greatest.map(|greatest| self.believed(bin, greatest));
        let lasting = self.lasting(settings, open.amount());
        self.ring.close(bin, demand);
        self.remember_hidden(bin, greatest);
        let delay = settings.delay_bins();
        self.maxima = Maxima::of(&self.ring, delay, settings.hold_bins());
        if bin.rem_euclid(HOUR_BINS) == 0 || self.quantiles.is_none() && self.ring.len() == DAY_BINS as usize {
            self.quantiles = self.ring.quantiles(QUANTILE_BINS, DEMAND_LEVELS);
        }
        let (view, _) = self.view_with(settings, measure.unit, open, lasting);
        let targets = RULES.map(|rule| demand.and_then(|_| rule.target(&view)));
        let floor = lasting / settings.floor_utilisation;
        let closed = ClosedBin { bin, delay_bins: delay, demand: believed, decay: DECAY, grain: measure.grain };
        let orders: [Order; RULES.len()] =
            std::array::from_fn(|i| Order { target: targets[i], floor, deadband: RULES[i].deadband });
        // What one that begins would have cost before is not known: as much as what was in use.
        let by_rule = self.trials.close(&closed, &orders, self.plan.worth());
        let reactive = self.reactive.close(&closed);
        let Some(demand) = demand else {
            // What was asked for goes on; without a demand no rule asks for anything.
            self.plan.close(&closed, &orders[usize::from(FIRST_RULE)]);
            return;
        };
        self.bins = self.bins.saturating_add(1);
        prices.take_in(&SeriesBin { demand, reactive, by_rule: &by_rule, selected: &self.selected });
        let chosen = usize::from(self.rule_in_use(settings, prices));
        let came = self.plan.close(&closed, &orders[chosen]);
        prices.take_in_plan(&came);
        if let Aim::Share(budget) = &settings.aim {
            self.allowance.take_in(budget, prices.allowed_share(budget), &came, demand, DECAY);
        }
        if bin.rem_euclid(HOUR_BINS) == 0 || self.bins == OWN_BINS_MIN {
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
            Aim::Share(budget) if is_young => self.budgeted = prices.pooled_rule_within(&budget, &BUDGETED),
            Aim::Share(budget) => {
                let most = self.allowance.most(&budget, prices.allowed_share(&budget));
                let cost = |i: usize| {
                    let worth = self.trials.worth(i);
                    let excess = f64::from((budget.taken(worth) - most).max(0.0)) * 1e6;
                    excess + reference.cost(&BUDGETED, worth)
                };
                let best = self.trials.begun().map(|i| (cost(i), i)).min_by(|a, b| a.0.total_cmp(&b.0));
                self.budgeted = best.map_or(FIRST_RULE, |(_, i)| i as u8);
            }
        }
    }

    fn cheapest(&self, weights: &Weights, prices: &Prices, now: u8, is_young: bool) -> u8 {
        if is_young {
            return prices.pooled_rule(weights);
        }
        let reference = prices.reference();
        let cost = |i: usize| reference.cost(weights, self.trials.worth(i));
        let best = self.trials.begun().map(|i| (cost(i), i)).min_by(|a, b| a.0.total_cmp(&b.0));
        // To switch may change the capacity.
        let switch = reference.cost(weights, &Worth { changes: 1.0, ..Worth::default() });
        match best {
            Some((least, best)) if least + switch < (1.0 - SWITCH_SHARE) * cost(usize::from(now)) => best as u8,
            _ => now,
        }
    }

    fn rule_in_use(&self, settings: &Settings, prices: &Prices) -> u8 {
        match settings.aim {
            Aim::BeatReactive { .. } => self.selected[prices.chosen()],
            Aim::Weighted(_) | Aim::Share(_) => self.budgeted,
        }
    }

    /// What rules look at now, and whether an onset is due by the series' own intervals. `None` before the first demand.
    fn view(&self, settings: &Settings, unit: f32, ahead: &Ahead) -> Option<(View<'_>, Option<Due>)> {
        let greatest = self.open.and_then(|open| open.greatest);
        if self.ring.is_empty() && greatest.is_none() {
            return None;
        }
        let bin = self.open.map(|open| open.bin).or(self.ring.newest())?;
        let newest = OpenBin { bin, greatest, forecast: ahead.forecast, is_led: ahead.led.is_some() };
        Some(self.view_with(settings, unit, &newest, self.lasting(settings, newest.amount())))
    }

    /// The capacity to have now. `None` before the first demand.
    pub fn asked(&self, settings: &Settings, prices: &Prices, unit: f32, ahead: &Ahead) -> Option<Asked> {
        let (view, due) = self.view(settings, unit, ahead)?;
        let in_use = usize::from(self.rule_in_use(settings, prices));
        let asked = |rule: usize| {
            let amount = RULES[rule].target(&view)?;
            let due = due.filter(|_| RULES[rule].looks_at_onsets());
            Some(Asked { rule, amount, deadband: RULES[rule].deadband, due })
        };
        asked(in_use).or_else(|| asked(usize::from(FIRST_RULE)))
    }

    /// What a rule asks for of CPU now by a demand and what recurs alone, whatever else it recalls of the time just gone
    /// by.
    pub fn asked_afresh(&self, settings: &Settings, rule: usize, demand: f32, ahead: &Ahead) -> Option<f32> {
        let (view, _) = self.view(settings, CORES_UNIT, ahead)?;
        let maxima = &self.maxima.recurring();
        RULES[rule].target(&View { maxima, open: demand, lasting: demand, forecast: None, ..view })
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.ring.heap_bytes() + self.onsets.heap_bytes() + self.trials.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By which what is decided serves a bin later, for a bin.
    pub(super) fn bin_by_bin() -> Settings {
        Settings {
            lead_time_s: 300,
            step_s: 300,
            hold_s: 300,
            aim: Aim::default(),
            floor_utilisation: 0.95,
            surge_s: 0,
        }
    }

    #[test]
    fn what_was_asked_for_serves_behind_a_bin_without_a_demand() {
        let settings = bin_by_bin();
        let (mut track, mut prices) = (Track::default(), Prices::default());
        let mut unmet_after = |bin: i64, demand: Option<f32>| {
            let demand = (bin, demand.map(BinDemand::seen));
            track.take_in(&settings, &mut prices, Measure::cores(0.0), demand, &Ahead::default());
            track.plan.worth().unmet
        };
        for bin in 0..36 {
            unmet_after(bin, Some(if bin < 30 { 1.0 } else { 3.0 }));
        }
        let before = unmet_after(36, None);
        assert!(before > 0.0, "it grew late");
        unmet_after(37, Some(3.0));
        assert!(unmet_after(38, Some(3.0)) <= before, "what was asked for two hours ago served instead");
    }

    /// A surge that the capacity hid until it had grown recurs as what it was, and one that was seen whole as it came.
    #[test]
    fn what_was_hidden_is_remembered_as_what_came_once_it_was_seen() {
        let settings = bin_by_bin();
        let remembered = |is_bound: bool| {
            let (mut track, mut prices) = (Track::default(), Prices::default());
            for (bin, amount) in (0..).zip([0.5, 1.0, 2.0, 4.0, 6.0, 1.0, 1.0]) {
                let demand = BinDemand { amount, is_bound: is_bound && (1..4).contains(&bin) };
                let demand = (bin, Some(demand));
                track.take_in(&settings, &mut prices, Measure::cores(0.0), demand, &Ahead::default());
            }
            (0..6).map(|bin| track.ring.at(bin).expect("it is closed")).collect::<Vec<_>>()
        };
        assert_eq!(remembered(true), [0.5, 6.0, 6.0, 6.0, 6.0, 1.0]);
        assert_eq!(remembered(false), [0.5, 1.0, 2.0, 4.0, 6.0, 1.0]);
    }
}
