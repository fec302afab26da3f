//! What decisions were worth, as a sentence for people.

use super::sums::{Span, Sums, Worth};
use crate::wording::number;

const HOUR_S: f64 = 3600.0;
const DAY_S: i64 = 86_400;

/// What the plan of a time was worth beside the capacity as it was and the reactive rule, ending without a line feed.
pub fn sentence(span: &Span) -> String {
    let Sums { capacity, plan, reactive, .. } = &span.sums;
    let beside = format!(
        "(reactive rule: {} of spare, {}, {})",
        core_hours(reactive.over_core_s),
        short(reactive),
        changes(reactive)
    );
    let told = if span.is_dry_run {
        let saved = (capacity.over_core_s - plan.over_core_s) / HOUR_S;
        let saving = if saved < 0.0 {
            format!("would have taken {} core-hours more than the {} of spare", amount(-saved), amount(hours(capacity)))
        } else {
            format!("would have saved {} core-hours of {} spare", amount(saved), amount(hours(capacity)))
        };
        format!(
            "the plan {saving}, and left {} short instead of {}, with {} {beside}",
            time(plan.short_s),
            time(capacity.short_s),
            changes(plan)
        )
    } else {
        format!(
            "the capacity, which follows the plan, had {} of spare, {}, {} {beside}",
            core_hours(capacity.over_core_s),
            short(capacity),
            changes(plan)
        )
    };
    // The account follows the planner's decisions, and no governor's.
    let pace =
        if span.is_dry_run { "; the governor's pace, which would have let some of it wait, is not in it" } else { "" };
    format!("{}: {told}{}{pace}{}", length(span), money(&span.sums, span.is_dry_run), censored(&span.sums))
}

fn hours(worth: &Worth) -> f64 {
    worth.over_core_s / HOUR_S
}

fn length(span: &Span) -> String {
    let seconds = (span.to.as_ms() - span.from.as_ms()) / 1000;
    match (seconds / DAY_S, seconds / 3600) {
        (6.., _) => "the last 7 days".to_owned(),
        (days @ 2.., _) => format!("the last {days} days"),
        (_, 1) => "the last hour".to_owned(),
        (_, hours) => format!("the last {hours} hours"),
    }
}

fn short(worth: &Worth) -> String {
    format!("{} short", time(worth.short_s))
}

fn changes(worth: &Worth) -> String {
    format!("{} {}", worth.changes, if worth.changes == 1 { "change" } else { "changes" })
}

fn core_hours(core_s: f64) -> String {
    format!("{} core-hours", amount(core_s / HOUR_S))
}

fn money(sums: &Sums, is_dry_run: bool) -> String {
    let (Some(was), Some(plan), Some(currency)) = (sums.capacity.cost, sums.plan.cost, &sums.currency) else {
        return String::new();
    };
    if is_dry_run {
        format!("; {} {currency} instead of {}", amount(plan), amount(was))
    } else {
        format!("; {} {currency}", amount(was))
    }
}

fn censored(sums: &Sums) -> String {
    if sums.censored_s <= 0.0 {
        return String::new();
    }
    format!(
        "; for {} more may have been wanted than was used, so demand was at least what was measured",
        time(sums.censored_s)
    )
}

/// A time in the largest unit that leaves more than one of it.
fn time(seconds: f64) -> String {
    let in_units = |unit_s: f64, name: &str| {
        let n = (seconds / unit_s).round();
        format!("{n} {name}{}", if n == 1.0 { "" } else { "s" })
    };
    match seconds {
        s if s <= 0.0 => "nothing".to_owned(),
        s if s < 120.0 => in_units(1.0, "second"),
        s if s < 7200.0 => in_units(60.0, "minute"),
        s if s < 172_800.0 => in_units(HOUR_S, "hour"),
        _ => in_units(DAY_S as f64, "day"),
    }
}

/// A whole number with commas from ten on, and few digits below.
fn amount(x: f64) -> String {
    if x.abs() < 10.0 {
        return number((x * 100.0).round() / 100.0);
    }
    let digits = format!("{:.0}", x.abs());
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if x < 0.0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::EventTime;

    fn worth(over_core_h: f64, short_s: f64, changes: u64) -> Worth {
        Worth { short_s, over_core_s: over_core_h * HOUR_S, changes, ..Worth::default() }
    }

    fn span(days: i64) -> Span {
        Span {
            from: EventTime::from_s(0),
            to: EventTime::from_s(days * DAY_S),
            is_dry_run: true,
            sums: Sums {
                observed_s: 1.0,
                censored_s: 0.0,
                demand_core_s: 0.0,
                capacity: worth(1230.0, 2460.0, 0),
                plan: worth(818.0, 180.0, 37),
                reactive: worth(900.4, 600.0, 1),
                currency: None,
            },
        }
    }

    #[test]
    fn a_dry_run_says_what_it_would_have_saved() {
        assert_eq!(
            sentence(&span(7)),
            "the last 7 days: the plan would have saved 412 core-hours of 1,230 spare, and left 3 minutes short instead \
             of 41 minutes, with 37 changes (reactive rule: 900 core-hours of spare, 10 minutes short, 1 change); the \
             governor's pace, which would have let some of it wait, is not in it"
        );
        let mut more = span(2);
        more.sums.plan.over_core_s = 1241.0 * HOUR_S;
        more.sums.plan.short_s = 0.0;
        more.sums.capacity.cost = Some(20.0);
        more.sums.plan.cost = Some(12.0);
        more.sums.currency = Some("EUR".into());
        assert!(sentence(&more).starts_with(
            "the last 2 days: the plan would have taken 11 core-hours more than the 1,230 of spare, and left nothing short"
        ));
        assert!(sentence(&more).contains("; 12 EUR instead of 20; the governor's pace"));
    }

    #[test]
    fn a_plan_that_is_carried_out_stands_beside_the_reactive_rule() {
        let mut applied = Span { is_dry_run: false, ..span(1) };
        applied.sums.capacity = worth(818.0, 180.0, 37);
        applied.sums.censored_s = 60.0;
        applied.sums.capacity.cost = Some(24.6);
        applied.sums.plan.cost = Some(24.6);
        applied.sums.currency = Some("EUR".into());
        assert_eq!(
            sentence(&applied),
            "the last 24 hours: the capacity, which follows the plan, had 818 core-hours of spare, 3 minutes short, 37 \
             changes (reactive rule: 900 core-hours of spare, 10 minutes short, 1 change); 25 EUR; for 60 seconds more \
             may have been wanted than was used, so demand was at least what was measured"
        );
    }

    #[test]
    fn amounts_are_short() {
        assert_eq!([0.0, 0.004, 9.876, 12.4, 1_234_567.0].map(amount), ["0", "0", "9.88", "12", "1,234,567"]);
        assert_eq!([1.0, 150.0, 7200.0, 200_000.0].map(time), ["1 second", "3 minutes", "2 hours", "2 days"]);
    }
}
