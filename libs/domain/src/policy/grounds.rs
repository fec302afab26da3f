//! What a decision goes by beside what its reasons say: the capacities, how long the workload has been watched, and what
//! each alternative would have cost. For those who explain decisions: nothing follows from it.

use super::choose::Priced;
use super::decide::{Decision, Facts, is_sound, proposed, ready};
use super::proactive::Alternative;
use super::proactive::propose::forecast_of;
use super::rules::Rules;
use crate::guardrail::history::DAY_S;
use crate::resource::Resource;
use crate::sample::Capacity;

/// What a decision goes by.
#[derive(Clone, Debug, PartialEq)]
pub struct Grounds {
    /// What serves; `None` where the prediction does not say it.
    pub serves: Option<Capacity>,
    /// What the plan holds that it would be: what was asked for last, where that stands, else what serves.
    pub planned: Option<Capacity>,
    /// Whether the plan is a dry run's, of which nothing comes.
    pub dry_run: bool,
    /// How long the workload's CPU or memory has been watched, in seconds; `None` where neither was ever measured.
    pub watched_s: Option<i64>,
    /// Whether no memory is taken away before it has been watched for a day.
    pub spares_young_memory: bool,
    /// The rules that CPU is or could be sized by, the cheapest first; none where the policy tries none.
    pub by_rule: Vec<Alternative>,
    /// What is or could be had by price, the cheapest first; none where the policy does not choose by it.
    pub by_price: Vec<PricedAlternative>,
}

/// A capacity that covers what is needed, or that is had all the same.
#[derive(Clone, Debug, PartialEq)]
pub struct PricedAlternative {
    /// The capacity with its price.
    pub priced: Priced,
    /// Whether it is what is to be had.
    pub is_chosen: bool,
}

impl Grounds {
    /// Of a decision, made from these facts.
    pub fn of(rules: &Rules, facts: &Facts<'_>, decision: &Decision) -> Self {
        let prediction = facts.prediction;
        let serves = prediction.capacity.as_ref().filter(|capacity| is_sound(capacity));
        let dry_run = rules.dry_run.on(prediction.platform);
        let planned = serves.map(|current| facts.history.base(current, dry_run, prediction.made_at));
        let peaks = [&facts.live.cpu, &facts.live.memory];
        let watched_s = peaks.into_iter().filter(|peaks| peaks.recent().is_some()).map(|peaks| peaks.watched_s()).max();
        let tries_rules = rules.policy.plan().is_some();
        let sizes = |resource: Resource| rules.forecast.resources.contains(&resource);
        let sizes_cpu = sizes(Resource::Cpu) && serves.is_some() && forecast_of(prediction, Resource::Cpu).is_some();
        Self {
            serves: serves.cloned(),
            planned: planned.cloned(),
            dry_run,
            watched_s,
            spares_young_memory: tries_rules && sizes(Resource::Memory),
            by_rule: if tries_rules && sizes_cpu {
                facts.track.alternatives(facts.settings, facts.prices, facts.ahead)
            } else {
                Vec::new()
            },
            by_price: match (rules.policy.chooser(), serves.zip(planned)) {
                (Some(chooser), Some((current, base))) => {
                    let proposal = proposed(rules, facts, (current, base));
                    let candidates = ready::candidates(rules, chooser, facts, (current, base), proposal);
                    priced(rules, candidates, chosen(decision, base))
                }
                _ => Vec::new(),
            },
        }
    }

    /// That less than a day of history is behind the decision, and what follows from that, as a sentence without its full
    /// stop; `None` where there is a day.
    pub fn youth(&self) -> Option<String> {
        let watched_s = self.watched_s.filter(|watched_s| *watched_s < DAY_S)?;
        let follows = if self.spares_young_memory {
            "until it is a day no memory is taken away, so what the plan was worth so far says little of later days"
        } else {
            "what comes back daily is not known yet"
        };
        Some(format!(
            "less than a day of history is behind this workload ({:.1} h): {follows}",
            watched_s as f64 / 3600.0
        ))
    }
}

/// What is to be had by a decision.
fn chosen<'a>(decision: &'a Decision, base: &'a Capacity) -> &'a Capacity {
    match decision {
        Decision::Act(action) => &action.desired,
        Decision::Hold(_) => base,
    }
}

fn priced(rules: &Rules, mut candidates: Vec<Priced>, chosen: &Capacity) -> Vec<PricedAlternative> {
    if candidates.iter().all(|candidate| candidate.capacity != *chosen) {
        let price_per_h = rules.sizing.prices.price_per_h(chosen);
        candidates.push(Priced { capacity: chosen.clone(), price_per_h });
    }
    let price = |priced: &Priced| priced.price_per_h.unwrap_or(f64::INFINITY);
    candidates.sort_by(|a, b| price(a).total_cmp(&price(b)));
    let of = |priced: Priced| PricedAlternative { is_chosen: priced.capacity == *chosen, priced };
    candidates.into_iter().map(of).collect()
}
