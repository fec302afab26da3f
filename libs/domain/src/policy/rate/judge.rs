//! What a workload's rates need, put together with what its CPU and memory need: the larger count of replicas counts.

use super::watch::{RateView, Serves};
use crate::action::{Evidence, Reason};
use crate::policy::decide::Facts;
use crate::policy::live::Surge;
use crate::policy::proactive::RULES;
use crate::policy::proactive::rule::OF_A_REPLICA;
use crate::policy::proposal::{Need, Proposal};
use crate::policy::rules::Rules;
use crate::resource::Direction;
use crate::sample::Capacity;
use crate::wording::{model, number, replicas_gone_by};

/// What a policy says of one rate.
#[derive(Clone, Debug, PartialEq)]
pub struct RateCall {
    /// Whether more or fewer replicas are wanted for it; `None` to leave their number.
    pub direction: Option<Direction>,
    /// The rate to have capacity for, in its unit.
    pub rate: f64,
    /// By what, in words that go on from the rate.
    pub by: String,
    /// Numbers looked at.
    pub evidence: Option<Evidence>,
    /// Scored intervals behind the forecast gone by; `None` where none was.
    pub scored: Option<u32>,
}

/// What one rate says.
struct Judged<'a> {
    serves: &'a Serves,
    direction: Option<Direction>,
    replicas: f64,
}

impl Judged<'_> {
    /// Raises a need to the replicas that the rate takes, or that stay.
    fn raise(&self, need: &mut Need, base: &Capacity) {
        let replicas = if self.direction.is_none() { f64::from(base.replicas) } else { self.replicas };
        self.serves.raise(need, replicas);
    }
}

/// Judges each rate, and changes what is proposed where it needs more replicas than that.
pub(in crate::policy) fn combine(rules: &Rules, facts: &Facts<'_>, base: &Capacity, proposal: &mut Proposal) {
    let judged: Vec<Judged<'_>> =
        facts.rates.iter().filter_map(|view| judge(rules, facts, base, view, proposal)).collect();
    if judged.is_empty() {
        say_what_is_not_configured(rules, facts, proposal);
        return;
    }
    let is_alone = !rules.forecast.resources.iter().any(|resource| has(facts, resource.kpi()));
    let raise = |need: &mut Need, all: bool| {
        for j in judged.iter().filter(|j| all || j.direction == Some(Direction::Out)) {
            j.raise(need, base);
        }
    };
    for j in &judged {
        j.raise(&mut proposal.planned, base);
    }
    let grows = judged.iter().any(|j| j.direction == Some(Direction::Out));
    let shrinks = judged.iter().all(|j| j.direction == Some(Direction::In));
    match &mut proposal.change {
        Some((Direction::Out, need)) => raise(need, false),
        change if grows => {
            let mut need = Need::default();
            raise(&mut need, false);
            *change = Some((Direction::Out, need));
        }
        Some((Direction::In, need)) => raise(need, true),
        change @ None if is_alone && shrinks => {
            let mut need = Need::default();
            raise(&mut need, true);
            *change = Some((Direction::In, need));
        }
        None => {}
    }
}

fn has(facts: &Facts<'_>, kpi: &str) -> bool {
    facts.prediction.resources.iter().any(|forecast| forecast.resource.as_str() == kpi)
}

/// Where there is nothing to size a workload by, which setting is missing.
fn say_what_is_not_configured(rules: &Rules, facts: &Facts<'_>, proposal: &mut Proposal) {
    if !facts.rates.is_empty() || rules.forecast.resources.iter().any(|resource| has(facts, resource.kpi())) {
        return;
    }
    for forecast in &facts.prediction.resources {
        let text = || {
            format!(
                "{0} is forecast, and nothing says how much of it a replica serves: set per_replica of [planner.rates.{0}]",
                forecast.resource
            )
        };
        proposal.reasons.push(facts.reason("rate.not_configured", text));
    }
}

fn judge<'a>(
    rules: &Rules,
    facts: &Facts<'_>,
    base: &Capacity,
    view: &'a RateView<'_>,
    proposal: &mut Proposal,
) -> Option<Judged<'a>> {
    let serves = match &view.serves {
        Ok(serves) => serves,
        Err(why) => {
            proposal.reasons.push(why.clone());
            return None;
        }
    };
    let served = f64::from(base.replicas) * serves.per_replica;
    let call = match rules.policy.judge_rate(rules, facts, view, served) {
        Ok(call) => call?,
        Err(why) => {
            proposal.reasons.push(why);
            return None;
        }
    };
    if let Some(scored) = call.scored {
        proposal.scored_least = Some(proposal.scored_least.map_or(scored, |least| least.min(scored)));
    }
    let judged = Judged { serves, direction: call.direction, replicas: serves.replicas(call.rate) };
    let held = || replicas_gone_by(base, facts.prediction.capacity.as_ref());
    let text = || words(view, &judged, call.rate, &call.by, &held());
    proposal.reasons.push(facts.reason("rate.replicas", text));
    proposal.evidence.extend(call.evidence);
    Some(judged)
}

