//! A plan's reasoning as text for people. Each capacity says whether it serves now, was planned before, or is proposed.

use super::decide::{mechanism_words, verdict};
use super::grounds::Grounds;
use crate::action::{Action, Evidence, PlanChange, Reason, Verdict};
use crate::prediction::Prediction;
use crate::resource::Resource;
use crate::sample::Capacity;
use crate::wording::{bytes, capacity, instant, number};
use std::cmp::Ordering;

/// The action with its numbers and reasons, one to a line, ending with a line feed. `planned` is what was planned when it
/// was decided; where that is not known its numbers tell.
pub fn explain(action: &Action, planned: Option<&Capacity>) -> String {
    let mut text = format!(
        "{} at {}: {}{}\n  serves now {}\n",
        action.workload,
        instant(action.decided_at),
        change_words(action, planned),
        dry_run_words(action.dry_run),
        capacity(&action.current),
    );
    let was_planned = planned_words(action, planned);
    text.push_str(&was_planned.as_ref().map_or_else(String::new, |words| planned_line(words, action.dry_run)));
    text.push_str(&format!(
        "  proposed   {}\n  by         {}\n  policy     {}\n  prediction {}\n  void from  {}\n",
        capacity(&action.desired),
        mechanism_words(action.mechanism),
        action.policy,
        action.prediction_id,
        instant(action.valid_until),
    ));
    if !action.evidence.is_empty() {
        text.push_str("numbers\n");
    }
    let tells = planned.is_some() || action.evidence.iter().any(|e| Resource::of_kpi(&e.resource).is_some());
    let of_rates = match (was_planned.is_some(), tells) {
        (true, _) => "planned",
        (false, true) => "serving now",
        (false, false) => "planned or serving now",
    };
    for evidence in &action.evidence {
        text.push_str(&evidence_line(evidence, &action.current, of_rates));
    }
    push_reasons(&mut text, &action.reasons);
    text
}

/// What an action changes, in a few words, such as `scale out to 6 replicas of 2 cores and 8 GiB by policy threshold`,
/// or `scale out what is planned to ...`.
pub fn explain_change(action: &Action) -> String {
    format!(
        "{} to {} by policy {}{}",
        change_words(action, None),
        capacity(&action.desired),
        action.policy,
        dry_run_words(action.dry_run)
    )
}

/// Why a workload is left as it is, one reason to a line, ending with a line feed.
pub fn explain_hold(prediction: &Prediction, grounds: &Grounds, reasons: &[Reason]) -> String {
    let now = prediction.capacity.as_ref().map_or_else(|| "unknown".to_owned(), capacity);
    let mut text = format!("{} at {}: hold\n  serves now {now}\n", prediction.workload, instant(prediction.made_at));
    let planned = grounds.planned.as_ref().map(capacity).filter(|planned| *planned != now);
    text.push_str(&planned.map_or_else(String::new, |words| planned_line(&words, grounds.dry_run)));
    push_reasons(&mut text, reasons);
    text
}

/// An amount of what a KPI measures, with its unit.
pub fn amount(kpi: &str, unit: &str, x: f64) -> String {
    match (Resource::of_kpi(kpi), unit) {
        (Some(resource), _) => resource.amount(x),
        (None, "By") => bytes(x),
        (None, "By/s") => format!("{}/s", bytes(x)),
        (None, unit) => format!("{} {unit}", number(x)),
    }
}

/// What an action does to the capacity that it goes on from: what serves, or what was planned before where that is
/// another. A plan below what serves may grow and stay below it.
fn change_words(action: &Action, planned: Option<&Capacity>) -> String {
    let told = action.plan_change().map(|change| match change {
        PlanChange::Raised => Verdict::ScaleOut,
        PlanChange::Lowered => Verdict::ScaleIn,
    });
    if let Some(told) = told {
        return format!("{} what is planned", verdict_words(told));
    }
    if planned_words(action, planned).is_none() {
        return verdict_words(action.verdict).to_owned();
    }
    let desired = &action.desired;
    let verdict = match planned {
        Some(planned) => (planned != desired).then(|| verdict(planned, desired)),
        None => {
            let change = |(resource, by): (Resource, f64)| resource.of(desired).partial_cmp(&by);
            let changes: Vec<Option<Ordering>> = planned_amounts(action).map(change).collect();
            let has = |way: Ordering| changes.contains(&Some(way));
            match (has(Ordering::Greater), has(Ordering::Less)) {
                (true, true) => Some(Verdict::Reshape),
                (true, false) => Some(Verdict::ScaleOut),
                (false, true) => Some(Verdict::ScaleIn),
                (false, false) => None,
            }
        }
    };
    verdict.map_or_else(|| "keep what is planned".to_owned(), |v| format!("{} what is planned", verdict_words(v)))
}

fn verdict_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::ScaleOut => "scale out",
        Verdict::ScaleIn => "scale in",
        Verdict::Reshape => "reshape",
    }
}

fn dry_run_words(dry_run: bool) -> &'static str {
    if dry_run { " (dry run)" } else { "" }
}

/// What was planned before, where that was not what served.
fn planned_words(action: &Action, planned: Option<&Capacity>) -> Option<String> {
    let serves = &action.current;
    if let Some(planned) = planned {
        return (planned != serves).then(|| capacity(planned));
    }
    let known: Vec<(Resource, f64)> = planned_amounts(action).collect();
    let differs = known.iter().any(|(resource, by)| resource.amount(*by) != resource.amount(resource.of(serves)));
    let amounts: Vec<String> = known.iter().map(|(resource, by)| resource.amount(*by)).collect();
    differs.then(|| format!("{} over all replicas", amounts.join(" and ")))
}

/// What was planned before of each resource, as far as the numbers tell.
fn planned_amounts(action: &Action) -> impl Iterator<Item = (Resource, f64)> {
    action.evidence.iter().filter_map(|e| Some((Resource::of_kpi(&e.resource)?, e.capacity)))
}

fn planned_line(words: &str, dry_run: bool) -> String {
    let how = if dry_run { "the dry run's plan so far" } else { "asked for before, not there yet" };
    format!("  planned    {words} ({how})\n")
}

/// `of_rates` is how the capacity for what is no resource is to be called.
fn evidence_line(e: &Evidence, serves: &Capacity, of_rates: &str) -> String {
    let resource = Resource::of_kpi(&e.resource);
    let amount = |x: f64| resource.map_or_else(|| number(x), |r| r.amount(x));
    let held = match resource {
        Some(resource) if amount(e.capacity) == amount(resource.of(serves)) => "serving now",
        Some(_) => "planned",
        None => of_rates,
    };
    format!(
        "  {} in {} s: predicted {}, interval {} to {} (relative width {}), capacity {} ({held}), model {}\n",
        e.resource,
        e.horizon_s,
        amount(e.predicted),
        amount(e.lower),
        amount(e.upper),
        number(e.relative_width),
        amount(e.capacity),
        e.model,
    )
}

fn push_reasons(text: &mut String, reasons: &[Reason]) {
    text.push_str("because\n");
    for (i, reason) in reasons.iter().enumerate() {
        text.push_str(&format!("  {}. {}: {}\n", i + 1, reason.rule, reason.text));
    }
}
