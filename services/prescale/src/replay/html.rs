//! The report as a page of its own: no script, nothing fetched.

use super::front::Role;
use super::plots;
use super::relative::{NAMED_MAX, Ratio};
use super::report::{Budget, Line, Report, Stated};
use super::table::{minutes, named, words};
use crate::report_page::STYLE;
use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The page.
///
/// # Errors
/// When a picture cannot be drawn.
pub(super) fn page(report: &Report) -> Result<String> {
    let sections =
        report.lead_times_s().into_iter().map(|lead_s| section(report, lead_s)).collect::<Result<Vec<_>>>()?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Replay of " (report.trace) } style { (PreEscaped(STYLE)) } }
            body {
                h1 { "Replay" }
                p { (report.trace) ", " (report.from.as_deref().unwrap_or("-")) " to " (report.to.as_deref().unwrap_or("-"))
                    ": " (report.rows_read) " rows, " (report.workloads) " workloads. Scored from "
                    @match &report.scored_from { Some(from) => { (from) } None => { (report.warm_up_s / 3600) " h after the beginning" } } "." }
                p.note { "Demand is CPU; each policy's capacity follows its own decisions after the lead time. Ratios are to "
                    (report.baseline) " with the same lead time, below 1 is better; in brackets the 95 % interval from a bootstrap over moving \
                    blocks of " (report.block_days) " day(s) with all workloads, then the mean of the workloads' own ratios. A workload's loss is its spare \
                    core-hours and " (report.unmet_weight) " times its unmet ones. On the front (●) are those that no other policy beats in every \
                    way: with no more time short, unmet, over and changes, and less of at least one. As bought and perfect foresight are bounds and \
                    take no part. Beaten by names the planner's that beat a policy so." }
                @if let Some(note) = report.note_of_memory() { p.note { (note) } }
                @for section in sections { (section) }
            }
        }
    };
    Ok(page.into_string())
}

fn section(report: &Report, lead_s: u32) -> Result<Markup> {
    let [(_, time_short), (_, unmet)] = plots::trades(report, lead_s)?;
    let pictures = [time_short, unmet, plots::winners(report, lead_s)?];
    let own = || report.lines.iter().filter(move |line| line.lead_time_s == lead_s);
    let has_budgets = own().any(|line| line.budget.is_some());
    Ok(html! {
        h2 { "Lead time " (minutes(lead_s)) }
        table {
            thead { tr { th { "policy" } th { "front" } th { "short, %" } th { "unmet, %" } th { "over, core-h" } th { "over/demand" } th { "changes a VM-day" }
                th { "surges covered, %" } th { "cost" } th { "time short" } th { "unmet" } th { "over" } th { "win/lose, %" }
                @for (share, _) in own().next().map(|line| line.workloads_short_above.as_slice()).unwrap_or_default() {
                    th { "VMs short > " (100.0 * share) " %, %" } }
                @if has_budgets { th { "stated, %" } th { "came by stated" } th { "VMs > 3 × stated, %" } th { "kept" } } th { "beaten by" } } }
            tbody { @for line in own() { (row(report, line, has_budgets)) } }
        }
        div.plots { @for picture in pictures { figure { (PreEscaped(picture)) } } }
        h3 { "Winners and losers" }
        table {
            thead { tr { th { "policy" } th { "win most, core-h of loss" } th { "lose most" } } }
            tbody { @for line in own().filter(|line| line.policy != report.baseline && line.policy == line.name || line.role == Role::Planner) {
                tr { td { (line.policy) } td { (named(&line.relative.winners, NAMED_MAX)) } td { (named(&line.relative.losers, NAMED_MAX)) } }
            } }
        }
    })
}

fn row(report: &Report, line: &Line, has_budgets: bool) -> Markup {
    let relative = &line.relative;
    html! {
        tr {
            td { (line.policy) } td { @if line.on_front { "●" } }
            td { (format!("{:.2}", 100.0 * line.time_short)) } td { (format!("{:.2}", 100.0 * line.unmet)) }
            td { (format!("{:.0}", line.over_core_h)) } td { (format!("{:.2}", line.over)) }
            td { (format!("{:.2}", line.changes_per_workload_day)) }
            td { (line.surges_covered.map_or("-".to_owned(), |share| format!("{:.1}", 100.0 * share))) }
            td { (line.cost.map_or("-".to_owned(), |cost| format!("{cost:.0}"))) }
            (ratio(&relative.time_short)) (ratio(&relative.unmet)) (ratio(&relative.over))
            td { (format!("{:.0}/{:.0}", 100.0 * relative.winners_share, 100.0 * relative.losers_share)) }
            @for (_, share) in &line.workloads_short_above { td { (format!("{:.1}", 100.0 * share)) } }
            @if has_budgets { (budget(line.budget.as_ref())) }
            td { (report.beaten_by(line)) }
        }
    }
}

fn budget(budget: Option<&Budget>) -> Markup {
    let Some(Budget { of, stated, fleet, workloads_above, kept }) = budget else {
        return html! { td { "-" } td { "-" } td { "-" } td { "-" } };
    };
    let of = match of {
        Stated::TimeShort => "short",
        Stated::Unmet => "unmet",
    };
    html! {
        td { (100.0 * stated) " " (of) } td { (format!("{fleet:.2}")) } td { (format!("{:.1}", 100.0 * workloads_above)) }
        td { @if *kept { "yes" } @else { "no" } }
    }
}

fn ratio(ratio: &Ratio) -> Markup {
    let is_good = ratio.fleet_95.is_some_and(|(_, high)| high < 1.0);
    html! { td class=[is_good.then_some("good")] { (words(ratio)) } }
}
