//! What the threshold policy proposes for a whole workload: the binding resource decides, and a
//! decrease needs the consent of every resource.

use super::{Call, Threshold};
use crate::action::Evidence;
use crate::policy::decide::Facts;
use crate::policy::outlook::{Chosen, ForecastChoice, Outlook};
use crate::policy::proposal::{Need, Proposal};
use crate::resource::{Direction, Resource};
use crate::sample::Capacity;
use crate::wording::{amount_gone_by, model, number};

/// Judges every resource and combines what they say.
pub(super) fn propose(rule: &Threshold, choice: &ForecastChoice, facts: &Facts<'_>, capacity: &Capacity) -> Proposal {
    let prediction = facts.prediction;
    let mut proposal = Proposal::default();
    let (mut out, mut lower) = (Need::default(), Need::default());
    let mut binding: Option<(f64, Resource)> = None;
    let (mut increases, mut decreases) = (0usize, 0usize);
    for &resource in &choice.resources {
        let chosen = match choice.choose(resource, prediction, capacity) {
            Ok(chosen) => chosen,
            Err(why) => {
                let text = || format!("{}: no decision, {why}", resource.kpi());
                proposal.reasons.push(facts.reason("threshold.undecided", text));
                continue;
            }
        };
        let call = rule.judge(&chosen.outlook);
        let held = || amount_gone_by(resource, capacity, prediction.capacity.as_ref());
        let text = || judgement(rule, choice, (resource, held().as_str()), &chosen, call);
        proposal.reasons.push(facts.reason(call.rule(), text));
        proposal.evidence.extend(facts.tells_why.then(|| evidence(resource.kpi(), &chosen)));
        proposal.scored_least =
            Some(proposal.scored_least.map_or(chosen.interval.scored, |s| s.min(chosen.interval.scored)));
        match call {
            Call::Increase { to } => {
                increases += 1;
                out.set(resource, to);
            }
            Call::Decrease { to } => {
                decreases += 1;
                lower.set(resource, to);
            }
            Call::TooUncertain | Call::Keep => continue,
        }
        let pressure = chosen.outlook.predicted / chosen.outlook.capacity;
        if binding.is_none_or(|(most, _)| pressure > most) {
            binding = Some((pressure, resource));
        }
    }
    let all = choice.resources.len();
    proposal.change = match binding {
        Some(_) if increases > 0 => Some((Direction::Out, out)),
        Some(_) if decreases == all => Some((Direction::In, lower)),
        _ => None,
    };
    if let (Some(_), Some((_, resource)), true) = (proposal.change, binding, all > 1) {
        let text = || format!("{} is the resource that decides", resource.kpi());
        proposal.reasons.push(facts.reason("policy.binding", text));
    }
    if proposal.change.is_none() && decreases > 0 {
        let text = || format!("{decreases} of {all} resources allow a decrease; it takes all of them");
        proposal.reasons.push(facts.reason("policy.not_all_allow_decrease", text));
    }
    proposal
}

/// What the rule says of a resource; `held` is the capacity that it is compared with, in words.
fn judgement(
    rule: &Threshold,
    choice: &ForecastChoice,
    (resource, held): (Resource, &str),
    chosen: &Chosen<'_>,
    call: Call,
) -> String {
    let Outlook { predicted, capacity, .. } = chosen.outlook;
    let width = chosen.outlook.relative_width();
    let subject = format!(
        "{}: predicted {} ({}, {}) with a capacity of {held}",
        resource.kpi(),
        resource.amount(predicted),
        choice.words(chosen.horizon_s),
        model(chosen.forecast),
    );
    let above = |factor: f64| format!("{} ({} × capacity)", resource.amount(capacity * factor), number(factor));
    let interval = format!("the {} % interval", number(chosen.interval.nominal_coverage * 100.0));
    let rest = match call {
        Call::Increase { to } => format!(
            "it is above {}, and {interval} has relative width {}, below {}: {} are needed ({} × predicted)",
            above(rule.increase_above),
            number(width),
            number(rule.relative_width_max),
            resource.amount(to),
            number(rule.headroom),
        ),
        Call::Decrease { to } => format!(
            "it is below {}: {} are enough ({} × predicted)",
            above(rule.decrease_below),
            resource.amount(to),
            number(rule.headroom),
        ),
        Call::TooUncertain => format!(
            "it is above {}, but {interval} has relative width {}, not below {}: no increase on so uncertain a forecast",
            above(rule.increase_above),
            number(width),
            number(rule.relative_width_max),
        ),
        Call::Keep => {
            format!("it is neither above {} nor below {}", above(rule.increase_above), above(rule.decrease_below))
        }
    };
    format!("{subject}; {rest}")
}

impl Call {
    /// Of the reason that tells it.
    fn rule(self) -> &'static str {
        match self {
            Self::Increase { .. } => "threshold.increase",
            Self::Decrease { .. } => "threshold.decrease",
            Self::TooUncertain => "threshold.uncertain",
            Self::Keep => "threshold.keep",
        }
    }
}

pub(super) fn evidence(kpi: &str, chosen: &Chosen<'_>) -> Evidence {
    Evidence {
        resource: kpi.into(),
        horizon_s: chosen.horizon_s,
        predicted: chosen.outlook.predicted,
        lower: chosen.outlook.lower,
        upper: chosen.outlook.upper,
        relative_width: chosen.outlook.relative_width(),
        capacity: chosen.outlook.capacity,
        model: chosen.forecast.model.clone(),
    }
}
