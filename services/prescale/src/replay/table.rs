//! The report as a table, for reading.

use super::front::Role;
use super::relative::{Named, Ratio};
use super::report::{Budget, Line, Report, Stated};
use std::fmt::Write as _;

/// Of a baseline that none of the planner's beats.
const NONE: &str = "none of the planner's";

/// Most winners and losers that the table names; the page has more.
const NAMED_SHOWN: usize = 3;

/// Policies with longer names, as those of a sweep, have them on a line of their own, so that the numbers stay in sight.
const NAME_WIDTH_MAX: usize = 40;

impl Report {
    /// A policy a line, for each lead time.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{} workloads. Ratios are to {} with the same lead time; below 1 is better. In brackets the 95 % interval \
             over blocks of {} days; m is the mean of the workloads' own ratios, over those where {} has any. Win/lose: \
             share of the workloads with a loss more than 1 % below and above its own, where a loss is the spare core-hours \
             and {} times the unmet ones. A * marks those that no other policy but a bound beats in every way.\n",
            self.workloads, self.baseline, self.block_days, self.baseline, self.unmet_weight
        );
        if let Some(note) = self.note_of_memory() {
            text += note;
            text.push('\n');
        }
        let widths = self.lines.iter().map(|line| line.policy.len()).filter(|width| *width <= NAME_WIDTH_MAX);
        let width = widths.max().unwrap_or(0).max(12);
        for lead_s in self.lead_times_s() {
            let _ = write!(
                text,
                "\nlead time {}\n{:<width$}   {:>7} {:>7} {:>10} {:>6} {:>7} {:>7} {:>9}  {:<27} {:<27} {:<27} {:>9}\n",
                minutes(lead_s),
                "policy",
                "short",
                "unmet",
                "over,",
                "over/",
                "changes",
                "surges",
                "cost",
                "time short",
                "unmet",
                "over",
                "win/lose"
            );
            let _ = writeln!(
                text,
                "{:<width$}   {:>7} {:>7} {:>10} {:>6} {:>7} {:>7}",
                "", "%", "%", "core-h", "demand", "/VM-day", "met, %"
            );
            let own = || self.lines.iter().filter(|line| line.lead_time_s == lead_s);
            own().for_each(|line| text += &row(line, width));
            for line in own() {
                text += &budget(line);
                if line.role == Role::Planner && line.policy == line.name {
                    text += &fares(line, self.baseline);
                }
                let beaten_by = self.beaten_by(line);
                if !beaten_by.is_empty() {
                    let _ = writeln!(text, "{} is beaten in every way by {beaten_by}", line.policy);
                }
            }
        }
        text
    }

    /// The planner's that beat a policy; of a rule as it is usually set, also that there are none.
    pub(super) fn beaten_by(&self, line: &Line) -> String {
        let is_baseline = line.role == Role::Rule && line.policy == line.name;
        let has_planner = self.lines.iter().any(|line| line.role == Role::Planner);
        let is_unbeaten = is_baseline && has_planner && line.beaten_by.is_empty();
        if is_unbeaten { NONE.to_owned() } else { line.beaten_by.join(", ") }
    }
}

fn row(line: &Line, width: usize) -> String {
    let relative = &line.relative;
    let (above, name) =
        if line.policy.len() > width { (format!("{}\n", line.policy), "") } else { (String::new(), &*line.policy) };
    format!(
        "{above}{name:<width$} {:1} {:>7.2} {:>7.2} {:>10.0} {:>6.2} {:>7.2} {:>7} {:>9}  {:<27} {:<27} {:<27} {:>9}\n",
        if line.on_front { "*" } else { "" },
        100.0 * line.time_short,
        100.0 * line.unmet,
        line.over_core_h,
        line.over,
        line.changes_per_workload_day,
        line.surges_covered.map_or("-".to_owned(), |share| format!("{:.1}", 100.0 * share)),
        line.cost.map_or("-".to_owned(), |cost| format!("{cost:.0}")),
        words(&relative.time_short),
        words(&relative.unmet),
        words(&relative.over),
        format!("{:.0}/{:.0} %", 100.0 * relative.winners_share, 100.0 * relative.losers_share),
    )
}

/// How its stated share was kept, as a sentence.
fn budget(line: &Line) -> String {
    let Some(Budget { of, stated, fleet, workloads_above, kept }) = &line.budget else { return String::new() };
    let (percent, above) = (100.0 * stated, 100.0 * workloads_above);
    let came = fleet * percent;
    let what = match of {
        Stated::TimeShort => format!("was short for {came:.2} % of the time"),
        Stated::Unmet => format!("left {came:.2} % of the demand unmet"),
    };
    let kept = if *kept { "kept" } else { "not kept" };
    format!(
        "{} {what}, {fleet:.2} times the {percent} % that it states, {above:.1} % of the workloads more than three times \
         that: {kept}\n",
        line.policy
    )
}

/// How the workloads fare, each for itself, as sentences.
fn fares(line: &Line, baseline: &str) -> String {
    let relative = &line.relative;
    let measures = [("time short", &relative.time_short), ("unmet", &relative.unmet), ("over", &relative.over)];
    let each = measures.map(|(name, ratio)| {
        format!("{name} {:.0} and {:.0} %", 100.0 * ratio.workloads_less, 100.0 * ratio.workloads_more)
    });
    format!(
        "{} has less and more than {baseline} in so many of the workloads: {}. Of the loss, in core-hours, it wins most \
         with {}; it loses most with {}\n",
        line.policy,
        each.join(", "),
        named(&relative.winners, NAMED_SHOWN),
        named(&relative.losers, NAMED_SHOWN)
    )
}

/// Workloads, each with what it gains or loses.
pub(super) fn named(workloads: &[Named], most: usize) -> String {
    let each = workloads.iter().take(most).map(|named| format!("{} {:+.1}", named.workload, named.loss_core_h));
    if workloads.is_empty() { "none".to_owned() } else { each.collect::<Vec<_>>().join(", ") }
}

/// A ratio as text, with its interval and the workloads' mean.
pub(super) fn words(ratio: &Ratio) -> String {
    let number = |number: Option<f64>| number.map_or("-".to_owned(), |n| format!("{n:.3}"));
    let interval = ratio.fleet_95.map_or(String::new(), |(low, high)| format!(" ({low:.2}-{high:.2})"));
    format!(
        "{}{interval} m {}",
        number(ratio.fleet),
        ratio.workloads_mean.map_or("-".to_owned(), |m| format!("{m:.2}"))
    )
}

/// A lead time as text.
pub(super) fn minutes(lead_s: u32) -> String {
    if lead_s.is_multiple_of(60) { format!("{} min", lead_s / 60) } else { format!("{lead_s} s") }
}
