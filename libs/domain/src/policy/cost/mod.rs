//! The policy `cost`: what `proactive` plans for CPU and memory, from the instance types, and in the count, that cost
//! least. Count and size are chosen together, so that nothing is done twice for one demand.
//!
//! It must not know how demand is planned, what holds a change back, nor what the cloud calls its types.

#[cfg(test)]
mod tests;

use super::choose::{Choice, Offer, Wanted, choose, priced_words};
use super::decide::Facts;
use super::proactive::Proactive;
use super::proposal::Proposal;
use super::rules::interface::{Chooser, Policy};
use super::rules::{Rules, RulesError, require};
use super::sizing::Sizing;
use crate::action::Reason;
use crate::cloud::PriceList;
use crate::knob::{Knob, Knobs};
use crate::resource::{Direction, Resource};
use crate::sample::Capacity;
use crate::wording::{number, reason, replicas};

/// Alternatives that a decision names.
const NAMED: usize = 3;

/// Settings of the policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// How demand is planned, and so at what risk.
    pub plan: Proactive,
    /// Another instance type is taken only where it saves at least this share of what the present one would cost.
    pub switch_saving_min: f64,
}

impl Default for Cost {
    fn default() -> Self {
        Self { plan: Proactive::default(), switch_saving_min: 0.1 }
    }
}

impl Knobs for Cost {
    fn knobs(&mut self, see: &mut dyn FnMut(&'static str, Knob<'_>)) {
        let Self { plan: _, switch_saving_min } = self;
        see("switch_saving_min", Knob::number(switch_saving_min));
    }
}

impl Policy for Cost {
    fn name(&self) -> &'static str {
        "cost"
    }

    fn validate(&self, sizing: &Sizing) -> Result<(), RulesError> {
        self.plan.validate(sizing)?;
        let saving = self.switch_saving_min;
        require((0.0..1.0).contains(&saving), "switch_saving_min", saving, "give a share from 0 and below 1")?;
        let is_empty = sizing.prices.instance_types.is_empty();
        require(!is_empty, "instance_types", "empty", "list at least one to choose from")
    }

    fn propose(&self, rules: &Rules, facts: &Facts<'_>, base: &Capacity) -> Proposal {
        self.plan.propose(rules, facts, base)
    }

    fn plan(&self) -> Option<&Proactive> {
        Some(&self.plan)
    }

    fn plan_as(&mut self, plan: &Proactive) {
        self.plan = plan.clone();
    }

    fn chooser(&self) -> Option<&dyn Chooser> {
        Some(self)
    }
}

impl Chooser for Cost {
    fn choose(&self, rules: &Rules, base: &Capacity, wanted: &Wanted) -> Choice {
        let bounds = rules.guardrails.bounds.room(Direction::Out);
        let offer = Offer {
            prices: &rules.sizing.prices,
            replicas_max: bounds.replicas.1,
            cpu_cores_max: bounds.cpu_cores.1,
            memory_bytes_max: bounds.memory_bytes.1,
        };
        choose(base, wanted, &offer, self.switch_saving_min)
    }

    fn words(
        &self,
        rules: &Rules,
        capacities: (&Capacity, &Capacity),
        wanted: &Wanted,
        choice: &Choice,
    ) -> Vec<Reason> {
        words(self, &rules.sizing.prices, capacities, wanted, choice)
    }
}

/// What is chosen, what else there was, and what each would cost.
fn words(
    cost: &Cost,
    prices: &PriceList,
    (current, base): (&Capacity, &Capacity),
    wanted: &Wanted,
    choice: &Choice,
) -> Vec<Reason> {
    let Choice { chosen, covers, alternatives } = choice;
    let needed = format!(
        "{} and {} over at least {}",
        Resource::Cpu.amount(wanted.cpu_cores),
        Resource::Memory.amount(wanted.memory_bytes),
        replicas(wanted.replicas)
    );
    let held = if base == current { "serves now" } else { "is planned" };
    let now = prices.price_per_h(base).map_or_else(String::new, |p| format!(" (what {held} costs {})", number(p)));
    if !covers {
        let text = format!(
            "nothing on offer covers {needed} within the bounds; what covers most is {}{now}",
            priced_words(chosen)
        );
        return vec![reason("cost.nothing_covers", text)];
    }
    let named: Vec<String> = alternatives.iter().take(NAMED).map(priced_words).collect();
    let others =
        if named.is_empty() { "nothing else does".to_owned() } else { format!("others are {}", named.join("; ")) };
    let text = format!("{needed} are covered by {}{now}; {others}", priced_words(chosen));
    let mut reasons = vec![reason("cost.choice", text)];
    let cheaper = alternatives.first().filter(|a| a.price_per_h < chosen.price_per_h && a.price_per_h.is_some());
    if let (Some(cheaper), Some(price)) = (cheaper.and_then(|a| a.price_per_h), chosen.price_per_h) {
        let text = format!(
            "another type saves {} %, less than the {} % that it takes to change it",
            number((1.0 - cheaper / price) * 100.0),
            number(cost.switch_saving_min * 100.0)
        );
        reasons.push(reason("cost.stays", text));
    }
    reasons
}
