//! The report as a page of its own: no script, nothing fetched.

use super::plots;
use super::report::{Figures, Relative, Report, baselines};
use crate::report_page::STYLE;
use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use prescale_domain::calibration::Statistic;

/// The page.
///
/// # Errors
/// When a picture cannot be drawn.
pub(super) fn page(report: &Report) -> Result<String> {
    let mut kpis: Vec<&str> = report.summary.iter().map(|line| line.kpi.as_str()).collect();
    kpis.dedup();
    let sections = kpis.iter().map(|kpi| section(report, kpi)).collect::<Result<Vec<_>>>()?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Backtest of " (report.trace) } style { (PreEscaped(STYLE)) } }
            body {
                h1 { "Backtest" }
                p { (report.trace) ", " (report.from.as_deref().unwrap_or("-")) " to " (report.to.as_deref().unwrap_or("-"))
                    ": " (report.rows_read) " rows. Rolling origin, every " (report.every_bins * 5) " minutes; the first "
                    (report.warm_up_bins) " bins of each series are not scored." }
                p.note { "CRPS: weighted quantile loss over the nine deciles. Relative: by a baseline's on the same forecasts, each series in units \
                    of its mean demand; in brackets the 95 % interval from a bootstrap over blocks of "
                    (report.block_days) " day(s). Below 1 is better." }
                @for section in sections { (section) }
            }
        }
    };
    Ok(page.into_string())
}

fn section(report: &Report, kpi: &str) -> Result<Markup> {
    let baselines = baselines(&report.contenders);
    let first = baselines.first().map_or("", |(_, name)| name.as_str());
    let mut pictures = Vec::new();
    for statistic in Statistic::ALL.map(Statistic::name) {
        pictures.push((statistic, plots::relative(report, kpi, statistic, first)?));
        pictures.push((statistic, plots::reliability(report, kpi, statistic)?));
    }
    Ok(html! {
        h2 { (kpi) }
        table {
            thead { tr { th { "contender" } th { "series" } @for (_, name) in &baselines { th { "vs " (name) } th { "pooled" } th { "series' own" } } } }
            tbody { @for line in report.summary.iter().filter(|line| line.kpi == kpi) {
                tr { td { (line.contender) } td { (line.series) }
                    @for (_, name) in &baselines { (relative(line.relative.get(name))) } }
            } }
        }
        div.plots { @for (statistic, picture) in pictures { figure { (PreEscaped(picture)) figcaption.note { (statistic) } } } }
        h3 { "By horizon" }
        table {
            thead { tr { th { "contender" } th { "horizon" } th { "of" } th { "CRPS/mean" } th { "WQL" } th { "MASE" } th { "coverage" }
                th { "series ±8" } th { "width/mean" } th { "vs " (first) } } }
            tbody { @for f in report.figures.iter().filter(|f| f.kpi == kpi) { (by_horizon(f, first)) } }
        }
        h3 { "Pinball loss by level, in units of mean demand" }
        table {
            thead { tr { th { "contender" } th { "horizon" } th { "of" }
                @if let Some(f) = report.figures.first() { @for q in &f.quantiles { th { (q.level) } } } } }
            tbody { @for f in report.figures.iter().filter(|f| f.kpi == kpi) {
                tr { td { (f.contender) } td { (f.horizon_s / 60) " min" } td { (f.statistic) }
                    @for q in &f.quantiles { td { (format!("{:.4}", q.scaled_pinball)) } } }
            } }
        }
    })
}

fn relative(relative: Option<&Relative>) -> Markup {
    let Some(r) = relative else { return html! { td { "-" } td { "-" } td { "-" } } };
    let interval = r.scaled_95.map(|(low, high)| format!(" ({low:.3} to {high:.3})")).unwrap_or_default();
    html! {
        td class=[(r.scaled < 1.0).then_some("good")] { (format!("{:.3}", r.scaled)) (interval) }
        td { (format!("{:.3}", r.pooled)) }
        td { (format!("{:.3}", r.series_geometric_mean)) }
    }
}

fn by_horizon(f: &Figures, baseline: &str) -> Markup {
    html! {
        tr {
            td { (f.contender) } td { (f.horizon_s / 60) " min" } td { (f.statistic) }
            td { (format!("{:.4}", f.scaled_crps)) } td { (format!("{:.4}", f.weighted_quantile_loss)) }
            td { (f.mase.map_or("-".to_owned(), |mase| format!("{mase:.3}"))) }
            td { (format!("{:.1} %", 100.0 * f.coverage)) } td { (format!("{:.0} %", 100.0 * f.series_within_8_points)) }
            td { (format!("{:.3}", f.scaled_width)) }
            td { (f.relative.get(baseline).map_or("-".to_owned(), |r| format!("{:.3}", r.scaled))) }
        }
    }
}