/// What the rule that does best on a rate asks for.
pub(in crate::policy) fn by_tried_rule(facts: &Facts<'_>, view: &RateView<'_>, served: f64) -> Option<RateCall> {
    let asked = view.asked?;
    Some(RateCall {
        direction: asked.deadband.direction(asked.amount, served as f32),
        rate: f64::from(asked.amount),
        by: facts.words(|| {
            format!(
                "by {} (serves {} s after a decision)",
                RULES[asked.rule].words(OF_A_REPLICA),
                facts.settings.lead_time_s
            )
        }),
        evidence: if facts.tells_why { view_evidence(facts, view, served) } else { None },
        scored: None,
    })
}

/// What a rate needs, `by` what; `held` is the count that a decision goes by, in words.
fn words(view: &RateView<'_>, judged: &Judged<'_>, rate: f64, by: &str, held: &str) -> String {
    let Judged { serves, direction, replicas } = judged;
    let what = match direction {
        Some(Direction::Out) => format!("{} replicas are needed", number(replicas.ceil())),
        Some(Direction::In) => format!("{} replicas are enough", number(replicas.ceil().max(1.0))),
        None => format!("{held} stay"),
    };
    format!(
        "{}: {} {by}, and a replica serves {} ({}): {what}",
        view.kpi,
        number(rate),
        number(serves.per_replica),
        serves.why
    )
}

fn view_evidence(facts: &Facts<'_>, view: &RateView<'_>, served: f64) -> Option<Evidence> {
    let forecast = view.forecast?;
    let lead_time_s = facts.settings.lead_time_s;
    let horizon = forecast.horizons.iter().find(|h| h.horizon_s >= lead_time_s).or(forecast.horizons.last())?;
    let (predicted, interval) = (horizon.maximum.median(), &horizon.maximum_interval);
    let relative_width = (interval.upper - interval.lower) / (2.0 * predicted);
    Some(Evidence {
        resource: view.kpi.as_str().into(),
        horizon_s: horizon.horizon_s,
        predicted,
        lower: interval.lower,
        upper: interval.upper,
        relative_width: if relative_width.is_finite() { relative_width } else { 0.0 },
        capacity: served,
        model: model(forecast).into(),
    })
}

/// What live use of a rate demands: replicas that nothing but bounds can hold.
pub(in crate::policy) fn demand(
    rules: &Rules,
    facts: &Facts<'_>,
    (current, base): (&Capacity, &Capacity),
    proposal: &mut Proposal,
) {
    let utilisation = rules.guardrails.floor_utilisation;
    for view in facts.rates {
        let (Ok(serves), Some(used)) = (&view.serves, view.used) else { continue };
        let needed = serves.replicas(used / utilisation);
        let least = serves.least(base, current);
        if needed <= least * (1.0 + 1e-9) {
            continue;
        }
        if let Surge::Young { lasted_s, demands_after_s, short_before } = view.surge {
            proposal.reasons.push(crate::policy::floor::waits(facts, lasted_s, demands_after_s, short_before));
            continue;
        }
        let text = || {
            format!(
                "{}: {} are served now, a replica serves {} ({}), of which at most {} % may be used: {} replicas are needed, \
             whatever the forecast says",
                view.kpi,
                number(used),
                number(serves.per_replica),
                serves.why,
                number(utilisation * 100.0),
                number(needed.ceil()),
            )
        };
        proposal.reasons.push(facts.reason("floor.live", text));
        let mut need = match proposal.change {
            Some((Direction::Out, need)) => need,
            _ => Need::default(),
        };
        serves.raise(&mut need, needed);
        serves.raise(&mut proposal.planned, needed);
        proposal.change = Some((Direction::Out, need));
        proposal.demanded = true;
    }
}

/// Raises what a decrease leaves to what is served now.
pub(in crate::policy) fn leave(rules: &Rules, facts: &Facts<'_>, need: &mut Need, reasons: &mut Vec<Reason>) {
    for view in facts.rates {
        let (Ok(serves), Some(recent)) = (&view.serves, view.recent) else { continue };
        let before = *need;
        serves.raise(need, serves.replicas(recent / rules.guardrails.floor_utilisation));
        if *need != before && (before.replicas.is_some() || before.cpu_cores.is_some()) {
            let text = || {
                format!("{}: {} were served just now, so as many replicas as that takes stay", view.kpi, number(recent))
            };
            reasons.push(facts.reason("floor.leaves", text));
        }
    }
}
