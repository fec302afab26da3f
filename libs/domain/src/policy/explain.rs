//! A plan's reasoning as text for people.

use super::decide::mechanism_words;
use super::resource::Resource;
use super::wording::{capacity, instant, number};
use crate::action::{Action, Evidence, Reason, Verdict};
use crate::prediction::Prediction;

/// The action with its numbers and reasons, one to a line, ending with a line feed.
pub fn explain(action: &Action) -> String {
    let verdict = match action.verdict {
        Verdict::ScaleOut => "scale out",
        Verdict::ScaleIn => "scale in",
        Verdict::Reshape => "reshape",
    };
    let mut text = format!(
        "{} at {}: {verdict}{}\n  from       {}\n  to         {}\n  by         {}\n  policy     {}\n  prediction {}\n  void from  {}\n",
        action.workload,
        instant(action.decided_at),
        if action.dry_run { " (dry run)" } else { "" },
        capacity(&action.current),
        capacity(&action.desired),
        mechanism_words(action.mechanism),
        action.policy,
        action.prediction_id,
        instant(action.valid_until),
    );
    if !action.evidence.is_empty() {
        text.push_str("numbers\n");
    }
    for evidence in &action.evidence {
        text.push_str(&evidence_line(evidence));
    }
    push_reasons(&mut text, &action.reasons);
    text
}

/// Why a workload is left as it is, one reason to a line, ending with a line feed.
pub fn explain_hold(prediction: &Prediction, reasons: &[Reason]) -> String {
    let now = prediction.capacity.as_ref().map_or_else(|| "unknown".to_owned(), capacity);
    let mut text = format!("{} at {}: hold\n  capacity   {now}\n", prediction.workload, instant(prediction.made_at),);
    push_reasons(&mut text, reasons);
    text
}

fn evidence_line(e: &Evidence) -> String {
    let amount = |x: f64| Resource::of_kpi(&e.resource).map_or_else(|| number(x), |r| r.amount(x));
    format!(
        "  {} in {} s: predicted {}, interval {} to {} (relative width {}), capacity {}, model {}\n",
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
