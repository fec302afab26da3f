//! What each rule would have cost a series of late, for those who explain a decision: in words among its reasons, and as
//! a list of all rules.

use super::{Ahead, BUDGETED, CORES_UNIT, OWN_BINS_MIN, SWITCH_SHARE, Settings, Track};
use crate::policy::proactive::budget::Counted;
use crate::policy::proactive::demand::BIN_S;
use crate::policy::proactive::prices::{Aim, CostParts, Prices, weights};
use crate::policy::proactive::rule::{OF_CORES, RULES};
use crate::policy::proactive::trial::Worth;

/// Alternatives that a decision names in words.
const NAMED: usize = 4;

/// A rule that sizes the series, or could.
#[derive(Clone, Debug, PartialEq)]
pub struct Alternative {
    /// In words that no other rule has.
    pub rule: String,
    /// The capacity that it asks for now, in the series' unit; `None` where it has nothing to go by yet.
    pub amount: Option<f64>,
    /// What it would have cost of late; `None` where that is not known, or does not count yet as the series is young.
    pub cost: Option<RuleCost>,
    /// Whether it serves.
    pub is_chosen: bool,
}

/// What a rule would have cost a series of late, older bins counting less.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RuleCost {
    /// By part, at the prices in use.
    pub parts: CostParts,
    /// What it would have come to, in bins of [`BIN_S`] and the series' unit times such bins.
    pub worth: Worth,
    /// Where a budget is to be kept, what the rule would have taken of it.
    pub of_budget: Option<BudgetShare>,
}

/// What a rule would have taken of a budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetShare {
    /// The share that it would have taken.
    pub taken: f64,
    /// The share that the series is allowed now.
    pub allowed: f64,
}

impl Track {
    /// All rules for a series of CPU, the cheapest first, those whose cost is not known last.
    pub fn alternatives(&self, settings: &Settings, prices: &Prices, ahead: &Ahead) -> Vec<Alternative> {
        let Some((view, _)) = self.view(settings, CORES_UNIT, ahead) else { return Vec::new() };
        let chosen = self.asked(settings, prices, CORES_UNIT, ahead).map(|asked| asked.rule);
        let alternative = |i: usize| Alternative {
            rule: RULES[i].words(OF_CORES),
            amount: RULES[i].target(&view).map(f64::from),
            cost: self.cost(settings, prices, i),
            is_chosen: chosen == Some(i),
        };
        let mut found: Vec<Alternative> = (0..RULES.len()).map(alternative).collect();
        let total = |a: &Alternative| a.cost.map_or(f64::INFINITY, |cost| cost.parts.total());
        found.sort_by(|a, b| total(a).total_cmp(&total(b)));
        found
    }

    fn cost(&self, settings: &Settings, prices: &Prices, rule: usize) -> Option<RuleCost> {
        if self.bins < OWN_BINS_MIN || !self.trials.has_begun(rule) {
            return None;
        }
        let worth = *self.trials.worth(rule);
        let (weights, of_budget) = match settings.aim {
            Aim::BeatReactive { .. } => (weights(prices.chosen()), None),
            Aim::Weighted(weights) => (weights, None),
            Aim::Share(budget) => {
                let taken = f64::from(self.allowance.taken_share(&budget, &worth));
                let allowed = f64::from(self.allowance.share(prices.allowed_share(&budget)));
                (BUDGETED, Some(BudgetShare { taken, allowed }))
            }
        };
        let parts = prices.reference().parts(&weights, &worth);
        Some(RuleCost { parts, worth, of_budget })
    }

    /// Why that rule serves a series of CPU, with what it and the best others would have cost of late.
    pub(crate) fn cost_words(&self, settings: &Settings, prices: &Prices, rule: usize) -> String {
        if self.bins < OWN_BINS_MIN {
            return format!("the workload is young ({} bins of {BIN_S} s): the fleet's best rule serves it", self.bins);
        }
        let weights = match settings.aim {
            Aim::BeatReactive { .. } => weights(prices.chosen()),
            Aim::Weighted(weights) => weights,
            Aim::Share(budget) => {
                let taken = self.allowance.taken_share(&budget, self.trials.worth(rule));
                let what = match budget.counted {
                    Counted::Short => "been short for {} of the time",
                    Counted::Unmet => "left {} of the demand unmet",
                };
                let taken = what.replace("{}", &format!("{:.3} %", taken * 100.0));
                let allowed = self.allowance.share(prices.allowed_share(&budget));
                return format!("it would have {taken}, {:.3} % are allowed now", allowed * 100.0);
            }
        };
        let reference = prices.reference();
        let cost = |i: usize| reference.cost(&weights, self.trials.worth(i));
        let usable = self.trials.begun().filter(|i| *i != rule);
        let mut others: Vec<(f64, usize)> = usable.map(|i| (cost(i) / cost(rule).max(1e-12) * 100.0, i)).collect();
        others.sort_by(|a, b| a.0.total_cmp(&b.0));
        let named = others.iter().take(NAMED);
        let named: Vec<String> =
            named.map(|(cost, i)| format!("{} ({cost:.1} % of that cost)", RULES[*i].words(OF_CORES))).collect();
        let next = if named.is_empty() { String::new() } else { format!("; the best others are {}", named.join("; ")) };
        let how = if self.trials.begun().all(|i| cost(i) >= cost(rule)) {
            "cost least".to_owned()
        } else {
            let share = SWITCH_SHARE * 100.0;
            format!(
                "cost more than others (once an hour another takes over if that saves {share:.0} % and more than a change costs)"
            )
        };
        let worth = self.trials.worth(rule);
        format!(
            "of late, where older days count less, it would have {how}: short for {:.0} min, {:.2} unmet and {:.1} spare core-hours, {:.1} changes{next}",
            worth.short * BIN_S as f32 / 60.0,
            worth.unmet * BIN_S as f32 / 3600.0,
            worth.spare * BIN_S as f32 / 3600.0,
            worth.changes,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::proactive::track::Measure;
    use crate::policy::proactive::track::tests::bin_by_bin;
    use crate::policy::proactive::trial::BinDemand;

    #[test]
    fn only_the_rule_that_would_have_cost_least_is_said_to() {
        let settings = bin_by_bin();
        let (mut track, mut prices) = (Track::default(), Prices::default());
        for bin in 0..400 {
            let demand = BinDemand::seen(if bin % 24 < 4 { 4.0 } else { 1.0 });
            track.take_in(&settings, &mut prices, Measure::cores(0.0), (bin, Some(demand)), &Ahead::default());
        }
        let costs = |i: usize| prices.reference().cost(&weights(prices.chosen()), track.trials.worth(i));
        let least = track.trials.begun().map(costs).fold(f64::INFINITY, f64::min);
        let mut dearer = 0;
        for rule in track.trials.begun() {
            let words = track.cost_words(&settings, &prices, rule);
            assert_eq!(words.contains("it would have cost least: short for "), costs(rule) <= least, "{words}");
            assert_eq!(words.contains("cost more than others ("), costs(rule) > least, "{words}");
            dearer += usize::from(costs(rule) > least);
        }
        assert!(dearer > 0, "all cost the same");
    }
}
